//! Ward's own processes: hosts, bridges, and the operator's commands.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::eventually;
use crate::machine::{directory, port, program, repository};
use crate::rest::Rest;
use crate::server::{Recipe, Server, spawn};

/// What all processes of a system are told.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: Vec<(String, String)>,
    /// By service, instead of those that its configuration has.
    limits: Vec<(String, toml::Table)>,
}

impl Environment {
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn with_limits(mut self, service: &str, limits: &str) -> Self {
        self.limits.push((service.to_owned(), limits.parse().unwrap()));
        self
    }

    fn configure(&self, configuration: &str) -> String {
        let mut table: toml::Table = configuration.parse().unwrap();
        for (service, limits) in &self.limits {
            if let Some(toml::Value::Table(service)) = table["services"].get_mut(service) {
                service.insert("limits".to_owned(), limits.clone().into());
            }
        }
        table.to_string()
    }
}

/// What the misbehaving component of `tests/hostile` is granted, with limits that a test reaches soon.
const HOSTILE: &str = r#"
    grants = ["sql", "events", "call", "clock", "log"]
    publish = ["hostile.happened"]
    hear = ["hostile.happened"]
    call = ["clinic:hostile/acts"]
    limits = { time_ms = 1000, concurrency = 4, queue = 2, memory_mb = 16 }
"#;

/// What the component of `examples/letters-js` is granted, as its README says.
const LETTERS: &str = r#"
    grants = ["call", "context", "log"]
    call = ["clinic:patient/patients"]
"#;

/// The configuration that is deployed, with these services of it; `hostile` and `letters` may be among them.
/// Placements are services with their `hosts`.
pub fn configuration(services: &[&str], placements: &[(&str, String)]) -> String {
    let text = std::fs::read_to_string(repository().join("deploy/ward.toml")).unwrap();
    let mut table: toml::Table = text.parse().unwrap();
    let toml::Value::Table(all) = &mut table["services"] else { panic!("deploy/ward.toml has no services") };
    all.insert("hostile".to_owned(), toml::from_str(HOSTILE).unwrap());
    all.insert("letters".to_owned(), toml::from_str(LETTERS).unwrap());
    all.retain(|name, _| services.contains(&name));
    assert_eq!(all.len(), services.len(), "not all of {services:?} are known");
    for (service, hosts) in placements {
        let hosts: toml::Table = format!("hosts = {hosts}").parse().unwrap();
        if let Some(toml::Value::Table(service)) = all.get_mut(*service) {
            service.extend(hosts);
        }
    }
    table.to_string()
}

/// The names of all services in the configuration that is deployed.
pub fn services() -> Vec<&'static str> {
    vec!["auth", "patient", "billing", "analytics"]
}

/// A host with its own configuration file and gateway.
pub struct Host {
    pub server: Server,
    pub services: Vec<&'static str>,
    address: String,
}

impl Host {
    /// Returns when its gateway answers; the services may still be missing.
    pub async fn start(
        name: &str,
        services: &[&'static str],
        placements: &[(&str, String)],
        environment: &Environment,
        folder: &Path,
    ) -> Self {
        let address = format!("127.0.0.1:{}", port());
        let environment = environment
            .clone()
            .with("WARD_HOST_NAME", name)
            .with("WARD_GATEWAY_LISTEN", &address)
            .with("WARD_GATEWAY_PUBLIC_URL", format!("http://{address}"));
        let recipe = ward(name, &["host"], &configuration(services, placements), &environment, folder);
        let mut host = Self { server: Server::start(recipe), services: services.to_vec(), address };
        host.until_alive().await;
        host
    }

    /// After a kill or a stop.
    pub async fn start_again(&mut self) {
        self.server.start_again();
        self.until_alive().await;
    }

    /// Starts another process with the same settings, which takes the gateway over. Returns when the one before has ended.
    pub async fn replace(&mut self) -> ExitStatus {
        let successor = self.server.twin();
        let mut before = std::mem::replace(&mut self.server, successor);
        before.until_ended(Duration::from_secs(25)).await
    }

    /// Where its gateway listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where clients reach its gateway.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of this host's gateway without a token.
    pub fn rest(&self) -> Rest {
        Rest::new(self.url())
    }

    /// Waits until everything runs that ran before, on any host.
    pub async fn until_ready(&mut self) {
        let rest = self.rest();
        self.server
            .until("is ready", async || rest.try_get("/readyz").await.is_some_and(|answer| answer.status == 200))
            .await;
    }

    /// SIGTERM: it finishes what is under way.
    pub async fn stop(&mut self) -> ExitStatus {
        self.server.stop(Signal::TERM, Duration::from_secs(25)).await
    }

    async fn until_alive(&mut self) {
        let rest = self.rest();
        self.server
            .until("answers", async || rest.try_get("/healthz").await.is_some_and(|answer| answer.status == 200))
            .await;
    }
}

/// The bridge.
pub struct Bridge {
    pub server: Server,
    grpc: String,
    listen: String,
    status: Rest,
}

impl Bridge {
    pub async fn start(environment: &Environment, folder: &Path) -> Self {
        let (listen, grpc) = (format!("127.0.0.1:{}", port()), format!("127.0.0.1:{}", port()));
        let environment =
            environment.clone().with("WARD_BRIDGE_LISTEN", &listen).with("WARD_BRIDGE_GRPC_LISTEN", &grpc);
        let file = write(folder, "bridge", &configuration(&services(), &[]));
        let recipe = Recipe::new("bridge", program("ward-bridge"), folder).argument("--config").argument(file);
        let recipe = Recipe { environment: environment.variables, ..recipe };
        let status = Rest::new(format!("http://{listen}"));
        let mut bridge = Self { server: Server::start(recipe), grpc, listen, status };
        bridge.until_ready().await;
        bridge
    }

    pub async fn start_again(&mut self) {
        self.server.start_again();
        self.until_ready().await;
    }

    /// Where gRPC is served.
    pub fn grpc(&self) -> &str {
        &self.grpc
    }

    /// Where it says how it is.
    pub fn address(&self) -> &str {
        &self.listen
    }

    pub async fn status(&self) -> Value {
        eventually("the bridge's status", async || Some(self.status.try_get("/status").await?.json())).await
    }

    /// Where its Kafka is, also when it is inside.
    pub async fn brokers(&self) -> String {
        let status = self.status().await;
        status["kafka"]["brokers"].as_str().expect("the status names the brokers").to_owned()
    }

    /// True when every event of the stream is on Kafka.
    pub async fn is_settled(&self) -> bool {
        let kafka = &self.status().await["kafka"];
        kafka["lag"] == 0 && kafka["in_flight"] == 0 && kafka["mirror"] == "running"
    }

    pub async fn until_ready(&mut self) {
        let rest = self.status.clone();
        self.server
            .until("is ready", async || rest.try_get("/readyz").await.is_some_and(|answer| answer.status == 200))
            .await;
    }
}

/// Runs a command of the operator to its end, with `input` on its standard input.
pub async fn command(
    arguments: &[&str],
    input: &str,
    services: &[&str],
    environment: &Environment,
    folder: &Path,
) -> Output {
    let name = crate::unique("command");
    let recipe = ward(&name, arguments, &configuration(services, &[]), environment, folder);
    let input = input.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut command = recipe.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(command);
        // A command that does not read it has ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap()
}

/// Starts a command that goes on until it is stopped; its log has all that it says.
pub fn running(arguments: &[&str], services: &[&str], environment: &Environment, folder: &Path) -> Server {
    let name = crate::unique("command");
    Server::start(ward(&name, arguments, &configuration(services, &[]), environment, folder))
}

/// Runs a script of bash in `here`, with the operator's environment.
pub async fn shell(script: &str, services: &[&str], environment: &Environment, here: &Path, folder: &Path) -> Output {
    let file = write(folder, "shell", &configuration(services, &[]));
    let tools = [program("ward").parent().unwrap().to_owned(), repository().join(".ward/tools")];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(tools.into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(here).env("PATH", path).env("WARD_CONFIG", file);
    command.envs(environment.variables.iter().map(|(name, value)| (name, value)));
    // What cargo tells this test is not about what the script builds.
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG") || name.starts_with("CARGO_MANIFEST"))
    {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    tokio::task::spawn_blocking(move || spawn(command).wait_with_output().unwrap()).await.unwrap()
}

/// What a command said, for messages.
pub fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{}\n{out}{err}", output.status)
}

/// A directory with what all processes of a system share: secrets and keys.
pub fn folder() -> TempDir {
    directory("ward-")
}

fn ward(name: &str, arguments: &[&str], configuration: &str, environment: &Environment, folder: &Path) -> Recipe {
    let file = write(folder, name, &environment.configure(configuration));
    let (command, rest) = arguments.split_first().unwrap();
    let recipe = Recipe::new(name, program("ward"), folder)
        .arguments([*command, "--config"])
        .argument(file)
        .arguments(rest.iter().copied());
    Recipe { environment: environment.variables.clone(), ..recipe }
}

fn write(folder: &Path, name: &str, configuration: &str) -> PathBuf {
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, configuration).unwrap();
    file
}
