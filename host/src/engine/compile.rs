//! Compiling: in a child process with limits on memory and time, once per digest, kept on disk (`cache`).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::Command;
use wasmtime::component::Component;

use super::Engine;
use super::cache::{Cache, Lease, Turn};
use crate::artifacts::Lines;
use crate::config;

/// Between two looks whether somebody else has compiled it.
const PAUSE: Duration = Duration::from_millis(20);
/// By how much the compiler stands back (`nice`): a thread that serves gets three quarters of a core beside it, and a deployment under load does not stand still.
const NICE: i32 = 5;

#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("the cache directory {path} cannot be used: {source}")]
    Cache { path: PathBuf, source: std::io::Error },
    #[error("compiling took longer than engine.compile_timeout_s ({0} s)")]
    TimedOut(u64),
    #[error("it does not compile: {0}")]
    Refused(String),
    #[error("the compiled code cannot be loaded: {0}")]
    Load(wasmtime::Error),
}

pub struct Compiler {
    engine: Arc<Engine>,
    cache: Arc<Cache>,
    config: config::Engine,
    executable: PathBuf,
}

/// The code of an artifact, ready to be linked. While it lives, it stays in the cache.
#[derive(Clone)]
pub struct Compiled {
    pub component: Component,
    /// Of the artifact's source.
    pub(super) lines: Arc<Lines>,
    pub(super) lease: Arc<Lease>,
}

impl Compiler {
    /// `cache` is made if it is missing. `executable` is run as `EXECUTABLE compile IN OUT`.
    pub fn new(
        engine: Arc<Engine>,
        config: &config::Engine,
        cache: &Path,
        executable: PathBuf,
    ) -> Result<Self, CompileError> {
        use std::hash::{DefaultHasher, Hash, Hasher};

        // Code of another version of the engine, or of other settings, is other code.
        let mut hasher = DefaultHasher::new();
        engine.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        let cache = Cache::open(cache, hasher.finish(), config.cache_mb << 20)
            .map_err(|source| CompileError::Cache { path: cache.to_owned(), source })?;
        Ok(Self { engine, cache: Arc::new(cache), config: config.clone(), executable })
    }

    /// The component of an artifact; `digest` is its SHA-256 in hexadecimal. Whoever asks for the same digest meanwhile, here or
    /// in another process with the same cache, waits for the one who compiles.
    pub async fn load(&self, digest: &str, artifact: &[u8]) -> Result<Compiled, CompileError> {
        self.cache.ensure().map_err(|error| self.unusable(error))?;
        let lines = Arc::new(Lines::of(artifact));
        if let Some(compiled) = self.cached(digest, &lines).await? {
            return Ok(compiled);
        }
        let _turn = self.turn(digest).await?;
        if let Some(compiled) = self.cached(digest, &lines).await? {
            return Ok(compiled);
        }
        self.compile(digest, artifact).await?;
        let compiled = self.cached(digest, &lines).await?;
        let cache = self.cache.clone();
        let _ = tokio::task::spawn_blocking(move || cache.shrink()).await;
        compiled.ok_or_else(|| self.unusable(std::io::Error::other("somebody deleted the code at once")))
    }

    /// Reading and checking some MiB is nothing for a thread that answers calls.
    async fn cached(&self, digest: &str, lines: &Arc<Lines>) -> Result<Option<Compiled>, CompileError> {
        let (cache, engine, digest) = (self.cache.clone(), self.engine.clone(), digest.to_owned());
        let lines = lines.clone();
        let loading = tokio::task::spawn_blocking(move || match cache.get(&digest) {
            Ok(None) => Ok(None),
            Ok(Some((code, lease))) => {
                Ok(Some(Compiled { component: deserialize(&engine, &code)?, lines, lease: Arc::new(lease) }))
            }
            Err(source) => Err(CompileError::Cache { path: cache.directory().to_owned(), source }),
        });
        loading.await.unwrap_or_else(|_| Err(self.unusable(std::io::Error::other("reading it was given up"))))
    }

    /// Waits while somebody else compiles the digest. Who takes longer than one may does not keep others from it.
    async fn turn(&self, digest: &str) -> Result<Option<Turn>, CompileError> {
        let until = Instant::now() + Duration::from_secs(self.config.compile_timeout_s);
        loop {
            match self.cache.try_turn(digest).map_err(|error| self.unusable(error))? {
                None if Instant::now() < until => tokio::time::sleep(PAUSE).await,
                turn => return Ok(turn),
            }
        }
    }

    async fn compile(&self, digest: &str, artifact: &[u8]) -> Result<(), CompileError> {
        let (input, output) = (self.cache.scratch(digest, "wasm"), self.cache.scratch(digest, "out"));
        let outcome = self.compile_files(digest, artifact, &input, &output).await;
        for file in [input, output] {
            let _ = tokio::fs::remove_file(file).await;
        }
        outcome
    }

    async fn compile_files(
        &self,
        digest: &str,
        artifact: &[u8],
        input: &Path,
        output: &Path,
    ) -> Result<(), CompileError> {
        tokio::fs::write(input, artifact).await.map_err(|error| self.unusable(error))?;
        let began = Instant::now();
        self.run(input, output).await?;
        tracing::info!(digest, took_ms = began.elapsed().as_millis(), "compiled an artifact");
        let code = tokio::fs::read(output).await.map_err(|error| self.unusable(error))?;
        self.cache.put(digest, &code).map_err(|error| self.unusable(error))
    }

    fn unusable(&self, source: std::io::Error) -> CompileError {
        CompileError::Cache { path: self.cache.directory().to_owned(), source }
    }

    async fn run(&self, input: &Path, output: &Path) -> Result<(), CompileError> {
        let mut command = Command::new(&self.executable);
        command.arg("compile").arg(input).arg(output).arg(self.config.compile_memory_mb.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let limit = Duration::from_secs(self.config.compile_timeout_s);
        let output = tokio::time::timeout(limit, command.output())
            .await
            .map_err(|_| CompileError::TimedOut(self.config.compile_timeout_s))?
            .map_err(|source| CompileError::Cache { path: self.executable.clone(), source })?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let text = text.trim();
        let reason =
            if text.is_empty() { format!("the compiler ended with {}", output.status) } else { text.to_owned() };
        Err(CompileError::Refused(reason))
    }
}

#[expect(unsafe_code, reason = "the one place where compiled code becomes the host's; see the header of `cache`")]
fn deserialize(engine: &Engine, code: &[u8]) -> Result<Component, CompileError> {
    // SAFETY: our own compiler wrote it into a directory that only we can write to, and its checksum holds.
    unsafe { Component::deserialize(&engine.wasmtime, code) }.map_err(CompileError::Load)
}

/// The child's side: stands back behind what serves, takes the limit upon itself, compiles, writes.
pub fn compile_here(config: &config::Engine, input: &Path, output: &Path, memory_mb: u64) -> anyhow::Result<()> {
    rustix::process::nice(NICE)?;
    // The engine reserves addresses for its pool before the limit counts; the compiler itself needs none of them.
    let engine = Engine::compiler(config)?;
    let artifact = std::fs::read(input)?;
    let used = address_space_in_use()?;
    let limit = used + (memory_mb << 20);
    rlimit::setrlimit(rlimit::Resource::AS, limit, limit)?;
    let compiled = engine.precompile_component(&artifact)?;
    std::fs::write(output, compiled)?;
    Ok(())
}

/// Bytes of this process's address space, from /proc.
fn address_space_in_use() -> anyhow::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split_whitespace().next().unwrap_or("0").parse()?;
    Ok(pages * 4096)
}
