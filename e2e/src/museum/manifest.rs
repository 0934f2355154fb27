//! What stands in an exhibit's `manifest.toml`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use crate::client::Era;

/// An exhibit, as its folder has it.
#[derive(Debug)]
pub struct Exhibit {
    /// Its folder.
    pub folder: PathBuf,
    /// What its manifest says.
    pub manifest: Manifest,
}

/// `manifest.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name of its folder.
    pub id: String,
    /// The incident in a few words.
    pub title: String,
    /// When it became known: a year, or a year and a month.
    pub date: String,
    /// How sure what is said here of the incident is.
    pub confidence: Confidence,
    /// What happened.
    pub happened: String,
    /// What of it is played here, and what is not.
    pub played: String,
    /// Where it is known from: identifiers of advisories, or kinds of sources.
    pub sources: Vec<String>,
    /// Rows of the requirements that it is about.
    pub requirements: Vec<String>,
    /// What stops it.
    pub control: String,
    /// The code, flaw or rule that says so.
    pub rule: String,
    /// What must not reach a server.
    pub canary: String,
    /// More tables of the gateway's configuration.
    #[serde(default)]
    pub(super) gateway: String,
    /// What `sekisho lock` has to say of the servers, part by part.
    #[serde(default)]
    pub(super) lock_says: Vec<String>,
    /// The servers.
    #[serde(rename = "server")]
    pub(super) servers: Vec<Server>,
    /// What the agent does.
    pub(super) attack: Vec<Step>,
    /// What the audit log has to say of it.
    #[serde(default, rename = "record")]
    pub(super) records: Vec<Record>,
    /// What an agent does that nobody attacks.
    pub(super) twin: Vec<Step>,
}

/// How sure it is what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Confidence {
    /// Several independent write-ups, or an advisory.
    #[serde(rename = "H")]
    High,
    /// One source, or details from memory.
    #[serde(rename = "M")]
    Medium,
    /// Mentioned once.
    #[serde(rename = "L")]
    Low,
    /// A class of attacks from research, and no incident.
    #[serde(rename = "research")]
    Research,
}

/// A server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// Its name in the configuration.
    pub(super) name: String,
    /// The script that it plays.
    pub(super) script: String,
    /// The script that it plays in the twin, if it is another one.
    pub(super) twin: Option<String>,
    /// How it is reached.
    #[serde(default)]
    pub(super) transport: Transport,
    /// The file that the configuration names as its program.
    pub(super) program: Option<String>,
    /// What becomes of it once it is approved.
    pub(super) swapped: Option<Swapped>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Transport {
    #[default]
    Stdio,
    Http,
}

/// Another program in the place of the one that was approved.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Swapped {
    /// The script that it plays.
    pub(super) script: String,
    /// Its file; the same one if nothing is said, with other content.
    pub(super) program: Option<String>,
}

/// What an agent does.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Step {
    List(List),
    Call(Call),
    Obey(Obey),
    Raw(Raw),
    Control(Control),
}

/// Asks every server for everything that it offers, and reads it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    #[serde(default = "alice")]
    pub(super) by: String,
    /// What has to be seen, as `server/name`.
    #[serde(default)]
    pub(super) shows: Vec<String>,
    /// What has to be seen without the gateway, and not through it.
    #[serde(default)]
    pub(super) hides: Vec<String>,
}

/// Calls a tool, as its user wants it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    #[serde(default = "alice")]
    pub(super) by: String,
    pub(super) server: String,
    pub(super) tool: String,
    #[serde(default = "nothing")]
    pub(super) arguments: Value,
    /// The code by which the gateway refuses it.
    pub(super) refused: Option<String>,
    /// Whether the canary reaches a server by it.
    #[serde(default)]
    pub(super) strikes: bool,
}

/// Makes a call that an injected text asks for, once the text was read. It strikes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Obey {
    #[serde(default = "alice")]
    pub(super) by: String,
    /// A part of the injected text.
    pub(super) marker: String,
    pub(super) server: String,
    pub(super) tool: String,
    #[serde(default = "nothing")]
    pub(super) arguments: Value,
    /// The code by which the gateway refuses the call. None: the text must not be seen.
    pub(super) refused: Option<String>,
}

/// Sends exact bytes to a server over HTTP. They strike.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    #[serde(default = "alice")]
    pub(super) by: String,
    pub(super) server: String,
    /// The path; `$path` in it stands for that of the endpoint, which it is if nothing is said.
    pub(super) path: Option<String>,
    /// The content. `$meta` stands for the member `"_meta": {…},` that the era wants.
    pub(super) body: String,
    /// More header fields; in the place of usual ones of the same name.
    #[serde(default)]
    pub(super) headers: Vec<String>,
    /// The names of usual header fields that are left out.
    #[serde(default)]
    pub(super) without: Vec<String>,
    /// The one era that it is for.
    pub(super) only: Option<Only>,
    /// The code by which the gateway refuses it.
    pub(super) refused: String,
}

/// Puts a file into the control folder that scripts look into.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Control {
    pub(super) file: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Only {
    Legacy,
    Modern,
}

/// A record that has to stand in the audit log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) kind: String,
    pub(super) server: Option<String>,
    pub(super) item: Option<String>,
    /// What its reason says, part by part.
    #[serde(default)]
    pub(super) says: Vec<String>,
    /// How many different digests its reason names, one of them that of an approved definition.
    #[serde(default)]
    pub(super) digests: usize,
}

impl Exhibit {
    /// Reads the exhibit of a folder.
    ///
    /// # Errors
    /// When its manifest is not as it should be; with the file and the reason.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("manifest.toml");
        let read = || {
            let manifest: Manifest = toml::from_str(&std::fs::read_to_string(&path)?)?;
            let exhibit = Self { folder: folder.to_path_buf(), manifest };
            exhibit.check()?;
            anyhow::Ok(exhibit)
        };
        read().with_context(|| format!("exhibit {}", path.display()))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.manifest.id
    }

    fn check(&self) -> anyhow::Result<()> {
        let Manifest { id, canary, servers, attack, twin, .. } = &self.manifest;
        let name = self.folder.file_name().unwrap_or_default();
        anyhow::ensure!(name == id.as_str(), "its id `{id}` is not the name of its folder");
        anyhow::ensure!(canary.starts_with("CANARY"), "the canary `{canary}` does not begin with `CANARY`");
        for server in servers {
            let swapped = server.swapped.as_ref().map(|swapped| &swapped.script);
            for script in [Some(&server.script), server.twin.as_ref(), swapped].into_iter().flatten() {
                anyhow::ensure!(self.folder.join(script).is_file(), "server `{}`: there is no `{script}`", server.name);
            }
        }
        for step in attack.iter().chain(twin) {
            if let Some(server) = step.server() {
                let is_there = servers.iter().any(|known| known.name == server);
                anyhow::ensure!(is_there, "a step is about `{server}`, which is no server of the exhibit");
            }
        }
        for era in [Era::Legacy, Era::Modern] {
            let strikes = attack.iter().any(|step| step.strikes() && step.is_of(era));
            anyhow::ensure!(strikes, "nothing strikes in the revision {}", era.version());
        }
        anyhow::ensure!(!twin.iter().any(Step::strikes), "the twin strikes");
        anyhow::ensure!(!twin.is_empty(), "the twin does nothing");
        Ok(())
    }
}

impl Step {
    fn server(&self) -> Option<&str> {
        match self {
            Self::Call(Call { server, .. }) | Self::Obey(Obey { server, .. }) | Self::Raw(Raw { server, .. }) => {
                Some(server)
            }
            Self::List(_) | Self::Control(_) => None,
        }
    }

    /// Whether the canary reaches a server by it, if nothing stops it.
    pub(super) fn strikes(&self) -> bool {
        match self {
            Self::Call(call) => call.strikes,
            Self::Obey(_) | Self::Raw(_) => true,
            Self::List(_) | Self::Control(_) => false,
        }
    }

    /// Whether it is done in this era.
    pub(super) fn is_of(&self, era: Era) -> bool {
        let Self::Raw(Raw { only: Some(only), .. }) = self else { return true };
        match only {
            Only::Legacy => era == Era::Legacy,
            Only::Modern => era == Era::Modern,
        }
    }
}

fn alice() -> String {
    "alice".to_owned()
}

fn nothing() -> Value {
    serde_json::json!({})
}
