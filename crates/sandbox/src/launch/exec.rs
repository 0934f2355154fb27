//! The last step.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;

use nix::unistd::{chdir, execve};

use crate::plan::Plan;

/// The folder that it starts in; its home if that is not to be seen.
pub(crate) fn go_to(folder: &str, home: &str) -> nix::Result<()> {
    chdir(folder).or_else(|_| chdir(home)).or_else(|_| chdir("/"))
}

/// Becomes the program.
pub(crate) fn execute(plan: &Plan, environment: &[(String, String)]) -> io::Result<Infallible> {
    let c = |text: &str| {
        CString::new(text).map_err(|_| io::Error::other("a NUL character in a path, argument or variable"))
    };
    let program = c(&plan.program)?;
    let command = plan.command.iter().map(|word| c(word)).collect::<io::Result<Vec<CString>>>()?;
    let environment = environment.iter().map(|(name, value)| c(&format!("{name}={value}")));
    let environment = environment.collect::<io::Result<Vec<CString>>>()?;
    execve(&program, &command, &environment).map_err(io::Error::from)
}
