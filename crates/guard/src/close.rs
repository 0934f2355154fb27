//! Strict reading of arguments: what a schema does not mention is refused, at the root and in the objects inside.
//!
//! An object is closed where one schema alone decides what it is: there `unevaluatedProperties: false` sees all
//! that is mentioned in place, through references and alternatives too. Where several schemas describe the same
//! object (names that two parts of an `allOf` describe, `patternProperties`, `contains`, below `not`, `if` or
//! `oneOf`), closing one of them could refuse what all together accept, or accept what they refuse, so such an
//! object stays as the schema has it. So do objects below a resource of its own, a dialect of its own or a
//! dynamic reference, and, in draft 7, those that are described by a reference.

use std::collections::{HashMap, HashSet};

use jsonschema::Draft;
use serde_json::{Map, Value};

use crate::schema::Unusable;

/// Refuses arguments that the schema does not mention, where it does not speak of them itself.
///
/// # Errors
/// [`Unusable`] if that cannot be said in its dialect.
pub(crate) fn close(schema: &mut Value, draft: Draft) -> Result<(), Unusable> {
    let members = schema.as_object().ok_or(Unusable::NotAnObject)?;
    // Draft 7, core, section 8.3: "All other properties in a "$ref" object MUST be ignored."
    if draft == Draft::Draft7 && members.contains_key("$ref") {
        return Err(Unusable::Open);
    }
    let survey = Survey::of(schema, draft);
    let closings = survey.closings();
    apply(schema, &closings);
    Ok(())
}

/// What closes one object.
struct Closing {
    keyword: &'static str,
    /// What else is mentioned in place: draft 7's `additionalProperties` does not see it.
    names: Vec<String>,
    patterns: Vec<String>,
}

/// Which subschemas decide alone what the values under them are.
struct Survey<'s> {
    root: &'s Value,
    draft: Draft,
    /// Nothing besides applies to the same values, on one way at least.
    alone: HashSet<*const Value>,
    /// Something besides may apply, on one way at least.
    barred: HashSet<*const Value>,
    /// Subschemas that are still to be visited, and whether they decide alone.
    open: Vec<(&'s Value, bool)>,
    /// Whether each subschema was understood. If not, the root alone is closed.
    is_plain: bool,
    steps_left: usize,
}

/// Schemas that apply to the same value.
struct Part<'s> {
    members: &'s Map<String, Value>,
    at: &'s Value,
    /// Whether a stricter part makes a stricter whole.
    is_monotone: bool,
}

impl<'s> Survey<'s> {
    fn of(root: &'s Value, draft: Draft) -> Survey<'s> {
        let (alone, barred) = (HashSet::new(), HashSet::new());
        let open = vec![(root, true)];
        let mut survey = Survey { root, draft, alone, barred, open, is_plain: true, steps_left: STEPS_MAX };
        while let Some((at, is_alone)) = survey.open.pop().filter(|_| survey.is_plain) {
            let visited = if is_alone { &mut survey.alone } else { &mut survey.barred };
            match visited.insert(std::ptr::from_ref(at)) {
                true if is_alone => survey.alone(at),
                true => survey.beside(at),
                false => {}
            }
        }
        survey
    }

    /// Visits a subschema that decides alone.
    fn alone(&mut self, at: &'s Value) {
        let parts = self.parts(at, true);
        for part in parts.iter().skip(1) {
            self.barred.insert(std::ptr::from_ref(part.at));
        }
        let mut named: HashMap<&str, usize> = HashMap::new();
        for name in parts.iter().flat_map(|part| properties(part.members)).map(|(name, _)| name) {
            *named.entry(name).or_default() += 1;
        }
        let is_one = parts.len() == 1;
        let has = |part: &Part<'_>, keywords: &[&str]| keywords.iter().any(|key| part.members.contains_key(*key));
        let has_rest = |part: &Part<'_>| REST.iter().any(|key| part.members.get(*key).is_some_and(Value::is_object));
        let patterned = parts.iter().any(|part| has(part, &["patternProperties"]));
        let overlaps = patterned || !is_one && parts.iter().any(has_rest);
        let listed = parts.iter().filter(|part| has(part, &ELEMENTS) || has(part, &ANY_ELEMENTS)).count();
        for part in &parts {
            for (name, below) in properties(part.members) {
                self.below(below, part.is_monotone && !overlaps && named.get(name) == Some(&1));
            }
            let rest = REST.iter().filter_map(|key| part.members.get(*key));
            rest.for_each(|below| self.below(below, part.is_monotone && is_one && !patterned));
            let is_list = part.is_monotone && listed == 1 && !has(part, &ANY_ELEMENTS);
            let elements = ELEMENTS.iter().filter_map(|key| part.members.get(*key));
            elements.flat_map(several).for_each(|below| self.below(below, is_list));
            self.others(part.members);
        }
    }

    fn below(&mut self, at: &'s Value, is_alone: bool) {
        self.open.push((at, is_alone));
    }

    /// Visits a subschema beside which others may apply, and all below it.
    fn beside(&mut self, at: &'s Value) {
        for part in self.parts(at, false) {
            self.barred.insert(std::ptr::from_ref(part.at));
            properties(part.members).for_each(|(_, below)| self.below(below, false));
            let below = REST.iter().chain(&ELEMENTS).filter_map(|key| part.members.get(*key));
            below.flat_map(several).for_each(|below| self.below(below, false));
            self.others(part.members);
        }
    }

    /// What is never closed.
    fn others(&mut self, members: &'s Map<String, Value>) {
        let below = ["not", "propertyNames", "contains", "unevaluatedItems"].iter().filter_map(|key| members.get(*key));
        let patterned = members.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::values);
        below.chain(patterned).for_each(|below| self.below(below, false));
    }

    /// `at` and all that it applies in place.
    fn parts(&mut self, at: &'s Value, is_monotone: bool) -> Vec<Part<'s>> {
        let (mut parts, mut seen) = (Vec::new(), HashSet::new());
        let mut open = vec![(at, is_monotone)];
        while let Some((at, is_monotone)) = open.pop() {
            let Some(members) = at.as_object().filter(|_| seen.insert(std::ptr::from_ref(at))) else { continue };
            if !self.is_understood(at, members) {
                self.is_plain = false;
                break;
            }
            parts.push(Part { members, at, is_monotone });
            open.extend(members.get("$ref").and_then(|reference| self.target(reference)).map(|at| (at, is_monotone)));
            if self.draft == Draft::Draft7 && members.contains_key("$ref") {
                continue;
            }
            for (keyword, value) in members {
                match keyword.as_str() {
                    "allOf" | "anyOf" | "then" | "else" => open.extend(several(value).map(|at| (at, is_monotone))),
                    "oneOf" | "if" => open.extend(several(value).map(|at| (at, false))),
                    "dependentSchemas" | "dependencies" => {
                        let by_name = value.as_object().into_iter().flat_map(Map::values);
                        open.extend(by_name.map(|at| (at, is_monotone)));
                    }
                    _ => {}
                }
            }
        }
        parts
    }

    fn is_understood(&mut self, at: &Value, members: &Map<String, Value>) -> bool {
        let has = |keywords: &[&str]| keywords.iter().any(|keyword| members.contains_key(*keyword));
        let of_its_own = !std::ptr::eq(self.root, at) && has(&["$id", "$schema"]);
        let leads = members.get("$ref").is_none_or(|reference| self.target(reference).is_some());
        !of_its_own && !has(&["$dynamicRef", "$recursiveRef"]) && leads && self.step()
    }

    /// Whether there is work left to do: the longest schemas are not worth more.
    fn step(&mut self) -> bool {
        self.steps_left = self.steps_left.saturating_sub(1);
        self.steps_left > 0
    }

    /// What a reference inside names: other ones are refused elsewhere.
    fn target(&self, reference: &Value) -> Option<&'s Value> {
        let pointer = reference.as_str()?.strip_prefix('#')?;
        if pointer.contains('%') { None } else { self.root.pointer(pointer) }
    }

    /// What to close, and how.
    fn closings(mut self) -> HashMap<*const Value, Closing> {
        let mut closings = HashMap::new();
        let mut open = vec![self.root];
        while let Some(at) = open.pop() {
            match at {
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => continue,
                Value::Array(elements) => open.extend(elements),
                Value::Object(members) => open.extend(members.values()),
            }
            let place = std::ptr::from_ref(at);
            let is_root = std::ptr::eq(self.root, at);
            let is_inside = self.alone.contains(&place) && !self.barred.contains(&place);
            if let Some(closing) = (is_root || is_inside).then(|| self.closing(at, is_root)).flatten() {
                closings.insert(place, closing);
            }
        }
        let root = std::ptr::from_ref(self.root);
        closings.retain(|place, _| self.is_plain || *place == root);
        closings
    }

    fn closing(&mut self, at: &'s Value, is_root: bool) -> Option<Closing> {
        let own = at.as_object()?;
        if REST.iter().any(|key| own.contains_key(*key)) {
            return None;
        }
        let parts = self.parts(at, true);
        let patterned = parts.iter().any(|part| part.members.contains_key("patternProperties"));
        // Inside, an object of which nothing is said is meant to hold anything.
        if !is_root && (patterned || !self.mentions(at, MENTIONED_DEEP_MAX)) {
            return None;
        }
        if self.draft != Draft::Draft7 {
            return Some(Closing { keyword: "unevaluatedProperties", names: Vec::new(), patterns: Vec::new() });
        }
        let (_, others) = parts.split_first()?;
        let speaks =
            |part: &Part<'_>| part.members.get("additionalProperties").is_some_and(|rest| *rest != Value::Bool(false));
        if own.contains_key("$ref") || others.iter().any(speaks) {
            return None;
        }
        let names = others.iter().flat_map(|part| properties(part.members)).map(|(name, _)| name.to_owned()).collect();
        let patterns = others.iter().filter_map(|part| part.members.get("patternProperties")?.as_object());
        let patterns = patterns.flat_map(Map::keys).cloned().collect();
        Some(Closing { keyword: "additionalProperties", names, patterns })
    }

    /// Whether it names members of the objects under it, whichever alternative they fit.
    fn mentions(&mut self, at: &Value, deep: usize) -> bool {
        let (Some(members), Some(left), true) = (at.as_object(), deep.checked_sub(1), self.step()) else {
            return false;
        };
        let referred = members.get("$ref").and_then(|reference| self.target(reference));
        let mut all = members.get("allOf").into_iter().flat_map(several).chain(referred);
        if properties(members).next().is_some() || all.any(|part| self.mentions(part, left)) {
            return true;
        }
        ["anyOf", "oneOf"].iter().filter_map(|key| members.get(*key)).any(|alternatives| {
            let mut objects = several(alternatives).filter(|part| !is_no_object(part)).peekable();
            objects.peek().is_some() && objects.all(|part| self.mentions(part, left))
        })
    }
}

/// Whether it is plain that no object fits.
fn is_no_object(schema: &Value) -> bool {
    match (schema.get("type"), schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(Value::String(kind)), _, _) => kind != "object",
        (Some(Value::Array(kinds)), _, _) => kinds.iter().all(|kind| kind != "object"),
        (_, Some(only), _) => !only.is_object(),
        (_, _, Some(values)) => values.iter().all(|value| !value.is_object()),
        (_, None, None) => *schema == Value::Bool(false),
    }
}

/// Inside first: what is added to an object moves what it holds.
fn apply(schema: &mut Value, closings: &HashMap<*const Value, Closing>) {
    let closing = closings.get(&std::ptr::from_ref(schema));
    match schema {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::Array(elements) => elements.iter_mut().for_each(|below| apply(below, closings)),
        Value::Object(members) => {
            members.values_mut().for_each(|below| apply(below, closings));
            let Some(closing) = closing else { return };
            mention(members, "properties", &closing.names);
            mention(members, "patternProperties", &closing.patterns);
            members.insert(closing.keyword.to_owned(), Value::Bool(false));
        }
    }
}

/// Lets `names` through where they are not spoken of: their schemas apply in place.
fn mention(members: &mut Map<String, Value>, keyword: &str, names: &[String]) {
    if names.is_empty() {
        return;
    }
    if let Some(known) = members.entry(keyword).or_insert_with(|| Value::Object(Map::new())).as_object_mut() {
        for name in names {
            known.entry(name.as_str()).or_insert(Value::Bool(true));
        }
    }
}

fn properties(members: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    let properties = members.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, below)| (name.as_str(), below))
}

/// The schemas that a keyword's value holds.
fn several(value: &Value) -> impl Iterator<Item = &Value> {
    let elements = value.as_array().into_iter().flatten();
    elements.chain((!value.is_array()).then_some(value))
}

/// Members that `properties` does not name.
const REST: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];
/// Elements by their place.
const ELEMENTS: [&str; 3] = ["items", "prefixItems", "additionalItems"];
/// Elements wherever they are.
const ANY_ELEMENTS: [&str; 2] = ["contains", "unevaluatedItems"];
/// Most subschemas that are looked at, one as often as it applies.
const STEPS_MAX: usize = 100_000;
/// How far what is mentioned is looked for.
const MENTIONED_DEEP_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Role, Schemas};
    use crate::{Config, Rule, UnknownArguments};
    use sekisho_catalog::Declared;
    use sekisho_wire::Json;
    use sekisho_wire::json::Limits;
    use serde_json::json;

    /// How many findings a value has, read strictly.
    fn strictly(schema: &Value, value: &Value) -> usize {
        let config = Config { unknown_arguments: UnknownArguments::Refuse, ..Config::default() };
        let schema = Json::decode(schema.to_string().into(), &Limits::default()).unwrap();
        let compiled = Schemas::new(&config).compiled(Role::Input, &Declared::of(schema));
        let schema = compiled.as_ref().as_ref().unwrap_or_else(|why| panic!("{why}"));
        schema.check(Rule::InputSchema, "", value).len()
    }

    /// A tool with one argument of this schema.
    fn with(argument: &Value) -> Value {
        let point = json!({"type": "object", "properties": {"x": {"type": "integer"}}});
        let node = json!({"type": "object", "properties": {"x": true, "next": {"$ref": "#/$defs/node"}}});
        let shared = json!({"type": "object", "properties": {"in": {"properties": {"x": true}}}});
        json!({"type": "object", "properties": {"a": argument}, "$defs": {"point": point, "node": node, "shared": shared}})
    }

    #[test]
    fn members_of_objects_inside_that_nothing_mentions_are_refused() {
        let point = json!({"type": "object", "properties": {"x": true}});
        for (schema, fits, not) in [
            (point.clone(), json!({"x": 1}), json!({"x": 1, "y": 2})),
            (json!({"properties": {"p": point}}), json!({"p": {"x": 1}}), json!({"p": {"y": 1}})),
            (json!({"items": point}), json!([{"x": 1}]), json!([{"x": 1}, {"y": 1}])),
            (json!({"prefixItems": [point], "items": true}), json!([{"x": 1}, {"y": 1}]), json!([{"y": 1}])),
            (json!({"additionalProperties": point}), json!({"k": {"x": 1}}), json!({"k": {"y": 1}})),
            (json!({"$ref": "#/$defs/point"}), json!({"x": 1}), json!({"y": 1})),
            (json!({"$ref": "#/$defs/node"}), json!({"x": 1, "next": {"x": 2}}), json!({"next": {"next": {"y": 2}}})),
            (json!({"anyOf": [{"$ref": "#/$defs/point"}, {"type": "null"}]}), json!({"x": 1}), json!({"x": 1, "y": 1})),
            (json!({"oneOf": [point, {"type": "string"}]}), json!({"x": 1}), json!({"x": 1, "y": 1})),
            (json!({"allOf": [point, {"properties": {"y": true}}]}), json!({"x": 1, "y": 1}), json!({"z": 1})),
            (json!({"allOf": [{"properties": {"p": point}}]}), json!({"p": {"x": 1}}), json!({"p": {"y": 1}})),
            (
                json!({"properties": {"x": true}, "dependentSchemas": {"x": {"properties": {"y": true}}}}),
                json!({"x": 1, "y": 1}),
                json!({"y": 1}),
            ),
        ] {
            assert_eq!(strictly(&with(&schema), &json!({"a": fits})), 0, "{schema} {fits}");
            assert_ne!(strictly(&with(&schema), &json!({"a": not})), 0, "{schema} {not}");
        }
    }

    #[test]
    fn what_several_schemas_describe_together_stays_as_they_have_it() {
        let (x, y) = (json!({"properties": {"x": true}}), json!({"properties": {"y": true}}));
        let both = json!({"x": 1, "y": 1});
        for (schema, value) in [
            // Two parts describe one member.
            (json!({"allOf": [{"properties": {"p": x}}, {"properties": {"p": y}}]}), json!({"p": both})),
            (json!({"properties": {"p": x}, "anyOf": [{"properties": {"p": y}}, {}]}), json!({"p": both})),
            (json!({"properties": {"p": x}, "patternProperties": {"^p": y}}), json!({"p": both})),
            (json!({"properties": {"p": x}, "allOf": [{"additionalProperties": y}]}), json!({"p": both})),
            (json!({"items": x, "contains": y}), json!([both])),
            (json!({"items": x, "allOf": [{"items": y}]}), json!([both])),
            (json!({"if": {"properties": {"p": x}}, "then": {"properties": {"p": y}}}), json!({"p": both})),
            // It speaks of others itself, or of no member at all.
            (json!({"properties": {"x": true}, "additionalProperties": true}), both.clone()),
            (json!({"properties": {"x": true}, "unevaluatedProperties": {"type": "integer"}}), both.clone()),
            (json!({"properties": {"x": true}, "patternProperties": {"^z": true}}), both.clone()),
            (json!({"type": "object"}), both.clone()),
            (json!({"anyOf": [x, {"type": "object"}]}), both.clone()),
            // One that is used in a composition is not closed where it is used alone.
            (
                json!({"prefixItems": [
                    {"$ref": "#/$defs/shared"},
                    {"allOf": [{"$ref": "#/$defs/shared"}, {"properties": {"in": y}}]},
                ]}),
                json!([{"in": {"x": 1}}, {"in": both}]),
            ),
        ] {
            assert_eq!(strictly(&with(&schema), &json!({ "a": value })), 0, "{schema} {value}");
        }
    }

    #[test]
    fn closing_never_lets_through_what_the_schema_refuses() {
        let x = json!({"properties": {"x": true}});
        for (schema, value) in [
            // Closed, the first branch would not fit any more, and one alone would.
            (json!({"oneOf": [{"properties": {"p": x}}, {"properties": {"p": true}}]}), json!({"p": {"y": 1}})),
            (json!({"not": {"properties": {"p": x}, "required": ["p"]}}), json!({"p": {"y": 1}})),
            (json!({"if": {"properties": {"p": x}}, "then": false}), json!({"p": {"y": 1}})),
        ] {
            assert_ne!(strictly(&with(&schema), &json!({ "a": value })), 0, "{schema} {value}");
        }
    }

    #[test]
    fn what_is_not_understood_closes_the_root_alone() {
        let x = json!({"properties": {"x": true}});
        for odd in [json!({"$id": "x:y"}), json!({"items": {"$dynamicRef": "#d"}})] {
            let schema = json!({"$dynamicAnchor": "d", "type": "object", "properties": {"p": x, "odd": odd}});
            assert_eq!(strictly(&schema, &json!({"p": {"y": 1}})), 0, "{schema}");
            assert_eq!(strictly(&schema, &json!({"q": 1})), 1, "{schema}");
        }
    }

    #[test]
    fn draft_7_closes_what_it_can_say_in_place() {
        let with = |members: Value| {
            let mut schema = json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"});
            schema.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            schema
        };
        let inside = with(json!({"properties": {"p": {"properties": {"x": true}}}}));
        assert_eq!(strictly(&inside, &json!({"p": {"x": 1}})), 0);
        assert_eq!(strictly(&inside, &json!({"p": {"y": 1}})), 1);
        let composed = with(json!({"properties": {"a": true}, "allOf": [{"properties": {"b": {"type": "integer"}}}]}));
        assert_eq!(strictly(&composed, &json!({"a": 1, "b": 2})), 0);
        assert_eq!(strictly(&composed, &json!({"b": "2"})), 1);
        assert_eq!(strictly(&composed, &json!({"c": 1})), 1);
        let referred = with(
            json!({"properties": {"p": {"$ref": "#/definitions/d"}}, "definitions": {"d": {"properties": {"x": true}}}}),
        );
        assert_eq!(strictly(&referred, &json!({"p": {"y": 1}})), 0);
    }
}
