//! What the kernel offers without a safe wrapper: with `family::fork` and the `pre_exec` of the outer half, all that is unsafe.

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities};

use super::control::Control;
use crate::order::CONTROL;

/// The socket that whoever started us left at descriptor 3, if there is one.
pub(crate) fn take_control() -> Option<OwnedFd> {
    // SAFETY: the descriptor is only looked at, and only while this function runs; one that is closed is an error, not undefined.
    #[expect(unsafe_code, reason = "the number is the contract with whoever started us")]
    let seen = unsafe { BorrowedFd::borrow_raw(CONTROL) };
    let is_socket = rustix::net::sockopt::socket_type(seen).is_ok_and(|kind| kind == rustix::net::SocketType::STREAM);
    if !is_socket || rustix::io::fcntl_setfd(seen, rustix::io::FdFlags::CLOEXEC).is_err() {
        return None;
    }
    // SAFETY: it is open, as was just seen; this runs once, at the start of a process with one thread that has opened nothing of its
    // own, so nothing else owns it.
    #[expect(unsafe_code, reason = "the number is the contract with whoever started us")]
    let own = unsafe { OwnedFd::from_raw_fd(CONTROL) };
    Some(own)
}

/// Whatever else whoever started us left open.
pub(crate) fn close_all_but(control: &Control) -> io::Result<()> {
    let first = control.as_fd().as_raw_fd().saturating_add(1);
    let first = libc::c_uint::try_from(first).map_err(io::Error::other)?;
    // SAFETY: closes descriptors by number; those above the control socket were inherited, and nothing here owns one of them.
    #[expect(unsafe_code, reason = "no safe wrapper closes a range")]
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets attributes of a mount, and of all in it.
pub(crate) fn set_attributes(mount: &impl AsFd, set: u64) -> io::Result<()> {
    attributes(mount, set, libc::AT_RECURSIVE)
}

/// Sets attributes of a mount, and of none that lies in it.
pub(crate) fn set_attributes_of_one(mount: &impl AsFd, set: u64) -> io::Result<()> {
    attributes(mount, set, 0)
}

fn attributes(mount: &impl AsFd, set: u64, how: i32) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    let empty: &CStr = c"";
    // SAFETY: the path is a C string that ends, the structure is of the size that is told, and both live until the call returns.
    #[expect(unsafe_code, reason = "no safe wrapper for mount_setattr(2)")]
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            empty.as_ptr(),
            libc::AT_EMPTY_PATH | how,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Brings the loopback interface of this network namespace up.
pub(crate) fn loopback_up(socket: &impl AsFd) -> io::Result<()> {
    // SAFETY: a structure of plain numbers and bytes, for which all zeroes is a value.
    #[expect(unsafe_code, reason = "the structure has no constructor")]
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes_with_nul()) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(libc::c_short::MAX);
    // SAFETY: the request is a whole `ifreq` with a name that ends, which is what SIOCSIFFLAGS reads.
    #[expect(unsafe_code, reason = "no safe wrapper for this ioctl")]
    let set = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// No capability is left, and none can be gained.
pub(crate) fn give_up_powers() -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // Without the power to do so (no user namespace), or a capability that this kernel does not know.
            Ok(()) | Err(rustix::io::Errno::PERM | rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    match rustix::thread::clear_ambient_capability_set() {
        Ok(()) | Err(rustix::io::Errno::INVAL) => {}
        Err(error) => return Err(error),
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

/// The usual action on every signal: what whoever started us ignores, a program would go on to ignore.
pub(crate) fn heed_all_signals() -> nix::Result<()> {
    // For these two nothing else can be set.
    Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)).try_for_each(heed)
}

/// The usual action on a signal.
pub(crate) fn heed(signal: Signal) -> nix::Result<()> {
    let usual = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the usual action is no code of ours.
    #[expect(unsafe_code, reason = "a handler could be any code")]
    unsafe { sigaction(signal, &usual) }.map(|_before| ())
}

/// Nobody of the same user can look into this process.
pub(crate) fn hide() -> rustix::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}
