//! The page on which a user agrees, and what they answer. Nothing is given out, and nobody is sent to the provider, without it (SB-01).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use sekisho_audit::Outcome;
use sekisho_catalog::Impact;

use crate::answers::{self, Reply, done};
use crate::authorize::{self, on_to_provider};
use crate::broker::{Broker, Knock};
use crate::cookies::Jar;
use crate::devices;
use crate::flows::{LIFE, Page};
use crate::pages::{self, Group, Item};
use crate::parameters::Parameters;
use crate::people::User;
use crate::problems::Problem;
use crate::request::ErrorCode;
use crate::resources::{is_of_tools, scope_of};
use crate::secrets::{are_same, digest, random};
use crate::wanted::Wanted;

/// Shows the page.
pub(crate) async fn show(
    broker: &Broker,
    knock: &Knock<'_>,
    page: Page,
    wanted: &Wanted,
    user: Option<&User>,
) -> Reply {
    let known = broker.cookies.read(knock.headers, Jar::Page).filter(|cookie| cookie.len() == 43);
    let cookie = match known.map_or_else(random, Ok) {
        Ok(cookie) => cookie,
        Err(error) => return broker.problem(knock, AT, Problem::NotKept, &error),
    };
    let Some(sealed) = page.sealed(&broker.sealer, &cookie, knock.now) else {
        return broker.problem(knock, AT, Problem::NotKept, &"the page cannot be sealed");
    };
    let resources = broker.resources.load_full();
    let Some(resource) = resources.find(wanted.resource()) else {
        return broker.problem(knock, AT, Problem::BadRequest, &"the resource is not served any more");
    };
    let offered = wanted.offered(broker);
    let is_offered = |impact: &Impact| offered.iter().any(|scope| **scope == *scope_of(*impact));
    let items = |impact: Impact| -> Vec<Item<'_>> {
        let of_it = resource.tools.iter().filter(|tool| tool.impact == impact);
        of_it.map(|tool| Item { name: &tool.name, title: &tool.title }).collect()
    };
    let groups: Vec<Group<'_>> =
        Impact::ALL.into_iter().filter(is_offered).map(|impact| group(impact, items(impact))).collect();
    let others: Vec<&str> = offered.iter().map(AsRef::as_ref).filter(|scope| !is_of_tools(scope)).collect();
    let html = pages::consent(&pages::Consent {
        language: knock.language(),
        client: wanted.client(),
        redirect: wanted.redirect(),
        server_title: &resource.title,
        endpoint: &resource.uri,
        groups: &groups,
        other_scopes: &others,
        days: &broker.lifetimes.consent_days,
        user: user.map(|user| &*user.name),
        provider_host: &broker.provider_host,
        device: page.device.as_deref(),
        csrf: &Broker::csrf(&cookie),
        flow: &sealed,
    });
    Reply::from(answers::page(StatusCode::OK, html)).setting(&broker.cookies.set(Jar::Page, &cookie, None))
}

/// `POST /oauth/consent`
pub(crate) async fn answered(broker: &Broker, knock: &Knock<'_>) -> Reply {
    let gone = |why: &str| broker.problem(knock, AT, Problem::PageGone, why);
    let form = match Parameters::of_form(knock) {
        Ok(form) => form,
        Err(error) => return broker.problem(knock, AT, Problem::BadRequest, &error),
    };
    let Some(cookie) = broker.cookies.read(knock.headers, Jar::Page) else { return gone("the browser has no cookie") };
    if !form.get("csrf").is_some_and(|csrf| are_same(csrf, &Broker::csrf(&cookie))) {
        return gone("the form is not one that this browser was shown");
    }
    let page = form.get("flow").and_then(|flow| Page::opened(&broker.sealer, flow, &cookie, knock.now));
    let Some(page) = page else { return gone("what the page carries is not ours, another browser's, or too old") };
    let flow = form.get("flow").unwrap_or_default();
    if broker.denials.has(flow, broker.elapsed()) {
        return gone("the user has said no on this very page");
    }
    let wanted = match &page.device {
        None => authorize::read(broker, knock, AT, &page.asked).await,
        Some(code) => devices::read(broker, knock, code).await,
    };
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(stop) => return *stop,
    };
    if *wanted.client().digest().to_string() != *page.client_digest {
        let why = "the client says something else of itself than the page did";
        return broker.problem(knock, AT, Problem::ClientChanged, why);
    }
    match form.get("decision") {
        Some("allow") => allowed(broker, knock, &form, page, wanted).await,
        Some("deny") => {
            broker.denials.keep(flow, broker.elapsed());
            denied(broker, knock, &page, wanted)
        }
        // Whatever is no yes is no yes.
        Some(_) | None => broker.problem(knock, AT, Problem::BadRequest, &"`decision` is neither `allow` nor `deny`"),
    }
}

async fn allowed(broker: &Broker, knock: &Knock<'_>, form: &Parameters, page: Page, wanted: Wanted) -> Reply {
    let ticked: Vec<&str> = form.all("scope").collect();
    let chosen: Vec<Box<str>> = wanted.offered(broker).into_iter().filter(|scope| ticked.contains(&&**scope)).collect();
    if chosen.is_empty() {
        return broker.problem(knock, AT, Problem::NothingChosen, &"no scope was ticked");
    }
    let days = form.get("days").and_then(|days| days.parse().ok());
    let Some(days) = days.filter(|days| broker.lifetimes.consent_days.contains(days)) else {
        return broker.problem(knock, AT, Problem::BadRequest, &"`days` is none of the choices");
    };
    match on_to_provider(broker, knock, page, &wanted, (chosen, Some(days))).await {
        Ok((url, cookie)) => {
            // Not a redirect: browsers hold those that answer a form to `form-action`, and where a provider sends people is its own affair.
            let html = pages::on_the_way(&url, &broker.provider_host, knock.language());
            Reply::from(answers::page(StatusCode::OK, html)).setting(&cookie)
        }
        Err(stop) => *stop,
    }
}

fn denied(broker: &Broker, knock: &Knock<'_>, page: &Page, wanted: Wanted) -> Reply {
    let client = wanted.client().id().as_str();
    let who = page.user.as_deref().map(|subject| (&*broker.issuer, subject, client));
    let mut event = done("oauth/consent", Outcome::Forbid, who);
    event.detail =
        vec![("client".into(), client.to_owned().into()), ("resource".into(), wanted.resource().to_owned().into())];
    let language = knock.language();
    let html = match wanted {
        Wanted::Code(asked) => {
            let host = asked.redirect().uri().place().to_owned();
            let refused = asked.refused(ErrorCode::AccessDenied, "the user said no");
            match refused.answer(&broker.issuer) {
                Some(to) => pages::on_the_way(&to, &host, language),
                None => pages::told(pages::Told::Denied, language),
            }
        }
        Wanted::Device(asked) => {
            devices::denied(broker, &asked);
            pages::told(pages::Told::Denied, language)
        }
    };
    Reply::from(answers::page(StatusCode::OK, html)).noting(event)
}

/// Pages on which somebody said no, until they are too old anyway: no is no, whatever is sent from the same page afterwards.
#[derive(Debug, Default)]
pub(crate) struct Denials(Mutex<HashMap<[u8; 32], Duration>>);

impl Denials {
    fn has(&self, page: &str, now: Duration) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&digest("denied page", page)).is_some_and(|until| now < *until)
    }

    fn keep(&self, page: &str, now: Duration) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= DENIALS_MAX {
            known.retain(|_, until| now < *until);
        }
        // So many at once: what is forgotten is that somebody may still agree on a page of their own, in their own browser.
        if known.len() < DENIALS_MAX {
            known.insert(digest("denied page", page), now.saturating_add(LIFE));
        }
    }
}

/// LIMIT: pages that are remembered.
const DENIALS_MAX: usize = 10_000;

fn group(impact: Impact, tools: Vec<Item<'_>>) -> Group<'_> {
    // Nothing dangerous is ticked beforehand.
    Group { impact, scope: scope_of(impact), tools, is_ticked: impact == Impact::Read }
}

const AT: &str = "oauth/consent";
