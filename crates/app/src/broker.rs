//! The OAuth facade, wired: its keys and its store, what it serves, and its place at the public listener.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use sekisho_broker::{Broker, Keys, Kind, Knock, Parts, Resource, Resources, StartError, Tool};
use sekisho_catalog::{Catalog, Impact, exposed_name};
use sekisho_egress::Client;
use sekisho_gateway::{Annex, AnnexKind, AnnexKnock, AnnexReply};
use sekisho_identity::IssuerConfig;
use sekisho_keys::{Purpose, SecretRef};
use sekisho_store::Store;
use sekisho_wire::{Endpoint, ListKind, ServerId};

use crate::assemble::{Rooms, variable};
use crate::config::Loaded;
use crate::pins;
use crate::problem::{Code, Problem};

/// Its issuer: the gateway's own origin.
#[must_use]
pub(crate) fn issuer(loaded: &Loaded) -> String {
    loaded.config.gateway.public_url.as_str().trim_end_matches('/').to_owned()
}

/// Has the tokens of the facade believed, before those of any other issuer: clients take the first one that metadata names.
///
/// # Errors
/// Its key cannot be used, or another issuer has its name.
pub(crate) fn believe(loaded: &mut Loaded, keys: Keys) -> Result<(), Problem> {
    if loaded.config.broker.is_none() {
        return Ok(());
    }
    let folder = loaded.folder();
    if keys == Keys::Made {
        folder.prepare()?;
    }
    let key_set = Broker::key_set_in(&folder.broker(), keys)
        .map_err(|error| Problem::of(Code::Broker, &error).at(loaded.document.place_of(&["broker"])))?;
    let ours = IssuerConfig::of_ours(issuer(loaded), key_set, sekisho_broker::ACCESS_SECONDS_MAX);
    loaded.config.identity.issuers.insert(0, ours);
    Ok(())
}

/// The secret references of the section, each with the keys that it stands at.
pub(crate) fn references(config: &sekisho_broker::Config) -> impl Iterator<Item = (Option<&str>, &SecretRef)> {
    let clients =
        config.clients.configured.iter().filter_map(|client| Some((Some(&*client.id), client.secret.as_ref()?)));
    config.provider.client_secret.iter().map(|secret| (None, secret)).chain(clients)
}

/// All that is wrong with the section, as far as it shows without starting anything.
pub(crate) fn problems(loaded: &Loaded) -> Vec<Problem> {
    let Some(config) = &loaded.config.broker else { return Vec::new() };
    let place = |keys: &[&str]| loaded.document.place_of(keys);
    let mut problems = Vec::new();
    if let Err(error) = config.check() {
        problems.push(Problem::of(Code::Broker, &error).at(place(&["broker"])));
    }
    for (client, reference) in references(config) {
        let purpose = client.map_or(Purpose::Provider, |id| Purpose::Client { id });
        if let Err(error) = reference.resolve(purpose, &loaded.base, &variable) {
            let keys = if client.is_some() { ["broker", "clients"] } else { ["broker", "provider"] };
            problems.push(Problem::of(Code::Secret, &error).at(place(&keys)));
        }
    }
    problems
}

/// Opens the facade, if there is one. Blocks: it reads and makes files.
///
/// # Errors
/// What is wrong with its section, its keys or its store.
pub(crate) fn open(
    loaded: &Loaded,
    rooms: &Rooms,
    store: Arc<Store>,
    egress: &Arc<Client>,
    now: SystemTime,
) -> Result<Option<Arc<Broker>>, Problem> {
    let Some(config) = &loaded.config.broker else { return Ok(None) };
    let secret = config.provider.client_secret.as_ref();
    let secret = secret.map(|reference| reference.resolve(Purpose::Provider, &loaded.base, &variable));
    let secret = secret.transpose().map_err(|error| refused(loaded, Code::Secret, &error, &["broker", "provider"]))?;
    // Anybody names the addresses of documents: what is permitted for our own purposes is not permitted for that.
    let outside = sekisho_egress::Config {
        internal_hosts: sekisho_egress::Config::default().internal_hosts,
        dangerous_allow_private_networks: false,
        ..loaded.config.egress.clone()
    };
    let documents = Client::new(&outside, &loaded.base)
        .map_err(|error| refused(loaded, Code::Certificates, &error, &["egress", "ca_file"]))?;
    let parts = Parts {
        config,
        public_url: &loaded.config.gateway.public_url,
        folder: &loaded.folder().broker(),
        provider_secret: secret,
        client_secret: &|id, reference| reference.resolve(Purpose::Client { id }, &loaded.base, &variable),
        dpop: &loaded.config.identity.dpop,
        egress: Arc::clone(egress),
        documents: Arc::new(documents),
        revocations: Arc::clone(rooms.revocations()),
        store,
        resources: resources(loaded, rooms.catalog()),
    };
    let broker = Broker::new(parts, now).map_err(|error| {
        let keys: &[&str] = match &error {
            StartError::Provider(_) => &["broker", "provider"],
            StartError::Clients(_) => &["broker", "clients"],
            StartError::Config(_)
            | StartError::Key(_)
            | StartError::Sealer(_)
            | StartError::NoRandomness
            | StartError::Thread(_) => &["broker"],
        };
        refused(loaded, Code::Broker, &error, keys)
    })?;
    Ok(Some(Arc::new(broker)))
}

fn refused(loaded: &Loaded, code: Code, error: &dyn std::error::Error, keys: &[&str]) -> Problem {
    Problem::of(code, error).at(loaded.document.place_of(keys))
}

/// What is served, as it was approved: the endpoint of all servers, and that of each.
pub(crate) fn resources(loaded: &Loaded, catalog: &Catalog) -> Resources {
    let origin = issuer(loaded);
    let tools: Vec<(ServerId, Vec<Tool>)> =
        catalog.servers().map(|server| (server.id().clone(), tools(loaded, server.id()))).collect();
    let every = tools.iter().flat_map(|(server, tools)| {
        tools.iter().map(|tool| Tool { name: exposed_name(server, &tool.name).into(), ..tool.clone() })
    });
    let all = Resource {
        uri: format!("{origin}{}", Endpoint::All.path()).into(),
        title: "Sekisho".into(),
        tools: every.collect(),
    };
    let each = tools.iter().map(|(server, tools)| Resource {
        uri: format!("{origin}{}", Endpoint::One(server.clone()).path()).into(),
        title: server.as_str().into(),
        tools: tools.clone(),
    });
    Resources::new(std::iter::once(all).chain(each).collect())
}

fn tools(loaded: &Loaded, server: &ServerId) -> Vec<Tool> {
    let Ok(approvals) = pins::approvals(loaded) else { return Vec::new() };
    let Some(locked) = approvals.lock().server(server) else { return Vec::new() };
    let mut tools: BTreeMap<Box<str>, Tool> = BTreeMap::new();
    for pin in locked.pins(ListKind::Tools) {
        let (pinned, name) = (pin.pinned(), Box::<str>::from(pin.pinned().name()));
        let text = |of: Option<sekisho_wire::Json>| of.and_then(|value| value.string().map(Box::<str>::from));
        let json = pinned.json();
        let title = text(json.get("title")).or_else(|| text(json.get("annotations")?.get("title")));
        let title = title.unwrap_or_else(|| name.clone());
        // Of several approved definitions of one name, the worst counts.
        let known = tools.get(&name).map_or(Impact::Read, |tool| tool.impact);
        tools.insert(name.clone(), Tool { name, title, impact: known.max(pinned.impact()) });
    }
    tools.into_values().collect()
}

/// Its place at the public listener.
pub(crate) fn annex(broker: &Arc<Broker>) -> Arc<dyn Annex> {
    Arc::new(Door(Arc::clone(broker)))
}

struct Door(Arc<Broker>);

impl Annex for Door {
    fn kind(&self, path: &str) -> Option<AnnexKind> {
        Broker::kind(path).map(|kind| match kind {
            Kind::Page => AnnexKind::Page,
            Kind::Api => AnnexKind::Api,
        })
    }

    fn answer(&self, knock: AnnexKnock) -> Pin<Box<dyn Future<Output = AnnexReply> + Send + '_>> {
        Box::pin(async move {
            let AnnexKnock { method, uri, headers, body, from, request, now } = knock;
            let knock = Knock {
                method: &method,
                path: uri.path(),
                query: uri.query(),
                headers: &headers,
                body,
                from,
                request: &request,
                now,
            };
            let sekisho_broker::Reply { response, events, revocations } = self.0.answer(&knock).await;
            AnnexReply { response, events, revocations }
        })
    }
}
