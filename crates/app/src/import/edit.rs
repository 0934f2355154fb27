//! Entries are changed where they stand: bytes of single values are exchanged. What comes of it is read again, and must say what it said
//! before in everything but the entries that were meant.

mod restore;

use std::ops::Range;

use sekisho_wire::Json;

use super::clients::{Client, Format};
use super::entry::holder;
use super::source::parse;
use super::toml;
use super::tree::{Member, Node, Style, Value};

pub(crate) use restore::restore;

/// Another entry, or what becomes of one.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// Keys down to the map or list of servers.
    pub(crate) place: Vec<String>,
    /// The entry in it.
    pub(crate) key: String,
    /// What becomes of it.
    pub(crate) turn: Turn,
}

/// What becomes of an entry.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    /// Its program is run by another one.
    Wrap {
        /// The program that runs it.
        program: String,
        /// What stands before its own arguments: those of the other program, and its own program.
        front: Vec<String>,
        /// Variables that stay.
        kept: Vec<String>,
    },
    /// Its address is asked by a program.
    Point {
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
}

/// Bytes to be exchanged.
#[derive(Debug)]
struct Splice {
    at: Range<usize>,
    text: String,
}

/// The text with all changes made.
///
/// # Errors
/// They cannot be made without touching something else.
pub(crate) fn rewrite(format: Format, text: &str, client: &Client, changes: &[Change]) -> Result<String, String> {
    let tree = parse(format, text)?;
    let mut expected = tree.clone();
    let (mut splices, mut edited) = (Vec::new(), text.to_owned());
    for change in changes {
        let entry = entry_of(&tree, change)?;
        let wanted = wanted(format, client, entry, &change.turn);
        let place = expected.find_mut(change.place.iter().map(String::as_str));
        if let Some(place) = place.and_then(|place| place.entry_mut(&change.key)) {
            *place = wanted.clone();
        }
        match (format, &change.turn) {
            (Format::Toml, _) => edited = toml::rewrite(&edited, &keys(change), &wanted)?,
            (Format::Json | Format::Yaml, Turn::Wrap { program, front, kept }) => {
                splices.extend(Wrap { text, client, entry }.splices(program, front, kept)?);
            }
            (Format::Json | Format::Yaml, Turn::Point { .. }) => {
                splices.push(Splice { at: entry.at.clone(), text: rebuilt(format, text, entry, &wanted, None)? });
            }
        }
    }
    if format != Format::Toml {
        edited = spliced(text, splices)?;
    }
    proven(format, edited, &expected)
}

/// What an entry says once it is changed.
#[must_use]
pub(crate) fn wanted(format: Format, client: &Client, entry: &Node, turn: &Turn) -> Node {
    let words = client.words;
    let mut wanted = entry.clone();
    match turn {
        Turn::Wrap { program, front, kept } => {
            let is_nested = holder(client, entry).1 != words.command;
            let (source, command) = holder(client, entry);
            let mut target = source.clone();
            let own = words.args.and_then(|key| source.get(key)).map(Node::elements).unwrap_or_default();
            match words.args {
                Some(args) => {
                    target.set(command, Node::text(program));
                    let front = front.iter().map(|text| Node::text(text));
                    target.set(args, Node::new(Value::List(front.chain(own.iter().cloned()).collect())));
                }
                None => {
                    let own = source.get(command).map(Node::elements).unwrap_or_default();
                    let front = std::iter::once(program).chain(front).map(|text| Node::text(text));
                    let own = own.iter().skip(1).cloned();
                    target.set(command, Node::new(Value::List(front.chain(own).collect())));
                }
            }
            if let Some(env) = source.get(words.env).filter(|env| !env.members().is_empty()) {
                let left =
                    env.members().iter().filter(|member| kept.contains(&member.key)).cloned().collect::<Vec<_>>();
                target.set(words.env, Node::new(Value::Map(left)));
                // A table without members is taken out there, with its head.
                let is_gone = |member: &Member| {
                    format == Format::Toml && member.key == words.env && member.node.members().is_empty()
                };
                if let Some(members) = target.members_mut() {
                    members.retain(|member| !is_gone(member));
                }
            }
            if is_nested {
                wanted.set(words.command, target);
            } else {
                wanted = target;
            }
        }
        Turn::Point { program, args } => {
            let is_gone = |key: &str| {
                words.url.contains(&key) || words.headers.contains(&key) || key == "transport" || key == "type"
            };
            let had_type = entry.get("type").is_some();
            if let Some(members) = wanted.members_mut() {
                members.retain(|member| !is_gone(&member.key));
            }
            if had_type || words.args.is_none() {
                wanted.set("type", Node::text(words.local));
            }
            match words.args {
                Some(key) => {
                    wanted.set(words.command, Node::text(program));
                    wanted.set(key, Node::texts(args.iter().map(String::as_str)));
                }
                None => {
                    wanted.set(words.command, Node::texts(std::iter::once(program).chain(args).map(String::as_str)))
                }
            }
        }
    }
    wanted
}

/// An entry whose program is to be run by another one.
struct Wrap<'a> {
    text: &'a str,
    client: &'a Client,
    entry: &'a Node,
}

impl Wrap<'_> {
    fn splices(&self, program: &str, front: &[String], kept: &[String]) -> Result<Vec<Splice>, String> {
        let words = self.client.words;
        let (source, key) = holder(self.client, self.entry);
        let command = source.member(key).ok_or("an entry has no command")?;
        let mut splices = Vec::new();
        match words.args {
            None => {
                // The program that is there stands behind the new ones.
                let front = front.get(..front.len().saturating_sub(1)).unwrap_or_default();
                let all: Vec<&str> = std::iter::once(program).chain(front.iter().map(String::as_str)).collect();
                splices.push(self.prepended(command, &all)?);
            }
            Some(args) => {
                if command.node.style == Style::Block {
                    return Err("its command is written over several lines: write it on one".to_owned());
                }
                let front: Vec<&str> = front.iter().map(String::as_str).collect();
                let mut new = quoted(program);
                match source.member(args) {
                    Some(member) => splices.push(self.prepended(member, &front)?),
                    None => new.push_str(&self.behind(source, command.key_at.start, args, &front)),
                }
                splices.push(Splice { at: command.node.at.clone(), text: new });
            }
        }
        if let Some(member) = source.member(words.env).filter(|member| !member.node.members().is_empty()) {
            splices.extend(self.emptied(member, kept));
        }
        Ok(splices)
    }

    /// Texts before the first element of a list.
    fn prepended(&self, member: &Member, texts: &[&str]) -> Result<Splice, String> {
        let (list, key_end) = (&member.node, member.key_at.end);
        let all: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
        let Some(first) = list.elements().first() else {
            if !list.at.is_empty() {
                return Ok(Splice { at: list.at.clone(), text: format!("[{}]", all.join(", ")) });
            }
            // In YAML nothing may stand behind the colon.
            let colon = self
                .text
                .get(key_end..)
                .filter(|rest| rest.starts_with(':'))
                .ok_or("an entry is written in an unusual way")?;
            let at = self.text.len().saturating_sub(colon.len()).saturating_add(1);
            return Ok(Splice { at: at..at, text: format!(" [{}]", all.join(", ")) });
        };
        let (start, line) = (first.at.start, self.line_before(first.at.start));
        if list.style == Style::Block {
            let dash = line.rfind('-').and_then(|at| line.split_at_checked(at));
            let Some((indent, dash)) = dash.filter(|(indent, _)| indent.trim().is_empty()) else {
                return Err("its arguments begin on the line of something else: write each on its own line".to_owned());
            };
            let at = start.saturating_sub(dash.len());
            let lines: String = all.iter().map(|text| format!("- {text}{}{indent}", self.line_end())).collect();
            return Ok(Splice { at: at..at, text: lines });
        }
        let own_line = line.trim().is_empty() && self.text.get(..start).is_some_and(|before| before.contains('\n'));
        let separator = if own_line { format!(",{}{line}", self.line_end()) } else { ", ".to_owned() };
        Ok(Splice { at: start..start, text: all.iter().map(|text| format!("{text}{separator}")).collect() })
    }

    /// A member with a list behind the one whose key starts at `at`.
    fn behind(&self, source: &Node, at: usize, key: &str, texts: &[&str]) -> String {
        let list = texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ");
        let line = self.line_before(at);
        if source.style == Style::Block {
            // In a list of YAML the first member stands behind the dash.
            let indent: String = line.chars().map(|_| ' ').collect();
            return format!("{}{indent}{key}: [{list}]", self.line_end());
        }
        if line.trim().is_empty() && self.text.get(..at).is_some_and(|before| before.contains('\n')) {
            return format!(",{}{line}\"{key}\": [{list}]", self.line_end());
        }
        format!(", \"{key}\": [{list}]")
    }

    /// A map of variables with those alone that stay.
    fn emptied(&self, member: &Member, kept: &[String]) -> Option<Splice> {
        let env = &member.node;
        let stays: Vec<&Member> = env.members().iter().filter(|member| kept.contains(&member.key)).collect();
        if stays.len() == env.members().len() {
            return None;
        }
        let texts: Vec<&str> =
            stays.iter().filter_map(|member| self.text.get(member.key_at.start..member.node.at.end)).collect();
        if texts.is_empty() {
            let between = self.text.get(member.key_at.end..env.at.start).unwrap_or_default();
            if env.style == Style::Block && between.strip_prefix(':').is_some_and(|rest| rest.trim().is_empty()) {
                return Some(Splice { at: member.key_at.end..env.at.end, text: ": {}".to_owned() });
            }
            return Some(Splice { at: env.at.clone(), text: "{}".to_owned() });
        }
        let first = env.members().first().map_or(env.at.start, |member| member.key_at.start);
        let line = self.line_before(first);
        let text = if env.style == Style::Block {
            texts.join(&format!("{}{line}", self.line_end()))
        } else if line.trim().is_empty() && line.len() < first {
            let close = line.get(..line.len().saturating_sub(indent_step(self.text))).unwrap_or_default();
            let end = self.line_end();
            format!("{{{end}{line}{}{end}{close}}}", texts.join(&format!(",{end}{line}")))
        } else {
            format!("{{ {} }}", texts.join(", "))
        };
        Some(Splice { at: env.at.clone(), text })
    }

    fn line_before(&self, at: usize) -> &str {
        line_before(self.text, at)
    }

    fn line_end(&self) -> &'static str {
        line_end(self.text)
    }
}

/// An entry written again: the members that stay as they are written, the others behind them, as `other` has them or anew.
fn rebuilt(
    format: Format,
    text: &str,
    entry: &Node,
    wanted: &Node,
    other: Option<(&str, &Node)>,
) -> Result<String, String> {
    let first = entry.members().first().ok_or("an entry has no members")?;
    let line = line_before(text, first.key_at.start);
    let is_block = entry.style == Style::Block;
    let mut members = Vec::new();
    for member in wanted.members() {
        let written = |text: &str, entry: &Node| {
            let same = |old: &&Member| old.node.canonical() == member.node.canonical();
            let old = entry.member(&member.key).filter(same)?;
            text.get(old.key_at.start..old.node.at.end).map(str::to_owned)
        };
        match written(text, entry).or_else(|| other.and_then(|(text, entry)| written(text, entry))) {
            Some(written) => members.push(written),
            None if format == Format::Yaml => members.push(format!("{}: {}", member.key, member.node.canonical())),
            None => members.push(format!("{}: {}", quoted(&member.key), spaced(&member.node))),
        }
    }
    let end = line_end(text);
    if is_block {
        let indent: String = line.chars().map(|_| ' ').collect();
        return Ok(members.join(&format!("{end}{indent}")));
    }
    if line.trim().is_empty() && line.len() < first.key_at.start {
        let close = line_before(text, entry.at.end.saturating_sub(1));
        let close = if close.trim().is_empty() { close } else { "" };
        return Ok(format!("{{{end}{line}{}{end}{close}}}", members.join(&format!(",{end}{line}"))));
    }
    Ok(format!("{{ {} }}", members.join(", ")))
}

/// As people write a list of texts in JSON.
fn spaced(node: &Node) -> String {
    match &node.value {
        Value::List(elements) => format!("[{}]", elements.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) | Value::Odd(_) => {
            node.canonical()
        }
    }
}

fn spliced(text: &str, mut splices: Vec<Splice>) -> Result<String, String> {
    splices.sort_by_key(|splice| (splice.at.start, splice.at.end));
    let mut edited = String::with_capacity(text.len());
    let mut done = 0;
    for splice in splices {
        edited.push_str(text.get(done..splice.at.start).ok_or("two changes would meet in one place")?);
        edited.push_str(&splice.text);
        done = splice.at.end;
    }
    edited.push_str(text.get(done..).ok_or("a change would be outside of the file")?);
    Ok(edited)
}

/// The text, if it says what it should.
fn proven(format: Format, text: String, expected: &Node) -> Result<String, String> {
    let read =
        parse(format, &text).map_err(|error| format!("it could not be read any more once it is changed: {error}"))?;
    if read.canonical() == expected.canonical() {
        return Ok(text);
    }
    Err("it could not be changed without changing something else in it".to_owned())
}

fn entry_of<'a>(tree: &'a Node, change: &Change) -> Result<&'a Node, String> {
    let place = tree.find(change.place.iter().map(String::as_str));
    place
        .and_then(|place| place.entry(&change.key))
        .ok_or_else(|| format!("entry `{}` is not where it was", change.key))
}

fn keys(change: &Change) -> Vec<&str> {
    change.place.iter().map(String::as_str).chain([change.key.as_str()]).collect()
}

/// A text between quotation marks, as JSON, YAML and TOML read it alike.
fn quoted(text: &str) -> String {
    Json::text(text).as_str().to_owned()
}

/// What stands on the line before `at`.
fn line_before(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default();
    before.rsplit('\n').next().unwrap_or_default()
}

fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// How far a level is set in: one tab, or as many blanks as the first line that is set in.
fn indent_step(text: &str) -> usize {
    let first = text.lines().find(|line| line.starts_with([' ', '\t']));
    first.map_or(2, |line| if line.starts_with('\t') { 1 } else { line.len().saturating_sub(line.trim_start().len()) })
}

#[cfg(test)]
mod tests;
