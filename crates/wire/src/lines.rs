//! Newline-delimited framing, as stdio has it (ST-01).

use bytes::{Bytes, BytesMut};

/// Splits a stream of bytes into lines, whatever chunks they come in.
#[derive(Debug)]
pub struct Lines {
    line_bytes_max: usize,
    line: BytesMut,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// `line` holds the beginning of a line.
    Reading,
    /// The line was too long: everything up to its end is dropped.
    Skipping,
}

/// A line is longer than permitted. It is dropped whole; the next line is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line is longer than {line_bytes_max} bytes")]
pub struct LineTooLong {
    /// The limit, in bytes, without the line's end.
    pub line_bytes_max: usize,
}

impl Lines {
    /// Reads lines of at most `line_bytes_max` bytes, without their end.
    #[must_use]
    pub fn new(line_bytes_max: usize) -> Lines {
        Lines { line_bytes_max, line: BytesMut::new(), state: State::Reading }
    }

    /// Takes a chunk and appends the lines that it completes to `out`, without their ends (`\n` or
    /// `\r\n`). Empty lines are no messages and are skipped.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<Result<Bytes, LineTooLong>>) {
        let mut rest = chunk;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.take(rest.get(..end).unwrap_or_default(), out);
            self.finish_line(out);
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        self.take(rest, out);
    }

    /// Bytes of a line that has not ended: at the end of the stream, more than none means that it broke
    /// off within a message.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.line.len()
    }

    fn take(&mut self, part: &[u8], out: &mut Vec<Result<Bytes, LineTooLong>>) {
        if self.state == State::Skipping {
            return;
        }
        // One byte more may be the carriage return of the line's end.
        if self.line.len() + part.len() > self.line_bytes_max.saturating_add(1) {
            self.refuse(out);
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn finish_line(&mut self, out: &mut Vec<Result<Bytes, LineTooLong>>) {
        if self.state == State::Skipping {
            self.state = State::Reading;
            return;
        }
        if self.line.last() == Some(&b'\r') {
            self.line.truncate(self.line.len() - 1);
        }
        if self.line.len() > self.line_bytes_max {
            self.refuse(out);
            self.state = State::Reading;
        } else if !self.line.is_empty() {
            out.push(Ok(self.line.split().freeze()));
        }
    }

    fn refuse(&mut self, out: &mut Vec<Result<Bytes, LineTooLong>>) {
        self.line = BytesMut::new();
        self.state = State::Skipping;
        out.push(Err(LineTooLong { line_bytes_max: self.line_bytes_max }));
    }
}

/// A message as a line.
///
/// ST-01 forbids line ends within a message. In strict JSON a raw one can only be white space between
/// tokens, so that a space says the same.
#[must_use]
pub fn frame(message: &Bytes) -> Bytes {
    let blank = |byte: &u8| {
        if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }
    };
    let mut line = BytesMut::with_capacity(message.len() + 1);
    line.extend(message.iter().map(blank));
    line.extend_from_slice(b"\n");
    line.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line_bytes_max: usize, chunks: &[&str]) -> (Vec<Result<Bytes, LineTooLong>>, usize) {
        let mut lines = Lines::new(line_bytes_max);
        let mut out = Vec::new();
        for chunk in chunks {
            lines.feed(chunk.as_bytes(), &mut out);
        }
        (out, lines.pending())
    }

    fn good(text: &'static str) -> Result<Bytes, LineTooLong> {
        Ok(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn lines_end_alike_in_any_chunks() {
        let text = "one\ntwo\r\n\n\r\nthree\nrest";
        let expected = (vec![good("one"), good("two"), good("three")], 4);
        assert_eq!(read(10, &[text]), expected);
        for cut in 0..text.len() {
            let (before, behind) = text.split_at(cut);
            assert_eq!(read(10, &[before, behind]), expected, "{cut}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_once_and_the_next_is_read() {
        let too_long = Err(LineTooLong { line_bytes_max: 3 });
        assert_eq!(read(3, &["abc\n", "abc\r\n"]).0, [good("abc"), good("abc")]);
        assert_eq!(read(3, &["abcd\nx\n"]).0, [too_long.clone(), good("x")]);
        assert_eq!(read(3, &["ab", "cd", "ef\n", "x\n"]).0, [too_long.clone(), good("x")]);
        assert_eq!(read(3, &["abcdefgh"]), (vec![too_long], 0));
    }

    #[test]
    fn a_framed_message_is_one_line() {
        let message = Bytes::from_static(b"{\"a\":\r\n1}");
        assert_eq!(frame(&message), "{\"a\":  1}\n");
    }
}
