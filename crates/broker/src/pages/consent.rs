//! The page where a user is asked what a client may do.

use sekisho_catalog::Impact;

use super::html::Html;
use super::{Language, fact, heading, hidden, page, texts};
use crate::client::Client;
use crate::id::Voucher;
use crate::redirect::{Redirect, RedirectKind};

/// A tool, as a user is told of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    /// What clients call it.
    pub(crate) name: &'a str,
    /// What people call it.
    pub(crate) title: &'a str,
}

/// The tools of one kind, which are permitted together.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    /// What they do.
    pub(crate) impact: Impact,
    /// The scope that permits them.
    pub(crate) scope: &'static str,
    /// The tools of this kind that there are.
    pub(crate) tools: Vec<Item<'a>>,
    /// Whether they are permitted unless the user says otherwise.
    pub(crate) is_ticked: bool,
}

/// What a user is asked.
#[derive(Debug)]
pub(crate) struct Consent<'a> {
    /// The user's.
    pub(crate) language: Language,
    /// Who asks.
    pub(crate) client: &'a Client,
    /// Where the answer goes. None: to a device.
    pub(crate) redirect: Option<&'a Redirect>,
    /// What the server is called.
    pub(crate) server_title: &'a str,
    /// Where it is.
    pub(crate) endpoint: &'a str,
    /// The kinds of tools that are asked for.
    pub(crate) groups: &'a [Group<'a>],
    /// What else is asked for.
    pub(crate) other_scopes: &'a [&'a str],
    /// How long it may last; the first is proposed.
    pub(crate) days: &'a [u32],
    /// Who is asked, once that is known.
    pub(crate) user: Option<&'a str>,
    /// Where users sign in.
    pub(crate) provider_host: &'a str,
    /// The code that the device shows.
    pub(crate) device: Option<&'a str>,
    /// Shows that the answer comes from this page.
    pub(crate) csrf: &'a str,
    /// Which request the answer is to.
    pub(crate) flow: &'a str,
}

/// The page that asks. A browser that sends the form without a button being chosen takes the first one, which denies.
#[must_use]
pub(crate) fn consent(of: &Consent<'_>) -> String {
    let language = of.language;
    page(language, texts::CONSENT.to(language), None, |html| {
        who(html, of);
        html.element("section", &[], |html| goes_to(html, of));
        html.element("section", &[], |html| {
            heading(html, texts::SERVER, language);
            html.element("p", &[("class", "name")], |html| html.line("bdi", of.server_title));
            html.element("p", &[("class", "small")], |html| html.line("bdi", of.endpoint));
        });
        html.element("form", &[("method", "post"), ("action", "/oauth/consent")], |html| {
            hidden(html, "csrf", of.csrf);
            hidden(html, "flow", of.flow);
            heading(html, texts::PERMITS, language);
            html.line("p", texts::PERMITS_HELP.to(language));
            for one in of.groups {
                group(html, one, language);
            }
            others(html, of.other_scopes, language);
            days(html, of.days, language);
            html.element("p", &[("class", "actor")], |html| match of.user {
                Some(user) => html.sentence(texts::ACTS_AS.to(language), user),
                None => html.sentence(texts::SIGN_IN_NEXT.to(language), of.provider_host),
            });
            html.element("div", &[("class", "buttons")], |html| {
                let deny = [("name", "decision"), ("value", "deny")];
                html.element("button", &deny, |html| html.text(texts::DENY.to(language)));
                let allow = [("class", "main"), ("name", "decision"), ("value", "allow")];
                html.element("button", &allow, |html| html.text(texts::ALLOW.to(language)));
            });
        });
    })
}

/// The client's own word for itself, never without whoever vouches for it.
fn who(html: &mut Html, of: &Consent<'_>) {
    let language = of.language;
    html.element("section", &[("class", "client")], |html| {
        heading(html, texts::APPLICATION, language);
        html.element("p", &[("class", "small")], |html| html.text(texts::CALLS_ITSELF.to(language)));
        html.element("p", &[("class", "name")], |html| html.line("bdi", of.client.name()));
        match of.client.vouched_by() {
            Voucher::Host(host) => html.element("p", &[("class", "vouched good")], |html| {
                html.sentence(texts::VERIFIED.to(language), host);
            }),
            Voucher::Nobody => html.element("p", &[("class", "vouched bad")], |html| {
                html.text(texts::NOT_VERIFIED.to(language));
            }),
            Voucher::Administrator => html.element("p", &[("class", "vouched good")], |html| {
                html.text(texts::BY_ADMINISTRATOR.to(language));
            }),
        }
    });
    if of.client.marks().is_empty() {
        return;
    }
    html.element("section", &[("class", "warnings")], |html| {
        heading(html, texts::WARNINGS, language);
        html.element("ul", &[], |html| {
            for mark in of.client.marks() {
                html.line("li", texts::warning(*mark).to(language));
            }
        });
    });
}

fn goes_to(html: &mut Html, of: &Consent<'_>) {
    let language = of.language;
    heading(html, texts::ANSWER, language);
    html.element("p", &[], |html| match of.redirect.map(Redirect::uri) {
        None => html.text(texts::TO_DEVICE.to(language)),
        Some(uri) => match uri.kind() {
            RedirectKind::Web => html.sentence(texts::TO_HOST.to(language), uri.place()),
            RedirectKind::Loopback => html.text(texts::TO_COMPUTER.to(language)),
            RedirectKind::App => html.sentence(texts::TO_APP.to(language), &format!("{}:", uri.place())),
        },
    });
    if let Some(code) = of.device {
        html.element("dl", &[("class", "facts code")], |html| fact(html, texts::DEVICE_CODE.to(language), code));
        html.element("p", &[], |html| html.line("strong", texts::DEVICE_CHECK.to(language)));
    }
}

fn group(html: &mut Html, of: &Group<'_>, language: Language) {
    html.element("fieldset", &[("class", of.impact.as_str())], |html| {
        html.element("legend", &[], |html| html.line("h3", texts::kind(of.impact).to(language)));
        tick(html, of.scope, of.is_ticked, |html| html.text(texts::permits(of.impact).to(language)));
        if of.tools.is_empty() {
            html.element("p", &[("class", "small")], |html| html.text(texts::NO_TOOL.to(language)));
            return;
        }
        html.element("details", &[], |html| {
            html.element("summary", &[], |html| {
                html.sentence(texts::TOOLS.to(language), &of.tools.len().to_string());
            });
            html.element("ul", &[], |html| {
                for tool in &of.tools {
                    html.element("li", &[], |html| {
                        html.line("bdi", tool.title);
                        html.text(" ");
                        html.element("code", &[], |html| html.line("bdi", tool.name));
                    });
                }
            });
        });
    });
}

fn others(html: &mut Html, scopes: &[&str], language: Language) {
    if scopes.is_empty() {
        return;
    }
    html.element("fieldset", &[], |html| {
        html.element("legend", &[], |html| html.line("h3", texts::OTHERS.to(language)));
        for scope in scopes {
            tick(html, scope, false, |html| html.element("code", &[], |html| html.line("bdi", scope)));
        }
    });
}

fn tick(html: &mut Html, scope: &str, is_ticked: bool, label: impl FnOnce(&mut Html)) {
    html.element("label", &[("class", "tick")], |html| {
        let input = [("type", "checkbox"), ("name", "scope"), ("value", scope), ("checked", "")];
        let [kind, name, value, _] = input;
        match is_ticked {
            true => html.void("input", &input),
            false => html.void("input", &[kind, name, value]),
        }
        html.element("span", &[], label);
    });
}

fn days(html: &mut Html, days: &[u32], language: Language) {
    html.element("div", &[("class", "lasts")], |html| {
        html.element("label", &[("for", "days")], |html| html.text(texts::LASTS.to(language)));
        html.element("select", &[("id", "days"), ("name", "days")], |html| {
            let mut state = Some(("selected", ""));
            for count in days {
                let number = count.to_string();
                let said = if *count == 1 { texts::ONE_DAY } else { texts::DAYS };
                let text = said.to(language).replace("{}", &number);
                match state.take() {
                    Some(selected) => {
                        html.element("option", &[("value", &number), selected], |html| html.text(&text));
                    }
                    None => html.element("option", &[("value", &number)], |html| html.text(&text)),
                }
            }
        });
    });
}
