//! `BillingService/CreateBillingAccount`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use ward_proto::billing::{BillingRequest, BillingResponse};
use ward_proto::call::{JSON, header, subject};
use ward_telemetry::Hop;

use super::caller::Gatekeeper;
use super::generated::billing_service_server::BillingService;
use super::{metadata, outcome};
use crate::bus::Bus;
use crate::metrics::Rpc;
use crate::status;

pub(super) const CONTRACT: &str = "clinic:billing/accounts@0.1.0";

/// Turns the RPC into a typed call of billing.
pub struct Billing {
    bus: Bus,
    gatekeeper: Gatekeeper,
    status: Arc<status::Status>,
    places: Semaphore,
    default_deadline: Duration,
}

impl Billing {
    pub fn new(
        bus: Bus,
        gatekeeper: Gatekeeper,
        status: Arc<status::Status>,
        concurrency: usize,
        default_deadline: Duration,
    ) -> Self {
        Self { bus, gatekeeper, status, places: Semaphore::new(concurrency), default_deadline }
    }

    async fn open(&self, request: Request<BillingRequest>) -> Result<BillingResponse, Status> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Status::resource_exhausted("too many calls at once; nothing was done"));
        };
        let deadline = metadata::deadline(request.metadata(), self.default_deadline);
        let until = Instant::now() + deadline;
        let admitted = tokio::time::timeout_at(until, self.gatekeeper.admit(request.metadata())).await;
        let principal = admitted.map_err(|_| Status::deadline_exceeded("the deadline passed; nothing was done"))??;
        let left = until.duration_since(Instant::now());
        let call = Call::new(&self.bus);
        let sent = metadata::traceparent(request.metadata());
        let trail = self.status.recorder.enter(&call.id, "billing", sent.as_deref());
        let mut span = trail.own(Hop::Grpc, "CreateBillingAccount");
        let asking = trail.span(Hop::Request, "billing.accounts.open");
        let headers = [
            (header::CONTENT_TYPE, JSON.to_owned()),
            (header::CONTRACT, CONTRACT.to_owned()),
            (header::DEADLINE_MS, left.as_millis().max(1).to_string()),
            (header::CALL_ID, call.id.clone()),
            (header::PRINCIPAL, json!(principal).to_string()),
            (header::TRACEPARENT, asking.trail().context().to_string()),
        ];
        let arguments = arguments(request.into_inner());
        let asked = self.bus.request(format!("{}.billing.accounts.open", subject::CALL), &headers, arguments, left);
        let response = outcome::response(asked.await);
        drop(asking);
        if let Err(status) = &response {
            span.fail(code_name(status.code()));
        }
        call.ended();
        response
    }

    fn count(&self, code: tonic::Code, began: Instant) {
        let labels = Rpc { method: "CreateBillingAccount", code: code_name(code) };
        self.status.metrics.grpc_requests.get_or_create(&labels).inc();
        self.status.metrics.grpc_seconds.observe(began.elapsed().as_secs_f64());
    }
}

#[tonic::async_trait]
impl BillingService for Billing {
    async fn create_billing_account(
        &self,
        request: Request<BillingRequest>,
    ) -> Result<Response<BillingResponse>, Status> {
        let began = Instant::now();
        let answer = self.open(request).await;
        let code = answer.as_ref().map_or_else(Status::code, |_| tonic::Code::Ok);
        self.count(code, began);
        answer.map(Response::new)
    }
}

fn arguments(request: BillingRequest) -> Vec<u8> {
    let holder = json!({ "patient-id": request.patient_id, "name": request.name, "email": request.email });
    json!({ "holder": holder }).to_string().into_bytes()
}

/// A call under way. Dropped before its end (the caller has hung up), it tells the host to stop.
struct Call {
    id: String,
    bus: Option<Bus>,
}

impl Call {
    fn new(bus: &Bus) -> Self {
        Self { id: uuid::Uuid::new_v4().to_string(), bus: Some(bus.clone()) }
    }

    fn ended(mut self) {
        self.bus = None;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.take() {
            let id = std::mem::take(&mut self.id).into_bytes();
            tokio::spawn(async move { bus.publish(subject::CANCEL.to_owned(), id).await });
        }
    }
}

/// The names of the specification, for the metrics.
fn code_name(code: tonic::Code) -> &'static str {
    use tonic::Code;
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
