//! The billing contract: real gRPC calls, a real nats-server, and a billing that answers as each test says.

#![cfg(test)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use futures_util::StreamExt;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use support::bridge::Bridge;
use support::eventually;
use support::nats::{Answer, Billing, Nats};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use ward_bridge::grpc::generated::billing_service_client::BillingServiceClient;
use ward_proto::billing::{BillingRequest, BillingResponse};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn request() -> Request<BillingRequest> {
    Request::new(BillingRequest {
        patient_id: "123e4567-e89b-12d3-a456-426614174000".to_owned(),
        name: "John Doe".to_owned(),
        email: "john.doe@example.com".to_owned(),
    })
}

fn with_token(token: &str) -> Request<BillingRequest> {
    let mut request = request();
    let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

fn account() -> Answer {
    Answer::Payload(
        r#"{"ok":{"id":"account-1","patient-id":"p","status":"active","opened-at":"2026-01-10T09:30:00Z"}}"#.to_owned(),
    )
}

fn bridge(nats: &Nats, profile: &str) -> Bridge {
    Bridge::start_with(nats, profile, "")
}

async fn call(bridge: &Bridge, request: Request<BillingRequest>) -> Result<BillingResponse, Status> {
    let mut client = BillingServiceClient::new(bridge.channel().await);
    client.create_billing_account(request).await.map(tonic::Response::into_inner)
}

async fn code(bridge: &Bridge, request: Request<BillingRequest>) -> Code {
    call(bridge, request).await.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rpc_is_one_typed_call() {
    let nats = Nats::start().await;
    let mut billing = Billing::start(&nats, |_| account()).await;
    let bridge = bridge(&nats, "development");
    bridge.wait_until("/nats/connected", true).await;
    let mut request = request();
    request.metadata_mut().insert("traceparent", TRACE.parse().unwrap());
    request.set_timeout(Duration::from_secs(2));
    let response = call(&bridge, request).await.unwrap();
    assert_eq!((response.account_id.as_str(), response.status.as_str()), ("account-1", "ACTIVE"));

    let request = billing.request().await;
    assert_eq!(request.subject.as_str(), "ward.call.billing.accounts.open");
    let arguments: Value = serde_json::from_slice(&request.payload).unwrap();
    let patient = "123e4567-e89b-12d3-a456-426614174000";
    let holder = json!({"patient-id": patient, "name": "John Doe", "email": "john.doe@example.com"});
    assert_eq!(arguments, json!({ "holder": holder }));
    let headers = request.headers.unwrap();
    let header = |name: &str| headers.get(name).unwrap().as_str().to_owned();
    assert_eq!(header("Content-Type"), "application/json");
    assert_eq!(header("Ward-Contract"), "clinic:billing/accounts@0.1.0");
    // The caller's trace, and a span of the bridge's own.
    let trace = header("traceparent");
    assert!(trace.starts_with(&TRACE[..36]) && trace != TRACE, "{trace}");
    let principal: Value = serde_json::from_str(&header("Ward-Principal")).unwrap();
    assert_eq!(principal, json!({"subject": "grpc", "role": "BILLING"}));
    let deadline: u64 = header("Ward-Deadline-Ms").parse().unwrap();
    assert!((1500..2000).contains(&deadline), "{deadline}");
    let metrics = bridge.get("/metrics").await.unwrap().1;
    let line = r#"ward_bridge_grpc_requests_total{method="CreateBillingAccount",code="OK"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_has_its_status_code() {
    let nats = Nats::start().await;
    let bridge = bridge(&nats, "development");
    bridge.wait_until("/nats/connected", true).await;
    assert_eq!(code(&bridge, request()).await, Code::Unavailable);

    let answer = Arc::new(Mutex::new("silence"));
    let said = Arc::clone(&answer);
    let _billing = Billing::start(&nats, move |_| match *said.lock().unwrap() {
        "silence" => Answer::Silence,
        "invalid" => Answer::Payload(r#"{"err":{"invalid":["Name is required","Email should be valid"]}}"#.to_owned()),
        kind => Answer::Failure(kind),
    })
    .await;
    // The client gives up by its own clock, with another code, when the answer needs longer than the bridge leaves for its way.
    let mut ends = Vec::new();
    while ends.last() != Some(&Code::DeadlineExceeded) {
        let mut hurried = request();
        hurried.metadata_mut().insert("grpc-timeout", "200m".parse().unwrap());
        ends.push(code(&bridge, hurried).await);
        assert!(
            ends.iter().all(|end| [Code::Cancelled, Code::DeadlineExceeded].contains(end)) && ends.len() < 50,
            "{ends:?}"
        );
    }
    let expected = [
        ("overloaded", Code::ResourceExhausted),
        ("deadline-exceeded", Code::DeadlineExceeded),
        ("trapped", Code::Internal),
        ("failed", Code::Internal),
        ("refused", Code::Internal),
    ];
    for (kind, expected) in expected {
        *answer.lock().unwrap() = kind;
        assert_eq!(code(&bridge, request()).await, expected, "{kind}");
    }
    *answer.lock().unwrap() = "invalid";
    let invalid = call(&bridge, request()).await.unwrap_err();
    assert_eq!(invalid.code(), Code::InvalidArgument);
    assert_eq!(invalid.message(), "Name is required; Email should be valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nats_a_call_fails_at_once() {
    let mut nats = Nats::start().await;
    let bridge = bridge(&nats, "development");
    bridge.wait_until("/nats/connected", true).await;
    nats.kill();
    bridge.wait_until("/nats/connected", false).await;
    let began = std::time::Instant::now();
    assert_eq!(code(&bridge, request()).await, Code::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_cancels_the_call() {
    let nats = Nats::start().await;
    let mut billing = Billing::start(&nats, |_| Answer::Silence).await;
    let client = nats.client().await;
    let mut cancelled = client.subscribe("ward.cancel").await.unwrap();
    client.flush().await.unwrap();
    let bridge = bridge(&nats, "development");
    bridge.wait_until("/nats/connected", true).await;
    let channel = bridge.channel().await;
    let hanging =
        tokio::spawn(async move { BillingServiceClient::new(channel).create_billing_account(request()).await });
    let id = billing.request().await.headers.unwrap().get("Ward-Call-Id").unwrap().as_str().to_owned();
    hanging.abort();
    let message = tokio::time::timeout(support::PATIENCE, cancelled.next()).await.unwrap().unwrap();
    assert_eq!(message.payload, id.as_bytes());
}

/// A host that publishes keys, and signs with them.
struct Keys {
    document: Arc<Mutex<Value>>,
    task: tokio::task::JoinHandle<()>,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn jwks(keys: &[(&str, &SigningKey)]) -> Value {
    let keys: Vec<Value> = keys
        .iter()
        .map(|(kid, key)| {
            let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
            json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x})
        })
        .collect();
    json!({ "keys": keys })
}

fn token(kid: &str, key: &SigningKey, change: impl FnOnce(&mut Value)) -> String {
    let der = key.to_pkcs8_der().unwrap();
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(kid.to_owned());
    let mut claims = json!({
        "sub": "billing@clinic.test", "role": "BILLING", "iss": "ward", "aud": "ward", "exp": 4_000_000_000_u64,
    });
    change(&mut claims);
    encode(&header, &claims, &EncodingKey::from_ed_der(der.as_bytes())).unwrap()
}

impl Keys {
    async fn publish(nats: &Nats, document: Value) -> Self {
        let client = nats.client().await;
        let mut asked = client.subscribe("ward.keys").await.unwrap();
        client.flush().await.unwrap();
        let document = Arc::new(Mutex::new(document));
        let current = Arc::clone(&document);
        let task = tokio::spawn(async move {
            while let Some(request) = asked.next().await {
                let text = current.lock().unwrap().to_string();
                client.publish(request.reply.unwrap(), text.into()).await.unwrap();
            }
        });
        Self { document, task }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_decides_where_one_is_required() {
    let nats = Nats::start().await;
    let mut billing = Billing::start(&nats, |_| account()).await;
    let (old, other) = (key(1), key(2));
    let keys = Keys::publish(&nats, jwks(&[("old", &old)])).await;
    let bridge = bridge(&nats, "production");
    bridge.wait_until("/nats/connected", true).await;
    assert_eq!(code(&bridge, request()).await, Code::Unauthenticated);
    assert_eq!(code(&bridge, with_token(&token("old", &old, |_| {}))).await, Code::Ok);
    let headers = billing.request().await.headers.unwrap();
    let principal: Value = serde_json::from_str(headers.get("Ward-Principal").unwrap().as_str()).unwrap();
    assert_eq!(principal, json!({"subject": "billing@clinic.test", "role": "BILLING"}));

    let forged = token("old", &other, |_| {});
    let expired = token("old", &old, |claims| claims["exp"] = json!(1_000_000_000));
    let elsewhere = token("old", &old, |claims| claims["aud"] = json!("elsewhere"));
    for bad in [forged.as_str(), expired.as_str(), elsewhere.as_str(), "nonsense"] {
        assert_eq!(code(&bridge, with_token(bad)).await, Code::Unauthenticated);
    }
    let reader = token("old", &old, |claims| claims["role"] = json!("READER"));
    assert_eq!(code(&bridge, with_token(&reader)).await, Code::PermissionDenied);

    *keys.document.lock().unwrap() = jwks(&[("old", &old), ("new", &other)]);
    let rotated = token("new", &other, |_| {});
    eventually("the new key is known", async || (code(&bridge, with_token(&rotated)).await == Code::Ok).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_refused_even_where_none_is_needed() {
    let nats = Nats::start().await;
    let _billing = Billing::start(&nats, |_| account()).await;
    let bridge = bridge(&nats, "development");
    bridge.wait_until("/nats/connected", true).await;
    assert_eq!(code(&bridge, request()).await, Code::Ok);
    assert_eq!(code(&bridge, with_token(&token("k", &key(1), |_| {}))).await, Code::Unavailable);
    let _keys = Keys::publish(&nats, jwks(&[("k", &key(1))])).await;
    eventually("keys are known", async || {
        let code = code(&bridge, with_token(&token("k", &key(2), |_| {}))).await;
        (code == Code::Unauthenticated).then_some(())
    })
    .await;
}

async fn health(channel: &Channel, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_billing() {
    let nats = Nats::start().await;
    let bridge = bridge(&nats, "development");
    let channel = bridge.channel().await;
    eventually("not serving", async || {
        (health(&channel, "BillingService").await == ServingStatus::NotServing).then_some(())
    })
    .await;
    let billing = Billing::start(&nats, |_| account()).await;
    eventually("serving", async || (health(&channel, "").await == ServingStatus::Serving).then_some(())).await;
    drop(billing);
    eventually("not serving again", async || (health(&channel, "").await == ServingStatus::NotServing).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_names_the_services() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, ServiceResponse};
    let nats = Nats::start().await;
    let bridge = bridge(&nats, "development");
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(bridge.channel().await);
    let asked = futures_util::stream::iter([request]);
    let mut answers = client.server_reflection_info(asked).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}");
    };
    let names: Vec<String> = list.service.into_iter().map(|ServiceResponse { name }| name).collect();
    assert!(names.contains(&"BillingService".to_owned()), "{names:?}");
}
