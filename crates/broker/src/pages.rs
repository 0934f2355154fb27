//! What users see: pages without script and without images, in their language. Pure: what a page shows goes in, HTML comes out.
//!
//! Much of it was written by whoever asks for consent. None of it can become markup (`Html`), steer how anything else is shown, or stand
//! where it could be taken for a word of ours.

mod consent;
mod consents;
mod html;
mod texts;

pub(crate) use consent::{Consent, Group, Item, consent};
pub(crate) use consents::{Listed, consents};

use html::Html;
use texts::Said;

/// What a page is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// The one that is taken where no other is asked for.
    English,
    /// Polite Japanese.
    Japanese,
}

impl Language {
    /// The one that a browser likes best of those there are (RFC 9110 section 12.5.4).
    #[must_use]
    pub(crate) fn preferred(accept_language: Option<&str>) -> Language {
        let mut best = (Language::English, 0.0);
        for range in accept_language.unwrap_or_default().split(',') {
            let (tag, parameter) = range.split_once(';').unwrap_or((range, ""));
            let primary = tag.trim().split('-').next().unwrap_or_default();
            let language = match primary.to_ascii_lowercase().as_str() {
                "ja" => Language::Japanese,
                "en" | "*" => Language::English,
                _ => continue,
            };
            let weight = match parameter.trim().split_once('=') {
                None => Some(1.0),
                Some((_, weight)) => weight.trim().parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight)),
            };
            // Of equals, the first; what has no weight, or none that can be read, is not wanted.
            best = weight.filter(|weight| *weight > best.1).map_or(best, |weight| (language, weight));
        }
        best.0
    }

    /// Its tag (BCP 47).
    #[must_use]
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Japanese => "ja",
        }
    }
}

/// What a page says of a problem.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// What is the matter.
    pub(crate) title: &'static str,
    /// Why it is.
    pub(crate) why: &'static str,
    /// What the user can do.
    pub(crate) help: &'static str,
}

/// What a user is told once something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The user has denied, and there is nowhere to send that to.
    Denied,
    /// The device has what it asked for.
    DeviceAccepted,
    /// The user is signed out.
    SignedOut,
}

/// The page of a problem. `code` and `request` are what whoever is asked for help will want to know.
#[must_use]
pub(crate) fn problem(words: Words, code: &str, request: &str, language: Language) -> String {
    page(language, words.title, None, |html| {
        html.line("p", words.why);
        html.line("p", words.help);
        html.element("dl", &[("class", "facts")], |html| {
            fact(html, texts::CODE.to(language), code);
            fact(html, texts::REQUEST.to(language), request);
        });
    })
}

/// The page that leads elsewhere at once: a form may only be answered by this site's own pages (`form-action`), so it cannot be answered by
/// a redirect to another. The URL is one that was found good: here it is only kept from being markup.
#[must_use]
pub(crate) fn on_the_way(url: &str, host: &str, language: Language) -> String {
    page(language, texts::ON_THE_WAY.to(language), Some(url), |html| {
        html.element("p", &[], |html| html.sentence(texts::GOING_TO.to(language), host));
        html.element("p", &[], |html| {
            html.element("a", &[("class", "button"), ("href", url)], |html| html.text(texts::GO_ON.to(language)));
        });
    })
}

/// The page that says that something is done.
#[must_use]
pub(crate) fn told(what: Told, language: Language) -> String {
    let (title, more) = match what {
        Told::Denied => (texts::DENIED, texts::DENIED_MORE),
        Told::DeviceAccepted => (texts::ACCEPTED, texts::ACCEPTED_MORE),
        Told::SignedOut => (texts::SIGNED_OUT, texts::SIGNED_OUT_MORE),
    };
    page(language, title.to(language), None, |html| html.line("p", more.to(language)))
}

/// The page where a user types the code that a device shows (RFC 8628 section 3.3).
#[must_use]
pub(crate) fn device(language: Language) -> String {
    page(language, texts::DEVICE.to(language), None, |html| {
        html.element("p", &[("id", "why")], |html| html.text(texts::DEVICE_WHY.to(language)));
        html.element("form", &[("method", "post"), ("action", "/oauth/device")], |html| {
            html.element("label", &[("for", "user_code")], |html| html.text(texts::USER_CODE.to(language)));
            let input = [
                ("id", "user_code"),
                ("class", "code"),
                ("type", "text"),
                ("name", "user_code"),
                ("autocomplete", "off"),
                ("autocapitalize", "characters"),
                ("spellcheck", "false"),
                ("aria-describedby", "why"),
                ("required", ""),
            ];
            html.void("input", &input);
            html.element("div", &[("class", "buttons")], |html| {
                html.element("button", &[("class", "main")], |html| html.text(texts::CONTINUE.to(language)));
            });
        });
    })
}

/// The stylesheet, at `/oauth/style.css`.
pub(crate) const STYLE: &str = include_str!("pages/style.css");

/// What goes with every page: nothing runs, nothing is loaded but the stylesheet, nobody frames it, nobody keeps it.
#[must_use]
pub(crate) fn headers() -> [(&'static str, &'static str); 7] {
    [
        ("Content-Type", "text/html; charset=utf-8"),
        (
            "Content-Security-Policy",
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ]
}

/// A whole page, which leads on to a URL at once where there is one.
fn page(language: Language, title: &'static str, leads_to: Option<&str>, inside: impl FnOnce(&mut Html)) -> String {
    let mut html = Html::document();
    html.element("html", &[("lang", language.tag())], |html| {
        html.element("head", &[], |html| {
            html.void("meta", &[("charset", "utf-8")]);
            html.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            html.void("meta", &[("name", "color-scheme"), ("content", "light dark")]);
            if let Some(url) = leads_to {
                html.void("meta", &[("http-equiv", "refresh"), ("content", &format!("0;url={url}"))]);
            }
            html.element("title", &[], |html| {
                html.text(title);
                html.text(" - Sekisho");
            });
            html.void("link", &[("rel", "stylesheet"), ("href", "/oauth/style.css")]);
        });
        html.element("body", &[], |html| {
            html.element("header", &[], |html| {
                html.text("Sekisho ");
                html.element("span", &[("lang", "ja")], |html| html.text("関所"));
            });
            html.element("main", &[], |html| {
                html.line("h1", title);
                inside(html);
            });
        });
    });
    html.into_string()
}

/// A name and a value of a list of such.
fn fact(html: &mut Html, name: &'static str, value: &str) {
    html.line("dt", name);
    html.element("dd", &[], |html| html.line("bdi", value));
}

/// A field of a form that is not seen.
fn hidden(html: &mut Html, name: &'static str, value: &str) {
    html.void("input", &[("type", "hidden"), ("name", name), ("value", value)]);
}

/// A heading of a part of a page.
fn heading(html: &mut Html, said: Said, language: Language) {
    html.line("h2", said.to(language));
}

#[cfg(test)]
mod tests;
