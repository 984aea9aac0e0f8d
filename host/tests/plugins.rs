//! Real components in the real engine: what is taken and what is refused, before anything runs.
//!
//! They are built by `ward build`, which `./dev test` does first.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use ward_config::Settings;
use ward_host::artifacts::Digest;
use ward_host::config::{Capability, Config, Grants, ServiceName};
use ward_host::engine::{CompileError, Compiler, Engine, LoadError, Plugin};

struct Bench {
    engine: Arc<Engine>,
    compiler: Compiler,
    cache: TempDir,
    config: Config,
}

impl Bench {
    fn new() -> Self {
        Self::with("")
    }

    /// With settings of its own over those that are deployed.
    fn with(settings: &str) -> Self {
        let text = std::fs::read_to_string(repository().join("deploy/ward.toml")).unwrap();
        let config =
            Config::from_settings(&Settings::layer(&format!("{text}\n{settings}"), &Default::default()).unwrap());
        let config = config.unwrap();
        let engine = Arc::new(Engine::new(&config.engine).unwrap());
        let cache = tempfile::tempdir().unwrap();
        let ward = PathBuf::from(env!("CARGO_BIN_EXE_ward"));
        let compiler = Compiler::new(engine.clone(), &config.engine, cache.path(), ward).unwrap();
        Self { engine, compiler, cache, config }
    }

    async fn load(&self, service: &str, grants: &Grants) -> Result<Plugin, LoadError> {
        let artifact = artifact(service);
        let component = self.compiler.load(Digest::of(&artifact).as_str(), &artifact).await.unwrap();
        Plugin::load(&self.engine, &component, &name(service), grants).await
    }

    fn granted(&self, service: &str) -> Grants {
        self.config.service(&name(service)).unwrap().grants.clone()
    }

    fn cached(&self, extension: &str) -> Vec<PathBuf> {
        let directory = std::fs::read_dir(self.cache.path()).unwrap().next().unwrap().unwrap().path();
        let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|one| one == extension)).collect()
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn artifact(service: &str) -> Vec<u8> {
    let path = repository().join("target/components").join(format!("{service}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; build it with `ward build`", path.display()))
}

fn name(service: &str) -> ServiceName {
    ServiceName::parse(service).unwrap()
}

#[tokio::test]
async fn what_is_deployed_is_granted() {
    let bench = Bench::new();
    for service in &bench.config.services {
        let plugin = bench.load(service.name.as_str(), &service.grants).await.unwrap();
        assert_eq!(plugin.description.name, service.name.as_str());
        assert!(!plugin.description.routes.is_empty());
        assert_eq!(plugin.unused_grants, Vec::<&str>::new(), "{}", service.name);
    }
}

#[tokio::test]
async fn each_grant_that_is_missing_is_named() {
    let bench = Bench::new();
    let all = bench.granted("patient");
    for capability in all.capabilities.iter().filter(|one| !matches!(one, Capability::Call)) {
        let mut grants = all.clone();
        grants.capabilities.remove(capability);
        let error = bench.load("patient", &grants).await.err().unwrap().to_string();
        assert!(error.contains(&format!("{:?}", capability.name())), "{capability:?}: {error}");
    }
    let error = bench.load("patient", &Grants { call: Default::default(), ..all.clone() }).await.err().unwrap();
    assert!(error.to_string().contains("\"clinic:billing/accounts\""), "{error}");
    let error = bench.load("patient", &Grants { publish: Default::default(), ..all }).await.err().unwrap();
    assert!(error.to_string().contains("patient.registered"), "{error}");
}

#[tokio::test]
async fn a_component_cannot_be_another_service() {
    let bench = Bench::new();
    let artifact = artifact("billing");
    let component = bench.compiler.load(Digest::of(&artifact).as_str(), &artifact).await.unwrap();
    let refused = Plugin::load(&bench.engine, &component, &name("analytics"), &bench.granted("billing")).await;
    let error = refused.err().unwrap().to_string();
    assert!(error.contains("\"billing\"") && error.contains("\"analytics\""), "{error}");
}

#[tokio::test]
async fn compiled_code_that_was_changed_is_compiled_again() {
    let bench = Bench::new();
    let grants = bench.granted("billing");
    bench.load("billing", &grants).await.unwrap();
    let [code] = bench.cached("cwasm").try_into().unwrap();
    let good = std::fs::read(&code).unwrap();
    std::fs::write(&code, &good[..good.len() / 2]).unwrap();
    bench.load("billing", &grants).await.unwrap();
    assert_eq!(std::fs::read(&code).unwrap(), good);
    assert!(
        bench.cached("wasm").is_empty() && bench.cached("out").is_empty() && bench.cached("new").is_empty(),
        "nothing is left lying about"
    );
}

#[tokio::test]
async fn what_is_no_component_is_refused_with_the_reason() {
    let bench = Bench::new();
    let whole = artifact("billing");
    for artifact in [b"garbage".as_slice(), &whole[..whole.len() / 2], b""] {
        let refused = bench.compiler.load(Digest::of(artifact).as_str(), artifact).await;
        assert!(matches!(refused, Err(CompileError::Refused(reason)) if !reason.is_empty()));
    }
}

#[tokio::test]
async fn the_compiler_cannot_take_more_memory_than_it_is_given() {
    let bench = Bench::with("[engine]\ncompile_memory_mb = 1");
    let artifact = artifact("patient");
    let refused = bench.compiler.load(Digest::of(&artifact).as_str(), &artifact).await;
    assert!(matches!(refused, Err(CompileError::Refused(_))), "{:?}", refused.err());
}
