//! What clients are known by, and who stands behind that.

use url::{Host, Url};

/// What a client is known by. Where it comes from says who vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientId {
    /// The address of its document.
    Document(DocumentUrl),
    /// What it was given when it registered (RFC 7591).
    Registered(Box<str>),
    /// What an administrator calls it.
    Configured(Box<str>),
}

/// Who says that a client is what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voucher<'a> {
    /// Whoever has this host.
    Host(&'a str),
    /// Nobody: anybody can register as anything.
    Nobody,
    /// An administrator of this gateway.
    Administrator,
}

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

impl ClientId {
    /// As it is written, which is what it is compared by.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            ClientId::Document(url) => url.as_str(),
            ClientId::Registered(id) | ClientId::Configured(id) => id,
        }
    }

    /// Who stands behind it.
    #[must_use]
    pub fn vouched_by(&self) -> Voucher<'_> {
        match self {
            ClientId::Document(url) => Voucher::Host(url.host()),
            ClientId::Registered(_) => Voucher::Nobody,
            ClientId::Configured(_) => Voucher::Administrator,
        }
    }
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

/// LIMIT: of a client id.
const ID_BYTES_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "https://app.example/oauth/client.json";

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
    fn where_an_id_comes_from_says_who_vouches_for_it() {
        let document = ClientId::Document(DocumentUrl::parse(ID).unwrap());
        assert_eq!((document.as_str(), document.vouched_by()), (ID, Voucher::Host("app.example")));
        assert_eq!(ClientId::Registered("x".into()).vouched_by(), Voucher::Nobody);
        assert_eq!(ClientId::Configured("x".into()).vouched_by(), Voucher::Administrator);
    }
}
