//! What a server's cage tells, written down.

use std::sync::Arc;

use sekisho_audit::Outcome;
use sekisho_sandbox::{Said, Speech, Tier};

use crate::error::words;
use crate::notes::Notes;

/// Listens until the launcher has ended. Why nothing was started, if nothing was. Dropped, the server ends.
pub(crate) async fn listen(mut speech: Speech, tier: Tier, notes: Arc<Notes>) -> Option<Box<str>> {
    let mut refused = None;
    let mut fence = 0;
    while let Some(said) = speech.next().await {
        match said {
            Said::Process { landlock, .. } => fence = landlock,
            Said::WayOut(_) => {}
            Said::Started => {
                notes.confined(&format!("tier {tier}, Landlock {fence}"));
            }
            Said::Failed { step, why } => {
                let told = format!("its cage cannot be built: {step}: {why}");
                notes.turn(Outcome::Failed, "the process was not started", &told);
                refused.get_or_insert(words(&told));
            }
            Said::Exited(_) => {}
            Said::Killed(signal) if signal == BAD_CALL => {
                notes.suspicious("the kernel ended the process: it asked for what no server may", "");
            }
            Said::Killed(signal) => tracing::debug!(target: "upstream", signal, "the process was ended by a signal"),
        }
    }
    let starved = speech.groups().out_of_memory();
    if starved > 0 {
        notes.turn(Outcome::Failed, "the process used more memory than it may", "");
    }
    refused
}

/// SIGSYS, which a filter of system calls ends a process by.
const BAD_CALL: i32 = nix::libc::SIGSYS;
