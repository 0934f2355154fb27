//! Two JSON Schemas (2020-12, and what older drafts call the same), keyword by keyword.
//!
//! References within a schema are followed where they point elsewhere than they did; other ones change nothing that is not
//! compared in its own place.

mod bounds;
mod references;

use std::cmp::Ordering;
use std::collections::BTreeSet;

use sekisho_wire::Json;
use sekisho_wire::json::Kind;

use super::form::{both, form, named, same, strings};
use super::report::{At, Report, listed};
use super::words::{About, description, destination, title, unchanged};
use super::{Meaning, asks, definition};

/// Which way what a schema describes goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// From a model to the server.
    Input,
    /// From the server to a model.
    Output,
    /// Neither can be told: below `not` or `if`, more is less.
    Either,
}

/// Compares two schemas of one definition.
pub(super) fn compare(report: &mut Report, at: &At<'_>, side: Side, old: &Json, new: &Json) {
    let place = Place { at: *at, side, levels: LEVELS_MAX };
    Walk { report, old_root: old, new_root: new }.schema(&place, old, new);
}

/// Where a comparison is.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    at: At<'a>,
    side: Side,
    /// How much deeper it may go.
    levels: usize,
}

impl<'a> Place<'a> {
    fn within(&'a self, key: &'a str) -> Place<'a> {
        Place { at: self.at.within(key), ..*self }
    }

    /// What a change of what is taken means here: of an answer, that it is another one.
    fn means(&self, meaning: Meaning) -> Meaning {
        match (self.side, meaning) {
            (Side::Output | Side::Either, Meaning::Narrowed | Meaning::Widened | Meaning::AsksForNewData) => {
                Meaning::Behaviour
            }
            (Side::Input | Side::Output | Side::Either, meaning) => meaning,
        }
    }

    fn subject(&self) -> &'static str {
        match self.side {
            Side::Input => "The input",
            Side::Output => "The answer",
            Side::Either => "A condition of the schema",
        }
    }

    fn about(&self) -> About {
        match self.side {
            Side::Input | Side::Either => About::Argument,
            Side::Output => About::Whole,
        }
    }
}

struct Walk<'a> {
    report: &'a mut Report,
    /// What local references are resolved in.
    old_root: &'a Json,
    new_root: &'a Json,
}

/// The two values of a keyword; nothing where it is not there.
type Values<'a> = (Option<&'a Json>, Option<&'a Json>);

impl Walk<'_> {
    fn schema(&mut self, place: &Place<'_>, old: &Json, new: &Json) {
        if old == new {
            return;
        }
        let deeper = place.levels.checked_sub(1).filter(|_| self.report.may_look_into(old, new));
        let Some(levels) = deeper else {
            self.as_wholes(place, old, new);
            return;
        };
        let place = Place { levels, ..*place };
        if !old.is_object() || !new.is_object() {
            self.breadth(&place, (Some(old), Some(new)));
            return;
        }
        if self.reference(&place, old, new) {
            return;
        }
        for (key, before, after) in both(Some(old), Some(new)) {
            let values = (before.as_ref(), after.as_ref());
            if before == after {
                continue;
            }
            let place = place.within(&key);
            if !self.structure(&place, &key, values, new) && !unchanged(values.0, values.1) {
                self.keyword(&place, &key, values, old);
            }
        }
    }

    /// What is past the bounds: seen to differ, and no closer.
    fn as_wholes(&mut self, place: &Place<'_>, old: &Json, new: &Json) {
        if same(old, new) {
            return;
        }
        let asked = asks::newly_asked(&strings(old).join("\n"), &strings(new).join("\n"));
        let meaning = if asked.is_some() { Meaning::AsksForNewData } else { Meaning::Widened };
        let words = format_args!("{} differs deeper than is looked into.", place.subject());
        self.report.note(&place.at, place.means(meaning), words, (Some(old), Some(new)));
        self.destinations(place, (Some(old), Some(new)));
    }

    /// Keywords that hold schemas; false for another one.
    fn structure(&mut self, place: &Place<'_>, key: &str, values: Values<'_>, new_schema: &Json) -> bool {
        let either = Place { side: Side::Either, ..*place };
        match (key, values) {
            ("properties" | "patternProperties", _) if are(values, Kind::Object) => {
                self.properties(place, values, new_schema);
            }
            ("$defs" | "definitions" | "dependentSchemas", _) if are(values, Kind::Object) => {
                self.definitions(place, values);
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", _) if are(values, Kind::Array) => {
                self.alternatives(place, key, values);
            }
            ("items" | "additionalItems" | "unevaluatedItems" | "contains" | "propertyNames", _)
            | ("additionalProperties" | "unevaluatedProperties", _)
                if are_schemas(values) =>
            {
                self.sub(place, values);
            }
            ("not" | "if" | "then" | "else", _) if are_schemas(values) => self.sub(&either, values),
            (_, _) => return false,
        }
        true
    }

    /// Keywords that hold something else, and differ.
    fn keyword(&mut self, place: &Place<'_>, key: &str, values: Values<'_>, old_schema: &Json) {
        let found = self.report.found();
        let (old, new) = values;
        match key {
            "description" | "$comment" => description(self.report, &place.at, place.about(), old, new),
            "title" => title(self.report, &place.at, old, new),
            "examples" => definition::other(self.report, &place.at, Meaning::Text, old, new),
            "default" => self.default(place, values),
            "required" => self.required(place, values, old_schema),
            "type" | "enum" | "const" => self.choices(place, key, values),
            "$schema" | "$id" | "$anchor" => self.identity(place, values),
            "$ref" | "$dynamicRef" => self.unfollowed(place, values),
            "x-mcp-header" => {
                let words = format_args!(
                    "Whether the argument is sent in a header, too, or in which, differs: what is on the way can read it."
                );
                self.report.note(&place.at, Meaning::Behaviour, words, values);
            }
            _ if bounds::compare(self.report, place, key, values) => {}
            _ => definition::other(self.report, &place.at, Meaning::Behaviour, old, new),
        }
        if self.report.found() == found {
            let words = format_args!("It is written otherwise, and says the same.");
            self.report.note(&place.at, Meaning::Cosmetic, words, values);
        }
    }

    fn properties(&mut self, place: &Place<'_>, (old, new): Values<'_>, new_schema: &Json) {
        let found = self.report.found();
        let required = names(new_schema.get("required").as_ref());
        for (name, before, after) in both(old, new) {
            let at = place.within(&name);
            match (&before, &after) {
                (Some(before), Some(after)) => self.schema(&at, before, after),
                (None, Some(after)) => self.added_property(&at, &name, after, required.contains(&name)),
                (Some(before), None) => {
                    let words = format_args!("{} has no property `{}` any more.", place.subject(), named(&name));
                    self.report.note(&at.at, place.means(Meaning::Narrowed), words, (Some(before), None));
                }
                (None, None) => {}
            }
        }
        self.appeared(place, (old, new), found);
    }

    fn added_property(&mut self, place: &Place<'_>, name: &str, schema: &Json, is_required: bool) {
        let asked = asks::newly_asked("", name).or_else(|| self.asked(None, schema));
        let asks = is_required || asked.is_some();
        let meaning = place.means(if asks { Meaning::AsksForNewData } else { Meaning::Widened });
        let demanded = if is_required { ", and it is demanded" } else { "" };
        let speaks = asked.map(|asked| format!("; it speaks of `{asked}`")).unwrap_or_default();
        let words =
            format_args!("{} has the property `{}` in addition{demanded}{speaks}.", place.subject(), named(name));
        self.report.note(&place.at, meaning, words, (None, Some(schema)));
        self.destinations(place, (None, Some(schema)));
    }

    /// What a schema, or what it refers to, begins to ask for.
    fn asked(&mut self, old: Option<&Json>, new: &Json) -> Option<String> {
        let mut texts = strings(new);
        if new.get(references::REF).is_some() {
            if !self.report.may_look_into(self.new_root, new) {
                return Some("more than is looked into".to_owned());
            }
            texts.extend(references::resolved(self.new_root, new).iter().flat_map(strings));
        }
        asks::newly_asked(&old.map(strings).unwrap_or_default().join("\n"), &texts.join("\n"))
    }

    /// Parts that others refer to.
    fn definitions(&mut self, place: &Place<'_>, (old, new): Values<'_>) {
        let found = self.report.found();
        for (name, before, after) in both(old, new) {
            let at = place.within(&name);
            match (&before, &after) {
                (Some(before), Some(after)) => self.schema(&at, before, after),
                (before, after) => {
                    let (before, after) = (before.as_ref(), after.as_ref());
                    let asked = after.and_then(|after| self.asked(None, after));
                    let meaning = if asked.is_some() { Meaning::AsksForNewData } else { Meaning::Behaviour };
                    let comes = if after.is_some() { "came" } else { "went" };
                    let speaks = asked.map(|asked| format!("; it speaks of `{asked}`")).unwrap_or_default();
                    let words =
                        format_args!("The part `{}`, which others may refer to, {comes}{speaks}.", named(&name));
                    self.report.note(&at.at, place.means(meaning), words, (before, after));
                    self.destinations(&at, (before, after));
                }
            }
        }
        self.appeared(place, (old, new), found);
    }

    /// Where one of two objects is not there, and the other one is empty, nothing within was told.
    fn appeared(&mut self, place: &Place<'_>, values: Values<'_>, found: usize) {
        if self.report.found() == found && values.0.is_some() != values.1.is_some() {
            let words = format_args!("It is empty, and says what none says.");
            self.report.note(&place.at, Meaning::Cosmetic, words, values);
        }
    }

    /// Schemas of which one, some or all must hold: those in one list alone are compared in their order.
    fn alternatives(&mut self, place: &Place<'_>, key: &str, values: Values<'_>) {
        let found = self.report.found();
        let (old, new) = (elements(values.0), elements(values.1));
        if let ([(_, before)], [(_, after)]) = (old.as_slice(), new.as_slice()) {
            self.schema(&place.within("0"), before, after);
            return;
        }
        let bytes =
            values.0.map_or(0, |list| list.bytes().len()).saturating_add(values.1.map_or(0, |list| list.bytes().len()));
        if let (Some(old), Some(new), false) =
            (values.0, values.1, self.report.may_look_at(bytes.saturating_mul(FORM_COST)))
        {
            self.as_wholes(place, old, new);
            return;
        }
        let (gone, came) = (alone(&old, &new), alone(&new, &old));
        for ((_, before), (index, after)) in gone.iter().zip(&came) {
            self.schema(&place.within(&index.to_string()), before, after);
        }
        // More that must hold at once is less that is taken.
        let (fewer, more) = match key {
            "allOf" | "prefixItems" => (Meaning::Widened, Meaning::Narrowed),
            _ => (Meaning::Narrowed, Meaning::Widened),
        };
        for (index, before) in gone.iter().skip(came.len()) {
            let words = format_args!("{} has one form or part less.", place.subject());
            self.report.note(&place.at.within(&index.to_string()), place.means(fewer), words, (Some(before), None));
        }
        for (index, after) in came.iter().skip(gone.len()) {
            let index = index.to_string();
            let place = place.within(&index);
            let asked = self.asked(None, after);
            let meaning = if asked.is_some() { Meaning::AsksForNewData } else { more };
            let speaks = asked.map(|asked| format!(", which speaks of `{asked}`")).unwrap_or_default();
            let words = format_args!("{} has one form or part more{speaks}.", place.subject());
            self.report.note(&place.at, place.means(meaning), words, (None, Some(after)));
            self.destinations(&place, (None, Some(after)));
        }
        if self.report.found() == found && !unchanged(values.0, values.1) {
            let words = format_args!("The same forms or parts stand in another order or number.");
            self.report.note(&place.at, Meaning::Cosmetic, words, values);
        }
    }

    /// A schema that may be missing: everything is taken then.
    fn sub(&mut self, place: &Place<'_>, values: Values<'_>) {
        match values {
            (Some(old), Some(new)) => self.schema(place, old, new),
            (Some(_), None) | (None, Some(_)) | (None, None) => self.breadth(place, values),
        }
    }

    /// Two schemas one of which at least has no keywords.
    fn breadth(&mut self, place: &Place<'_>, values: Values<'_>) {
        if unchanged(values.0, values.1) {
            return;
        }
        let breadth = |schema: Option<&Json>| match schema.map(|schema| (schema.boolean(), schema.as_str().len())) {
            Some((Some(false), _)) => Breadth::Nothing,
            Some((Some(true), _) | (None, EMPTY_BYTES)) | None => Breadth::Everything,
            Some((None, _)) => Breadth::Something,
        };
        let (old, new) = (breadth(values.0), breadth(values.1));
        let (meaning, says) = match new.cmp(&old) {
            Ordering::Less => (Meaning::Narrowed, "takes less here than it did"),
            Ordering::Equal => (Meaning::Cosmetic, "takes what it took, written otherwise"),
            Ordering::Greater => (Meaning::Widened, "takes more here than it did"),
        };
        let asks = values.1.and_then(|new| self.asked(values.0, new));
        let meaning = if asks.is_some() { Meaning::AsksForNewData } else { meaning };
        let words = format_args!("{} {says}.", place.subject());
        self.report.note(&place.at, place.means(meaning), words, values);
        self.destinations(place, values);
    }

    fn default(&mut self, place: &Place<'_>, values: Values<'_>) {
        let words =
            format_args!("What is taken where nothing is given differs: callers who give nothing do something else.");
        self.report.note(&place.at, Meaning::Behaviour, words, values);
        self.destinations(place, values);
    }

    fn identity(&mut self, place: &Place<'_>, (old, new): Values<'_>) {
        let words = format_args!("The schema is of another dialect or identity: what its words mean depends on it.");
        self.report.note(&place.at, Meaning::Behaviour, words, (old, new));
        let named = definition::newly_named(old, new);
        let known =
            |name: &&String| name.split_once("://").is_some_and(|(_, rest)| rest.starts_with("json-schema.org/"));
        destination(self.report, &place.at, named.iter().filter(|name| !known(name)).map(String::as_str));
    }

    fn required(&mut self, place: &Place<'_>, values: Values<'_>, old_schema: &Json) {
        if !are(values, Kind::Array) {
            definition::other(self.report, &place.at, Meaning::Behaviour, values.0, values.1);
            return;
        }
        let (old, new) = (names(values.0), names(values.1));
        let came: Vec<&str> = new.difference(&old).map(String::as_str).collect();
        let gone: Vec<&str> = old.difference(&new).map(String::as_str).collect();
        if !came.is_empty() {
            // What is new has been told with its property; what models may have left out so far is told here.
            let was = old_schema.get("properties");
            let asked = |name: &&&str| {
                let known = was.as_ref().and_then(|was| was.get(name)).is_some();
                known && asks::newly_asked("", name).is_some()
            };
            let asks = came.iter().any(|name| asked(&name));
            let meaning = place.means(if asks { Meaning::AsksForNewData } else { Meaning::Narrowed });
            let words = format_args!("{} must have {} from now on.", place.subject(), listed(came.iter().copied()));
            self.report.note(&place.at, meaning, words, values);
        }
        if !gone.is_empty() {
            let words = format_args!("{} may be without {}.", place.subject(), listed(gone.iter().copied()));
            self.report.note(&place.at, place.means(Meaning::Widened), words, values);
        }
    }

    /// `type`, `enum` and `const`: sets of what is taken; without one, all is.
    fn choices(&mut self, place: &Place<'_>, key: &str, values: Values<'_>) {
        let (old, new) = (bounds::choices(key, values.0), bounds::choices(key, values.1));
        match (&old, &new) {
            (Some(old), Some(new)) => {
                let came: Vec<&str> = new.difference(old).map(String::as_str).collect();
                let gone: Vec<&str> = old.difference(new).map(String::as_str).collect();
                if !came.is_empty() {
                    let words = format_args!("{} may be {}, too.", place.subject(), listed(came.iter().copied()));
                    self.report.note(&place.at, place.means(Meaning::Widened), words, values);
                }
                if !gone.is_empty() {
                    let words =
                        format_args!("{} cannot be {} any more.", place.subject(), listed(gone.iter().copied()));
                    self.report.note(&place.at, place.means(Meaning::Narrowed), words, values);
                }
            }
            (None, _) => {
                let words = format_args!("{} is held to certain values or types.", place.subject());
                self.report.note(&place.at, place.means(Meaning::Narrowed), words, values);
            }
            (Some(_), None) => {
                let words = format_args!("{} is not held to certain values or types any more.", place.subject());
                self.report.note(&place.at, place.means(Meaning::Widened), words, values);
            }
        }
        self.destinations(place, values);
    }

    fn destinations(&mut self, place: &Place<'_>, (old, new): Values<'_>) {
        let named = definition::newly_named(old, new);
        destination(self.report, &place.at, named.iter().map(String::as_str));
    }
}

/// The elements of a list, and where they stand.
fn elements(list: Option<&Json>) -> Vec<(usize, Json)> {
    list.iter().flat_map(|list| list.elements()).enumerate().collect()
}

/// Those of one list that are nowhere in the other one.
fn alone(these: &[(usize, Json)], those: &[(usize, Json)]) -> Vec<(usize, Json)> {
    let those: BTreeSet<String> = those.iter().map(|(_, schema)| form(schema)).collect();
    these.iter().filter(|(_, schema)| !those.contains(&form(schema))).cloned().collect()
}

/// How much a schema takes, as far as that is seen at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Breadth {
    Nothing,
    Something,
    Everything,
}

/// Whether those that are there are of that kind.
fn are((old, new): Values<'_>, kind: Kind) -> bool {
    [old, new].into_iter().flatten().all(|value| value.kind() == kind)
}

fn are_schemas((old, new): Values<'_>) -> bool {
    let is_schema = |value: &Json| matches!(value.kind(), Kind::Object | Kind::Boolean);
    [old, new].into_iter().flatten().all(is_schema)
}

/// The strings of an array.
fn names(list: Option<&Json>) -> BTreeSet<String> {
    let Some(list) = list else { return BTreeSet::new() };
    list.elements().filter_map(|name| name.string().map(|name| name.into_owned())).collect()
}

/// Deepest that schemas are compared, references followed included.
const LEVELS_MAX: usize = 96;
/// How many times dearer it is to bring a value into its form than to look into it: it may nest.
const FORM_COST: usize = 32;
/// Length of `{}`.
const EMPTY_BYTES: usize = 2;
