//! Ctrl-C: whoever was started is ended, too. They are in groups of their own, so the terminal does not tell them.

use std::process::exit;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sekisho_bench::usage;
use tokio::signal::unix::{SignalKind, signal};

/// Watches for SIGINT and SIGTERM on a thread of its own, as long as this process lives.
///
/// # Errors
/// When signals cannot be received.
pub(crate) fn watch() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let waiting = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        end_children();
        exit(INTERRUPTED);
    });
    waiting.map(drop).context("a thread cannot be started")
}

fn end_children() {
    for id in usage::tree(&[std::process::id()]).into_iter().skip(1) {
        if let Ok(id) = i32::try_from(id) {
            // One that is gone already is as it should be.
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

/// What shells say of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;
