//! Looks at artifacts that nobody trusts yet, without harm to who looks.
//!
//! They are compiled under the limits of a host, in a directory that is made for it and deleted afterwards: the cache of a host may
//! belong to another user, and code from there would be run as whoever looks.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::Digest;
use crate::config::{self, Grants, ServiceName};
use crate::engine::{CompileError, Compiled, Compiler, Engine, LoadError, Look, Plugin};

#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error("cannot make a directory to compile in: {0}")]
    Directory(std::io::Error),
    #[error("the engine does not start: {0}")]
    Engine(String),
    #[error(transparent)]
    Compile(#[from] CompileError),
}

pub struct Inspector {
    engine: Arc<Engine>,
    compiler: Compiler,
    _directory: TempDir,
}

/// An artifact that compiles.
pub struct Inspected {
    pub look: Look,
    compiled: Compiled,
}

impl Inspector {
    pub fn new(config: &config::Engine) -> Result<Self, InspectError> {
        let directory = tempfile::tempdir().map_err(InspectError::Directory)?;
        // Nothing is called here, so there is no need of more instances.
        let config = config::Engine { instances: 4, ..config.clone() };
        let engine = Arc::new(Engine::new(&config).map_err(|error| InspectError::Engine(format!("{error:#}")))?);
        let executable = PathBuf::from("/proc/self/exe");
        let compiler = Compiler::new(engine.clone(), &config, directory.path(), executable)?;
        Ok(Self { engine, compiler, _directory: directory })
    }

    pub async fn inspect(&self, digest: &Digest, artifact: &[u8]) -> Result<Inspected, InspectError> {
        let compiled = self.compiler.load(digest.as_str(), artifact).await?;
        Ok(Inspected { look: Look::at(&self.engine, &compiled).await, compiled })
    }

    /// Would a host load it as this service, with these grants?
    pub async fn would_load(
        &self,
        inspected: &Inspected,
        service: &ServiceName,
        grants: &Grants,
    ) -> Result<(), LoadError> {
        Plugin::load(&self.engine, &inspected.compiled, service, grants).await.map(|_| ())
    }
}
