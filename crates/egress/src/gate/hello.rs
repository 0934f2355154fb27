//! What TLS says in clear before it falls silent: the name of the server that is wanted.

use rustls::server::Acceptor;

/// Looks at both ends of a tunnel until no name can be said in clear any more. Nothing of the client's goes out before the look has
/// passed it. A name can be said twice: a server may ask for a second hello (RFC 8446 section 4.1.4), and some servers go by that one.
#[derive(Debug)]
pub(super) struct Greeting {
    /// The name that must be said; none if it is an address that was asked for.
    name: Option<String>,
    stage: Stage,
    /// What the client said and has not gone out.
    held: Vec<u8>,
    /// How much of it may go.
    passed: usize,
    /// The server's first bytes, as many as tell whether it asks for a second hello.
    answer: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    /// The client's hello is not whole.
    Hello(Hello),
    /// The server has not answered.
    Answer,
    /// It asked for a second hello, which is not there or not whole.
    SecondHello(Hello),
    /// No name can be said in clear any more.
    Over,
}

/// Why a tunnel is not the TLS that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHello {
    /// It is no TLS.
    #[error("what came through the tunnel is no TLS")]
    NotTls,
    /// It is TLS without a hello that can be read.
    #[error("the hello of TLS is malformed")]
    Malformed,
    /// The hello is too long.
    #[error("the hello of TLS is longer than 16 KiB")]
    TooLong,
    /// It says no name.
    #[error("the hello of TLS names no server")]
    Nameless,
    /// It says another name.
    #[error("the hello of TLS names another server than the tunnel")]
    OtherName,
    /// It did not come in time.
    #[error("the hello of TLS did not come in time")]
    Late,
    /// The server's answer is no TLS.
    #[error("the server's answer is no TLS")]
    Answer,
}

impl Greeting {
    pub(super) fn new(name: Option<&str>) -> Greeting {
        Greeting {
            name: name.map(str::to_owned),
            stage: Stage::Hello(Hello::default()),
            held: Vec::new(),
            passed: 0,
            answer: Vec::new(),
        }
    }

    /// Takes what the client says.
    pub(super) fn up(&mut self, bytes: &[u8]) -> Result<(), BadHello> {
        self.held.extend_from_slice(bytes);
        self.look()
    }

    /// Takes what the server says. It need not be held back.
    pub(super) fn down(&mut self, bytes: &[u8]) -> Result<(), BadHello> {
        if !matches!(self.stage, Stage::Answer) {
            return Ok(());
        }
        let room = ANSWER_BYTES_MAX.saturating_sub(self.answer.len());
        self.answer.extend(bytes.iter().take(room));
        match asks_again(&self.answer)? {
            None if self.answer.len() >= ANSWER_BYTES_MAX => return Err(BadHello::Answer),
            None => {}
            Some(Asks::Again) => self.stage = Stage::SecondHello(Hello::default()),
            Some(Asks::Nothing) => self.stage = Stage::Over,
        }
        self.look()
    }

    /// What may go out.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let rest = self.held.split_off(self.passed.min(self.held.len()));
        self.passed = 0;
        std::mem::replace(&mut self.held, rest)
    }

    /// How much the client may say before some of it goes out.
    pub(super) fn room(&self) -> usize {
        HELD_BYTES_MAX.saturating_sub(self.held.len())
    }

    /// Whether the client's hello is still awaited.
    pub(super) fn is_first(&self) -> bool {
        matches!(self.stage, Stage::Hello(_))
    }

    /// Whether all else may pass unseen.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    fn look(&mut self) -> Result<(), BadHello> {
        loop {
            let is_first = self.is_first();
            let hello = match &mut self.stage {
                Stage::Over => {
                    self.passed = self.held.len();
                    return Ok(());
                }
                Stage::Answer => return Ok(()),
                Stage::Hello(hello) | Stage::SecondHello(hello) => hello,
            };
            let unseen = self.held.get(self.passed.saturating_add(hello.bytes)..).unwrap_or_default();
            let Some((kind, record)) = record(unseen)? else {
                let is_too_long = is_first && self.held.len() > HELLO_BYTES_MAX;
                return if is_too_long { Err(BadHello::TooLong) } else { Ok(()) };
            };
            match (kind, hello.bytes) {
                (Kind::Handshake, _) => match hello.take(record)? {
                    None => {}
                    Some(said) => self.judge(&said)?,
                },
                (Kind::ChangeCipherSpec | Kind::Data | Kind::Alert, _) if is_first => return Err(BadHello::NotTls),
                // Early data that the server does not want, and records that mean nothing yet (RFC 8446 section 4.2.10 and D.4).
                (Kind::ChangeCipherSpec | Kind::Data | Kind::Alert, 0) => {
                    self.passed = self.passed.saturating_add(record.len());
                }
                (Kind::ChangeCipherSpec | Kind::Data | Kind::Alert, _) => return Err(BadHello::Malformed),
            }
        }
    }

    fn judge(&mut self, said: &Said) -> Result<(), BadHello> {
        match (said, &self.name) {
            (Said::Name(said), Some(name)) if said.strip_suffix('.').unwrap_or(said).eq_ignore_ascii_case(name) => {}
            (Said::Nothing, None) => {}
            (Said::Nothing, Some(_)) => return Err(BadHello::Nameless),
            (Said::Name(_), _) => return Err(BadHello::OtherName),
        }
        match &self.stage {
            Stage::Hello(hello) => {
                self.passed = self.passed.saturating_add(hello.bytes);
                self.stage = Stage::Answer;
            }
            Stage::SecondHello(_) | Stage::Answer | Stage::Over => self.stage = Stage::Over,
        }
        Ok(())
    }
}

/// A hello that comes in record by record.
#[derive(Default)]
struct Hello {
    acceptor: Acceptor,
    /// How much of it has come in.
    bytes: usize,
}

/// What a hello says.
enum Said {
    Name(String),
    Nothing,
}

impl Hello {
    fn take(&mut self, mut record: &[u8]) -> Result<Option<Said>, BadHello> {
        self.bytes = self.bytes.saturating_add(record.len());
        if self.bytes > HELLO_BYTES_MAX {
            return Err(BadHello::TooLong);
        }
        while !record.is_empty() {
            self.acceptor.read_tls(&mut record).map_err(|_| BadHello::Malformed)?;
        }
        let accepted = self.acceptor.accept().map_err(|_| BadHello::Malformed)?;
        Ok(accepted.map(|accepted| match accepted.client_hello().server_name() {
            Some(name) => Said::Name(name.to_owned()),
            None => Said::Nothing,
        }))
    }
}

impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// What a record holds (RFC 8446 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ChangeCipherSpec,
    Alert,
    Handshake,
    Data,
}

/// The record in front, its header with it, if it is whole.
fn record(bytes: &[u8]) -> Result<Option<(Kind, &[u8])>, BadHello> {
    let kind = match bytes.first() {
        None => return Ok(None),
        Some(20) => Kind::ChangeCipherSpec,
        Some(&ALERT) => Kind::Alert,
        Some(&HANDSHAKE) => Kind::Handshake,
        Some(23) => Kind::Data,
        Some(_) => return Err(BadHello::NotTls),
    };
    if bytes.get(1).is_some_and(|major| *major != TLS_MAJOR) {
        return Err(BadHello::NotTls);
    }
    let (Some(high), Some(low)) = (bytes.get(3), bytes.get(4)) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    // An empty record of a handshake is forbidden (RFC 8446 section 5.1), and would never end.
    if length == 0 || length > RECORD_BYTES_MAX {
        return Err(BadHello::Malformed);
    }
    Ok(bytes.get(..length.saturating_add(RECORD_HEADER_BYTES)).map(|record| (kind, record)))
}

enum Asks {
    Again,
    Nothing,
}

/// Whether the server asks for a second hello: it says so by a number in its own hello. None while that cannot be known.
fn asks_again(answer: &[u8]) -> Result<Option<Asks>, BadHello> {
    let answer = behind_alerts(answer);
    let fits = |at: usize, expected: u8| answer.get(at).is_none_or(|byte| *byte == expected);
    if !(fits(0, HANDSHAKE) && fits(1, TLS_MAJOR) && fits(RECORD_HEADER_BYTES, SERVER_HELLO)) {
        return Err(BadHello::Answer);
    }
    if let (Some(high), Some(low)) = (answer.get(3), answer.get(4))
        && usize::from(u16::from_be_bytes([*high, *low])) < SERVER_HELLO_BYTES
    {
        // Its number stands in two records: nobody writes it so, and it could not be read here.
        return Err(BadHello::Answer);
    }
    match answer.get(RECORD_HEADER_BYTES..).and_then(|hello| hello.get(RANDOM_AT..SERVER_HELLO_BYTES)) {
        Some(random) if random == RETRY => Ok(Some(Asks::Again)),
        Some(_) => Ok(Some(Asks::Nothing)),
        None => Ok(None),
    }
}

/// A server may warn before it says hello: that it does not know the name, say.
fn behind_alerts(mut answer: &[u8]) -> &[u8] {
    while let [ALERT, TLS_MAJOR, _, 0, 2, _, _, rest @ ..] = answer {
        answer = rest;
    }
    match answer {
        // One that is not whole says nothing yet.
        [ALERT, ..] if answer.len() < ALERT_BYTES => &[],
        _ => answer,
    }
}

const TLS_MAJOR: u8 = 3;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
const RECORD_HEADER_BYTES: usize = 5;
/// Of a record in clear 2^14; others may be a little longer (RFC 8446 section 5.2; RFC 5246 section 6.2.3).
const RECORD_BYTES_MAX: usize = 16 * 1024 + 2048;
pub(super) const HELLO_BYTES_MAX: usize = 16 * 1024;
/// A record of early data and a hello behind it.
const HELD_BYTES_MAX: usize = 2 * (RECORD_BYTES_MAX + RECORD_HEADER_BYTES);
/// The header of the message, a version, and 32 random bytes.
const SERVER_HELLO_BYTES: usize = 4 + 2 + 32;
const RANDOM_AT: usize = 4 + 2;
const ALERT_BYTES: usize = RECORD_HEADER_BYTES + 2;
/// Room for a server's first words and a few warnings before.
const ANSWER_BYTES_MAX: usize = 256;
/// SHA-256 of `HelloRetryRequest` (RFC 8446 section 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

#[cfg(test)]
mod tests;
