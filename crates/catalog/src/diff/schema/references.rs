//! `$ref`, within one schema.

use sekisho_wire::Json;
use sekisho_wire::json::Kind;

use super::{Place, Walk, definition, destination, unchanged};
use crate::diff::Meaning;

impl Walk<'_> {
    /// Compares what two schemas refer to, if they do not refer to the same; false if they do, or refer to nothing.
    pub(super) fn reference(&mut self, place: &Place<'_>, old: &Json, new: &Json) -> bool {
        let refs = (old.get(REF), new.get(REF));
        let (before, after) = (refs.0.as_ref(), refs.1.as_ref());
        if unchanged(before, after) || !self.report.may_look_into(self.old_root, self.new_root) {
            return false;
        }
        let at = place.within(REF);
        let whole = |root, schema: &Json, names: Option<&Json>| match names {
            Some(_) => resolved(root, schema),
            None => Some(schema.clone()),
        };
        let (one, other) = (whole(self.old_root, old, before), whole(self.new_root, new, after));
        let (Some(one), Some(other)) = (one, other) else {
            // The rest of the schema is compared as it stands; that this differs is told there, too.
            return false;
        };
        let found = self.report.found();
        self.schema(place, &one, &other);
        if self.report.found() == found {
            let words = format_args!("What it says is kept in another place of the schema, and is the same.");
            self.report.note(&at.at, Meaning::Cosmetic, words, (before, after));
        }
        true
    }

    /// A reference that is not followed.
    pub(super) fn unfollowed(&mut self, place: &Place<'_>, values: super::Values<'_>) {
        let words =
            format_args!("It refers to something else, which is not part of the definition or is not found in it.");
        self.report.note(&place.at, Meaning::Behaviour, words, values);
        let named = definition::newly_named(values.0, values.1);
        destination(self.report, &place.at, named.iter().map(String::as_str));
    }
}

/// The schema with what it refers to put in its place, its other members over it; nothing if that is not found in `root`.
pub(super) fn resolved(root: &Json, schema: &Json) -> Option<Json> {
    let mut whole = schema.clone();
    for _ in 0..HOPS_MAX {
        let Some(reference) = whole.get(REF) else { return Some(whole) };
        let target = pointed(root, reference.string()?.strip_prefix('#')?)?;
        if !target.is_object() {
            return None;
        }
        let beside: Vec<_> = whole.members().filter(|(key, _)| key != REF).collect();
        whole = beside.iter().fold(target, |target, (key, value)| target.with(key, value));
    }
    None
}

/// What a JSON pointer in a URI fragment points to (RFC 6901 section 6), percent-encoding left out: names of parts are plain.
fn pointed(root: &Json, pointer: &str) -> Option<Json> {
    if pointer.is_empty() {
        return Some(root.clone());
    }
    let mut at = root.clone();
    for key in pointer.strip_prefix('/')?.split('/') {
        let key = key.replace("~1", "/").replace("~0", "~");
        at = match at.kind() {
            Kind::Object => at.get(&key)?,
            Kind::Array => at.elements().nth(key.parse().ok()?)?,
            Kind::Null | Kind::Boolean | Kind::Number | Kind::String => return None,
        };
    }
    Some(at)
}

pub(super) const REF: &str = "$ref";
/// Most references that are followed one after the other.
const HOPS_MAX: usize = 8;
