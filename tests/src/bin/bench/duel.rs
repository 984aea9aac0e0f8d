//! Ward and the yardstick side by side, on one PostgreSQL and one nats-server, each with a database of its own.
//!
//! Ward's host runs the services `auth` and `patient` alone: with the others each registration would be followed by
//! three more transactions that the yardstick does not have. What those cost is measured in `whole`.

use std::time::Duration;

use sqlx::PgPool;
use ward_tests::System;
use ward_tests::clinic::JOHN;
use ward_tests::machine::port;
use ward_tests::server::{Recipe, Server};

use super::contest::{COLUMNS, Contender, Contest};
use super::http::{self, Connection};
use super::native;
use super::options::{Extent, Options, Part};
use super::processes::Process;
use super::report::Section;
use super::requests::{self, Requests};
use super::{pages, stage};

pub struct Duel {
    pub system: System,
    pub token: String,
    pub processes: Vec<Process>,
    /// Without and with a relay.
    natives: [(Server, String); 2],
    databases: Vec<PgPool>,
}

impl Duel {
    pub async fn start() -> Self {
        let plan = stage::plan().split(&[&["auth", "patient"]]);
        let system = plan.start().await;
        let token = system.admin().await.token().unwrap().to_owned();
        let keys = system.rest().get("/.well-known/jwks.json").await.expect(200).text();
        let wards = system.database("patient").await;
        let (mut databases, mut natives) = (vec![wards.clone()], Vec::new());
        for (name, relay) in [("native", false), ("native_relay", true)] {
            let own = database(&system, name).await;
            native::prepare(&own, &wards).await;
            natives.push(server(&system, name, &keys, relay).await);
            databases.push(own);
        }
        sqlx::query("vacuum analyze").execute(&wards).await.unwrap();
        let natives: [(Server, String); 2] = natives.try_into().ok().unwrap();
        let mut processes = stage::processes(&system);
        processes.push(Process { name: "native", id: natives[0].0.id().unwrap() });
        processes.push(Process { name: "native+relay", id: natives[1].0.id().unwrap() });
        Self { system, token, processes, natives, databases }
    }

    pub async fn run(self, options: &Options, sections: &mut Vec<Section>) {
        let extent = options.extent();
        let note = "Requests over kept connections, in turns; medians, and in brackets the range over the rounds. The \
                    last column compares neighbours in time. `native+relay` also moves its events to JetStream, as Ward does.";
        let mut section = Section::new("REST", note, &COLUMNS);
        self.compare_answers().await;
        for (part, work, path) in [
            (Part::Read, "read by key", format!("/api/patients/{JOHN}")),
            (Part::List, "list of 15", "/api/patients?limit=15".to_owned()),
        ] {
            if options.wants(part) {
                let requests = requests::same(requests::get(&path, &self.token));
                self.contest(work, &requests, 200, 1, &extent, &mut section).await;
            }
        }
        if options.wants(Part::Register) {
            let requests = requests::registrations(&self.token);
            self.contest("registration", &requests, 201, 2, &extent, &mut section).await;
        }
        if options.wants(Part::Login) {
            self.login(&extent, &mut section).await;
        }
        if !section.rows.is_empty() {
            sections.push(section);
        }
        if options.wants(Part::Pages) {
            sections.push(pages::measure(&self, &extent).await);
        }
        self.system.end_broken();
    }

    pub fn address(&self) -> &str {
        self.system.hosts[0].address()
    }

    /// Against the first natives.
    async fn contest(
        &self,
        work: &'static str,
        requests: &Requests,
        status: u16,
        natives: usize,
        extent: &Extent,
        section: &mut Section,
    ) {
        let contender =
            |name, address: &str| Contender { name, address: address.to_owned(), requests: requests.clone(), status };
        let names = ["native", "native+relay"];
        let natives = names.iter().zip(&self.natives).take(natives);
        let mut contenders: Vec<Contender> = natives.map(|(name, (_, address))| contender(name, address)).collect();
        contenders.push(contender("ward", self.address()));
        let contest = Contest { work, contenders: &contenders, processes: &self.processes, target: target_of(work) };
        contest.run(extent, section, async || self.settle().await).await;
    }

    async fn login(&self, extent: &Extent, section: &mut Section) {
        let ward =
            Contender { name: "ward", address: self.address().to_owned(), requests: requests::login(), status: 200 };
        let contest = Contest { work: "login", contenders: &[ward], processes: &self.processes, target: |_| None };
        // One takes 0.3 s.
        let extent = Extent { length: extent.length.max(Duration::from_secs(3)), rounds: 1, ..extent.clone() };
        contest.run(&extent, section, async || {}).await;
    }

    /// Waits until the outboxes are empty; that of the native without a relay is emptied.
    pub async fn settle(&self) {
        sqlx::query("truncate outbox").execute(&self.databases[1]).await.unwrap();
        stage::until_empty("ward.outbox", &self.databases[0]).await;
        stage::until_empty("outbox", &self.databases[2]).await;
    }

    /// A yardstick that answers something else would be none.
    async fn compare_answers(&self) {
        for path in [format!("/api/patients/{JOHN}"), "/api/patients?limit=15".into(), "/api/patients?limit=3".into()] {
            let request = requests::get(&path, &self.token);
            let ward = answer(self.address(), &request).await;
            for (_, address) in &self.natives {
                assert_eq!(answer(address, &request).await, ward, "{path}");
            }
        }
        let mut request = Vec::new();
        requests::registrations(&self.token)(&mut request);
        for address in [self.address(), &self.natives[0].1, &self.natives[1].1] {
            let [first, again] =
                [http::once(address, &request).await.unwrap(), http::once(address, &request).await.unwrap()];
            assert_eq!(
                (first.0, &first),
                (201, &again),
                "{address} does not repeat itself: {}",
                String::from_utf8_lossy(&again.1)
            );
        }
    }
}

fn target_of(work: &str) -> fn(usize) -> Option<f64> {
    match work {
        "read by key" | "registration" => |connections| (connections == 32).then_some(0.5),
        _ => |_| None,
    }
}

/// Body, and the headers that have to be the same.
async fn answer(address: &str, request: &[u8]) -> (u16, String, Vec<Option<String>>) {
    let mut connection = Connection::open(address).await.unwrap();
    let answer = connection.exchange(request).await.unwrap();
    let names = ["content-type", "etag", "link", "cache-control", "x-content-type-options", "content-length"];
    let headers = names.map(|name| answer.header(name).map(str::to_owned));
    (answer.status, String::from_utf8_lossy(answer.body).into_owned(), headers.to_vec())
}

async fn database(system: &System, name: &str) -> PgPool {
    let admin = system.postgres.database("postgres").await;
    sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&admin).await.unwrap();
    system.postgres.database(name).await
}

async fn server(system: &System, name: &str, keys: &str, relay: bool) -> (Server, String) {
    let (writers, readers) = stage::pool_sizes();
    let address = format!("127.0.0.1:{}", port());
    let database = format!("{}/{name}", system.postgres.url().rsplit_once('/').unwrap().0);
    let recipe = Recipe::new(name, std::env::current_exe().unwrap(), system.folder())
        .arguments(["native", "--listen", &address, "--database", &database, "--keys", keys])
        .arguments(["--writers", &writers.to_string(), "--readers", &readers.to_string()]);
    let recipe = if relay { recipe.arguments(["--nats", &system.nats.url()]) } else { recipe };
    let mut server = Server::start(recipe);
    server.until("answers", async || http::once(&address, &requests::plain("/")).await.is_ok()).await;
    (server, address)
}
