//! What a client says of itself: Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document, MCP "Client
//! Registration"), whose members are those of RFC 7591. The host is proven by fetching it; everything else is the client's own word.

use bytes::Bytes;
use sekisho_wire::Json;
use sekisho_wire::json::Limits;
use sekisho_wire::text::Sanitized;

use crate::client::Client;
use crate::id::{ClientId, DocumentUrl};
use crate::redirect::{AppSchemes, RedirectError, RedirectUri};

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
        let redirects = redirects(&document, apps)?;
        Client::of(ClientId::Document(id), &name, redirects).ok_or(DocumentError::Member("client_name"))
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
pub(crate) fn check_grants(document: &Json) -> Result<(), DocumentError> {
    let has = |key: &'static str, wanted: &str| match strings(document, key)? {
        None => Ok(true),
        Some(said) => Ok(said.iter().any(|one| one == wanted)),
    };
    let codes = has("grant_types", "authorization_code")? && has("response_types", "code")?;
    if codes { Ok(()) } else { Err(DocumentError::NoCode) }
}

pub(crate) fn redirects(document: &Json, apps: &AppSchemes) -> Result<Vec<RedirectUri>, DocumentError> {
    let said = strings(document, REDIRECTS)?.ok_or(DocumentError::Member(REDIRECTS))?;
    if said.is_empty() || said.len() > REDIRECTS_MAX {
        return Err(DocumentError::Member(REDIRECTS));
    }
    said.iter().map(|uri| RedirectUri::parse(uri, apps).map_err(DocumentError::Redirect)).collect()
}

/// A member that is text if it is there.
pub(crate) fn string(document: &Json, key: &'static str) -> Result<Option<String>, DocumentError> {
    document.get(key).map(|value| value.string().map(String::from).ok_or(DocumentError::Member(key))).transpose()
}

/// A member that is a list of texts if it is there.
pub(crate) fn strings(document: &Json, key: &'static str) -> Result<Option<Vec<String>>, DocumentError> {
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
/// LIMIT: of a document, as its specification recommends.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 5 * 1024;
/// LIMIT: redirect URIs of a client.
pub(crate) const REDIRECTS_MAX: usize = 32;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const ID: &str = "https://app.example/oauth/client.json";

    /// A client whose document has these members beside its id.
    pub(crate) fn read(members: &str) -> Result<Client, DocumentError> {
        let document = format!("{{\"client_id\":\"{ID}\",{members}}}");
        Client::from_document(DocumentUrl::parse(ID).unwrap(), document.into(), &AppSchemes::default())
    }

    #[test]
    fn a_document_describes_the_client_at_its_address_and_no_other() {
        let client = read(r#""client_name":"App","redirect_uris":["https://app.example/cb"],"logo_uri":"https://x.example/l.png","token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"]"#).unwrap();
        assert_eq!(
            (client.name(), client.vouched_by(), client.marks()),
            ("App", crate::Voucher::Host("app.example"), &[][..])
        );
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
}
