//! `sekisho lock`, and what `sekisho approve` shares with it.

mod sarif;
pub(super) mod told;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use sekisho_catalog::{Effect, Lock as Pins, Locked};
use sekisho_wire::ServerId;

use super::{Outcome, Running, server};
use crate::config::{self, Loaded};
use crate::drift::{Compared, State, compare};
use crate::pins::LockFile;
use crate::problem::{Code, Problem, print};
use crate::survey::survey;

/// Show what servers offer, and write down in sekisho.lock that it may be used
///
/// The first time this is the approval of everything that is shown. Afterwards only servers that are not in the file yet are
/// added: what changed at the others, or came to them, is withheld until `sekisho approve`. Commit the file.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sekisho lock
  sekisho lock --check
  sekisho lock --check --sarif drift.sarif
  sekisho lock diff notes"
)]
pub(crate) struct Lock {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    pin: Pin,
}

#[derive(Debug, Args)]
struct Pin {
    /// Only these servers
    #[arg(value_name = "SERVER", value_parser = server)]
    servers: Vec<ServerId>,
    #[command(flatten)]
    config: Running,
    /// Write nothing; exit code 1 if servers offer anything else than what is approved
    #[arg(long)]
    check: bool,
    /// With `--check`: write what differs into this file, as SARIF 2.1.0
    #[arg(long, value_name = "FILE", requires = "check")]
    sarif: Option<PathBuf>,
    /// Do not ask before anything is written
    #[arg(long, short, conflicts_with = "check")]
    yes: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    Diff(Diff),
}

/// Tell how what servers offer differs from what was approved, and what that can mean
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho lock diff
  sekisho lock diff notes
  sekisho lock diff notes/add_note")]
struct Diff {
    /// Only these servers, or these things of theirs: `SERVER` or `SERVER/NAME`
    #[arg(value_name = "SERVER[/NAME]")]
    targets: Vec<Target>,
    #[command(flatten)]
    config: Running,
}

/// A server, or a thing that it offers.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) server: ServerId,
    pub(super) name: Option<Box<str>>,
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let (id, name) = text.split_once('/').map_or((text, None), |(id, name)| (id, Some(name.into())));
        Ok(Target { server: server(id)?, name })
    }
}

impl Target {
    /// Whether it means this thing.
    pub(super) fn is(&self, server: &ServerId, name: &str) -> bool {
        self.server == *server && self.name.as_deref().is_none_or(|wanted| wanted == name)
    }
}

impl Lock {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            Some(What::Diff(diff)) => diff.run(),
            None if self.pin.check => self.pin.check(),
            None => self.pin.run(),
        }
    }
}

impl Pin {
    fn run(self) -> Outcome {
        let loaded = config::load(&self.config.path())?;
        let (file, option) = (LockFile::of(&loaded), loaded.option());
        let before = file.read().map_err(alone)?;
        let known = before.clone().unwrap_or_default();
        let mut wanted: Vec<ServerId> = Vec::new();
        for id in configured(&loaded)? {
            let is_named = self.servers.is_empty() || self.servers.contains(&id);
            if known.server(&id).is_none() && is_named {
                wanted.push(id);
            } else if self.servers.contains(&id) {
                eprintln!(
                    "`{id}` is in `{}` already and stays as it is; `sekisho lock diff {id}{option}` tells what changed, `sekisho approve {id}{option}` takes it over",
                    file.path().display()
                );
            }
        }
        if let Some(id) = self.servers.iter().find(|id| !loaded.config.servers.contains_key(id.as_str())) {
            return Err(vec![crate::survey::unknown(&loaded, id)]);
        }
        if loaded.config.servers.is_empty() {
            return Err(vec![
                Problem::new(Code::Server, "no server is configured").help("add one to the configuration first"),
            ]);
        }
        if wanted.is_empty() {
            let which = if self.servers.is_empty() { "every server" } else { "every server that is named" };
            println!(
                "{which} is in `{}` already; `sekisho lock --check{option}` tells whether anything changed",
                file.path().display()
            );
            return Ok(());
        }
        let compared = compare(survey(&loaded, &wanted)?, &known);
        let asked = Asked::unless(self.yes);
        pin(&loaded, before, compared, asked)
    }

    fn check(self) -> Outcome {
        let loaded = config::load(&self.config.path())?;
        let file = LockFile::of(&loaded);
        let lock = match file.read() {
            Ok(Some(lock)) => lock,
            unusable @ (Ok(None) | Err(_)) => {
                let problems = unusable.map_or_else(alone, |_| Vec::from_iter(crate::pins::absent(&loaded)));
                self.report(&sarif::unusable(&problems, &loaded))?;
                return Err(problems);
            }
        };
        let compared = compare(survey(&loaded, &self.servers)?, &lock);
        let mut problems = Vec::new();
        for server in &compared {
            problems.extend(told::problems(server, &loaded.option()));
        }
        for (id, _) in lock.servers().filter(|(id, _)| !loaded.config.servers.contains_key(id.as_str())) {
            eprintln!(
                "`{id}` is approved and not configured any more; `sekisho approve {id}{}` takes it out",
                loaded.option()
            );
        }
        self.report(&sarif::report(&compared, &loaded))?;
        if problems.is_empty() {
            let count: usize = lock.servers().map(|(_, locked)| locked.count()).sum();
            let (servers, definitions) = (counted(compared.len(), "server"), counted(count, "definition"));
            println!("nothing differs: {servers}, {definitions}");
            return Ok(());
        }
        Err(problems)
    }
}

impl Pin {
    /// Writes the report, if one is wanted.
    fn report(&self, text: &str) -> Outcome {
        let Some(path) = &self.sarif else { return Ok(()) };
        std::fs::write(path, text).map_err(|error| {
            vec![Problem::new(Code::System, format!("`{}` cannot be written: {error}", path.display()))]
        })
    }
}

impl Diff {
    fn run(self) -> Outcome {
        let loaded = config::load(&self.config.path())?;
        let lock = LockFile::of(&loaded).read().map_err(alone)?.unwrap_or_default();
        let compared = compare(survey(&loaded, &servers_of(&self.targets))?, &lock);
        let mut problems = Vec::new();
        let mut any = false;
        for server in compared {
            print!("{}{}", told::identity(&server), told::introductions(&server));
            match &server.items {
                Ok(items) => {
                    let wanted =
                        |name: &str| self.targets.is_empty() || self.targets.iter().any(|one| one.is(&server.id, name));
                    for item in items.iter().filter(|item| wanted(&item.name) && item.needs_a_look()) {
                        any = true;
                        print!("{}", told::difference(&server.id, item));
                    }
                    any |= server.stranger.is_some() || server.says_something_else;
                }
                Err(_) => problems.extend(server.items.err()),
            }
        }
        if !any && problems.is_empty() {
            println!("nothing differs");
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// Whether somebody is asked before anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// On the terminal.
    Terminal,
    /// What is shown is approved by the command itself.
    No,
}

impl Asked {
    /// Nobody is, where the command says `--yes`.
    pub(super) fn unless(yes: bool) -> Asked {
        if yes { Asked::No } else { Asked::Terminal }
    }
}

/// Shows what servers that are not approved yet offer, and approves it. What rules mark is left out.
///
/// # Errors
/// A server cannot be looked at, nobody confirmed, or nothing can be written. Those that could be looked at are approved all the same.
pub(crate) fn pin(loaded: &Loaded, before: Option<Pins>, compared: Vec<Compared>, asked: Asked) -> Outcome {
    let (file, option) = (LockFile::of(loaded), loaded.option());
    let mut lock = before.clone().unwrap_or_default();
    let (mut problems, mut left_out, mut count) = (Vec::new(), Vec::new(), 0_usize);
    for server in compared {
        println!("{}", told::server(&server).trim_end());
        if !server.unaccepted().is_empty() {
            left_out.push(format!("{} (what it says of itself)", server.id));
        }
        let introductions =
            server.introductions.iter().filter(|(_, marks)| !marks.iter().any(|mark| mark.effect == Effect::Withhold));
        let introductions = introductions.map(|(said, _)| said.clone()).collect();
        let items = match server.items {
            Ok(items) => items,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let mut locked = Locked::new(server.identity);
        locked.introduce(introductions);
        for item in items {
            let fits = !matches!(item.state, State::Unusable(_)) && item.withholding().next().is_none();
            if matches!(item.state, State::Open) {
                // It may be gone tomorrow.
            } else if fits {
                count = count.saturating_add(1);
                let pins = item.faces.into_iter().filter_map(|face| face.pin.ok()).collect();
                locked.approve(item.kind, &item.name, pins);
            } else {
                left_out.push(format!("{}/{}", server.id, told::name(&item)));
            }
        }
        lock.put(server.id, locked);
    }
    if before.as_ref() != Some(&lock) && lock.servers().next().is_some() {
        confirm(Code::Lock, asked, &format!("Approve {}?", counted(count, "definition")))?;
        file.write(&lock, before.as_ref()).map_err(alone)?;
        println!("{} approved in {}; commit it.", counted(count, "definition"), file.path().display());
    }
    if !left_out.is_empty() {
        println!("Withheld, as marked above: {}.", left_out.join(", "));
        println!(
            "What is harmless can be approved all the same: `sekisho approve <server>/<name> --despite <rule>{option}`."
        );
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Asks on the terminal.
///
/// # Errors
/// The answer is no, or there is nobody to ask.
pub(super) fn confirm(code: Code, asked: Asked, question: &str) -> Outcome {
    match asked {
        Asked::No => return Ok(()),
        Asked::Terminal => {}
    }
    if !std::io::stdin().is_terminal() {
        let problem = Problem::new(code, "nothing was written: there is nobody to ask");
        return Err(vec![problem.help("look at what is shown above; then add `--yes`")]);
    }
    print!("{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdout().flush().and_then(|()| std::io::stdin().read_line(&mut answer));
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(vec![Problem::new(code, "nothing was written: it was not confirmed")])
}

/// What is there before anything is approved: nothing runs without it, so `sekisho up` writes it for what it finds.
///
/// # Errors
/// As [`pin`].
pub(crate) fn first(loaded: &Loaded) -> Outcome {
    let file = LockFile::of(loaded);
    let compared = compare(survey(loaded, &[])?, &Pins::default());
    println!("What the servers offer, approved by this first start:\n");
    let pinned = pin(loaded, None, compared, Asked::No);
    println!();
    let Err(problems) = pinned else { return Ok(()) };
    print(&problems);
    // Whoever could not be looked at is withheld; the others can be used.
    if file.path().exists() { Ok(()) } else { file.write(&Pins::default(), None).map_err(alone) }
}

/// The same for servers that come to others: what they offer is shown, and that is the approval. What is approved of the others stays.
///
/// # Errors
/// As [`pin`]. Those that could be looked at are approved all the same.
pub(crate) fn added(loaded: &Loaded, servers: &[ServerId]) -> Outcome {
    let file = LockFile::of(loaded);
    let before = file.read().map_err(alone)?;
    let known = before.clone().unwrap_or_default();
    let wanted: Vec<ServerId> = servers.iter().filter(|id| known.server(id).is_none()).cloned().collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let compared = compare(survey(loaded, &wanted)?, &known);
    println!("What the servers offer, approved by this import:\n");
    pin(loaded, before, compared, Asked::No)
}

pub(super) fn servers_of(targets: &[Target]) -> Vec<ServerId> {
    let mut servers: Vec<ServerId> = targets.iter().map(|target| target.server.clone()).collect();
    servers.sort();
    servers.dedup();
    servers
}

fn configured(loaded: &Loaded) -> Result<Vec<ServerId>, Vec<Problem>> {
    let parse = |name: &String| ServerId::parse(name).map_err(|error| vec![Problem::of(Code::Server, &error)]);
    loaded.config.servers.keys().map(parse).collect()
}

pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(super) fn alone(problem: Problem) -> Vec<Problem> {
    vec![problem]
}
