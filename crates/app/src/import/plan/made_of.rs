//! What a server is made of: what makes two entries one server, and how it is written down.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use sekisho_keys::SecretRef;
use sekisho_wire::ServerId;

use crate::home::{Home, Server};
use crate::import::entry::Variable;
use crate::import::secrets;

/// What tells one server from another.
#[derive(Debug)]
pub(super) struct MadeOf {
    pub(super) command: Vec<String>,
    pub(super) url: Option<String>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) values: Vec<(String, Variable)>,
}

impl Variable {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Variable::Written(value) => Some(value.expose_secret()),
            Variable::FromClient => None,
        }
    }
}

impl MadeOf {
    /// Whether both are one.
    pub(super) fn is(&self, other: &MadeOf) -> bool {
        let mut values: Vec<_> = self.values.iter().map(|(name, value)| (name, value.text())).collect();
        let mut others: Vec<_> = other.values.iter().map(|(name, value)| (name, value.text())).collect();
        values.sort_unstable();
        others.sort_unstable();
        (&self.command, &self.url, &self.cwd) == (&other.command, &other.url, &other.cwd) && values == others
    }

    /// Whether a server of the home configuration is this one.
    pub(super) fn is_there(&self, id: &str, server: &Server, home: &Home) -> bool {
        let written = if self.url.is_some() { &server.headers } else { &server.env };
        let is_same = |name: &String, value: &Variable| {
            let there = written.get(name);
            match value {
                Variable::FromClient => there.is_some_and(|there| *there == format!("env:{name}")),
                Variable::Written(value) if is_left_out(name, value, self.url.is_some()) => there.is_none(),
                Variable::Written(value) => {
                    let is_kept = |there| secrets::is_kept(home, there, id, name, value);
                    there.is_some_and(|there| there == value.expose_secret() || is_kept(there))
                }
            }
        };
        let names_all = written.keys().all(|name| self.values.iter().any(|(known, _)| known == name));
        (&self.command, &self.url, &self.cwd) == (&server.command, &server.url, &server.cwd)
            && names_all
            && self.values.iter().all(|(name, value)| is_same(name, value))
    }

    /// As the configuration has it, and what is kept apart from it.
    pub(super) fn written(&self, name: &ServerId, reasons: &mut Vec<String>) -> (Server, Vec<(String, SecretString)>) {
        let is_remote = self.url.is_some();
        let (mut texts, mut kept) = (BTreeMap::new(), Vec::new());
        for (variable, value) in &self.values {
            match value {
                Variable::FromClient => {
                    reasons.push(format!("variable {variable} comes from the client each time: it stays in its file"));
                    texts.insert(variable.clone(), format!("env:{variable}"));
                }
                Variable::Written(value) if is_left_out(variable, value, is_remote) => {
                    reasons.push(format!("variable {variable} is empty and left out"));
                }
                Variable::Written(value) if is_remote || is_secret(variable, value.expose_secret()) => {
                    texts.insert(variable.clone(), secrets::reference(name, variable));
                    kept.push((variable.clone(), value.clone()));
                }
                Variable::Written(value) => drop(texts.insert(variable.clone(), value.expose_secret().to_owned())),
            }
        }
        for (at, argument) in self.command.iter().enumerate().skip(1) {
            let before = at.checked_sub(1).and_then(|before| self.command.get(before)).map_or("", String::as_str);
            if secrets::is_in_word(before, argument) {
                reasons.push(format!(
                    "argument {at} looks like a secret and stays in the arguments, where every process of yours can read it, and in both \
                     files: if the server reads it from a variable too, put it there and do it again; it moves then"
                ));
            }
        }
        let (env, headers) = if is_remote { (BTreeMap::new(), texts) } else { (texts, BTreeMap::new()) };
        let server =
            Server { command: self.command.clone(), url: self.url.clone(), env, headers, cwd: self.cwd.clone() };
        (server, kept)
    }
}

/// A setting that would be read as a reference is kept as a secret is.
fn is_secret(name: &str, value: &str) -> bool {
    secrets::smells(name) || secrets::looks_like_one(value) || SecretRef::begins(value)
}

/// An empty secret is none, and a configuration that names one is refused.
fn is_left_out(name: &str, value: &SecretString, is_remote: bool) -> bool {
    !is_remote && secrets::smells(name) && value.expose_secret().is_empty()
}
