//! Calls straight through the engine, without NATS or a database around them: what a fresh instance costs, what limits and
//! host calls add, what loading costs, and what it costs to put a generation in the place of another.
//!
//! `./dev bench` runs it with the components of `ward build tests/hostile`, `ward build` and, if it is built, of
//! `examples/letters-js`. It wants `nats-server` on the PATH, since a host has a connection; nothing is sent on it.

#![expect(clippy::unwrap_used, reason = "what goes wrong here ends the measurement")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ward_config::Settings;
use ward_host::artifacts::Digest;
use ward_host::bindings::exports::ward::http::handler::Request;
use ward_host::bus::Bus;
use ward_host::calls::Call;
use ward_host::calls::client::Client;
use ward_host::capabilities::{CallState, HostServices, ServiceContext};
use ward_host::config::{Config, ServiceName};
use ward_host::engine::{Busy, Compiler, Effect, Engine, Invocation, Plugin, Returned, invoke, pool};
use ward_host::limits::Refusals;
use ward_host::memory::Allocator;
use ward_host::security::{KeyRing, Passwords, Tokens, generate_key};
use ward_host::store::{Work, WorkLimits};
use ward_telemetry::Trail;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};
use wasmtime::{InstanceAllocationStrategy, Store};

/// As the host has it.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const ROUNDS: usize = 5;
const LENGTH: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

const SERVICES: &str = r#"
    [services.hostile]
    grants = ["sql", "events", "call", "clock", "log"]
    publish = ["hostile.happened"]
    hear = ["hostile.happened"]
    call = ["clinic:hostile/acts"]
    [services.letters]
    grants = ["call", "context", "log"]
    call = ["clinic:patient/patients"]
"#;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().event_interval(8).build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let nats = Nats::start(folder.path());
    let bench = Bench::new(folder.path(), &nats.url).await;
    println!("### Straight through the engine\n");
    println!("| component | call | threads | calls/s | us of a thread a call |\n|---|---|---|---|---|");
    let hostile = bench.component("hostile").await.unwrap();
    let bare = Bare::new(&bench.config, &artifact("hostile").unwrap());
    row("hostile", "no host call, no parameters, no limits", |until| bare.clone().calls(until)).await;
    let acts = [("no host call, no parameters", Asked::Probe), ("a REST request", Asked::Act("nothing"))];
    for (what, asked) in acts.into_iter().chain([("a REST request, 100 host calls (clock)", Asked::Act("clock"))]) {
        row("hostile", what, |until| hostile.clone().calls(asked, until)).await;
    }
    if let Some(letters) = bench.component("letters").await {
        let calls = |until| letters.clone().calls(Asked::Probe, until);
        row("letters (JavaScript)", "no host call, no parameters", calls).await;
    }
    println!(
        "\nAn instance made, one call, the instance wiped; medians of {ROUNDS} rounds of {LENGTH:?}. Without limits it is wasmtime \
         with Ward's pool and nothing else: the difference to the row below is what bounds, metering and a call's own state cost.\n"
    );
    bench.loads().await;
    println!("### The pointer of a swap\n\nStored anew while two threads take it: {:.2} us.", swap_us(&hostile));
}

/// A server of our own, which ends with this process.
struct Nats {
    url: String,
    child: Child,
}

impl Nats {
    fn start(folder: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("nats-server");
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream", "--store_dir"]).arg(folder);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { url: format!("nats://127.0.0.1:{port}"), child }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Bench {
    config: Config,
    engine: Arc<Engine>,
    host: Arc<HostServices>,
    cache: PathBuf,
}

impl Bench {
    async fn new(folder: &Path, nats: &str) -> Self {
        let mut config = Config::from_settings(&Settings::layer(SERVICES, &Default::default()).unwrap()).unwrap();
        nats.clone_into(&mut config.nats.url);
        let keys = folder.join("keys");
        generate_key(&keys).unwrap();
        let host = HostServices {
            client: Client::new(Arc::new(Bus::connect(&config.nats, "bench").await.unwrap())),
            passwords: Passwords::new(&config.passwords).unwrap(),
            tokens: Arc::new(Tokens::new(&config.tokens, Arc::new(KeyRing::open(&keys).unwrap()))),
            busy: Busy::new(&config.engine).unwrap(),
            quarantine: config.quarantine.clone(),
        };
        let engine = Arc::new(Engine::new(&config.engine).unwrap());
        Self { config, engine, host: Arc::new(host), cache: folder.join("cache") }
    }

    fn compiler(&self, cache: &Path) -> Compiler {
        let ward = PathBuf::from(env!("CARGO_BIN_EXE_ward"));
        Compiler::new(self.engine.clone(), &self.config.engine, cache, ward).unwrap()
    }

    /// None when it is not built.
    async fn component(&self, service: &str) -> Option<Loaded> {
        let artifact = artifact(service)?;
        let compiled = self.compiler(&self.cache).load(Digest::of(&artifact).as_str(), &artifact).await.unwrap();
        let name = ServiceName::parse(service)?;
        let service = self.config.service(&name)?;
        let plugin = Plugin::load(&self.engine, &compiled, &name, &service.grants).await.unwrap();
        let context = ServiceContext::new(service, 1, &self.host, Arc::new(Refusals::default()));
        Some(Loaded { plugin: Arc::new(plugin), context: Arc::new(context), host: self.host.clone() })
    }

    /// From the artifact to what can be called: compiled anew each time, and from the cache.
    async fn loads(&self) {
        println!("### Loading\n\n| component | MB | compiled anew, ms | from the cache, ms |\n|---|---|---|---|");
        for service in ["hostile", "patient", "letters"] {
            let Some(artifact) = artifact(service) else { continue };
            let (mut cold, mut cached) = (Vec::new(), Vec::new());
            for round in 0..ROUNDS {
                let compiler = self.compiler(&self.cache.join(format!("{service}-{round}")));
                cold.push(load_ms(&compiler, &artifact).await);
                cached.push(load_ms(&compiler, &artifact).await);
            }
            let size = artifact.len() as f64 / 1e6;
            println!("| {service} | {size:.2} | {:.0} | {:.1} |", median(&mut cold), median(&mut cached));
        }
        println!("\nIn a process of its own, and checked before it is used.\n");
    }
}

async fn load_ms(compiler: &Compiler, artifact: &[u8]) -> f64 {
    let began = Instant::now();
    compiler.load(Digest::of(artifact).as_str(), artifact).await.unwrap();
    began.elapsed().as_secs_f64() * 1e3
}

/// What a call asks for.
#[derive(Clone, Copy)]
enum Asked {
    Probe,
    /// One of the acts of `tests/hostile`.
    Act(&'static str),
}

impl Asked {
    fn invocation(self) -> Invocation {
        let Self::Act(act) = self else { return Invocation::Probe };
        Invocation::Http(Arc::new(Request {
            operation: "read".to_owned(),
            method: "GET".to_owned(),
            path: format!("/hostile/read/{act}"),
            path_parameters: vec![("act".to_owned(), act.to_owned())],
            query: Vec::new(),
            headers: vec![("accept".to_owned(), "application/json".to_owned())],
            body: Vec::new(),
            principal: None,
        }))
    }
}

/// A component and what its calls share.
#[derive(Clone)]
struct Loaded {
    plugin: Arc<Plugin>,
    context: Arc<ServiceContext>,
    host: Arc<HostServices>,
}

/// `calls` makes calls until a moment, and says how many.
async fn row<F>(component: &str, what: &str, calls: impl Fn(Instant) -> F)
where
    F: Future<Output = u64> + Send + 'static,
{
    for threads in [1, 2] {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let until = Instant::now() + LENGTH;
            let callers = (0..threads).map(|_| tokio::spawn(calls(until)));
            let made = futures_util::future::join_all(callers).await.into_iter().map(Result::unwrap);
            rates.push(made.sum::<u64>() as f64 / LENGTH.as_secs_f64());
        }
        let rate = median(&mut rates);
        let cost = 1e6 * f64::from(threads) / rate;
        println!("| {component} | {what} | {threads} | {rate:.0} | {cost:.1} |");
    }
}

/// A component that may do what it likes, for as long as it likes, and can do nothing: all its imports are traps.
#[derive(Clone)]
struct Bare {
    pre: InstancePre<()>,
    probe: ComponentExportIndex,
}

impl Bare {
    fn new(config: &Config, artifact: &[u8]) -> Self {
        let mut settings = wasmtime::Config::new();
        settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(&config.engine)));
        let engine = wasmtime::Engine::new(&settings).unwrap();
        let component = Component::new(&engine, artifact).unwrap();
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component).unwrap();
        let (_, description) = component.get_export(None, "ward:component/description@0.1.0").unwrap();
        let (_, probe) = component.get_export(Some(&description), "probe").unwrap();
        Self { pre: linker.instantiate_pre(&component).unwrap(), probe }
    }

    async fn calls(self, until: Instant) -> u64 {
        let mut made = 0;
        while Instant::now() < until {
            let mut store = Store::new(self.pre.engine(), ());
            let instance = self.pre.instantiate_async(&mut store).await.unwrap();
            let probe = instance.get_typed_func::<(), (Result<(), String>,)>(&mut store, self.probe).unwrap();
            probe.call_async(&mut store, ()).await.unwrap().0.unwrap();
            made += 1;
        }
        made
    }
}

impl Loaded {
    /// Calls until the end; how many.
    async fn calls(self, asked: Asked, until: Instant) -> u64 {
        let mut made = 0;
        while Instant::now() < until {
            let deadline = Instant::now() + PATIENCE;
            let trail = Trail::default();
            let limits = WorkLimits::of(&self.context.limits, self.context.refusals.clone());
            let work = Work::new(None, Effect::Read, limits, None, trail.clone());
            let call = Call { id: "bench".to_owned(), principal: None, trail, deadline, idempotency_key: None };
            let state = CallState::new(call, self.context.clone(), self.host.clone(), work, None);
            let (returned, _) = invoke(&self.plugin, state, asked.invocation(), deadline).await;
            let good = match &returned {
                Ok(Returned::Http(response)) => response.status == 200,
                Ok(Returned::Checked(outcome)) => outcome.is_ok(),
                _ => false,
            };
            assert!(good, "a call failed");
            made += 1;
        }
        made
    }
}

/// The one pointer that a swap changes, while two threads take it as calls do.
fn swap_us(loaded: &Loaded) -> f64 {
    const SWAPS: u32 = 100_000;
    let current = ArcSwap::new(loaded.plugin.clone());
    let enough = AtomicBool::new(false);
    let took = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    std::hint::black_box(current.load_full());
                }
            });
        }
        let began = Instant::now();
        for _ in 0..SWAPS {
            std::hint::black_box(current.swap(loaded.plugin.clone()));
        }
        enough.store(true, Ordering::Relaxed);
        began.elapsed()
    });
    took.as_secs_f64() * 1e6 / f64::from(SWAPS)
}

fn artifact(service: &str) -> Option<Vec<u8>> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    std::fs::read(repository.join(format!("target/components/{service}.wasm"))).ok()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
