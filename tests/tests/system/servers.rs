//! The harness itself: its servers come up, come back with their data, and end with the test.

use async_nats::jetstream;
use ward_tests::kafka::Kafka;
use ward_tests::nats::Nats;
use ward_tests::postgres::Postgres;

#[tokio::test]
async fn postgres_runs_with_the_deployed_configuration() {
    let postgres = Postgres::start().await;
    let database = postgres.database("postgres").await;
    let setting = "select current_setting('fsync') || current_setting('log_error_verbosity')";
    let setting: String = sqlx::query_scalar(setting).fetch_one(&database).await.unwrap();
    assert_eq!(setting, "onterse");
}

#[tokio::test]
async fn nats_keeps_acknowledged_messages_over_a_kill() {
    let mut nats = Nats::start().await;
    let context = jetstream::new(nats.client().await);
    let config = jetstream::stream::Config { name: "KEPT".into(), subjects: vec!["kept".into()], ..Default::default() };
    context.create_stream(config).await.unwrap();
    context.publish("kept", "one".into()).await.unwrap().await.unwrap();
    nats.server.kill();
    nats.start_again().await;
    let context = jetstream::new(nats.client().await);
    let stream = context.get_stream("KEPT").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 1);
}

#[tokio::test]
async fn kafka_comes_back_after_a_kill() {
    let mut kafka = Kafka::start().await;
    kafka.server.kill();
    kafka.start_again().await;
}

#[tokio::test]
#[should_panic(expected = "ended")]
async fn a_server_that_ends_at_once_is_reported() {
    let mut postgres = Postgres::start().await;
    postgres.server.kill();
    // The dead server's lock file is left, and its port is taken by nobody: it is the changed data that stops it.
    let broken = postgres.server.directory().join("data/PG_VERSION");
    std::fs::write(broken, "1").unwrap();
    postgres.server.start_again();
    postgres.server.until("takes connections", async || false).await;
}
