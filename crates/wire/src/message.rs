//! What a client says, decoded and still untrusted.

use crate::id::Id;
use crate::input::Resumed;
use crate::json::Json;
use crate::listen::Filter;
use crate::method::Method;
use crate::server::Answer;
use crate::task::TaskVerb;
use crate::version::{Era, Version};

/// One message from a client. Made by [`crate::front`] alone.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every message is a request; a box would cost each of them")]
pub enum Inbound {
    /// A request: it gets exactly one answer.
    Request(Request),
    /// A notification: it gets none.
    Notice(Notice),
    /// An answer to something a server asked (legacy only).
    Reply(Reply),
}

/// A request with one meaning: a known method and parameters of the right shape.
#[derive(Debug)]
pub struct Request {
    pub(crate) id: Id,
    pub(crate) spoken: Spoken,
    pub(crate) call: Call,
    pub(crate) meta: Meta,
    pub(crate) mirrored: Vec<Mirrored>,
    pub(crate) resumed: Option<Box<Resumed>>,
    pub(crate) task: Option<Json>,
}

/// The revision a message claims to speak, and how it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// Modern: header and body agree on it.
    Modern(Version),
    /// Legacy, with the version header.
    Legacy(Version),
    /// Legacy, no header: the session's version, or [`Version::ASSUMED`].
    LegacyUnsaid,
}

impl Spoken {
    /// The era it belongs to.
    #[must_use]
    pub fn era(self) -> Era {
        match self {
            Spoken::Modern(_) => Era::Modern,
            Spoken::Legacy(_) | Spoken::LegacyUnsaid => Era::Legacy,
        }
    }
}

/// One `Mcp-Param-*` header, its value decoded; checked against the tool's schema once that is known (HT-24).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    /// The part of the header's name behind `Mcp-Param-`, in lower case.
    pub name: Box<str>,
    /// Its value, Base64 sentinel decoded.
    pub value: Box<str>,
}

/// What a request asks for.
#[derive(Debug, Clone)]
pub enum Call {
    /// `initialize`
    Initialize(Handshake),
    /// `server/discover`
    Discover,
    /// `ping`
    Ping,
    /// `tools/list`, `prompts/list`, `resources/list`, `resources/templates/list`
    List {
        /// Of what.
        kind: ListKind,
        /// Where the last page ended. An empty string is a cursor too.
        cursor: Option<Box<str>>,
    },
    /// `tools/call`
    CallTool {
        /// As the client wrote it.
        name: Box<str>,
        /// An object; `{}` where the client sent none.
        arguments: Json,
    },
    /// `resources/read`
    ReadResource {
        /// As the client wrote it.
        uri: Box<str>,
    },
    /// `prompts/get`
    GetPrompt {
        /// As the client wrote it.
        name: Box<str>,
        /// An object of strings; `{}` where the client sent none.
        arguments: Json,
    },
    /// `completion/complete`
    Complete {
        /// What is completed.
        reference: Reference,
        /// The object `{name, value}`.
        argument: Json,
        /// The object `{arguments}`, if sent.
        context: Option<Json>,
    },
    /// `logging/setLevel`
    SetLogLevel {
        /// One of the eight levels of RFC 5424.
        level: Box<str>,
    },
    /// `subscriptions/listen`; in the legacy era, a GET.
    Listen {
        /// What is wanted.
        filter: Filter,
    },
    /// `resources/subscribe`
    Subscribe {
        /// As the client wrote it.
        uri: Box<str>,
    },
    /// `resources/unsubscribe`
    Unsubscribe {
        /// As the client wrote it.
        uri: Box<str>,
    },
    /// `tasks/get`, `tasks/result`, `tasks/update`, `tasks/cancel`
    Task {
        /// Which of them.
        verb: TaskVerb,
        /// The task, as the client names it.
        id: Box<str>,
    },
}

/// What a client says of itself in `initialize`. Self-asserted: no decision rests on it (BP-14).
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The asked revision, as written; it may be none that is known.
    pub version: Box<str>,
    /// `capabilities`, an object.
    pub capabilities: Json,
    /// `clientInfo`, an object with a name and a version.
    pub client: Json,
}

/// The four things that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListKind {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    Templates,
}

impl ListKind {
    /// All four.
    pub const ALL: [ListKind; 4] = [ListKind::Tools, ListKind::Prompts, ListKind::Resources, ListKind::Templates];

    /// The method that lists it.
    #[must_use]
    pub fn method(self) -> Method {
        match self {
            ListKind::Tools => Method::ListTools,
            ListKind::Prompts => Method::ListPrompts,
            ListKind::Resources => Method::ListResources,
            ListKind::Templates => Method::ListTemplates,
        }
    }

    /// The member of the result that holds the items.
    #[must_use]
    pub fn member(self) -> &'static str {
        match self {
            ListKind::Tools => "tools",
            ListKind::Prompts => "prompts",
            ListKind::Resources => "resources",
            ListKind::Templates => "resourceTemplates",
        }
    }

    /// The member of an item that names it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            ListKind::Tools | ListKind::Prompts => "name",
            ListKind::Resources => "uri",
            ListKind::Templates => "uriTemplate",
        }
    }
}

/// What `completion/complete` refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `ref/prompt`
    Prompt {
        /// As the client wrote it.
        name: Box<str>,
    },
    /// `ref/resource`
    Resource {
        /// A URI or URI template, as the client wrote it.
        uri: Box<str>,
    },
}

/// The members of `_meta` that have a meaning here, and the vendors' own ones untouched.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    /// `progressToken`: a string or an integer.
    pub progress: Option<Id>,
    /// `io.modelcontextprotocol/clientInfo`
    pub client: Option<Json>,
    /// `io.modelcontextprotocol/clientCapabilities`
    pub capabilities: Option<Json>,
    /// `io.modelcontextprotocol/logLevel`
    pub log_level: Option<Box<str>>,
    /// `traceparent`, `tracestate`, `baggage`, each only if well formed (BP-17), and keys under vendors' prefixes.
    pub carried: Vec<(Box<str>, Json)>,
}

/// A notification from a client.
#[derive(Debug)]
pub struct Notice {
    pub(crate) spoken: Spoken,
    pub(crate) kind: NoticeKind,
}

/// The notifications a client may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeKind {
    /// `notifications/initialized` (legacy)
    Initialized,
    /// `notifications/cancelled`
    Cancelled {
        /// The request that is no longer wanted.
        request: Id,
    },
    /// `notifications/roots/list_changed` (legacy)
    RootsChanged,
    /// `notifications/progress` (legacy), about a server's question.
    Progress {
        /// The question, by the token that came with it.
        token: Id,
        /// `progress`, and `total` where it is there.
        said: Json,
    },
}

impl NoticeKind {
    /// Its name on the wire, which is also its Cedar action.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            NoticeKind::Initialized => "notifications/initialized",
            NoticeKind::Cancelled { .. } => "notifications/cancelled",
            NoticeKind::RootsChanged => "notifications/roots/list_changed",
            NoticeKind::Progress { .. } => "notifications/progress",
        }
    }
}

/// An answer of the client to a server's request (legacy).
#[derive(Debug)]
pub struct Reply {
    pub(crate) id: Id,
    pub(crate) spoken: Spoken,
    pub(crate) answer: Answer,
}

impl Inbound {
    /// The revision it claims to speak.
    #[must_use]
    pub fn spoken(&self) -> Spoken {
        match self {
            Inbound::Request(request) => request.spoken,
            Inbound::Notice(notice) => notice.spoken,
            Inbound::Reply(reply) => reply.spoken,
        }
    }

    /// The name of its method; `reply` for an answer.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Inbound::Request(request) => request.call.method().as_str(),
            Inbound::Notice(notice) => notice.kind.as_str(),
            Inbound::Reply(_) => "reply",
        }
    }

    /// Its request id, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&Id> {
        match self {
            Inbound::Request(request) => Some(&request.id),
            // The id of a reply is that of another's request.
            Inbound::Notice(_) | Inbound::Reply(_) => None,
        }
    }

    /// What a GET asks for (legacy): whatever the servers tell the session. `spoken`: the version header of the GET.
    #[must_use]
    pub fn listening(spoken: Spoken) -> Inbound {
        let filter =
            Filter { tools: true, prompts: true, resources: true, uris: Vec::new(), session: true, tasks: false };
        Inbound::Request(Request {
            // Nothing answers it.
            id: Id::Integer(0),
            spoken,
            call: Call::Listen { filter },
            meta: Meta::default(),
            mirrored: Vec::new(),
            resumed: None,
            task: None,
        })
    }

    /// A list that the gateway asks for on a caller's behalf, in the revision that this message speaks: from its start, and
    /// with nothing of the client's `_meta`.
    #[must_use]
    pub fn listing(&self, kind: ListKind) -> Inbound {
        Inbound::Request(Request {
            // No answer to it reaches the client: the client's ids are not in its way.
            id: Id::Integer(0),
            spoken: self.spoken(),
            call: Call::List { kind, cursor: None },
            meta: Meta::default(),
            mirrored: Vec::new(),
            resumed: None,
            task: None,
        })
    }
}

impl Request {
    /// The id that its answer carries.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The revision it claims to speak.
    #[must_use]
    pub fn spoken(&self) -> Spoken {
        self.spoken
    }

    /// What it asks for.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// What its `_meta` says.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Its `Mcp-Param-*` headers.
    #[must_use]
    pub fn mirrored(&self) -> &[Mirrored] {
        &self.mirrored
    }

    /// `task` of a `tools/call`, an object: the client wants to ask for the result later (legacy, T5-01).
    #[must_use]
    pub fn task(&self) -> Option<&Json> {
        self.task.as_ref()
    }

    /// What it brings, if it comes again after `input_required` or answers what a task requires (modern).
    #[must_use]
    pub fn resumed(&self) -> Option<&Resumed> {
        self.resumed.as_deref()
    }
}

impl Reply {
    /// The id of the request that it answers.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// What it says.
    #[must_use]
    pub fn answer(&self) -> &Answer {
        &self.answer
    }
}

impl Notice {
    /// Which one.
    #[must_use]
    pub fn kind(&self) -> &NoticeKind {
        &self.kind
    }
}

/// What a call sets at a server for as long as its session lasts (legacy).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sets<'a> {
    /// Log messages from this level on.
    LogLevel(&'a str),
    /// A resource whose changes are told.
    Subscription(&'a str),
    /// One whose changes are not told any more.
    NoSubscription(&'a str),
}

impl Call {
    /// What it sets, if it does.
    #[must_use]
    pub fn sets(&self) -> Option<Sets<'_>> {
        if let Call::SetLogLevel { level } = self {
            Some(Sets::LogLevel(level))
        } else if let Call::Subscribe { uri } = self {
            Some(Sets::Subscription(uri))
        } else if let Call::Unsubscribe { uri } = self {
            Some(Sets::NoSubscription(uri))
        } else {
            None
        }
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Call::Initialize(_) => Method::Initialize,
            Call::Discover => Method::Discover,
            Call::Ping => Method::Ping,
            Call::List { kind, .. } => kind.method(),
            Call::CallTool { .. } => Method::CallTool,
            Call::ReadResource { .. } => Method::ReadResource,
            Call::GetPrompt { .. } => Method::GetPrompt,
            Call::Complete { .. } => Method::Complete,
            Call::SetLogLevel { .. } => Method::SetLogLevel,
            Call::Listen { .. } => Method::Listen,
            Call::Subscribe { .. } => Method::Subscribe,
            Call::Unsubscribe { .. } => Method::Unsubscribe,
            Call::Task { verb, .. } => verb.method(),
        }
    }
}
