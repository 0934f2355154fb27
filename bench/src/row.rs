//! One line of figures.

use serde::Serialize;

use crate::load::{Asked, Plan, Report, Transport};

/// What one target did in one round.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The load, by its name on the command line.
    pub load: &'static str,
    /// What differs from row to row of a load beyond the columns below, such as `tools=5000`; empty where nothing does.
    pub variant: String,
    /// Which turn it was, from 0.
    pub round: u32,
    /// `direct`, `nginx`, or the name of a gateway.
    pub target: String,
    /// How the target is set up: `corridor` is every check with the policies of the corridor.
    pub profile: &'static str,
    /// Which checks it makes: `all` or `none`.
    pub checks: &'static str,
    /// `tools/call` or `tools/list`; other words for what is no call.
    pub method: &'static str,
    /// Length of the message in each call, in bytes.
    pub payload: u64,
    /// Connections, each with one call under way.
    pub concurrency: u32,
    /// The revision that is spoken.
    pub protocol: &'static str,
    /// `http/1.1`, `h2c` or `tls`.
    pub http: &'static str,
    /// What was found.
    #[serde(flatten)]
    pub report: Report,
}

impl Row {
    /// The row of a plan that was run.
    #[must_use]
    pub fn new(load: &'static str, plan: &Plan, report: Report) -> Self {
        let (method, payload) = match plan.asked {
            Asked::Call { payload, .. } => ("tools/call", payload),
            Asked::List { .. } => ("tools/list", 0),
        };
        let http = match plan.target.transport {
            Transport::Http1 => "http/1.1",
            Transport::Http2 => "h2c",
            Transport::Tls(_) => "tls",
        };
        Self {
            load,
            variant: String::new(),
            round: 0,
            target: String::new(),
            profile: "",
            checks: "",
            method,
            payload: u64::try_from(payload).unwrap_or(u64::MAX),
            concurrency: plan.connections,
            protocol: plan.era.version(),
            http,
            report,
        }
    }

    /// The row as one line of JSON.
    ///
    /// # Errors
    /// Never in practice: every field can be written.
    pub fn line(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}
