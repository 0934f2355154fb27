//! Revocations of this machine's users, as one text that many processes read: whole or not at all.

use bytes::Bytes;
use sekisho_wire::Json;
use sekisho_wire::json::{Array, Limits, Object};

use crate::local::LOCAL_ISSUER;
use crate::revocation::{Revocation, Target};

/// Why such a text cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedError {
    /// It is no JSON, or too long.
    #[error("it is no JSON of at most 4 MiB")]
    NotJson,
    /// It is of another version, or something in it is no revocation of this machine's users.
    #[error("it is not what was written: entry {0} (from 1; 0: the text itself)")]
    Garbled(usize),
    /// More than are written.
    #[error("it has more than {SHARED_MAX} entries")]
    TooMany,
}

/// All of them as a text.
#[must_use]
pub fn write_shared(all: &[Revocation]) -> String {
    let mut rows = Array::new();
    all.iter().for_each(|one| rows.push(&one.written()));
    let object = Object::new().unsigned("version", VERSION).json("revocations", &rows.finish());
    format!("{}\n", object.finish().as_str())
}

/// What such a text says.
///
/// # Errors
/// [`SharedError`]: then nobody may be let in.
pub fn read_shared(text: Bytes) -> Result<Vec<Revocation>, SharedError> {
    let json = Json::decode(text, &TEXT).map_err(|_| SharedError::NotJson)?;
    let version = json.get("version").and_then(|version| version.number()?.integer());
    let rows = json.get("revocations").filter(|_| version == i64::try_from(VERSION).ok());
    let rows = rows.filter(|rows| rows.as_str().starts_with('[')).ok_or(SharedError::Garbled(0))?;
    let read = |(at, row): (usize, Json)| {
        let revocation = Revocation::of(&row).filter(|one| is_local(&one.target));
        revocation.ok_or(SharedError::Garbled(at.saturating_add(1)))
    };
    let all: Vec<Revocation> = rows.elements().enumerate().map(read).collect::<Result<_, _>>()?;
    if all.len() > SHARED_MAX { Err(SharedError::TooMany) } else { Ok(all) }
}

/// Whether it is about a user of this machine, or all of them: nothing else of theirs has a name that is proven.
#[must_use]
pub fn is_local(target: &Target) -> bool {
    match target {
        Target::Subject { issuer, .. } | Target::Issuer { issuer } => issuer == LOCAL_ISSUER,
        Target::Token { .. }
        | Target::Client { .. }
        | Target::IssuerSession { .. }
        | Target::Key { .. }
        | Target::Everything => false,
    }
}

const VERSION: u64 = 1;
/// LIMIT: users of this machine that are revoked.
pub const SHARED_MAX: usize = 1000;
const TEXT: Limits = Limits { bytes_max: 4 * 1024 * 1024, depth_max: 4, nodes_max: 16_384 };

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn revoked(subject: &str) -> Revocation {
        let target = Target::Subject { issuer: LOCAL_ISSUER.to_owned(), subject: subject.to_owned() };
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        Revocation { target, at, reason: "left \"us\"\n".to_owned(), by: "operator".to_owned() }
    }

    #[test]
    fn what_is_written_is_read_again_and_whatever_is_damaged_is_not() {
        let everyone = Revocation { target: Target::Issuer { issuer: LOCAL_ISSUER.to_owned() }, ..revoked("") };
        let all = [revoked("ann"), everyone];
        let text = write_shared(&all);
        assert_eq!(read_shared(text.clone().into()).as_deref(), Ok(&all[..]));
        assert_eq!(read_shared(write_shared(&[]).into()), Ok(Vec::new()));
        for (bad, error) in [
            (String::new(), SharedError::NotJson),
            (text.chars().take(40).collect(), SharedError::NotJson),
            ("{}".to_owned(), SharedError::Garbled(0)),
            ("[]".to_owned(), SharedError::Garbled(0)),
            (text.replace("\"version\":1", "\"version\":2"), SharedError::Garbled(0)),
            ("{\"version\":1,\"revocations\":{}}".to_owned(), SharedError::Garbled(0)),
            (text.replacen("\"subject\"", "\"client\"", 1), SharedError::Garbled(1)),
            (text.replacen("\"local\"", "\"https://as.example\"", 1), SharedError::Garbled(1)),
            (text.replacen("\"at_ms\":1", "\"at_ms\":\"1\",\"x\":1", 1), SharedError::Garbled(1)),
        ] {
            assert_eq!(read_shared(bad.clone().into()), Err(error), "{bad}");
        }
    }

    #[test]
    fn as_many_are_read_as_are_written_at_most_and_one_past_it_is_refused() {
        let many = |count: usize| (0..count).map(|number| revoked(&format!("user-{number}"))).collect::<Vec<_>>();
        assert_eq!(read_shared(write_shared(&many(SHARED_MAX)).into()).map(|all| all.len()), Ok(SHARED_MAX));
        assert_eq!(read_shared(write_shared(&many(SHARED_MAX + 1)).into()), Err(SharedError::TooMany));
    }
}
