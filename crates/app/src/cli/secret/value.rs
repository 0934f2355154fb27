//! A secret, from whoever has it: never by an argument, which all who can list processes see.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Stdin, Write as _};

use nix::libc::VEOL;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::problem::{Code, Problem};

/// From standard input, without one line end; asked for where that is a terminal, which does not show it.
///
/// # Errors
/// It is empty, too long, or no text, or it was given up.
pub(super) fn read(what: &str) -> Result<SecretString, Problem> {
    let stdin = io::stdin();
    // Room for all of it at once, so that no half of it is left behind where a growing buffer was.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX.saturating_add(3)));
    let read = if stdin.is_terminal() { asked(what, &stdin, &mut bytes) } else { all(&mut stdin.lock(), &mut bytes) };
    read.map_err(|error| Problem::new(Code::Secret, format!("{what} cannot be read: {error}")))?;
    let refused = |why: &str| Problem::new(Code::Secret, format!("{what} was not sealed: {why}"));
    if bytes.last() == Some(&END_OF_TEXT) {
        return Err(refused("it was given up"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| refused("it is no text"))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    match text.len() {
        0 => Err(refused("it is empty")),
        1..=BYTES_MAX => Ok(SecretString::from(text)),
        _ => Err(refused("it is longer than 64 KiB")),
    }
}

fn all(input: &mut impl io::Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    let bound = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(3);
    input.take(bound).read_to_end(bytes).map(drop)
}

/// One line of a terminal.
fn asked(what: &str, stdin: &Stdin, bytes: &mut Vec<u8>) -> io::Result<()> {
    let quiet = Quiet::new(stdin)?;
    eprint!("{what} (not shown): ");
    io::stderr().flush()?;
    let bound = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(3);
    let mut lock = stdin.lock().take(bound);
    // Up to the line's end or what ends it besides, whichever is first.
    loop {
        let buffer = lock.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n' || *byte == END_OF_TEXT);
        let taken = end.map_or(buffer.len(), |end| end.saturating_add(1));
        bytes.extend_from_slice(buffer.get(..taken).unwrap_or_default());
        let is_end = end.is_some() || buffer.is_empty();
        lock.consume(taken);
        if is_end {
            break;
        }
    }
    drop(quiet);
    eprintln!();
    Ok(())
}

/// A terminal that does not show what is typed, for as long as this is there. Ctrl-C ends the line instead of the program, which would
/// leave the terminal as it is.
struct Quiet<'a> {
    stdin: &'a Stdin,
    before: Termios,
}

impl Quiet<'_> {
    fn new(stdin: &Stdin) -> io::Result<Quiet<'_>> {
        let before = tcgetattr(stdin)?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
        if let Some(end) = quiet.control_chars.get_mut(VEOL) {
            *end = END_OF_TEXT;
        }
        // What was typed before, and shown, is not taken.
        tcsetattr(stdin, SetArg::TCSAFLUSH, &quiet)?;
        Ok(Quiet { stdin, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = tcsetattr(self.stdin, SetArg::TCSANOW, &self.before);
    }
}

/// What Ctrl-C types.
const END_OF_TEXT: u8 = 3;
const BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_a_secret_can_have() {
        let mut bytes = Vec::new();
        all(&mut io::repeat(b'x'), &mut bytes).unwrap();
        assert_eq!(bytes.len(), BYTES_MAX + 3);
    }
}
