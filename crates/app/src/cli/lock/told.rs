//! What is approved, offered and different, in words.

use std::fmt::Write as _;

use sekisho_catalog::{Difference, Identity, Mark, noun, risk};
use sekisho_wire::text::visible;
use sekisho_wire::{Json, ServerId};

use crate::drift::{Compared, Item, State};
use crate::known;
use crate::problem::{Code, Problem};

/// A server with everything that it offers, a line each, and what rules mark.
pub(in crate::cli) fn server(server: &Compared) -> String {
    let mut text = identity(server);
    let Ok(items) = &server.items else { return text };
    if items.is_empty() {
        text.push_str("  nothing is offered\n");
    }
    for item in items {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  {:<9} {}  {}", noun(item.kind), name(item), first_words(item));
        text.push_str(&remarks(item));
    }
    text
}

/// Who a server is.
pub(in crate::cli) fn identity(server: &Compared) -> String {
    let mut text = format!("{}  {}\n", server.id, visible(&server.identity.to_string()).replace('\n', " "));
    if let Some(why) = &server.stranger {
        let _ = writeln!(text, "  ! not the server that was approved: {why}");
    }
    if let Identity::Stdio { env, .. } = &server.identity
        && !env.is_empty()
    {
        let _ = writeln!(text, "  is given the environment variables {}", env.join(", "));
    }
    if server.says_something_else {
        text.push_str("  ! says something else of itself than what was approved\n");
    }
    let unaccepted = server.unaccepted();
    for (said, marks) in &server.introductions {
        if let Some(instructions) = said.said().get("instructions").as_ref().and_then(Json::string) {
            let _ = writeln!(text, "  says      “{}”", beginning(&instructions));
        }
        for mark in marks {
            text.push_str(&marked(mark, unaccepted.iter().any(|one| std::ptr::eq(*one, mark))));
        }
    }
    text.push_str(&known::package(&server.identity));
    text
}

/// One thing, and how it differs from what was approved.
pub(in crate::cli) fn difference(server: &ServerId, item: &Item) -> String {
    let mut text = format!("\n{} {server}/{}: {}\n", noun(item.kind), name(item), state(item));
    if let State::Changed(differences) = &item.state {
        for one in differences {
            text.push_str(&told(one));
        }
    }
    if matches!(item.state, State::Unapproved { .. }) {
        // All of it: whoever approves it has to see what that is.
        for line in item
            .faces
            .iter()
            .filter_map(|face| face.pin.as_ref().ok())
            .flat_map(|pin| pin.pinned().to_lines().lines().map(str::to_owned).collect::<Vec<_>>())
        {
            let _ = writeln!(text, "  {line}");
        }
    }
    for pin in item.faces.iter().filter_map(|face| face.pin.as_ref().ok()) {
        let _ = writeln!(text, "  sha256 {}", pin.pinned().digest());
    }
    text.push_str(&remarks(item));
    text
}

/// What a server says of itself, where that is not what was approved: all of it.
pub(in crate::cli) fn introductions(server: &Compared) -> String {
    let mut text = String::new();
    for (said, _) in
        server.introductions.iter().filter(|_| server.says_something_else || !server.unaccepted().is_empty())
    {
        let _ = writeln!(text, "  says of itself (sha256 {}):", said.digest());
        for line in said.to_lines().lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// How it stands, in a few words.
pub(in crate::cli) fn state(item: &Item) -> String {
    match &item.state {
        State::Approved => "approved".to_owned(),
        State::Open => "needs no approval (`unpinned_resources`)".to_owned(),
        State::Unapproved { like: None } => "nobody has approved it".to_owned(),
        State::Unapproved { like: Some(like) } => {
            format!("nobody has approved it; it is much like `{}`, which was approved", one_line(like))
        }
        State::Changed(differences) => format!("changed since it was approved, risk {}", risk(differences)),
        State::Gone => "approved, and offered no more".to_owned(),
        State::Unusable(flaw) => format!("cannot be used: {flaw}"),
    }
}

/// Everything about a server that whoever answers for it has to look at; `option` is what commands about it need besides.
pub(in crate::cli) fn problems(server: &Compared, option: &str) -> Vec<Problem> {
    let id = &server.id;
    let items = match &server.items {
        Ok(items) => items,
        Err(problem) => return vec![problem.again()],
    };
    let mut problems = Vec::new();
    if !server.is_known {
        let words = format!("server `{id}` is not in the lock file: nobody has approved what it offers");
        return vec![Problem::new(Code::Drift, words).help(format!("sekisho lock {id}{option}"))];
    }
    if let Some(why) = &server.stranger {
        let words = format!("server `{id}` is not the one that was approved: {why}");
        problems
            .push(Problem::new(Code::Drift, words).help(format!("if that is right: `sekisho approve {id}{option}`")));
    }
    if server.says_something_else || !server.unaccepted().is_empty() {
        let words =
            format!("server `{id}` says something of itself that was not approved: its instructions or its name");
        let help = format!(
            "`sekisho lock diff {id}{option}` shows it; if that is right: `sekisho approve {id}{}{option}`",
            despite(&server.unaccepted())
        );
        problems.push(Problem::new(Code::Drift, words).help(help));
    }
    for item in items.iter().filter(|item| item.needs_a_look()) {
        problems.push(problem(id, item, option));
    }
    problems
}

/// One thing that has to be looked at.
pub(in crate::cli) fn problem(id: &ServerId, item: &Item, option: &str) -> Problem {
    let mut words = format!("{} `{id}/{}`: {}", noun(item.kind), name(item), state(item));
    if let State::Changed(differences) = &item.state {
        for one in differences.iter().take(SAID_MAX) {
            let _ = write!(words, "; {}: {}", at(&one.at), one_line(&one.words));
        }
    }
    for mark in item.unaccepted().into_iter().take(SAID_MAX) {
        let _ = write!(words, "; {} at {}: {}", mark.rule, at(&mark.at), mark.why);
    }
    let despite = despite(&item.unaccepted());
    let more = format!("`sekisho lock diff {id}{option}` tells more");
    let help = match &item.state {
        State::Unusable(_) => format!("{more}; its server has to mend it"),
        State::Approved | State::Open | State::Unapproved { .. } | State::Changed(_) | State::Gone => {
            format!("{more}; if that is right: `sekisho approve {}{despite}{option}`", quoted(id, item))
        }
    };
    Problem::new(Code::Drift, words).help(help)
}

/// The options that name these rules, each once.
pub(in crate::cli) fn despite(marks: &[&Mark]) -> String {
    let rules: std::collections::BTreeSet<&str> = marks.iter().map(|mark| mark.rule.as_str()).collect();
    rules.into_iter().map(|rule| format!(" --despite {rule}")).collect()
}

/// A definition over lines.
pub(in crate::cli) fn definition(item: &Item) -> String {
    let mut text = String::new();
    for face in &item.faces {
        let eras: Vec<&str> = face.eras.iter().map(|era| era.as_str()).collect();
        match &face.pin {
            Ok(pin) => {
                let _ = writeln!(text, "shown in {}:\n{}", eras.join(" and "), pin.pinned().to_lines());
            }
            Err(flaw) => {
                let _ = writeln!(text, "shown in {}: cannot be used: {flaw}", eras.join(" and "));
            }
        }
    }
    text
}

fn told(one: &Difference) -> String {
    let mut text = format!("  [{}] {}  {}\n", one.meaning.risk(), at(&one.at), one_line(&one.words));
    for (sign, part) in [('-', &one.old), ('+', &one.new)] {
        if let Some(part) = part {
            let _ = writeln!(text, "         {sign} {}", part.replace('\n', " ⏎ "));
        }
    }
    text
}

fn remarks(item: &Item) -> String {
    let mut text = String::new();
    if let State::Unusable(flaw) = &item.state {
        let _ = writeln!(text, "            ! WITHHELD: {flaw}");
    }
    let unaccepted: Vec<&Mark> = item.unaccepted();
    for mark in item.marks() {
        text.push_str(&marked(mark, unaccepted.iter().any(|one| std::ptr::eq(*one, mark))));
    }
    text
}

fn marked(mark: &Mark, withholds: bool) -> String {
    let word = if withholds { "! WITHHELD" } else { "· note" };
    let quote = mark.quote.replace('\n', " ⏎ ");
    format!("            {word}: {} ({} at {})\n              “{quote}”\n", mark.why, mark.rule, at(&mark.at))
}

fn at(pointer: &str) -> String {
    if pointer.is_empty() { "/".to_owned() } else { one_line(pointer) }
}

fn one_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

/// A thing as a command takes it, quoted where a shell would read something else.
fn quoted(id: &ServerId, item: &Item) -> String {
    let target = format!("{id}/{}", item.name);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:-".contains(&byte);
    if target.bytes().all(is_plain) {
        target
    } else if visible(&target) == target && !target.contains(['\'', '\n', '\t']) {
        format!("'{target}'")
    } else {
        format!("{id}/<name>")
    }
}

pub(in crate::cli) fn name(item: &Item) -> String {
    let shown = visible(&item.name).replace(['\n', '\t'], " ");
    if shown.chars().count() <= NAME_CHARS { shown } else { shown.chars().take(NAME_CHARS).chain(['…']).collect() }
}

/// The beginning of what it says of itself.
fn first_words(item: &Item) -> String {
    let text = item.faces.iter().find_map(|face| {
        let json = face.pin.as_ref().ok()?.pinned().json().clone();
        let text = json.get("description").or_else(|| json.get("title"))?;
        text.string().map(|text| text.into_owned())
    });
    let text = text.unwrap_or_default();
    let more = text.lines().filter(|line| !line.trim().is_empty()).count().saturating_sub(1);
    if more == 0 {
        beginning(&text)
    } else {
        format!("{} (and {more} more lines: `sekisho catalog show`)", beginning(&text))
    }
}

/// Its first line, if that is not too long.
fn beginning(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = visible(line);
    if line.chars().count() <= WORDS_CHARS {
        line.into_owned()
    } else {
        line.chars().take(WORDS_CHARS).chain(['…']).collect()
    }
}

/// The same as JSON, for machines.
pub(in crate::cli) fn as_json(item: &Item) -> Json {
    use sekisho_wire::json::{Array, Object};
    let mut marks = Array::new();
    for mark in item.marks() {
        let object = Object::new().text("rule", mark.rule.as_str()).text("at", &mark.at).text("why", mark.why);
        marks.push(&object.text("quote", &mark.quote).finish());
    }
    let digests: Vec<String> =
        item.faces.iter().filter_map(|face| Some(face.pin.as_ref().ok()?.pinned().digest().to_string())).collect();
    Object::new()
        .text("kind", noun(item.kind))
        .text("name", &item.name)
        .text("state", &state(item))
        .bool("withheld", item.needs_a_look() && !matches!(item.state, State::Gone))
        .texts("sha256", digests.iter().map(String::as_str))
        .json("marks", &marks.finish())
        .finish()
}

/// Differences and marks of one thing that are said in one line.
const SAID_MAX: usize = 3;
const NAME_CHARS: usize = 80;
const WORDS_CHARS: usize = 90;
