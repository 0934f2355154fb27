//! An HTTP server for tests: each request is remembered, and answered as the test says.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sekisho_wire::Json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

use super::support::{Ground, json};
use crate::config::Config;
use crate::link::Way;
use crate::streamable::Site;

/// A request that came.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) verb: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Json>,
}

/// How it is answered.
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    parts: Vec<String>,
    holds: bool,
    after: Duration,
}

/// The server, and what came to it.
pub(crate) struct Listening {
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// How many answers were broken off by the client.
    pub(crate) left: watch::Sender<usize>,
}

impl Seen {
    pub(crate) fn method(&self) -> String {
        let method = self.body.as_ref().and_then(|body| body.get("method"));
        method.and_then(|method| method.string().map(|text| text.into_owned())).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> String {
        self.body
            .as_ref()
            .and_then(|body| body.get("id"))
            .map_or_else(|| "null".to_owned(), |id| id.as_str().to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A JSON answer to this request.
    pub(crate) fn result(&self, result: &str) -> Reply {
        Reply::json(200, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id()))
    }

    pub(crate) fn text(&self, words: &str) -> String {
        let result = format!(r#"{{"resultType":"complete","content":[{{"type":"text","text":"{words}"}}]}}"#);
        format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id())
    }

    /// What a well-behaved server of the legacy era says to the opening of a session.
    pub(crate) fn handshake(&self, session: &str) -> Option<Reply> {
        match (self.verb.as_str(), self.method().as_str()) {
            ("POST", "initialize") => {
                let result = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"t","version":"1"}}"#;
                Some(self.result(result).with("mcp-session-id", session))
            }
            ("POST", method) if method.starts_with("notifications/") => Some(Reply::status(202)),
            ("DELETE", _) => Some(Reply::status(200)),
            _ => None,
        }
    }
}

impl Reply {
    pub(crate) fn status(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), parts: Vec::new(), holds: false, after: Duration::ZERO }
    }

    pub(crate) fn json(status: u16, text: &str) -> Reply {
        Reply { parts: vec![text.to_owned()], ..Reply::status(status).with("content-type", "application/json") }
    }

    pub(crate) fn events(messages: &[String]) -> Reply {
        let parts = messages.iter().map(|message| format!("event: message\ndata: {message}\n\n")).collect();
        Reply { parts, ..Reply::status(200).with("content-type", "text/event-stream; charset=utf-8") }
    }

    /// An event stream as it is written.
    pub(crate) fn stream(text: &str) -> Reply {
        Reply { parts: vec![text.to_owned()], ..Reply::status(200).with("content-type", "text/event-stream") }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Reply {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// It takes so long until anything is said.
    pub(crate) fn late(mut self, after: Duration) -> Reply {
        self.after = after;
        self
    }

    /// The body does not end.
    pub(crate) fn hold(mut self) -> Reply {
        self.holds = true;
        self
    }
}

impl Listening {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Listening {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let left = watch::Sender::new(0);
        let site = Listening { url, seen: seen.clone(), left: left.clone() };
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, answer, left) = (seen.clone(), answer.clone(), left.clone());
                let service = service_fn(move |request| reply(request, seen.clone(), answer.clone(), left.clone()));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        site
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Verbs and methods of all requests so far, in order.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.verb, seen.method())).collect()
    }

    /// The way to this server, with one configured header.
    pub(crate) fn way(&self, ground: &Ground) -> Way {
        let client = sekisho_egress::Client::new(&sekisho_egress::Config::default(), ground.folder.path()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", "s3cret".parse().unwrap());
        Way::Http(Arc::new(Site {
            to: client.destination(&self.url).unwrap(),
            client: Arc::new(client),
            headers,
            config: Arc::new(Config { answer_bytes_max: 100_000, ..Config::default() }),
            notes: ground.notes.clone(),
            tasks: ground.tasks.clone(),
            ids: AtomicU64::new(1),
            sheets: Arc::default(),
        }))
    }
}

async fn reply(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<impl Fn(&Seen) -> Reply>,
    left: watch::Sender<usize>,
) -> Result<Response<Parts>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = (!body.is_empty()).then(|| json(std::str::from_utf8(&body).unwrap()));
    let this = Seen { verb: head.method.to_string(), headers: head.headers, body };
    seen.lock().unwrap().push(this.clone());
    let reply = answer(&this);
    tokio::time::sleep(reply.after).await;
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let parts = reply.parts.into_iter().map(Bytes::from).collect();
    Ok(response.body(Parts { parts, holds: reply.holds, left }).unwrap())
}

struct Parts {
    parts: VecDeque<Bytes>,
    holds: bool,
    left: watch::Sender<usize>,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.parts.pop_front() {
            Some(part) => Poll::Ready(Some(Ok(Frame::data(part)))),
            None if self.holds => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    // Without this, an empty body would be chunked.
    fn is_end_stream(&self) -> bool {
        self.parts.is_empty() && !self.holds
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if self.holds {
            self.left.send_modify(|left| *left += 1);
        }
    }
}
