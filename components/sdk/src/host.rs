//! Clock, ids and settings of the host.
//!
//! Grants: `clock` for [`now`], `random` for [`new_id`], `config` for [`setting`], `context` for [`principal`].

use uuid::Uuid;

use crate::bindings::capabilities::ward::call::context;
use crate::bindings::capabilities::ward::host::{clock, config, random};
use crate::http::Principal;
use crate::ports::{Clock, Ids};
use crate::time::Timestamp;

/// The host, as the ports of a service: a component's own ports are implemented for it, those of every domain are here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl Clock for Host {
    fn now(&self) -> Timestamp {
        now()
    }
}

impl Ids for Host {
    fn next(&self) -> Uuid {
        new_id()
    }
}

pub fn now() -> Timestamp {
    Timestamp(clock::now())
}

/// A time-ordered UUID.
pub fn new_id() -> Uuid {
    let (upper, lower) = random::uuid();
    Uuid::from_u64_pair(upper, lower)
}

/// What the operator set under `[services.NAME.settings]`.
pub fn setting(key: &str) -> Option<String> {
    config::get(key)
}

/// On whose behalf this call runs. HTTP requests carry theirs already.
pub fn principal() -> Option<Principal> {
    context::current().principal
}
