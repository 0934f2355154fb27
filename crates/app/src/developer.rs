//! The developer issuer of this machine: for the first steps, on loopback addresses alone.

use std::time::SystemTime;

use nix::unistd::{Uid, User};
use sekisho_identity::developer::Developer;
use sekisho_wire::{Endpoint, ServerId};

use crate::config::Loaded;
use crate::problem::{Code, Problem};

/// Opens the issuer in the data folder, with a fresh token if the old one is used up.
///
/// # Errors
/// Its files cannot be used, or the gateway is not on a loopback address.
pub(crate) fn open(loaded: &Loaded, now: SystemTime) -> Result<Developer, Problem> {
    let (folder, url) = (loaded.folder(), &loaded.config.gateway.public_url);
    Developer::open(folder.path(), url, &user(), &audiences(loaded), now)
        .map_err(|error| Problem::of(Code::Developer, &error))
}

/// Whether the configuration believes the developer issuer of this machine.
#[must_use]
pub(crate) fn is_believed(loaded: &Loaded) -> bool {
    let issuer = issuer(loaded.config.gateway.public_url.as_str());
    loaded.config.identity.issuers.iter().any(|known| known.issuer == issuer)
}

/// Its identifier, by the URL of the gateway.
#[must_use]
pub(crate) fn issuer(public_url: &str) -> String {
    format!("{}/dev-issuer", public_url.trim_end_matches('/'))
}

/// The name of this process's user.
#[must_use]
pub(crate) fn user() -> String {
    let id = Uid::effective();
    match User::from_uid(id) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => format!("uid-{id}"),
    }
}

/// The canonical URIs of every endpoint (RFC 8707 section 2).
fn audiences(loaded: &Loaded) -> Vec<String> {
    let origin = loaded.config.gateway.public_url.as_str().trim_end_matches('/');
    let servers = loaded.config.servers.keys().filter_map(|name| ServerId::parse(name).ok());
    let doors = std::iter::once(Endpoint::All).chain(servers.map(Endpoint::One));
    doors.map(|door| format!("{origin}{}", door.path())).collect()
}
