//! gRPC in: the billing contract of `proto/protos/billing.proto`, health and reflection.
//!
//! Each RPC is one typed call over NATS; the bridge decides nothing that billing could decide. Only this module names
//! `tonic`. In the order of a call: who calls ([`caller`]), how long and in which trace ([`metadata`]), the call itself
//! ([`billing`]), and the status that its outcome becomes ([`outcome`]).

mod billing;
mod caller;
mod health;
mod metadata;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

pub use billing::Billing;
pub use caller::Gatekeeper;

use crate::bus::Bus;
use crate::status::Status;
use crate::stop::Stop;

/// Generated from the contract: the server's side and the caller's.
#[expect(clippy::allow_attributes, reason = "generated code")]
pub mod generated {
    tonic::include_proto!("_");

    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/billing.bin"));
}

/// A billing request has three short texts.
const REQUEST_BYTES: usize = 64 * 1024;
/// Finds callers that have gone without a word.
const KEEPALIVE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("the description of the gRPC services is damaged")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("the gRPC server ended")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves until `stop`, then finishes the calls under way.
pub async fn serve(
    listener: TcpListener,
    billing: Billing,
    bus: Bus,
    status: Arc<Status>,
    mut stop: Stop,
) -> Result<(), ServeError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(generated::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let service = generated::billing_service_server::BillingServiceServer::new(billing);
    let watch = tokio::spawn(health::watch(reporter, bus, status, stop.clone()));
    let served = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .add_service(service.max_decoding_message_size(REQUEST_BYTES))
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
            stop.requested().await;
        })
        .await;
    watch.abort();
    Ok(served?)
}
