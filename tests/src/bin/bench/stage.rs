//! What all measurements need of a system.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use ward_tests::machine::repository;
use ward_tests::system::Plan;
use ward_tests::{System, within};

use super::processes::Process;

/// As `./dev up` would run it: release builds, code that was compiled before.
pub fn plan() -> Plan {
    System::with().set("WARD_HOST_CACHE_DIR", repository().join("target/bench-cache").display())
}

/// What cannot be measured is said before anything is started.
pub fn check() -> Result<(), String> {
    let bin = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = bin.parent().ok_or("the bench is nowhere")?;
    if cfg!(debug_assertions) {
        return Err("this is a debug build: cargo run --release -p ward-tests --bin bench".into());
    }
    let components = ["auth", "patient", "billing", "analytics"].map(|name| format!("components/{name}.wasm"));
    let components = components.iter().map(|name| repository().join("target").join(name));
    let needed = ["ward", "ward-bridge"].iter().map(|name| folder.join(name)).chain(components);
    match needed.into_iter().find(|path| !path.exists()) {
        None => Ok(()),
        Some(path) => Err(format!("{} is missing: ./dev bench builds everything", path.display())),
    }
}

/// Everybody who does the work. Those that are not there are left out.
pub fn processes(system: &System) -> Vec<Process> {
    let bridge = system.bridge.as_ref().and_then(|bridge| bridge.server.id());
    let kafka = system.kafka.as_ref().and_then(|kafka| kafka.server.id());
    let all = [
        ("host", system.hosts[0].server.id()),
        ("nats", system.nats.server.id()),
        ("postgres", system.postgres.server.id()),
        ("bridge", bridge),
        ("kafka", kafka),
        ("load", Some(std::process::id())),
    ];
    all.into_iter().filter_map(|(name, id)| Some(Process { name, id: id? })).collect()
}

/// Writers and readers of a service, as configured.
pub fn pool_sizes() -> (u32, u32) {
    let defaults = std::fs::read_to_string(repository().join("deploy/defaults.toml")).unwrap();
    let defaults: toml::Table = defaults.parse().unwrap();
    let size = |name| defaults["database"][name].as_integer().unwrap() as u32;
    (size("writers"), size("readers"))
}

pub async fn until_empty(table: &'static str, database: &PgPool) {
    within(Duration::from_secs(120), "the outbox is empty", async || {
        let count = format!("select count(*) from {table}");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(database).await.unwrap();
        (count == 0).then_some(())
    })
    .await;
}
