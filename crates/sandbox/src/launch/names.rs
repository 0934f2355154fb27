//! Namespaces: users, processes, mounts, network, names and groups of its own.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

use super::kernel;
use crate::plan::WAY_OUT_PORT;

/// Who the server is inside; outside, it is who it was.
pub(crate) const INSIDE: u32 = 1000;

/// Leaves every namespace that can be left. The next child is the first process of a namespace of its own.
pub(crate) fn leave() -> nix::Result<()> {
    unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWCGROUP,
    )
}

/// One user and one group exist, and nobody can become another (user_namespaces(7)).
pub(crate) fn be_one_user(user: Uid, group: Gid) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{INSIDE} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{INSIDE} {group} 1"))
}

pub(crate) fn take_host_name() -> rustix::io::Result<()> {
    rustix::system::sethostname(b"sandbox")
}

/// The one address that can be connected to. Whoever holds the listener hears who comes, and is outside.
pub(crate) fn open_way_out() -> io::Result<OwnedFd> {
    let probe = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    kernel::loopback_up(&probe)?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, WAY_OUT_PORT)).map(OwnedFd::from)
}
