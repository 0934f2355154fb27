//! `sekisho doctor`

use std::fs;
use std::path::Path;

use clap::{Args, ValueEnum};
use nix::unistd::Uid;
use sekisho_sandbox::{Ability, Found, Groups, Machine, Tier};
use tokio::runtime::Builder;

use super::Outcome;
use crate::assemble;
use crate::problem::{Code, Problem};

/// Tell how well this machine can confine servers
///
/// Each thing that a sandbox stands on is tried, in processes that end at once. What is missing is told with the reason and with what
/// can be done about it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho doctor
  sekisho doctor --tier-min partial && echo good enough")]
pub(crate) struct Doctor {
    /// Exit with 1 if less than this is to be had
    #[arg(long, value_name = "TIER", value_enum, default_value = "full")]
    tier_min: TierMin,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TierMin {
    Full,
    Partial,
    None,
}

impl TierMin {
    fn tier(self) -> Tier {
        match self {
            TierMin::Full => Tier::Full,
            TierMin::Partial => Tier::Partial,
            TierMin::None => Tier::None,
        }
    }
}

impl Doctor {
    pub(super) fn run(self) -> Outcome {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| vec![Problem::new(Code::System, error.to_string())])?;
        let machine = runtime.block_on(assemble::machine()).map_err(|problem| vec![problem])?;
        print!("{}", told(&machine, &Seen::here()));
        let (tier, wanted) = (machine.tier(), self.tier_min.tier());
        if tier >= wanted {
            return Ok(());
        }
        let words = format!("this machine confines servers with tier `{tier}`, and `{wanted}` was asked for");
        Err(vec![Problem::new(Code::Sandbox, words).help("what is told above mends it")])
    }
}

/// What the machine says of itself.
struct Seen {
    kernel: String,
    program: String,
    /// Ubuntu 23.10 and later.
    apparmor_restricts: bool,
    /// Debian 10 and before, and some hardened kernels.
    clone_forbidden: bool,
    /// Some hardened machines.
    namespaces_none: bool,
    security_modules: Option<String>,
    is_container: bool,
    is_root: bool,
    groups: bool,
}

impl Seen {
    fn here() -> Seen {
        let text = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
        let is = |path: &str, value: &str| text(path).as_deref() == Some(value);
        let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
        Seen {
            kernel: text("/proc/sys/kernel/osrelease").unwrap_or_else(|| "?".to_owned()),
            program,
            apparmor_restricts: is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
            clone_forbidden: is("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            namespaces_none: is("/proc/sys/user/max_user_namespaces", "0"),
            security_modules: text("/sys/kernel/security/lsm"),
            is_container: ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists()),
            is_root: Uid::effective().is_root(),
            groups: Groups::can_be_made(),
        }
    }
}

fn told(machine: &Machine, seen: &Seen) -> String {
    let mut text = format!("kernel               {}\n", seen.kernel);
    for found in &machine.found {
        let answer = match (found.found, found.words.as_str()) {
            (true, "") => "yes".to_owned(),
            (true, words) => format!("yes, version {words}"),
            (false, why) => format!("NO: {why}"),
        };
        text.push_str(&format!("{:<20} {answer}\n", found.ability.as_str()));
    }
    let groups = if seen.groups {
        "yes: memory and processes of a server are counted together"
    } else {
        "no: memory is bounded for each process of a server, not for all together"
    };
    text.push_str(&format!("{:<20} {groups}\n", "control groups"));
    let tier = match machine.tier() {
        Tier::Full => "full: servers run in a machine of their own",
        Tier::Partial => {
            "partial: servers see nothing that was not granted, and have no network; one that has to be `full` does not start"
        }
        Tier::None => "none: servers that are programs do not start, unless they are spelled `dangerous_unconfined`",
    };
    text.push_str(&format!("{:<20} {tier}\n", "tier"));
    let mends: Vec<String> =
        machine.found.iter().filter(|found| !found.found).filter_map(|found| mend(found, seen)).collect();
    let hints = seen.is_root.then(|| {
        "You are the superuser: what is granted to a server, it can use as the superuser's files. Run servers as an ordinary user.".to_owned()
    });
    let mut last = String::new();
    for mend in mends.into_iter().chain(hints) {
        // One reason takes several things away.
        if mend != last {
            text.push_str(&format!("\n{mend}\n"));
        }
        last = mend;
    }
    text
}

/// What can be done where something is missing.
fn mend(missing: &Found, seen: &Seen) -> Option<String> {
    let landlock = || match &seen.security_modules {
        Some(modules) if !modules.split(',').any(|module| module == "landlock") => format!(
            "Landlock is not switched on. Add `lsm=landlock,{modules}` to the kernel's command line, and start the machine again."
        ),
        Some(_) | None => "Landlock comes with Linux 5.13 and later, where the kernel was built with it.".to_owned(),
    };
    match missing.ability {
        Ability::Landlock => Some(landlock()),
        Ability::Seccomp => Some("Filters of system calls are missing from this kernel (CONFIG_SECCOMP_FILTER), or whoever started this forbids them.".to_owned()),
        Ability::Processes => Some("Linux 5.12 or later is needed.".to_owned()),
        Ability::UserNamespaces | Ability::Namespaces => Some(namespaces(seen)),
        Ability::Mounts if seen.is_container => Some(
            "This is a container that hides parts of /proc. `--security-opt systempaths=unconfined` (Docker) or `--security-opt unmask=ALL` (Podman) lets it give servers a /proc of their own."
                .to_owned(),
        ),
        Ability::Mounts if seen.apparmor_restricts => Some(namespaces(seen)),
        Ability::Mounts => Some("Linux 5.12 or later is needed, and a /proc that is mounted whole.".to_owned()),
    }
}

fn namespaces(seen: &Seen) -> String {
    if seen.namespaces_none {
        return "User namespaces are switched off: `sudo sysctl user.max_user_namespaces=10000`; in /etc/sysctl.d it lasts.".to_owned();
    }
    if seen.clone_forbidden {
        return "User namespaces are the superuser's alone: `sudo sysctl kernel.unprivileged_userns_clone=1`; in /etc/sysctl.d it lasts."
            .to_owned();
    }
    if seen.is_container {
        return "This is a container whose rules forbid namespaces. Run Sekisho outside of it, or start it with `--security-opt seccomp=unconfined \
--security-opt apparmor=unconfined`, which gives the container more than it had."
            .to_owned();
    }
    if seen.apparmor_restricts {
        return format!(
            "Ubuntu lets only programs that AppArmor knows have user namespaces. Write /etc/apparmor.d/sekisho:\n\n\
  abi <abi/4.0>,\n\
  include <tunables/global>\n\
  profile sekisho {} flags=(unconfined) {{\n\
    userns,\n\
  }}\n\n\
and load it with `sudo apparmor_parser -r /etc/apparmor.d/sekisho`.",
            seen.program
        );
    }
    "The kernel gives this user no user namespaces (CONFIG_USER_NS), or whoever started this forbids them.".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen {
            kernel: "6.8.0".to_owned(),
            program: "/opt/sekisho".to_owned(),
            apparmor_restricts: false,
            clone_forbidden: false,
            namespaces_none: false,
            security_modules: None,
            is_container: false,
            is_root: false,
            groups: true,
        }
    }

    fn machine(lacking: &[Ability]) -> Machine {
        let found = |ability| {
            let found = !lacking.contains(&ability);
            let words = if ability == Ability::Landlock { "4" } else { "" };
            Found { ability, found, words: if found { words } else { "not permitted" }.to_owned() }
        };
        Machine { found: Ability::ALL.map(found).into() }
    }

    #[test]
    fn whole_machine_needs_no_mending() {
        let text = told(&machine(&[]), &seen());
        assert!(
            text.contains("tier                 full") && text.contains("landlock             yes, version 4"),
            "{text}"
        );
        assert!(text.ends_with("their own\n"), "{text}");
        assert!(told(&machine(&[]), &Seen { is_root: true, ..seen() }).contains("superuser"));
    }

    #[test]
    fn each_reason_has_its_mend_and_one_reason_is_told_once() {
        let lacking = [Ability::UserNamespaces, Ability::Namespaces, Ability::Mounts];
        for (seen, words) in [
            (Seen { apparmor_restricts: true, ..seen() }, "profile sekisho /opt/sekisho flags=(unconfined)"),
            (Seen { namespaces_none: true, ..seen() }, "user.max_user_namespaces"),
            (Seen { clone_forbidden: true, ..seen() }, "kernel.unprivileged_userns_clone=1"),
            (Seen { is_container: true, ..seen() }, "Run Sekisho outside of it"),
        ] {
            let text = told(&machine(&lacking), &seen);
            assert!(text.contains("tier                 partial"), "{text}");
            assert_eq!(text.matches(words).count(), 1, "{text}");
        }
        let modules = Seen { security_modules: Some("capability,yama".to_owned()), ..seen() };
        let text = told(&machine(&[Ability::Landlock]), &modules);
        assert!(text.contains("lsm=landlock,capability,yama") && text.contains("tier                 none"), "{text}");
    }
}
