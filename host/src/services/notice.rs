//! What happens to services, told to whoever listens: one message on `ward.notice.<service>` for each, see `docs/operating.md`.

use std::sync::Arc;

use serde::Serialize;
use ward_proto::call::{JSON, header, subject};

use crate::bus::{Bus, Headers};
use crate::clock;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It takes all calls now.
    SwappedIn,
    /// It takes a share of the calls now.
    Canary,
    /// It was not taken; what served before goes on.
    Refused,
    /// It did not prove itself; the one before serves again.
    WentBack,
}

#[derive(Serialize)]
struct Notice<'a> {
    what: What,
    service: &'a str,
    generation: u64,
    digest: &'a str,
    host: &'a str,
    /// RFC 3339.
    at: String,
    reason: &'a str,
}

pub struct Notices {
    pub bus: Arc<Bus>,
    pub host: String,
}

impl Notices {
    /// Nobody may listen, and nothing depends on it.
    pub async fn tell(&self, service: &str, what: What, (generation, digest): (u64, &str), reason: &str) {
        let at = clock::rfc3339(clock::now_micros());
        let notice = Notice { what, service, generation, digest, host: &self.host, at, reason };
        let mut headers = Headers::new();
        headers.insert(header::CONTENT_TYPE, JSON);
        let body = serde_json::to_vec(&notice).unwrap_or_default();
        self.bus.publish(format!("{}.{service}", subject::NOTICE), headers, body.into()).await;
    }
}
