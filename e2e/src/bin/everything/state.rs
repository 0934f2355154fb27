//! Request state that survives a round trip through a client that may change it.
//!
//! Sealed as a signed token with a key that lives as long as the process, so a changed byte, an
//! outdated state, or one made for another tool is refused.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rmcp::ErrorData;
use serde::{Deserialize, Serialize};

/// What a round remembers.
#[derive(Debug, Serialize, Deserialize)]
struct Round {
    /// The tool or prompt that parked.
    sub: String,
    /// How many rounds have been answered.
    round: u32,
    /// When the state stops being good, in seconds since 1970.
    exp: u64,
}

/// Seals "`of` has answered `round` rounds".
pub(crate) fn seal(of: &str, round: u32) -> Result<String, ErrorData> {
    let round = Round { sub: of.to_owned(), round, exp: now().saturating_add(LIFETIME_SECONDS) };
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &round, &EncodingKey::from_secret(&*KEY))
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// How many rounds of `of` the state has seen.
///
/// # Errors
/// Invalid params, when the state was changed, is too old, or belongs to something else.
pub(crate) fn open(of: &str, state: &str) -> Result<u32, ErrorData> {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.sub = Some(of.to_owned());
    jsonwebtoken::decode::<Round>(state, &DecodingKey::from_secret(&*KEY), &rules)
        .map(|token| token.claims.round)
        .map_err(|_| ErrorData::invalid_params("requestState fails its integrity check", None))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How long a client may take to answer.
const LIFETIME_SECONDS: u64 = 300;

/// The key of this process. Two hashers seeded by the operating system are random enough for a
/// fixture that guards nothing.
static KEY: LazyLock<[u8; 16]> = LazyLock::new(|| {
    use std::hash::{BuildHasher, RandomState};
    let halves = [RandomState::new().hash_one(0u8), RandomState::new().hash_one(1u8)];
    let mut key = [0u8; 16];
    for (into, byte) in key.iter_mut().zip(halves.iter().flat_map(|half| half.to_le_bytes())) {
        *into = byte;
    }
    key
});
