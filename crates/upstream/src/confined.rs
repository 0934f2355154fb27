//! What a server's cage tells, written down.

use std::sync::Arc;

use sekisho_audit::Outcome;
use sekisho_egress::Gate;
use sekisho_sandbox::{Said, Speech, Tier};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::error::words;
use crate::notes::Notes;
use crate::watch::Watch;

/// Listens until the launcher has ended. Why nothing was started, if nothing was. Dropped, the server ends.
pub(crate) async fn listen(
    mut speech: Speech,
    tier: Tier,
    gate: Option<Arc<Gate>>,
    watch: Arc<Watch>,
    notes: Arc<Notes>,
) -> Option<Box<str>> {
    // Ends with this function, whatever ends that.
    let mut passages = JoinSet::new();
    let mut refused = None;
    let mut fence = 0;
    while let Some(said) = speech.next().await {
        match said {
            Said::Process { process, landlock } => {
                watch.sees(process);
                fence = landlock;
            }
            Said::WayOut(listener) => {
                if let Some(gate) = &gate {
                    passages.spawn(serve(Arc::clone(gate), listener, Arc::clone(&notes)));
                }
            }
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

/// Lets out whoever may go.
async fn serve(gate: Arc<Gate>, listener: std::net::TcpListener, notes: Arc<Notes>) {
    let listener = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
    let error = match listener {
        Ok(listener) => gate.serve(listener).await,
        Err(error) => error,
    };
    notes.turn(Outcome::Failed, "its way out is closed", &error.to_string());
}

/// SIGSYS, which a filter of system calls ends a process by.
const BAD_CALL: i32 = nix::libc::SIGSYS;
