//! The machine, and who stands on it.

use std::path::Path;

use anyhow::Context as _;
use sekisho_bench::pin::Cores;
use sekisho_bench::site::{Nginx, People, Policies, SERVER, Sekisho, Shape, Stand, Upstream};
use sekisho_e2e::client::Era;

/// The cores, and whoever calls.
pub(crate) struct Stage {
    cores: Option<Cores>,
    pub(crate) people: People,
}

impl Stage {
    /// Takes the machine: this process stays on the first core from now on, and so does every upstream.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let cores = Cores::find()?;
        match cores {
            Some(cores) => cores.stay()?,
            None => eprintln!("bench: there is one core only: figures say little"),
        }
        Ok(Self { cores, people: People::new()? })
    }

    /// Runs `start` so that what it starts stays on the second core.
    ///
    /// # Errors
    /// What `start` says.
    pub(crate) fn between<T>(&self, start: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        match self.cores {
            Some(cores) => cores.between(start),
            None => start(),
        }
    }

    /// The upstream, asked directly.
    ///
    /// # Errors
    /// When tokens cannot be signed.
    pub(crate) fn direct(&self, upstream: &Upstream) -> anyhow::Result<Stand> {
        Stand::direct(upstream, &self.people)
    }

    /// nginx in front of the upstream.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn nginx(&self, upstream: &Upstream) -> anyhow::Result<Stand> {
        let stand = Stand::nginx(self.between(|| Nginx::start(upstream, None))?, &self.people)?;
        stand.wait(Era::Legacy)?;
        Ok(stand)
    }

    /// A gateway in front of the upstream.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn sekisho(&self, name: &str, binary: &Path, upstream: &Upstream) -> anyhow::Result<Stand> {
        let shape = Shape {
            binary: binary.to_owned(),
            servers: vec![(SERVER.to_owned(), upstream.url())],
            policies: Policies::Corridor,
            certificate: None,
            workers: None,
        };
        self.shaped(name, &shape)
    }

    /// A gateway of any shape, asked at the first of its servers.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn shaped(&self, name: &str, shape: &Shape<'_>) -> anyhow::Result<Stand> {
        let (server, _) = shape.servers.first().context("a gateway needs a server")?;
        let sekisho = self.between(|| Sekisho::start(shape, &self.people))?;
        let stand = Stand::sekisho(name, sekisho, server, &self.people)?;
        stand.wait(Era::Legacy)?;
        Ok(stand)
    }
}
