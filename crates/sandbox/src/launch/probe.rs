//! What this machine can enforce: each thing is tried, in a process that ends afterwards.

use std::fmt::Display;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

use super::control::Control;
use super::{family, kernel, landlock, names, seccomp};
use crate::order::Line;
use crate::plan::{Bounds, Plan};
use crate::probe::Ability;
use crate::tier::Tier;

/// Tries everything and tells.
pub(crate) fn probe(control: &Control) -> i32 {
    let version = landlock::version();
    let words = if version == 0 {
        "the kernel has none, or it is not among its security modules".to_owned()
    } else {
        version.to_string()
    };
    tell(control, Ability::Landlock, version > 0, &words);
    tried(control, Ability::UserNamespaces, || {
        let (user, group) = (Uid::effective(), Gid::effective());
        unshare(CloneFlags::CLONE_NEWUSER).map_err(|error| error.to_string())?;
        names::be_one_user(user, group).map_err(|error| error.to_string())?;
        // Ubuntu gives the namespace and takes its powers away (`kernel.apparmor_restrict_unprivileged_userns`).
        unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("it has no powers: {error}"))
    });
    tried(control, Ability::Namespaces, || {
        let (user, group) = (Uid::effective(), Gid::effective());
        names::leave().map_err(|error| error.to_string())?;
        names::be_one_user(user, group).map_err(|error| error.to_string())
    });
    tried(control, Ability::Mounts, || {
        let (user, group) = (Uid::effective(), Gid::effective());
        names::leave().map_err(|error| error.to_string())?;
        names::be_one_user(user, group).map_err(|error| error.to_string())?;
        let built = family::fork(|| match super::mounts::build(&empty()) {
            Ok(()) => 0,
            Err(error) => {
                control.say(&Line::Failed { step: "build the root".to_owned(), why: error.to_string() });
                1
            }
        });
        let built = built.map_err(|error| error.to_string())?;
        if family::wait_for_success(built) { Ok(()) } else { Err("a root of its own cannot be built".to_owned()) }
    });
    tried(control, Ability::Seccomp, || {
        rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string())?;
        seccomp::install(&seccomp::filters(&empty())?)
    });
    tried(control, Ability::Processes, || kernel::close_all_but(control).map_err(|error| error.to_string()));
    0
}

/// A plan that shows nothing.
fn empty() -> Plan {
    let own = "/var/empty".to_owned();
    let home = if std::path::Path::new(&own).is_dir() { own } else { "/tmp".to_owned() };
    Plan {
        tier: Tier::Full,
        profiles: Vec::new(),
        program: "/bin/true".to_owned(),
        command: Vec::new(),
        folder: "/".to_owned(),
        home: "/home/server".to_owned(),
        own_home: home,
        views: Vec::new(),
        links: Vec::new(),
        hidden: Vec::new(),
        variables: Vec::new(),
        way_out: false,
        unix_sockets: false,
        bounds: Bounds { memory_bytes_max: 1 << 24, processes_max: 64, open_files_max: 64, file_bytes_max: 1 << 20 },
        calls: ["exit_group", "write", "exit", "rt_sigprocmask", "munmap", "sigaltstack"].map(String::from).into(),
    }
}

fn tried(control: &Control, ability: Ability, what: impl FnOnce() -> Result<(), String>) {
    let child = family::fork(|| {
        let done = what();
        match done {
            Ok(()) => tell(control, ability, true, &""),
            Err(why) => tell(control, ability, false, &why),
        }
        0
    });
    match child {
        Ok(child) => {
            let _ = family::wait_for_success(child);
        }
        Err(error) => tell(control, ability, false, &error),
    }
}

fn tell(control: &Control, ability: Ability, found: bool, words: &dyn Display) {
    control.say(&Line::Ability { name: ability.as_str().to_owned(), found, words: words.to_string() });
}
