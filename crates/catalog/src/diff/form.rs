//! When two values are the same, and how one is shown.

use std::collections::{BTreeMap, BTreeSet};

use sekisho_wire::json::{Exact, Kind, Number};
use sekisho_wire::{Json, text};

/// Whether the two say the same: white space, escapes, the order of members and the spelling of numbers aside.
pub(super) fn same(old: &Json, new: &Json) -> bool {
    old == new || (old.kind() == new.kind() && form(old) == form(new))
}

/// A text that two values share if and only if they are the [`same`].
pub(super) fn form(json: &Json) -> String {
    let mut form = String::with_capacity(json.bytes().len());
    write(json, NESTING_MAX, &mut form);
    form
}

/// `levels` deep; what nests deeper stays as it was written.
fn write(json: &Json, levels: usize, out: &mut String) {
    let Some(levels) = levels.checked_sub(1) else {
        out.push_str(json.as_str());
        return;
    };
    match json.kind() {
        Kind::Object => {
            out.push('{');
            for (key, value) in members(json) {
                out.push_str(Json::text(&key).as_str());
                out.push(':');
                write(&value, levels, out);
                out.push(',');
            }
            out.push('}');
        }
        Kind::Array => {
            out.push('[');
            for element in json.elements() {
                write(&element, levels, out);
                out.push(',');
            }
            out.push(']');
        }
        Kind::String => out.push_str(Json::text(&json.string().unwrap_or_default()).as_str()),
        Kind::Number => out.push_str(&json.number().map(|number| spelled(&number)).unwrap_or_default()),
        Kind::Null | Kind::Boolean => out.push_str(json.as_str()),
    }
}

/// One spelling for every number that a machine type holds exactly; others stay as they are.
fn spelled(number: &Number<'_>) -> String {
    if let Some(whole) = number.whole() {
        return whole.to_string();
    }
    match number.exact() {
        Some(Exact::Integer(integer)) => integer.to_string(),
        Some(Exact::Float(float)) => format!("{float:e}"),
        None => number.as_str().to_owned(),
    }
}

/// The members of an object by key.
pub(super) fn members(json: &Json) -> BTreeMap<String, Json> {
    json.members().map(|(key, value)| (key.into_owned(), value)).collect()
}

/// The members of two objects by key.
pub(super) fn both(old: Option<&Json>, new: Option<&Json>) -> Vec<(String, Option<Json>, Option<Json>)> {
    let mut old = old.map(members).unwrap_or_default();
    let mut new = new.map(members).unwrap_or_default();
    let keys: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    keys.into_iter()
        .map(|key| {
            let (old, new) = (old.remove(&key), new.remove(&key));
            (key, old, new)
        })
        .collect()
}

/// The value as a person is shown it.
pub(super) fn excerpt(json: &Json) -> Box<str> {
    match json.string() {
        Some(string) => shown(&string),
        None => shown(json.as_str()),
    }
}

/// The text as a person is shown it.
pub(super) fn shown(text: &str) -> Box<str> {
    cut(text, EXCERPT_CHARS)
}

/// A name within a sentence.
pub(super) fn named(text: &str) -> Box<str> {
    cut(text, NAME_CHARS)
}

/// On one line and visible, its middle left out where it is long: what was put at the end is seen as well.
fn cut(text: &str, chars_max: usize) -> Box<str> {
    let half = chars_max / 2;
    // Cut first: a megabyte is not to be made visible for a line of it. What is made visible is longer, and cut once more.
    let short = middle_left_out(text, chars_max, half);
    let line = short.as_deref().unwrap_or(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let seen = text::visible(&line);
    middle_left_out(&seen, chars_max, half).unwrap_or_else(|| seen.into_owned()).into()
}

fn middle_left_out(text: &str, chars_max: usize, half: usize) -> Option<String> {
    text.char_indices().nth(chars_max)?;
    let start: String = text.chars().take(half).collect();
    let mut end: Vec<char> = text.chars().rev().take(half).collect();
    end.reverse();
    Some(format!("{start} … {}", String::from_iter(end)))
}

/// Every string and key within.
pub(super) fn strings(json: &Json) -> Vec<String> {
    let mut found = Vec::new();
    gather(json, NESTING_MAX, &mut found);
    found
}

fn gather(json: &Json, levels: usize, found: &mut Vec<String>) {
    let Some(levels) = levels.checked_sub(1) else {
        // Nothing that is deeper is overlooked: its text is looked at as it was written.
        found.push(json.as_str().to_owned());
        return;
    };
    for (key, value) in json.members() {
        found.push(key.into_owned());
        gather(&value, levels, found);
    }
    json.elements().for_each(|element| gather(&element, levels, found));
    found.extend(json.string().map(|string| string.into_owned()));
}

/// Deepest nesting that is looked into: as deep as a definition may be.
const NESTING_MAX: usize = 256;
/// Most characters of an excerpt.
const EXCERPT_CHARS: usize = 240;
/// Most characters of a name.
const NAME_CHARS: usize = 80;
