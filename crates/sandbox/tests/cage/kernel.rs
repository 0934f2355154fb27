//! What a server may ask of the kernel: every refused call beside a permitted one, each of which works outside the cage.

use sekisho_sandbox::Tier;

use crate::support::{Yard, is_superuser};

/// What comes of a call in the cage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It does what it is asked for.
    Works,
    /// It does not, and the program goes on.
    Refused,
    /// It ends the program.
    Ends,
}

/// Who can do it outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Free {
    Everybody,
    Superuser,
    /// Hangs on the machine, or would harm it.
    Unknown,
}

use Fate::{Ends, Refused, Works};
use Free::{Everybody, Superuser, Unknown};

#[rustfmt::skip]
const PROBES: [(&str, Fate, Fate, Free); 76] = [
    // Namespaces and mounts.
    ("unshare_user", Refused, Refused, Everybody),
    ("unshare_files", Refused, Refused, Everybody),
    ("clone_user", Refused, Refused, Everybody),
    ("clone_user_and_mounts", Refused, Refused, Everybody),
    ("clone_plain", Works, Works, Everybody),
    ("clone3_user", Refused, Refused, Everybody),
    ("setns_own", Refused, Refused, Superuser),
    ("thread", Works, Works, Everybody),
    ("mount_memory", Refused, Refused, Superuser),
    ("mount_again", Refused, Refused, Superuser),
    ("unmount", Refused, Refused, Superuser),
    ("pivot", Ends, Ends, Unknown),
    ("change_root", Refused, Refused, Superuser),
    ("open_a_tree", Refused, Refused, Superuser),
    ("open_a_file_system", Refused, Refused, Superuser),
    ("move_a_mount", Refused, Refused, Unknown),
    ("set_attributes", Refused, Refused, Superuser),
    ("by_handle", Ends, Ends, Unknown),
    ("handle_of", Refused, Refused, Everybody),
    ("make_a_device", Refused, Refused, Superuser),
    ("make_a_disk", Refused, Refused, Superuser),
    // Other processes.
    ("be_traced", Ends, Ends, Everybody),
    ("trace", Ends, Ends, Everybody),
    ("read_memory", Refused, Refused, Everybody),
    ("write_memory", Ends, Ends, Everybody),
    ("take_a_descriptor", Refused, Refused, Everybody),
    ("handle_of_a_child", Works, Works, Everybody),
    ("end_a_child", Works, Works, Everybody),
    ("compare", Refused, Refused, Unknown),
    // Parts of the kernel that few programs reach.
    ("bpf", Ends, Ends, Unknown),
    ("page_faults", Ends, Ends, Unknown),
    ("rings", Refused, Refused, Unknown),
    ("keys", Refused, Refused, Everybody),
    ("add_a_key", Refused, Refused, Everybody),
    ("ask_for_a_key", Refused, Refused, Unknown),
    ("counters", Refused, Refused, Unknown),
    ("watch_files", Refused, Refused, Unknown),
    ("secret_memory", Refused, Refused, Unknown),
    ("file_in_memory", Works, Works, Everybody),
    ("kernel_log", Refused, Refused, Unknown),
    ("quota", Refused, Refused, Unknown),
    ("accounting", Refused, Refused, Unknown),
    // The machine's own.
    ("execute_a_kernel", Ends, Ends, Unknown),
    ("load_a_module", Ends, Ends, Unknown),
    ("load_a_module_file", Ends, Ends, Unknown),
    ("unload_a_module", Ends, Ends, Unknown),
    ("reboot_it", Ends, Ends, Unknown),
    ("swap_on", Ends, Ends, Unknown),
    ("swap_off", Ends, Ends, Unknown),
    ("host_name", Refused, Refused, Unknown),
    ("set_the_time", Refused, Refused, Unknown),
    ("set_a_clock", Refused, Refused, Unknown),
    ("execution_domain", Refused, Refused, Everybody),
    ("read_the_time", Works, Works, Everybody),
    // Terminals. Whoever runs the tests may have one.
    ("type_into_a_terminal", Refused, Refused, Unknown),
    ("open_the_terminal", Refused, Refused, Unknown),
    ("bytes_that_wait", Works, Works, Everybody),
    // Who it is.
    ("be_somebody_else", Refused, Refused, Superuser),
    ("be_in_another_group", Refused, Refused, Superuser),
    ("be_another", Refused, Refused, Superuser),
    ("have_groups", Refused, Refused, Superuser),
    ("have_powers", Refused, Refused, Superuser),
    ("be_oneself", Works, Works, Everybody),
    // Modes. Without namespaces nobody else looks at which file it is.
    ("mode_set_user", Refused, Refused, Everybody),
    ("mode_set_group", Refused, Refused, Everybody),
    ("mode_executable", Works, Refused, Everybody),
    ("made_set_user", Refused, Refused, Everybody),
    ("made_plain", Works, Works, Everybody),
    ("made_by_name", Refused, Refused, Unknown),
    ("made_by_a_structure", Refused, Refused, Everybody),
    ("made_without_a_name", Refused, Refused, Unknown),
    ("made_plain_without_a_name", Works, Works, Unknown),
    // Its own process.
    ("strict_mode", Works, Works, Everybody),
    ("own_name", Works, Works, Everybody),
    ("own_map", Refused, Refused, Unknown),
    ("shared_memory", Works, Refused, Everybody),
];

/// The same for what only x86-64 has.
#[rustfmt::skip]
const OF_X86_64: [(&str, Fate, Fate, Free); 4] = [
    ("other_numbers", Refused, Refused, Unknown),
    ("older_machine", Ends, Ends, Unknown),
    ("port_rights", Refused, Refused, Unknown),
    ("segments", Refused, Refused, Unknown),
];

#[tokio::test]
async fn kernel_refuses_what_no_server_has_business_with_and_gives_what_one_needs() {
    let yard = Yard::new();
    let program = yard.compiled("kernel");
    let of_here: &[_] = if cfg!(target_arch = "x86_64") { &OF_X86_64 } else { &[] };
    let all: Vec<_> = PROBES.iter().chain(of_here).collect();
    let free = yard.free(&[&program]);
    let full = yard.probes("", Tier::Full, &[&program], false).await;
    let partial = yard.probes("", Tier::Partial, &[&program], false).await;
    let mut wrong = Vec::new();
    for (name, in_full, in_partial, outside) in &all {
        let fate = |code: Option<&i32>| match code {
            Some(0) => Some(Works),
            Some(code) if *code == 1000 + nix::libc::SIGSYS => Some(Ends),
            Some(code) if *code < 1000 => Some(Refused),
            Some(_) | None => None,
        };
        for (where_it_runs, probes, expected) in [("full", &full, in_full), ("partial", &partial, in_partial)] {
            if fate(probes.get(*name)) != Some(*expected) {
                wrong.push(format!("{name} in {where_it_runs}: {:?}, not {expected:?}", probes.get(*name)));
            }
        }
        let must_work = *outside == Everybody || (*outside == Superuser && is_superuser());
        if must_work && fate(free.get(*name)) != Some(Works) {
            wrong.push(format!("{name} outside: {:?}", free.get(*name)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let told: Vec<_> = free.keys().collect();
    assert_eq!(told.len(), all.len(), "every probe has a line here: {told:?}");
}
