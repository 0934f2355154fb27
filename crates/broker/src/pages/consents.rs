//! The page where a user sees what was permitted, and takes it back.

use super::html::Html;
use super::{Language, fact, hidden, page, texts};

/// What a user has permitted to a client.
#[derive(Debug, Clone)]
pub(crate) struct Listed<'a> {
    /// Which consent this is.
    pub(crate) id: &'a str,
    /// The client's id.
    pub(crate) client: &'a str,
    /// What the client calls itself.
    pub(crate) name: &'a str,
    /// Where its answers go.
    pub(crate) goes_to: &'a str,
    /// The server that it uses.
    pub(crate) server: &'a str,
    /// What it may do there.
    pub(crate) scopes: Vec<&'a str>,
    /// When it was permitted.
    pub(crate) since: &'a str,
    /// When that ends.
    pub(crate) until: &'a str,
}

/// The page of all that a user has permitted.
#[must_use]
pub(crate) fn consents(user: &str, list: &[Listed<'_>], csrf: &str, language: Language) -> String {
    page(language, texts::CONSENTS.to(language), None, |html| {
        html.element("p", &[], |html| html.sentence(texts::SIGNED_IN_AS.to(language), user));
        if list.is_empty() {
            html.element("p", &[("class", "empty")], |html| html.text(texts::NO_CONSENT.to(language)));
        }
        for (index, one) in list.iter().enumerate() {
            listed(html, one, &format!("consent-{index}"), csrf, language);
        }
        html.element("form", &[("method", "post"), ("action", "/oauth/logout")], |html| {
            hidden(html, "csrf", csrf);
            html.element("div", &[("class", "buttons")], |html| {
                html.element("button", &[], |html| html.text(texts::SIGN_OUT.to(language)));
            });
        });
    })
}

fn listed(html: &mut Html, of: &Listed<'_>, place: &str, csrf: &str, language: Language) {
    html.element("section", &[("class", "client"), ("aria-labelledby", place)], |html| {
        html.element("h2", &[("id", place), ("class", "name")], |html| html.line("bdi", of.name));
        html.element("dl", &[("class", "facts")], |html| {
            fact(html, texts::CLIENT_ID.to(language), of.client);
            fact(html, texts::GOES_TO.to(language), of.goes_to);
            fact(html, texts::ITS_SERVER.to(language), of.server);
            html.line("dt", texts::ITS_SCOPES.to(language));
            for scope in &of.scopes {
                html.element("dd", &[], |html| html.element("code", &[], |html| html.line("bdi", scope)));
            }
            if of.scopes.is_empty() {
                html.line("dd", texts::NOTHING.to(language));
            }
            fact(html, texts::SINCE.to(language), of.since);
            fact(html, texts::UNTIL.to(language), of.until);
        });
        html.element("form", &[("method", "post"), ("action", "/oauth/consents/revoke")], |html| {
            hidden(html, "csrf", csrf);
            hidden(html, "id", of.id);
            html.element("div", &[("class", "buttons")], |html| {
                html.element("button", &[("aria-describedby", place)], |html| html.text(texts::REVOKE.to(language)));
            });
        });
    });
}
