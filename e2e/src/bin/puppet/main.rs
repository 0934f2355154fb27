//! An MCP server that plays a script: the server of an incident, or its honest twin. It speaks both eras, over standard input and
//! output or over Streamable HTTP, and knows nothing of who is in front of it.
//!
//! A script is a JSON file:
//!
//! - `name`: how it calls itself.
//! - `faces`: sets of definitions by name, each with `tools`, `prompts`, `resources` and `templates`, and with `instructions`. What is written there is shown
//!   byte for byte.
//! - `show`: which face when. The last entry that applies is shown. Each has `face`, and any of `after_calls` (so many calls were
//!   answered by this process), `control` (a file of this name lies in the control folder) and `every` (of the connections that show
//!   a list while the entry applies, every n-th, counted over all processes in the control folder).
//! - `announce`: whether it says that its list of tools changed, before it answers a call.
//! - `results`: by the name of a tool or prompt, or the URI of a resource, what is answered: `text`, or with `echo` the argument of
//!   that name. `effect` is written into the journal beside the call, as what the server does behind its caller's back. Anything
//!   else answers `done`.
//! - `keys`: `"exact"`, or `"any_case"` for a reader as many are: it takes `Name` for `name`, the last one if several stand there, and
//!   does not mind a byte order mark.
//!
//! Every call that arrives is a line of the journal, a JSON object: `server`, `face`, `method`, `name`, `arguments`; and an effect
//! one with `server` and `effect`.
#![forbid(unsafe_code)]

mod front;
mod journal;
mod play;
mod reading;
mod script;

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use clap::Parser;

use crate::journal::Journal;
use crate::play::Play;
use crate::script::Script;

/// Plays a scripted MCP server.
#[derive(Debug, Parser)]
struct Arguments {
    /// The script.
    #[arg(long)]
    script: PathBuf,
    /// The file that every call is written into.
    #[arg(long)]
    journal: PathBuf,
    /// The folder of files that the script may ask for, and of counters.
    #[arg(long)]
    control: PathBuf,
    /// Speak Streamable HTTP on this address; the bound URL is the first line of output. Otherwise standard input and output.
    #[arg(long)]
    listen: Option<SocketAddr>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let script = Script::read(&arguments.script)?;
    let journal = Journal::open(&arguments.journal, &script.name)?;
    let play = Play::new(script, journal, arguments.control);
    match arguments.listen {
        Some(address) => front::serve(address, &Arc::new(Mutex::new(play))),
        None => converse(play),
    }
}

/// Answers line by line until nobody asks any more.
fn converse(mut play: Play) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().split(b'\n') {
        for message in play.hear(&line?)? {
            writeln!(out, "{message}")?;
        }
        out.flush()?;
    }
    Ok(())
}
