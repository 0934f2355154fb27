//! How much work a schema can make: references that leave it, loops, and blow-ups, before anything runs.
//!
//! JSON Schema has two ways to never come to an end: subschemas that apply to the same value in a circle, and
//! subschemas that visit each value many times over, level by level. A server writes the schema and somebody
//! else the value, so both are bounded here (MCP JS-04): the first is refused, of the second the worst case is
//! computed once per schema and depth, and compared with the value at hand.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Value};

use crate::value;

/// Why a schema is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unbounded {
    /// JS-02, JS-03: nothing is fetched, and what is missing is not guessed.
    #[error("its reference `{0}` leads outside the schema or to nothing")]
    External(String),
    /// References would have to be resolved against another base.
    #[error("it has a subschema with an `$id` of its own")]
    Embedded,
    /// Subschemas apply to the same value in a circle.
    #[error("its subschemas refer to each other in a circle that never ends")]
    Circle,
    /// Too many subschemas.
    #[error("it has more than {SUBSCHEMAS_MAX} subschemas")]
    Subschemas,
    /// Checking even the smallest value takes too long.
    #[error("checking any value against it takes too long")]
    Heavy,
}

/// The worst case of visits to subschemas, by depth of the value.
#[derive(Debug)]
pub(crate) struct Work {
    by_depth: Vec<u64>,
}

impl Work {
    /// Whether checking `instance` stays within [`VISITS_MAX`].
    pub(crate) fn bounded_for(&self, instance: &Value) -> bool {
        let per_value = self.by_depth.get(value::depth(instance)).copied().unwrap_or(u64::MAX);
        per_value.saturating_mul(value::nodes(instance)) <= VISITS_MAX
    }
}

/// Measures a schema.
///
/// # Errors
/// [`Unbounded`] if a value exists that could keep the validator busy without end, or if something is missing.
pub(crate) fn measure(schema: &Value) -> Result<Work, Unbounded> {
    let mut graph = Graph::default();
    graph.walk(schema, schema)?;
    graph.connect(schema)?;
    let order = graph.order()?;
    let work = graph.costs(&order);
    match work.by_depth.first() {
        Some(least) if *least <= LEAST_VISITS_MAX => Ok(work),
        Some(_) | None => Err(Unbounded::Heavy),
    }
}

/// One subschema.
#[derive(Default)]
struct Node {
    /// Subschemas that apply to the same value.
    in_place: Vec<usize>,
    /// Subschemas of members and elements, of which one applies to each.
    one_of: Vec<usize>,
    /// Subschemas of members and elements that apply beside others.
    each: Vec<usize>,
    /// `unevaluated*` asks once more what the subschemas in place evaluated.
    twice: bool,
    /// Work of its own.
    weight: u64,
}

#[derive(Default)]
struct Graph<'s> {
    nodes: Vec<Node>,
    known: HashMap<*const Value, usize>,
    /// Named places: `$anchor`, `$dynamicAnchor`, and draft 7's `$id` of the form `#name`.
    anchors: HashMap<&'s str, Vec<usize>>,
    /// References that are still to be connected.
    references: Vec<(usize, &'s str)>,
}

impl<'s> Graph<'s> {
    /// Adds the subschema `at` and all below it. Nesting is bounded by the caller.
    fn walk(&mut self, root: &'s Value, at: &'s Value) -> Result<usize, Unbounded> {
        let index = match self.known.entry(std::ptr::from_ref(at)) {
            Entry::Occupied(known) => return Ok(*known.get()),
            Entry::Vacant(vacant) => *vacant.insert(self.nodes.len()),
        };
        if index >= SUBSCHEMAS_MAX {
            return Err(Unbounded::Subschemas);
        }
        self.nodes.push(Node::default());
        let Some(members) = at.as_object() else { return Ok(index) };
        let mut node = Node { weight: weight(members), ..Node::default() };
        for (keyword, value) in members {
            self.keyword(root, index, &mut node, (keyword, value))?;
        }
        if !std::ptr::eq(root, at) {
            self.embedded(index, members)?;
        }
        if let Some(place) = self.nodes.get_mut(index) {
            *place = node;
        }
        Ok(index)
    }

    fn keyword(
        &mut self,
        root: &'s Value,
        index: usize,
        node: &mut Node,
        (keyword, value): (&'s str, &'s Value),
    ) -> Result<(), Unbounded> {
        let into = match keyword {
            "$ref" | "$dynamicRef" | "$recursiveRef" => {
                if let Some(reference) = value.as_str() {
                    self.references.push((index, reference));
                }
                return Ok(());
            }
            "$anchor" | "$dynamicAnchor" => {
                if let Some(name) = value.as_str() {
                    self.anchors.entry(name).or_default().push(index);
                }
                return Ok(());
            }
            "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" | "dependentSchemas" | "dependencies" => {
                &mut node.in_place
            }
            "unevaluatedProperties" | "unevaluatedItems" => {
                node.twice = true;
                &mut node.one_of
            }
            "properties" | "additionalProperties" | "items" | "prefixItems" | "additionalItems" => &mut node.one_of,
            "patternProperties" | "contains" | "propertyNames" => &mut node.each,
            // Kept for references, applied to nothing by themselves.
            "$defs" | "definitions" => &mut Vec::new(),
            // Annotations and assertions without subschemas; unknown keywords assert nothing.
            _ => return Ok(()),
        };
        for below in subschemas(keyword, value) {
            into.push(self.walk(root, below)?);
        }
        Ok(())
    }

    fn embedded(&mut self, index: usize, members: &'s Map<String, Value>) -> Result<(), Unbounded> {
        match members.get("$id").and_then(Value::as_str) {
            None => Ok(()),
            Some(id) => match id.strip_prefix('#') {
                Some(name) => {
                    self.anchors.entry(name).or_default().push(index);
                    Ok(())
                }
                None => Err(Unbounded::Embedded),
            },
        }
    }

    /// Connects references with what they name; a target that was no subschema so far is walked too.
    fn connect(&mut self, root: &'s Value) -> Result<(), Unbounded> {
        let id = root.get("$id").and_then(Value::as_str).unwrap_or_default().trim_end_matches('#');
        while let Some((from, reference)) = self.references.pop() {
            let outside = || Unbounded::External(reference.to_owned());
            let fragment = match reference.strip_prefix(id).filter(|_| !id.is_empty()).unwrap_or(reference) {
                "" | "#" => "",
                inside => inside.strip_prefix('#').ok_or_else(outside)?,
            };
            let targets = if fragment.is_empty() || fragment.starts_with('/') {
                let pointer = unescape(fragment).ok_or_else(outside)?;
                let target = root.pointer(&pointer).ok_or_else(outside)?;
                vec![self.walk(root, target)?]
            } else {
                self.anchors.get(fragment).cloned().ok_or_else(outside)?
            };
            if let Some(node) = self.nodes.get_mut(from) {
                node.in_place.extend(targets);
            }
        }
        Ok(())
    }

    /// The subschemas so that each comes before those that apply it in place.
    fn order(&self) -> Result<Vec<usize>, Unbounded> {
        let mut appliers = vec![0_usize; self.nodes.len()];
        for below in self.nodes.iter().flat_map(|node| &node.in_place) {
            if let Some(count) = appliers.get_mut(*below) {
                *count += 1;
            }
        }
        let mut order: Vec<usize> =
            appliers.iter().enumerate().filter(|(_, count)| **count == 0).map(|(index, _)| index).collect();
        let mut next = 0;
        while let Some(node) = order.get(next).and_then(|index| self.nodes.get(*index)) {
            next += 1;
            for below in &node.in_place {
                let Some(count) = appliers.get_mut(*below) else { continue };
                *count -= 1;
                if *count == 0 {
                    order.push(*below);
                }
            }
        }
        if order.len() < self.nodes.len() {
            return Err(Unbounded::Circle);
        }
        order.reverse();
        Ok(order)
    }

    fn costs(&self, order: &[usize]) -> Work {
        let mut below = vec![0_u64; self.nodes.len()];
        let mut by_depth = Vec::new();
        for _ in 0..=value::DEPTH_MAX {
            let mut level = vec![0_u64; self.nodes.len()];
            for index in order {
                let Some(node) = self.nodes.get(*index) else { continue };
                let cost = node.cost(&level, &below);
                if let Some(place) = level.get_mut(*index) {
                    *place = cost;
                }
            }
            // The root was walked first.
            by_depth.push(level.first().copied().unwrap_or(u64::MAX));
            below = level;
        }
        Work { by_depth }
    }
}

impl Node {
    fn cost(&self, level: &[u64], below: &[u64]) -> u64 {
        let at = |costs: &[u64], index: &usize| costs.get(*index).copied().unwrap_or(u64::MAX);
        let in_place = self.in_place.iter().map(|c| at(level, c)).fold(0, u64::saturating_add);
        let again = if self.twice { 2 } else { 1 };
        let one_of = self.one_of.iter().map(|c| at(below, c)).max().unwrap_or(0);
        let each = self.each.iter().map(|c| at(below, c)).fold(0, u64::saturating_add);
        self.weight.saturating_add(in_place.saturating_mul(again)).saturating_add(one_of).saturating_add(each)
    }
}

/// The subschemas that a keyword's value holds: itself, or its elements, or its members.
fn subschemas<'s>(keyword: &str, value: &'s Value) -> Vec<&'s Value> {
    let maps = ["properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"];
    match value {
        Value::Object(members) if maps.contains(&keyword) => {
            // `dependencies` of draft 7 may hold lists of names.
            members.values().filter(|below| below.is_object() || below.is_boolean()).collect()
        }
        Value::Object(_) | Value::Bool(_) => vec![value],
        Value::Array(elements) => elements.iter().collect(),
        Value::Null | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Long lists take longer than one visit.
fn weight(members: &Map<String, Value>) -> u64 {
    let long = |keyword: &str| match members.get(keyword) {
        Some(Value::Array(elements)) => elements.len(),
        Some(Value::Object(members)) => members.len(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => 0,
    };
    let entries = long("enum") + long("required") + long("properties") + long("const");
    u64::try_from(1 + entries / ENTRIES_PER_VISIT).unwrap_or(u64::MAX)
}

/// A URI fragment without percent escapes (RFC 6901 section 6).
fn unescape(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let code = digit(rest.next())? * 16 + digit(rest.next())?;
            bytes.push(u8::try_from(code).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Most subschemas of one schema.
const SUBSCHEMAS_MAX: usize = 4096;
/// Most visits for the smallest value.
const LEAST_VISITS_MAX: u64 = 100_000;
/// Most visits for one value: well under a second of work.
const VISITS_MAX: u64 = 10_000_000;
/// How many entries of a list weigh as much as one visit.
const ENTRIES_PER_VISIT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_inside_are_followed_and_outside_refused() {
        let inside = json!({
            "$id": "https://example.com/s", "type": "object",
            "properties": {
                "a": {"$ref": "#/$defs/x"}, "b": {"$ref": "#named"}, "c": {"$ref": "https://example.com/s#/$defs/x"},
                "d": {"$ref": "#/$defs/with%20space~1slash"}, "$ref": {"type": "string"},
            },
            "$defs": {"x": {"type": "string"}, "y": {"$anchor": "named"}, "with space/slash": true},
        });
        assert!(measure(&inside).is_ok());
        for outside in
            ["https://example.com/other", "other.json", "#/$defs/none", "#none", "file:///etc/passwd", "//h/x"]
        {
            let schema = json!({"type": "object", "$defs": {"unused": {"items": [{"$ref": outside}]}}});
            assert_eq!(measure(&schema).unwrap_err(), Unbounded::External(outside.to_owned()));
            let schema = json!({"type": "object", "not": {"$dynamicRef": outside}});
            assert_eq!(measure(&schema).unwrap_err(), Unbounded::External(outside.to_owned()));
        }
        let embedded = json!({"$defs": {"x": {"$id": "https://example.com/x"}}});
        assert_eq!(measure(&embedded).unwrap_err(), Unbounded::Embedded);
    }

    #[test]
    fn circles_in_place_are_refused_and_recursion_over_children_is_not() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"not": {"$ref": "#/$defs/a"}, "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}}),
        ] {
            assert_eq!(measure(&schema).unwrap_err(), Unbounded::Circle, "{schema}");
        }
        let tree = json!({"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}});
        assert!(measure(&tree).is_ok());
    }

    #[test]
    fn doubling_chains_are_refused() {
        let mut defs = Map::new();
        for i in 0..40 {
            let next = json!({"$ref": format!("#/$defs/n{}", i + 1)});
            defs.insert(format!("n{i}"), json!({"anyOf": [next, next]}));
        }
        defs.insert("n40".to_owned(), json!({"type": "string"}));
        let schema = json!({"$ref": "#/$defs/n0", "$defs": defs});
        assert_eq!(measure(&schema).unwrap_err(), Unbounded::Heavy);
    }

    #[test]
    fn doubling_by_depth_is_refused_for_deep_values_alone() {
        let both = json!({"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]});
        let work = measure(&both).unwrap();
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(work.bounded_for(&nested(8)));
        assert!(!work.bounded_for(&nested(40)));
    }

    #[test]
    fn the_number_of_subschemas_is_bounded() {
        let many = |count: usize| json!({"allOf": vec![json!({"type": "object"}); count]});
        assert!(measure(&many(SUBSCHEMAS_MAX - 1)).is_ok());
        assert_eq!(measure(&many(SUBSCHEMAS_MAX)).unwrap_err(), Unbounded::Subschemas);
    }
}
