//! The machine, and who stands on it.

use std::path::{Path, PathBuf};

use sekisho_bench::load::Transport;
use sekisho_bench::pin::Cores;
use sekisho_bench::site::{Certificate, Nginx, People, Policies, SERVER, Sekisho, Shape, Stand, Upstream};
use sekisho_e2e::client::Era;

/// The cores, whoever calls, and the gateways to measure.
pub(crate) struct Stage {
    cores: Option<Cores>,
    pub(crate) people: People,
    pub(crate) binaries: Vec<(String, PathBuf)>,
}

impl Stage {
    /// Takes the machine: this process stays on the first core from now on, and so does every upstream.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn new(binaries: Vec<(String, PathBuf)>) -> anyhow::Result<Self> {
        let cores = Cores::find()?;
        match cores {
            Some(cores) => cores.stay()?,
            None => eprintln!("bench: there is one core only: figures say little"),
        }
        Ok(Self { cores, people: People::new()?, binaries })
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
        self.nginx_over(upstream, None, Transport::Http1)
    }

    /// nginx in front of the upstream, with a certificate where it is spoken to over TLS.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn nginx_over(
        &self,
        upstream: &Upstream,
        certificate: Option<&Certificate>,
        transport: Transport,
    ) -> anyhow::Result<Stand> {
        let nginx = self.between(|| Nginx::start(upstream, certificate))?;
        let stand = Stand::nginx(nginx, &self.people)?.over(transport);
        stand.wait(Era::Legacy)?;
        Ok(stand)
    }

    /// Every gateway to measure, each of them in front of the upstream with the policies of the corridor.
    ///
    /// # Errors
    /// When one does not answer.
    pub(crate) fn sekishos(&self, upstream: &Upstream) -> anyhow::Result<Vec<Stand>> {
        self.sekishos_of(|binary| shape(binary, upstream), &Transport::Http1)
    }

    /// The same in any shape.
    ///
    /// # Errors
    /// When one does not answer.
    pub(crate) fn sekishos_of<'a>(
        &self,
        shape: impl Fn(&Path) -> Shape<'a>,
        transport: &Transport,
    ) -> anyhow::Result<Vec<Stand>> {
        let mut stands = Vec::new();
        for (name, binary) in &self.binaries {
            let stand = self.launch(name, &shape(binary))?.over(transport.clone());
            stand.wait(Era::Legacy)?;
            stands.push(stand);
        }
        Ok(stands)
    }

    /// A gateway that is not waited for.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn launch(&self, name: &str, shape: &Shape<'_>) -> anyhow::Result<Stand> {
        let sekisho = self.between(|| Sekisho::start(shape, &self.people))?;
        let servers: Vec<&str> = shape.servers.iter().map(|(server, _)| server.as_str()).collect();
        Stand::sekisho(name, sekisho, &servers, &self.people)
    }

    /// What `start` starts stays on the second core.
    fn between<T>(&self, start: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        match self.cores {
            Some(cores) => cores.between(start),
            None => start(),
        }
    }
}

/// A gateway in front of one upstream, with the policies of the corridor.
pub(crate) fn shape<'a>(binary: &Path, upstream: &Upstream) -> Shape<'a> {
    Shape {
        binary: binary.to_owned(),
        servers: vec![(SERVER.to_owned(), upstream.url())],
        policies: Policies::Corridor,
        certificate: None,
        workers: None,
        payload_digest: "sha256",
        public_url: None,
        session_idle_seconds: None,
    }
}
