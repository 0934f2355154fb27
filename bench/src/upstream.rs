//! A fast MCP server over Streamable HTTP: stateful sessions (2025-11-25) and none (2026-07-28).
//!
//! It is strict, so that a broken proxy shows as errors: a wrong or missing session, header or argument is refused. It is cheap, so
//! that it is not what is measured: one thread, one pass over each message, the payload echoed as the bytes it came as.

mod answer;
mod front;
mod message;
mod tools;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What the server offers, and how it answers.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// How many tools there are: `echo`, then `tool-0001` and so on. All of them say their `message` again.
    pub tools: usize,
    /// How many tools a page of the list has; 0: all are on one page.
    pub page: usize,
    /// How requests are answered.
    pub answers: Answers,
    /// How long a call takes.
    pub delay: Duration,
}

/// How requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// `application/json`, with a length.
    Json,
    /// `text/event-stream`, chunked.
    Stream,
}

/// Serves forever, on the thread that runs this: it must be within a `LocalSet`.
///
/// # Errors
/// When connections can no longer be accepted.
pub async fn serve(listener: TcpListener, offer: Offer) -> anyhow::Result<()> {
    let server = Rc::new(Server {
        offer,
        pages: tools::pages(offer.tools, offer.page),
        sessions: RefCell::new(HashSet::new()),
        opened: Cell::new(0),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let server = Rc::clone(&server);
        tokio::task::spawn_local(async move {
            let answer = service_fn(|request| front::answer(&server, request));
            // A connection that a client breaks is its own affair.
            let _ = http1::Builder::new().half_close(false).serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// The server's state, of one thread.
struct Server {
    offer: Offer,
    /// The list, as the inside of `"tools":[…]`, page by page.
    pages: Vec<Bytes>,
    sessions: RefCell<HashSet<String>>,
    opened: Cell<u64>,
}

impl Server {
    /// A session; none where there are too many.
    fn open(&self) -> Option<String> {
        let mut sessions = self.sessions.borrow_mut();
        let number = self.opened.get().checked_add(1)?;
        self.opened.set(number);
        // A fixture that guards nothing: that an id cannot be met by chance is enough.
        let id = format!("bench-{:016x}-{number:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (sessions.len() < SESSIONS_MAX && sessions.insert(id.clone())).then_some(id)
    }

    fn knows(&self, session: &str) -> bool {
        self.sessions.borrow().contains(session)
    }

    fn end(&self, session: &str) -> bool {
        self.sessions.borrow_mut().remove(session)
    }

    fn has_tool(&self, name: &str) -> bool {
        tools::number(name).is_some_and(|number| number < self.offer.tools)
    }
}

/// Most sessions at once.
const SESSIONS_MAX: usize = 1_000_000;
