//! `sekisho approve` and `sekisho rollback`

use clap::Args;
use sekisho_catalog::{Lock, Locked, Mark, Pin, noun};
use sekisho_wire::ServerId;

use super::lock::{Asked, Target, alone, confirm, counted, servers_of, told};
use super::{Outcome, Running};
use crate::config::{self, Loaded};
use crate::drift::{Compared, Item, State, compare};
use crate::local::{self, Order};
use crate::pins::{self, LockFile};
use crate::problem::{Code, Problem};
use crate::survey::survey;

/// Approve what a server offers now, in place of what was approved before
///
/// Shows what differs and what that can mean, asks, and writes sekisho.lock. A running gateway takes it over within a second.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho approve notes/add_note
  sekisho approve notes
  sekisho approve notes/add_note --sha256 5f0c2b9a
  sekisho approve notes/add_note --despite poison-hides-from-user")]
pub(crate) struct Approve {
    /// A thing that a server offers, or all that it offers and who it is
    #[arg(value_name = "SERVER[/NAME]", required = true)]
    targets: Vec<Target>,
    /// Only definitions with this digest, or one that begins so: those that were looked at. 8 to 64 hexadecimal digits
    #[arg(long, value_name = "SHA256", value_parser = digest)]
    sha256: Vec<String>,
    /// Although this rule withholds what is named, or what the server says of itself; the lock file says so
    #[arg(long, value_name = "RULE")]
    despite: Vec<Box<str>>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    config: Running,
}

/// Take the last change of sekisho.lock back: what was approved before is approved again
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sekisho rollback")]
pub(crate) struct Rollback {
    #[command(flatten)]
    config: Running,
}

impl Approve {
    pub(super) fn run(self) -> Outcome {
        let loaded = config::load(&self.config.path())?;
        let (file, option) = (LockFile::of(&loaded), loaded.option());
        let Some(before) = file.read().map_err(alone)? else { return Err(Vec::from_iter(pins::absent(&loaded))) };
        let mut lock = before.clone();
        let (removed, asked): (Vec<_>, Vec<_>) = servers_of(&self.targets)
            .into_iter()
            .partition(|id| !loaded.config.servers.contains_key(id.as_str()) && before.server(id).is_some());
        for id in &removed {
            let is_whole = self.targets.iter().any(|target| target.server == *id && target.name.is_none());
            if !is_whole || !self.sha256.is_empty() {
                let words = format!("`{id}` is not configured any more");
                return Err(vec![
                    Problem::new(Code::Lock, words).help(format!("`sekisho approve {id}{option}` takes all of it out")),
                ]);
            }
            println!("{id}  is not configured any more");
            lock.remove(id);
        }
        let compared = if asked.is_empty() { Vec::new() } else { compare(survey(&loaded, &asked)?, &before) };
        self.check_rules(&compared)?;
        let mut count = 0_usize;
        for server in compared {
            count = count.saturating_add(self.take(server, &mut lock, &option)?);
        }
        if lock == before {
            println!("nothing differs from what is approved");
            return self.look_again(&loaded);
        }
        let asked = Asked::unless(self.yes);
        confirm(Code::Lock, asked, &format!("\nApprove {}?", counted(count.max(removed.len()), "change")))?;
        file.write(&lock, Some(&before)).map_err(alone)?;
        println!("{} written; commit it. `sekisho rollback{option}` takes it back.", file.path().display());
        Ok(())
    }

    /// A rule that is named and marks nothing is a slip.
    fn check_rules(&self, compared: &[Compared]) -> Outcome {
        let items =
            compared.iter().flat_map(|server| server.items.iter().flatten().map(move |item| (&server.id, item)));
        let wanted = items.filter(|(id, item)| self.targets.iter().any(|target| target.is(id, &item.name)));
        let mut rules: Vec<&str> = wanted.flat_map(|(_, item)| item.marks().map(|mark| mark.rule.as_str())).collect();
        let said = compared.iter().flat_map(|server| server.introductions.iter().flat_map(|(_, marks)| marks));
        rules.extend(said.map(|mark| mark.rule.as_str()));
        rules.sort_unstable();
        rules.dedup();
        match self.despite.iter().find(|rule| !rules.contains(&&***rule)) {
            None => Ok(()),
            Some(rule) => {
                let problem = Problem::new(Code::Lock, format!("no rule `{rule}` marks anything here"));
                let marking =
                    if rules.is_empty() { "none does".to_owned() } else { format!("these do: {}", rules.join(", ")) };
                Err(vec![problem.help(marking)])
            }
        }
    }

    /// Takes over what is wanted of one server; how much that is.
    fn take(&self, server: Compared, lock: &mut Lock, option: &str) -> Result<usize, Vec<Problem>> {
        print!("{}{}", told::identity(&server), told::introductions(&server));
        let is_whole = self.targets.iter().any(|target| target.server == server.id && target.name.is_none());
        if !server.is_known && !is_whole {
            let words = format!("nothing of `{}` is approved yet", server.id);
            return Err(vec![Problem::new(Code::Lock, words).help(format!("sekisho lock {}{option}", server.id))]);
        }
        if let Some(why) = server.stranger.as_ref().filter(|_| !is_whole) {
            let words = format!("`{}` is not the server that was approved: {why}", server.id);
            return Err(vec![
                Problem::new(Code::Drift, words)
                    .help(format!("if that is right: `sekisho approve {}{option}`", server.id)),
            ]);
        }
        let marks: Vec<Mark> = server.unaccepted().into_iter().cloned().collect();
        let marks: Vec<&Mark> = marks.iter().filter(|mark| mark.withholds_despite(&self.despite)).collect();
        let introductions: Vec<_> = server
            .introductions
            .iter()
            .map(|(said, marks)| {
                let mut accepted = said.accepted().to_vec();
                accepted.extend(
                    self.despite.iter().filter(|rule| marks.iter().any(|mark| *mark.rule.as_str() == ***rule)).cloned(),
                );
                accepted.sort();
                accepted.dedup();
                said.clone().accepting(accepted)
            })
            .collect();
        let mut left_out = Vec::new();
        if is_whole && !marks.is_empty() {
            left_out.push(format!("what it says of itself ({})", told::despite(&marks).trim_start()));
        }
        let items = server.items.map_err(alone)?;
        for target in self.targets.iter().filter(|target| target.server == server.id) {
            if !items.iter().any(|item| target.is(&server.id, &item.name)) && target.name.is_some() {
                let words = format!(
                    "`{}` offers nothing that is called `{}`",
                    server.id,
                    target.name.as_deref().unwrap_or_default()
                );
                return Err(vec![
                    Problem::new(Code::Lock, words).help(format!("sekisho lock diff {}{option}", server.id)),
                ]);
            }
        }
        let mut locked = lock.server(&server.id).cloned().unwrap_or_else(|| Locked::new(server.identity.clone()));
        let mut count = usize::from(server.stranger.is_some() || !server.is_known);
        locked.identify(server.identity);
        if is_whole && marks.is_empty() && locked.introductions() != introductions {
            locked.introduce(introductions);
            count = count.saturating_add(1);
        }
        for item in items {
            let is_wanted = self.targets.iter().any(|target| target.is(&server.id, &item.name));
            if !is_wanted || !item.needs_a_look() {
                continue;
            }
            print!("{}", told::difference(&server.id, &item));
            let is_named = self.targets.iter().any(|target| target.name.is_some() && target.is(&server.id, &item.name));
            let is_usable = !matches!(item.state, State::Unusable(_)) && item.unaccepted().is_empty();
            if !is_named && !is_usable {
                // As with a first `sekisho lock`: who approves a server does not approve what rules mark in it.
                left_out.push(told::name(&item));
                continue;
            }
            let pins = self.pins(&server.id, &item)?;
            locked.approve(item.kind, &item.name, pins);
            count = count.saturating_add(1);
        }
        if !left_out.is_empty() {
            println!("Withheld all the same, as marked above: {}.", left_out.join(", "));
        }
        lock.put(server.id, locked);
        Ok(count)
    }

    /// What stands in the lock file for a thing from now on.
    fn pins(&self, id: &ServerId, item: &Item) -> Result<Vec<Pin>, Vec<Problem>> {
        if let State::Unusable(flaw) = &item.state {
            let words = format!("`{id}/{}` cannot be approved: {flaw}", item.name);
            return Err(vec![Problem::new(Code::Drift, words).help("its server has to mend it")]);
        }
        let marked: Vec<&Mark> =
            item.unaccepted().into_iter().filter(|mark| mark.withholds_despite(&self.despite)).collect();
        if let Some(mark) = marked.first() {
            let words = format!("`{id}/{}` is withheld by {} at {}: {}", item.name, mark.rule, mark.at, mark.why);
            let help =
                format!("if you have looked at it and it is harmless: add `{}`", told::despite(&marked).trim_start());
            return Err(vec![Problem::new(Code::Drift, words).help(help)]);
        }
        if item.faces.is_empty() && !self.sha256.is_empty() {
            let words = format!("`{id}/{}` is offered no more, and has no digest", item.name);
            return Err(vec![
                Problem::new(Code::Drift, words).help("leave `--sha256` out to take it out of the lock file"),
            ]);
        }
        let mut pins = Vec::new();
        for face in &item.faces {
            let Ok(pin) = &face.pin else { continue };
            let digest = pin.pinned().digest().to_string();
            let is_wanted =
                self.sha256.is_empty() || self.sha256.iter().any(|wanted| digest.starts_with(wanted.as_str()));
            if !is_wanted {
                let wanted = self.sha256.join(" or ");
                let words =
                    format!("{} `{id}/{}` has sha256 {digest} now, and not {wanted}", noun(item.kind), item.name);
                let help = "look at it again: a server may show different definitions to different callers";
                return Err(vec![Problem::new(Code::Drift, words).help(help)]);
            }
            let marked: Vec<Box<str>> = face.marks.iter().map(|mark| mark.rule.as_str().into()).collect();
            let mut accepted: Vec<Box<str>> = pin.accepted().to_vec();
            accepted.extend(self.despite.iter().filter(|rule| marked.contains(*rule)).cloned());
            accepted.sort();
            accepted.dedup();
            pins.push(pin.clone().accepting(accepted));
        }
        Ok(pins)
    }
}

impl Approve {
    /// What froze although it is as it was approved again: a server showed another definition meanwhile. Whoever has looked at that has
    /// the gateway look anew.
    fn look_again(&self, loaded: &Loaded) -> Outcome {
        let mut froze = Vec::new();
        for folder in loaded.folder().with_logs() {
            let Ok(seen) = local::ask(&folder) else { continue };
            let servers = servers_of(&self.targets);
            let names: Vec<&str> = servers.iter().map(ServerId::as_str).collect();
            let withheld = seen.withheld(&names);
            if !withheld.is_empty() {
                println!("The gateway of `{}` withholds:\n{withheld}", folder.path().display());
                froze.push(folder);
            }
        }
        if froze.is_empty() {
            return Ok(());
        }
        if !self.sha256.is_empty() {
            let problem =
                Problem::new(Code::Lock, "nothing was changed: what is approved has another digest, or the same");
            return Err(vec![problem.help("leave `--sha256` out to have the gateway look anew")]);
        }
        let asked = Asked::unless(self.yes);
        confirm(Code::Lock, asked, "Have it look anew at what was named, so that what is as approved thaws?")?;
        for folder in froze {
            for target in &self.targets {
                let name = target.name.as_deref().unwrap_or_default().to_owned();
                local::tell(&folder, &Order::LookAgain([target.server.to_string(), name])).map_err(alone)?;
            }
            println!("the gateway of `{}` looks anew", folder.path().display());
        }
        Ok(())
    }
}

fn digest(text: &str) -> Result<String, String> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex && (8..=64).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err("that is no beginning of a SHA-256: 8 to 64 digits of 0-9 and a-f".to_owned())
    }
}

impl Rollback {
    pub(super) fn run(self) -> Outcome {
        let loaded = config::load(&self.config.path())?;
        let file = LockFile::of(&loaded);
        let lock = file.roll_back().map_err(alone)?;
        let count: usize = lock.servers().map(|(_, locked)| locked.count()).sum();
        println!(
            "{} is as it was before: {} of {}; what it said until now is kept in `{}`",
            file.path().display(),
            counted(count, "definition"),
            counted(lock.servers().count(), "server"),
            file.undone().display()
        );
        Ok(())
    }
}
