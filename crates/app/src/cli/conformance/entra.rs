//! `sekisho conformance entra`

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use sekisho_egress::{Client, FetchError};
use sekisho_identity::{EntraConfig, Identity, Revocations};
use sekisho_wire::json::Limits;
use sekisho_wire::text::visible;
use sekisho_wire::{Endpoint, Json};
use url::Url;

use super::super::{ConfigFile, Outcome, token};
use crate::config::{self, Loaded};
use crate::problem::{Code, Problem, chain};
use crate::{assemble, operator};

/// Hold the tenants of `[[identity.entra]]` against what is expected of Entra ID
///
/// Metadata and keys are fetched, and nothing else is asked. With `--token`, a token of one of them is read from standard input: it must be
/// accepted, and changed in any way it must not be. Exit code 1: something is otherwise than expected.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho conformance entra --live
  sekisho conformance entra --live --token < token.txt")]
pub(super) struct Entra {
    #[command(flatten)]
    config: ConfigFile,
    /// Ask the tenants themselves; without this nothing is asked
    #[arg(long, required = true)]
    live: bool,
    /// Read a token from standard input, and hold it against what is expected, too
    #[arg(long)]
    token: bool,
}

/// What was asked and how it came out, a line each.
struct Findings {
    otherwise: usize,
}

impl Findings {
    fn note(&mut self, what: &str, found: Result<String, String>) {
        let (mark, words) = match &found {
            Ok(words) => ("ok", words),
            Err(words) => {
                self.otherwise = self.otherwise.saturating_add(1);
                ("OTHERWISE", words)
            }
        };
        println!("  {mark:<10} {what:<34} {}", visible(words));
    }
}

impl Entra {
    pub(super) fn run(self) -> Outcome {
        let loaded = config::load(&self.config.path)?;
        if loaded.config.identity.entra.is_empty() {
            let words = "the configuration has no `[[identity.entra]]`, so there is no tenant to ask";
            return Err(vec![Problem::new(Code::Identity, words).help("docs/identity.md shows one")]);
        }
        let token = if self.token { Some(token::from_standard_input()?) } else { None };
        let egress = assemble::egress(&loaded).map_err(|problem| vec![problem])?;
        let mut findings = Findings { otherwise: 0 };
        for entra in &loaded.config.identity.entra {
            for tenant in &entra.tenants {
                println!("tenant {tenant}");
                operator::wait(tenant_is_as_expected(&mut findings, &egress, entra, tenant))?;
            }
        }
        if let Some(token) = &token {
            println!("token");
            let identity = identity(&loaded, egress)?;
            operator::wait(token_is_as_expected(&mut findings, &identity, token))?;
        }
        match findings.otherwise {
            0 => Ok(()),
            otherwise => {
                let words = format!("{otherwise} of the answers are otherwise than expected");
                Err(vec![Problem::new(Code::Identity, words)])
            }
        }
    }
}

fn identity(loaded: &Loaded, egress: Arc<Client>) -> Result<Identity, Vec<Problem>> {
    let (config, revocations) = (&loaded.config, Arc::new(Revocations::passing()));
    Identity::new(&config.identity, &loaded.base, &config.gateway.public_url, egress, revocations)
        .map_err(|error| vec![Problem::of(Code::Identity, &error)])
}

async fn tenant_is_as_expected(findings: &mut Findings, egress: &Client, entra: &EntraConfig, tenant: &str) {
    let root = format!("{}/{tenant}", entra.authority.trim_end_matches('/'));
    let (issuer, keys) = (format!("{root}/v2.0"), format!("{root}/discovery/v2.0/keys"));
    let metadata = document(egress, &format!("{issuer}/.well-known/openid-configuration")).await;
    let says = |member: &str| metadata.as_ref().ok().and_then(|json| json.get(member)?.string().map(String::from));
    findings.note("metadata of OpenID Connect", metadata.as_ref().map(|_| "there".to_owned()).map_err(Clone::clone));
    findings.note("its issuer is the tenant's", same(says("issuer"), &issuer));
    findings.note("its keys are where we look", same(says("jwks_uri"), &keys));
    findings.note("its tokens are given out there", same(says("token_endpoint"), &format!("{root}/oauth2/v2.0/token")));
    findings.note("no metadata of RFC 8414", absent(egress, &well_known(&issuer)).await);
    let set = document(egress, &keys).await;
    findings.note("a key set", set.as_ref().map(|set| format!("{} keys", listed(set).len())).map_err(Clone::clone));
    let keys = set.as_ref().map(listed).unwrap_or_default();
    let usable = |key: &&Json| {
        let is =
            |member: &str, value: &str| key.get(member).is_some_and(|said| said.string().as_deref() == Some(value));
        is("kty", "RSA") && is("use", "sig") && key.get("kid").is_some()
    };
    findings.note(
        "keys for RS256, each with a name",
        match keys.iter().filter(usable).count() {
            0 => Err("none".to_owned()),
            count => Ok(format!("{count}")),
        },
    );
}

/// Accepted as it is; and not with another signature, other claims, another header, or nothing of it.
async fn token_is_as_expected(findings: &mut Findings, identity: &Identity, token: &SecretString) {
    let now = SystemTime::now();
    let token = token.expose_secret();
    let told = identity.explain(token, &Endpoint::All, now).await;
    let subject = told.principal.first().map(|(_, value)| value.clone()).unwrap_or_default();
    findings.note("it is accepted", told.refused.map_or(Ok(subject), |error| Err(error.to_string())));
    for (what, changed) in changed(token) {
        let told = identity.explain(&changed, &Endpoint::All, now).await;
        findings.note(what, told.refused.map(|error| error.to_string()).ok_or_else(|| "it was accepted".to_owned()));
    }
}

fn changed(token: &str) -> Vec<(&'static str, String)> {
    let mut parts = token.split('.');
    let mut part = || parts.next().unwrap_or_default();
    let (header, claims, signature) = (part(), part(), part());
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let other = flipped(claims);
    vec![
        ("refused: another signature", format!("{header}.{claims}.{}", flipped(signature))),
        ("refused: no signature", format!("{header}.{claims}.")),
        ("refused: unsigned", format!("{unsigned}.{claims}.")),
        ("refused: other claims", format!("{header}.{other}.{signature}")),
        ("refused: another header", format!("{}.{claims}.{signature}", flipped(header))),
    ]
}

/// The same with its twentieth character changed.
fn flipped(part: &str) -> String {
    let change = |(at, c): (usize, char)| match (at, c) {
        (20, 'A') => 'B',
        (20, _) => 'A',
        (_, c) => c,
    };
    part.chars().enumerate().map(change).collect()
}

fn same(found: Option<String>, expected: &str) -> Result<String, String> {
    match found {
        Some(found) if found == expected => Ok(found),
        Some(found) => Err(format!("{found}, not {expected}")),
        None => Err("not said".to_owned()),
    }
}

fn listed(set: &Json) -> Vec<Json> {
    set.get("keys").iter().flat_map(Json::elements).collect()
}

/// RFC 8414 section 3.1: between host and path.
fn well_known(issuer: &str) -> String {
    let Ok(mut url) = Url::parse(issuer) else { return issuer.to_owned() };
    let path = format!("/.well-known/oauth-authorization-server{}", url.path());
    url.set_path(&path);
    url.into()
}

async fn document(egress: &Client, url: &str) -> Result<Json, String> {
    let text = fetch(egress, url).await?.map_err(|error| chain(&error))?;
    Json::decode(text, &DOCUMENT).map_err(|error| error.to_string())
}

/// That there is none. Clients that look there first have to go on looking.
async fn absent(egress: &Client, url: &str) -> Result<String, String> {
    match fetch(egress, url).await? {
        Err(FetchError::Status { status }) => Ok(format!("{status}")),
        Ok(_) => Err("there is one".to_owned()),
        Err(error) => Err(chain(&error)),
    }
}

async fn fetch(egress: &Client, url: &str) -> Result<Result<Bytes, FetchError>, String> {
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    let bytes_max = u64::try_from(DOCUMENT.bytes_max).unwrap_or(u64::MAX);
    Ok(egress.fetch(&url, bytes_max, TIMEOUT).await)
}

const DOCUMENT: Limits = Limits { bytes_max: 256 * 1024, depth_max: 8, nodes_max: 8192 };
const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_makes_another_token_and_metadata_of_rfc_8414_stands_before_the_path() {
        let token = format!("{}.{}.{}", "h".repeat(40), "A".repeat(40), "s".repeat(40));
        let all = changed(&token);
        assert!(all.iter().all(|(_, changed)| *changed != token), "{all:?}");
        assert_eq!(
            well_known("https://login.example/tid/v2.0"),
            "https://login.example/.well-known/oauth-authorization-server/tid/v2.0"
        );
    }
}
