//! What stands in the log for a text that must not.

use std::fmt;
use std::io::{self, Read};
use std::ops::Deref;

use aws_lc_rs::digest;
use serde::{Serialize, Serializer};

use crate::config::Algorithm;

/// SHA-256 (FIPS 180-4) of the bytes that were checked, forwarded or received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::of_sum(&digest::digest(&digest::SHA256, bytes))
    }

    /// The digest of all that can be read.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_reader(mut from: impl Read) -> io::Result<Digest> {
        let (mut context, mut chunk) = (digest::Context::new(&digest::SHA256), vec![0; CHUNK_BYTES]);
        loop {
            match from.read(&mut chunk) {
                Ok(0) => return Ok(Digest::of_sum(&context.finish())),
                Ok(bytes) => context.update(chunk.get(..bytes).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What its 64 digits say; they are lower case, as they are written.
    #[must_use]
    pub fn parse(digits: &str) -> Option<Digest> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut sum = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (to, pair) in sum.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *to = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Digest(sum))
    }

    fn of_sum(of: &digest::Digest) -> Digest {
        let mut sum = [0; 32];
        sum.iter_mut().zip(of.as_ref()).for_each(|(to, from)| *to = *from);
        Digest(sum)
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The digest of a payload, by the algorithm that configuration names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadDigest {
    algorithm: Algorithm,
    bytes: [u8; 32],
}

impl PayloadDigest {
    /// The digest of `payload`.
    #[must_use]
    pub fn of(algorithm: Algorithm, payload: &[u8]) -> PayloadDigest {
        let bytes = match algorithm {
            Algorithm::Sha256 => Digest::of(payload).0,
            Algorithm::Blake3 => *blake3::hash(payload).as_bytes(),
        };
        PayloadDigest { algorithm, bytes }
    }

    /// Its 64 digits.
    pub(crate) fn hex(&self) -> Hex {
        Hex::of(&self.bytes)
    }

    /// How it was made.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl fmt::Display for PayloadDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Hex::of(&self.bytes).as_str())
    }
}

impl From<[u8; 32]> for Digest {
    fn from(sum: [u8; 32]) -> Digest {
        Digest(sum)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Hex::of(&self.0).as_str())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(Hex::of(&self.0).as_str())
    }
}

/// Bytes in hexadecimal digits, lower case. By a table: the formatter would be called once for each byte, three times a record.
pub(crate) struct Hex {
    digits: [u8; 64],
    length: usize,
}

impl Hex {
    /// At most 32 bytes.
    fn of(bytes: &[u8]) -> Hex {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
        let mut hex = Hex { digits: [0; 64], length: bytes.len().saturating_mul(2) };
        for (pair, byte) in hex.digits.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        hex
    }

    fn as_str(&self) -> &str {
        self.digits.get(..self.length).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
    }
}

impl Deref for Hex {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

/// What is read at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// Enough of a session's hash to tell the sessions of a log apart, too little to find the session by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionTag([u8; 4]);

impl SessionTag {
    /// The tag of a session by the digest of its id; written as 8 hexadecimal digits.
    #[must_use]
    pub fn of(session: &Digest) -> SessionTag {
        let [a, b, c, d, ..] = session.0;
        SessionTag([a, b, c, d])
    }

    /// Its 8 digits.
    pub(crate) fn hex(&self) -> Hex {
        Hex::of(&self.0)
    }
}

impl fmt::Display for SessionTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Hex::of(&self.0).as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_sha_256_in_hex() {
        // FIPS 180-4, example "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), expected);
        assert_eq!(Digest::of_reader(&b"abc"[..]).unwrap(), Digest::of(b"abc"));
        let long = vec![7; CHUNK_BYTES + 1];
        assert_eq!(Digest::of_reader(&long[..]).unwrap(), Digest::of(&long));
        assert_eq!(Digest::parse(expected), Some(Digest::of(b"abc")));
        for wrong in [
            expected.trim_start_matches('b'),
            "",
            &expected.to_uppercase(),
            &format!("{expected}0"),
            &expected.replace('b', "g"),
        ] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn session_tag_shows_eight_digits_of_the_hash() {
        assert_eq!(SessionTag::of(&Digest::of(b"abc")).to_string(), "ba7816bf");
    }
}
