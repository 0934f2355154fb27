//! Who a client says that it is: Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document, MCP "Client Registration").
//! Its id is the address of the document, so that the host is proven by fetching it, and everything else is the client's own word.

use bytes::Bytes;
use sekisho_wire::Json;
use sekisho_wire::json::Limits;
use sekisho_wire::text::{self, Sanitized};
use url::{Host, Url};

use crate::redirect::{AppSchemes, Redirect, RedirectError, RedirectKind, RedirectUri};

/// The address of a client's document, which is its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentUrl {
    text: Box<str>,
    url: Url,
}

/// Why an id is no address of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientIdError {
    /// Longer than any needs to be.
    #[error("the client id is longer than {ID_BYTES_MAX} bytes")]
    TooLong,
    /// No address over TLS.
    #[error("the client id is no https URL")]
    NotHttps,
    /// It is written in another way than its plainest.
    #[error("the client id is not written in its plainest form, which is `{0}`")]
    NotPlain(Box<str>),
    /// The whole host cannot be one client.
    #[error("the client id has no path")]
    NoPath,
    /// Something that an id has not: a user name, a query, a fragment.
    #[error("the client id has {0}")]
    Extra(&'static str),
    /// A number stands for no name that anybody could know.
    #[error("the client id has an address in place of a host's name")]
    Address,
}

/// A client, as its document describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    id: DocumentUrl,
    name: Box<str>,
    redirects: Vec<RedirectUri>,
    marks: Vec<Mark>,
}

/// What whoever is asked for consent should know of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// All answers go to the user's own machine: any program there can say that it is this client.
    LocalhostOnly,
    /// Some answers go to a host that is neither the document's nor below it.
    RedirectsElsewhere,
    /// Its name has characters that are hidden, or steer how others are seen; they are shown as what they are.
    NameHidesSomething,
}

/// Why a document describes no client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is longer than documents may be.
    #[error("the document is longer than {DOCUMENT_BYTES_MAX} bytes")]
    TooLong,
    /// It is no JSON object that can be read in one way only.
    #[error("the document is no strict JSON object")]
    NotObject,
    /// A member is missing, or of another kind.
    #[error("`{0}` is missing in the document, or is not what it has to be")]
    Member(&'static str),
    /// It was fetched from another place than it says.
    #[error("the document describes another client than the one at its address")]
    AnotherClient,
    /// One of its redirect URIs is refused.
    #[error("the document is refused")]
    Redirect(#[source] RedirectError),
    /// It wants to prove itself by something that a public document cannot hold.
    #[error("the document wants `{0}`, which is not offered: a client proves by PKCE that it asked")]
    Authentication(Box<str>),
    /// It does not use codes.
    #[error("the document does not want the grant `authorization_code` with the response type `code`")]
    NoCode,
}

impl DocumentUrl {
    /// Reads a client id that is an address.
    ///
    /// # Errors
    /// [`ClientIdError`]
    pub fn parse(text: &str) -> Result<DocumentUrl, ClientIdError> {
        if text.len() > ID_BYTES_MAX {
            return Err(ClientIdError::TooLong);
        }
        let url = Url::parse(text).ok().filter(|url| url.scheme() == "https").ok_or(ClientIdError::NotHttps)?;
        let extra = match (&url, text) {
            (url, _) if !url.username().is_empty() || url.password().is_some() => Some("a user name"),
            (_, text) if text.contains('#') => Some("a fragment"),
            (_, text) if text.contains('?') => Some("a query"),
            _ => None,
        };
        if let Some(extra) = extra {
            return Err(ClientIdError::Extra(extra));
        }
        if !matches!(url.host(), Some(Host::Domain(_))) {
            return Err(ClientIdError::Address);
        }
        if matches!(url.path(), "" | "/") {
            return Err(ClientIdError::NoPath);
        }
        if url.as_str() != text {
            return Err(ClientIdError::NotPlain(url.as_str().into()));
        }
        Ok(DocumentUrl { text: text.into(), url })
    }

    /// As it is written, which is what it is compared by.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where the document is.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The host that vouches for it.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

impl Client {
    /// Reads what was fetched from the address that is the client's id.
    ///
    /// # Errors
    /// [`DocumentError`]
    pub fn from_document(id: DocumentUrl, document: Bytes, apps: &AppSchemes) -> Result<Client, DocumentError> {
        if document.len() > DOCUMENT_BYTES_MAX {
            return Err(DocumentError::TooLong);
        }
        let document = Json::decode(document, &Limits::default()).map_err(|_| DocumentError::NotObject)?;
        if !document.is_object() {
            return Err(DocumentError::NotObject);
        }
        let said = string(&document, "client_id")?.ok_or(DocumentError::Member("client_id"))?;
        if said != id.as_str() {
            return Err(DocumentError::AnotherClient);
        }
        check_authentication(&document)?;
        check_grants(&document)?;
        let name = string(&document, "client_name")?.ok_or(DocumentError::Member("client_name"))?;
        let shown: String =
            name.chars().take(NAME_CHARS_MAX).map(|char| if char.is_whitespace() { ' ' } else { char }).collect();
        if shown.trim().is_empty() {
            return Err(DocumentError::Member("client_name"));
        }
        let redirects = redirects(&document, apps)?;
        let hides = text::hidden(&name).next().is_some();
        let marks = marks(&id, &redirects, hides);
        Ok(Client { id, name: Sanitized::new(shown.trim()).as_str().into(), redirects, marks })
    }

    /// The address of its document.
    #[must_use]
    pub fn id(&self) -> &DocumentUrl {
        &self.id
    }

    /// What it calls itself, in visible characters and on one line. Anybody can call himself anything: it is shown next to the host.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a user should know of it.
    #[must_use]
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Where the answer to a request goes that is asked with this `redirect_uri`. None: that is none of the client's.
    #[must_use]
    pub fn redirect(&self, asked: Option<&str>, apps: &AppSchemes) -> Option<Redirect> {
        Redirect::of(&self.redirects, asked, apps)
    }
}

/// A public document holds no secret, so none is asked for later; keys are not looked at.
fn check_authentication(document: &Json) -> Result<(), DocumentError> {
    if let Some(secret) =
        ["client_secret", "client_secret_expires_at"].into_iter().find(|key| document.get(key).is_some())
    {
        return Err(DocumentError::Authentication(secret.into()));
    }
    match string(document, "token_endpoint_auth_method")? {
        None => Ok(()),
        Some(method) if method == "none" => Ok(()),
        Some(other) => Err(DocumentError::Authentication(Sanitized::new(&other).as_str().into())),
    }
}

/// What is left out is the usual (RFC 7591 section 2).
fn check_grants(document: &Json) -> Result<(), DocumentError> {
    let has = |key: &'static str, wanted: &str| match strings(document, key)? {
        None => Ok(true),
        Some(said) => Ok(said.iter().any(|one| one == wanted)),
    };
    let codes = has("grant_types", "authorization_code")? && has("response_types", "code")?;
    if codes { Ok(()) } else { Err(DocumentError::NoCode) }
}

fn redirects(document: &Json, apps: &AppSchemes) -> Result<Vec<RedirectUri>, DocumentError> {
    let said = strings(document, REDIRECTS)?.ok_or(DocumentError::Member(REDIRECTS))?;
    if said.is_empty() || said.len() > REDIRECTS_MAX {
        return Err(DocumentError::Member(REDIRECTS));
    }
    said.iter().map(|uri| RedirectUri::parse(uri, apps).map_err(DocumentError::Redirect)).collect()
}

fn marks(id: &DocumentUrl, redirects: &[RedirectUri], hides: bool) -> Vec<Mark> {
    let is_own = |host: &str| host == id.host() || host.strip_suffix(id.host()).is_some_and(|sub| sub.ends_with('.'));
    let elsewhere = redirects.iter().any(|uri| uri.kind() == RedirectKind::Web && !is_own(uri.place()));
    let found = [
        (Mark::LocalhostOnly, redirects.iter().all(|uri| uri.kind() == RedirectKind::Loopback)),
        (Mark::RedirectsElsewhere, elsewhere),
        (Mark::NameHidesSomething, hides),
    ];
    found.into_iter().filter_map(|(mark, is_so)| is_so.then_some(mark)).collect()
}

/// A member that is text if it is there.
fn string(document: &Json, key: &'static str) -> Result<Option<String>, DocumentError> {
    document.get(key).map(|value| value.string().map(String::from).ok_or(DocumentError::Member(key))).transpose()
}

/// A member that is a list of texts if it is there.
fn strings(document: &Json, key: &'static str) -> Result<Option<Vec<String>>, DocumentError> {
    let Some(list) = document.get(key) else { return Ok(None) };
    if list.kind() != sekisho_wire::json::Kind::Array {
        return Err(DocumentError::Member(key));
    }
    list.elements()
        .map(|one| one.string().map(String::from).ok_or(DocumentError::Member(key)))
        .collect::<Result<_, _>>()
        .map(Some)
}

const REDIRECTS: &str = "redirect_uris";
/// LIMIT: of a client id.
const ID_BYTES_MAX: usize = 2048;
/// LIMIT: of a document, as its specification recommends.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 5 * 1024;
/// LIMIT: redirect URIs of a client.
const REDIRECTS_MAX: usize = 32;
/// LIMIT: of a name; what is longer is cut.
const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const ID: &str = "https://app.example/oauth/client.json";

    /// A client whose document has these members beside its id.
    fn read(members: &str) -> Result<Client, DocumentError> {
        let document = format!("{{\"client_id\":\"{ID}\",{members}}}");
        Client::from_document(DocumentUrl::parse(ID).unwrap(), document.into(), &AppSchemes::default())
    }

    pub(crate) fn client(redirects: &str) -> Client {
        read(&format!(r#""client_name":"App","redirect_uris":{redirects}"#)).unwrap()
    }

    #[test]
    fn ids_are_plain_addresses_of_documents() {
        for id in [ID, "https://a.example:8443/c", "https://xn--e1awd7f.example/c", "https://a.example/c/"] {
            assert_eq!(DocumentUrl::parse(id).map(|url| url.as_str().to_owned()).as_deref(), Ok(id));
        }
        use ClientIdError::*;
        for (id, why) in [
            ("", NotHttps),
            ("my-client", NotHttps),
            ("http://a.example/c", NotHttps),
            ("javascript:x", NotHttps),
            ("https://a.example", NoPath),
            ("https://a.example/", NoPath),
            ("https://u@a.example/c", Extra("a user name")),
            ("https://a.example/c#x", Extra("a fragment")),
            ("https://a.example/c?x", Extra("a query")),
            ("https://127.0.0.1/c", Address),
            ("https://[::1]/c", Address),
            ("https://2130706433/c", Address),
            ("https://a.example/b/../c", NotPlain("https://a.example/c".into())),
            ("https://a.example/./c", NotPlain("https://a.example/c".into())),
            ("https://A.example/c", NotPlain("https://a.example/c".into())),
            ("https://a.example:443/c", NotPlain("https://a.example/c".into())),
            ("https://\u{430}.example/c", NotPlain("https://xn--80a.example/c".into())),
            (" https://a.example/c", NotPlain("https://a.example/c".into())),
        ] {
            assert_eq!(DocumentUrl::parse(id), Err(why), "{id}");
        }
    }

    #[test]
    fn a_document_describes_the_client_at_its_address_and_no_other() {
        let client = read(r#""client_name":"App","redirect_uris":["https://app.example/cb"],"logo_uri":"https://x.example/l.png","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"]"#).unwrap();
        assert_eq!((client.name(), client.id().host(), client.marks()), ("App", "app.example", &[][..]));
        let other = DocumentUrl::parse("https://app.example/oauth/other.json").unwrap();
        let document =
            format!(r#"{{"client_id":"{ID}","client_name":"App","redirect_uris":["https://app.example/cb"]}}"#);
        let read_as = |id: DocumentUrl, document: &str| {
            Client::from_document(id, document.to_owned().into(), &AppSchemes::default())
        };
        assert_eq!(read_as(other, &document), Err(DocumentError::AnotherClient));
        let own = || DocumentUrl::parse(ID).unwrap();
        for broken in ["", "[]", "null", "{", "{\"client_id\":1}{}", "{\"client_id\":\"a\",\"client_id\":\"b\"}"] {
            assert_eq!(read_as(own(), broken), Err(DocumentError::NotObject), "{broken}");
        }
        let long = format!("{document}{}", " ".repeat(DOCUMENT_BYTES_MAX));
        assert_eq!(read_as(own(), &long), Err(DocumentError::TooLong));
    }

    #[test]
    fn what_is_missing_or_of_another_kind_is_told() {
        use DocumentError::*;
        for (members, why) in [
            (r#""redirect_uris":["https://app.example/cb"]"#, Member("client_name")),
            (r#""client_name":" \n","redirect_uris":["https://app.example/cb"]"#, Member("client_name")),
            (r#""client_name":1,"redirect_uris":["https://app.example/cb"]"#, Member("client_name")),
            (r#""client_name":"App""#, Member("redirect_uris")),
            (r#""client_name":"App","redirect_uris":[]"#, Member("redirect_uris")),
            (r#""client_name":"App","redirect_uris":"https://app.example/cb""#, Member("redirect_uris")),
            (r#""client_name":"App","redirect_uris":[1]"#, Member("redirect_uris")),
            (r#""client_name":"App","redirect_uris":["http://app.example/cb"]"#, Redirect(RedirectError::Clear)),
            (
                r#""client_name":"App","redirect_uris":["https://app.example/cb","javascript:x"]"#,
                Redirect(RedirectError::Scheme("javascript".into())),
            ),
            (
                r#""client_name":"App","redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"client_secret_basic""#,
                Authentication("client_secret_basic".into()),
            ),
            (
                r#""client_name":"App","redirect_uris":["https://app.example/cb"],"client_secret":"x""#,
                Authentication("client_secret".into()),
            ),
            (r#""client_name":"App","redirect_uris":["https://app.example/cb"],"grant_types":["implicit"]"#, NoCode),
            (r#""client_name":"App","redirect_uris":["https://app.example/cb"],"response_types":["token"]"#, NoCode),
            (
                r#""client_name":"App","redirect_uris":["https://app.example/cb"],"grant_types":"authorization_code""#,
                Member("grant_types"),
            ),
        ] {
            assert_eq!(read(members), Err(why), "{members}");
        }
        let many = |count: usize| {
            let uris: Vec<String> = (0..count).map(|n| format!("\"https://app.example/{n}\"")).collect();
            read(&format!(r#""client_name":"App","redirect_uris":[{}]"#, uris.join(",")))
        };
        assert!(many(REDIRECTS_MAX).is_ok());
        assert_eq!(many(REDIRECTS_MAX + 1), Err(Member("redirect_uris")));
    }

    #[test]
    fn what_a_user_should_know_of_a_client_is_marked() {
        let marks = |name: &str, redirects: &str| {
            let client = read(&format!(r#""client_name":"{name}","redirect_uris":{redirects}"#)).unwrap();
            (client.name().to_owned(), client.marks().to_vec())
        };
        let own = r#"["https://app.example/cb","https://eu.app.example/cb","http://127.0.0.1/cb"]"#;
        assert_eq!(marks("App", own), ("App".into(), vec![]));
        assert_eq!(marks("App", r#"["http://localhost/cb","http://127.0.0.1/cb"]"#).1, [Mark::LocalhostOnly]);
        assert_eq!(marks("App", r#"["https://evilapp.example/cb"]"#).1, [Mark::RedirectsElsewhere]);
        let (name, found) = marks("Sekisho\\u202e ppA", own);
        assert_eq!((name.as_str(), found), ("Sekisho\\u{202e} ppA", vec![Mark::NameHidesSomething]));
        assert_eq!(marks("A\\nB\\tC", own).0, "A B C");
        assert_eq!(marks(&"n".repeat(200), own).0.len(), NAME_CHARS_MAX);
    }
}
