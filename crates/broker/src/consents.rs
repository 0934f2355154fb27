//! What users agreed to: who, for which client, where its answers go, for which endpoint, and how much (M3, SB-02). Each has an end.

use std::time::SystemTime;

use sekisho_store::{RowsError, Table};
use sekisho_wire::Json;
use sekisho_wire::json::Object;

use crate::kept::{Kept, NotKept, Row, Sealed};
use crate::people::{seconds, text, texts, time};
use crate::secrets::digest;

/// A consent that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Who agreed.
    pub subject: Box<str>,
    /// `client_id`
    pub client: Box<str>,
    /// What the client called itself then.
    pub name: Box<str>,
    /// Where its answers go; of a program on the user's machine without a port.
    pub redirect: Box<str>,
    /// The endpoint.
    pub resource: Box<str>,
    /// What was agreed to.
    pub scopes: Vec<Box<str>>,
    /// SHA-256 of all that the page said of the client: a client that says something else is asked for anew.
    pub client_digest: Box<str>,
    /// When they agreed.
    pub since: SystemTime,
    /// Until when that holds.
    pub until: SystemTime,
}

/// Which consent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ConsentKey(Vec<u8>);

impl ConsentKey {
    pub(crate) fn of(subject: &str, client: &str, redirect: &str, resource: &str) -> ConsentKey {
        // Each with its length, so that no two run into the same text.
        let what: String = [client, redirect, resource].iter().map(|part| format!("{}:{part}", part.len())).collect();
        ConsentKey([start_of(subject), digest("consent", &what).to_vec()].concat())
    }

    /// As users and operators name it: hexadecimal digits.
    pub(crate) fn id(&self) -> String {
        self.0.iter().fold(String::new(), |id, byte| format!("{id}{byte:02x}"))
    }

    pub(crate) fn parse(id: &str) -> Option<ConsentKey> {
        if id.len() != 2 * KEY_BYTES || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(id.get(2 * at..2 * at + 2)?, 16).ok();
        (0..KEY_BYTES).map(byte).collect::<Option<Vec<u8>>>().map(ConsentKey)
    }

    /// Whether it is this user's.
    pub(crate) fn is_of(&self, subject: &str) -> bool {
        self.0.starts_with(&start_of(subject))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The consents of a user lie together.
fn start_of(subject: &str) -> Vec<u8> {
    digest("subject", subject).to_vec()
}

impl Consent {
    pub(crate) fn key(&self) -> ConsentKey {
        ConsentKey::of(&self.subject, &self.client, &self.redirect, &self.resource)
    }

    /// Whether it covers all of this, and the client is what it was.
    pub(crate) fn covers<'a>(&self, mut scopes: impl Iterator<Item = &'a str>, client_digest: &str) -> bool {
        *self.client_digest == *client_digest && scopes.all(|scope| self.scopes.iter().any(|known| **known == *scope))
    }

    fn row(&self) -> Row {
        let value = Object::new()
            .text("subject", &self.subject)
            .text("client", &self.client)
            .text("name", &self.name)
            .text("redirect", &self.redirect)
            .text("resource", &self.resource)
            .texts("scopes", self.scopes.iter().map(AsRef::as_ref))
            .text("client_digest", &self.client_digest)
            .unsigned("since", seconds(self.since))
            .unsigned("until", seconds(self.until))
            .finish();
        Row { key: self.key().bytes().to_vec(), value, until: self.until }
    }

    fn read(from: &Json) -> Option<Consent> {
        Some(Consent {
            subject: text(from, "subject")?,
            client: text(from, "client")?,
            name: text(from, "name")?,
            redirect: text(from, "redirect")?,
            resource: text(from, "resource")?,
            scopes: texts(from, "scopes")?,
            client_digest: text(from, "client_digest")?,
            since: time(from, "since")?,
            until: time(from, "until")?,
        })
    }
}

/// The consent of this key, if it holds.
pub(crate) async fn find(kept: &Kept, key: ConsentKey, now: SystemTime) -> Result<Option<Consent>, NotKept> {
    let row = kept.with(move |rows| rows.get(Table::Consents, key.bytes(), now).map(Ok)).await?;
    Ok(row.and_then(|row| Consent::read(&row.value)))
}

/// Keeps one, in place of an earlier one of the same key.
pub(crate) fn keep(rows: &mut Sealed<'_, '_>, consent: &Consent) -> Result<Result<(), NotKept>, RowsError> {
    rows.set(Table::Consents, &consent.row())
}

/// Those of one user, or of all.
pub(crate) async fn list(kept: &Kept, subject: Option<&str>, now: SystemTime) -> Result<Vec<Consent>, NotKept> {
    let start = subject.map(start_of).unwrap_or_default();
    let rows = kept.with(move |rows| rows.starting(Table::Consents, &start, LISTED_MAX, now).map(Ok)).await?;
    Ok(rows.iter().filter_map(|row| Consent::read(&row.value)).collect())
}

const KEY_BYTES: usize = 64;
/// LIMIT: consents that are listed at once.
const LISTED_MAX: usize = 10_000;

#[cfg(test)]
pub(crate) mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    pub(crate) fn consent() -> Consent {
        Consent {
            subject: "ann".into(),
            client: "https://app.example/c".into(),
            name: "App".into(),
            redirect: "http://127.0.0.1/cb".into(),
            resource: "https://mcp.example/mcp".into(),
            scopes: vec!["tools:read".into(), "tools:write".into()],
            client_digest: "d".into(),
            since: UNIX_EPOCH + Duration::from_secs(10),
            until: UNIX_EPOCH + Duration::from_secs(1000),
        }
    }

    #[test]
    fn a_consent_covers_what_was_agreed_to_for_the_client_as_it_was() {
        let consent = consent();
        assert_eq!(Consent::read(&consent.row().value).as_ref(), Some(&consent));
        assert!(consent.covers(["tools:read"].into_iter(), "d"));
        assert!(consent.covers(["tools:write", "tools:read"].into_iter(), "d"));
        assert!(!consent.covers(["tools:destructive"].into_iter(), "d"));
        assert!(!consent.covers(["tools:read", "tools:destructive"].into_iter(), "d"));
        assert!(!consent.covers(["tools:read"].into_iter(), "another"), "the client says something else of itself");
    }

    #[test]
    fn another_user_client_redirect_uri_or_endpoint_is_another_consent() {
        let key = consent().key();
        let of = |subject: &str, client: &str, redirect: &str, resource: &str| {
            ConsentKey::of(subject, client, redirect, resource)
        };
        let (client, redirect, resource) = ("https://app.example/c", "http://127.0.0.1/cb", "https://mcp.example/mcp");
        assert_eq!(of("ann", client, redirect, resource), key);
        for other in [
            of("bob", client, redirect, resource),
            of("ann", "https://app.example/d", redirect, resource),
            of("ann", client, "https://app.example/cb", resource),
            of("ann", client, redirect, "https://mcp.example/s/notes/mcp"),
            of("ann", "https://app.example/ch", "ttp://127.0.0.1/cb", resource),
        ] {
            assert_ne!(other, key);
        }
        assert!(key.is_of("ann") && !key.is_of("bob") && !key.is_of("an"));
        assert_eq!(ConsentKey::parse(&key.id()).as_ref(), Some(&key));
        for bad in [
            "",
            "zz",
            key.id().trim_end_matches(|_: char| true),
            &format!("{}0", &"a".repeat(126)),
            &format!("{}00", key.id()),
            &"é".repeat(64),
        ] {
            assert_eq!(ConsentKey::parse(bad), None, "{bad}");
        }
    }
}
