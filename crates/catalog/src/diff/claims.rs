//! What a server claims of a tool (MCP 2025-11-25, Tools, "ToolAnnotations"): a change of the claim, whatever is true.

use sekisho_wire::Json;

use super::report::{At, Report};
use super::words::{title, unchanged};
use super::{Meaning, definition, form};

/// The annotations of a tool.
pub(super) fn compare(report: &mut Report, at: &At<'_>, old: Option<&Json>, new: Option<&Json>) {
    let is_object = |json: Option<&Json>| json.is_none_or(Json::is_object);
    if !is_object(old) || !is_object(new) {
        definition::other(report, at, Meaning::Behaviour, old, new);
        return;
    }
    let found = report.found();
    for (key, old, new) in form::both(old, new) {
        let (old, new) = (old.as_ref(), new.as_ref());
        if unchanged(old, new) {
            continue;
        }
        let at = at.within(&key);
        match HINTS.iter().find(|hint| hint.key == key) {
            Some(hint) => hint.compare(report, &at, old, new),
            None if key == "title" => title(report, &at, old, new),
            None => definition::other(report, &at, Meaning::Behaviour, old, new),
        }
    }
    if report.found() == found && old.is_some() != new.is_some() {
        report.note(at, Meaning::Cosmetic, format_args!("Empty annotations say what none say."), (old, new));
    }
}

/// A hint, and what it says when it is true and when it is false.
struct Hint {
    key: &'static str,
    /// What holds where it is not given.
    default: bool,
    yes: &'static str,
    no: &'static str,
}

impl Hint {
    fn compare(&self, report: &mut Report, at: &At<'_>, old: Option<&Json>, new: Option<&Json>) {
        let is_hint = |json: Option<&Json>| json.is_none_or(|json| json.boolean().is_some() || json.is_null());
        if !is_hint(old) || !is_hint(new) {
            definition::other(report, at, Meaning::Behaviour, old, new);
            return;
        }
        let claim = |json: Option<&Json>| json.and_then(Json::boolean).unwrap_or(self.default);
        let says = |claim: bool| if claim { self.yes } else { self.no };
        let (before, after) = (claim(old), claim(new));
        if before == after {
            let words =
                format_args!("The server claims, as before, that it {}: only whether it says so differs.", says(after));
            report.note(at, Meaning::Cosmetic, words, (old, new));
            return;
        }
        let words = format_args!(
            "The server claimed that it {}, and claims that it {} from now on; nothing proves either.",
            says(before),
            says(after)
        );
        report.note(at, Meaning::Behaviour, words, (old, new));
    }
}

const HINTS: [Hint; 4] = [
    Hint { key: "readOnlyHint", default: false, yes: "changes nothing", no: "may change things" },
    Hint { key: "destructiveHint", default: true, yes: "may destroy or overwrite", no: "only adds" },
    Hint {
        key: "idempotentHint",
        default: false,
        yes: "can be repeated without more effect",
        no: "does more each time",
    },
    Hint {
        key: "openWorldHint",
        default: true,
        yes: "may reach systems outside its own",
        no: "stays within its own system",
    },
];
