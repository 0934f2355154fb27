//! What a user agreed to, for them to see and take back. Nobody sees more than whoever has logged in here lately.

use http::StatusCode;
use sekisho_audit::Outcome;

use crate::answers::{self, Reply, done};
use crate::broker::{Broker, Knock};
use crate::consents::{self, ConsentKey};
use crate::cookies::Jar;
use crate::kept::NotKept;
use crate::pages::{self, Listed, Told};
use crate::parameters::Parameters;
use crate::problems::Problem;
use crate::secrets::are_same;
use crate::{grants, logins, paths};
use sekisho_identity::Revocation;
use sekisho_store::Table;
use std::time::SystemTime;

/// `GET /oauth/consents`
pub(crate) async fn list(broker: &Broker, knock: &Knock<'_>) -> Reply {
    let cookie = broker.cookies.read(knock.headers, Jar::Login);
    let user = match broker.known(knock).await {
        Ok(user) => user,
        Err(down) => return broker.problem(knock, AT, Problem::NotKept, &down),
    };
    let (Some(cookie), Some(user)) = (cookie, user) else {
        return broker.problem(knock, AT, Problem::NotSignedIn, &"nobody is known in this browser");
    };
    let consents = match consents::list(&broker.kept, Some(&user.subject), knock.now).await {
        Ok(consents) => consents,
        Err(down) => return broker.problem(knock, AT, Problem::NotKept, &down),
    };
    let resources = broker.resources.load_full();
    let title = |uri: &str| resources.find(uri).map(|resource| resource.title.clone());
    let ids: Vec<String> = consents.iter().map(|consent| consent.key().id()).collect();
    let dates: Vec<(String, String)> =
        consents.iter().map(|consent| (date(consent.since), date(consent.until))).collect();
    let titles: Vec<Box<str>> =
        consents.iter().map(|consent| title(&consent.resource).unwrap_or_else(|| consent.resource.clone())).collect();
    let listed: Vec<Listed<'_>> = consents
        .iter()
        .zip(&ids)
        .zip(&dates)
        .zip(&titles)
        .map(|(((consent, id), (since, until)), server)| Listed {
            id,
            client: &consent.client,
            name: &consent.name,
            goes_to: &consent.redirect,
            server,
            scopes: consent.scopes.iter().map(AsRef::as_ref).collect(),
            since,
            until,
        })
        .collect();
    let html = pages::consents(&user.name, &listed, &Broker::csrf(&cookie), knock.language());
    answers::page(StatusCode::OK, html).into()
}

/// `POST /oauth/consents/revoke`
pub(crate) async fn revoke(broker: &Broker, knock: &Knock<'_>) -> Reply {
    let (form, cookie) = match own_form(broker, knock) {
        Ok(form) => form,
        Err(reply) => return *reply,
    };
    let user = match logins::find(&broker.kept, &cookie, knock.now).await {
        Ok(user) => user,
        Err(down) => return broker.problem(knock, AT, Problem::NotKept, &down),
    };
    let Some(user) = user else {
        return broker.problem(knock, AT, Problem::NotSignedIn, &"nobody is known in this browser");
    };
    // Another user's is as good as none.
    let key = form.get("id").and_then(ConsentKey::parse).filter(|key| key.is_of(&user.subject));
    let Some(key) = key else {
        return broker.problem(knock, AT, Problem::BadRequest, &"`id` is none of the user's consents");
    };
    match broker.take_back(&key, "the user took the consent back", knock.now).await {
        Ok(revoked) => {
            let mut event =
                done("oauth/consents/revoke", Outcome::Completed, Some((&broker.issuer, &user.subject, "")));
            event.detail = vec![("consent".into(), key.id().into())];
            Reply::from(answers::redirect(&format!("{}{}", broker.issuer, paths::CONSENTS)))
                .noting(event)
                .revoking(revoked)
        }
        Err(down) => broker.problem(knock, AT, Problem::NotKept, &down),
    }
}

/// `POST /oauth/logout`: out of this browser's memory. What was agreed to stays.
pub(crate) async fn log_out(broker: &Broker, knock: &Knock<'_>) -> Reply {
    let (_, cookie) = match own_form(broker, knock) {
        Ok(form) => form,
        Err(reply) => return *reply,
    };
    if let Err(down) = logins::end(&broker.kept, &cookie, knock.now).await {
        return broker.problem(knock, AT, Problem::NotKept, &down);
    }
    let reply = Reply::from(answers::page(StatusCode::OK, pages::told(Told::SignedOut, knock.language())));
    reply.setting(&broker.cookies.clear(Jar::Login))
}

/// A form that this browser was shown while somebody was known in it.
fn own_form(broker: &Broker, knock: &Knock<'_>) -> Result<(Parameters, String), Box<Reply>> {
    let stop = |problem, why: &dyn std::fmt::Display| Box::new(broker.problem(knock, AT, problem, why));
    let form = Parameters::of_form(knock).map_err(|error| stop(Problem::BadRequest, &error))?;
    let cookie = broker.cookies.read(knock.headers, Jar::Login);
    let cookie = cookie.ok_or_else(|| stop(Problem::NotSignedIn, &"the browser has no cookie"))?;
    let is_its = form.get("csrf").is_some_and(|csrf| are_same(csrf, &Broker::csrf(&cookie)));
    if is_its {
        Ok((form, cookie))
    } else {
        Err(stop(Problem::PageGone, &"the form is not one that this browser was shown"))
    }
}

impl Broker {
    /// Takes a consent back, with everything that came of it; what has to be revoked.
    pub(crate) async fn take_back(
        &self,
        key: &ConsentKey,
        why: &str,
        now: SystemTime,
    ) -> Result<Vec<Revocation>, NotKept> {
        let key = key.clone();
        let ended = self
            .kept
            .with(move |rows| {
                rows.take(Table::Consents, key.bytes(), now)?;
                Ok(Ok(grants::end_of_consent(rows, &key, now)?))
            })
            .await?;
        Ok(ended.iter().map(|grant| self.revocation(&grant.session(), why, now)).collect())
    }
}

/// The day of a moment, in UTC.
fn date(of: SystemTime) -> String {
    jiff::Timestamp::try_from(of).map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

const AT: &str = "oauth/consents";
