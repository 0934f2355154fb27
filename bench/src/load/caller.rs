//! One connection with its session, and the calls it makes.

use std::rc::Rc;

use anyhow::{Context as _, ensure};
use sekisho_e2e::client::Era;

use super::answer::Answer;
use super::connection::Connection;
use super::request::{self, Body, Fields, Request};
use super::{Asked, Plan, Sessions, Tokens};

/// Whoever calls over one connection.
pub(super) struct Caller {
    plan: Rc<Plan>,
    number: u32,
    connection: Option<Connection>,
    session: Option<Fields>,
    body: Body,
    expected: Vec<u8>,
    calls: u64,
}

impl Caller {
    /// Connects, and opens a session where calls need one.
    ///
    /// # Errors
    /// When that fails.
    pub(super) async fn open(plan: &Rc<Plan>, number: u32) -> anyhow::Result<Self> {
        let (body, expected) = match plan.asked {
            Asked::Call { payload, text } => request::call(payload, text, plan.era),
            Asked::List { .. } => (request::list(None, plan.era), Vec::new()),
        };
        let mut caller =
            Self { plan: Rc::clone(plan), number, connection: None, session: None, body, expected, calls: 0 };
        caller.connection = Some(Connection::open(&plan.target, number).await?);
        if plan.sessions == Sessions::Kept {
            caller.session = Some(caller.begin().await?);
        }
        Ok(caller)
    }

    /// One call, with its session where each has its own. After a failure the next one begins on a new connection.
    ///
    /// # Errors
    /// What went wrong.
    pub(super) async fn exchange(&mut self) -> anyhow::Result<()> {
        let done = self.attempt().await;
        if done.is_err() {
            self.connection = None;
            self.session = None;
        }
        done
    }

    /// Opens a session, makes one call in it, and leaves it open.
    ///
    /// # Errors
    /// When either is refused.
    pub(super) async fn use_another_session(&mut self) -> anyhow::Result<()> {
        let fields = self.begin().await?;
        self.call(&fields).await
    }

    /// Ends what is still open.
    ///
    /// # Errors
    /// When that is refused.
    pub(super) async fn leave(&mut self) -> anyhow::Result<()> {
        match self.session.take() {
            Some(fields) if self.connection.is_some() => self.end(&fields).await,
            Some(_) | None => Ok(()),
        }
    }

    async fn attempt(&mut self) -> anyhow::Result<()> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(&self.plan.target, self.number).await?);
        }
        let fields = match self.session.take() {
            Some(fields) => fields,
            None => self.begin().await?,
        };
        self.call(&fields).await?;
        match self.plan.sessions {
            Sessions::Kept => self.session = Some(fields),
            Sessions::PerCall => self.end(&fields).await?,
        }
        Ok(())
    }

    async fn call(&mut self, fields: &Fields) -> anyhow::Result<()> {
        match self.plan.asked {
            Asked::Call { .. } => {
                let id = self.next_id();
                let answer = self.send("POST", fields, Sent::Call(id)).await?;
                answer.check_echo(id, &self.expected)
            }
            Asked::List { tools } => self.list(fields, tools).await,
        }
    }

    /// All pages of the list.
    async fn list(&mut self, fields: &Fields, tools: usize) -> anyhow::Result<()> {
        let id = self.next_id();
        let answer = self.send("POST", fields, Sent::Call(id)).await?;
        let (mut found, mut cursor) = answer.check_page(id)?;
        for _ in 0..PAGES_MAX {
            let Some(from) = cursor else { break };
            let (body, id) = (request::list(Some(&from), self.plan.era), self.next_id());
            let answer = self.send("POST", fields, Sent::Other(&body, Some(id))).await?;
            let (more, next) = answer.check_page(id)?;
            found = found.saturating_add(more);
            cursor = next;
        }
        ensure!(found == tools, "{found} tools in place of {tools}");
        Ok(())
    }

    /// The fields of a session, which is opened first where the era has some.
    async fn begin(&mut self) -> anyhow::Result<Fields> {
        let era = self.plan.era;
        if era == Era::Modern {
            let (method, tool) = match self.plan.asked {
                Asked::Call { .. } => ("tools/call", Some(request::TOOL)),
                Asked::List { .. } => ("tools/list", None),
            };
            return Ok(Fields::new(era, None).mirroring(method, tool));
        }
        let id = self.next_id();
        let answer = self.send("POST", &Fields::new(era, None), Sent::Other(&request::opening(era), Some(id))).await?;
        ensure!(answer.status == 200, "initialize: {}", answer.shown());
        let session = answer.session.with_context(|| "initialize: no session")?;
        let fields = Fields::new(era, Some(&session));
        let answer = self.send("POST", &fields, Sent::Other(&request::opened(), None)).await?;
        ensure!(answer.status == 202, "notifications/initialized: {}", answer.shown());
        Ok(fields)
    }

    async fn end(&mut self, fields: &Fields) -> anyhow::Result<()> {
        if self.plan.era == Era::Modern {
            return Ok(());
        }
        let answer = self.send("DELETE", fields, Sent::Other(&Body::fixed(""), None)).await?;
        ensure!((200..300).contains(&answer.status), "DELETE: {}", answer.shown());
        Ok(())
    }

    async fn send(&mut self, method: &'static str, fields: &Fields, sent: Sent<'_>) -> anyhow::Result<Answer> {
        let (body, id) = match sent {
            Sent::Call(id) => (&self.body, Some(id)),
            Sent::Other(body, id) => (body, id),
        };
        let request = Request { method, fields, token: token(&self.plan, self.number, self.calls)?, body, id };
        let connection = self.connection.as_mut().context("there is no connection")?;
        let answer = connection.send(&request).await?;
        if answer.is_last {
            self.connection = None;
        }
        Ok(answer)
    }

    /// Ids that no other connection uses, so that a proxy that mixes up two answers is found out.
    fn next_id(&mut self) -> u64 {
        self.calls = self.calls.saturating_add(1);
        u64::from(self.number).saturating_add(1).saturating_mul(IDS).saturating_add(self.calls)
    }
}

/// What a request carries.
enum Sent<'a> {
    /// The call of the plan, under this id.
    Call(u64),
    /// Anything else.
    Other(&'a Body, Option<u64>),
}

fn token(plan: &Plan, number: u32, calls: u64) -> anyhow::Result<&str> {
    let (tokens, turn) = match &plan.tokens {
        Tokens::PerConnection(tokens) => (tokens, u64::from(number)),
        // Connections start apart from each other, and none comes back to a token before all had their turn.
        Tokens::PerCall(tokens) => {
            (tokens, calls.saturating_mul(u64::from(plan.connections)).saturating_add(u64::from(number)))
        }
    };
    let at = usize::try_from(turn)?.checked_rem(tokens.len()).context("there is no token")?;
    tokens.get(at).map(String::as_str).context("there is no token")
}

const PAGES_MAX: usize = 100;

/// Ids of one connection.
const IDS: u64 = 1_000_000_000;
