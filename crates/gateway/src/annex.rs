//! Paths of the public listener that another room answers, which this crate does not know (the OAuth facade). What it answers is given only
//! once everything else that it says is done: what is revoked is in force, and what happened is in the record.

use std::net::IpAddr;
use std::pin::Pin;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use sekisho_audit::Event;
use sekisho_identity::Revocation;

/// Whoever answers there.
pub trait Annex: Send + Sync {
    /// What a path is for, if it is one of these.
    fn kind(&self, path: &str) -> Option<AnnexKind>;

    /// Answers a request at one of them.
    fn answer(&self, knock: AnnexKnock) -> Pin<Box<dyn Future<Output = AnnexReply> + Send + '_>>;
}

/// What a path of an annex is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnexKind {
    /// Browsers: it matters which page made them come (8.4).
    Page,
    /// Programs: they bring nothing by themselves, so any page may make one come.
    Api,
}

/// A request at a path of an annex.
#[derive(Debug)]
pub struct AnnexKnock {
    /// How.
    pub method: Method,
    /// Where.
    pub uri: Uri,
    /// With which headers.
    pub headers: HeaderMap,
    /// With which body; at most 64 KiB.
    pub body: Bytes,
    /// From which address.
    pub from: Option<IpAddr>,
    /// The id that the record knows it by.
    pub request: Box<str>,
    /// When.
    pub now: SystemTime,
}

/// What comes of it.
#[derive(Debug)]
pub struct AnnexReply {
    /// The answer.
    pub response: Response<Bytes>,
    /// What has to be in the record before it is given.
    pub events: Vec<Event<'static>>,
    /// What has to be revoked before it is given.
    pub revocations: Vec<Revocation>,
}
