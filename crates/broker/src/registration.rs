//! Dynamic registration (RFC 7591): what a client says of itself when it registers, and what it is answered. All are public clients;
//! whoever asks for a secret is told that it has none (section 3.2.1 permits to answer other values than were asked for).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sekisho_wire::Json;
use sekisho_wire::json::{Limits, Object};
use sekisho_wire::text::Sanitized;

use crate::client::Client;
use crate::id::ClientId;
use crate::metadata::{DocumentError, REDIRECTS_MAX, check_grants, redirects, string, strings};
use crate::redirect::{AppSchemes, RedirectError, RedirectUri};

/// Why nobody is registered.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// Nobody can register here.
    #[error("clients do not register here")]
    Off,
    /// Too many come.
    #[error("too many clients register; try again in {retry_after_s} seconds")]
    Rate {
        /// When to come again, in seconds.
        retry_after_s: u32,
    },
    /// It is longer than permitted.
    #[error("the metadata is longer than {BODY_BYTES_MAX} bytes")]
    TooLong,
    /// It is no JSON object that can be read in one way only.
    #[error("the metadata is no strict JSON object")]
    NotObject,
    /// A member is missing, or of another kind.
    #[error("`{0}` is missing in the metadata, or is not what it has to be")]
    Member(&'static str),
    /// It does not use codes.
    #[error("the metadata does not want the grant `authorization_code` with the response type `code`")]
    NoCode,
    /// No redirect URIs, or too many.
    #[error("`redirect_uris` must be a list of 1 to {REDIRECTS_MAX} URIs, of {REDIRECTS_BYTES_MAX} bytes together")]
    Redirects,
    /// One of its redirect URIs is refused.
    #[error("a redirect URI is refused")]
    Redirect(#[source] RedirectError),
    /// There is no room for one more.
    #[error("no more clients can be kept")]
    Full,
    /// There is nothing to make an id of.
    #[error("the system gives no random numbers")]
    Random,
    /// It could not be written down.
    #[error("the registration could not be kept")]
    Store(#[source] Box<sekisho_store::PutError>),
    /// The store could not make room.
    #[error("the registration could not be kept")]
    MakeRoom(#[source] Box<sekisho_store::WriteError>),
    /// The task that writes was cut off.
    #[error("the registration was cut off")]
    CutOff,
}

/// A client that just registered.
#[derive(Debug)]
pub struct Registered {
    client: Client,
    issued_at: SystemTime,
    refreshes: bool,
}

/// What is kept of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// As it was said, but for its length.
    pub(crate) name: Box<str>,
    pub(crate) redirects: Box<[Box<str>]>,
    pub(crate) created: SystemTime,
    /// None: nobody ever let it in.
    pub(crate) used: Option<SystemTime>,
}

/// What a client that registers says of itself. Made by [`Wanted::read`] alone.
#[derive(Debug)]
pub(crate) struct Wanted {
    name: Box<str>,
    redirects: Vec<RedirectUri>,
    /// Whether it wants refresh tokens.
    refreshes: bool,
}

impl Wanted {
    /// Members that are not known are passed over, as section 2 has it.
    pub(crate) fn read(body: Bytes, apps: &AppSchemes) -> Result<Wanted, RegistrationError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(RegistrationError::TooLong);
        }
        let body = Json::decode(body, &Limits::default()).map_err(|_| RegistrationError::NotObject)?;
        if !body.is_object() {
            return Err(RegistrationError::NotObject);
        }
        // Whatever they say, the answer is `none` and there is no telling apart; but they are what they have to be.
        for key in ["token_endpoint_auth_method", "application_type"] {
            let _passed_over = string(&body, key)?;
        }
        check_grants(&body)?;
        let grants = strings(&body, "grant_types")?.unwrap_or_default();
        let refreshes = grants.iter().any(|grant| grant == REFRESH);
        let name = string(&body, "client_name")?.unwrap_or_default();
        let name: Box<str> = name.chars().take(NAME_CHARS_KEPT).collect::<String>().into();
        let redirects = redirects(&body, apps)?;
        if redirects.iter().map(|uri| uri.as_str().len()).sum::<usize>() > REDIRECTS_BYTES_MAX {
            return Err(RegistrationError::Redirects);
        }
        Ok(Wanted { name, redirects, refreshes })
    }

    pub(crate) fn row(&self, now: SystemTime) -> Row {
        let redirects = self.redirects.iter().map(|uri| uri.as_str().into()).collect();
        Row { name: self.name.clone(), redirects, created: now, used: None }
    }

    pub(crate) fn registered(self, id: Box<str>, now: SystemTime) -> Result<Registered, RegistrationError> {
        let client = named(id, &self.name, self.redirects).ok_or(RegistrationError::Member("client_name"))?;
        Ok(Registered { client, issued_at: now, refreshes: self.refreshes })
    }
}

/// A client without a name that can be seen is told by that it has none.
fn named(id: Box<str>, name: &str, redirects: Vec<RedirectUri>) -> Option<Client> {
    let id = ClientId::Registered(id);
    Client::of(id.clone(), name, redirects.clone()).or_else(|| Client::of(id, NAMELESS, redirects))
}

impl Registered {
    /// The client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What it is answered, with 201 (section 3.2.1).
    #[must_use]
    pub fn answer(&self) -> Json {
        let refresh = self.refreshes.then_some(REFRESH);
        Object::new()
            .text("client_id", self.client.id().as_str())
            .unsigned("client_id_issued_at", seconds(self.issued_at))
            .text("client_name", self.client.name())
            .texts("redirect_uris", self.client.redirects().iter().map(RedirectUri::as_str))
            .texts("grant_types", [CODE].into_iter().chain(refresh))
            .texts("response_types", ["code"])
            .text("token_endpoint_auth_method", "none")
            .finish()
    }
}

impl Row {
    /// The client. Schemes that are not permitted any more are not.
    pub(crate) fn client(&self, id: &str, apps: &AppSchemes) -> Result<Client, RedirectError> {
        let redirects = self.redirects.iter().map(|uri| RedirectUri::parse(uri, apps)).collect::<Result<_, _>>()?;
        // It has a name; the other one is for the type alone.
        named(id.into(), &self.name, redirects).ok_or(RedirectError::NotUri)
    }

    /// Until when it is kept.
    pub(crate) fn until(&self, life: Duration) -> SystemTime {
        let since = self.used.unwrap_or(self.created);
        since.checked_add(life).unwrap_or(since)
    }

    pub(crate) fn shown_name(&self) -> Sanitized {
        Sanitized::new(&self.name)
    }

    pub(crate) fn written(&self) -> Json {
        let row = Object::new()
            .text("name", &self.name)
            .texts("redirect_uris", self.redirects.iter().map(|uri| &**uri))
            .unsigned("created_s", seconds(self.created));
        match self.used {
            Some(used) => row.unsigned("used_s", seconds(used)).finish(),
            None => row.finish(),
        }
    }

    /// None: it was not written here, or not by this version.
    pub(crate) fn read(row: Vec<u8>) -> Option<Row> {
        let row = Json::decode(row.into(), &Limits::default()).ok()?;
        if !row.is_object() || !row.members().all(|(key, _)| MEMBERS.contains(&&*key)) {
            return None;
        }
        let time = |key: &str| {
            let seconds = u64::try_from(row.get(key)?.number()?.integer()?).ok()?;
            UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
        };
        let name = row.get("name")?.string()?.as_ref().into();
        let redirects = strings(&row, "redirect_uris").ok()??;
        let used = if row.get("used_s").is_some() { Some(time("used_s")?) } else { None };
        let redirects = redirects.into_iter().map(String::into_boxed_str).collect();
        Some(Row { name, redirects, created: time("created_s")?, used })
    }
}

impl RegistrationError {
    /// What kind of error it is, as RFC 7591 section 3.2.2 and OpenID Connect call it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            RegistrationError::Redirects | RegistrationError::Redirect(_) => "invalid_redirect_uri",
            RegistrationError::TooLong
            | RegistrationError::NotObject
            | RegistrationError::Member(_)
            | RegistrationError::NoCode => "invalid_client_metadata",
            RegistrationError::Off => "registration_not_supported",
            RegistrationError::Rate { .. } | RegistrationError::Full => "temporarily_unavailable",
            RegistrationError::Random
            | RegistrationError::Store(_)
            | RegistrationError::MakeRoom(_)
            | RegistrationError::CutOff => "server_error",
        }
    }

    /// The status that it is answered with.
    #[must_use]
    pub fn status(&self) -> http::StatusCode {
        match self {
            RegistrationError::Redirects
            | RegistrationError::Redirect(_)
            | RegistrationError::NotObject
            | RegistrationError::Member(_)
            | RegistrationError::NoCode => http::StatusCode::BAD_REQUEST,
            RegistrationError::TooLong => http::StatusCode::PAYLOAD_TOO_LARGE,
            RegistrationError::Off => http::StatusCode::NOT_FOUND,
            RegistrationError::Rate { .. } => http::StatusCode::TOO_MANY_REQUESTS,
            RegistrationError::Full
            | RegistrationError::Random
            | RegistrationError::Store(_)
            | RegistrationError::MakeRoom(_)
            | RegistrationError::CutOff => http::StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What the client is answered.
    #[must_use]
    pub fn answer(&self) -> Json {
        let why = match self {
            RegistrationError::Redirect(why) => why.to_string(),
            RegistrationError::Off
            | RegistrationError::Rate { .. }
            | RegistrationError::TooLong
            | RegistrationError::NotObject
            | RegistrationError::Member(_)
            | RegistrationError::NoCode
            | RegistrationError::Redirects
            | RegistrationError::Full
            | RegistrationError::Random
            | RegistrationError::Store(_)
            | RegistrationError::MakeRoom(_)
            | RegistrationError::CutOff => self.to_string(),
        };
        // Characters that a description has (RFC 6749 section 5.2).
        let is_told = |char: &char| matches!(char, ' '..='~') && !"\"\\".contains(*char);
        let why: String = why.chars().map(|char| if is_told(&char) { char } else { '?' }).collect();
        Object::new().text("error", self.code()).text("error_description", &why).finish()
    }
}

impl From<DocumentError> for RegistrationError {
    fn from(error: DocumentError) -> RegistrationError {
        match error {
            DocumentError::Redirect(why) => RegistrationError::Redirect(why),
            DocumentError::Member("redirect_uris") => RegistrationError::Redirects,
            DocumentError::Member(key) => RegistrationError::Member(key),
            DocumentError::NoCode => RegistrationError::NoCode,
            DocumentError::TooLong => RegistrationError::TooLong,
            DocumentError::Authentication(_) => RegistrationError::Member("token_endpoint_auth_method"),
            DocumentError::NotObject | DocumentError::AnotherClient => RegistrationError::NotObject,
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

const CODE: &str = "authorization_code";
const REFRESH: &str = "refresh_token";
/// What a client is called that says nothing.
const NAMELESS: &str = "Unnamed client";
const MEMBERS: &[&str] = &["name", "redirect_uris", "created_s", "used_s"];
/// LIMIT: of what is said at registration.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// LIMIT: of all redirect URIs of a client: so much is kept of whoever comes.
const REDIRECTS_BYTES_MAX: usize = 4 * 1024;
/// LIMIT: of a name; more than is shown, for what is hidden in it is told.
const NAME_CHARS_KEPT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = UNIX_EPOCH;

    fn read(body: &str) -> Result<Wanted, RegistrationError> {
        Wanted::read(body.to_owned().into(), &AppSchemes::default())
    }

    #[test]
    fn what_real_clients_register_is_answered_with_a_public_client() {
        // As editors and agents send it: with secrets they do without, and members that mean nothing here.
        let body = r#"{"client_name":"Visual Studio Code","client_uri":"https://code.visualstudio.com","grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],"response_types":["code"],"redirect_uris":["https://insiders.vscode.dev/redirect","https://vscode.dev/redirect","http://127.0.0.1/","http://127.0.0.1:33418/"],"token_endpoint_auth_method":"client_secret_post","application_type":"native","scope":"a b","jwks":{}}"#;
        let registered = read(body).unwrap().registered("id1".into(), NOW).unwrap();
        assert_eq!(
            registered.answer().as_str(),
            r#"{"client_id":"id1","client_id_issued_at":0,"client_name":"Visual Studio Code","redirect_uris":["https://insiders.vscode.dev/redirect","https://vscode.dev/redirect","http://127.0.0.1/","http://127.0.0.1:33418/"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none"}"#
        );
        assert_eq!(registered.client().vouched_by(), crate::Voucher::Nobody);
        for nameless in ["", r#","client_name":"""#, r#","client_name":" \n""#] {
            let least = read(&format!(r#"{{"redirect_uris":["http://localhost/cb"]{nameless}}}"#)).unwrap();
            let least = least.registered("id2".into(), NOW).unwrap();
            assert_eq!(least.client().name(), NAMELESS);
            assert!(least.answer().as_str().contains(r#""grant_types":["authorization_code"]"#));
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_its_name() {
        let uris = |count: usize, bytes: usize| {
            let uri = |n: usize| format!("\"https://app.example/{n:0>width$}\"", width = bytes.saturating_sub(20));
            format!(r#"{{"redirect_uris":[{}]}}"#, (0..count).map(uri).collect::<Vec<_>>().join(","))
        };
        assert!(read(&uris(32, 128)).is_ok());
        let ok = r#""redirect_uris":["https://app.example/cb"]"#;
        assert!(read(&format!("{{{ok}}}")).is_ok());
        let long = format!(r#"{{{ok},"x":"{}"}}"#, "x".repeat(BODY_BYTES_MAX));
        for (body, code, status) in [
            ("[]", "invalid_client_metadata", 400),
            ("{", "invalid_client_metadata", 400),
            (&*long, "invalid_client_metadata", 413),
            ("{}", "invalid_redirect_uri", 400),
            (r#"{"redirect_uris":[]}"#, "invalid_redirect_uri", 400),
            (r#"{"redirect_uris":"https://app.example/cb"}"#, "invalid_redirect_uri", 400),
            (&uris(33, 30), "invalid_redirect_uri", 400),
            (&uris(32, 129), "invalid_redirect_uri", 400),
            (r#"{"redirect_uris":["https://app.example/*"]}"#, "invalid_redirect_uri", 400),
            (r#"{"redirect_uris":["http://app.example/cb"]}"#, "invalid_redirect_uri", 400),
            (r#"{"redirect_uris":["javascript:alert(1)"]}"#, "invalid_redirect_uri", 400),
            (r#"{"redirect_uris":["cursor://x/cb"]}"#, "invalid_redirect_uri", 400),
            (&format!(r#"{{{ok},"client_name":1}}"#), "invalid_client_metadata", 400),
            (&format!(r#"{{{ok},"application_type":1}}"#), "invalid_client_metadata", 400),
            (&format!(r#"{{{ok},"grant_types":["implicit"]}}"#), "invalid_client_metadata", 400),
            (&format!(r#"{{{ok},"response_types":["token"]}}"#), "invalid_client_metadata", 400),
        ] {
            let error = read(body).unwrap_err();
            assert_eq!((error.code(), error.status().as_u16()), (code, status), "{body}");
            let told = error.answer();
            assert_eq!(told.get("error").unwrap().string().unwrap(), code);
            assert!(!told.get("error_description").unwrap().string().unwrap().contains(['"', '\\', '\n']), "{body}");
        }
    }

    #[test]
    fn a_row_is_read_as_it_was_written_and_nothing_else_is() {
        let body = r#"{"redirect_uris":["https://app.example/cb"],"client_name":"A\u202e\"b"}"#;
        let fresh = read(body).unwrap().row(NOW + Duration::from_secs(5));
        let used = Row { used: Some(NOW + Duration::from_secs(9)), ..fresh.clone() };
        for row in [&fresh, &used] {
            assert_eq!(Row::read(row.written().bytes().to_vec()).as_ref(), Some(row));
        }
        let apps = AppSchemes::default();
        assert_eq!(fresh.client("x", &apps).unwrap().marks(), [crate::Mark::NameHidesSomething]);
        for garbled in [
            "",
            "[]",
            "{}",
            r#"{"name":"A","redirect_uris":["https://app.example/cb"]}"#,
            r#"{"name":"A","redirect_uris":["https://app.example/cb"],"created_s":-1}"#,
            r#"{"name":"A","redirect_uris":["https://app.example/cb"],"created_s":1,"used_s":"x"}"#,
            r#"{"name":"A","redirect_uris":["https://app.example/cb"],"created_s":1,"secret":"x"}"#,
            r#"{"name":1,"redirect_uris":["https://app.example/cb"],"created_s":1}"#,
            r#"{"name":"A","redirect_uris":[1],"created_s":1}"#,
        ] {
            assert_eq!(Row::read(garbled.as_bytes().to_vec()), None, "{garbled}");
        }
        // A scheme that is not permitted any more.
        let app = Row { redirects: ["cursor://x/cb".into()].into(), ..fresh };
        assert!(app.client("x", &AppSchemes::new(["cursor"]).unwrap()).is_ok());
        assert!(matches!(app.client("x", &apps), Err(RedirectError::Scheme(_))));
    }
}
