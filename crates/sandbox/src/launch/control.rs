//! The socket to the gateway: the order comes over it, what happens is told over it, and when it closes all ends.

use std::io::{IoSlice, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::Pid;

use super::kernel;
use crate::order::{Line, ORDER_BYTES_MAX, Order};

/// The launcher's end.
pub(crate) struct Control(UnixStream);

impl Control {
    /// The end that was handed over. None: nobody did.
    pub(crate) fn take() -> Option<Control> {
        kernel::take_control().map(|fd| Control(UnixStream::from(fd)))
    }

    /// What is to be done. None: it is cut off, too long, or no order.
    pub(crate) fn order(&self) -> Option<Order> {
        let mut length = [0; 4];
        (&self.0).read_exact(&mut length).ok()?;
        let length = u32::from_be_bytes(length);
        if length > ORDER_BYTES_MAX {
            return None;
        }
        let mut text = String::new();
        let read = (&self.0).take(u64::from(length)).read_to_string(&mut text).ok()?;
        if u32::try_from(read).ok() != Some(length) {
            return None;
        }
        toml::from_str(&text).ok()
    }

    /// Tells. Whoever does not listen has closed the life line, which is noticed elsewhere. A plain write: other ways to send may be
    /// filtered already.
    pub(crate) fn say(&self, line: &Line) {
        let line = line.write();
        let mut rest = line.as_bytes();
        while let Ok(written) = rustix::io::retry_on_intr(|| rustix::io::write(&self.0, rest)) {
            match rest.get(written..) {
                Some(left) if !left.is_empty() && written > 0 => rest = left,
                Some(_) | None => return,
            }
        }
    }

    pub(crate) fn say_process(&self, process: Pid, landlock: u32) {
        let process = u32::try_from(process.as_raw_nonzero().get()).unwrap_or_default();
        self.say(&Line::Process { process, landlock });
    }

    /// Hands a descriptor over, with a line that says so.
    pub(crate) fn hand_over(&self, fd: &OwnedFd) -> rustix::io::Result<()> {
        let fds = [fd.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(rustix::io::Errno::NOBUFS);
        }
        sendmsg(&self.0, &[IoSlice::new(b"way-out\n")], &mut ancillary, SendFlags::empty()).map(|_sent| ())
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
