//! Landlock: files, ports and scopes, whatever the namespaces show.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

use crate::plan::{Access, Plan, WAY_OUT_PORT};
use crate::tier::Tier;

/// Fences this process off, and all that it starts.
pub(crate) fn fence(plan: &Plan) -> Result<(), String> {
    let ruleset = ruleset(plan).map_err(|error| error.to_string())?;
    let status = ruleset.restrict_self().map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => {
            Err("the kernel has no Landlock, or it is not among its security modules".to_owned())
        }
    }
}

fn ruleset(plan: &Plan) -> Result<RulesetCreated, RulesetError> {
    let (read, all) = (AccessFs::from_read(NEWEST), AccessFs::from_all(NEWEST));
    let created = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let created = match plan.tier {
        // What is shown was chosen; the root itself holds nothing else.
        Tier::Full => beneath(created, "/", read)?,
        Tier::Partial | Tier::None => created,
    };
    let created = plan.views.iter().try_fold(created, |created, view| {
        let access = match (view.access, plan.tier) {
            (Access::Read, _) => read,
            // Without a mount namespace there are no copies to change.
            (Access::Copy, Tier::Partial | Tier::None) => read,
            (Access::Copy, Tier::Full) | (Access::Write, _) => all & !devices(),
        };
        beneath(created, &view.path, access)
    })?;
    let created = beneath(created, &plan.home, all & !devices())?;
    let created = match plan.tier {
        Tier::Full => {
            let created = beneath(created, "/tmp", all & !devices())?;
            let created = beneath(created, "/var/tmp", all & !devices())?;
            let created = beneath(created, "/dev/shm", all & !devices())?;
            beneath(created, "/dev", read | AccessFs::WriteFile | AccessFs::IoctlDev)?
        }
        Tier::Partial | Tier::None => ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/full"]
            .iter()
            .try_fold(created, |created, device| beneath(created, device, AccessFs::ReadFile | AccessFs::WriteFile))?,
    };
    if plan.way_out { created.add_rule(NetPort::new(WAY_OUT_PORT, AccessNet::ConnectTcp)) } else { Ok(created) }
}

fn beneath(created: RulesetCreated, path: &str, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    // What is not there needs no rule.
    let Ok(opened) = PathFd::new(path) else { return Ok(created) };
    let is_folder = std::fs::metadata(path).is_ok_and(|found| found.is_dir());
    let access = if is_folder { access } else { access & AccessFs::from_file(NEWEST) };
    created.add_rule(PathBeneath::new(opened, access))
}

fn devices() -> BitFlags<AccessFs> {
    AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev
}

/// The version that the kernel has; 0: none.
pub(crate) fn version() -> u32 {
    // SAFETY: asks for a number, as landlock_create_ruleset(2) says: no attributes, no size, this flag.
    #[expect(unsafe_code, reason = "the crate does not tell the number")]
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION_FLAG)
    };
    u32::try_from(version).unwrap_or(0)
}

const VERSION_FLAG: u32 = 1;
/// What is asked for; a kernel that knows less gives what it has, and which that is stands in the record.
const NEWEST: ABI = ABI::V6;
