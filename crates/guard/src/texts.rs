//! How much text a schema makes the validator read: each pattern and each length reads its text once more.
//!
//! The worst case for all texts together is known per depth. A value that passes it may still be harmless,
//! since few of its texts are under the pattern: then they are followed through the schema one by one.

use serde_json::{Map, Value};

use crate::patterns::{Costly, Patterns};
use crate::value;
use crate::work::{Below, Excess, Node, ROOT};

/// What a subschema reads by itself, in steps for each byte.
#[derive(Debug, Default)]
pub(crate) struct Prices {
    /// Of a text that it applies to.
    text: u64,
    /// Of the names of members that it applies to.
    names: u64,
    /// Whether a pattern reads the text.
    pattern: bool,
}

impl Prices {
    /// # Errors
    /// [`Costly`] if the schema has too many patterns, or too large ones.
    pub(crate) fn of(members: &Map<String, Value>, patterns: &mut Patterns) -> Result<Prices, Costly> {
        let mut prices = Prices::default();
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("pattern", Value::String(pattern)) => {
                    prices.text = prices.text.saturating_add(patterns.steps(pattern)?);
                    prices.pattern = true;
                }
                ("patternProperties", Value::Object(by_pattern)) => {
                    for pattern in by_pattern.keys() {
                        let steps = patterns.steps(pattern)?.saturating_mul(NAMES_READ);
                        prices.names = prices.names.saturating_add(steps);
                    }
                }
                // `format` is not asserted here; it would be as much.
                ("minLength" | "maxLength" | "format", _) => prices.text = prices.text.saturating_add(STEPS_READ),
                // Asserted in draft 7 alone.
                ("contentMediaType" | "contentEncoding", _) => prices.text = prices.text.saturating_add(STEPS_DECODED),
                // Nothing else reads text.
                _ => {}
            }
        }
        Ok(prices)
    }

    /// For each byte of whatever it applies to: no value is both a text and an object.
    pub(crate) fn most(&self) -> u64 {
        self.text.max(self.names)
    }
}

/// The subschemas that read text, and how to get to them.
pub(crate) struct Texts {
    /// The worst case for each byte of text, by depth of the value.
    steps: Vec<u64>,
    nodes: Vec<Node>,
    /// Which of them read text, or lead to one that does.
    lead: Vec<bool>,
}

impl Texts {
    pub(crate) fn new(steps: Vec<u64>, nodes: Vec<Node>) -> Texts {
        let lead = lead(&nodes);
        Texts { steps, nodes, lead }
    }

    /// Whether checking `instance` stays within [`STEPS_MAX`] and [`PATTERN_TEXT_BYTES_MAX`].
    pub(crate) fn bounded_for(&self, instance: &Value, depth: usize) -> Result<(), Excess> {
        if self.lead.get(ROOT) == Some(&false) {
            return Ok(());
        }
        let (bytes, longest) = texts(instance);
        let most = self.steps.get(depth).copied().unwrap_or(u64::MAX).saturating_mul(bytes);
        if most <= STEPS_MAX && longest <= PATTERN_TEXT_BYTES_MAX {
            return Ok(());
        }
        let mut bill = Bill { of: self, steps: 0, at: String::new() };
        bill.value(instance, vec![(ROOT, 1)])
    }
}

/// A subschema, and how often it applies.
type Applied = (usize, u64);

/// The walk through value and schema. It visits what [`crate::work`] bounded before.
struct Bill<'t> {
    of: &'t Texts,
    steps: u64,
    /// Where in the value: a JSON pointer.
    at: String,
}

impl Bill<'_> {
    /// Nesting is bounded, since values come from [`value::tree`].
    fn value(&mut self, value: &Value, by: Vec<Applied>) -> Result<(), Excess> {
        let by = self.in_place(by);
        if by.is_empty() {
            return Ok(());
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
            Value::String(text) => self.text(text, &by),
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    let below = self.below(&by, |below| below.element(index));
                    self.inside(&index.to_string(), |bill| bill.value(element, below))?;
                }
                Ok(())
            }
            Value::Object(members) => {
                for (name, member) in members {
                    let names = self.below(&by, Below::names);
                    let below = self.below(&by, |below| below.member(name));
                    self.inside(name, |bill| {
                        bill.name(name, &by, names)?;
                        bill.value(member, below)
                    })?;
                }
                Ok(())
            }
        }
    }

    fn text(&mut self, text: &str, by: &[Applied]) -> Result<(), Excess> {
        for (node, times) in by.iter().filter_map(|(index, times)| Some((self.of.nodes.get(*index)?, times))) {
            self.read(text, node.prices.text.saturating_mul(*times), node.prices.pattern)?;
        }
        Ok(())
    }

    fn name(&mut self, name: &str, by: &[Applied], names: Vec<Applied>) -> Result<(), Excess> {
        for (node, times) in by.iter().filter_map(|(index, times)| Some((self.of.nodes.get(*index)?, times))) {
            self.read(name, node.prices.names.saturating_mul(*times), node.prices.names > 0)?;
        }
        let names = self.in_place(names);
        self.text(name, &names)
    }

    fn read(&mut self, text: &str, steps: u64, by_pattern: bool) -> Result<(), Excess> {
        if by_pattern && text.len() > PATTERN_TEXT_BYTES_MAX {
            return Err(Excess::Long { at: self.at.clone() });
        }
        self.steps = self.steps.saturating_add(steps.saturating_mul(charged(text)));
        if self.steps > STEPS_MAX { Err(Excess::Text) } else { Ok(()) }
    }

    /// These subschemas and all that apply to the same value because of them. That ends: circles were refused.
    fn in_place(&self, mut open: Vec<Applied>) -> Vec<Applied> {
        let mut all = Vec::new();
        while let Some((index, times)) = open.pop() {
            if self.of.lead.get(index) == Some(&false) {
                continue;
            }
            let Some(node) = self.of.nodes.get(index) else { continue };
            all.push((index, times));
            open.extend(node.in_place.iter().map(|below| (*below, times.saturating_mul(node.again()))));
        }
        all
    }

    fn below<'s, I: Iterator<Item = usize>>(&'s self, by: &[Applied], of: impl Fn(&'s Below) -> I) -> Vec<Applied> {
        let nodes = by.iter().filter_map(|(index, times)| Some((self.of.nodes.get(*index)?, *times)));
        nodes.flat_map(|(node, times)| of(&node.below).map(move |below| (below, times))).collect()
    }

    fn inside(&mut self, segment: &str, walk: impl FnOnce(&mut Self) -> Result<(), Excess>) -> Result<(), Excess> {
        let before = self.at.len();
        value::push(&mut self.at, segment);
        walk(self)?;
        self.at.truncate(before);
        Ok(())
    }
}

/// Which subschemas read text, or lead to one that does.
fn lead(nodes: &[Node]) -> Vec<bool> {
    let mut above = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for below in node.in_place.iter().copied().chain(node.below.all()) {
            if let Some(above) = above.get_mut(below) {
                above.push(index);
            }
        }
    }
    let mut lead = vec![false; nodes.len()];
    let reads = nodes.iter().enumerate().filter(|(_, node)| node.prices.most() > 0);
    let mut open: Vec<usize> = reads.map(|(index, _)| index).collect();
    while let Some(index) = open.pop() {
        if let Some(known) = lead.get_mut(index).filter(|known| !**known) {
            *known = true;
            open.extend(above.get(index).into_iter().flatten());
        }
    }
    lead
}

/// What all texts and names in a value are charged as, and the longest of them, in bytes.
fn texts(value: &Value) -> (u64, usize) {
    let both =
        |(bytes, longest): (u64, usize), (more, long): (u64, usize)| (bytes.saturating_add(more), longest.max(long));
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => (0, 0),
        Value::String(text) => (charged(text), text.len()),
        Value::Array(elements) => elements.iter().map(texts).fold((0, 0), both),
        Value::Object(members) => {
            members.iter().map(|(name, member)| both((charged(name), name.len()), texts(member))).fold((0, 0), both)
        }
    }
}

/// A text in bytes, with the few that it takes to begin.
fn charged(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX).saturating_add(BEGUN_BYTES)
}

/// Longest text that is matched against a pattern, in bytes.
pub(crate) const PATTERN_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Most steps for one value: about two seconds if a schema and a value are made for it, else far less.
const STEPS_MAX: u64 = 1 << 31;
/// Steps for each byte of a text that is read from one end to the other.
const STEPS_READ: u64 = 1;
/// Steps for each byte of a text that is decoded.
const STEPS_DECODED: u64 = 32;
/// `patternProperties` reads names; `additionalProperties` and `unevaluatedProperties` ask it once more each.
const NAMES_READ: u64 = 3;
/// What the shortest text costs, as if it had so many bytes more.
const BEGUN_BYTES: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{Work, measure};
    use jsonschema::Draft;
    use serde_json::json;

    fn work(schema: &Value) -> Work {
        measure(schema, Draft::Draft202012, &mut Patterns::default()).unwrap_or_else(|why| panic!("{why}"))
    }

    /// A text that is charged as so many bytes.
    fn text(charged: u64) -> String {
        "0".repeat(usize::try_from(charged - BEGUN_BYTES).unwrap())
    }

    /// The largest pattern costs so much for each byte.
    const LARGE: (&str, u64) = ("1[01]{900}[23]", 64 * 256);

    #[test]
    fn a_long_text_under_a_pattern_is_found_and_one_beside_it_is_not() {
        let small = json!({"pattern": "^[a-z]+$"});
        let long = |by: usize| json!("a".repeat(PATTERN_TEXT_BYTES_MAX + by));
        assert!(work(&small).bounded_for(&long(0)).is_ok());
        assert_eq!(work(&small).bounded_for(&long(1)), Err(Excess::Long { at: String::new() }));
        let schema = json!({
            "properties": {"path": small, "content": {"type": "string"}, "tags": {"prefixItems": [true, {"$ref": "#/$defs/tag"}]}},
            "additionalProperties": small,
            "$defs": {"tag": {"anyOf": [{"not": small}]}},
        });
        let at = |value: Value| match work(&schema).bounded_for(&value) {
            Ok(_) => None,
            Err(Excess::Long { at }) => Some(at),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(at(json!({"path": "a", "content": "a".repeat(15_000_000)})), None);
        assert_eq!(at(json!({"path": long(1), "content": "a"})).as_deref(), Some("/path"));
        assert_eq!(at(json!({"other/one": long(1)})).as_deref(), Some("/other~1one"));
        assert_eq!(at(json!({"tags": [long(1), "a", long(1)]})), None);
        assert_eq!(at(json!({"tags": ["a", long(1)]})).as_deref(), Some("/tags/1"));
    }

    #[test]
    fn names_of_members_are_texts_under_their_patterns() {
        let long = |by: usize| json!({"a".repeat(PATTERN_TEXT_BYTES_MAX + by): 1});
        for schema in
            [json!({"patternProperties": {"^[a-z]+$": true}}), json!({"propertyNames": {"pattern": "^[a-z]+$"}})]
        {
            assert!(work(&schema).bounded_for(&long(0)).is_ok(), "{schema}");
            assert!(matches!(work(&schema).bounded_for(&long(1)), Err(Excess::Long { .. })), "{schema}");
        }
        // Each name is read three times at most.
        let work = work(&json!({"patternProperties": {LARGE.0: true}}));
        let most = STEPS_MAX / (LARGE.1 * NAMES_READ);
        assert!(work.bounded_for(&json!({text(most): 1})).is_ok());
        assert_eq!(work.bounded_for(&json!({text(most + 1): 1})), Err(Excess::Text));
    }

    #[test]
    fn text_is_bounded_by_the_size_of_the_pattern() {
        let work = work(&json!({"items": {"pattern": LARGE.0}}));
        let (half, rest) = (STEPS_MAX / LARGE.1 / 3, STEPS_MAX / LARGE.1 % 3);
        let texts = |more: u64| json!([text(half), text(half), text(half + rest + more)]);
        assert!(work.bounded_for(&texts(0)).is_ok());
        assert_eq!(work.bounded_for(&texts(1)), Err(Excess::Text));
        // Short ones are not free.
        let empty = |count: u64| json!(vec![""; usize::try_from(count).unwrap()]);
        assert!(work.bounded_for(&empty(STEPS_MAX / LARGE.1 / BEGUN_BYTES)).is_ok());
        assert_eq!(work.bounded_for(&empty(STEPS_MAX / LARGE.1 / BEGUN_BYTES + 1)), Err(Excess::Text));
    }

    #[test]
    fn text_is_bounded_by_how_often_a_pattern_applies() {
        let branch = json!({"items": {"allOf": [{"pattern": LARGE.0}, {"pattern": LARGE.0}]}});
        let work = work(&json!({"anyOf": [branch], "unevaluatedItems": false}));
        // Twice in each of two runs.
        let most = STEPS_MAX / (LARGE.1 * 4);
        assert!(work.bounded_for(&json!([text(most)])).is_ok());
        assert_eq!(work.bounded_for(&json!([text(most + 1)])), Err(Excess::Text));
    }

    #[test]
    fn lengths_and_contents_are_read_as_well() {
        let lengths = json!({"allOf": vec![json!({"minLength": 1, "maxLength": 20_000_000}); 500]});
        let most = STEPS_MAX / (STEPS_READ * 1000);
        assert!(work(&lengths).bounded_for(&json!(text(most))).is_ok());
        assert_eq!(work(&lengths).bounded_for(&json!(text(most + 1))), Err(Excess::Text));
        let contents = json!({"allOf": vec![json!({"contentMediaType": "application/json"}); 500]});
        let most = STEPS_MAX / (STEPS_DECODED * 500);
        assert!(work(&contents).bounded_for(&json!(text(most))).is_ok());
        assert_eq!(work(&contents).bounded_for(&json!(text(most + 1))), Err(Excess::Text));
    }
}
