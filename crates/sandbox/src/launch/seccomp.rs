//! What may be asked of the kernel: three filters, of which the strictest answer counts (seccomp(2)).

use std::fmt::Write as _;
use std::io::Cursor;

use seccompiler::{BpfProgram, TargetArch, apply_filter, compile_from_json};

use crate::plan::Plan;
use crate::tier::Tier;

/// Compiles the filters of a plan.
///
/// - *allowed*: by the profiles; all else is no such call (ENOSYS), for which libraries know another way.
/// - *refused*: by arguments, though the call is allowed (EPERM).
/// - *fatal*: what no server has business with. It is ended (SIGSYS).
pub(crate) fn filters(plan: &Plan) -> Result<Vec<BpfProgram>, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let names = plan.calls.iter().filter(|name| !FATAL.contains(&name.as_str()));
    let of_the_machine = |name: &str| NAMED_SOCKETS.contains(&name) || UNFENCED.contains(&name);
    let names = names.filter(|name| plan.tier == Tier::Full || !of_the_machine(name));
    let allowed = rules(names.map(|name| (name.as_str(), "")));
    let text = format!(
        r#"{{"allowed": {{"mismatch_action": {{"errno": {}}}, "match_action": "allow", "filter": [{allowed}]}},
            "refused": {{"mismatch_action": "allow", "match_action": {{"errno": {}}}, "filter": [{}]}},
            "fatal": {{"mismatch_action": "allow", "match_action": "kill_process", "filter": [{}]}}}}"#,
        libc::ENOSYS,
        libc::EPERM,
        rules(refused(plan).iter().map(|(name, arguments)| (*name, arguments.as_str()))),
        rules(FATAL.iter().map(|name| (*name, ""))),
    );
    let compiled = compile_from_json(Cursor::new(text), arch).map_err(|error| error.to_string())?;
    // The one that permits least comes last, since it stops the installing of others, too.
    let mut named: Vec<(String, BpfProgram)> = compiled.into_iter().collect();
    named.sort_by_key(|(name, _)| name == "allowed");
    Ok(named.into_iter().map(|(_, program)| program).collect())
}

/// From here on they hold.
pub(crate) fn install(filters: &[BpfProgram]) -> Result<(), String> {
    filters.iter().try_for_each(|filter| apply_filter(filter).map_err(|error| error.to_string()))
}

fn rules<'a>(of: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, arguments) in of {
        let comma = if text.is_empty() { "" } else { ", " };
        // A name is letters and digits of ours; nothing in it could end the string.
        let _ = write!(text, r#"{comma}{{"syscall": "{name}"{arguments}}}"#);
    }
    text
}

fn refused(plan: &Plan) -> Vec<(&'static str, String)> {
    let is = |index: u8, value: u64| {
        format!(r#", "args": [{{"index": {index}, "type": "dword", "op": "eq", "val": {value}}}]"#)
    };
    let has = |index: u8, bit: u64| {
        format!(r#", "args": [{{"index": {index}, "type": "dword", "op": {{"masked_eq": {bit}}}, "val": {bit}}}]"#)
    };
    let mut refused = Vec::new();
    // A namespace of its own would give it powers that it gave up, over kernel code that few programs reach.
    for flag in NAMESPACES {
        refused.push(("clone", has(0, flag)));
    }
    // Typed into the terminal of whoever started us, by a child.
    for request in [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSETD] {
        refused.push(("ioctl", is(1, request)));
    }
    // Beside its own machine's there are sockets to the kernel, to devices and to other machines.
    let outermost = FAMILIES
        .iter()
        .filter(|family| plan.unix_sockets || **family != libc::AF_UNIX)
        .map(|family| format!(r#"{{"index": 0, "type": "dword", "op": "ne", "val": {family}}}"#));
    refused.push(("socket", format!(r#", "args": [{}]"#, outermost.collect::<Vec<_>>().join(", "))));
    refused.push((
        "socketpair",
        format!(r#", "args": [{{"index": 0, "type": "dword", "op": "ne", "val": {}}}]"#, libc::AF_UNIX),
    ));
    if plan.tier != Tier::Full || !plan.unix_sockets {
        // A datagram can be sent to any name in the file system; between processes, the kernel takes a raw socket for one of datagrams.
        refused.push(("socketpair", has_type(libc::SOCK_DGRAM)));
        refused.push(("socketpair", has_type(libc::SOCK_RAW)));
    }
    if plan.tier != Tier::Full {
        refused.extend(refused_without_namespaces());
    }
    // Raw packets need no family of their own.
    refused.push(("socket", has_type(libc::SOCK_RAW)));
    // Files that hold a set-user-ID bit would be executed with it by others.
    for (name, index) in [("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2)] {
        refused.push((name, has(index, SET_USER)));
        refused.push((name, has(index, SET_GROUP)));
    }
    if cfg!(target_arch = "x86_64") {
        refused.push(("chmod", has(1, SET_USER)));
        refused.push(("chmod", has(1, SET_GROUP)));
    }
    // The same where a file is made.
    refused.extend(made_with_set_user());
    // A shadow of the kernel's own filters is nothing a server listens to.
    refused.push(("prctl", is(0, PR_SET_MM)));
    refused
}

/// What reaches processes that are not its own, but are its user's.
fn refused_without_namespaces() -> Vec<(&'static str, String)> {
    let is_not = |index: u8| format!(r#", "args": [{{"index": {index}, "type": "dword", "op": "ne", "val": 0}}]"#);
    vec![
        // 0 is the process itself.
        ("prlimit64", is_not(0)),
        ("sched_setaffinity", is_not(0)),
        ("sched_setscheduler", is_not(0)),
        ("setpriority", is_not(0)),
        ("setpriority", is_not(1)),
    ]
}

/// Files that are made with a set-user-ID or set-group-ID bit. The mode counts only with a flag that makes a file; without one there
/// may be anything in its place.
fn made_with_set_user() -> Vec<(&'static str, String)> {
    let calls: &[(&str, Option<u8>, u8)] = if cfg!(target_arch = "x86_64") {
        &[("openat", Some(2), 3), ("open", Some(1), 2), ("creat", None, 1)]
    } else {
        &[("openat", Some(2), 3)]
    };
    let has = |index: u8, bit: u64| {
        format!(r#"{{"index": {index}, "type": "dword", "op": {{"masked_eq": {bit}}}, "val": {bit}}}"#)
    };
    let mut refused = Vec::new();
    for (name, flags, mode) in calls {
        for bit in [SET_USER, SET_GROUP] {
            let bit = has(*mode, bit);
            match flags {
                Some(flags) => refused
                    .extend(MAKING.map(|making| (*name, format!(r#", "args": [{}, {bit}]"#, has(*flags, making))))),
                None => refused.push((*name, format!(r#", "args": [{bit}]"#))),
            }
        }
    }
    refused
}

fn has_type(kind: i32) -> String {
    // The low bits are the type; the others say how the descriptor behaves.
    format!(r#", "args": [{{"index": 1, "type": "dword", "op": {{"masked_eq": {SOCK_TYPE_MASK}}}, "val": {kind}}}]"#)
}

/// What a name in the file system, or none, leads to: without namespaces these would be the user's own (the session bus, the agent of keys).
const NAMED_SOCKETS: [&str; 8] = ["accept", "accept4", "bind", "connect", "listen", "sendmmsg", "sendto", "socket"];
/// What Landlock does not look at: the modes, owners, times and attributes of any file that is the user's, what happens in a folder, and
/// what processes share by number or name.
const UNFENCED: [&str; 35] = [
    "chmod",
    "chown",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fremovexattr",
    "fsetxattr",
    "futimesat",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "lchown",
    "lremovexattr",
    "lsetxattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedsend",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "removexattr",
    "semctl",
    "semget",
    "setxattr",
    "shmat",
    "shmget",
    "utime",
    "utimensat",
    "utimes",
];
/// AF_UNIX, AF_INET, AF_INET6.
const FAMILIES: [i32; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];
const NAMESPACES: [u64; 8] = [
    0x0002_0000, // CLONE_NEWNS
    0x0200_0000, // CLONE_NEWCGROUP
    0x0400_0000, // CLONE_NEWUTS
    0x0800_0000, // CLONE_NEWIPC
    0x1000_0000, // CLONE_NEWUSER
    0x2000_0000, // CLONE_NEWPID
    0x4000_0000, // CLONE_NEWNET
    0x0000_0080, // CLONE_NEWTIME
];
/// O_CREAT, and what makes O_TMPFILE of O_DIRECTORY.
const MAKING: [u64; 2] = [0o100, 0o20_000_000];
const SET_USER: u64 = 0o4000;
const SET_GROUP: u64 = 0o2000;
const SOCK_TYPE_MASK: u64 = 0xf;
const PR_SET_MM: u64 = 35;
/// Whoever asks this of the kernel is no server of files or issues.
const FATAL: [&str; 14] = [
    "bpf",
    "delete_module",
    "finit_module",
    "init_module",
    "kexec_file_load",
    "kexec_load",
    "open_by_handle_at",
    "pivot_root",
    "process_vm_writev",
    "ptrace",
    "reboot",
    "swapoff",
    "swapon",
    "userfaultfd",
];
