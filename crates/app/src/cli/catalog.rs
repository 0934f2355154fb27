//! `sekisho catalog`

use std::path::Path;

use clap::{Args, Subcommand};
use sekisho_wire::json::{Array, Object};

use super::lock::{Target, alone, servers_of, told};
use super::{Outcome, Running};
use crate::config;
use crate::drift::{Compared, Item, State, compare};
use crate::local;
use crate::operator::{Row, table};
use crate::pins::LockFile;
use crate::problem::{Code, Problem};
use crate::survey::survey;

/// Tell what servers offer, what of it is approved, and what is withheld and why
///
/// Asks the servers themselves, and tells what a running gateway withholds besides: it may have been shown something else.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sekisho catalog
  sekisho catalog --json
  sekisho catalog show notes/add_note"
)]
pub(crate) struct Catalog {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Args)]
struct List {
    /// Only these servers
    #[arg(value_name = "SERVER")]
    servers: Vec<Target>,
    #[command(flatten)]
    config: Running,
    /// As JSON, for machines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    Show(Show),
}

/// Show a definition, how it differs from what was approved, and what rules mark in it
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sekisho catalog show notes/add_note")]
struct Show {
    /// The thing: `SERVER/NAME`
    #[arg(value_name = "SERVER/NAME")]
    target: Target,
    #[command(flatten)]
    config: Running,
}

impl Catalog {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            Some(What::Show(show)) => show.run(),
            None => self.list.run(),
        }
    }
}

impl List {
    fn run(self) -> Outcome {
        let path = self.config.path();
        let compared = look(&path, &self.servers)?;
        if self.json {
            let mut servers = Array::new();
            for server in &compared {
                servers.push(&as_json(server));
            }
            println!("{}", Object::new().json("servers", &servers.finish()).finish().as_str());
        } else {
            for server in &compared {
                println!("{}", told::identity(server).trim_end());
                if let Ok(items) = &server.items {
                    println!("{}", table(["KIND", "NAME", "STATE"], items.iter().map(row)));
                }
            }
        }
        let folder = config::folder_of(&path)?;
        let named: Vec<&str> = compared.iter().map(|server| server.id.as_str()).collect();
        if let Some(withheld) =
            local::ask(&folder).ok().map(|seen| seen.withheld(&named)).filter(|told| !told.is_empty() && !self.json)
        {
            println!("The gateway that runs here withholds:\n{withheld}");
        }
        let problems: Vec<Problem> = compared.into_iter().filter_map(|server| server.items.err()).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl Show {
    fn run(self) -> Outcome {
        let Some(wanted) = self.target.name.clone() else {
            let problem = Problem::new(Code::Lock, "which of the things that the server offers?");
            return Err(vec![problem.help(format!("sekisho catalog {}", self.target.server))]);
        };
        let mut found = false;
        for server in look(&self.config.path(), std::slice::from_ref(&self.target))? {
            let items = server.items.map_err(alone)?;
            for item in items.iter().filter(|item| item.name == wanted) {
                found = true;
                print!("{}", told::difference(&server.id, item));
                println!();
                print!("{}", told::definition(item));
            }
        }
        if found {
            return Ok(());
        }
        let words = format!(
            "`{}` offers nothing that is called `{wanted}`, and nothing of that name is approved",
            self.target.server
        );
        Err(vec![Problem::new(Code::Lock, words).help(format!("sekisho catalog {}", self.target.server))])
    }
}

fn look(path: &Path, targets: &[Target]) -> Result<Vec<Compared>, Vec<Problem>> {
    let loaded = config::load(path)?;
    let lock = LockFile::of(&loaded).read().map_err(alone)?.unwrap_or_default();
    Ok(compare(survey(&loaded, &servers_of(targets))?, &lock))
}

fn row(item: &Item) -> Row<3> {
    let mut state = told::state(item);
    if let Some(mark) = item.unaccepted().first() {
        state = format!("{state}; {}", mark.rule);
    }
    let withheld = item.needs_a_look() && !matches!(item.state, State::Gone);
    let state = if withheld { format!("WITHHELD: {state}") } else { state };
    Row::from([
        sekisho_catalog::noun(item.kind).to_owned(),
        sekisho_wire::text::visible(&item.name).replace(['\n', '\t'], " "),
        state,
    ])
}

fn as_json(server: &Compared) -> sekisho_wire::Json {
    let object = Object::new().text("server", server.id.as_str()).text("identity", &server.identity.to_string());
    let object = object.bool("known", server.is_known).maybe_text("stranger", server.stranger.as_deref());
    match &server.items {
        Ok(items) => {
            let mut all = Array::new();
            items.iter().for_each(|item| all.push(&told::as_json(item)));
            object.json("offers", &all.finish()).finish()
        }
        Err(problem) => object.text("trouble", &problem.line()).finish(),
    }
}
