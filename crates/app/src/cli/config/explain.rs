//! `sekisho config explain`

use clap::Args;
use sekisho_keys::SecretRef;
use sekisho_wire::text::visible;
use serde_json::{Value, json};
use url::Url;

use crate::cli::{ConfigFile, Outcome};
use crate::config;
use crate::keys::{Key, Written, keys};
use crate::problem::{self, Code, Problem};
use crate::schema::{Fit, Node, Shape, schema};
use crate::strict::nearest;

/// Tell what holds for a key of the configuration, and where it comes from
///
/// For each key: its value or its default, the line of the file it comes from, its type and range, whether a change needs a
/// restart, and what it is for. Secrets are never looked up: of them only the references are shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sekisho config explain                            every key, written or not
  sekisho config explain limits                     a section
  sekisho config explain servers.notes.trust        a key of one server
  sekisho config explain 'servers.*.timeout_seconds'  the same key of all servers
  sekisho config explain identity.issuers.0.issuer --json")]
pub(super) struct Explain {
    /// The key, with dots; `*` stands for any name or number. Everything if not given
    key: Option<String>,
    /// As JSON, for machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

impl Explain {
    pub(super) fn run(self) -> Outcome {
        let document = config::open(&self.file.path).map_err(|problem| vec![problem])?;
        let schema = schema();
        let keys = keys(&schema, &document);
        let chosen = choose(&keys, self.key.as_deref()).map_err(|problem| vec![problem])?;
        let problems = config::form(&document).err().unwrap_or_default();
        if self.json {
            let told: Vec<Value> = chosen.iter().map(|key| as_json(key)).collect();
            let problems: Vec<String> = problems.iter().map(Problem::line).collect();
            println!("{:#}", json!({ "keys": told, "problems": problems }));
        } else {
            chosen.iter().for_each(|key| print!("{}", as_text(key)));
            problem::print(&problems);
        }
        if !problems.is_empty() {
            eprintln!("a gateway does not use this configuration until that is mended");
        }
        Ok(())
    }
}

/// The keys that `path` names, and all that is below them.
fn choose<'k, 's>(keys: &'k [Key<'s>], path: Option<&str>) -> Result<Vec<&'k Key<'s>>, Problem> {
    let Some(path) = path else { return Ok(keys.iter().collect()) };
    let parts = split(path);
    let matches = |key: &&Key<'_>| {
        key.path.len() >= parts.len() && key.path.iter().zip(&parts).all(|(known, part)| part == "*" || known == part)
    };
    let chosen: Vec<_> = keys.iter().filter(matches).collect();
    if chosen.is_empty() { Err(unknown(keys, path, &parts)) } else { Ok(chosen) }
}

/// The parts between dots; a part in double quotes may have dots in it.
fn split(path: &str) -> Vec<String> {
    let (mut parts, mut quoted) = (vec![String::new()], false);
    for character in path.chars() {
        match (character, quoted, parts.last_mut()) {
            ('"', _, _) => quoted = !quoted,
            ('.', false, _) => parts.push(String::new()),
            (_, _, Some(part)) => part.push(character),
            (_, _, None) => {}
        }
    }
    parts
}

fn unknown(keys: &[Key<'_>], path: &str, parts: &[String]) -> Problem {
    let names: Vec<String> = keys.iter().map(Key::name).collect();
    // A word alone may be the end of a path.
    let end = match parts {
        [word] => keys.iter().find(|key| key.path.last() == Some(word)).map(Key::name),
        _ => None,
    };
    let near = end.or_else(|| nearest(path, names.iter().map(String::as_str)).map(str::to_owned));
    let problem = Problem::new(Code::UnknownKey, format!("there is no key `{path}`"));
    match near {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help("`sekisho config explain` tells them all"),
    }
}

/// What holds for a key.
#[derive(Debug)]
enum Held {
    /// This value.
    Value(Value),
    /// The file's, which is not shown.
    Hidden(&'static str),
    /// Nothing is set, and nothing need be.
    Unset,
    /// Nothing is set, and something must be.
    Missing,
}

impl Held {
    fn by(key: &Key<'_>) -> Held {
        match (&key.written, key.node.default()) {
            (Some(written), _) => Held::written(key.node, written),
            (None, Some(default)) => Held::Value(default.clone()),
            (None, None) if key.required => Held::Missing,
            (None, None) => Held::Unset,
        }
    }

    /// A value is shown where it is what it should be: what stands in a wrong place may be a secret.
    fn written(node: Node<'_>, written: &Written) -> Held {
        let Some(value) = &written.value else { return Held::Hidden("it cannot be read") };
        if node.admits(value) == Fit::WrongType {
            return Held::Hidden("it is of another type");
        }
        let text = value.as_str().unwrap_or_default();
        if node.is_secret() && text.parse::<SecretRef>().is_err() {
            return Held::Hidden("it is no reference to a secret");
        }
        if node.is_address() && !is_harmless(text) {
            return Held::Hidden("it is no address, or has a user, password or query in it");
        }
        serde_json::to_value(value).map_or(Held::Hidden("it cannot be read"), Held::Value)
    }
}

fn is_harmless(address: &str) -> bool {
    let plain = |url: Url| url.username().is_empty() && url.password().is_none() && url.query().is_none();
    Url::parse(address).is_ok_and(plain)
}

fn as_text(key: &Key<'_>) -> String {
    let name = key.name();
    let node = key.node;
    let head = match node.shape() {
        Shape::Table | Shape::Map(_) | Shape::List(_) => format!("[{name}]\n    {}", source(key)),
        Shape::Leaf => {
            let held = match Held::by(key) {
                Held::Value(value) => format!(" = {}", literal(&value)),
                Held::Hidden(why) => format!(" = … (not shown: {why})"),
                Held::Unset => " is not set".to_owned(),
                Held::Missing => " is missing".to_owned(),
            };
            format!("{name}{held}\n    {}; {}; {}", source(key), kind(key), change(key))
        }
    };
    let requirement = key.requirement.filter(|_| !matches!(node.shape(), Shape::Map(_) | Shape::List(_)));
    let requirement = requirement.map(|id| format!("\n    Requirement {id} in SPECIFICATION.md.")).unwrap_or_default();
    visible(&format!("{head}\n    {}{requirement}\n", node.description())).into_owned()
}

fn source(key: &Key<'_>) -> String {
    let default = key.node.default().map(literal);
    match (&key.written, default) {
        (Some(written), Some(default)) => format!("{} (default: {default})", line(written)),
        (Some(written), None) => line(written),
        (None, Some(_)) => "default".to_owned(),
        (None, None) => "not in the file".to_owned(),
    }
}

fn line(written: &Written) -> String {
    format!("{}:{}", written.place.path.display(), written.place.position().0)
}

fn kind(key: &Key<'_>) -> String {
    let node = key.node;
    let choices = node.element().unwrap_or(node).choices();
    let mut words = match (node.kind(), node.element()) {
        ("array", Some(element)) => format!("list of {}s", element.kind()),
        (kind, _) => kind.to_owned(),
    };
    if let Some((min, max)) = node.range() {
        words.push_str(&format!(" from {min} to {max}"));
    }
    if let Some(unit) = unit(key) {
        words.push_str(&format!(", in {unit}"));
    }
    if !choices.is_empty() {
        words.push_str(&format!(", one of {}", choices.join(", ")));
    }
    words
}

/// Names have their unit in them.
fn unit(key: &Key<'_>) -> Option<&'static str> {
    let name = key.path.last()?;
    let is = |unit: &str| key.node.kind() == "integer" && name.split('_').any(|word| word == unit);
    let units = [("seconds", "seconds"), ("ms", "milliseconds"), ("bytes", "bytes")];
    units.into_iter().find(|(word, _)| is(word)).map(|(_, unit)| unit)
}

fn change(key: &Key<'_>) -> &'static str {
    if key.restart { "a change needs a restart" } else { "a change is taken over while it runs" }
}

/// As TOML writes it: what JSON and TOML have in common, they write alike.
fn literal(value: &Value) -> String {
    match value {
        Value::Array(elements) => format!("[{}]", elements.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(_) if value.as_object().is_some_and(serde_json::Map::is_empty) => "{}".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => value.to_string(),
    }
}

fn as_json(key: &Key<'_>) -> Value {
    let held = match (key.node.shape(), Held::by(key)) {
        (Shape::Leaf, Held::Value(value)) => value,
        (Shape::Leaf | Shape::Table | Shape::Map(_) | Shape::List(_), _) => Value::Null,
    };
    let hidden = matches!((key.node.shape(), Held::by(key)), (Shape::Leaf, Held::Hidden(_)));
    let from = match (&key.written, key.node.default()) {
        (Some(written), _) => json!({ "file": written.place.path, "line": written.place.position().0 }),
        (None, Some(_)) => json!("default"),
        (None, None) if key.required => json!("missing"),
        (None, None) => json!("unset"),
    };
    let (min, max) = key.node.range().unzip();
    json!({
        "key": key.name(),
        "value": held,
        "hidden": hidden,
        "from": from,
        "default": key.node.default(),
        "type": key.node.kind(),
        "minimum": min,
        "maximum": max,
        "unit": unit(key),
        "choices": key.node.element().unwrap_or(key.node).choices(),
        "restart": key.restart,
        "requirement": key.requirement,
        "description": key.node.description(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_parts_of_a_path_may_have_dots() {
        assert_eq!(split("servers.notes.trust"), ["servers", "notes", "trust"]);
        assert_eq!(split(r#"servers.notes.env."A.B""#), ["servers", "notes", "env", "A.B"]);
        assert_eq!(split(""), [""]);
    }

    #[test]
    fn addresses_with_anything_private_in_them_are_not_shown() {
        assert!(is_harmless("https://mcp.example.com/mcp"));
        for private in ["https://u@a.example/", "https://u:p@a.example/", "https://a.example/?key=x", "hunter2"] {
            assert!(!is_harmless(private), "{private}");
        }
    }
}
