//! The servers of this package, as processes.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::place;
use crate::process::Running;

/// The everything server over HTTP.
#[derive(Debug)]
pub struct Everything {
    url: String,
    // Ends the process when dropped.
    _process: Running,
}

impl Everything {
    /// Starts it with more options, such as `--lax` or `--era legacy`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(options: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(place::binary("everything")?);
        command
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = Running::start(&mut command)?;
        let url = process.first_line(START)?;
        Ok(Self { url, _process: process })
    }

    /// Its endpoint.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The command line of the everything server over standard input and output.
///
/// # Errors
/// When it was not built.
pub fn everything_command(options: &[&str]) -> anyhow::Result<Vec<String>> {
    let program = place::binary("everything")?.display().to_string();
    let options = options.iter().map(|option| (*option).to_owned());
    Ok([program, "--stdio".to_owned()].into_iter().chain(options).collect())
}

/// How long the start may take.
const START: Duration = Duration::from_secs(20);
