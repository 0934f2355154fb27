//! What is executed, and how it is confined.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use sekisho_egress::Gate;
use sekisho_sandbox::{Cage, Config, Confined, Launcher, Plan, PlanError, Speech, Subject, Tier};
use tokio::process::{Child, Command};

use crate::error::{Fault, chain};
use crate::excess::Excess;
use crate::launch::Launch;
use crate::notes::Notes;

/// What is executed, without a shell, with nothing of the gateway's environment but [`INHERITED`].
pub(crate) struct Program {
    /// What it is, looked at before each start.
    pub(crate) launch: Box<Launch>,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) inherited: Vec<(&'static str, OsString)>,
    pub(crate) configured: Vec<(String, SecretString)>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) confinement: Confinement,
}

/// How it is confined.
pub(crate) enum Confinement {
    /// The configuration spells out that it is not.
    None,
    /// By a cage of this kind.
    Cage(Box<Blueprint>),
}

/// What cages of a server are made by. What is there on the machine is looked at anew for each.
pub(crate) struct Blueprint {
    pub(crate) sandbox: Config,
    pub(crate) command: Vec<String>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) base: PathBuf,
    pub(crate) home: Option<PathBuf>,
    pub(crate) search: Option<String>,
    pub(crate) own_home: PathBuf,
    pub(crate) hidden: Vec<PathBuf>,
    pub(crate) tier: Tier,
    pub(crate) launcher: Launcher,
    /// The way out, one for all of them.
    pub(crate) gate: Option<Arc<Gate>>,
    /// What they may use together.
    pub(crate) excess: Arc<Excess>,
}

impl Blueprint {
    /// The plan for this file, as things are.
    ///
    /// # Errors
    /// What is granted cannot be.
    pub(crate) fn plan(&self, program: &Path) -> Result<Plan, PlanError> {
        let subject = Subject {
            program,
            command: &self.command,
            folder: self.folder.as_deref(),
            base: &self.base,
            home: self.home.as_deref(),
            search: self.search.as_deref(),
            own_home: &self.own_home,
            hidden: &self.hidden,
            way_out: self.gate.is_some(),
        };
        Plan::of(&self.sandbox, &subject, self.tier)
    }
}

/// A process that was started, and what its launcher tells, if it has one.
pub(crate) struct Begun {
    pub(crate) child: Child,
    pub(crate) speech: Option<Speech>,
}

impl Program {
    /// Starts it, if it is still what was approved. What a launcher cannot do is heard from it later.
    ///
    /// # Errors
    /// [`Fault::Unreachable`] where it cannot be executed, or is not to be.
    pub(crate) fn start(&self, notes: &Notes) -> Result<Begun, Fault> {
        let unreachable = |error: &dyn std::error::Error| {
            Fault::Unreachable(format!("it cannot be started: {}", chain(error)).into())
        };
        let path = self.launch.check(&notes.server(), notes)?;
        match &self.confinement {
            Confinement::None => {
                let child = self.command(&path).spawn().map_err(|error| unreachable(&error))?;
                Ok(Begun { child, speech: None })
            }
            Confinement::Cage(blueprint) => {
                let plan = blueprint.plan(&path).map_err(|error| unreachable(&error))?;
                let cage = Cage::new(plan, blueprint.launcher.clone());
                let Confined { child, speech } =
                    cage.start(&self.environment()).map_err(|error| unreachable(&error))?;
                Ok(Begun { child, speech: Some(speech) })
            }
        }
    }

    /// The way out of its cage.
    pub(crate) fn gate(&self) -> Option<Arc<Gate>> {
        match &self.confinement {
            Confinement::None => None,
            Confinement::Cage(blueprint) => blueprint.gate.clone(),
        }
    }

    /// What it may use; nothing is said of what is not confined.
    pub(crate) fn excess(&self) -> Option<Arc<Excess>> {
        match &self.confinement {
            Confinement::None => None,
            Confinement::Cage(blueprint) => Some(Arc::clone(&blueprint.excess)),
        }
    }

    /// How well it is confined.
    pub(crate) fn tier(&self) -> Tier {
        match &self.confinement {
            Confinement::None => Tier::None,
            Confinement::Cage(blueprint) => blueprint.tier,
        }
    }

    /// Its home and its place for temporary files are the cage's.
    fn environment(&self) -> Vec<(String, SecretString)> {
        let inherited = self.inherited.iter().filter(|(name, _)| !OF_THE_CAGE.contains(name));
        let inherited =
            inherited.filter_map(|(name, value)| Some(((*name).to_owned(), SecretString::from(value.to_str()?))));
        inherited.chain(self.configured.iter().cloned()).collect()
    }

    fn command(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        if !self.launch.name().contains('/') {
            // As it would be called if it had been looked for by whoever starts it.
            command.arg0(self.launch.name());
        }
        command.args(&self.arguments).env_clear();
        for (name, value) in &self.inherited {
            command.env(name, value);
        }
        for (name, value) in &self.configured {
            command.env(name, value.expose_secret());
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        // A group of its own, so that whatever it starts ends with it, and a Ctrl-C at our terminal does not reach it.
        let piped = process::Stdio::piped;
        command.stdin(piped()).stdout(piped()).stderr(piped()).process_group(0).kill_on_drop(true);
        command
    }
}

/// What a process gets of our environment: where programs and the user's folder are, language, time zone and the place for
/// temporary files. Everything else may be a secret of ours or steer the process (`LD_PRELOAD`, `NODE_OPTIONS`); what a server
/// needs beyond this stands in its configuration.
pub(crate) const INHERITED: [&str; 10] =
    ["PATH", "HOME", "LANG", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_TIME", "TMPDIR", "TZ"];
const OF_THE_CAGE: [&str; 2] = ["HOME", "TMPDIR"];
