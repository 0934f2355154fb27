//! Where the time of a call goes: `perf` looks at the gateway while it is under load.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use sekisho_bench::load::{self, Asked, Stop, Text};
use sekisho_bench::site::{Stand, Upstream};
use sekisho_e2e::process::Running;

use crate::bars::{Bar, Limit};
use crate::blame::Blame;
use crate::compare::{Results, Turn, row};
use crate::options::Options;
use crate::stage::Stage;

/// Each gateway under the first payload and number of connections that were given.
pub(super) fn run(options: &Options, stage: &Stage, results: &mut Results) -> anyhow::Result<Vec<Bar>> {
    let tools = options.tools.unwrap_or(20);
    let upstream = Upstream::start(&["--tools", &tools.to_string(), "--page", "1000"])?;
    let mut bars = Vec::new();
    for stand in stage.sekishos(&upstream)? {
        let mut turn = Turn::new(options, &stand, "")?;
        let payload = options.payloads(&[256]).first().copied().unwrap_or_default();
        turn.plan.asked = match options.tools {
            Some(tools) => Asked::List { tools },
            None => Asked::Call { payload, text: Text::Plain },
        };
        turn.plan.connections = options.concurrencies(&[super::CONNECTIONS]).first().copied().unwrap_or(1);
        // Once undisturbed: what a call costs. Then under observation: how that is divided.
        let report = load::run(&turn.plan)?;
        let cost = report.cpu_us_per_call;
        results.add(row("profile", &turn, report))?;
        let blame = observe(options, &stand, &turn)?;
        bars.push(audit_bar(&stand.name, &blame, cost));
        print(&stand.name, &blame, cost);
        stand.forget()?;
    }
    Ok(bars)
}

fn observe(options: &Options, stand: &Stand, turn: &Turn<'_>) -> anyhow::Result<Blame> {
    let folder = tempfile::Builder::new().prefix("sekisho-bench-perf-").tempdir()?;
    let file = folder.path().join("perf.data");
    let seconds = options.turn()?.max(LEAST);
    let mut plan = turn.plan.clone();
    // It is still under load when `perf` looks away.
    plan.stop = Stop::After(seconds.saturating_add(START));
    let mut perf = perf(stand, &file, seconds)?;
    let report = load::run(&plan)?;
    anyhow::ensure!(report.errors == 0, "errors under observation: {:?}", report.error_kinds);
    let status = perf.wait(END)?;
    anyhow::ensure!(status.success(), "perf record: {status}; may this user look at other processes?");
    let blame = Blame::read(&stacks(&file, &folder.path().join("stacks"))?);
    anyhow::ensure!(blame.samples > 0, "perf saw nothing");
    Ok(blame)
}

fn stacks(file: &Path, into: &Path) -> anyhow::Result<String> {
    let mut command = Command::new("perf");
    command.args(["script", "--no-inline", "-F", "ip,sym", "-i"]).arg(file).stdin(Stdio::null());
    let mut script = Running::start(command.stdout(File::create(into)?).stderr(Stdio::null()))?;
    let status = script.wait(END)?;
    anyhow::ensure!(status.success(), "perf script: {status}");
    Ok(String::from_utf8_lossy(&fs::read(into)?).into_owned())
}

/// Stacks are unwound by the tables that every Rust binary has, so the one that is shipped can be looked at.
fn perf(stand: &Stand, file: &Path, seconds: Duration) -> anyhow::Result<Running> {
    let id = stand.target.pids.first().context("a gateway has a process")?;
    let mut command = Command::new("perf");
    command
        .args(["record", "--quiet", "-F", "499", "--call-graph", "dwarf,16384", "-p", &id.to_string(), "-o"])
        .arg(file)
        .args(["--", "sleep", &seconds.as_secs_f64().to_string()])
        .stdin(Stdio::null());
    Running::start(&mut command).context("`perf` is needed (Debian: linux-perf)")
}

fn audit_bar(name: &str, blame: &Blame, cost: f64) -> Bar {
    let audit = blame.owners.get("sekisho_audit").map(|share| part(share.all(), blame, cost));
    Bar::new(&format!("{name}: CPU of the two records of a call, us"), audit, Limit::AtMost(8.0))
}

fn print(name: &str, blame: &Blame, cost: f64) {
    let us = |samples: u32| format!("{:.1}", part(samples, blame, cost));
    println!("\n{name}: {cost:.1} us on a core for one call, {} samples\n", blame.samples);
    println!("| on behalf of | us a call | own code | libraries | kernel |\n|---|---|---|---|---|");
    let mut owners: Vec<_> = blame.owners.iter().collect();
    owners.sort_by_key(|(_, share)| std::cmp::Reverse(share.all()));
    for (owner, share) in owners {
        let parts = [share.all(), share.own, share.libraries, share.kernel].map(us);
        println!("| {owner} | {} |", parts.join(" | "));
    }
    println!("\n| done by | us a call |\n|---|---|");
    let mut doers: Vec<_> = blame.doers.iter().collect();
    doers.sort_by_key(|(_, samples)| std::cmp::Reverse(**samples));
    doers.iter().take(DOERS_MAX).for_each(|(doer, samples)| println!("| {doer} | {} |", us(**samples)));
    println!();
}

fn part(samples: u32, blame: &Blame, cost: f64) -> f64 {
    f64::from(samples) / f64::from(blame.samples.max(1)) * cost
}

const LEAST: Duration = Duration::from_millis(300);
const START: Duration = Duration::from_secs(1);
const END: Duration = Duration::from_secs(300);
const DOERS_MAX: usize = 30;
