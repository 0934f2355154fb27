//! What servers offer, looked at before anybody may use it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sekisho_audit::{Audit, Event, EventKind, Outcome};
use sekisho_catalog::{Approvals, Catalog, Identity, Introduction, Server, Unapproved};
use sekisho_egress::Client;
use sekisho_upstream::{Probing, SendError, Spoken, Upstream};
use sekisho_wire::{Era, Items, Json, ListKind, ServerId};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::assemble;
use crate::config::Loaded;
use crate::known;
use crate::pins;
use crate::problem::{Code, Problem, chain};

/// One server, and what it offers.
pub(crate) struct Surveyed {
    /// Which one.
    pub(crate) id: ServerId,
    /// Who it is.
    pub(crate) identity: Identity,
    /// Beginnings of URIs of resources that need no approval.
    pub(crate) open: Vec<String>,
    /// What it says of itself; more than one where eras differ.
    pub(crate) introductions: Vec<Introduction>,
    /// What it offers, by kind and name; more than one definition where eras differ, or where a name stands twice.
    pub(crate) offered: Result<Offered, Problem>,
}

/// By kind and name.
pub(crate) type Offered = BTreeMap<(ListKind, Box<str>), Vec<Face>>;

/// A definition, and the eras that it is shown in.
pub(crate) struct Face {
    /// The definition.
    pub(crate) definition: Json,
    /// In which eras.
    pub(crate) eras: Vec<Era>,
}

/// Looks at what these servers offer; at all of them if none is named. `note` is written down beside it.
///
/// # Errors
/// The configuration cannot be used, or names no such server. A server that cannot be set up or looked at is no error.
pub(crate) fn survey(loaded: &Loaded, only: &[ServerId]) -> Result<Vec<Surveyed>, Vec<Problem>> {
    let mut loaded = loaded.clone();
    for id in only {
        if !loaded.config.servers.contains_key(id.as_str()) {
            return Err(vec![unknown(&loaded, id)]);
        }
    }
    if !only.is_empty() {
        loaded.config.servers.retain(|name, _| only.iter().any(|id| id.as_str() == name));
    }
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| vec![Problem::new(Code::System, error.to_string())])?;
    let surveyed = runtime.block_on(async {
        loaded.machine = assemble::machine().await.map_err(alone)?.tier();
        look(&loaded).await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    surveyed
}

async fn look(loaded: &Loaded) -> Result<Vec<Surveyed>, Vec<Problem>> {
    let refused = assemble::refused_sections(loaded);
    if !refused.is_empty() {
        return Err(refused);
    }
    let egress = assemble::egress(loaded).map_err(alone)?;
    // Nothing of it reaches a client, and whoever is to approve a server has to see what it offers: it is started unapproved.
    let looking = Unapproved::TrustedOnFirstUse;
    let approvals = Approvals::new(sekisho_catalog::Lock::default(), pins::programs(loaded), looking);
    let catalog = Catalog::new(&loaded.catalog(), &approvals, None);
    let catalog = catalog.map_err(|error| vec![Problem::of(Code::Server, &error)])?;
    let folder = loaded.folder();
    folder.prepare().map_err(alone)?;
    let (_, audit) = folder.take_place(&loaded.config.audit, SystemTime::now()).map_err(alone)?;
    let audit = Arc::new(audit);
    catalog.servers().for_each(|server| eprint!("{}", known::before_it_runs(loaded, server)));
    eprintln!("asking {} what they offer …", names(&catalog));
    let servers: Vec<Arc<Server>> = catalog.servers().cloned().collect();
    let with = Looking { egress, audit: Arc::clone(&audit) };
    let mut surveyed = Vec::new();
    for some in servers.chunks(AT_ONCE) {
        surveyed.extend(look_at(loaded, some, &with).await);
    }
    drop(with);
    if audit.close().await.is_err() {
        eprintln!("the audit log could not be closed");
    }
    Ok(surveyed)
}

/// What it takes to look at servers.
struct Looking {
    egress: Arc<Client>,
    audit: Arc<Audit>,
}

/// Looks at these servers at once. Each is set up alone: one that cannot be is told like one that is down, and hides no other.
async fn look_at(loaded: &Loaded, servers: &[Arc<Server>], with: &Looking) -> Vec<Surveyed> {
    let start = |server: &Arc<Server>| {
        assemble::start_servers(loaded, [Arc::clone(server)], &with.egress, (&with.audit, Probing::AtOnce))
    };
    let started: Vec<_> = servers.iter().map(|server| (server, start(server))).collect();
    let deadline = Instant::now() + SETTLE;
    for (_, upstream) in &started {
        if let Ok(upstream) = upstream {
            upstream.settle(deadline.saturating_duration_since(Instant::now())).await;
        }
    }
    let (mut surveyed, mut ends) = (Vec::new(), JoinSet::new());
    for (server, upstream) in started {
        let found = match upstream {
            Ok(upstream) => {
                let found = match upstream.survey(server.id()).await {
                    Ok(eras) => Ok(eras),
                    Err(error) => Err(down(loaded, &upstream, server.id(), &error).await),
                };
                ends.spawn(async move { upstream.shutdown().await });
                found
            }
            Err(problem) => Err(problem.within(Code::Survey, &format!("server `{}` cannot be set up", server.id()))),
        };
        let introductions = found.as_ref().map(|eras| said(eras)).unwrap_or_default();
        let offered = found.map(sorted);
        note(&with.audit, server.id(), offered.as_ref().map(BTreeMap::len).map_err(Problem::line)).await;
        let open = server.config().unpinned_resources.clone();
        let (id, identity) = (server.id().clone(), server.identity().clone());
        surveyed.push(Surveyed { id, identity, open, introductions, offered });
    }
    ends.join_all().await;
    surveyed
}

async fn down(loaded: &Loaded, upstream: &Upstream, server: &ServerId, error: &SendError) -> Problem {
    // Whoever reads the error stream of a process may be a moment behind the end of it.
    tokio::time::sleep(LAST_LINE_WITHIN).await;
    let last = upstream.status().into_iter().find_map(|status| status.last_line);
    let last = last.map(|line| format!("; the last line of its error stream: “{line}”")).unwrap_or_default();
    Problem::new(Code::Survey, format!("server `{server}` cannot be looked at: {}{last}", chain(error)))
        .help(format!("`sekisho audit tail{}` shows more of what it wrote; then do it again", loaded.option()))
}

/// What it says of itself, once where eras do not differ.
fn said(eras: &[(Era, Spoken, Vec<Items>)]) -> Vec<Introduction> {
    let mut introductions: Vec<Introduction> = Vec::new();
    for (_, spoken, _) in eras {
        let said = Introduction::of(&spoken.server, spoken.instructions.as_deref());
        if !introductions.contains(&said) {
            introductions.push(said);
        }
    }
    introductions
}

fn sorted(eras: Vec<(Era, Spoken, Vec<Items>)>) -> Offered {
    let mut offered = Offered::new();
    for (era, _, lists) in eras {
        for list in lists {
            for item in list.entries {
                let name = item.definition.get(list.kind.key());
                let name: Box<str> = name.as_ref().and_then(Json::string).unwrap_or_default().into();
                let faces = offered.entry((list.kind, name)).or_default();
                match faces.iter_mut().find(|face| face.definition == item.definition && !face.eras.contains(&era)) {
                    Some(face) => face.eras.push(era),
                    None => faces.push(Face { definition: item.definition, eras: vec![era] }),
                }
            }
        }
    }
    offered
}

async fn note(audit: &Audit, server: &ServerId, found: Result<usize, String>) {
    let mut event = Event::new(EventKind::Definition, Outcome::Noted);
    event.server = Some(server.as_str().into());
    event.reason = Some(match found {
        Ok(count) => format!("the operator looks at what it offers: {count} definitions").into(),
        Err(why) => format!("the operator cannot look at what it offers: {why}").into(),
    });
    if audit.note(event).await.is_err() {
        eprintln!("the audit log does not hold that `{server}` was looked at");
    }
}

fn names(catalog: &Catalog) -> String {
    catalog.servers().map(|server| server.id().as_str()).collect::<Vec<_>>().join(", ")
}

pub(crate) fn unknown(loaded: &Loaded, id: &ServerId) -> Problem {
    let known: Vec<&str> = loaded.config.servers.keys().map(String::as_str).collect();
    let words = format!("`{}` has no server `{id}`", loaded.path.display());
    Problem::new(Code::Server, words).help(format!("it has {}", known.join(", ")))
}

fn alone(problem: Problem) -> Vec<Problem> {
    vec![problem]
}

/// LIMIT: servers that are started at once. Many that install themselves first would take each other's time.
const AT_ONCE: usize = 4;
/// How long a server may take to show up.
const SETTLE: Duration = Duration::from_secs(60);
/// How long what a process wrote at its end may be on its way.
const LAST_LINE_WITHIN: Duration = Duration::from_millis(200);
