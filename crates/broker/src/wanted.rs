//! What somebody is asked to agree to, whichever way a client asked for it.

use crate::broker::Broker;
use crate::client::Client;
use crate::consents::ConsentKey;
use crate::devices::Typed;
use crate::redirect::Redirect;
use crate::request::{Authorize, Scope};
use crate::resources::is_of_tools;

/// A request that was read whole.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// By a browser, which the answer goes back through.
    Code(Box<Authorize>),
    /// By a device, which asks for the answer itself.
    Device(Box<Typed>),
}

impl Wanted {
    pub(crate) fn client(&self) -> &Client {
        match self {
            Wanted::Code(asked) => asked.client(),
            Wanted::Device(asked) => &asked.client,
        }
    }

    pub(crate) fn resource(&self) -> &str {
        match self {
            Wanted::Code(asked) => asked.resource(),
            Wanted::Device(asked) => &asked.resource,
        }
    }

    pub(crate) fn redirect(&self) -> Option<&Redirect> {
        match self {
            Wanted::Code(asked) => Some(asked.redirect()),
            Wanted::Device(_) => None,
        }
    }

    /// Where the answer goes, as a consent is kept under it.
    pub(crate) fn goes_to(&self) -> String {
        self.redirect().map_or_else(|| "device".to_owned(), |redirect| redirect.uri().at_any_port())
    }

    /// Which consent this is about, if this user gives it.
    pub(crate) fn consent_of(&self, subject: &str) -> ConsentKey {
        ConsentKey::of(subject, self.client().id().as_str(), &self.goes_to(), self.resource())
    }

    /// What the page offers: what was asked for, as far as it is known here. A client that names no scope of tools leaves that to its user.
    pub(crate) fn offered(&self, broker: &Broker) -> Vec<Box<str>> {
        let asked: Vec<&str> = match self {
            Wanted::Code(asked) => asked.scopes().iter().map(Scope::as_str).collect(),
            Wanted::Device(asked) => asked.scopes.iter().map(Scope::as_str).collect(),
        };
        let leaves_tools = !asked.iter().any(|scope| is_of_tools(scope));
        let is_offered = |scope: &str| asked.contains(&scope) || leaves_tools && is_of_tools(scope);
        broker.scopes.iter().filter(|scope| is_offered(scope)).cloned().collect()
    }
}
