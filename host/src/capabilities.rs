//! The doors of the sandbox: what a component can reach, one file each, all with the same skeleton (the trait of the
//! WIT interface implemented for [`CallState`], then `add_to_linker`). Which doors exist for a component is decided
//! when it is loaded (`engine::plugin`), by its grants; in here everything is granted.

mod call;
mod clock;
mod config;
mod context;
mod events;
mod log;
mod memory;
mod passwords;
mod random;
mod sql;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use wasmtime::component::Linker;

pub use call::{ImportedFunction, link_service};
pub use memory::InstanceMemory;

use crate::calls::Call;
use crate::calls::client::Client;
use crate::config::{Capability, Grants, Limits, Quarantine as QuarantineConfig, ServiceConfig};
use crate::engine::Busy;
use crate::limits::{Limit, Refusals};
use crate::security::{Passwords, Tokens};
use crate::services::Quarantine;
use crate::store::Work;

use self::log::LogRate;

/// What the host has for all components.
pub struct HostServices {
    pub client: Client,
    pub passwords: Passwords,
    pub tokens: Arc<Tokens>,
    pub busy: Busy,
    pub quarantine: QuarantineConfig,
}

/// What all calls of one generation share.
pub struct ServiceContext {
    pub name: String,
    pub generation: u64,
    pub grants: Grants,
    pub limits: Limits,
    pub settings: Arc<BTreeMap<String, String>>,
    /// Calls that its instances may have out at once.
    pub outgoing: Arc<Semaphore>,
    pub log_rate: LogRate,
    pub refusals: Arc<Refusals>,
    pub quarantine: Quarantine,
}

impl ServiceContext {
    pub fn new(service: &ServiceConfig, generation: u64, host: &HostServices, refusals: Arc<Refusals>) -> Self {
        Self {
            name: service.name.to_string(),
            generation,
            grants: service.grants.clone(),
            limits: service.limits.clone(),
            settings: service.settings.clone(),
            outgoing: Arc::new(Semaphore::new(service.limits.outgoing)),
            log_rate: LogRate::new(service.limits.log_per_s),
            refusals,
            quarantine: Quarantine::new(host.quarantine.clone(), Instant::now()),
        }
    }

    /// Counts what a limit refused, and says it for a message.
    pub fn refuse(&self, limit: Limit) -> String {
        self.refusals.count(limit);
        limit.told(&self.limits)
    }
}

/// What one call has, for the life of its instance.
pub struct CallState {
    pub call: Call,
    pub service: Arc<ServiceContext>,
    pub host: Arc<HostServices>,
    pub work: Work,
    pub memory: InstanceMemory,
    logged: log::Logged,
    calls_made: u32,
    /// Did one of them have no answer?
    pub is_let_down: bool,
    /// How many there were, by function.
    calls_of: BTreeMap<String, u32>,
    /// What the idempotency keys of its own calls begin with, when the call may be tried again under another id.
    seed: Option<String>,
}

impl CallState {
    pub fn new(
        call: Call,
        service: Arc<ServiceContext>,
        host: Arc<HostServices>,
        work: Work,
        seed: Option<String>,
    ) -> Self {
        let memory = InstanceMemory::new(&service.limits, service.refusals.clone());
        let (logged, calls_of) = (log::Logged::default(), BTreeMap::new());
        Self { call, service, host, work, memory, logged, calls_made: 0, is_let_down: false, calls_of, seed }
    }
}

/// Opens the door of one capability. Service interfaces are opened by [`link_service`].
pub fn add_to_linker(capability: Capability, linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    match capability {
        Capability::Sql => sql::add_to_linker(linker),
        Capability::Events => events::add_to_linker(linker),
        Capability::Passwords => passwords::add_to_linker(linker),
        Capability::Tokens => tokens::add_to_linker(linker),
        Capability::Clock => clock::add_to_linker(linker),
        Capability::Random => random::add_to_linker(linker),
        Capability::Log => log::add_to_linker(linker),
        Capability::Config => config::add_to_linker(linker),
        Capability::Context => context::add_to_linker(linker),
        Capability::Call => Ok(()),
    }
}
