//! What the gateway answers itself: handshake, discovery, ping, notifications. The answers walk back like any server's.

use std::sync::Arc;
use std::time::SystemTime;

use sekisho_audit::Recorded;
use sekisho_catalog::{Addressed, Flaw, Server, Transport, Trust, Unknown, with_safe_icons};
use sekisho_guard::Cleared;
use sekisho_identity::Authenticated;
use sekisho_policy::Authorized;
use sekisho_upstream::{Hello, Offer, Spoken};
use sekisho_wire::json::{Array, Object};
use sekisho_wire::message::{Handshake, NoticeKind};
use sekisho_wire::task::EXTENSION;
use sekisho_wire::{Answer, Askable, Call, Endpoint, Era, FromServer, Inbound, Json, ServerId, Version};

use crate::VERSION;
use crate::inflight::InFlight;
use crate::pipeline::{Conversation, Opened, Own};
use crate::record::{self, Seen};
use crate::refusal::{Code, Refusal};
use crate::snapshot::Rooms;

/// Answers a message that addresses the gateway.
pub(crate) async fn answer(
    rooms: &Rooms,
    inflight: &InFlight,
    seen: &Seen,
    permitted: Recorded<Cleared<Authorized>>,
    now: SystemTime,
) -> Result<Conversation, Refusal> {
    let addressed = permitted.get().of().addressed();
    greet(rooms, addressed, now).await;
    let message = addressed.message();
    let mut unsaid = Vec::new();
    let (result, session) = match message.message() {
        Inbound::Notice(notice) => {
            take_in(rooms, inflight, message, notice.kind());
            return Ok(Conversation::Absorbed);
        }
        Inbound::Reply(_) => return Err(Refusal::new(Code::NothingAsked, "a reply reached the gateway itself")),
        Inbound::Request(request) => match request.call() {
            Call::Initialize(handshake) => {
                let (result, opened) = initialize(rooms, message, handshake, (now, &mut unsaid))?;
                (result, Some(opened))
            }
            Call::Discover => (discover(rooms, message.endpoint(), &mut unsaid)?, None),
            Call::Ping => (Json::empty_object(), None),
            Call::List { .. }
            | Call::CallTool { .. }
            | Call::ReadResource { .. }
            | Call::GetPrompt { .. }
            | Call::Complete { .. }
            | Call::SetLogLevel { .. }
            | Call::Listen { .. }
            | Call::Subscribe { .. }
            | Call::Unsubscribe { .. }
            | Call::Task { .. } => {
                return Err(Refusal::new(Code::UnknownMethod, "the method is not the gateway's own"));
            }
        },
    };
    for (server, flaw) in &unsaid {
        tracing::warn!(target: "catalog", %server, "what it says of itself is withheld: {flaw}");
        rooms.audit.note(record::unsaid(seen, server, flaw)).await?;
    }
    let answer = Some(FromServer::End(Answer::Result(result)));
    Ok(Conversation::Own(Box::new(Own { answer, session, _held: permitted })))
}

fn take_in(rooms: &Rooms, inflight: &InFlight, message: &Authenticated<Inbound>, kind: &NoticeKind) {
    let Some(session) = message.session() else { return };
    match kind {
        NoticeKind::Cancelled { request } => inflight.cancel(session.key(), request),
        NoticeKind::RootsChanged => rooms.upstream.roots_changed(session.key()),
        // The client's token for a question is its id for it.
        NoticeKind::Progress { token, said } => {
            if let Some(question) = rooms.catalog.asked(session.key(), token).filter(|question| question.is_open()) {
                rooms.upstream.progressed(session.key(), &question, said);
            }
        }
        NoticeKind::Initialized => {}
    }
}

/// Where a client opens, the servers it opens towards are asked what they speak, if they were not yet.
async fn greet(rooms: &Rooms, opening: &Addressed, now: SystemTime) {
    let Inbound::Request(request) = opening.message().message() else { return };
    let endpoint = opening.message().endpoint();
    if let Call::Initialize(asked) = request.call() {
        let known = Version::parse(&asked.version).filter(|version| version.era() == Era::Legacy);
        let version = known.unwrap_or(Version::LATEST_LEGACY);
        let declared = Askable::of(&asked.capabilities);
        let hello = |server: &Server| {
            let askable = rooms.policy.may_be_asked(opening, declared, server, now);
            Hello::Legacy { version, askable }
        };
        rooms.upstream.greet(endpoint, Era::Legacy, hello).await;
    } else if matches!(request.call(), Call::Discover) {
        rooms.upstream.greet(endpoint, Era::Modern, |_| Hello::Modern).await;
    }
}

/// BP-25: the asked revision if it is spoken, else the newest that is. The session begins here.
fn initialize(
    rooms: &Rooms,
    message: &Authenticated<Inbound>,
    asked: &Handshake,
    (now, unsaid): (SystemTime, &mut Unsaid),
) -> Result<(Json, Opened), Refusal> {
    let face = Face::at(rooms, message.endpoint(), (Era::Legacy, &asked.version), unsaid)?;
    let known = Version::parse(&asked.version).filter(|version| version.era() == Era::Legacy);
    let version = known.filter(|version| *version <= face.newest).unwrap_or(face.newest);
    let (token, session) = rooms.identity.sessions().open(
        message,
        version,
        Askable::of(&asked.capabilities),
        asked.client.clone(),
        now,
    )?;
    let mut result = Object::new()
        .text("protocolVersion", version.as_str())
        .json("capabilities", &face.capabilities)
        .json("serverInfo", &face.server);
    if let Some(instructions) = &face.instructions {
        result = result.text("instructions", instructions);
    }
    Ok((result.finish(), Opened { token, key: session.key() }))
}

/// BP-19: who is here and what is spoken, without a session.
fn discover(rooms: &Rooms, endpoint: &Endpoint, unsaid: &mut Unsaid) -> Result<Json, Refusal> {
    let face = Face::at(rooms, endpoint, (Era::Modern, Version::LATEST_MODERN.as_str()), unsaid)?;
    let mut versions = Array::new();
    versions.push(&Json::text(Version::LATEST_MODERN.as_str()));
    let meta = Object::new().json("io.modelcontextprotocol/serverInfo", &face.server).finish();
    let mut result = Object::new()
        .text("resultType", "complete")
        .json("supportedVersions", &versions.finish())
        .json("capabilities", &face.capabilities);
    if let Some(instructions) = &face.instructions {
        result = result.text("instructions", instructions);
    }
    // Private: what is offered differs by caller (CA-03). Not cached: a reload may change it at any time.
    Ok(result.integer("ttlMs", 0).text("cacheScope", "private").json("_meta", &meta).finish())
}

/// What an endpoint looks like to a client of one era.
struct Face {
    newest: Version,
    capabilities: Json,
    server: Json,
    instructions: Option<String>,
}

impl Face {
    fn at(rooms: &Rooms, endpoint: &Endpoint, (era, asked): (Era, &str), unsaid: &mut Unsaid) -> Result<Face, Refusal> {
        match endpoint {
            Endpoint::One(server) => Face::of_one(rooms, server, (era, asked), unsaid),
            Endpoint::All => Face::of_all(rooms, era, unsaid),
        }
    }

    fn of_one(
        rooms: &Rooms,
        server: &ServerId,
        (era, asked): (Era, &str),
        unsaid: &mut Unsaid,
    ) -> Result<Face, Refusal> {
        let configured = rooms.catalog.server(server).ok_or_else(|| Refusal::from(&Unknown::Server(server.clone())))?;
        // Its program is not even started, so it will not answer; that is no trouble of the server's.
        if let (Transport::Stdio { .. }, Some(why)) = (configured.transport(), configured.withholds_all()) {
            return Err(Refusal::new(Code::Withheld, format!("`{server}` is not started: {why}")));
        }
        let unanswered = || Refusal::new(Code::UpstreamUnreachable, format!("`{server}` has not answered a probe"));
        let offer = rooms.upstream.offer(server).ok_or_else(unanswered)?;
        let spoken = in_era(&offer, era).ok_or_else(|| match offer.awaits(era) {
            true => unanswered(),
            false => wrong_era(server, &offer, era, asked),
        })?;
        let (info, instructions) = match configured.introduces(&spoken.server, spoken.instructions.as_deref()) {
            Ok(()) => (with_safe_icons(&spoken.server), spoken.instructions.as_deref().map(str::to_owned)),
            Err(flaw) => {
                unsaid.push((server.clone(), flaw));
                // What configuration calls it; a version has to be there (BP-13).
                (Object::new().text("name", server.as_str()).text("version", "withheld").finish(), None)
            }
        };
        let capabilities = capabilities([spoken], WithLogging::Yes);
        Ok(Face { newest: spoken.version, capabilities, server: info, instructions })
    }

    fn of_all(rooms: &Rooms, era: Era, unsaid: &mut Unsaid) -> Result<Face, Refusal> {
        let offers: Vec<(&Arc<Server>, Arc<Offer>)> = rooms
            .catalog
            .servers()
            .filter_map(|server| rooms.upstream.offer(server.id()).map(|offer| (server, offer)))
            .collect();
        // Where no server speaks it, a client that speaks both eras must hear so, or it would see an empty house.
        let speaks_not = |offer: &Offer| in_era(offer, era).is_none() && !offer.awaits(era);
        if !offers.is_empty() && offers.iter().all(|(_, offer)| speaks_not(offer)) {
            return Err(Refusal::new(Code::WrongEra, format!("no server speaks the {era} era")));
        }
        let spoken = offers.iter().filter_map(|(_, offer)| in_era(offer, era));
        let info = Object::new().text("name", "sekisho").text("title", "Sekisho").text("version", VERSION);
        Ok(Face {
            newest: match era {
                Era::Legacy => Version::LATEST_LEGACY,
                Era::Modern => Version::LATEST_MODERN,
            },
            capabilities: capabilities(spoken, WithLogging::No),
            server: info.finish(),
            instructions: instructions(&offers, era, unsaid),
        })
    }
}

fn in_era(offer: &Offer, era: Era) -> Option<&Spoken> {
    match era {
        Era::Legacy => offer.legacy.as_ref(),
        Era::Modern => offer.modern.as_ref(),
    }
}

/// A legacy-only endpoint answers a modern client with an error that is none of the modern ones, so that the client tries
/// `initialize` (HT-35); a modern-only one names its versions to `initialize` (BP-23).
fn wrong_era(server: &ServerId, offer: &Offer, era: Era, asked: &str) -> Refusal {
    let spoken: Vec<Version> = [&offer.legacy, &offer.modern].into_iter().flatten().map(|s| s.version).collect();
    let code = match era {
        Era::Modern => Code::WrongEra,
        Era::Legacy => Code::UnsupportedVersion,
    };
    Refusal::new(code, format!("`{server}` does not speak the {era} era")).naming_versions(&spoken, asked)
}

/// Instructions end up in the model's context. Behind the door of one server they are that server's business; behind the door
/// of all of them only a trusted server may speak to the model beside the others.
fn instructions(offers: &[(&Arc<Server>, Arc<Offer>)], era: Era, unsaid: &mut Unsaid) -> Option<String> {
    let mut said = Vec::new();
    for (server, offer) in offers.iter().filter(|(server, _)| server.config().trust == Trust::Trusted) {
        let Some(spoken) = in_era(offer, era) else { continue };
        let Some(text) = spoken.instructions.as_deref() else { continue };
        match server.introduces(&spoken.server, Some(text)) {
            Ok(()) => said.push(format!("[{}]\n{text}", server.id())),
            Err(flaw) => unsaid.push((server.id().clone(), flaw)),
        }
    }
    if said.is_empty() { None } else { Some(said.join("\n\n")) }
}

/// Servers whose words of themselves are withheld, and why.
type Unsaid = Vec<(ServerId, Flaw)>;

enum WithLogging {
    Yes,
    No,
}

/// The capabilities that pass here, of those that any of the servers has.
fn capabilities<'a>(of: impl IntoIterator<Item = &'a Spoken>, logging: WithLogging) -> Json {
    let spoken: Vec<&Spoken> = of.into_iter().collect();
    let has = |name: &str| spoken.iter().any(|spoken| spoken.capabilities.get(name).is_some());
    let told = |name: &str, flag: &str| {
        let flags = spoken.iter().filter_map(|spoken| spoken.capabilities.get(name)?.get(flag)?.boolean());
        flags.into_iter().any(|flag| flag)
    };
    // Behind the door of all, a server that is down now may be up at the next call.
    let all = matches!(logging, WithLogging::No);
    let mut offered = Object::new();
    for (name, flags) in CAPABILITIES {
        if *name == "logging" && all || !(all || has(name)) {
            continue;
        }
        let flags = flags.iter().filter(|flag| all || told(name, flag));
        offered = offered.json(name, &flags.fold(Object::new(), |object, flag| object.bool(flag, true)).finish());
    }
    with_tasks(offered, &spoken).finish()
}

/// Calls may become tasks where those of a server may.
fn with_tasks(offered: Object, of: &[&Spoken]) -> Object {
    let nothing = Json::empty_object();
    let legacy = |spoken: &&Spoken| {
        let tasks = spoken.capabilities.get("tasks")?;
        let calls = tasks.get("requests")?.get("tools")?.get("call")?.is_object();
        (spoken.version.era() == Era::Legacy && calls).then(|| tasks.get("cancel").is_some())
    };
    if let Some(cancels) = of.iter().filter_map(legacy).reduce(|one, other| one || other) {
        let calls = Object::new().object("tools", |tools| tools.json("call", &nothing));
        let tasks = if cancels { Object::new().json("cancel", &nothing) } else { Object::new() };
        return offered.json("tasks", &tasks.json("requests", &calls.finish()).finish());
    }
    let modern = |spoken: &&Spoken| {
        let extensions = spoken.capabilities.get("extensions");
        spoken.version.era() == Era::Modern && extensions.is_some_and(|all| all.get(EXTENSION).is_some())
    };
    if of.iter().any(modern) { offered.object("extensions", |all| all.json(EXTENSION, &nothing)) } else { offered }
}

/// What is offered of servers, and of what changes they may tell.
const CAPABILITIES: &[(&str, &[&str])] = &[
    ("tools", &["listChanged"]),
    ("prompts", &["listChanged"]),
    ("resources", &["subscribe", "listChanged"]),
    ("completions", &[]),
    ("logging", &[]),
];
