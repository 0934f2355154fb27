//! What a server says, decoded and just as untrusted.

use crate::endpoint::ServerId;
use crate::id::Id;
use crate::input::{InputRequest, InputRequired};
use crate::json::{Json, Object};
use crate::listen::{Filter, Told};
use crate::message::ListKind;
use crate::sheet::Sheet;
use crate::task::Task;

/// One message of an exchange, on its way back to the client.
#[derive(Debug)]
pub enum FromServer {
    /// A notification that belongs to the exchange: progress or logging.
    Notice {
        /// Who sends it.
        server: ServerId,
        /// What.
        notice: ServerNotice,
    },
    /// A listening has begun: what of it each server will tell.
    Listening(Vec<(ServerId, Filter)>),
    /// Something that belongs to no call, told to whoever listens.
    Told {
        /// Who tells it.
        server: ServerId,
        /// What.
        told: Told,
    },
    /// A request of the server to the client (legacy).
    Ask(ServerRequest),
    /// A server takes a question of its own back (legacy, UT-06).
    Withdrawn {
        /// The server's own id of it.
        id: Id,
        /// Ours: the connection that it was asked on.
        connection: u64,
    },
    /// A page of a list, item by item, from one server or from many.
    Page(Items),
    /// A task: the end of this exchange, and how the work goes on.
    Task(Box<Task>),
    /// `input_required`: the end of this exchange, and not of the call (modern).
    Park(InputRequired),
    /// The end of the exchange.
    End(Answer),
}

impl FromServer {
    /// Whether nothing follows it in its exchange.
    #[must_use]
    pub fn ends(&self) -> bool {
        match self {
            FromServer::Page(_) | FromServer::Task(_) | FromServer::Park(_) | FromServer::End(_) => true,
            FromServer::Notice { .. }
            | FromServer::Listening(_)
            | FromServer::Told { .. }
            | FromServer::Ask(_)
            | FromServer::Withdrawn { .. } => false,
        }
    }
}

/// A notification of a server within an exchange.
#[derive(Debug)]
pub struct ServerNotice {
    /// Which one.
    pub kind: ServerNoticeKind,
    /// Its parameters, an object, as the server wrote them.
    pub params: Json,
}

/// The notifications of a server that belong to an exchange, or to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerNoticeKind {
    /// `notifications/progress`
    Progress,
    /// `notifications/message`
    Message,
    /// `notifications/elicitation/complete` (legacy): whatever the user did on a page is done (EL-10).
    Elicited,
}

impl ServerNoticeKind {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ServerNoticeKind::Progress => "notifications/progress",
            ServerNoticeKind::Message => "notifications/message",
            ServerNoticeKind::Elicited => "notifications/elicitation/complete",
        }
    }
}

/// A request of a server.
#[derive(Debug)]
pub struct ServerRequest {
    /// Its id: the server's own on the way from it, and ours on the way to the client.
    pub id: Id,
    /// What it asks.
    pub request: InputRequest,
    /// Where it was asked. Its answer goes there and nowhere else.
    pub on: AskedOn,
}

/// Where a question was asked; known to us alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AskedOn {
    /// The connection.
    pub connection: u64,
    /// It belongs to that connection, and not to the exchange that it was heard in: every call there may wait for its answer.
    pub standing: bool,
}

/// A page of a list.
#[derive(Debug)]
pub struct Items {
    /// Of what.
    pub kind: ListKind,
    /// Each item with the server that offers it, in a fixed order.
    pub entries: Vec<Item>,
    /// Where each server's page ended, for those that have more.
    pub next: Vec<(ServerId, Box<str>)>,
    /// Servers whose page is missing, and why in words for the operator.
    pub missing: Vec<(ServerId, Box<str>)>,
    /// `ttlMs` of the page: the smallest that a server gave (modern).
    pub ttl_ms: Option<u64>,
    /// `_meta` of the page; kept only where one server alone answers.
    pub meta: Option<Json>,
    /// The page as it was read, where one server alone gave it. `entries` are those of it in their order: some may be left out, none
    /// is added or changed.
    pub sheet: Option<Sheet>,
}

impl Items {
    /// The page as it was read, if all of it is here.
    #[must_use]
    pub fn whole(&self) -> Option<&Sheet> {
        self.sheet.as_ref().filter(|sheet| sheet.items().len() == self.entries.len())
    }
}

/// One item of a list.
#[derive(Debug, Clone)]
pub struct Item {
    /// Who offers it.
    pub server: ServerId,
    /// Its definition, an object, as the server wrote it.
    pub definition: Json,
}

/// How an exchange ends.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A result: any JSON object.
    Result(Json),
    /// An error.
    Error(RpcError),
}

/// A JSON-RPC error (BP-03).
#[derive(Debug, Clone)]
pub struct RpcError {
    /// The code.
    pub code: i64,
    /// The message, one sentence.
    pub message: Box<str>,
    /// `data`, if any.
    pub data: Option<Json>,
}

impl RpcError {
    /// The `error` member.
    #[must_use]
    pub fn written(&self) -> Json {
        let error = Object::new().integer("code", self.code).text("message", &self.message);
        error.maybe("data", self.data.as_ref()).finish()
    }

    /// Reads an `error` member.
    pub(crate) fn read(error: &Json) -> Option<RpcError> {
        let code = error.get("code")?.number()?.integer()?;
        Some(RpcError { code, message: error.get("message")?.string()?.into(), data: error.get("data") })
    }
}
