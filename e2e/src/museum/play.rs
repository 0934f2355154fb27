//! An exhibit, played: directly against its servers, and through the gateway.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::client::Era;
use crate::gateway::{Approved, Gateway, Setup};
use crate::issuer::Issuer;
use crate::{place, process};

use super::agent::{Agent, Exact, PATH, Way};
use super::audit;
use super::manifest::{Call, Exhibit, List, Obey, Raw, Step};
use super::row::Row;
use super::stage::{Part, Stage};

/// Plays an exhibit in one era: the attack and its twin, each directly and through the gateway.
#[must_use]
pub fn play(exhibit: &Exhibit, era: Era) -> Row {
    let told = |played: anyhow::Result<()>| played.map_err(|error| format!("{error:#}"));
    let stopped = succeeds_alone(exhibit, era).and_then(|()| is_stopped(exhibit, era));
    Row {
        id: exhibit.manifest.id.clone(),
        era,
        rule: exhibit.manifest.rule.clone(),
        stopped: told(stopped),
        passed: told(twin_passes(exhibit, era)),
    }
}

/// Plays the attack with nothing in between: whatever does not succeed then proves nothing.
///
/// # Errors
/// When a strike does not reach its server.
pub fn succeeds_alone(exhibit: &Exhibit, era: Era) -> anyhow::Result<()> {
    let mut stage = Stage::set(exhibit, Part::Attack)?;
    stage.swap()?;
    let mut agent = Agent::new(era, Way::Nothing, &stage);
    for (at, step) in exhibit.manifest.attack.iter().enumerate().filter(|(_, step)| step.is_of(era)) {
        let before = canaries(exhibit, &stage)?;
        act(&mut agent, &stage, step).with_context(|| named(at, "without the gateway"))?;
        let after = canaries(exhibit, &stage)?;
        anyhow::ensure!(
            !step.strikes() || after > before,
            "{}: the canary reaches no server, so the exhibit proves nothing",
            named(at, "without the gateway")
        );
    }
    Ok(())
}

/// What an agent does when nothing is in its way.
fn act(agent: &mut Agent<'_>, stage: &Stage, step: &Step) -> anyhow::Result<()> {
    match step {
        Step::List(List { by, shows, hides }) => {
            let offered = agent.list(by)?;
            for name in shows.iter().chain(hides) {
                anyhow::ensure!(offered.contains(name), "`{name}` is not offered, but {offered:?}");
            }
        }
        Step::Call(Call { by, server, tool, arguments, .. }) => {
            succeeded(&agent.call(by, (server, tool), arguments)?)?;
        }
        Step::Obey(Obey { by, marker, server, tool, arguments, .. }) => {
            anyhow::ensure!(agent.has_read(marker), "the agent has not read `{marker}`");
            succeeded(&agent.call(by, (server, tool), arguments)?)?;
        }
        Step::Raw(raw) => {
            succeeded(&agent.send(&raw.by, &raw.server, &exact(raw))?)?;
        }
        Step::Control(control) => stage.control(&control.file)?,
    }
    Ok(())
}

/// Plays the attack through the gateway.
fn is_stopped(exhibit: &Exhibit, era: Era) -> anyhow::Result<()> {
    let mut stage = Stage::set(exhibit, Part::Attack)?;
    let gateway = open(exhibit, &mut stage)?;
    let mut agent = Agent::new(era, Way::Gateway(&gateway), &stage);
    let mut codes = BTreeSet::new();
    for (at, step) in exhibit.manifest.attack.iter().enumerate().filter(|(_, step)| step.is_of(era)) {
        let before = stage.journal()?.len();
        let code = attempt(&mut agent, &stage, step).with_context(|| named(at, "through the gateway"))?;
        let forwarded = stage.journal()?.len().saturating_sub(before);
        anyhow::ensure!(
            code.is_none() || forwarded == 0,
            "{}: it is refused, and reached a server",
            named(at, "through the gateway")
        );
        codes.extend(code);
        let reached: Vec<String> = struck(exhibit, &stage)?;
        anyhow::ensure!(
            reached.is_empty(),
            "{}: the canary reached a server: {}",
            named(at, "through the gateway"),
            reached.join(", ")
        );
    }
    audit::wait_for(gateway.folder(), &exhibit.manifest.records, &codes)
}

/// What an agent tries when the gateway is in its way; the code by which it is refused.
fn attempt(agent: &mut Agent<'_>, stage: &Stage, step: &Step) -> anyhow::Result<Option<String>> {
    match step {
        Step::List(List { by, shows, hides }) => {
            let offered = agent.list(by)?;
            let lacks = shows.iter().find(|name| !offered.contains(*name));
            anyhow::ensure!(lacks.is_none(), "`{}` is not offered, but {offered:?}", lacks.map_or("", String::as_str));
            let shown = hides.iter().find(|name| offered.contains(*name));
            anyhow::ensure!(shown.is_none(), "`{}` is shown", shown.map_or("", String::as_str));
            Ok(None)
        }
        Step::Call(Call { by, server, tool, arguments, refused, .. }) => {
            let answer = agent.call(by, (server, tool), arguments)?;
            if let Some(code) = refused {
                return is_refused(&answer, code);
            }
            succeeded(&answer)?;
            Ok(None)
        }
        Step::Obey(Obey { by, marker, server, tool, arguments, refused }) => match refused {
            Some(code) if agent.has_read(marker) => is_refused(&agent.call(by, (server, tool), arguments)?, code),
            Some(_) => Ok(None),
            None if agent.has_read(marker) => anyhow::bail!("the agent has read `{marker}`"),
            None => Ok(None),
        },
        Step::Raw(raw) => is_refused(&agent.send(&raw.by, &raw.server, &exact(raw))?, &raw.refused),
        Step::Control(control) => stage.control(&control.file).map(|()| None),
    }
}

/// Plays the twin both ways, and compares what the agent has of it and what reached the servers.
fn twin_passes(exhibit: &Exhibit, era: Era) -> anyhow::Result<()> {
    let stage = Stage::set(exhibit, Part::Twin)?;
    let direct = live(exhibit, &stage, (era, Way::Nothing)).context("without the gateway")?;
    let mut stage = Stage::set(exhibit, Part::Twin)?;
    let gateway = open(exhibit, &mut stage)?;
    let way = (era, Way::Gateway(&gateway));
    let guarded = live(exhibit, &stage, way).context("through the gateway")?;
    for (one, other) in direct.iter().zip(&guarded) {
        anyhow::ensure!(one == other, "without the gateway: {one}; through it: {other}");
    }
    anyhow::ensure!(direct.len() == guarded.len(), "{direct:?} is not {guarded:?}");
    let alarms = audit::alarms(gateway.folder())?;
    anyhow::ensure!(alarms.is_empty(), "there are alarms: {alarms:?}");
    Ok(())
}

/// Plays the twin; what was offered and answered, and what reached the servers.
fn live(exhibit: &Exhibit, stage: &Stage, (era, way): (Era, Way<'_>)) -> anyhow::Result<Vec<Value>> {
    let mut agent = Agent::new(era, way, stage);
    let mut had = Vec::new();
    for (at, step) in exhibit.manifest.twin.iter().enumerate() {
        let mut lived = || {
            match step {
                Step::List(List { by, shows, .. }) => {
                    let offered = agent.list(by)?;
                    anyhow::ensure!(shows.iter().all(|name| offered.contains(name)), "only {offered:?} is offered");
                    had.push(offered.into_iter().collect());
                }
                Step::Call(Call { by, server, tool, arguments, .. }) => {
                    had.push(succeeded(&agent.call(by, (server, tool), arguments)?)?);
                }
                Step::Control(control) => stage.control(&control.file)?,
                Step::Obey(_) | Step::Raw(_) => anyhow::bail!("this is no step of a twin"),
            }
            Ok(())
        };
        lived().with_context(|| format!("step {} of the twin", at.saturating_add(1)))?;
    }
    had.extend(stage.journal()?);
    Ok(had)
}

/// Approves what the servers offer, swaps those that are swapped, and starts the gateway.
fn open(exhibit: &Exhibit, stage: &mut Stage) -> anyhow::Result<Gateway> {
    let approved = stage.servers();
    let told = match stage.part() {
        Part::Attack => exhibit.manifest.lock_says.as_slice(),
        Part::Twin => &[],
    };
    let setup = Setup::open(&approved).approving(Approved::AsItIs).with_more(&exhibit.manifest.gateway);
    let mut swapped = Ok(());
    let mut gateway = Gateway::launch_with(&setup, Issuer::es256(ISSUER)?, |folder, configuration| {
        swapped = fs::write(folder.join("sekisho.toml"), &configuration)
            .map_err(anyhow::Error::from)
            .and_then(|()| approve(folder, told))
            .and_then(|()| stage.swap());
        configuration.replace(&approved, &stage.servers())
    })?;
    swapped.context("before the gateway starts")?;
    gateway.wait_until_ready()?;
    gateway.wait_for_servers(&stage.approved_names())?;
    Ok(gateway)
}

/// Approves what the servers offer, as somebody does who does not read what is shown. All of `told` has to be shown.
fn approve(folder: &Path, told: &[String]) -> anyhow::Result<()> {
    let mut command = Command::new(place::binary("sekisho")?);
    let locked = process::run(command.args(["lock", "--yes"]).current_dir(folder), "", LOCK)?;
    anyhow::ensure!(locked.status.success(), "`sekisho lock` failed: {}", locked.err);
    let unsaid = told.iter().find(|part| !locked.out.contains(*part));
    anyhow::ensure!(unsaid.is_none(), "`sekisho lock` does not say {unsaid:?}, but:\n{}", locked.out);
    Ok(())
}

fn exact(raw: &Raw) -> Exact<'_> {
    Exact { path: raw.path.as_deref().unwrap_or(PATH), without: &raw.without, headers: &raw.headers, body: &raw.body }
}

/// The result in it, without what each hop says for itself.
fn succeeded(answer: &Value) -> anyhow::Result<Value> {
    let mut result = answer.get("result").cloned().with_context(|| format!("it was answered {answer}"))?;
    anyhow::ensure!(result.get("isError") != Some(&Value::Bool(true)), "it was answered {answer}");
    if let Some(result) = result.as_object_mut() {
        result.retain(|key, _| !matches!(key.as_str(), "_meta" | "resultType"));
    }
    Ok(result)
}

/// A refusal is an error; where the model is to mend its call, a result that says so (2025-11-25, Tools, "Error handling").
fn is_refused(answer: &Value, code: &str) -> anyhow::Result<Option<String>> {
    let said = answer.pointer("/error/data/code").and_then(Value::as_str);
    let text = answer.pointer("/result/content/0/text").and_then(Value::as_str).unwrap_or_default();
    let is_told = answer.pointer("/result/isError") == Some(&Value::Bool(true)) && text.ends_with(&format!("[{code}]"));
    anyhow::ensure!(said == Some(code) || is_told, "it is not refused by {code}, but answered {answer}");
    Ok(Some(code.to_owned()))
}

/// What reached a server of the canary.
fn struck(exhibit: &Exhibit, stage: &Stage) -> anyhow::Result<Vec<String>> {
    let lines = stage.journal()?.into_iter().map(|line| line.to_string());
    Ok(lines.filter(|line| line.contains(&exhibit.manifest.canary)).collect())
}

fn canaries(exhibit: &Exhibit, stage: &Stage) -> anyhow::Result<usize> {
    Ok(struck(exhibit, stage)?.len())
}

fn named(at: usize, how: &str) -> String {
    format!("step {} of the attack, {how}", at.saturating_add(1))
}

/// How long `sekisho lock` may take on a busy machine.
const LOCK: Duration = Duration::from_secs(60);

/// What tokens have in `iss`. Nothing listens there: the key set is a file.
const ISSUER: &str = "http://127.0.0.1:9/issuer";
