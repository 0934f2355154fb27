//! Who a client is: what it is known by, what it calls itself, where its answers may go, and what a user should know of it.

use std::fmt;

use sekisho_audit::Digest;
use sekisho_wire::text::{self, Sanitized};
use subtle::ConstantTimeEq as _;

use crate::id::{ClientId, Voucher};
use crate::names;
use crate::redirect::{AppSchemes, Redirect, RedirectKind, RedirectUri};

/// A client, as it describes itself or an administrator does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    id: ClientId,
    name: Box<str>,
    redirects: Vec<RedirectUri>,
    marks: Vec<Mark>,
    secret: Option<SecretSum>,
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
    /// Its name reads as a host that does not vouch for it, or has a word of mixed scripts, as names have that pose as others.
    NameLooksLikeAnotherHost,
}

/// Why whoever brings a client's id to the token endpoint is not taken for that client. Clients hear `invalid_client` of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// It has a secret, and none was brought.
    #[error("the client has a secret, and brings none")]
    Missing,
    /// Another one was brought.
    #[error("the client brings another secret than its own")]
    Wrong,
    /// It has none: whoever brings one means another client.
    #[error("the client is public and has no secret, but brings one")]
    Unexpected,
}

/// SHA-256 of a secret. Whoever reads the memory of this process has no secret.
#[derive(Clone)]
pub(crate) struct SecretSum(Digest);

impl SecretSum {
    pub(crate) fn of(secret: &str) -> SecretSum {
        SecretSum(Digest::of(secret.as_bytes()))
    }
}

impl PartialEq for SecretSum {
    fn eq(&self, other: &SecretSum) -> bool {
        self.0.bytes().ct_eq(other.0.bytes()).into()
    }
}

impl Eq for SecretSum {}

impl fmt::Debug for SecretSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSum")
    }
}

impl Client {
    /// A public client. None: nothing of its name can be seen.
    pub(crate) fn of(id: ClientId, name: &str, redirects: Vec<RedirectUri>) -> Option<Client> {
        let one_line = |char: char| if char.is_whitespace() { ' ' } else { char };
        let shown: String = name.chars().take(NAME_CHARS_MAX).map(one_line).collect();
        if shown.trim().is_empty() {
            return None;
        }
        let marks = marks(&id, name, shown.trim(), &redirects);
        Some(Client { id, name: Sanitized::new(shown.trim()).as_str().into(), redirects, marks, secret: None })
    }

    /// The same client with a secret.
    pub(crate) fn with_secret(self, secret: SecretSum) -> Client {
        Client { secret: Some(secret), ..self }
    }

    /// What it is known by.
    #[must_use]
    pub fn id(&self) -> &ClientId {
        &self.id
    }

    /// What it calls itself, in visible characters and on one line. Anybody can call himself anything: it is shown next to whoever vouches
    /// for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who says that it is what it says.
    #[must_use]
    pub fn vouched_by(&self) -> Voucher<'_> {
        self.id.vouched_by()
    }

    /// Where its answers may go.
    #[must_use]
    pub fn redirects(&self) -> &[RedirectUri] {
        &self.redirects
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

    /// What a user consents to: who it is, what it is called, where its answers go, and what was told of it. Once a document says anything
    /// else, nobody has consented to that. The order of redirect URIs means nothing.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let (kind, id) = match &self.id {
            ClientId::Document(url) => ("document", url.as_str()),
            ClientId::Registered(id) => ("registered", &**id),
            ClientId::Configured(id) => ("configured", &**id),
        };
        let mut redirects: Vec<&str> = self.redirects.iter().map(RedirectUri::as_str).collect();
        redirects.sort_unstable();
        redirects.dedup();
        let marks: Vec<&str> = self.marks.iter().map(|mark| mark.as_str()).collect();
        let (redirects, marks) = (counted(&redirects), counted(&marks));
        Digest::of(counted(&[kind, id, &self.name, &redirects, &marks]).as_bytes())
    }

    /// Whether it has a secret.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// Whether it brings to the token endpoint what shows that it is this client: its secret, or none where it has none.
    ///
    /// # Errors
    /// [`AuthenticationError`]
    pub fn authenticated_by(&self, secret: Option<&str>) -> Result<(), AuthenticationError> {
        // An empty parameter is none (RFC 6749 section 3.1), and so is an empty password (section 2.3.1).
        match (&self.secret, secret.filter(|secret| !secret.is_empty())) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(AuthenticationError::Unexpected),
            (Some(_), None) => Err(AuthenticationError::Missing),
            (Some(own), Some(brought)) if *own == SecretSum::of(brought) => Ok(()),
            (Some(_), Some(_)) => Err(AuthenticationError::Wrong),
        }
    }
}

impl Mark {
    /// What it is called in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mark::LocalhostOnly => "localhost-only",
            Mark::RedirectsElsewhere => "redirects-elsewhere",
            Mark::NameHidesSomething => "name-hides-something",
            Mark::NameLooksLikeAnotherHost => "name-looks-like-another-host",
        }
    }
}

/// Texts, each behind its length: no two lists are written alike.
fn counted(texts: &[&str]) -> String {
    texts.iter().map(|text| format!("{}:{text}", text.len())).collect()
}

fn marks(id: &ClientId, name: &str, shown: &str, redirects: &[RedirectUri]) -> Vec<Mark> {
    let is_below =
        |host: &str, own: &str| host.strip_suffix(own).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
    let leads_elsewhere =
        |own: &str| redirects.iter().any(|uri| uri.kind() == RedirectKind::Web && !is_below(uri.place(), own));
    let (elsewhere, poses) = match id.vouched_by() {
        Voucher::Host(own) => (leads_elsewhere(own), names::poses_as_another(shown, Some(own))),
        // There is nowhere else where there is no own host; where answers go is shown.
        Voucher::Nobody => (false, names::poses_as_another(shown, None)),
        // Who named it knows what it is.
        Voucher::Administrator => (false, false),
    };
    let found = [
        (Mark::LocalhostOnly, redirects.iter().all(|uri| uri.kind() == RedirectKind::Loopback)),
        (Mark::RedirectsElsewhere, elsewhere),
        (Mark::NameHidesSomething, text::hidden(name).next().is_some()),
        (Mark::NameLooksLikeAnotherHost, poses),
    ];
    found.into_iter().filter_map(|(mark, is_so)| is_so.then_some(mark)).collect()
}

/// LIMIT: of a name; what is longer is cut.
pub(crate) const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::metadata::tests::read;

    pub(crate) fn client(redirects: &str) -> Client {
        read(&format!(r#""client_name":"App","redirect_uris":{redirects}"#)).unwrap()
    }

    fn kept(id: ClientId, name: &str) -> Client {
        let uri = RedirectUri::parse("https://app.example/cb", &AppSchemes::default()).unwrap();
        Client::of(id, name, vec![uri]).unwrap()
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

    #[test]
    fn a_name_is_judged_by_who_vouches_for_the_client() {
        let own = r#"["https://app.example/cb"]"#;
        let named =
            |name: &str| read(&format!(r#""client_name":"{name}","redirect_uris":{own}"#)).unwrap().marks().to_vec();
        assert_eq!(named("app.example"), []);
        assert_eq!(named("claude.ai"), [Mark::NameLooksLikeAnotherHost]);
        assert_eq!(named("Cl\u{430}ude"), [Mark::NameLooksLikeAnotherHost]);
        assert_eq!(kept(ClientId::Registered("x".into()), "claude.ai").marks(), [Mark::NameLooksLikeAnotherHost]);
        assert_eq!(kept(ClientId::Registered("x".into()), "Claude").marks(), []);
        assert_eq!(kept(ClientId::Configured("x".into()), "claude.ai").marks(), []);
    }

    #[test]
    fn whatever_a_user_sees_of_a_client_is_in_its_digest() {
        let told = |name: &str, redirects: &str| {
            read(&format!(r#""client_name":"{name}","redirect_uris":{redirects}"#)).unwrap().digest()
        };
        let first = told("App", r#"["https://app.example/a","https://app.example/b"]"#);
        assert_eq!(told("App", r#"["https://app.example/b","https://app.example/a","https://app.example/a"]"#), first);
        for (name, redirects) in [
            ("App2", r#"["https://app.example/a","https://app.example/b"]"#),
            ("App", r#"["https://app.example/a"]"#),
            ("App", r#"["https://app.example/a","https://app.example/c"]"#),
            ("App", r#"["https://app.example/a","https://evil.example/b"]"#),
        ] {
            assert_ne!(told(name, redirects), first, "{name} {redirects}");
        }
        let by_id = |id: ClientId| kept(id, "App").digest();
        assert_eq!(by_id(ClientId::Registered("x".into())), by_id(ClientId::Registered("x".into())));
        assert_ne!(by_id(ClientId::Registered("x".into())), by_id(ClientId::Registered("y".into())));
        assert_ne!(by_id(ClientId::Registered("x".into())), by_id(ClientId::Configured("x".into())));
    }

    #[test]
    fn a_client_brings_its_secret_and_one_without_brings_none() {
        use AuthenticationError::*;
        let public = kept(ClientId::Registered("x".into()), "App");
        let confidential = kept(ClientId::Configured("x".into()), "App").with_secret(SecretSum::of("hunter2"));
        assert_eq!(confidential.authenticated_by(Some("hunter2")), Ok(()));
        for (brought, why) in
            [(None, Missing), (Some(""), Missing), (Some("hunter3"), Wrong), (Some("hunter2 "), Wrong)]
        {
            assert_eq!(confidential.authenticated_by(brought), Err(why), "{brought:?}");
        }
        assert_eq!((public.authenticated_by(None), public.authenticated_by(Some(""))), (Ok(()), Ok(())));
        assert_eq!(public.authenticated_by(Some("hunter2")), Err(Unexpected));
        assert!(!format!("{confidential:?}").contains("hunter2"));
    }
}
