//! Compiling: in a child process with limits on memory and time, once per digest, kept on disk.
//!
//! Compiled code is machine code that the host runs as its own. So a file from the cache is loaded only if its checksum is the
//! one beside it, and the cache belongs to the host's user alone. Deleting it costs time, nothing else.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;
use wasmtime::component::Component;

use super::Engine;
use crate::config;

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
    directory: PathBuf,
    config: config::Engine,
    executable: PathBuf,
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
        use std::os::unix::fs::DirBuilderExt;

        // Code of another version of the engine, or of other settings, is another file.
        let mut hasher = DefaultHasher::new();
        engine.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        let directory = cache.join(format!("{:016x}", hasher.finish()));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|source| CompileError::Cache { path: directory.clone(), source })?;
        Ok(Self { engine, directory, config: config.clone(), executable })
    }

    /// The component of an artifact; `digest` is its SHA-256 in hexadecimal.
    pub async fn load(&self, digest: &str, artifact: &[u8]) -> Result<Component, CompileError> {
        let path = self.directory.join(format!("{digest}.cwasm"));
        if !is_intact(&path) {
            self.compile(digest, artifact, &path).await?;
        }
        deserialize(&self.engine, &path)
    }

    async fn compile(&self, digest: &str, artifact: &[u8], path: &Path) -> Result<(), CompileError> {
        let cache = |source| CompileError::Cache { path: self.directory.clone(), source };
        let unique = uuid::Uuid::new_v4();
        let input = self.directory.join(format!("{digest}.{unique}.wasm"));
        let output = self.directory.join(format!("{digest}.{unique}.new"));
        tokio::fs::write(&input, artifact).await.map_err(cache)?;
        let outcome = self.run(&input, &output).await;
        let _ = tokio::fs::remove_file(&input).await;
        outcome?;
        let compiled = tokio::fs::read(&output).await.map_err(cache)?;
        // The checksum first: a compiled file without one is compiled again, one with a wrong one as well.
        tokio::fs::write(checksum_path(path), Sha256::digest(&compiled)).await.map_err(cache)?;
        tokio::fs::rename(&output, path).await.map_err(cache)
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

fn checksum_path(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

fn is_intact(path: &Path) -> bool {
    let both = std::fs::read(path).ok().zip(std::fs::read(checksum_path(path)).ok());
    both.is_some_and(|(code, checksum)| Sha256::digest(&code)[..] == checksum)
}

#[expect(unsafe_code, reason = "the one place where compiled code becomes the host's; see the module's header")]
fn deserialize(engine: &Engine, path: &Path) -> Result<Component, CompileError> {
    // SAFETY: the file was written by our own compiler into a directory that only we can write to, and its checksum holds.
    unsafe { Component::deserialize_file(&engine.wasmtime, path) }.map_err(CompileError::Load)
}

/// The child's side: takes the limit upon itself, compiles, writes.
pub fn compile_here(config: &config::Engine, input: &Path, output: &Path, memory_mb: u64) -> anyhow::Result<()> {
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
