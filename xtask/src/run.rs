//! Running other programs: without input, within a time, and ended with us.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Runs `command` to its end and demands success.
///
/// # Errors
/// When it cannot be started, fails, or takes longer than `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> anyhow::Result<()> {
    let words = words(command);
    eprintln!("xtask: {words}");
    let status = finish(command, limit).with_context(|| words.clone())?;
    anyhow::ensure!(status.success(), "{words}: {status}");
    Ok(())
}

/// Runs `command` and returns what it says on standard output.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let words = words(command);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().with_context(|| words.clone())?;
    anyhow::ensure!(output.status.success(), "{words}: {}", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("{words}: its output is no text"))
}

/// Whether a program can be started and answers `--version`.
pub(crate) fn exists(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn finish(command: &mut Command, limit: Duration) -> anyhow::Result<ExitStatus> {
    let mut child = command.stdin(Stdio::null()).spawn().context("cannot be started")?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() >= limit {
            end(&mut child);
            anyhow::bail!("not done within {} s", limit.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// Asks first: cargo, nextest and npm then end what they have started.
fn end(child: &mut Child) {
    if let Ok(id) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
    let asked = Instant::now();
    while asked.elapsed() < GRACE && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(POLL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

const POLL: Duration = Duration::from_millis(50);
const GRACE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let start = Instant::now();
        let error = run(Command::new("sleep").arg("600"), Duration::from_millis(200)).unwrap_err();
        assert!(format!("{error:#}").contains("not done within"), "{error:#}");
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_program_that_fails_is_an_error_and_its_neighbour_is_not() {
        assert!(run(&mut Command::new("false"), Duration::from_secs(10)).is_err());
        assert!(run(&mut Command::new("true"), Duration::from_secs(10)).is_ok());
    }
}
