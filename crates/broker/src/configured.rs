//! Clients that an administrator knows: what they are is the administrator's word, and they may have a secret.

use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use sekisho_keys::{ResolveError, SecretRef};
use serde::Deserialize;

use crate::client::{Client, SecretSum};
use crate::id::ClientId;
use crate::metadata::REDIRECTS_MAX;
use crate::redirect::{AppSchemes, RedirectError, RedirectUri};

/// A client that an administrator knows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfiguredClient {
    /// Its `client_id`: 1 to 256 visible ASCII characters, and no address.
    #[schemars(length(min = 1, max = ID_BYTES_MAX))]
    pub id: String,
    /// What users are told that it is called.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Where its answers may go, as it asks for them: 1 to 32 URIs without wildcards. On the user's own machine any port is meant.
    #[schemars(length(min = 1, max = REDIRECTS_MAX))]
    pub redirect_uris: Vec<String>,
    /// Where its secret is. Without one it is a public client.
    #[serde(default)]
    pub secret: Option<SecretRef>,
}

/// Why a client cannot be what it is configured to be.
#[derive(Debug, thiserror::Error)]
pub enum ConfiguredError {
    /// Empty, too long, with characters that no id has, or an address, which is the id of whoever has the host.
    #[error("its `id` must have 1 to {ID_BYTES_MAX} visible ASCII characters and not begin with `https://`")]
    Id,
    /// Two have it.
    #[error("its `id` is another client's, too")]
    Twice,
    /// Nothing of its name can be seen.
    #[error("its `name` is empty")]
    Name,
    /// None, or too many.
    #[error("its `redirect_uris` must be 1 to {REDIRECTS_MAX}")]
    Redirects,
    /// One of its redirect URIs is refused.
    #[error("one of its `redirect_uris` is refused")]
    Redirect(#[source] RedirectError),
    /// Its secret cannot be fetched.
    #[error("its `secret` cannot be fetched")]
    Secret(#[source] ResolveError),
}

impl ConfiguredClient {
    /// The client. `fetch` fetches its secret.
    pub(crate) fn client(
        &self,
        apps: &AppSchemes,
        fetch: impl FnOnce(&SecretRef) -> Result<SecretString, ResolveError>,
    ) -> Result<Client, ConfiguredError> {
        let is_address = self.id.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case("https://"));
        let is_id = (1..=ID_BYTES_MAX).contains(&self.id.len()) && self.id.bytes().all(|byte| byte.is_ascii_graphic());
        if is_address || !is_id {
            return Err(ConfiguredError::Id);
        }
        if !(1..=REDIRECTS_MAX).contains(&self.redirect_uris.len()) {
            return Err(ConfiguredError::Redirects);
        }
        let uris = self.redirect_uris.iter().map(|uri| RedirectUri::parse(uri, apps));
        let redirects = uris.collect::<Result<_, _>>().map_err(ConfiguredError::Redirect)?;
        let id = ClientId::Configured((&*self.id).into());
        let client = Client::of(id, &self.name, redirects).ok_or(ConfiguredError::Name)?;
        let Some(place) = &self.secret else { return Ok(client) };
        let secret = fetch(place).map_err(ConfiguredError::Secret)?;
        Ok(client.with_secret(SecretSum::of(secret.expose_secret())))
    }
}

/// LIMIT: of an id.
const ID_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(id: &str, name: &str, redirects: &str, secret: &str) -> Result<Client, ConfiguredError> {
        let text = format!("id = '{id}'\nname = '{name}'\nredirect_uris = {redirects}\n{secret}");
        let configured: ConfiguredClient = toml::from_str(&text).unwrap();
        let env = |name: &str| (name == "SECRET").then(|| "hunter2".into());
        let purpose = sekisho_keys::Purpose::Collector { name: "x" };
        configured.client(&AppSchemes::default(), |place| place.resolve(purpose, std::path::Path::new("/"), &env))
    }

    #[test]
    fn a_configured_client_is_the_administrators_word() {
        let one = r#"["https://app.example/cb"]"#;
        let public = read("app", "claude.ai", one, "").unwrap();
        assert_eq!((public.id().as_str(), public.vouched_by()), ("app", crate::Voucher::Administrator));
        assert!(public.authenticated_by(None).is_ok() && public.marks().is_empty());
        let confidential = read("app", "App", one, "secret = 'env:SECRET'").unwrap();
        assert!(confidential.authenticated_by(Some("hunter2")).is_ok());
        assert!(confidential.authenticated_by(None).is_err());
        let refused =
            |id: &str, name: &str, redirects: &str, secret: &str| read(id, name, redirects, secret).unwrap_err();
        for id in ["", "a b", "https://app.example/c", "HTTPS://app.example/c", &"a".repeat(257)] {
            assert!(matches!(refused(id, "App", one, ""), ConfiguredError::Id), "{id}");
        }
        assert!(matches!(refused("app", " ", one, ""), ConfiguredError::Name));
        assert!(matches!(refused("app", "App", "[]", ""), ConfiguredError::Redirects));
        let wild = refused("app", "App", r#"["https://app.example/*"]"#, "");
        assert!(matches!(wild, ConfiguredError::Redirect(RedirectError::Wildcard)));
        assert!(matches!(refused("app", "App", one, "secret = 'env:OTHER'"), ConfiguredError::Secret(_)));
        assert!(
            toml::from_str::<ConfiguredClient>("id = 'a'\nname = 'A'\nredirect_uris = []\nsecret = 'hunter2'").is_err()
        );
    }
}
