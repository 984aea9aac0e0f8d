//! A typed call as any client of NATS can make it: one request, one reply.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::json;
use ward_proto::call::{CBOR, JSON, header};
use ward_tests::clinic::JOHN;
use ward_tests::eventually;

use super::Whole;
use crate::load::percentile;
use crate::options::Extent;
use crate::processes::cpu_us;
use crate::report::{Section, median, number, range};

const SUBJECT: &str = "ward.call.billing.accounts.get";
const COLUMNS: [&str; 6] = ["payload", "calls at once", "calls/s", "p50 ms", "p99 ms", "CPU us a call"];

pub async fn measure(whole: &Whole, extent: &Extent) -> Section {
    let note =
        "`ward.call.billing.accounts.get`: a request over NATS, a fresh instance of billing, one SELECT, the reply.";
    let mut section = Section::new("A typed call", note, &COLUMNS);
    let client = whole.system.nats.client().await;
    let payloads = [("JSON", JSON, Bytes::from(json!({"patient-id": JOHN}).to_string())), ("CBOR", CBOR, cbor())];
    eventually("John has an account", async || {
        let reply = client.request(SUBJECT, payloads[0].2.clone()).await.ok()?;
        reply.payload.starts_with(b"{\"ok\"").then_some(())
    })
    .await;
    for outstanding in [1, 32] {
        for (name, content_type, payload) in &payloads {
            let mut rounds = Vec::new();
            for _ in 0..extent.rounds {
                rounds.push(round(whole, &client, content_type, payload, outstanding, extent.length).await);
            }
            let all = |place: usize| rounds.iter().map(|round: &[f64; 4]| round[place]).collect::<Vec<_>>();
            let [rates, p50, p99, cpu] = [all(0), all(1), all(2), all(3)];
            let cells = [
                name.to_string(),
                outstanding.to_string(),
                range(&rates),
                number(median(&p50)),
                number(median(&p99)),
                format!("host {}", number(median(&cpu))),
            ];
            section.row(
                &cells,
                json!({"payload": name, "outstanding": outstanding, "calls_per_s": rates, "p50_ms": p50, "p99_ms": p99,
                       "host_cpu_us": cpu}),
            );
        }
    }
    section
}

/// Calls a second, p50 and p99 in ms, microseconds of the host's processor a call.
async fn round(
    whole: &Whole,
    client: &async_nats::Client,
    content_type: &str,
    payload: &Bytes,
    outstanding: usize,
    length: Duration,
) -> [f64; 4] {
    let before = cpu_us(&whole.processes);
    let end = Instant::now() + length;
    let callers = (0..outstanding).map(|_| {
        let (client, payload, mut headers) = (client.clone(), payload.clone(), HeaderMap::new());
        headers.insert(header::CONTENT_TYPE, content_type);
        tokio::spawn(async move {
            let mut latencies_us = Vec::new();
            while Instant::now() < end {
                let sent = Instant::now();
                let reply = client.request_with_headers(SUBJECT, headers.clone(), payload.clone()).await.unwrap();
                let failure = reply.headers.as_ref().and_then(|headers| headers.get(header::FAILURE));
                assert!(failure.is_none(), "{failure:?}");
                latencies_us.push(sent.elapsed().as_micros() as u32);
            }
            latencies_us
        })
    });
    let mut latencies_us: Vec<u32> = join_all(callers).await.into_iter().flat_map(Result::unwrap).collect();
    let host = cpu_us(&whole.processes)["host"] - before["host"];
    latencies_us.sort_unstable();
    let calls = latencies_us.len() as f64;
    let [p50, p99] = [50.0, 99.0].map(|percent| percentile(&latencies_us, percent) / 1000.0);
    [calls / length.as_secs_f64(), p50, p99, host / calls]
}

/// `{"patient-id": JOHN}`: a map of one, a text of 10 bytes, a text whose length is in the next byte.
fn cbor() -> Bytes {
    const FIELD: &str = "patient-id";
    let mut bytes = vec![0xa1, 0x60 + FIELD.len() as u8];
    bytes.extend(FIELD.as_bytes());
    bytes.extend([0x78, JOHN.len() as u8]);
    bytes.extend(JOHN.as_bytes());
    bytes.into()
}
