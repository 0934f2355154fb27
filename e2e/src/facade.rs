//! A browser that keeps cookies and forms, and an application that asks for tokens with it: whom the gateway's own authorization
//! server is for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::raw::{self, Response};

/// A browser: its cookies. A copy has the same.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    cookies: Vec<Cookie>,
}

#[derive(Debug, Clone)]
struct Cookie {
    origin: String,
    path: String,
    name: String,
    value: String,
}

/// What a browser got, and from where.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its address.
    pub url: String,
    /// The answer.
    pub response: Response,
}

/// The first form of a page.
#[derive(Debug, Clone)]
pub struct Form {
    /// Where it goes.
    pub action: String,
    /// The fields nobody sees.
    pub hidden: Vec<(String, String)>,
    /// Name and value of each checkbox.
    pub boxes: Vec<(String, String)>,
    /// Name and value of each list, with the value that is chosen at first.
    pub lists: Vec<(String, String)>,
    /// Name and value of each button that has a name.
    pub buttons: Vec<(String, String)>,
}

impl Browser {
    /// Opens an address. No redirect is followed.
    ///
    /// # Errors
    /// When there is no answer, or the address is not `http` with an address and port.
    pub fn get(&mut self, url: &str) -> anyhow::Result<Page> {
        self.send("GET", url, "", "")
    }

    /// Sends a form as a page of that origin would.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post(&mut self, url: &str, fields: &[(String, String)]) -> anyhow::Result<Page> {
        let (origin, _) = split(url)?;
        let own = format!("Origin: {origin}\r\nSec-Fetch-Site: same-origin\r\n");
        self.post_with(url, fields, &own)
    }

    /// Sends a form as a page of another site would, with all cookies all the same.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post_from(&mut self, site: &str, url: &str, fields: &[(String, String)]) -> anyhow::Result<Page> {
        self.post_with(url, fields, &format!("Origin: {site}\r\nSec-Fetch-Site: cross-site\r\n"))
    }

    fn post_with(&mut self, url: &str, fields: &[(String, String)], headers: &str) -> anyhow::Result<Page> {
        let headers = format!("{headers}Content-Type: application/x-www-form-urlencoded\r\n");
        self.send("POST", url, &headers, &encoded(fields))
    }

    /// Opens an address and goes where it is sent, by `Location` or by a page's refresh. It ends with the page that leads nowhere, or to
    /// an address that `is_end` says yes to: [`Page::next`] is that address.
    ///
    /// # Errors
    /// As [`Self::get`], and after too many steps.
    pub fn follow_until(&mut self, url: &str, is_end: impl Fn(&str) -> bool) -> anyhow::Result<Page> {
        let mut page = self.get(url)?;
        for _ in 0..STEPS_MAX {
            match page.next() {
                Some(next) if !is_end(&next) => page = self.get(&next)?,
                Some(_) | None => return Ok(page),
            }
        }
        anyhow::bail!("{url} leads on and on, to {}", page.url)
    }

    /// Forgets all cookies of this name.
    pub fn forget(&mut self, name: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
    }

    /// The names of its cookies for an origin.
    #[must_use]
    pub fn cookies(&self, origin: &str) -> Vec<String> {
        self.cookies.iter().filter(|cookie| cookie.origin == origin).map(|cookie| cookie.name.clone()).collect()
    }

    fn send(&mut self, method: &str, url: &str, headers: &str, body: &str) -> anyhow::Result<Page> {
        let (origin, target) = split(url)?;
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let cookies = self.line(&origin, &path);
        let headers = format!("Accept: text/html\r\n{cookies}{headers}");
        let response = exchange(method, &origin, &target, &headers, body)?;
        for (name, value) in &response.headers {
            if name == "set-cookie" {
                self.keep(&origin, value);
            }
        }
        Ok(Page { url: url.to_owned(), response })
    }

    fn line(&self, origin: &str, path: &str) -> String {
        let within = |below: &str| {
            let rest = path.strip_prefix(below);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || below.ends_with('/'))
        };
        let mut own: Vec<&Cookie> =
            self.cookies.iter().filter(|cookie| cookie.origin == origin && within(&cookie.path)).collect();
        // The one of the longest path comes first (RFC 6265 section 5.4).
        own.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = own.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        if pairs.is_empty() { String::new() } else { format!("Cookie: {}\r\n", pairs.join("; ")) }
    }

    fn keep(&mut self, origin: &str, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let (mut path, mut is_over) = ("/".to_owned(), false);
        for part in parts {
            let (attribute, set) = part.split_once('=').unwrap_or((part, ""));
            match attribute.to_ascii_lowercase().as_str() {
                "path" => set.clone_into(&mut path),
                "max-age" => is_over |= set.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                "expires" => is_over |= set.contains("1970"),
                _ => {}
            }
        }
        self.cookies.retain(|cookie| (&*cookie.origin, &*cookie.path, &*cookie.name) != (origin, &*path, name));
        if !is_over {
            self.cookies.push(Cookie {
                origin: origin.to_owned(),
                path,
                name: name.to_owned(),
                value: value.to_owned(),
            });
        }
    }
}

impl Page {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        self.response.text()
    }

    /// Where `Location` leads.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        self.response.header("location").map(|to| self.absolute(to))
    }

    /// Where `<meta http-equiv="refresh">` leads.
    #[must_use]
    pub fn refresh(&self) -> Option<String> {
        let text = self.text();
        let tag = tags(&text, "meta").find(|tag| attribute(tag, "http-equiv").is_some_and(|it| it == "refresh"))?;
        let content = attribute(tag, "content")?;
        let (_, to) = content.split_once("url=")?;
        Some(self.absolute(to.trim_matches(['\'', '"', ' '])))
    }

    /// Where it leads by itself, if it does.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        self.location().or_else(|| self.refresh())
    }

    /// A parameter of the address that it leads to.
    #[must_use]
    pub fn answer(&self, name: &str) -> Option<String> {
        self.next().and_then(|to| parameter(&to, name))
    }

    /// The part of it behind this text.
    ///
    /// # Errors
    /// When it has no such text.
    pub fn behind(&self, text: &str) -> anyhow::Result<Self> {
        let all = self.text();
        let (_, rest) = all.split_once(text).with_context(|| format!("no {text:?} in {}: {all}", self.url))?;
        let response = Response { body: rest.as_bytes().to_vec(), ..self.response.clone() };
        Ok(Self { url: self.url.clone(), response })
    }

    /// Its first form.
    ///
    /// # Errors
    /// When there is none.
    pub fn form(&self) -> anyhow::Result<Form> {
        self.forms().into_iter().next().with_context(|| format!("no form in {}: {}", self.url, self.text()))
    }

    /// All of its forms.
    #[must_use]
    pub fn forms(&self) -> Vec<Form> {
        let text = self.text();
        text.split("<form").skip(1).map(|rest| self.read(rest.split("</form").next().unwrap_or_default())).collect()
    }

    fn read(&self, form: &str) -> Form {
        let open = form.split('>').next().unwrap_or_default();
        let action = attribute(open, "action").map_or_else(|| self.url.clone(), |to| self.absolute(&to));
        let inputs = |kind: &str| {
            let of_kind = |tag: &&str| attribute(tag, "type").is_some_and(|it| it == kind);
            let pair = |tag: &str| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()));
            tags(form, "input").filter(of_kind).filter_map(pair).collect()
        };
        let button = |tag: &str| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()));
        let buttons = tags(form, "button").filter_map(button).collect();
        let list = |rest: &str| {
            let name = attribute(rest.split('>').next()?, "name")?;
            let options: Vec<&str> = tags(rest.split("</select").next()?, "option").collect();
            let is_chosen = |option: &&&str| option.split_whitespace().any(|word| word.starts_with("selected"));
            let chosen = options.iter().find(is_chosen).or(options.first())?;
            Some((name, attribute(chosen, "value").unwrap_or_default()))
        };
        let lists = form.split("<select").skip(1).filter_map(list).collect();
        Form { action, hidden: inputs("hidden"), boxes: inputs("checkbox"), lists, buttons }
    }

    fn absolute(&self, to: &str) -> String {
        match split(&self.url) {
            Ok((origin, _)) if to.starts_with('/') => format!("{origin}{to}"),
            Ok(_) | Err(_) => to.to_owned(),
        }
    }
}

impl Form {
    /// The hidden fields, the boxes that `is_ticked` says yes to by their value, the lists as they are, and these others.
    #[must_use]
    pub fn filled(&self, is_ticked: impl Fn(&str) -> bool, others: &[(&str, &str)]) -> Vec<(String, String)> {
        let ticked = self.boxes.iter().filter(|(_, value)| is_ticked(value));
        self.hidden.iter().chain(ticked).chain(&self.lists).cloned().chain(owned(others)).collect()
    }
}

/// A token request's answer when it is a good one.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
    /// What both are good for.
    pub scope: String,
    /// All of the answer.
    pub all: Value,
}

impl Tokens {
    /// Reads an answer.
    ///
    /// # Errors
    /// When it is not a good one.
    pub fn read(response: &Response) -> anyhow::Result<Self> {
        anyhow::ensure!(response.status == 200, "answered {}: {}", response.status, response.text());
        let all = raw::parse(&response.text())?;
        let member = |name: &str| {
            let member = all.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
            member.with_context(|| format!("no {name} in {all}"))
        };
        Ok(Self {
            access: member("access_token")?,
            refresh: member("refresh_token")?,
            scope: member("scope")?,
            all: all.clone(),
        })
    }
}

/// One flow of an application, from the authorization request to the tokens.
#[derive(Debug, Clone)]
pub struct Flow {
    origin: String,
    fields: Vec<(String, String)>,
    verifier: String,
}

impl Flow {
    /// Asks the authorization server at `origin` for a client, with a verifier and a state of its own.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new(origin: &str, client: &str, redirect_uri: &str, resource: &str) -> anyhow::Result<Self> {
        let (verifier, state) = (random()?, random()?);
        let challenge = challenge(&verifier);
        let fields = [
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", redirect_uri),
            ("state", &state),
            ("scope", SCOPES),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", resource),
        ];
        Ok(Self { origin: origin.to_owned(), fields: owned(&fields).collect(), verifier })
    }

    /// The same with another parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without a parameter.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self
    }

    /// A parameter of its request, empty if it has none.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// The address of the authorization request.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/oauth/authorize?{}", self.origin, encoded(&self.fields))
    }

    /// Opens the authorization request.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn open(&self, browser: &mut Browser) -> anyhow::Result<Page> {
        browser.get(&self.url())
    }

    /// Answers the consent page `page`: `allow` or `deny`, with the scopes that `is_ticked` says yes to.
    ///
    /// # Errors
    /// When there is no form, or no answer.
    pub fn decide(
        &self,
        browser: &mut Browser,
        page: &Page,
        decision: &str,
        is_ticked: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Page> {
        let form = page.form()?;
        browser.post(&form.action, &form.filled(is_ticked, &[("decision", decision)]))
    }

    /// Opens the request and allows all of it: the page that leads to the provider.
    ///
    /// # Errors
    /// When that is not what comes.
    pub fn allow(&self, browser: &mut Browser) -> anyhow::Result<Page> {
        self.allow_some(browser, |_| true)
    }

    /// The same, with some of its scopes.
    ///
    /// # Errors
    /// As [`Self::allow`].
    pub fn allow_some(&self, browser: &mut Browser, is_ticked: impl Fn(&str) -> bool) -> anyhow::Result<Page> {
        let page = self.open(browser)?;
        anyhow::ensure!(page.status() == 200, "{}: {} {}", page.url, page.status(), page.text());
        let allowed = self.decide(browser, &page, "allow", is_ticked)?;
        anyhow::ensure!(allowed.next().is_some(), "{} leads nowhere: {}", allowed.status(), allowed.text());
        Ok(allowed)
    }

    /// Goes on from the page that leads to the provider until the application has its answer: the page that leads to it, or that
    /// leads nowhere.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn go_on(&self, browser: &mut Browser, allowed: &Page) -> anyhow::Result<Page> {
        let to = allowed.next().context("it leads nowhere")?;
        browser.follow_until(&to, |url| self.is_answer(url))
    }

    /// Goes on until the provider leads back: the address of the callback, not opened.
    ///
    /// # Errors
    /// When it does not.
    pub fn callback(&self, browser: &mut Browser, allowed: &Page) -> anyhow::Result<String> {
        let callback = format!("{}/oauth/callback?", self.origin);
        let to = allowed.next().context("it leads nowhere")?;
        let page = browser.follow_until(&to, |url| url.starts_with(&callback))?;
        page.next().filter(|to| to.starts_with(&callback)).with_context(|| format!("{}: {}", page.url, page.text()))
    }

    /// Whether this is an address of the application.
    #[must_use]
    pub fn is_answer(&self, url: &str) -> bool {
        url.strip_prefix(self.field("redirect_uri")).is_some_and(|rest| rest.starts_with('?'))
    }

    /// The code in the page that leads to the application, whose `state` and `iss` have to be as they should.
    ///
    /// # Errors
    /// When there is none, or it is another's.
    pub fn code_of(&self, page: &Page) -> anyhow::Result<String> {
        let to = page.location().filter(|to| self.is_answer(to));
        let to = to.with_context(|| format!("{} {}: {}", page.url, page.status(), page.text()))?;
        anyhow::ensure!(parameter(&to, "state").as_deref() == Some(self.field("state")), "another state: {to}");
        anyhow::ensure!(parameter(&to, "iss").as_deref() == Some(&self.origin), "another issuer: {to}");
        parameter(&to, "code").with_context(|| format!("no code: {to}"))
    }

    /// Asks, allows, logs in: a code.
    ///
    /// # Errors
    /// When there is none.
    pub fn code(&self, browser: &mut Browser) -> anyhow::Result<String> {
        let allowed = self.allow(browser)?;
        let page = self.go_on(browser, &allowed)?;
        self.code_of(&page)
    }

    /// The token request for a code.
    #[must_use]
    pub fn token_request(&self, code: &str) -> Vec<(String, String)> {
        let own = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", &self.verifier),
            ("redirect_uri", self.field("redirect_uri")),
            ("client_id", self.field("client_id")),
            ("resource", self.field("resource")),
        ];
        owned(&own).collect()
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn redeem(&self, code: &str) -> anyhow::Result<Response> {
        post(&self.origin, "/oauth/token", &self.token_request(code))
    }

    /// The same with other parameters; an empty one is left out.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn redeem_with(&self, code: &str, others: &[(&str, &str)]) -> anyhow::Result<Response> {
        post(&self.origin, "/oauth/token", &changed(self.token_request(code), others))
    }

    /// Asks for fresh tokens; an empty parameter is left out.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn renew(&self, refresh: &str, others: &[(&str, &str)]) -> anyhow::Result<Response> {
        let own = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", self.field("client_id")),
            ("resource", self.field("resource")),
        ];
        post(&self.origin, "/oauth/token", &changed(owned(&own).collect(), others))
    }

    /// Asks, allows, logs in, redeems.
    ///
    /// # Errors
    /// When there are no tokens.
    pub fn tokens(&self, browser: &mut Browser) -> anyhow::Result<Tokens> {
        let code = self.code(browser)?;
        Tokens::read(&self.redeem(&code)?)
    }
}

/// Sends a form without a browser.
///
/// # Errors
/// When there is no answer.
pub fn post(origin: &str, path: &str, fields: &[(String, String)]) -> anyhow::Result<Response> {
    exchange("POST", origin, path, "Content-Type: application/x-www-form-urlencoded\r\n", &encoded(fields))
}

/// Sends JSON without a browser.
///
/// # Errors
/// When there is no answer.
pub fn post_json(origin: &str, path: &str, body: &Value) -> anyhow::Result<Response> {
    exchange("POST", origin, path, "Content-Type: application/json\r\n", &body.to_string())
}

/// Asks for a document without a browser.
///
/// # Errors
/// When there is no answer.
pub fn fetch(origin: &str, path: &str) -> anyhow::Result<Response> {
    exchange("GET", origin, path, "", "")
}

/// The names and values as a form has them.
pub fn owned<'a>(fields: &'a [(&str, &str)]) -> impl Iterator<Item = (String, String)> + 'a {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
}

/// Some fields, with others in their place; an empty one is left out.
#[must_use]
pub fn changed(mut fields: Vec<(String, String)>, others: &[(&str, &str)]) -> Vec<(String, String)> {
    for (name, _) in others {
        fields.retain(|(field, _)| field != name);
    }
    fields.extend(owned(others).filter(|(_, value)| !value.is_empty()));
    fields
}

/// A parameter in the query of an address.
#[must_use]
pub fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let pairs: BTreeMap<String, String> = query
        .split('&')
        .filter_map(|pair| {
            let (field, value) = pair.split_once('=')?;
            Some((decoded(field), decoded(value)))
        })
        .collect();
    pairs.get(name).cloned()
}

/// A text that nobody guesses, as long as a verifier has to be.
///
/// # Errors
/// When there is no randomness.
pub fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).context("no randomness")?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// The challenge of a verifier with `S256` (RFC 7636 section 4.2).
#[must_use]
pub fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// Names and values as `application/x-www-form-urlencoded`.
#[must_use]
pub fn encoded(fields: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
    pairs.join("&")
}

fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _written = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().replace('+', " ").into_bytes();
    for part in parts {
        let byte = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, part.get(2..)) {
            (Some(byte), Some(rest)) => {
                bytes.push(byte);
                bytes.extend(rest.replace('+', " ").bytes());
            }
            _ => bytes.extend(format!("%{part}").bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The tags of this name, each without its brackets.
fn tags<'a>(html: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let after = move |part: &'a str| part.strip_prefix(name)?.split('>').next();
    html.split('<').filter_map(after).filter(|tag| tag.starts_with([' ', '\n', '\t']))
}

/// An attribute, unescaped: in quotes, or bare up to the next space.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        let (before, behind) = rest.split_once(&format!("{name}="))?;
        if before.ends_with(char::is_whitespace) {
            let value = match behind.chars().next()? {
                quote @ ('"' | '\'') => behind.split(quote).nth(1)?,
                _ => behind.split([' ', '\n', '\t', '/']).next()?,
            };
            return Some(unescaped(value));
        }
        rest = behind;
    }
}

fn unescaped(text: &str) -> String {
    let known = [("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&#x27;", "'"), ("&lt;", "<"), ("&gt;", ">")];
    let text = known.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    // The last one, or `&amp;lt;` would be unescaped twice.
    text.replace("&#x3D;", "=").replace("&#x2F;", "/").replace("&#38;", "&").replace("&amp;", "&")
}

/// An address as its origin and the rest.
fn split(url: &str) -> anyhow::Result<(String, String)> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url} is no http URL"))?;
    let (authority, target) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let target = target.split('#').next().unwrap_or_default();
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok((format!("http://{authority}"), format!("{slash}{target}")))
}

fn exchange(method: &str, origin: &str, target: &str, headers: &str, body: &str) -> anyhow::Result<Response> {
    let authority = origin.strip_prefix("http://").with_context(|| format!("{origin} is no http origin"))?;
    let address: SocketAddr = authority.parse().with_context(|| format!("{authority} is no address and port"))?;
    let length = match method {
        "GET" => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n{headers}{length}\r\n{body}");
    raw::send(address, request.as_bytes(), LIMIT).with_context(|| format!("{method} {origin}{target}"))
}

/// What a flow asks for unless it says otherwise.
pub const SCOPES: &str = "tools:read tools:destructive";

const STEPS_MAX: usize = 20;

const LIMIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_a_browser_would() {
        let body = "<meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0;url=http://127.0.0.1:1/auth?a=1&amp;b=2\">\
            <form method=\"post\" action=\"/oauth/consent\"><input type=\"hidden\" name=\"csrf\" value=\"a&quot;b\">\
            <input type=checkbox name=scope value=tools:read checked><input value='x' name='scope' type='checkbox'>\
            <select name=\"days\"><option value=\"1\">1</option><option value=\"7\" selected>7</option></select>\
            <input type=\"text\" name=\"user_code\"><button name=\"decision\" value=\"allow\">Allow</button></form>";
        let response = Response { status: 200, headers: Vec::new(), body: body.into() };
        let page = Page { url: "http://127.0.0.1:2/oauth/authorize?x".to_owned(), response };
        assert_eq!(page.next().as_deref(), Some("http://127.0.0.1:1/auth?a=1&b=2"));
        assert_eq!(page.answer("b").as_deref(), Some("2"));
        let form = page.form().unwrap();
        assert_eq!(form.action, "http://127.0.0.1:2/oauth/consent");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(form.buttons, [pair("decision", "allow")]);
        let filled = form.filled(|scope| scope == "tools:read", &[("decision", "deny")]);
        let expected = [pair("csrf", "a\"b"), pair("scope", "tools:read"), pair("days", "7"), pair("decision", "deny")];
        assert_eq!(filled, expected);
        assert!(page.behind("</form>").unwrap().form().is_err());
    }

    #[test]
    fn cookies_go_where_they_came_from_until_they_are_over() {
        let mut browser = Browser::default();
        for line in ["a=1; Path=/; HttpOnly", "a=2; path=/auth/x", "b=3; Path=/", "b=; Path=/; Max-Age=0"] {
            browser.keep("http://127.0.0.1:1", line);
        }
        assert_eq!(browser.line("http://127.0.0.1:1", "/auth/x/y"), "Cookie: a=2; a=1\r\n");
        assert_eq!(browser.line("http://127.0.0.1:1", "/auth/xy"), "Cookie: a=1\r\n");
        assert_eq!(browser.line("http://127.0.0.1:2", "/auth/x"), "");
    }

    #[test]
    fn parameters_are_written_and_read() {
        let fields = [("a b".to_owned(), "ä&=%+".to_owned())];
        assert_eq!(encoded(&fields), "a%20b=%C3%A4%26%3D%25%2B");
        assert_eq!(parameter(&format!("http://x/?{}", encoded(&fields)), "a b").as_deref(), Some("ä&=%+"));
        assert_eq!(parameter("http://x/?a=b+c", "a").as_deref(), Some("b c"));
        // RFC 7636, appendix B.
        let challenge = challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
