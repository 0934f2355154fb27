//! The HTTP side: `rmcp`'s service behind a socket, strict or careless.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::server::Everything;

/// How much the server believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checks {
    /// Host and Origin must be local, and headers must say what the body says.
    Strict,
    /// Anything goes: the servers that a gateway has to make safe.
    Lax,
}

/// Serves until the process is ended.
pub(crate) async fn serve(server: Everything, address: SocketAddr, checks: Checks) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/mcp", listener.local_addr()?);
    let service = service(server, checks);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(service.clone(), request, checks));
            // A connection that a client breaks is its own affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .half_close(false)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

type Service = StreamableHttpService<Everything, LocalSessionManager>;

fn service(server: Everything, checks: Checks) -> Service {
    let config =
        StreamableHttpServerConfig::default().with_json_response(true).with_sse_retry(Some(Duration::from_millis(500)));
    let config = match checks {
        Checks::Strict => config.with_allowed_origins(LOCAL_ORIGINS),
        Checks::Lax => config.disable_allowed_hosts().disable_allowed_origins(),
    };
    StreamableHttpService::new(move || Ok(server.another()), Arc::new(LocalSessionManager::default()), config)
}

async fn answer(
    service: Service,
    request: Request<Incoming>,
    checks: Checks,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    if request.uri().path() != "/mcp" {
        let mut response = Response::new(Full::new(Bytes::from_static(b"only /mcp is here\n")).boxed());
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        return Ok(response);
    }
    if checks == Checks::Strict {
        return Ok(service.handle(request).await);
    }
    let (mut head, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
        return Ok(Response::new(Full::new(Bytes::new()).boxed()));
    };
    believe_the_body(&mut head.headers, &body);
    Ok(service.handle(Request::from_parts(head, Full::new(body))).await)
}

/// Writes the headers that the body implies over the ones that came, which is what a server that
/// never looks at them amounts to.
fn believe_the_body(headers: &mut HeaderMap, body: &[u8]) {
    #[expect(clippy::disallowed_methods, reason = "a fixture that is meant to be careless")]
    let Ok(message) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let mut set = |name: &'static str, value: Option<&Value>| {
        if let Some(Ok(value)) = value.and_then(Value::as_str).map(HeaderValue::from_str) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("mcp-method", message.get("method"));
    let name = message.pointer("/params/name").or_else(|| message.pointer("/params/uri"));
    set("mcp-name", name);
    set("mcp-protocol-version", message.pointer("/params/_meta/io.modelcontextprotocol~1protocolVersion"));
    set("mcp-param-region", message.pointer("/params/arguments/region"));
}

/// Where a browser on this machine may come from.
const LOCAL_ORIGINS: [&str; 3] = ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"];
