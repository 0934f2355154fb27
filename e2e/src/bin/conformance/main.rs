//! The public MCP conformance suite, asked twice: the everything server directly, and through the gateway. Then the other way round:
//! the suite plays servers, which the official Rust client uses directly and through the gateway.
//!
//! The two runs are compared check by check. The gateway may be better than the server behind it, never worse, except where
//! `e2e/conformance/out-of-reach.toml` says why; an entry there that is no longer true fails the run as well.

mod client;
mod outcome;
mod reach;
mod report;
mod suite;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use sekisho_e2e::client::Era;
use sekisho_e2e::fixture::Everything;
use sekisho_e2e::gateway::{Approved, Gateway, Setup, http_server};
use sekisho_e2e::shim::{Shim, relay};

use crate::client::Leg;
use crate::outcome::Outcomes;
use crate::reach::OutOfReach;
use crate::report::Report;

/// Compares the conformance of a server with that of the gateway in front of it.
#[derive(Debug, Parser)]
struct Arguments {
    /// Writes one row per check into this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Only asks the server directly: shows that the fixture is in order.
    #[arg(long)]
    direct_only: bool,
    /// Is the client that the suite asks for, with this between the two.
    #[arg(long, hide = true, requires = "url")]
    as_client: Option<Leg>,
    /// Where the suite plays a server.
    #[arg(hide = true)]
    url: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let (Some(leg), Some(url)) = (arguments.as_client, &arguments.url) {
        return client::run(leg, url);
    }
    let out_of_reach = OutOfReach::read()?;
    let mut report = Report::default();
    for revision in REVISIONS {
        compare(&mut report, &out_of_reach, revision, &arguments)?;
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, report.json()?).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    print!("{report}");
    anyhow::ensure!(report.is_good(), "the conformance run found what it should not find");
    Ok(())
}

fn compare(
    report: &mut Report,
    out_of_reach: &OutOfReach,
    revision: &str,
    arguments: &Arguments,
) -> anyhow::Result<()> {
    let strict = Everything::start(&[])?;
    let mut runs = vec![ALL.to_vec()];
    if revision == EXTENDED {
        runs.extend(TASKS.map(|scenario| vec!["--force", "--scenario", scenario]));
    }
    let mut direct = run_all(strict.url(), revision, &runs)?;
    report.direct(revision, &direct);
    if arguments.direct_only {
        return Ok(());
    }
    let mut through = through_gateway(strict.url(), revision, &runs)?;
    for scenario in CLIENTS.iter().filter(|(_, revisions)| revisions.contains(&revision)).map(|(scenario, _)| *scenario)
    {
        direct.0.extend(suite::run_client(Leg::Direct, revision, scenario)?.0);
        through.0.extend(suite::run_client(Leg::Through, revision, scenario)?.0);
    }
    report.compare(revision, &direct, &through, out_of_reach);

    // A server that checks nothing: here the gateway has to be better.
    let careless = Everything::start(&["--lax"])?;
    for scenario in CARELESS.iter().filter(|(_, since)| *since <= revision).map(|(scenario, _)| *scenario) {
        let runs = [vec!["--scenario", scenario]];
        let direct = run_all(careless.url(), revision, &runs)?;
        let through = through_gateway(careless.url(), revision, &runs)?;
        report.improve(revision, &direct, &through);
    }
    Ok(())
}

/// Starts a gateway in front of `upstream`, with a relay that brings the token, and asks that.
fn through_gateway(upstream: &str, revision: &str, runs: &[Vec<&str>]) -> anyhow::Result<Outcomes> {
    let (shim, listener) = Shim::bind()?;
    let shim_address = shim.address();
    // The suite knows the relay's address only, so that is what Host and Origin say.
    let names = format!("allowed_hosts = [\"{shim_address}\"]\nallowed_origins = [\"http://{shim_address}\"]\n");
    let setup =
        Setup::open(&http_server(SERVER, upstream)).approving(Approved::Locked).with_gateway(&names).with_more(LIMITS);
    let gateway = Gateway::start(&setup)?;
    gateway.wait_for_servers(&[SERVER])?;
    for era in [Era::Legacy, Era::Modern] {
        gateway.client(SERVER, era)?;
    }
    let endpoint = gateway.endpoint(SERVER);
    relay(listener, gateway.address(), gateway.token("conformance", &endpoint)?);
    run_all(&format!("http://{shim_address}/s/{SERVER}/mcp"), revision, runs).with_context(|| gateway.log())
}

fn run_all(url: &str, revision: &str, runs: &[Vec<&str>]) -> anyhow::Result<Outcomes> {
    let mut all = Outcomes::default();
    for run in runs {
        all.0.extend(suite::run(url, revision, run)?.0);
    }
    Ok(all)
}

/// The revisions that are compared.
const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];

/// What the suite itself takes for all of a revision.
const ALL: [&str; 2] = ["--suite", "all"];

/// The revision that has extensions.
const EXTENDED: &str = "2026-07-28";

/// The scenarios of the extension for tasks, which belong to no revision. The one about notifications asks nothing yet.
const TASKS: [&str; 9] = [
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
];

/// What the suite wants of clients, but for authorization, and the revisions that have it.
const CLIENTS: [(&str, &[&str]); 11] = [
    ("initialize", &["2025-11-25"]),
    ("tools_call", &REVISIONS),
    ("elicitation-sep1034-client-defaults", &["2025-11-25"]),
    ("sse-retry", &["2025-11-25"]),
    ("json-schema-2020-12-preservation", &REVISIONS),
    ("request-metadata", &[EXTENDED]),
    ("http-standard-headers", &[EXTENDED]),
    ("http-custom-headers", &[EXTENDED]),
    ("http-invalid-tool-headers", &[EXTENDED]),
    ("json-schema-ref-no-deref", &[EXTENDED]),
    ("sep-2322-client-request-state", &[EXTENDED]),
];

/// The name of the server in the gateway's configuration.
const SERVER: &str = "everything";

/// Scenarios in which a careless server fails and the gateway must not, with the revision they came with.
const CARELESS: [(&str, &str); 3] = [
    ("dns-rebinding-protection", "2025-11-25"),
    ("http-header-validation", "2026-07-28"),
    ("http-custom-header-server-validation", "2026-07-28"),
];

/// The suite asks hundreds of times in a few seconds; limits are tested elsewhere.
const LIMITS: &str = "[limits]\nrequests_per_minute = 60000\nburst = 10000\n";
