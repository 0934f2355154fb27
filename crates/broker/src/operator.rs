//! What the operator sees and takes back, and the door where clients register themselves.

use std::time::SystemTime;

use http::StatusCode;
use sekisho_audit::Outcome;
use sekisho_identity::Revocation;

use crate::answers::{self, Reply, done};
use crate::broker::{Broker, Knock};
use crate::consents::{self, Consent, ConsentKey};
use crate::kept::NotKept;

/// `POST /oauth/register` (RFC 7591)
pub(crate) async fn register(broker: &Broker, knock: &Knock<'_>) -> Reply {
    match broker.clients.register(knock.body.clone(), knock.from, knock.now).await {
        Ok(registered) => {
            let mut event = done(AT, Outcome::Completed, None);
            event.detail = vec![("client_id".into(), registered.client().id().as_str().to_owned().into())];
            Reply::from(answers::json(StatusCode::CREATED, &registered.answer())).noting(event)
        }
        Err(error) => {
            let event = answers::refused(AT, &crate::chain(&error));
            Reply::from(answers::json(error.status(), &error.answer())).noting(event)
        }
    }
}

/// Why an operator's order about consents is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is none of this id.
    #[error("there is no consent of this id")]
    Unknown,
    /// The store.
    #[error("consents cannot be read or changed at the moment")]
    Down,
}

impl From<NotKept> for OrderError {
    fn from(_: NotKept) -> OrderError {
        OrderError::Down
    }
}

impl Broker {
    /// What users agreed to, all of them or one; each with the id that it is taken back by.
    ///
    /// # Errors
    /// [`OrderError::Down`]
    pub async fn consents(&self, subject: Option<&str>, now: SystemTime) -> Result<Vec<(String, Consent)>, OrderError> {
        let found = consents::list(&self.kept, subject, now).await?;
        Ok(found.into_iter().map(|consent| (consent.key().id(), consent)).collect())
    }

    /// Takes one back; what has to be revoked with it.
    ///
    /// # Errors
    /// [`OrderError`]
    pub async fn revoke_consent(&self, id: &str, now: SystemTime) -> Result<(Consent, Vec<Revocation>), OrderError> {
        let key = ConsentKey::parse(id).ok_or(OrderError::Unknown)?;
        let consent = consents::find(&self.kept, key.clone(), now).await?.ok_or(OrderError::Unknown)?;
        let revoked = self.take_back(&key, "the operator took the consent back", now).await?;
        Ok((consent, revoked))
    }
}

const AT: &str = "oauth/register";
