//! The old system's gRPC, as its callers speak it.

use std::time::Duration;

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;
use ward_proto::billing::{BillingRequest, BillingResponse};

#[derive(Debug, Clone)]
pub struct Billing(Channel);

impl Billing {
    pub async fn connect(address: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let endpoint = endpoint.timeout(Duration::from_secs(20));
        Self(endpoint.connect().await.unwrap_or_else(|error| panic!("no gRPC at {address}: {error}")))
    }

    pub async fn create_account(&self, patient_id: &str, name: &str, email: &str) -> Result<BillingResponse, Status> {
        self.send(Request::new(message(patient_id, name, email))).await
    }

    pub async fn send(&self, request: Request<BillingRequest>) -> Result<BillingResponse, Status> {
        let mut client = Grpc::new(self.0.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static("/BillingService/CreateBillingAccount");
        let codec: ProstCodec<BillingRequest, BillingResponse> = ProstCodec::default();
        client.unary(request, path, codec).await.map(tonic::Response::into_inner)
    }
}

pub fn message(patient_id: &str, name: &str, email: &str) -> BillingRequest {
    BillingRequest { patient_id: patient_id.to_owned(), name: name.to_owned(), email: email.to_owned() }
}
