//! The health service: SERVING as long as billing answers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use ward_proto::call::{JSON, header, subject};

use super::billing::CONTRACT;
use crate::bus::Bus;
use crate::bus::call::RequestError;
use crate::status::Status;
use crate::stop::Stop;

const ASK_EVERY: Duration = Duration::from_secs(2);
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// The whole server, and the one service that depends on somebody.
const NAMES: [&str; 2] = ["", "BillingService"];

/// Keeps the reported health true, until `stop`; then nothing is served any more.
pub async fn watch(reporter: HealthReporter, bus: Bus, status: Arc<Status>, mut stop: Stop) {
    let mut tick = tokio::time::interval(ASK_EVERY);
    loop {
        tokio::select! {
            () = stop.requested() => break,
            _ = tick.tick() => {}
        }
        let answers = billing_answers(&bus).await;
        status.metrics.billing_up.set(i64::from(answers));
        report(&reporter, answers).await;
    }
    report(&reporter, false).await;
}

async fn report(reporter: &HealthReporter, answers: bool) {
    let state = if answers { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in NAMES {
        reporter.set_service_status(name, state).await;
    }
}

/// Asks for the account of nobody. Any answer will do: a billing that is merely busy or slow still serves.
async fn billing_answers(bus: &Bus) -> bool {
    let headers = [
        (header::CONTENT_TYPE, JSON.to_owned()),
        (header::CONTRACT, CONTRACT.to_owned()),
        (header::DEADLINE_MS, ASK_TIMEOUT.as_millis().to_string()),
    ];
    let arguments = json!({ "patient-id": uuid::Uuid::nil().to_string() }).to_string().into_bytes();
    let asked = bus.request(format!("{}.billing.accounts.get", subject::CALL), &headers, arguments, ASK_TIMEOUT);
    matches!(asked.await, Ok(_) | Err(RequestError::TimedOut))
}
