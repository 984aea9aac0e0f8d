//! A PostgreSQL cluster of a test, with the configuration that is deployed. It refuses root: as root it runs as `postgres`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::process::Signal;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};
use tempfile::TempDir;

use crate::machine::{directory, open_to_all, port, repository, tool};
use crate::server::{Recipe, Server, User};

pub struct Postgres {
    pub server: Server,
    port: u16,
    _directory: TempDir,
}

impl Postgres {
    pub async fn start() -> Self {
        let (directory, port) = (directory("postgres-"), port());
        let data = directory.path().join("data");
        run(Command::new("cp").arg("-a").arg(template()).arg(&data));
        let user = (!can_run_postgres()).then(other_user);
        let recipe = Recipe::new("postgres", postgres_tool("postgres"), directory.path()).arguments([
            "-D",
            data.to_str().unwrap(),
            "-p",
            &port.to_string(),
        ]);
        let recipe = Recipe { user, memory: Some(memory()), end: Signal::QUIT, ..recipe };
        let mut server = Server::start(recipe);
        let url = url(port, "postgres");
        server.until("takes connections", async || PgConnection::connect(&url).await.is_ok()).await;
        Self { server, port, _directory: directory }
    }

    /// For an administrator, as Ward is configured.
    pub fn url(&self) -> String {
        self.url_by(self.port)
    }

    /// The same, by another port that leads to it.
    pub fn url_by(&self, port: u16) -> String {
        url(port, "postgres")
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Connections to a service's database that may do anything.
    pub async fn database(&self, name: &str) -> PgPool {
        PgPoolOptions::new()
            .max_connections(2)
            .connect(&url(self.port, name))
            .await
            .unwrap_or_else(|error| panic!("cannot connect to the database {name}: {error}"))
    }
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://postgres:postgres@127.0.0.1:{port}/{database}")
}

/// The bound that is deployed.
fn memory() -> u64 {
    let unit = std::fs::read_to_string(repository().join("deploy/postgres/memory.conf")).unwrap();
    unit.lines().find_map(|line| line.strip_prefix("LimitDATA=")).unwrap().parse().unwrap()
}

/// A cluster that was made and never started. Each test copies it, which takes a tenth of the time.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, data) = TEMPLATE.get_or_init(|| {
        let directory = directory("template-");
        let data = directory.path().join("data");
        let password = directory.path().join("password");
        std::fs::write(&password, "postgres").unwrap();
        open_to_all(&password);
        let recipe = Recipe::new("initdb", postgres_tool("initdb"), directory.path());
        let recipe = match can_run_postgres() {
            true => recipe,
            false => {
                run(Command::new("chown").arg("-R").arg(other_user().name).arg(directory.path()));
                Recipe { user: Some(other_user()), ..recipe }
            }
        };
        run(&mut recipe
            .arguments(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "-U", "postgres"])
            .argument(format!("--pwfile={}", password.display()))
            .argument(format!("--pgdata={}", data.display()))
            .command());
        let mut configuration = std::fs::read_to_string(data.join("postgresql.conf")).unwrap();
        configuration.push_str(&std::fs::read_to_string(repository().join("deploy/postgres/postgresql.conf")).unwrap());
        std::fs::write(data.join("postgresql.conf"), configuration).unwrap();
        (directory, data)
    });
    data
}

fn can_run_postgres() -> bool {
    !rustix::process::getuid().is_root()
}

fn other_user() -> User {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line: Vec<&str> =
            users.lines().map(|line| line.split(':').collect()).find(|line: &Vec<&str>| line[0] == name)?;
        Some(User { name: name.to_owned(), group: line[3].to_owned() })
    };
    find("postgres").or_else(|| find("nobody")).unwrap()
}

fn postgres_tool(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    tool(name, &folders)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
