//! Where a chunked body ends (RFC 9112 section 7.1). It is read in its plainest form alone, and goes on as it came.

/// Reads a chunked body as it comes.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many digits of a size have come, and this is what they say.
    Size {
        digits: u8,
        size: u64,
    },
    /// The CR behind a size is there.
    SizeCr(u64),
    /// So much of a chunk is to come.
    Data(u64),
    /// The CR behind a chunk is to come.
    DataEnd,
    DataCr,
    /// The empty line behind the last chunk is to come.
    Last,
    LastCr,
    #[default]
    Begin,
    Over,
}

/// It is not what a chunked body looks like: no size, an extension, a trailer, a line end that is not CR LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadChunks;

impl Chunks {
    /// How many of these bytes belong to the body.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<usize, BadChunks> {
        let mut at: usize = 0;
        while let Some(byte) = bytes.get(at) {
            match self.state {
                State::Over => break,
                State::Data(left) => {
                    let here = u64::try_from(bytes.len().saturating_sub(at)).unwrap_or(u64::MAX).min(left);
                    at = at.saturating_add(usize::try_from(here).unwrap_or(usize::MAX));
                    let left = left.saturating_sub(here);
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                }
                State::Size { .. }
                | State::SizeCr(_)
                | State::DataEnd
                | State::DataCr
                | State::Last
                | State::LastCr
                | State::Begin => {
                    self.state = next(self.state, *byte)?;
                    at = at.saturating_add(1);
                }
            }
        }
        Ok(at)
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }
}

fn next(state: State, byte: u8) -> Result<State, BadChunks> {
    match (state, byte) {
        (State::Begin, _) => digit(0, 0, byte),
        (State::Size { size, .. }, b'\r') => Ok(State::SizeCr(size)),
        (State::Size { digits, size }, _) => digit(digits, size, byte),
        (State::SizeCr(0), b'\n') => Ok(State::Last),
        (State::SizeCr(size), b'\n') => Ok(State::Data(size)),
        (State::DataEnd, b'\r') => Ok(State::DataCr),
        (State::DataCr, b'\n') => Ok(State::Begin),
        (State::Last, b'\r') => Ok(State::LastCr),
        (State::LastCr, b'\n') => Ok(State::Over),
        (State::SizeCr(_) | State::DataEnd | State::DataCr | State::Last | State::LastCr, _) => Err(BadChunks),
        (State::Data(_) | State::Over, _) => Err(BadChunks),
    }
}

fn digit(digits: u8, size: u64, byte: u8) -> Result<State, BadChunks> {
    let value = char::from(byte).to_digit(16).ok_or(BadChunks)?;
    if digits >= DIGITS_MAX {
        return Err(BadChunks);
    }
    Ok(State::Size { digits: digits.saturating_add(1), size: size.saturating_mul(16).saturating_add(value.into()) })
}

/// A chunk of 4 GiB and more is nobody's.
const DIGITS_MAX: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// How much of it is a body, if all of it is there.
    fn length(bytes: &[u8], step: usize) -> Result<Option<usize>, BadChunks> {
        let (mut chunks, mut whole) = (Chunks::default(), 0);
        for part in bytes.chunks(step) {
            whole += chunks.scan(part)?;
        }
        Ok(chunks.is_over().then_some(whole))
    }

    #[test]
    fn body_ends_behind_its_last_chunk_however_it_comes() {
        for (body, rest) in [
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "GET / HTTP/1.1\r\n"),
            ("a\r\n0123456789\r\n00000003\r\n\r\n\n\r\n000\r\n\r\n", "0\r\n\r\n"),
            ("B\r\n0\r\n\r\nhello!\r\n0\r\n\r\n", "x"),
        ] {
            let all = format!("{body}{rest}");
            for step in 1..=all.len() {
                assert_eq!(length(all.as_bytes(), step), Ok(Some(body.len())), "{all:?} by {step}");
            }
        }
        assert_eq!(length(b"5\r\nhell", 1), Ok(None));
    }

    #[test]
    fn what_two_parsers_read_differently_is_refused() {
        for body in [
            "\r\n\r\n",
            "x\r\n",
            "-1\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "5;a=b\r\nhello\r\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\rhello",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "0\r\nHost: a.b\r\n\r\n",
            "0\r\n\n",
            "000000005\r\nhello\r\n0\r\n\r\n",
            "fffffffffffffffff\r\n",
        ] {
            for step in [1, 2, 64] {
                assert_eq!(length(body.as_bytes(), step), Err(BadChunks), "{body:?}");
            }
        }
    }
}
