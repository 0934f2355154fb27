//! Where an answer may go: redirect URIs, compared as they are written (RFC 6749 section 3.1.2, RFC 8252, RFC 9700 section 2.1).

use std::collections::BTreeSet;

use sekisho_wire::text;
use url::{Host, Url, form_urlencoded};

/// A redirect URI of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectUri {
    text: Box<str>,
    url: Url,
    kind: RedirectKind,
}

/// Where a redirect URI leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectKind {
    /// To a host, over TLS.
    Web,
    /// To a program on the user's own machine, which listens at any port.
    Loopback,
    /// To whichever application has its scheme.
    App,
}

/// Why a redirect URI is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// Longer than any needs to be.
    #[error("a redirect URI is longer than {TEXT_BYTES_MAX} bytes")]
    TooLong,
    /// No absolute URI.
    #[error("a redirect URI is no absolute URI")]
    NotUri,
    /// There is another way to write it, and somebody may read it as that.
    #[error("a redirect URI is not written in its plainest form, which is `{0}`")]
    NotPlain(Box<str>),
    /// It has characters that nobody sees, or that are encoded and mean something else once they are not.
    #[error("a redirect URI has a character that is hidden, or encoded for no good reason")]
    Hidden,
    /// It stands for more than one place.
    #[error("a redirect URI has a wildcard")]
    Wildcard,
    /// OAuth permits none.
    #[error("a redirect URI has a fragment")]
    Fragment,
    /// A name before the host is read as the host.
    #[error("a redirect URI has a user name")]
    User,
    /// It has a parameter that an answer has.
    #[error("a redirect URI has the parameter `{0}`, which is the answer's")]
    Parameter(Box<str>),
    /// Anybody on the way could read the answer.
    #[error("a redirect URI has no TLS, and does not lead to the user's own machine")]
    Clear,
    /// Applications of this scheme are not known.
    #[error("a redirect URI has the scheme `{0}`, which is not permitted")]
    Scheme(Box<str>),
}

/// Schemes of applications that may be redirected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppSchemes(BTreeSet<Box<str>>);

/// Why a scheme cannot be permitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// RFC 3986 section 3.1, in lower case.
    #[error("`{0}` is no scheme: a lower-case letter, then letters, digits, `+`, `-` and `.`")]
    NotScheme(Box<str>),
    /// Browsers do something with it themselves.
    #[error("`{0}` is a scheme that browsers and systems have a meaning for")]
    Reserved(Box<str>),
}

/// Where the answer to one request goes: the proof that its redirect URI is one of the client's.
#[derive(Debug)]
pub struct Redirect {
    uri: Box<RedirectUri>,
}

impl AppSchemes {
    /// These and no others.
    ///
    /// # Errors
    /// [`SchemeError`]
    pub fn new<'a>(schemes: impl IntoIterator<Item = &'a str>) -> Result<AppSchemes, SchemeError> {
        let mut permitted = BTreeSet::new();
        for scheme in schemes {
            let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
                && scheme
                    .chars()
                    .all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || "+-.".contains(char));
            if !is_scheme {
                return Err(SchemeError::NotScheme(scheme.into()));
            }
            if RESERVED.contains(&scheme) || RESERVED_BEGINS.iter().any(|begin| scheme.starts_with(begin)) {
                return Err(SchemeError::Reserved(scheme.into()));
            }
            permitted.insert(scheme.into());
        }
        Ok(AppSchemes(permitted))
    }
}

impl RedirectUri {
    /// Reads one. It has to be written in its plainest form: lower-case scheme and host, no default port, no `..`, so that nobody can
    /// read it as another one.
    ///
    /// # Errors
    /// [`RedirectError`]
    pub fn parse(text: &str, apps: &AppSchemes) -> Result<RedirectUri, RedirectError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(RedirectError::TooLong);
        }
        if text.contains('*') {
            return Err(RedirectError::Wildcard);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || has_odd_encoding(text) {
            return Err(RedirectError::Hidden);
        }
        let url = Url::parse(text).map_err(|_| RedirectError::NotUri)?;
        if url.fragment().is_some() {
            return Err(RedirectError::Fragment);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RedirectError::User);
        }
        let parameter = url.query_pairs().find(|(name, _)| ANSWERED.contains(&name.as_ref()));
        if let Some((name, _)) = parameter {
            return Err(RedirectError::Parameter(name.as_ref().into()));
        }
        let kind = kind(&url, apps)?;
        // An empty path may be left out; anything else has one spelling.
        let is_plain = url.as_str() == text || url.as_str().strip_suffix('/') == Some(text);
        if !is_plain {
            return Err(RedirectError::NotPlain(url.as_str().into()));
        }
        Ok(RedirectUri { text: text.into(), url, kind })
    }

    /// Where it leads.
    #[must_use]
    pub fn kind(&self) -> RedirectKind {
        self.kind
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What a user is shown of it: the host, or the scheme of the application.
    #[must_use]
    pub fn place(&self) -> &str {
        match self.kind {
            RedirectKind::Web | RedirectKind::Loopback => self.url.host_str().unwrap_or_default(),
            RedirectKind::App => self.url.scheme(),
        }
    }

    /// What it is known by where a user's own machine is meant: there, any port is.
    pub(crate) fn at_any_port(&self) -> String {
        match self.kind {
            RedirectKind::Loopback => {
                let mut url = self.url.clone();
                // It has a host, so that a port can be left out.
                let _always = url.set_port(None);
                url.into()
            }
            RedirectKind::Web | RedirectKind::App => self.text.to_string(),
        }
    }

    /// Whether a request that is asked with `asked` means this one: it is the same text, or leads to the same place on the user's own
    /// machine at another port (RFC 8252 section 7.3).
    fn means(&self, asked: &RedirectUri) -> bool {
        let apart_from_port = |uri: &RedirectUri| {
            let mut url = uri.url.clone();
            // Cannot fail: it has a host.
            let _set = url.set_port(None);
            url
        };
        let at_any_port = self.kind == RedirectKind::Loopback
            && asked.kind == RedirectKind::Loopback
            && apart_from_port(self) == apart_from_port(asked);
        self.text == asked.text || at_any_port
    }
}

impl Redirect {
    /// The client's redirect URI that is asked for. Where the client has exactly one that is no loopback, it need not say which.
    pub(crate) fn of(uris: &[RedirectUri], asked: Option<&str>, apps: &AppSchemes) -> Option<Redirect> {
        let Some(asked) = asked else {
            let [only] = uris else { return None };
            return (only.kind != RedirectKind::Loopback).then(|| Redirect { uri: Box::new(only.clone()) });
        };
        let asked = RedirectUri::parse(asked, apps).ok()?;
        uris.iter().any(|uri| uri.means(&asked)).then(|| Redirect { uri: Box::new(asked) })
    }

    /// Where it leads.
    #[must_use]
    pub fn uri(&self) -> &RedirectUri {
        &self.uri
    }

    /// The URI with an answer: each name and value encoded, behind what is there already.
    #[must_use]
    pub fn with<'a>(&self, answer: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(answer);
        let joint = match self.uri.url.query() {
            None => "?",
            Some("") => "",
            Some(_) => "&",
        };
        format!("{}{joint}{}", self.uri.text, encoded.finish())
    }
}

fn kind(url: &Url, apps: &AppSchemes) -> Result<RedirectKind, RedirectError> {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "http" | "https" if is_loopback => Ok(RedirectKind::Loopback),
        "https" => Ok(RedirectKind::Web),
        "http" => Err(RedirectError::Clear),
        scheme if apps.0.contains(scheme) => Ok(RedirectKind::App),
        scheme => Err(RedirectError::Scheme(scheme.into())),
    }
}

/// `%2F`, `%5C`, `%00`, `%25`: read once more somewhere, they are another path. Half an escape is none.
fn has_odd_encoding(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        let Some(byte) = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) else { return true };
        if byte.is_ascii_control() || b"/\\%.".contains(&byte) || byte.is_ascii_alphanumeric() {
            return true;
        }
        rest = after;
    }
    // What the escapes stand for may hide something, too.
    let decoded: String = form_urlencoded::parse(text.replace(['&', '=', '+'], "").as_bytes())
        .map(|(name, value)| format!("{name}{value}"))
        .collect();
    decoded.chars().any(text::suspect)
}

/// LIMIT: of a redirect URI.
const TEXT_BYTES_MAX: usize = 2048;
/// Parameters of answers (RFC 6749 section 4.1.2, RFC 9207).
const ANSWERED: &[&str] =
    &["code", "state", "iss", "error", "error_description", "error_uri", "id_token", "access_token"];
const RESERVED: &[&str] = &[
    "http",
    "https",
    "javascript",
    "data",
    "file",
    "vbscript",
    "about",
    "blob",
    "filesystem",
    "ws",
    "wss",
    "ftp",
    "ftps",
    "view-source",
    "chrome",
    "edge",
    "resource",
    "jar",
    "intent",
    "mailto",
    "tel",
    "sms",
    "ssh",
    "git",
    "smb",
    "ldap",
];
const RESERVED_BEGINS: &[&str] = &["ms-", "chrome-", "moz-", "x-apple", "itms", "web+"];

#[cfg(test)]
mod tests {
    use super::*;

    fn apps() -> AppSchemes {
        AppSchemes::new(["cursor", "vscode", "com.example.app"]).unwrap()
    }

    fn parse(text: &str) -> Result<RedirectUri, RedirectError> {
        RedirectUri::parse(text, &apps())
    }

    #[test]
    fn redirect_uris_are_read_as_real_clients_have_them() {
        for (text, kind, place) in [
            ("https://claude.ai/api/mcp/auth_callback", RedirectKind::Web, "claude.ai"),
            ("https://vscode.dev/redirect", RedirectKind::Web, "vscode.dev"),
            ("https://app.example:8443/cb?tenant=a%20b", RedirectKind::Web, "app.example"),
            ("http://127.0.0.1:33418", RedirectKind::Loopback, "127.0.0.1"),
            ("http://127.0.0.1:33418/", RedirectKind::Loopback, "127.0.0.1"),
            ("http://localhost:6274/oauth/callback", RedirectKind::Loopback, "localhost"),
            ("http://[::1]:3334/oauth/callback", RedirectKind::Loopback, "[::1]"),
            ("cursor://anysphere.cursor-retrieval/oauth/user-x/callback", RedirectKind::App, "cursor"),
            ("com.example.app:/oauth", RedirectKind::App, "com.example.app"),
        ] {
            let uri = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((uri.kind(), uri.place(), uri.as_str()), (kind, place, text), "{text}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        use RedirectError::*;
        for (text, why) in [
            ("https://a.example/*", Wildcard),
            ("https://*.a.example/cb", Wildcard),
            ("https://a.example/cb#x", Fragment),
            ("https://a.example/cb#", Fragment),
            ("https://a.example@evil.example/cb", User),
            ("https://a:b@evil.example/cb", User),
            ("https://@evil.example/cb", NotPlain("https://evil.example/cb".into())),
            ("http://a.example/cb", Clear),
            ("http://127.0.0.1.evil.example/cb", Clear),
            ("http://localhost.evil.example/cb", Clear),
            ("https://a.example/cb?code=x", Parameter("code".into())),
            ("https://a.example/cb?a=b&state=x", Parameter("state".into())),
            ("https://a.example/%2e%2e/cb", Hidden),
            ("https://a.example/a/../cb", NotPlain("https://a.example/cb".into())),
            ("https://a.example/a%2fb", Hidden),
            ("https://a.example/a%5Cb", Hidden),
            ("https://a.example/a%00", Hidden),
            ("https://a.example/a%252fb", Hidden),
            ("https://a.example/%63b", Hidden),
            ("https://a.example/a%", Hidden),
            ("https://a.example/a%e2%80%ae", Hidden),
            ("https://a.example/a b", Hidden),
            ("https://a.example/\n", Hidden),
            ("https://\u{430}.example/", Hidden),
            ("https://a.example\\@evil.example/", NotPlain("https://a.example/@evil.example/".into())),
            ("https:a.example/cb", NotPlain("https://a.example/cb".into())),
            ("https:///a.example/cb", NotPlain("https://a.example/cb".into())),
            ("HTTPS://a.example/cb", NotPlain("https://a.example/cb".into())),
            ("https://A.example/cb", NotPlain("https://a.example/cb".into())),
            ("https://a.example:443/cb", NotPlain("https://a.example/cb".into())),
            ("http://0x7f.1/cb", NotPlain("http://127.0.0.1/cb".into())),
            ("http://2130706433/cb", NotPlain("http://127.0.0.1/cb".into())),
            ("//a.example/cb", NotUri),
            ("/cb", NotUri),
            ("", NotUri),
            ("javascript:alert(1)", Scheme("javascript".into())),
            ("data:text/html,x", Scheme("data".into())),
            ("file:///etc/passwd", Scheme("file".into())),
            ("evilapp://cb", Scheme("evilapp".into())),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
        assert_eq!(parse(&format!("https://a.example/{}", "a".repeat(TEXT_BYTES_MAX))), Err(TooLong));
    }

    #[test]
    fn a_redirect_uri_is_the_clients_by_its_text_and_on_loopback_at_any_port() {
        let uris = |texts: &[&str]| texts.iter().map(|text| parse(text).unwrap()).collect::<Vec<_>>();
        let registered = uris(&["https://a.example/cb", "http://127.0.0.1/cb", "cursor://x/cb"]);
        let goes = |asked: &str| Redirect::of(&registered, Some(asked), &apps()).is_some();
        for asked in ["https://a.example/cb", "http://127.0.0.1/cb", "http://127.0.0.1:5000/cb", "cursor://x/cb"] {
            assert!(goes(asked), "{asked}");
        }
        for asked in [
            "https://a.example/cb/",
            "https://a.example/cb2",
            "https://a.example/cb?x=y",
            "https://a.example:8443/cb",
            "https://b.a.example/cb",
            "http://127.0.0.1:5000/cb2",
            "http://127.0.0.1:5000/cb?x=y",
            "https://127.0.0.1:5000/cb",
            "http://localhost:5000/cb",
            "http://[::1]:5000/cb",
            "http://127.0.0.2/cb",
            "cursor://x/cb2",
            "vscode://x/cb",
            "",
        ] {
            assert!(!goes(asked), "{asked}");
        }
        // Which one is meant must be plain.
        assert!(Redirect::of(&registered, None, &apps()).is_none());
        assert!(Redirect::of(&uris(&["https://a.example/cb"]), None, &apps()).is_some());
        assert!(Redirect::of(&uris(&["http://127.0.0.1/cb"]), None, &apps()).is_none());
    }

    #[test]
    fn an_answer_is_encoded_and_put_behind_what_is_there() {
        let to = |text: &str| Redirect { uri: Box::new(parse(text).unwrap()) };
        let answer = [("code", "a&b=c d"), ("state", "é#?")];
        let encoded = "code=a%26b%3Dc+d&state=%C3%A9%23%3F";
        assert_eq!(to("https://a.example/cb").with(answer), format!("https://a.example/cb?{encoded}"));
        assert_eq!(to("https://a.example/cb?t=1").with(answer), format!("https://a.example/cb?t=1&{encoded}"));
        assert_eq!(to("http://127.0.0.1:1234").with(answer), format!("http://127.0.0.1:1234?{encoded}"));
        assert_eq!(to("com.example.app:/cb").with(answer), format!("com.example.app:/cb?{encoded}"));
    }

    #[test]
    fn schemes_that_browsers_have_a_meaning_for_cannot_be_permitted() {
        for scheme in ["javascript", "https", "file", "ms-settings", "data", "web+x"] {
            assert_eq!(AppSchemes::new([scheme]), Err(SchemeError::Reserved(scheme.into())));
        }
        for scheme in ["", "Cursor", "a b", "1a", "a:"] {
            assert_eq!(AppSchemes::new([scheme]), Err(SchemeError::NotScheme(scheme.into())));
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_read_is_read_alike_once_more(text in "(https?|cursor|[a-z]{1,4})://?[a-z0-9.@:\\[\\]%\\\\]{0,12}(/[a-z0-9%./\\\\]{0,8})?(\\?[a-z=&]{0,6})?") {
            if let Ok(uri) = parse(&text) {
                proptest::prop_assert!(Redirect::of(std::slice::from_ref(&uri), Some(&text), &apps()).is_some());
                let (plain, with_slash) = (Url::parse(&text).unwrap(), format!("{text}/"));
                proptest::prop_assert!([&text, &with_slash].contains(&&plain.to_string()));
            }
        }
    }
}
