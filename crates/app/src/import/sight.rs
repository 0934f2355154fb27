//! What a server will see: of the plan that its cage is built by, so that what is shown before an import is what holds after it.

use std::path::{Path, PathBuf};

use sekisho_sandbox::{Access, Plan, Profile, Subject, Tier};

use super::plan::Surroundings;
use crate::home::NewServer;

/// What a server will see.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Of its plan.
    Known(Known),
    /// Its program is not there, and part of the plan hangs on where it lies.
    NoProgram(String),
}

/// What is in a plan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// How well it is confined.
    pub(crate) tier: Tier,
    /// Its profiles, `base` first.
    pub(crate) profiles: Vec<&'static str>,
    /// Files and folders beside those of the system that every server sees.
    pub(crate) views: Vec<(Access, PathBuf)>,
    /// What is hidden in them.
    pub(crate) hidden: Vec<PathBuf>,
    /// The hosts that it reaches.
    pub(crate) hosts: Vec<String>,
}

/// Plans the cage of a server; none if it is none of a program.
///
/// # Errors
/// It would not be started so; why.
pub(crate) fn of(new: &NewServer, around: &Surroundings, tier: Tier) -> Result<Option<Sight>, String> {
    let Some(name) = new.server.command.first() else { return Ok(None) };
    let sandbox = new.sandbox()?;
    if tier < sandbox.tier_min {
        return Err(format!(
            "this machine confines servers with tier `{tier}` only, and it needs `{}`: `sekisho doctor` tells what is missing",
            sandbox.tier_min
        ));
    }
    let search: Vec<&str> = around.machine.programs().iter().filter_map(|folder| folder.to_str()).collect();
    let search = search.join(":");
    let found = found(name, around);
    // What is granted is planned even so: none is written down that could not be started once its program is there.
    let program = found.clone().unwrap_or_else(|| Path::new(NO_PROGRAM).join(name.rsplit('/').next().unwrap_or(name)));
    let key = around.home.key();
    let hidden = [around.home.state(), key.parent().unwrap_or(&key)].map(Path::to_owned);
    let subject = Subject {
        program: &program,
        command: &new.server.command,
        folder: new.server.cwd.as_deref(),
        base: around.home.folder(),
        home: Some(around.machine.home()),
        search: Some(&search),
        own_home: around.home.state(),
        hidden: &hidden,
        way_out: sandbox.has_way_out(),
    };
    let plan = Plan::of(&sandbox, &subject, tier).map_err(|error| error.to_string())?;
    if found.is_none() {
        return Ok(Some(Sight::NoProgram(name.clone())));
    }
    let of_all: Vec<PathBuf> = Profile::all().iter().take(1).flat_map(system).collect();
    let views = plan.views.into_iter().map(|view| (view.access, PathBuf::from(view.path)));
    let views: Vec<(Access, PathBuf)> = views.filter(|(_, path)| !of_all.contains(path)).collect();
    let hidden = plan.hidden.into_iter().map(PathBuf::from);
    let hidden = hidden.filter(|path| views.iter().any(|(_, view)| path.starts_with(view))).collect();
    Ok(Some(Sight::Known(Known {
        tier: plan.tier,
        profiles: plan.profiles.iter().map(|profile| profile.as_str()).collect(),
        views,
        hidden,
        hosts: if plan.way_out { new.cage.hosts.clone() } else { Vec::new() },
    })))
}

/// The file of the program, as it is looked for when the server is started.
fn found(name: &str, around: &Surroundings) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(around.home.folder().join(name)).filter(|path| path.is_file());
    }
    around.machine.programs().iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// What `base` shows, as it is called on this machine.
fn system(base: &Profile) -> impl Iterator<Item = PathBuf> + use<'_> {
    base.read.iter().filter_map(|place| Path::new(&place.path).canonicalize().ok())
}

/// Where a program is taken to be that is not there.
const NO_PROGRAM: &str = "/usr/local/bin";
