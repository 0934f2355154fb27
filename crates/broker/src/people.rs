//! Who somebody is, as the provider said when they logged in. It is kept with what they granted, and said again in every token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sekisho_identity::{Groups, Login};
use sekisho_wire::Json;
use sekisho_wire::json::Object;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// Who they are at the provider, and in our tokens.
    pub(crate) subject: Box<str>,
    /// What they are called, for pages alone: providers let people choose it.
    pub(crate) name: Box<str>,
    /// What the provider says of them, under the names that our tokens have: `roles`, `groups`, `tenant`, `acr`, `amr`, …; an object.
    pub(crate) claims: Json,
    /// When they logged in, if the provider says so; nobody else knows.
    pub(crate) at: Option<SystemTime>,
}

impl User {
    /// Who logged in. `more` are claims that are said again as they are.
    pub(crate) fn of_login(login: &Login, more: &[String]) -> User {
        let who = login.who();
        let list = |object: Object, name: &str, list: &[Box<str>]| match list.is_empty() {
            true => object,
            false => object.texts(name, list.iter().map(AsRef::as_ref)),
        };
        let word = |object: Object, name: &str, word: &str| {
            if word.is_empty() { object } else { object.text(name, word) }
        };
        let login_was = who.authentication();
        let mut claims = word(Object::new(), "tenant", who.tenant());
        claims = word(claims, "acr", &login_was.class);
        claims = list(claims, "amr", &login_was.methods);
        claims = list(claims, "acrs", &login_was.contexts);
        claims = list(claims, "roles", who.roles());
        claims = match who.groups() {
            Groups::Known(groups) => list(claims, "groups", groups),
            // Whoever reads our token must know that they are left out, as the provider says it.
            Groups::Unknown => claims.object("_claim_names", |names| names.text("groups", "provider")),
        };
        for name in more {
            if let Some(value) = who.claims().get(name) {
                claims = claims.json(name, &value);
            }
        }
        User { subject: login.subject().into(), name: login.name().into(), claims: claims.finish(), at: login_was.at }
    }

    pub(crate) fn written(&self) -> Json {
        let User { subject, name, claims, at } = self;
        let user = Object::new().text("subject", subject).text("name", name).json("claims", claims);
        match at {
            Some(at) => user.unsigned("at", seconds(*at)).finish(),
            None => user.finish(),
        }
    }

    pub(crate) fn read(from: &Json) -> Option<User> {
        Some(User {
            subject: text(from, "subject")?,
            name: text(from, "name")?,
            claims: from.get("claims").filter(Json::is_object)?.detached(),
            at: time(from, "at"),
        })
    }
}

/// Seconds since 1970.
pub(crate) fn seconds(of: SystemTime) -> u64 {
    of.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A member that is a moment in whole seconds.
pub(crate) fn time(from: &Json, key: &str) -> Option<SystemTime> {
    let seconds = u64::try_from(from.get(key)?.number()?.integer()?).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

pub(crate) fn text(from: &Json, key: &str) -> Option<Box<str>> {
    Some(from.get(key)?.string()?.into())
}

pub(crate) fn texts(from: &Json, key: &str) -> Option<Vec<Box<str>>> {
    from.get(key)?.elements().map(|one| one.string().map(Box::from)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use sekisho_wire::json::Limits;

    use super::*;

    pub(crate) fn ann() -> User {
        User {
            subject: "ann".into(),
            name: "Ann".into(),
            claims: Json::decode(r#"{"roles":["reader"]}"#.into(), &Limits::default()).unwrap(),
            at: Some(UNIX_EPOCH + Duration::from_secs(1000)),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(User::read(&ann().written()), Some(ann()));
        let silent = User { at: None, ..ann() };
        assert_eq!(User::read(&silent.written()), Some(silent));
        assert_eq!(User::read(&Json::empty_object()), None);
    }
}
