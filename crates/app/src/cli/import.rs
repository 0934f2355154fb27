//! `sekisho import`

mod told;

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use nix::unistd::Uid;
use sekisho_sandbox::Tier;
use tokio::runtime::Builder;

use super::Outcome;
use super::lock::{Asked, added, alone, confirm, counted};
use super::up::own_path;
use crate::assemble;
use crate::home::{Home, Machine};
use crate::import::apply::{Applied, Manner, apply};
use crate::import::clients;
use crate::import::plan::{Plan, RemoteEntries, Surroundings, Wanted, plan};
use crate::import::status::rows;
use crate::import::undo::undo;
use crate::problem::{Code, Problem};

/// Put the local MCP servers of your clients into cages
///
/// Looks through the configuration files of Claude, Cursor, VS Code and the other clients that are known, and shows what it would do:
/// each local server moves to the home configuration (~/.config/sekisho/sekisho.toml), with the folders and hosts that it needs and no
/// others, its secrets move out of the client's file, and the client starts `sekisho run` in its place. Then it asks once.
/// `sekisho import undo` takes everything back.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sekisho import
  sekisho import --dry-run
  sekisho import --client cursor --server github
  sekisho import --yes --remote
  sekisho import --project .
  sekisho import status
  sekisho import undo"
)]
pub(crate) struct Import {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    bring: Bring,
}

#[derive(Debug, Subcommand)]
enum What {
    Undo(Undo),
    Status(Status),
}

#[derive(Debug, Args)]
struct Bring {
    /// Only this client; can be given more than once
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(clients::ids()))]
    client: Vec<String>,
    /// Only the server of this name; can be given more than once
    #[arg(long, value_name = "NAME")]
    server: Vec<String>,
    #[command(flatten)]
    project: Project,
    /// Servers at an address too: the client asks Sekisho, which asks them. No cage holds them, but policy, pins and the record do
    #[arg(long)]
    remote: bool,
    /// Show what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before anything is written
    #[arg(long, short, conflicts_with = "dry_run")]
    yes: bool,
    /// Do not look at what the servers offer: none can be used before `sekisho lock`
    #[arg(long)]
    no_lock: bool,
}

/// The folder with files of a project.
#[derive(Debug, Args)]
struct Project {
    /// Look at this project's .mcp.json, .vscode/mcp.json and .cursor/mcp.json too. Whoever wrote the project wrote them: none is looked
    /// at unless you name it
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
}

/// Take imports back
///
/// A file that is as the import left it is restored byte for byte. In one that was changed since, only the entries that the import wrote
/// are turned back; an entry that was changed itself is named and left alone. Servers stay in the home configuration.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho import undo
  sekisho import undo --client cursor")]
struct Undo {
    /// Only this client; can be given more than once
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(clients::ids()))]
    client: Vec<String>,
}

/// Tell which servers of which clients run in a cage
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sekisho import status")]
struct Status {
    #[command(flatten)]
    project: Project,
}

impl Import {
    pub(super) fn run(self) -> Outcome {
        let around = surroundings().map_err(alone)?;
        match self.what {
            None => self.bring.run(&around),
            Some(What::Undo(what)) => what.run(&around),
            Some(What::Status(what)) => what.run(&around),
        }
    }
}

impl Bring {
    fn run(self, around: &Surroundings) -> Outcome {
        let remote = if self.remote { RemoteEntries::Imported } else { RemoteEntries::Left };
        let project = self.project.folder().map_err(alone)?;
        let tier = tier().map_err(alone)?;
        let wanted = Wanted { clients: self.client, servers: self.server, remote, project, tier };
        let mut plan = plan(&wanted, around)?;
        print!("{}", told::plan(&plan, around));
        let mut problems = std::mem::take(&mut plan.problems);
        let (files, servers) = told::counts(&plan);
        if files == 0 {
            println!("There is nothing to import.");
        } else if self.dry_run {
            println!("Nothing was written: that was a dry run.");
        } else {
            let question = format!("Import {} into {}?", counted(servers, "server"), counted(files, "file"));
            confirm(Code::Import, Asked::unless(self.yes), &question)?;
            problems.extend(bring(&plan, around, self.no_lock)?);
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// Does it, and tells what came of it.
fn bring(plan: &Plan, around: &Surroundings, no_lock: bool) -> Result<Vec<Problem>, Vec<Problem>> {
    let time = jiff::Timestamp::now().to_string();
    let manner = Manner { time: &time, go_on: &|_| Ok(()) };
    let mut applied = apply(plan, around, &manner)?;
    print!("\n{}", told::applied(&applied, around));
    let mut problems = std::mem::take(&mut applied.problems);
    let pinned = if no_lock { Pinned::No } else { pin(&applied, around, &mut problems) };
    print!("{}", told::next(around, pinned));
    Ok(problems)
}

/// Whether what the new servers offer is approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pinned {
    Yes,
    No,
}

fn pin(applied: &Applied, around: &Surroundings, problems: &mut Vec<Problem>) -> Pinned {
    match around.home.load().and_then(|loaded| added(&loaded, &applied.servers)) {
        Ok(()) => Pinned::Yes,
        Err(more) => {
            problems.extend(more);
            Pinned::No
        }
    }
}

impl Undo {
    fn run(self, around: &Surroundings) -> Outcome {
        let report = undo(around, &self.client)?;
        print!("{}", told::undone(&report, around));
        if report.problems.is_empty() { Ok(()) } else { Err(report.problems) }
    }
}

impl Status {
    fn run(self, around: &Surroundings) -> Outcome {
        let project = self.project.folder().map_err(alone)?;
        print!("{}", told::status(&rows(around, project.as_deref()).map_err(alone)?, around));
        Ok(())
    }
}

impl Project {
    /// The folder that is named. Never the one that is stood in: a repository that was only just cloned names programs to start, too.
    fn folder(&self) -> Result<Option<PathBuf>, Problem> {
        let Some(named) = &self.project else { return Ok(None) };
        named.canonicalize().map(Some).map_err(|error| {
            Problem::new(Code::Import, format!("the project `{}` cannot be looked at: {error}", named.display()))
                .help("name a folder that is there, or leave `--project` out")
        })
    }
}

/// How well this machine confines servers.
fn tier() -> Result<Tier, Problem> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Problem::new(Code::System, error.to_string()))?;
    Ok(runtime.block_on(assemble::machine())?.tier())
}

fn surroundings() -> Result<Surroundings, Problem> {
    let machine = Machine::here()?;
    let owner = machine.home().metadata().map(|metadata| metadata.uid());
    if owner.is_ok_and(|owner| owner != Uid::effective().as_raw()) {
        let words = format!("the home folder `{}` is another user's", machine.home().display());
        return Err(Problem::new(Code::Import, words).help("do it as that user, without sudo"));
    }
    let home = Home::locate(&machine);
    Ok(Surroundings { machine, home, program: own_path()? })
}
