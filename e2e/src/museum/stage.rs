//! The servers of an exhibit, set up for one play.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, Era};
use crate::gateway::{granting, http_server, stdio_server};
use crate::line::Line;
use crate::process::Running;
use crate::{place, raw};

use super::agent::Wire;
use super::manifest::{Exhibit, Server, Transport};

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Attack,
    Twin,
}

/// The servers, as they are before anything was swapped.
#[derive(Debug)]
pub(super) struct Stage {
    part: Part,
    actors: Vec<Actor>,
    exhibit: PathBuf,
    folder: TempDir,
}

#[derive(Debug)]
struct Actor {
    name: String,
    reached: Reached,
    swapped: Option<(PathBuf, String)>,
    /// Whether it was swapped, so that it is not the one that was approved.
    is_another: bool,
}

#[derive(Debug)]
enum Reached {
    /// By the file of a program.
    Stdio(PathBuf),
    Http {
        url: String,
        _process: Running,
    },
}

impl Stage {
    /// Sets up what the exhibit needs.
    ///
    /// # Errors
    /// When a server does not start.
    pub(super) fn set(exhibit: &Exhibit, part: Part) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("sekisho-museum-").tempdir()?;
        fs::create_dir(folder.path().join(CONTROL))?;
        let mut stage = Self { part, actors: Vec::new(), exhibit: exhibit.folder.clone(), folder };
        for server in &exhibit.manifest.servers {
            let actor = stage.actor(server).with_context(|| format!("server `{}`", server.name))?;
            stage.actors.push(actor);
        }
        Ok(stage)
    }

    fn actor(&self, server: &Server) -> anyhow::Result<Actor> {
        let script = match self.part {
            Part::Attack => &server.script,
            Part::Twin => server.twin.as_ref().unwrap_or(&server.script),
        };
        let program = |named: Option<&String>| {
            let named = named.cloned().unwrap_or_else(|| format!("servers/{}", server.name));
            self.folder.path().join(named)
        };
        let file = program(server.program.as_ref());
        let reached = match server.transport {
            Transport::Stdio => {
                self.write_program(&file, script)?;
                Reached::Stdio(file)
            }
            Transport::Http => {
                let mut command = Command::new(place::binary("puppet")?);
                command.args(self.options(script)?).args(["--listen", "127.0.0.1:0"]);
                let mut process = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
                Reached::Http { url: process.first_line(START)?, _process: process }
            }
        };
        let swapped = server.swapped.as_ref().filter(|_| self.part == Part::Attack);
        let swapped = swapped
            .map(|swapped| (program(swapped.program.as_ref().or(server.program.as_ref())), swapped.script.clone()));
        Ok(Actor { name: server.name.clone(), reached, swapped, is_another: false })
    }

    /// The `[servers.…]` tables.
    pub(super) fn servers(&self) -> String {
        // The shell's script executes the puppet, which reads the exhibit and keeps a journal.
        let puppet = place::binary("puppet").unwrap_or_default();
        let grants = granting(&[&puppet, &self.exhibit], &[self.folder.path()]);
        let table = |actor: &Actor| match &actor.reached {
            Reached::Stdio(file) => stdio_server(&actor.name, &[file.display().to_string()]) + &grants,
            Reached::Http { url, .. } => http_server(&actor.name, url),
        };
        self.actors.iter().map(table).collect()
    }

    /// What is played.
    pub(super) fn part(&self) -> Part {
        self.part
    }

    /// The names of the servers.
    pub(super) fn names(&self) -> Vec<&str> {
        self.actors.iter().map(|actor| actor.name.as_str()).collect()
    }

    /// The names of those that are who was approved: the gateway does not start another one.
    pub(super) fn approved_names(&self) -> Vec<&str> {
        self.actors.iter().filter(|actor| !actor.is_another).map(|actor| actor.name.as_str()).collect()
    }

    /// Puts others in the place of those servers that are swapped.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn swap(&mut self) -> anyhow::Result<()> {
        for at in 0..self.actors.len() {
            let Some((file, script)) = self.actors.get_mut(at).and_then(|actor| actor.swapped.take()) else { continue };
            self.write_program(&file, &script)?;
            if let Some(actor) = self.actors.get_mut(at) {
                actor.is_another = true;
                actor.reached = Reached::Stdio(file);
            }
        }
        Ok(())
    }

    /// Opens a connection to a server with nothing in between.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn connect(&self, server: &str, era: Era) -> anyhow::Result<Wire> {
        let actor = self.actors.iter().find(|actor| actor.name == server).context("there is no such server")?;
        match &actor.reached {
            Reached::Stdio(file) => {
                // The shell reads the file, so that it is not busy if another test has just forked.
                let line = Line::open(Command::new("/bin/sh").arg(file), era, json!({}))?;
                Ok(Wire::Line(Box::new(line)))
            }
            Reached::Http { url, .. } => Wire::http(Client::connect(url, None, era)?, url, None, era),
        }
    }

    /// Puts a file into the control folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn control(&self, file: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.folder.path().join(CONTROL).join(file), "")?)
    }

    /// What reached the servers.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn journal(&self) -> anyhow::Result<Vec<Value>> {
        let path = self.folder.path().join(JOURNAL);
        let text = if path.is_file() { fs::read_to_string(path)? } else { String::new() };
        text.lines().map(raw::parse).collect()
    }

    fn write_program(&self, file: &Path, script: &str) -> anyhow::Result<()> {
        let puppet = place::binary("puppet")?.display().to_string();
        let words: Vec<String> =
            [puppet].into_iter().chain(self.options(script)?).map(|word| format!("'{word}'")).collect();
        fs::create_dir_all(file.parent().context("the program has no folder")?)?;
        fs::write(file, format!("#!/bin/sh\nexec {}\n", words.join(" ")))?;
        Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o755))?)
    }

    fn options(&self, script: &str) -> anyhow::Result<Vec<String>> {
        let here = |name: &str| self.folder.path().join(name);
        let mut options = Vec::new();
        for (option, path) in
            [("--script", self.exhibit.join(script)), ("--journal", here(JOURNAL)), ("--control", here(CONTROL))]
        {
            let path = path.display().to_string();
            anyhow::ensure!(!path.contains('\''), "{path} has a quote in its name");
            options.extend([option.to_owned(), path]);
        }
        Ok(options)
    }
}

const JOURNAL: &str = "journal.jsonl";
const CONTROL: &str = "control";

/// How long the start of a server may take on a busy machine.
const START: Duration = Duration::from_secs(20);
