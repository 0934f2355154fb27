//! What was granted, and the one refresh token that is good for it now. A refresh token that comes a second time is in two hands, and nobody
//! knows which of them is the client's: then the whole grant is gone (RFC 9700 section 4.14.2).

use std::time::SystemTime;

use secrecy::{ExposeSecret as _, SecretString};
use sekisho_store::{RowsError, Table};
use sekisho_wire::Json;
use sekisho_wire::json::Object;

use crate::consents::ConsentKey;
use crate::kept::{Kept, NotKept, Row, Sealed};
use crate::people::{User, seconds, text, texts, time};
use crate::secrets::{NoRandomness, are_same, digest, digest_text, random};

/// Something that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Random; part of its refresh tokens, and nowhere else.
    pub(crate) family: Box<str>,
    pub(crate) user: User,
    /// `client_id`
    pub(crate) client: Box<str>,
    /// The consent that it comes of, and ends with.
    pub(crate) consent: ConsentKey,
    /// The endpoint.
    pub(crate) resource: Box<str>,
    pub(crate) scopes: Vec<Box<str>>,
    /// The key (RFC 7638) that its tokens are bound to, if the client has one.
    pub(crate) bound_to: Option<Box<str>>,
    /// The provider's refresh token.
    pub(crate) upstream: Option<Upstream>,
    pub(crate) since: SystemTime,
    pub(crate) until: SystemTime,
}

/// By what the provider is asked whether the user may still log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// A secret: it lies sealed, and goes to the provider alone.
    pub(crate) refresh_token: Box<str>,
    /// When the provider was asked last.
    pub(crate) asked: SystemTime,
}

impl Upstream {
    /// As the provider has just given it.
    pub(crate) fn fresh(token: &SecretString, now: SystemTime) -> Upstream {
        Upstream { refresh_token: token.expose_secret().into(), asked: now }
    }

    pub(crate) fn secret(&self) -> SecretString {
        SecretString::from(&*self.refresh_token)
    }
}

/// A refresh token, as clients have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefreshToken<'a> {
    family: &'a str,
    secret: &'a str,
}

/// Why a refresh token is worth nothing. Clients hear `invalid_grant` of all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RefreshError {
    /// Nothing was granted, or it has ended.
    #[error("the refresh token is not known, or what it was for has ended")]
    Unknown,
    /// Another one of its family is good now.
    #[error("the refresh token was used before, so everything that came of it is revoked")]
    Again {
        /// What was granted.
        session: Box<str>,
    },
    /// Another client's.
    #[error("the refresh token is another client's")]
    Client,
    /// It is bound to another key, or the client shows none.
    #[error("the refresh token is bound to another key")]
    Key,
    /// Nobody can say.
    #[error(transparent)]
    NotKept(#[from] NotKept),
    /// Nothing new can be made.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

impl Grant {
    /// What its access tokens carry as `sid`: by it they are revoked, and it is worth nothing to whoever reads it.
    pub(crate) fn session(&self) -> String {
        session_of(&self.family)
    }

    fn row(&self, current: &str) -> Row {
        let mut value = Object::new()
            .text("family", &self.family)
            .json("user", &self.user.written())
            .text("client", &self.client)
            .text("consent", &self.consent.id())
            .text("resource", &self.resource)
            .texts("scopes", self.scopes.iter().map(AsRef::as_ref))
            .maybe_text("bound_to", self.bound_to.as_deref())
            .unsigned("since", seconds(self.since))
            .unsigned("until", seconds(self.until))
            .text("current", current);
        if let Some(Upstream { refresh_token, asked }) = &self.upstream {
            let upstream =
                |object: Object| object.text("refresh_token", refresh_token).unsigned("asked", seconds(*asked));
            value = value.object("upstream", upstream);
        }
        Row { key: key_of(&self.family), value: value.finish(), until: self.until }
    }

    fn read(from: &Json) -> Option<(Grant, Box<str>)> {
        let upstream = match from.get("upstream") {
            None => None,
            Some(of) => Some(Upstream { refresh_token: text(&of, "refresh_token")?, asked: time(&of, "asked")? }),
        };
        let grant = Grant {
            family: text(from, "family")?,
            user: User::read(&from.get("user")?)?,
            client: text(from, "client")?,
            consent: ConsentKey::parse(&text(from, "consent")?)?,
            resource: text(from, "resource")?,
            scopes: texts(from, "scopes")?,
            bound_to: text(from, "bound_to"),
            upstream,
            since: time(from, "since")?,
            until: time(from, "until")?,
        };
        Some((grant, text(from, "current")?))
    }
}

/// What tokens of this family carry as `sid`.
pub(crate) fn session_of(family: &str) -> String {
    digest_text("session", family)
}

impl<'a> RefreshToken<'a> {
    /// Takes one apart.
    pub(crate) fn parse(text: &'a str) -> Option<RefreshToken<'a>> {
        let (family, secret) = text.strip_prefix(START)?.split_once('.')?;
        let is_ours = |part: &str| {
            part.len() == 43 && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        (is_ours(family) && is_ours(secret)).then_some(RefreshToken { family, secret })
    }
}

/// Keeps a grant with its first refresh token, which is the answer; unless the consent that it comes of has been taken back meanwhile.
pub(crate) async fn begin(kept: &Kept, grant: &Grant, now: SystemTime) -> Result<String, RefreshError> {
    let secret = random()?;
    let row = grant.row(&digest_text("refresh token", &secret));
    let consent = grant.consent.clone();
    let begun = kept.with(move |rows| match rows.get(Table::Consents, consent.bytes(), now)? {
        Some(_) => Ok(rows.set(Table::Grants, &row)?.map(|()| true)),
        None => Ok(Ok(false)),
    });
    if !begun.await? {
        return Err(RefreshError::Unknown);
    }
    Ok(format!("{START}{}.{secret}", grant.family))
}

/// What a refresh token was given for, if it is good now and this client's. Nothing is changed, unless it came a second time.
pub(crate) async fn look(
    kept: &Kept,
    token: RefreshToken<'_>,
    client: &str,
    key: Option<&str>,
    now: SystemTime,
) -> Result<Grant, RefreshError> {
    let (family, secret) = (token.family.to_owned(), token.secret.to_owned());
    let (found, is_current) = kept
        .with(move |rows| {
            let row = rows.get(Table::Grants, &key_of(&family), now)?;
            let found = row.and_then(|row| Grant::read(&row.value));
            let is_current = found.as_ref().is_some_and(|(_, current)| is_of(&secret, current));
            if found.is_some() && !is_current {
                rows.take(Table::Grants, &key_of(&family), now)?;
            }
            Ok(Ok((found, is_current)))
        })
        .await?;
    let (grant, _) = found.ok_or(RefreshError::Unknown)?;
    if !is_current {
        return Err(RefreshError::Again { session: grant.session().into() });
    }
    if *grant.client != *client {
        return Err(RefreshError::Client);
    }
    match (grant.bound_to.as_deref(), key) {
        (Some(bound), Some(key)) if bound == key => {}
        (None, _) => {}
        (Some(_), _) => return Err(RefreshError::Key),
    }
    Ok(grant)
}

/// Puts a fresh refresh token in the place of this one, with the grant as it is now. Of two who come with the same one, the second finds that
/// it was used, and nothing is left.
pub(crate) async fn turn(
    kept: &Kept,
    token: RefreshToken<'_>,
    grant: Grant,
    now: SystemTime,
) -> Result<String, RefreshError> {
    let (family, secret) = (token.family.to_owned(), token.secret.to_owned());
    let (fresh, session) = (random()?, grant.session());
    let row = grant.row(&digest_text("refresh token", &fresh));
    let turned = kept
        .with(move |rows| {
            let known = rows.get(Table::Grants, &key_of(&family), now)?.and_then(|row| Grant::read(&row.value));
            match known {
                None => Ok(Ok(Err(RefreshError::Unknown))),
                Some((_, current)) if !is_of(&secret, &current) => {
                    rows.take(Table::Grants, &key_of(&family), now)?;
                    Ok(Ok(Err(RefreshError::Again { session: session.into() })))
                }
                Some(_) => Ok(rows.set(Table::Grants, &row)?.map(Ok)),
            }
        })
        .await?;
    turned.map(|()| format!("{START}{}.{fresh}", grant.family))
}

/// Ends the grant of this family; what it was.
pub(crate) async fn end(kept: &Kept, family: &str, now: SystemTime) -> Result<Option<Grant>, NotKept> {
    let key = key_of(family);
    let row = kept.with(move |rows| rows.take(Table::Grants, &key, now).map(Ok)).await?;
    Ok(row.and_then(|row| Grant::read(&row.value)).map(|(grant, _)| grant))
}

/// Ends the grant that this refresh token is good for.
pub(crate) async fn end_by(
    kept: &Kept,
    token: RefreshToken<'_>,
    client: &str,
    now: SystemTime,
) -> Result<Option<Grant>, NotKept> {
    let (family, secret, client) = (token.family.to_owned(), token.secret.to_owned(), client.to_owned());
    kept.with(move |rows| {
        let found = rows.get(Table::Grants, &key_of(&family), now)?.and_then(|row| Grant::read(&row.value));
        let Some((grant, _)) = found.filter(|(grant, current)| *grant.client == *client && is_of(&secret, current))
        else {
            return Ok(Ok(None));
        };
        rows.take(Table::Grants, &key_of(&family), now)?;
        Ok(Ok(Some(grant)))
    })
    .await
}

/// Ends all that comes of a consent, within the commit that ends the consent itself; which grants these were.
pub(crate) fn end_of_consent(
    rows: &mut Sealed<'_, '_>,
    consent: &ConsentKey,
    now: SystemTime,
) -> Result<Vec<Grant>, RowsError> {
    let every = rows.starting(Table::Grants, &[], usize::MAX, now)?;
    let theirs: Vec<(Row, Grant)> = every
        .into_iter()
        .filter_map(|row| Grant::read(&row.value).map(|(grant, _)| (row, grant)))
        .filter(|(_, grant)| grant.consent == *consent)
        .collect();
    for (row, _) in &theirs {
        rows.take(Table::Grants, &row.key, now)?;
    }
    Ok(theirs.into_iter().map(|(_, grant)| grant).collect())
}

fn key_of(family: &str) -> Vec<u8> {
    digest("grant", family).to_vec()
}

fn is_of(secret: &str, current: &str) -> bool {
    are_same(&digest_text("refresh token", secret), current)
}

/// Tells them apart from anything else where one is found in the open.
const START: &str = "sekisho_rt_";
