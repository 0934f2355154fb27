//! The members of a definition, each by what it is for.

use std::collections::BTreeSet;

use sekisho_wire::json::Kind;
use sekisho_wire::{Json, ListKind};

use super::form::{both, named, strings};
use super::report::{At, Report};
use super::schema::{self, Side};
use super::words::{About, description, destination, title, unchanged};
use super::{Meaning, asks, claims, destinations};

/// A whole definition.
pub(super) fn compare(report: &mut Report, kind: ListKind, old: &Json, new: &Json) {
    if !old.is_object() || !new.is_object() {
        if !unchanged(Some(old), Some(new)) {
            other(report, &At::ROOT, Meaning::Behaviour, Some(old), Some(new));
        }
        return;
    }
    for (key, old, new) in both(Some(old), Some(new)) {
        if old != new {
            member(report, kind, &key, old.as_ref(), new.as_ref());
        }
    }
}

fn member(report: &mut Report, kind: ListKind, key: &str, old: Option<&Json>, new: Option<&Json>) {
    let at = At::ROOT.within(key);
    match (kind, key, old, new) {
        (ListKind::Tools, "inputSchema", Some(old), Some(new)) => schema::compare(report, &at, Side::Input, old, new),
        (ListKind::Tools, "outputSchema", Some(old), Some(new)) => schema::compare(report, &at, Side::Output, old, new),
        _ if unchanged(old, new) => {}
        (_, key, _, _) if key == kind.key() => address(report, &at, kind, old, new),
        (_, "title", _, _) | (ListKind::Resources | ListKind::Templates, "name", _, _) => title(report, &at, old, new),
        (_, "description", _, _) => description(report, &at, About::Whole, old, new),
        (_, "icons", _, _) => icons(report, &at, old, new),
        (_, "_meta", _, _) => metadata(report, &at, old, new),
        (ListKind::Tools, "annotations", _, _) => claims::compare(report, &at, old, new),
        (ListKind::Prompts, "arguments", _, _) => arguments(report, &at, old, new),
        (ListKind::Resources, "size", _, _) => {
            report.note(&at, Meaning::Cosmetic, format_args!("It is said to be of another size."), (old, new));
        }
        (_, _, _, _) => other(report, &at, Meaning::Behaviour, old, new),
    }
}

/// What nothing closer is known of: as a whole. `meaning`: what it is if it names no address.
pub(super) fn other(report: &mut Report, at: &At<'_>, meaning: Meaning, old: Option<&Json>, new: Option<&Json>) {
    let what = match (old, new) {
        (None, _) => "It was not there before",
        (_, None) => "It is gone",
        (Some(_), Some(_)) => "It is another one",
    };
    report.note(at, meaning, format_args!("{what}: clients and servers may make something of it."), (old, new));
    let named = newly_named(old, new);
    destination(report, at, named.iter().map(String::as_str));
}

/// The addresses that any string or key of `new` names, and none of `old` did.
pub(super) fn newly_named(old: Option<&Json>, new: Option<&Json>) -> BTreeSet<String> {
    let (old, new) = (old.map(strings).unwrap_or_default(), new.map(strings).unwrap_or_default());
    destinations::added(old.iter().map(String::as_str), new.iter().map(String::as_str))
}

fn address(report: &mut Report, at: &At<'_>, kind: ListKind, old: Option<&Json>, new: Option<&Json>) {
    let words = match kind {
        ListKind::Tools | ListKind::Prompts => format_args!("It has another name: calls, grants and policies name it."),
        ListKind::Resources | ListKind::Templates => format_args!("It stands at another address."),
    };
    report.note(at, Meaning::Behaviour, words, (old, new));
    let named = newly_named(old, new);
    destination(report, at, named.iter().map(String::as_str));
}

/// Icons are fetched by clients: whoever has the host learns who looks.
fn icons(report: &mut Report, at: &At<'_>, old: Option<&Json>, new: Option<&Json>) {
    let hosts = |icons: Option<&Json>| -> BTreeSet<String> {
        icons.map(strings).unwrap_or_default().iter().filter_map(|text| destinations::host(text)).collect()
    };
    let was = hosts(old);
    let came: Vec<String> = hosts(new).difference(&was).cloned().collect();
    if !came.is_empty() {
        destination(report, at, came.iter().map(String::as_str));
    } else if new.is_none_or(|new| new.kind() == Kind::Array) {
        report.note(at, Meaning::Cosmetic, format_args!("It is shown with another picture."), (old, new));
    } else {
        other(report, at, Meaning::Behaviour, old, new);
    }
}

fn metadata(report: &mut Report, at: &At<'_>, old: Option<&Json>, new: Option<&Json>) {
    let (Some(before), Some(after)) = (old.filter(|json| json.is_object()), new.filter(|json| json.is_object())) else {
        other(report, at, Meaning::Behaviour, old, new);
        return;
    };
    for (key, old, new) in both(Some(before), Some(after)) {
        if !unchanged(old.as_ref(), new.as_ref()) {
            other(report, &at.within(&key), Meaning::Behaviour, old.as_ref(), new.as_ref());
        }
    }
}

/// The arguments of a prompt, by name.
fn arguments(report: &mut Report, at: &At<'_>, old: Option<&Json>, new: Option<&Json>) {
    let (Some(before), Some(after)) = (by_name(old), by_name(new)) else {
        other(report, at, Meaning::Behaviour, old, new);
        return;
    };
    let found = report.found();
    for (name, old) in &before {
        match after.iter().find(|(other, _)| other == name) {
            Some((_, new)) => argument(report, &at.within(name), old, new),
            None => {
                let words = format_args!("The prompt does not take the argument `{}` any more.", named(name));
                report.note(&at.within(name), Meaning::Narrowed, words, (Some(old), None));
            }
        }
    }
    for (name, new) in after.iter().filter(|(name, _)| before.iter().all(|(other, _)| other != name)) {
        added_argument(report, &at.within(name), name, new);
    }
    if report.found() == found {
        report.note(at, Meaning::Cosmetic, format_args!("The arguments stand in another order."), (old, new));
    }
}

fn added_argument(report: &mut Report, at: &At<'_>, name: &str, new: &Json) {
    let asked = asks::newly_asked("", &strings(new).join("\n"));
    let meaning = if is_required(new) || asked.is_some() { Meaning::AsksForNewData } else { Meaning::Widened };
    let demands = if is_required(new) { "demands" } else { "takes" };
    let speaks = asked.map(|asked| format!(", which speaks of `{asked}`")).unwrap_or_default();
    let words = format_args!("The prompt {demands} the argument `{}` in addition{speaks}.", named(name));
    report.note(at, meaning, words, (None, Some(new)));
    let named = newly_named(None, Some(new));
    destination(report, at, named.iter().map(String::as_str));
}

fn argument(report: &mut Report, at: &At<'_>, old: &Json, new: &Json) {
    for (key, old, new) in both(Some(old), Some(new)) {
        let (old, new) = (old.as_ref(), new.as_ref());
        if unchanged(old, new) {
            continue;
        }
        let at = at.within(&key);
        let demanded = |json: Option<&Json>| json.and_then(Json::boolean).unwrap_or(false);
        match key.as_str() {
            "description" => description(report, &at, About::Argument, old, new),
            "title" => title(report, &at, old, new),
            "required" => match (demanded(old), demanded(new)) {
                (false, true) => {
                    report.note(
                        &at,
                        Meaning::Narrowed,
                        format_args!("The argument is demanded from now on."),
                        (old, new),
                    );
                }
                (true, false) => {
                    report.note(&at, Meaning::Widened, format_args!("The argument may be left out."), (old, new));
                }
                (true, true) | (false, false) => {
                    let words = format_args!("Whether the argument is demanded is only written otherwise.");
                    report.note(&at, Meaning::Cosmetic, words, (old, new));
                }
            },
            _ => other(report, &at, Meaning::Behaviour, old, new),
        }
    }
}

fn is_required(argument: &Json) -> bool {
    argument.get("required").and_then(|required| required.boolean()).unwrap_or(false)
}

/// Nothing if it is no list of arguments with names that are all different, or is longer than is looked through by name.
fn by_name(list: Option<&Json>) -> Option<Vec<(String, Json)>> {
    let Some(list) = list else { return Some(Vec::new()) };
    if list.kind() != Kind::Array {
        return None;
    }
    let named = |argument: Json| -> Option<(String, Json)> {
        let name = argument.get("name")?.string()?.into_owned();
        Some((name, argument))
    };
    let named: Vec<(String, Json)> = list.elements().map(named).collect::<Option<_>>()?;
    let names: BTreeSet<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    (names.len() == named.len() && named.len() <= ARGUMENTS_MAX).then_some(named)
}

/// Most arguments of a prompt that are compared one by one.
const ARGUMENTS_MAX: usize = 1024;
