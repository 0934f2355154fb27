//! Which clients there are: those with a document, those that an administrator knows, and those that registered.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use secrecy::SecretString;
use sekisho_keys::{ResolveError, SecretRef};
use sekisho_store::Store;

use crate::client::Client;
use crate::configured::ConfiguredError;
use crate::documents::{Documents, FetchDocumentError};
use crate::id::{ClientId, ClientIdError, DocumentUrl};
use crate::rates::Rates;
use crate::redirect::{AppSchemes, RedirectError};
use crate::registration::{Registered, RegistrationError, Wanted};
use crate::registrations::{ChangeError, Registration, Registrations};
use crate::trust::{ClientsConfig, ClientsConfigError, Trust, Untrusted};

/// All clients.
#[derive(Debug)]
pub struct Clients {
    apps: AppSchemes,
    trust: Trust,
    documents: Documents,
    configured: HashMap<Box<str>, Arc<Client>>,
    /// None: nobody registers, and whoever did before is not known.
    registering: Option<Registering>,
}

#[derive(Debug)]
struct Registering {
    rates: Rates,
    kept: Arc<Registrations>,
}

/// Why nobody is known by an id. For the operator: users are told the same of all of them.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UnknownClient {
    /// It could only be the address of a document, and is none.
    #[error("the client id is no address of a document")]
    Id(#[source] ClientIdError),
    /// Its document is not read.
    #[error("the client's document is not read")]
    Untrusted(#[source] Untrusted),
    /// Its document is not there.
    #[error("the client's document cannot be used")]
    Document(#[source] Arc<FetchDocumentError>),
    /// No administrator knows it, and it has not registered, or not lately.
    #[error("no client is known by that id")]
    NotKnown,
    /// It registered a redirect URI that is not permitted any more.
    #[error("the client registered a redirect URI that is not permitted any more")]
    Redirect(#[source] RedirectError),
}

impl Clients {
    /// Reads who is configured and who registered. Blocks: it reads the store.
    ///
    /// `secret` fetches the secret of the configured client with that id. `egress` goes to whatever host anybody names: it should be one
    /// that permits no internal hosts.
    ///
    /// # Errors
    /// [`ClientsConfigError`]
    pub fn new(
        config: &ClientsConfig,
        secret: impl Fn(&str, &SecretRef) -> Result<SecretString, ResolveError>,
        egress: Arc<sekisho_egress::Client>,
        store: Arc<Store>,
    ) -> Result<Clients, ClientsConfigError> {
        config.check_ranges()?;
        let apps =
            AppSchemes::new(config.app_schemes.iter().map(String::as_str)).map_err(ClientsConfigError::Scheme)?;
        let trust = Trust::of(config)?;
        let configured = configured(config, &apps, secret)?;
        let registering = if config.registration { Some(Registering::load(config, store)?) } else { None };
        Ok(Clients { documents: Documents::new(egress, apps.clone()), apps, trust, configured, registering })
    }

    /// The schemes of applications that answers may go to.
    #[must_use]
    pub fn apps(&self) -> &AppSchemes {
        &self.apps
    }

    /// Whether the metadata of this server may name an endpoint for registration.
    #[must_use]
    pub fn take_registrations(&self) -> bool {
        self.registering.is_some()
    }

    /// Whether the metadata of this server may say that it reads documents.
    #[must_use]
    pub fn read_documents(&self) -> bool {
        !matches!(self.trust, Trust::Off)
    }

    /// The client that is known by an id.
    ///
    /// # Errors
    /// [`UnknownClient`]
    pub async fn find(&self, client_id: &str, now: SystemTime) -> Result<Arc<Client>, UnknownClient> {
        if client_id.starts_with("https://") {
            let id = DocumentUrl::parse(client_id).map_err(UnknownClient::Id)?;
            let id = self.trust.check(id).map_err(UnknownClient::Untrusted)?;
            return self.documents.find(&id, now).await.map_err(UnknownClient::Document);
        }
        if let Some(client) = self.configured.get(client_id) {
            return Ok(Arc::clone(client));
        }
        let kept = self.registering.as_ref().and_then(|registering| registering.kept.find(client_id, now));
        let row = kept.ok_or(UnknownClient::NotKnown)?;
        row.client(client_id, &self.apps).map(Arc::new).map_err(UnknownClient::Redirect)
    }

    /// Registers whoever asks. `from` is where the request came from.
    ///
    /// # Errors
    /// [`RegistrationError`]
    pub async fn register(
        &self,
        body: Bytes,
        from: Option<IpAddr>,
        now: SystemTime,
    ) -> Result<Registered, RegistrationError> {
        let registering = self.registering.as_ref().ok_or(RegistrationError::Off)?;
        let in_rate = registering.rates.count(from)?;
        let wanted = Wanted::read(body, &self.apps)?;
        let (kept, row) = (Arc::clone(&registering.kept), wanted.row(now));
        let added = tokio::task::spawn_blocking(move || kept.add(row, in_rate, now));
        wanted.registered(added.await.map_err(|_| RegistrationError::CutOff)??, now)
    }

    /// Notes that a user let a client in, or that it used what it got: a registration is kept for as long again. Of other clients there is
    /// nothing to note.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub async fn note_use(&self, client: &Client, now: SystemTime) -> Result<(), ChangeError> {
        match client.id() {
            ClientId::Document(_) | ClientId::Configured(_) => Ok(()),
            ClientId::Registered(id) => self.change(id, move |kept, id| kept.note_use(id, now)).await,
        }
    }

    /// Who is registered, the latest first.
    #[must_use]
    pub fn registered(&self, now: SystemTime) -> Vec<Registration> {
        self.registering.as_ref().map(|registering| registering.kept.list(now)).unwrap_or_default()
    }

    /// Forgets a registration.
    ///
    /// # Errors
    /// [`ChangeError`]
    pub async fn remove(&self, id: &str) -> Result<(), ChangeError> {
        self.change(id, |kept, id| kept.remove(id)).await
    }

    async fn change(
        &self,
        id: &str,
        change: impl FnOnce(&Registrations, &str) -> Result<(), ChangeError> + Send + 'static,
    ) -> Result<(), ChangeError> {
        let registering = self.registering.as_ref().ok_or(ChangeError::Unknown)?;
        let (kept, id) = (Arc::clone(&registering.kept), Box::<str>::from(id));
        let changed = tokio::task::spawn_blocking(move || change(&kept, &id));
        changed.await.map_err(|_| ChangeError::CutOff)?
    }
}

impl Registering {
    fn load(config: &ClientsConfig, store: Arc<Store>) -> Result<Registering, ClientsConfigError> {
        let life = Duration::from_secs(u64::from(config.registration_days).saturating_mul(DAY_SECONDS));
        let count_max = usize::try_from(config.registrations_max).unwrap_or(usize::MAX);
        let per_minute = NonZeroU32::new(config.registrations_per_minute).unwrap_or(NonZeroU32::MIN);
        let kept = Arc::new(Registrations::load(store, life, count_max)?);
        Ok(Registering { rates: Rates::new(per_minute), kept })
    }
}

fn configured(
    config: &ClientsConfig,
    apps: &AppSchemes,
    secret: impl Fn(&str, &SecretRef) -> Result<SecretString, ResolveError>,
) -> Result<HashMap<Box<str>, Arc<Client>>, ClientsConfigError> {
    let mut all = HashMap::new();
    for one in &config.configured {
        let refused = |source| ClientsConfigError::Configured { id: one.id.as_str().into(), source: Box::new(source) };
        let client = one.client(apps, |place| secret(&one.id, place)).map_err(refused)?;
        if all.insert(one.id.as_str().into(), Arc::new(client)).is_some() {
            return Err(refused(ConfiguredError::Twice));
        }
    }
    Ok(all)
}

const DAY_SECONDS: u64 = 24 * 3600;

#[cfg(test)]
mod tests;
