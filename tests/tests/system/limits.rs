//! Limits of the gateway and of a component's calls, each with its status; and that calls which compute for long leave room for
//! others.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use ward_tests::clinic::{JOHN, register, registration, with};
use ward_tests::load::Load;
use ward_tests::rest::Rest;
use ward_tests::{System, eventually};

#[tokio::test]
async fn a_large_body_is_a_413() {
    let rest = System::shared().await.admin().await;
    let body = with(&registration(), "address", json!("x".repeat(300_000)));
    rest.post("/api/patients", body).await.expect_problem(413);
}

#[tokio::test]
async fn large_headers_are_a_431() {
    let rest = System::shared().await.admin().await;
    let request = rest.request(Method::GET, "/api/patients").header("x-large", &"x".repeat(20_000));
    let answer = request.send().await;
    assert_eq!(answer.status, 431);
}

/// Sends each its own first bytes, on as many connections; whoever comes after them is served.
async fn keep_nobody_out(system: &System, first_bytes: &[&str]) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for bytes in first_bytes {
        let mut connection = TcpStream::connect(system.hosts[0].address()).await.unwrap();
        connection.write_all(bytes.as_bytes()).await.unwrap();
        all.push(connection);
    }
    let mut late = TcpStream::connect(system.hosts[0].address()).await.unwrap();
    late.write_all(b"GET /healthz HTTP/1.1\r\nhost: ward\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let answered = tokio::time::timeout(Duration::from_secs(30), late.read_to_string(&mut answer)).await;
    assert!(answered.is_ok() && answer.starts_with("HTTP/1.1 200"), "{answered:?} {answer}");
    all
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: ward\r\n\r\n")
}

#[tokio::test]
async fn who_does_nothing_keeps_nobody_out() {
    let system = System::with().set("WARD_HTTP_CONNECTIONS", 4).start().await;
    // Silent; in the middle of a request line, as HTTP/2 begins as well; with an answer and no further request; with one that is not read.
    keep_nobody_out(&system, &["", "P", &get("/healthz"), &get("/docs/swagger-ui-bundle.js")]).await;
    system.end().await;
}

#[tokio::test]
async fn who_watches_keeps_the_place() {
    let system = System::with().set("WARD_HTTP_CONNECTIONS", 2).start().await;
    let token = system.admin().await.token().unwrap().to_owned();
    let live = "GET /api/analytics/live HTTP/1.1\r\nhost: ward\r\nauthorization: Bearer ";
    let mut live = keep_nobody_out(&system, &[&format!("{live}{token}\r\n\r\n"), &get("/healthz")]).await.remove(0);
    register(&system.admin().await).await;
    let mut seen = String::new();
    while seen.matches("data:").count() < 2 {
        let mut bytes = vec![0; 65536];
        let read = tokio::time::timeout(Duration::from_secs(30), live.read(&mut bytes)).await.unwrap().unwrap();
        assert!(read > 0, "the stream was closed: {seen}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    drop(live);
    system.end().await;
}

#[tokio::test]
async fn who_watches_a_lot_leaves_streams_to_others() {
    let system = System::with().set("WARD_HTTP_LIVE_STREAMS", 4).start().await;
    let (eager, calm) = (system.admin().await, system.user("reader").await);
    let watch = async |rest: &Rest| rest.request(Method::GET, "/api/analytics/live").open().await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(watch(&eager).await.unwrap());
    }
    let detail = |problem: Value| problem["detail"].as_str().unwrap().to_owned();
    assert!(detail(watch(&eager).await.unwrap_err().expect_problem(503)).contains("http.live_streams"));
    streams.push(watch(&calm).await.unwrap());
    watch(&calm).await.unwrap_err().expect_problem(503);
    drop(streams);
    eventually("there is room again", async || watch(&eager).await.ok()).await;
    system.end().await;
}

/// That several slow ones do, too, is in the unit tests of the places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_service_leaves_requests_to_others() {
    let system = System::with().hostile().set("WARD_HTTP_CONCURRENCY", 4).start().await;
    let (rest, admin) = (system.rest(), system.admin().await);
    let lock = locked(&system).await;
    let writer = rest.clone();
    let waiting = Load::start(3, move |_| {
        let rest = writer.clone();
        async move {
            // Some are stopped when their time is over; they only have to hold their places.
            rest.post("/hostile/write/mark?name=locked", Value::Null).await;
            Ok(())
        }
    });
    eventually("the service has all that it may", async || {
        let answer = rest.get("/hostile/read/nothing").await;
        (answer.status == 503 && answer.text().contains("http.concurrency")).then_some(())
    })
    .await;
    admin.get(&format!("/api/patients/{JOHN}")).await.expect(200);
    lock.rollback().await.unwrap();
    waiting.end().await;
    system.end_broken();
}

/// Whoever writes this mark waits until the transaction ends.
async fn locked(system: &System) -> Transaction<'static, Postgres> {
    system.rest().post("/hostile/write/mark?name=locked", Value::Null).await.expect(200);
    let mut holder = system.database("hostile").await.begin().await.unwrap();
    sqlx::query("update mark set count = 2 where name = 'locked'").execute(&mut *holder).await.unwrap();
    holder
}

#[tokio::test]
async fn each_client_has_its_own_rate() {
    let system = System::with().set("WARD_HTTP_RATE_PER_S", 1).set("WARD_HTTP_RATE_BURST", 5).start().await;
    let (eager, calm) = (system.admin().await, system.user("reader").await);
    let mut refused = 0;
    for _ in 0..10 {
        refused += u32::from(eager.get("/api/patients").await.status == 429);
    }
    assert!(refused >= 1);
    calm.get("/api/patients").await.expect(200);
    system.end().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_for_the_component_is_a_413() {
    let system = System::with().hostile().set("WARD_LIMITS_REQUEST_BYTES", 1000).start().await;
    let rest = system.rest();
    let large = json!("x".repeat(2000));
    let problem = rest.post("/hostile/write/nothing", large).await.expect_problem(413);
    assert!(problem["detail"].as_str().unwrap().contains("limits.request_bytes is 1000 bytes"), "{problem}");
    assert_eq!(rest.refusals("hostile", "request_bytes").await, 1);
    rest.post("/hostile/write/nothing", Value::Null).await.expect(200);
    system.end_broken();
}

/// It waits for a lock for longer than it may compute, and is stopped for the time by the clock.
#[tokio::test]
async fn a_call_that_waits_for_the_store_does_not_use_up_its_computing() {
    let system = System::with().hostile().set("WARD_LIMITS_CPU_MS", 500).start().await;
    let rest = system.rest();
    let holder = locked(&system).await;
    rest.post("/hostile/write/mark?name=locked", Value::Null).await.expect_problem(504);
    holder.rollback().await.unwrap();
    assert_eq!(rest.refusals("hostile", "time_ms").await, 1);
    assert_eq!(rest.refusals("hostile", "cpu_ms").await, 0);
    system.end_broken();
}

/// No time is asserted: a machine that is busy with other tests says nothing about it. What was measured is printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_served_while_half_of_the_cores_spin() {
    let system = System::with().hostile().start().await;
    let healthy = system.admin().await;
    let alone = p99(&healthy).await;
    let spinners = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
    let load = Load::gets(spinners, &system.rest(), "/hostile/read/spin", 504);
    load.goes_on_for(spinners as u64).await;
    let beside = p99(&healthy).await;
    let (_, failures) = load.end().await;
    assert_eq!(failures, Vec::<String>::new());
    println!("p99 alone {alone:?}, beside {spinners} that spin {beside:?}");
    system.end_broken();
}

/// Of requests one after the other, each of which has to end well.
async fn p99(rest: &Rest) -> Duration {
    const REQUESTS: usize = 300;
    let mut spans = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let began = Instant::now();
        rest.get(&format!("/api/patients/{JOHN}")).await.expect(200);
        spans.push(began.elapsed());
    }
    spans.sort_unstable();
    spans[REQUESTS * 99 / 100]
}
