//! A connection, whatever it speaks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::answer::Answer;
use super::http1::Http1;
use super::http2::Http2;
use super::request::Request;
use super::{Target, Transport};

/// A connection to a target.
pub(super) enum Connection {
    Http1(Box<Http1<TcpStream>>),
    Http2(Box<Http2>),
    Tls(Box<Http1<TlsStream<TcpStream>>>),
}

impl Connection {
    /// Connects; `number` says whose turn it is among the endpoints.
    ///
    /// # Errors
    /// When that fails.
    pub(super) async fn open(target: &Target, number: u32) -> anyhow::Result<Self> {
        let turn = usize::try_from(number)?.checked_rem(target.paths.len()).context("there is no endpoint")?;
        let path = target.paths.get(turn).context("there is no endpoint")?;
        let stream = TcpStream::connect(target.address).await.context("no connection")?;
        stream.set_nodelay(true)?;
        Ok(match &target.transport {
            Transport::Http1 => Self::Http1(Box::new(Http1::new(stream, target, path))),
            Transport::Http2 => Self::Http2(Box::new(Http2::new(stream, target, path).await?)),
            Transport::Tls(config) => {
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(ServerName::from(target.address.ip()), stream).await;
                Self::Tls(Box::new(Http1::new(stream.context("no TLS")?, target, path)))
            }
        })
    }

    pub(super) async fn send(&mut self, request: &Request<'_>) -> anyhow::Result<Answer> {
        let answer = async {
            match self {
                Self::Http1(connection) => connection.send(request).await,
                Self::Http2(connection) => connection.send(request).await,
                Self::Tls(connection) => connection.send(request).await,
            }
        };
        timeout(LIMIT, answer).await.context("no answer in time")?
    }
}

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);
