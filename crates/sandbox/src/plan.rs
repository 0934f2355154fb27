//! What exactly a server is started with: every path, variable and bound, decided before anything runs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::grants::{Ground, programs, settled};
use crate::profile::{Profile, ProfileName};
use crate::tier::Tier;

/// What a server is started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How well it is confined: exactly so, or it is not started.
    pub tier: Tier,
    /// The profiles that hold, `base` first.
    pub profiles: Vec<ProfileName>,
    /// The file that is executed.
    pub program: String,
    /// What it is told of itself and its arguments.
    pub command: Vec<String>,
    /// Where it starts.
    pub folder: String,
    /// What it takes for its home: the user's, at which it sees its own; where nothing can be shown at another place, its own.
    pub home: String,
    /// The folder that is its home.
    pub own_home: String,
    /// What it sees of the machine; parents before what lies in them.
    pub views: Vec<View>,
    /// Symbolic links.
    pub links: Vec<Link>,
    /// What it does not see of that.
    pub hidden: Vec<String>,
    /// Its variables, beside those that it is configured to get.
    pub variables: Vec<(String, String)>,
    /// Whether there is a way out.
    pub way_out: bool,
    /// Whether it may use sockets of the file system.
    pub unix_sockets: bool,
    /// How much it may use.
    pub bounds: Bounds,
    /// What it may ask of the kernel.
    pub calls: Vec<String>,
}

/// A file or folder that a server sees.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct View {
    /// Where, outside and inside; canonical.
    pub path: String,
    /// What it may do with it.
    pub access: Access,
}

/// A symbolic link that a server sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where it is.
    pub from: String,
    /// Where it leads.
    pub to: String,
}

/// What may be done with a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Read, and execute.
    Read,
    /// A copy: changed for the server itself, and only while it runs.
    Copy,
    /// Read and change.
    Write,
}

/// How much a server may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Memory, in bytes.
    pub memory_bytes_max: u64,
    /// Processes and threads.
    pub processes_max: u32,
    /// Open files of a process.
    pub open_files_max: u32,
    /// Length of a file, in bytes.
    pub file_bytes_max: u64,
}

/// What is to be confined, and where.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The file that is executed, found before.
    pub program: &'a Path,
    /// The program as configured, and its arguments.
    pub command: &'a [String],
    /// The folder it is to start in, if one is configured.
    pub folder: Option<&'a Path>,
    /// The folder of the configuration: relative paths start from it.
    pub base: &'a Path,
    /// The user's home. None: there is none.
    pub home: Option<&'a Path>,
    /// Where programs are looked for, by those that look for some.
    pub search: Option<&'a str>,
    /// The folder that is to be its home.
    pub own_home: &'a Path,
    /// What it must not see, whatever is granted around it.
    pub hidden: &'a [PathBuf],
    /// Whether there is a way out for it.
    pub way_out: bool,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A path of `read` or `write` that is not there.
    #[error("`{path}` cannot be granted: it is not there, or cannot be looked at")]
    Missing {
        /// As configured.
        path: String,
    },
    /// A path of `read` or `write` that would grant nearly everything.
    #[error("`{path}` cannot be granted: it is, or holds, {what}; name the folders in it that are needed")]
    TooBroad {
        /// As configured.
        path: String,
        /// What it would give away.
        what: &'static str,
    },
    /// A path of `read` or `write` that leads out of the cage, whatever the cage does.
    #[error("`{path}` cannot be granted: {what}")]
    WayAround {
        /// As configured.
        path: String,
        /// Why.
        what: &'static str,
    },
    /// Something is hidden in what is granted, and nothing can be covered without namespaces.
    #[error(
        "`{path}` cannot be granted on this machine: without namespaces `{hidden}` in it cannot be hidden or kept as it is; name the folders in it that are needed"
    )]
    CannotHide {
        /// What is granted.
        path: String,
        /// What is to be hidden.
        hidden: String,
    },
    /// A path that is no text.
    #[error("`{}` is not UTF-8, and cannot be granted", .0.display())]
    NotText(PathBuf),
    /// More than one plan can hold.
    #[error("more than {VIEWS_MAX} files and folders are granted")]
    TooMany,
}

impl Plan {
    /// Whether a path, canonical already, can be granted to any server.
    ///
    /// # Errors
    /// It would give away too much, or lead out of the cage.
    pub fn judge(path: &Path, home: Option<&Path>) -> Result<(), PlanError> {
        Ground::new(Path::new("/"), home, &[], &[]).check((path, path), path)
    }

    /// What a server of this configuration is started with.
    ///
    /// # Errors
    /// [`PlanError`]
    pub fn of(config: &Config, subject: &Subject<'_>, tier: Tier) -> Result<Plan, PlanError> {
        let interpreter = programs::interpreter(subject.program, subject.search);
        let runner = interpreter.as_deref().unwrap_or(subject.program);
        let profiles = Profile::of(config.profile, runner, subject.command);
        let home = subject.home.filter(|home| home.is_absolute() && *home != Path::new("/"));
        let mut ground = Ground::new(subject.base, home, &profiles, subject.hidden);
        // First, so that what is offered besides takes nothing of it away.
        for path in &config.read {
            ground.grant(path, Access::Read)?;
        }
        for path in &config.write {
            ground.grant(path, Access::Write)?;
        }
        for access in profiles.iter().filter_map(|profile| profile.arguments) {
            ground.offer_arguments(subject, access)?;
        }
        ground.keep_straight()?;
        for profile in &profiles {
            for place in &profile.read {
                ground.offer(&place.path, Access::Read, subject, interpreter.as_deref());
            }
            for place in &profile.copy {
                ground.offer(&place.path, Access::Copy, subject, interpreter.as_deref());
            }
            for place in &profile.toolchain {
                ground.offer_toolchain(&place.path, [Some(subject.program), interpreter.as_deref()]);
            }
        }
        ground.offer_named_files(subject);
        let program = ground.program(subject.program)?;
        let folder = ground.folder(subject)?;
        ground.keep_what_permits()?;
        let hidden = ground.hidden();
        match tier {
            Tier::Full => {
                ground.guard(&profiles);
                ground.pin_above(&hidden);
            }
            Tier::Partial | Tier::None => {
                ground.refuse_read_in_write(&profiles)?;
                ground.carve_out(&hidden)?;
            }
        }
        let hidden = hidden.iter().map(|path| text(path)).collect::<Result<Vec<String>, PlanError>>()?;
        let own_home = text(&settled(subject.own_home))?;
        let shown_home = match (tier, home) {
            (Tier::Full, Some(home)) => text(home)?,
            (Tier::Full, None) => HOMELESS.to_owned(),
            // Nothing can be shown at another place.
            (Tier::Partial | Tier::None, _) => own_home.clone(),
        };
        let (views, links) = ground.done()?;
        Ok(Plan {
            tier,
            profiles: profiles.iter().map(|profile| profile.name).collect(),
            program: text(&program)?,
            command: subject.command.to_vec(),
            folder: folder.unwrap_or_else(|| shown_home.clone()),
            home: shown_home,
            own_home,
            views,
            links,
            hidden,
            variables: variables(&profiles, subject.way_out),
            way_out: subject.way_out,
            unix_sockets: config.dangerous_unix_sockets,
            bounds: Bounds::of(config),
            calls: profiles.iter().flat_map(|profile| profile.calls()).map(String::from).collect(),
        })
    }
}

impl Bounds {
    fn of(config: &Config) -> Bounds {
        let bytes = |mib: u32| u64::from(mib).saturating_mul(1024 * 1024);
        Bounds {
            memory_bytes_max: bytes(config.memory_mib_max),
            processes_max: config.processes_max,
            open_files_max: config.open_files_max,
            file_bytes_max: bytes(config.file_mib_max),
        }
    }
}

fn variables(profiles: &[&Profile], way_out: bool) -> Vec<(String, String)> {
    let always = profiles.iter().flat_map(|profile| &profile.variable);
    let offline = profiles.iter().flat_map(|profile| &profile.offline).filter(|_| !way_out);
    let profiled = always.chain(offline).map(|variable| (variable.name.clone(), variable.value.clone()));
    let out = WAY_OUT_VARIABLES.iter().filter(|_| way_out);
    profiled.chain(out.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).collect()
}

pub(crate) fn text(path: &Path) -> Result<String, PlanError> {
    path.to_str().map(String::from).ok_or_else(|| PlanError::NotText(path.to_owned()))
}

/// LIMIT: files and folders that a server sees.
pub(crate) const VIEWS_MAX: usize = 256;
/// The port of the way out, in the server's own network namespace.
pub(crate) const WAY_OUT_PORT: u16 = 3128;
/// Where a home is shown if the user has none.
const HOMELESS: &str = "/home/server";
const WAY_OUT: &str = "http://127.0.0.1:3128";
/// Programs differ in which they read. `NODE_USE_ENV_PROXY`: Node.js 22.21 and later read the others only where this is set.
const WAY_OUT_VARIABLES: [(&str, &str); 5] = [
    ("HTTP_PROXY", WAY_OUT),
    ("HTTPS_PROXY", WAY_OUT),
    ("http_proxy", WAY_OUT),
    ("https_proxy", WAY_OUT),
    ("NODE_USE_ENV_PROXY", "1"),
];

#[cfg(test)]
mod tests;
