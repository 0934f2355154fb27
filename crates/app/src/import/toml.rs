//! TOML, edited in place by `toml_edit`, which keeps comments and layout.

use std::ops::Range;

use toml_edit::{Array, Document, DocumentMut, Item, TableLike, Value as TomlValue};

use super::tree::{Member, Node, Style, Value};

/// Reads a text.
///
/// # Errors
/// What is wrong, and in which line.
pub(crate) fn read(text: &str) -> Result<Node, String> {
    let document = Document::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count().saturating_add(1);
        format!("it is no TOML: {} (line {line})", error.message())
    })?;
    Ok(table(document.as_table(), 0..0))
}

/// The text with another value at the end of `keys`, taken from another text where it stands there.
///
/// # Errors
/// Either text has no such value.
pub(crate) fn transplant(text: &str, from: &str, keys: &[&str]) -> Result<String, String> {
    let gone = || "an entry is not where it was".to_owned();
    let mut document = edited(text)?;
    let from = edited(from)?;
    let original = keys.iter().try_fold(from.as_item(), |item, key| item.get(*key)).ok_or_else(gone)?;
    let place = keys.iter().try_fold(document.as_item_mut(), |item, key| item.get_mut(*key)).ok_or_else(gone)?;
    *place = original.clone();
    Ok(document.to_string())
}

/// The text with these members of the table at the end of `keys` as another text has them there: taken over, or taken out.
///
/// # Errors
/// Either text has no such table.
pub(crate) fn transplant_members(text: &str, from: &str, keys: &[&str], members: &[&str]) -> Result<String, String> {
    let gone = || "an entry is not where it was".to_owned();
    let mut document = edited(text)?;
    let from = edited(from)?;
    let original = keys.iter().try_fold(from.as_item(), |item, key| item.get(*key)).and_then(Item::as_table_like);
    let original = original.ok_or_else(gone)?;
    let place = keys.iter().try_fold(document.as_item_mut(), |item, key| item.get_mut(*key));
    let place = place.and_then(Item::as_table_like_mut).ok_or_else(gone)?;
    for member in members {
        match (original.get(member), place.get_mut(member)) {
            (Some(then), Some(now)) => *now = then.clone(),
            (Some(then), None) => drop(place.insert(member, then.clone())),
            (None, _) => drop(place.remove(member)),
        }
    }
    Ok(document.to_string())
}

/// The text with the members of the entry at the end of `keys` as `wanted` has them: what differs is exchanged, added or taken out.
///
/// # Errors
/// There is no such entry.
pub(crate) fn rewrite(text: &str, keys: &[&str], wanted: &Node) -> Result<String, String> {
    let now = read(text)?;
    let now = now.find(keys.iter().copied()).ok_or("an entry is not where it was")?;
    let mut document = edited(text)?;
    let place = keys.iter().try_fold(document.as_item_mut(), |item, key| item.get_mut(*key));
    let entry = place.and_then(Item::as_table_like_mut).ok_or("an entry is not where it was")?;
    for member in now.members() {
        if wanted.get(&member.key).is_none() {
            entry.remove(&member.key);
        }
    }
    for member in wanted.members() {
        if now.get(&member.key).map(Node::canonical) == Some(member.node.canonical()) {
            continue;
        }
        let mut value = value(&member.node)?;
        if let Some(array) = entry.get_mut(&member.key).and_then(Item::as_array_mut)
            && put_before(array, now.get(&member.key), &member.node)?
        {
            continue;
        }
        match entry.get_mut(&member.key).and_then(Item::as_value_mut) {
            Some(old) => {
                *value.decor_mut() = old.decor().clone();
                *old = value;
            }
            None => {
                entry.remove(&member.key);
                entry.insert(&member.key, Item::Value(value));
            }
        }
    }
    Ok(document.to_string())
}

/// Where a list is to end with what is in it, the rest is put before that, in its layout.
fn put_before(array: &mut Array, now: Option<&Node>, wanted: &Node) -> Result<bool, String> {
    let now = now.map(Node::elements).unwrap_or_default();
    let Some(count) = wanted.elements().len().checked_sub(now.len()) else { return Ok(false) };
    let (new, rest) = wanted.elements().split_at_checked(count).unwrap_or_default();
    let is_same = rest.iter().map(Node::canonical).eq(now.iter().map(Node::canonical));
    let Some(first) = array.get(0).filter(|_| is_same) else { return Ok(false) };
    let start = first.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned();
    let between = if start.contains('\n') { start.clone() } else { " ".to_owned() };
    if let Some(first) = array.get_mut(0) {
        first.decor_mut().set_prefix(between.clone());
    }
    for (at, node) in new.iter().enumerate() {
        let prefix = if at == 0 { &start } else { &between };
        array.insert_formatted(at, value(node)?.decorated(prefix.clone(), ""));
    }
    Ok(true)
}

fn edited(text: &str) -> Result<DocumentMut, String> {
    text.parse::<DocumentMut>().map_err(|error| format!("it is no TOML: {}", error.message()))
}

fn value(node: &Node) -> Result<TomlValue, String> {
    match &node.value {
        Value::Text(text) => Ok(text.into()),
        Value::Bool(bool) => Ok((*bool).into()),
        Value::Number(written) => written.parse().map_err(|_| format!("`{written}` is no number")),
        Value::List(elements) => {
            let values = elements.iter().map(value).collect::<Result<Vec<_>, _>>()?;
            Ok(TomlValue::Array(values.into_iter().collect()))
        }
        Value::Map(members) => {
            let values = members.iter().map(|member| Ok((member.key.as_str(), value(&member.node)?)));
            Ok(TomlValue::InlineTable(values.collect::<Result<Vec<_>, String>>()?.into_iter().collect()))
        }
        Value::Null | Value::Odd(_) => Err("TOML has no such value".to_owned()),
    }
}

fn table(table: &dyn TableLike, at: Range<usize>) -> Node {
    let members = table.iter().map(|(key, item)| Member { key: key.to_owned(), key_at: 0..0, node: node(item) });
    Node { value: Value::Map(members.collect()), at, style: Style::Plain }
}

fn node(item: &Item) -> Node {
    let at = item.span().unwrap_or_default();
    let value = match item {
        Item::None => Value::Null,
        Item::Table(inner) => return table(inner, at),
        Item::ArrayOfTables(tables) => Value::List(tables.iter().map(|inner| table(inner, 0..0)).collect()),
        Item::Value(value) => return of_value(value),
    };
    Node { value, at, style: Style::Plain }
}

fn of_value(value: &TomlValue) -> Node {
    let at = value.span().unwrap_or_default();
    let value = match value {
        TomlValue::String(text) => Value::Text(text.value().clone()),
        TomlValue::Boolean(bool) => Value::Bool(*bool.value()),
        TomlValue::Integer(_) | TomlValue::Float(_) | TomlValue::Datetime(_) => {
            Value::Number(value.clone().decorated("", "").to_string())
        }
        TomlValue::Array(array) => Value::List(array.iter().map(of_value).collect()),
        TomlValue::InlineTable(inner) => return table(inner, at),
    };
    Node { value, at, style: Style::Plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# top\nmodel = \"x\" # m\n\n[mcp_servers.docs]\ncommand = \"npx\" # run\nargs = [\"-y\", \"p\"]\nenv = { \"A\" = \"b\" }\n\n# other\n[mcp_servers.two]\ncommand = \"two\"\nat = 2026-11-30T10:00:00Z\n[mcp_servers.two.env]\n# inner\nTOKEN = \"t\"\n\n[tui]\nx = 1.50\n";

    #[test]
    fn members_are_exchanged_added_and_taken_out_and_the_rest_stays() {
        let mut wanted = read(TEXT).unwrap().find(["mcp_servers", "docs"]).unwrap().clone();
        wanted.set("command", Node::text("/s"));
        wanted.set("args", Node::texts(["run", "a\"b"]));
        wanted.members_mut().unwrap().retain(|member| member.key != "env");
        let text = rewrite(TEXT, &["mcp_servers", "docs"], &wanted).unwrap();
        let expected = TEXT
            .replace("command = \"npx\"", "command = \"/s\"")
            .replace("[\"-y\", \"p\"]", "[\"run\", 'a\"b']")
            .replace("env = { \"A\" = \"b\" }\n", "");
        assert_eq!(text, expected);
        assert_eq!(transplant(&text, TEXT, &["mcp_servers", "docs"]).unwrap(), TEXT);
    }

    #[test]
    fn a_table_of_variables_is_taken_out_and_put_back() {
        let mut wanted = read(TEXT).unwrap().find(["mcp_servers", "two"]).unwrap().clone();
        wanted.members_mut().unwrap().retain(|member| member.key != "env");
        wanted.set("args", Node::texts(["run"]));
        let text = rewrite(TEXT, &["mcp_servers", "two"], &wanted).unwrap();
        assert!(!text.contains("TOKEN") && text.contains("args = [\"run\"]") && text.contains("# other"), "{text}");
        assert_eq!(transplant(&text, TEXT, &["mcp_servers", "two"]).unwrap(), TEXT);
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        assert!(read("a = 1\na = 2\n").unwrap_err().contains("line 2"));
        assert!(read("a = 1\n[b\n").unwrap_err().contains("line 2"));
    }
}
