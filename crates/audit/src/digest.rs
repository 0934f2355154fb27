//! What stands in the log for a text that must not.

use std::fmt;
use std::ops::Deref;

use serde::{Serialize, Serializer};

use crate::config::Algorithm;

/// SHA-256 (FIPS 180-4) of the bytes that were checked, forwarded or received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Digest {
        let mut sum = [0; 32];
        for (to, from) in sum.iter_mut().zip(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref()) {
            *to = *from;
        }
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
    }

    #[test]
    fn session_tag_shows_eight_digits_of_the_hash() {
        assert_eq!(SessionTag::of(&Digest::of(b"abc")).to_string(), "ba7816bf");
    }
}
