//! One entry of a client's file: which server it starts, if this program can start it in its place.

use secrecy::SecretString;

use super::clients::{Client, Unit};
use super::tree::{Node, Value};

/// What an entry is.
#[derive(Debug)]
pub(crate) enum Entry {
    /// It starts a program.
    Local(Local),
    /// It names an address.
    Remote(Remote),
    /// This program, at this path, runs it.
    Protected(String),
    /// It is left alone, for this reason.
    Skipped(String),
    /// It cannot be run in a cage as it is; what to do about it.
    Refused(String),
}

/// A program that is started.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) command: Vec<String>,
    pub(crate) env: Vec<(String, Variable)>,
    pub(crate) cwd: Option<String>,
    pub(crate) timeout_seconds: Option<u32>,
}

/// The value of a variable or header.
#[derive(Debug, Clone)]
pub(crate) enum Variable {
    /// Written in the entry. It may be a secret.
    Written(SecretString),
    /// The client makes it when it starts the server: it stays in the entry, and goes through.
    FromClient,
}

/// A server somewhere else.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, SecretString)>,
    /// Why it cannot be imported, if so.
    pub(crate) obstacle: Option<String>,
}

/// Reads an entry. `is_ours` tells whether a program is this one.
#[must_use]
pub(crate) fn read(client: &Client, node: &Node, is_ours: &dyn Fn(&str) -> bool) -> Entry {
    if node.members().is_empty() {
        return Entry::Skipped("it has no members".to_owned());
    }
    if let Some(start) = start(client, node)
        && start.first().is_some_and(|program| is_ours(program))
    {
        let is_run = start.get(1).is_some_and(|verb| ["run", "stdio"].contains(verb));
        let program = start.first().copied().unwrap_or_default();
        return if is_run {
            Entry::Protected(program.to_owned())
        } else {
            Entry::Skipped("it is Sekisho itself".to_owned())
        };
    }
    if node.is_odd() {
        return Entry::Refused("it uses anchors, aliases or tags of YAML: write it out without them".to_owned());
    }
    let is = |key: &str, bool: bool| node.get(key).is_some_and(|node| node.value == Value::Bool(bool));
    if is("disabled", true) || is("enabled", false) {
        return Entry::Skipped("it is switched off".to_owned());
    }
    if let Some(remote) = remote(client, node) {
        return Entry::Remote(remote);
    }
    match local(client, node) {
        Ok(Some(local)) => Entry::Local(local),
        Ok(None) => {
            let kind = node.get("type").or_else(|| node.get("source")).and_then(Node::as_text);
            Entry::Skipped(kind.map_or_else(
                || "it names neither a program nor an address".to_owned(),
                |kind| format!("it is part of the client or of an extension of it ({kind})"),
            ))
        }
        Err(why) => Entry::Refused(why),
    }
}

/// The server that an entry of this program runs.
pub(crate) fn server<'a>(client: &Client, node: &'a Node, is_ours: &dyn Fn(&str) -> bool) -> Option<&'a str> {
    let start = start(client, node)?;
    let (program, arguments) = start.split_first()?;
    let named = arguments.iter().skip_while(|word| **word != "--server").nth(1).copied();
    named.filter(|_| is_ours(program))
}

/// The map that holds program, arguments and variables: the entry, or what older versions of Zed have under `command`.
#[must_use]
pub(crate) fn holder<'a>(client: &Client, node: &'a Node) -> (&'a Node, &'static str) {
    match node.get(client.words.command) {
        Some(inner) if matches!(inner.value, Value::Map(_)) => (inner, "path"),
        Some(_) | None => (node, client.words.command),
    }
}

/// The program that the entry starts, and its arguments as far as they are texts.
fn start<'a>(client: &Client, node: &'a Node) -> Option<Vec<&'a str>> {
    let (holder, key) = holder(client, node);
    let command = holder.get(key)?;
    let args = client.words.args.and_then(|key| holder.get(key)).map(Node::elements).unwrap_or_default();
    let program = if command.elements().is_empty() { std::slice::from_ref(command) } else { command.elements() };
    Some(program.iter().chain(args).filter_map(Node::as_text).collect())
}

fn local(client: &Client, node: &Node) -> Result<Option<Local>, String> {
    let words = client.words;
    let (holder, key) = holder(client, node);
    let Some(member) = holder.get(key) else { return Ok(None) };
    let mut command = match &member.value {
        Value::Text(program) if !program.is_empty() && words.args.is_some() => vec![program.clone()],
        Value::List(_) if words.args.is_none() => texts(member, "the command")?,
        Value::Null
        | Value::Text(_)
        | Value::Bool(_)
        | Value::Number(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Odd(_) => {
            return Err(format!("its command is no {}", if words.args.is_some() { "text" } else { "list of texts" }));
        }
    };
    if let Some(args) = words.args.and_then(|key| holder.get(key)).filter(|args| args.value != Value::Null) {
        command.extend(texts(args, "an argument")?);
    }
    if command.first().is_none_or(String::is_empty) {
        return Err("its command is empty".to_owned());
    }
    if command.iter().any(|text| text.contains('\0')) {
        return Err("its command has a NUL character".to_owned());
    }
    if let Some(text) = command.iter().find(|text| client.placeholders.is_in(text)) {
        let why = "its command has a placeholder that only the client can replace";
        return Err(format!("{why} ({}): write the value out, or put it into a variable", shown(text)));
    }
    let cwd = words.cwd.iter().find_map(|key| node.get(key)).and_then(Node::as_text);
    if cwd.is_some_and(|cwd| client.placeholders.is_in(cwd)) {
        return Err("its working folder is a placeholder that only the client can replace: write it out".to_owned());
    }
    let timeout_seconds = words.timeout.and_then(|(key, unit)| match &node.get(key)?.value {
        Value::Number(number) => seconds(number, unit),
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) | Value::Odd(_) => None,
    });
    Ok(Some(Local { command, env: variables(client, holder)?, cwd: cwd.map(str::to_owned), timeout_seconds }))
}

fn variables(client: &Client, holder: &Node) -> Result<Vec<(String, Variable)>, String> {
    let words = client.words;
    let mut env = Vec::new();
    for member in holder.get(words.env).map(Node::members).unwrap_or_default() {
        let name = &member.key;
        check_variable(name)?;
        let value = match &member.node.value {
            Value::Text(text) if client.placeholders.is_in(text) => Variable::FromClient,
            Value::Text(text) if text.contains('\0') => return Err(format!("variable `{name}` has a NUL character")),
            Value::Text(text) if text.len() > VALUE_BYTES_MAX => {
                return Err(format!("variable `{name}` is longer than {VALUE_BYTES_MAX} bytes"));
            }
            Value::Text(text) | Value::Number(text) => Variable::Written(text.as_str().into()),
            Value::Bool(bool) => Variable::Written(bool.to_string().into()),
            Value::Null => continue,
            Value::List(_) | Value::Map(_) | Value::Odd(_) => return Err(format!("variable `{name}` is no text")),
        };
        env.push((name.clone(), value));
    }
    for passed in words.passed.and_then(|key| holder.get(key)).map(Node::elements).unwrap_or_default() {
        let name = passed.as_text().ok_or("the name of a variable is no text")?;
        if name == SEARCH {
            // It is handed over and looked at anyway.
            continue;
        }
        check_variable(name)?;
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.to_owned(), Variable::FromClient));
        }
    }
    Ok(env)
}

/// Variables that make a program load or run something else than what is named.
fn check_variable(name: &str) -> Result<(), String> {
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if !is_name {
        return Err("the name of a variable has something else than letters, digits and `_`".to_owned());
    }
    if name == SEARCH {
        let mend = "take it out, and name the program by its whole path if it is not found then";
        return Err(format!(
            "variable `{name}` decides which program runs, behind the back of what is approved: {mend}"
        ));
    }
    if ESCAPES.contains(&name) || name.starts_with("DYLD_") {
        return Err(format!("variable `{name}` makes a program run something else than what is approved: take it out"));
    }
    Ok(())
}

fn remote(client: &Client, node: &Node) -> Option<Remote> {
    let words = client.words;
    let url = words.url.iter().find_map(|key| node.get(key)).and_then(Node::as_text)?;
    let kind = node.get("type").or_else(|| node.get("transport")).and_then(Node::as_text).unwrap_or_default();
    let mut obstacle = None;
    let mut headers = Vec::new();
    if kind.eq_ignore_ascii_case("sse") {
        obstacle =
            Some("it speaks the old HTTP+SSE transport: see whether it has a Streamable HTTP address".to_owned());
    }
    if client.placeholders.is_in(url) {
        obstacle = Some("its address has a placeholder that only the client can replace: write it out".to_owned());
    }
    if let Some(key) = words.credentials.iter().find(|key| node.get(key).is_some()) {
        obstacle = Some(format!("its credential is named by `{key}`, which only the client can follow"));
    }
    for member in words.headers.iter().find_map(|key| node.get(key)).map(Node::members).unwrap_or_default() {
        match member.node.as_text() {
            Some(text) if client.placeholders.is_in(text) => {
                obstacle = Some(format!("header `{}` has a placeholder that only the client can replace", member.key));
            }
            Some(text) if text.is_empty() || text.contains(char::is_control) || text.len() > VALUE_BYTES_MAX => {
                obstacle = Some(format!("header `{}` cannot be sent as it is", member.key));
            }
            Some(text) => headers.push((member.key.clone(), text.into())),
            None => obstacle = Some(format!("header `{}` is no text", member.key)),
        }
    }
    Some(Remote { url: url.to_owned(), headers, obstacle })
}

fn texts(node: &Node, what: &str) -> Result<Vec<String>, String> {
    let Value::List(elements) = &node.value else { return Err(format!("{what} is no list of texts")) };
    let text = |element: &Node| match &element.value {
        Value::Text(text) | Value::Number(text) => Ok(text.clone()),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) | Value::Odd(_) => {
            Err(format!("{what} is no text"))
        }
    };
    elements.iter().map(text).collect()
}

/// Longer than usual, within what is allowed; otherwise the usual one holds.
fn seconds(number: &str, unit: Unit) -> Option<u32> {
    let number: u32 = number.parse().ok()?;
    let seconds = match unit {
        Unit::Seconds => number,
        Unit::Milliseconds => number.div_ceil(1000),
    };
    (61..=3600).contains(&seconds).then_some(seconds)
}

/// The part of an argument that names the placeholder.
fn shown(text: &str) -> String {
    let start = text.find(['$', '{']).unwrap_or_default();
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.find('}').map_or(rest.len(), |at| at.saturating_add(1));
    rest.get(..end.min(60)).unwrap_or(rest).to_owned()
}

/// LIMIT: of a variable or header, as `sekisho_keys` reads a secret.
const VALUE_BYTES_MAX: usize = 64 * 1024 - 2;
/// Where programs are looked for.
const SEARCH: &str = "PATH";
const ESCAPES: [&str; 10] = [
    "BASH_ENV",
    "LD_AUDIT",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "NODE_OPTIONS",
    "PERL5OPT",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "PYTHONSTARTUP",
    "RUBYOPT",
];
