//! How much work a schema can make: references that leave it, loops, and blow-ups, before anything runs.
//!
//! JSON Schema has two ways to never come to an end: subschemas that apply to the same value in a circle, and
//! subschemas that visit each value many times over, level by level. A server writes the schema and somebody
//! else the value, so both are bounded here (MCP JS-04): the first is refused, of the second the worst case is
//! computed once per schema and depth, and compared with the value at hand. Keywords that read text cost by its
//! length; those are counted by themselves, in [`crate::texts`].

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use jsonschema::{Draft, Uri};
use serde_json::{Map, Value};

use crate::patterns::{Costly, Patterns};
use crate::scope::{Scope, brief};
use crate::texts::{self, Prices, Texts};
use crate::value;

/// Why a schema is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unbounded {
    /// JS-02, JS-03: nothing is fetched, and what is missing is not guessed.
    #[error("its reference `{0}` leads outside the schema or to nothing")]
    External(String),
    /// A base that references cannot be resolved against.
    #[error("its `$id` `{0}` is no URI, or names two of its subschemas")]
    Id(Box<str>),
    /// JS-01: another meaning of keywords inside.
    #[error("the dialect `{0}` of a subschema is not one of 2020-12, 2019-09 and draft-07")]
    Dialect(Box<str>),
    /// Subschemas apply to the same value one inside of the other.
    #[error("more than {CHAIN_MAX} of its subschemas lead to each other for the same value")]
    Chain,
    /// Subschemas apply to the same value in a circle.
    #[error("its subschemas refer to each other in a circle that never ends")]
    Circle,
    /// Too many subschemas.
    #[error("it has more than {SUBSCHEMAS_MAX} subschemas")]
    Subschemas,
    /// Checking even the smallest value takes too long.
    #[error("checking any value against it takes too long")]
    Heavy,
    /// Its patterns are too many or too large.
    #[error(transparent)]
    Patterns(#[from] Costly),
}

/// Why a value is not checked against a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Excess {
    /// Too many values, or too deep ones.
    #[error("the value is too large or too deep to be checked against the schema")]
    Visits,
    /// Too much text.
    #[error("the value has too much text to be checked against the patterns and lengths in the schema")]
    Text,
    /// A text that a pattern would be matched against.
    #[error("the text is longer than {} KiB, and the schema has a pattern for it", texts::PATTERN_TEXT_BYTES_MAX / 1024)]
    Long {
        /// JSON pointer.
        at: String,
    },
}

/// The worst case of work, by depth of the value.
pub(crate) struct Work {
    /// Visits to subschemas for each value inside.
    visits: Vec<u64>,
    /// Subschemas that are inside of each other, and on the stack at once.
    nested: Vec<u64>,
    /// Whether elements are compared with each other.
    compares: bool,
    texts: Texts,
}

impl Work {
    /// Whether checking `instance` stays within [`VISITS_MAX`] and the bounds on text.
    ///
    /// # Errors
    /// [`Excess`] if it does not.
    pub(crate) fn bounded_for(&self, instance: &Value) -> Result<Effort, Excess> {
        let depth = value::depth(instance);
        let at = |costs: &[u64]| costs.get(depth).copied().unwrap_or(u64::MAX);
        let visits = at(&self.visits).saturating_mul(value::nodes(instance));
        let pairs = if self.compares { pairs(instance) } else { 0 };
        if visits.saturating_add(pairs) > VISITS_MAX || at(&self.nested) > NESTED_MAX {
            return Err(Excess::Visits);
        }
        self.texts.bounded_for(instance, depth)?;
        Ok(if visits > TOLD_VISITS_MAX { Effort::Large } else { Effort::Small })
    }
}

/// How much is done for a value that fits or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// All that does not fit may be gathered.
    Small,
    /// So much may not fit that gathering it would take too much memory: the library keeps each error.
    Large,
}

/// Comparisons of elements with each other. The library hashes them, but arrays of the same leaves to the same
/// number, whatever their shape.
fn pairs(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(elements) => {
            let nested = elements.iter().filter(|element| element.is_array() || element.is_object()).count();
            let nested = u64::try_from(nested).unwrap_or(u64::MAX);
            elements.iter().map(pairs).fold(nested.saturating_mul(nested) / 2, u64::saturating_add)
        }
        Value::Object(members) => members.values().map(pairs).fold(0, u64::saturating_add),
    }
}

/// Measures a schema.
///
/// # Errors
/// [`Unbounded`] if a value exists that could keep the validator busy without end, or if something is missing.
pub(crate) fn measure(schema: &Value, draft: Draft, patterns: &mut Patterns) -> Result<Work, Unbounded> {
    let mut graph = Graph::default();
    let scope = Scope::of(schema, draft)?;
    graph.ids.insert(Rc::clone(&scope.base));
    graph.walk(&scope, schema)?;
    graph.connect(schema, &scope)?;
    let order = graph.order()?;
    let visits = costs(&graph.nodes, &order, |node| node.weight);
    match visits.first() {
        Some(least) if *least <= LEAST_VISITS_MAX => {}
        Some(_) | None => return Err(Unbounded::Heavy),
    }
    let (chain, nested) = nested(&graph.nodes, &order);
    if chain > CHAIN_MAX {
        return Err(Unbounded::Chain);
    }
    let compares = graph.members.iter().flatten().any(|members| members.get("uniqueItems") == Some(&Value::Bool(true)));
    // Last, since patterns are compiled for it.
    for (node, members) in graph.nodes.iter_mut().zip(graph.members) {
        if let Some(members) = members {
            node.prices = Prices::of(members, patterns)?;
        }
    }
    let steps = costs(&graph.nodes, &order, |node| node.prices.most());
    Ok(Work { visits, nested, compares, texts: Texts::new(steps, graph.nodes) })
}

/// One subschema; others are meant by their index.
#[derive(Default)]
pub(crate) struct Node {
    /// Subschemas that apply to the same value.
    pub(crate) in_place: Vec<usize>,
    /// Subschemas that apply to members, their names, and elements.
    pub(crate) below: Below,
    /// `unevaluated*` asks once more what the subschemas in place evaluated.
    twice: bool,
    /// Visits of its own.
    weight: u64,
    /// Work of its own on text.
    pub(crate) prices: Prices,
}

/// Subschemas of what a value holds.
#[derive(Default)]
pub(crate) struct Below {
    /// `properties`.
    properties: HashMap<Box<str>, usize>,
    /// `additionalProperties`, `unevaluatedProperties`: those that `properties` does not name.
    rest: Vec<usize>,
    /// `patternProperties`: any, and several at once.
    members: Vec<usize>,
    /// `propertyNames`.
    names: Vec<usize>,
    /// `prefixItems`: one for each place.
    prefix: Vec<usize>,
    /// `items` as a list, up to 2019-09: one for each place.
    listed: Vec<usize>,
    /// `items`, `additionalItems`, `unevaluatedItems`: the elements behind those.
    elements: Vec<usize>,
    /// `contains`: every element beside the others.
    contains: Vec<usize>,
}

impl Below {
    /// The subschemas that may apply to a member of this name.
    pub(crate) fn member(&self, name: &str) -> impl Iterator<Item = usize> {
        let named = self.properties.get(name);
        let rest = if named.is_none() { self.rest.as_slice() } else { &[] };
        named.into_iter().chain(rest).chain(&self.members).copied()
    }

    /// The subschemas that apply to each member's name.
    pub(crate) fn names(&self) -> impl Iterator<Item = usize> {
        self.names.iter().copied()
    }

    /// The subschemas that may apply to the element at `index`.
    pub(crate) fn element(&self, index: usize) -> impl Iterator<Item = usize> {
        let placed = self.prefix.get(index).into_iter().chain(self.listed.get(index));
        placed.chain(&self.elements).chain(&self.contains).copied()
    }

    /// Those of which one applies to each member or element.
    fn one_of(&self) -> impl Iterator<Item = usize> {
        let members = self.properties.values().chain(&self.rest);
        members.chain(&self.prefix).chain(&self.listed).chain(&self.elements).copied()
    }

    /// Those that apply beside others.
    fn each(&self) -> impl Iterator<Item = usize> {
        self.members.iter().chain(&self.names).chain(&self.contains).copied()
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = usize> {
        self.one_of().chain(self.each())
    }
}

#[derive(Default)]
struct Graph<'s> {
    nodes: Vec<Node>,
    /// What each says, if it is more than true or false.
    members: Vec<Option<&'s Map<String, Value>>>,
    /// By place and base: a reference may lead to the same place on two ways.
    known: HashMap<(*const Value, Rc<Uri<String>>), usize>,
    /// Named places: `$anchor`, `$dynamicAnchor`, and draft 7's `$id` of the form `#name`; the roots of resources
    /// that `$recursiveRef` may mean have the empty name.
    anchors: HashMap<&'s str, Vec<usize>>,
    /// The resources, each by its own URI.
    ids: HashSet<Rc<Uri<String>>>,
    /// References that are still to be connected.
    references: Vec<(usize, &'s str, Scope)>,
}

impl<'s> Graph<'s> {
    /// Adds the subschema `at` and all below it. Nesting is bounded by the caller.
    fn walk(&mut self, scope: &Scope, at: &'s Value) -> Result<usize, Unbounded> {
        let index = match self.known.entry((std::ptr::from_ref(at), Rc::clone(&scope.base))) {
            Entry::Occupied(known) => return Ok(*known.get()),
            Entry::Vacant(vacant) => *vacant.insert(self.nodes.len()),
        };
        if index >= SUBSCHEMAS_MAX {
            return Err(Unbounded::Subschemas);
        }
        self.nodes.push(Node::default());
        self.members.push(at.as_object());
        let Some(members) = at.as_object() else { return Ok(index) };
        let mut node = Node { weight: weight(members), ..Node::default() };
        for (keyword, value) in members {
            self.keyword(scope, index, &mut node, (keyword, value))?;
        }
        if let Some(place) = self.nodes.get_mut(index) {
            *place = node;
        }
        Ok(index)
    }

    /// Adds a subschema of one in `scope`.
    fn walk_below(&mut self, scope: &Scope, at: &'s Value) -> Result<usize, Unbounded> {
        let inner = scope.enter(at)?;
        let count = self.nodes.len();
        let index = self.walk(&inner, at)?;
        let is_resource = !Rc::ptr_eq(&inner.base, &scope.base);
        // Two of one name: which of them a reference means is nowhere said.
        if is_resource && index >= count && !self.ids.insert(Rc::clone(&inner.base)) {
            return Err(Unbounded::Id(brief(inner.base.as_str())));
        }
        Ok(index)
    }

    fn keyword(
        &mut self,
        scope: &Scope,
        index: usize,
        node: &mut Node,
        (keyword, value): (&'s str, &'s Value),
    ) -> Result<(), Unbounded> {
        let into = match keyword {
            "$ref" | "$dynamicRef" | "$recursiveRef" => {
                if let Some(reference) = value.as_str() {
                    self.references.push((index, reference, scope.clone()));
                }
                return Ok(());
            }
            "$anchor" | "$dynamicAnchor" => {
                if let Some(name) = value.as_str() {
                    self.anchors.entry(name).or_default().push(index);
                }
                return Ok(());
            }
            "$recursiveAnchor" => {
                self.anchors.entry(RECURSIVE).or_default().push(index);
                return Ok(());
            }
            "$id" => {
                if let Some(name) = value.as_str().and_then(|id| id.strip_prefix('#')) {
                    self.anchors.entry(name).or_default().push(index);
                }
                return Ok(());
            }
            "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" | "dependentSchemas" | "dependencies" => {
                &mut node.in_place
            }
            "properties" => {
                for (name, below) in value.as_object().into_iter().flatten() {
                    let below = self.walk_below(scope, below)?;
                    node.below.properties.insert(name.as_str().into(), below);
                }
                return Ok(());
            }
            "unevaluatedProperties" => {
                node.twice = true;
                &mut node.below.rest
            }
            "unevaluatedItems" => {
                node.twice = true;
                &mut node.below.elements
            }
            "additionalProperties" => &mut node.below.rest,
            "patternProperties" => &mut node.below.members,
            "propertyNames" => &mut node.below.names,
            "prefixItems" => &mut node.below.prefix,
            "items" if value.is_array() => &mut node.below.listed,
            "items" | "additionalItems" => &mut node.below.elements,
            "contains" => &mut node.below.contains,
            // Kept for references, applied to nothing by themselves.
            "$defs" | "definitions" => &mut Vec::new(),
            // Annotations and assertions without subschemas; unknown keywords assert nothing.
            _ => return Ok(()),
        };
        for below in subschemas(keyword, value) {
            into.push(self.walk_below(scope, below)?);
        }
        Ok(())
    }

    /// Connects references with what they name, as the library resolves them; a target that was no subschema so
    /// far is walked too.
    fn connect(&mut self, root: &'s Value, scope: &Scope) -> Result<(), Unbounded> {
        if self.references.is_empty() {
            return Ok(());
        }
        let inside = places(root);
        let registry = scope.registry(root);
        let registry = registry.map_err(|_| Unbounded::External(self.first_outside().to_owned()))?;
        let mut named = Vec::new();
        while let Some((from, reference, scope)) = self.references.pop() {
            let outside = || Unbounded::External(reference.to_owned());
            let resolver = registry.resolver(Uri::clone(&scope.base));
            let resolved = resolver.lookup(reference).map_err(|_| outside())?;
            let (target, resolver, draft) = resolved.into_inner();
            // The same place, by the longer life that it has.
            let target = *inside.get(&std::ptr::from_ref(target)).ok_or_else(outside)?;
            // Its `$id` was followed on the way.
            let scope = Scope { base: Rc::new(Uri::clone(&resolver.base_uri())), draft }.speaking(target)?;
            let target = self.walk(&scope, target)?;
            if let Some(node) = self.nodes.get_mut(from) {
                node.in_place.push(target);
            }
            named.push((from, target, reference.rsplit_once('#').map_or("", |(_, name)| name)));
        }
        // Which of several places of one name is meant depends on the way that led there: any may be.
        for (from, target, name) in named {
            let others = self.anchors.get(name).into_iter().flatten().copied().filter(|other| *other != target);
            if let Some(node) = self.nodes.get_mut(from) {
                node.in_place.extend(others);
            }
        }
        Ok(())
    }

    /// What to name when references as a whole cannot be resolved.
    fn first_outside(&self) -> &'s str {
        let mut references = self.references.iter().map(|(_, reference, _)| *reference);
        references
            .clone()
            .find(|reference| !reference.starts_with('#'))
            .or_else(|| references.next())
            .unwrap_or_default()
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
}

/// Every place in a tree, by its address.
fn places(root: &Value) -> HashMap<*const Value, &Value> {
    let mut places = HashMap::new();
    let mut open = vec![root];
    while let Some(value) = open.pop() {
        places.insert(std::ptr::from_ref(value), value);
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            Value::Array(elements) => open.extend(elements),
            Value::Object(members) => open.extend(members.values()),
        }
    }
    places
}

/// The worst case for the root, by depth of the value, where each subschema costs `own` by itself.
fn costs(nodes: &[Node], order: &[usize], own: impl Fn(&Node) -> u64) -> Vec<u64> {
    let mut below = vec![0_u64; nodes.len()];
    let mut by_depth = Vec::new();
    for _ in 0..=value::DEPTH_MAX {
        let mut level = vec![0_u64; nodes.len()];
        for index in order {
            let Some(node) = nodes.get(*index) else { continue };
            let cost = own(node).saturating_add(node.cost(&level, &below));
            if let Some(place) = level.get_mut(*index) {
                *place = cost;
            }
        }
        by_depth.push(level.get(ROOT).copied().unwrap_or(u64::MAX));
        below = level;
    }
    by_depth
}

/// How many subschemas are inside of each other at most, since the library calls itself for each: for the same value
/// and anywhere, and from the root by depth of the value.
fn nested(nodes: &[Node], order: &[usize]) -> (u64, Vec<u64>) {
    let mut chain = None;
    let mut below = vec![0_u64; nodes.len()];
    let mut by_depth = Vec::new();
    for _ in 0..=value::DEPTH_MAX {
        let mut level = vec![0_u64; nodes.len()];
        for index in order {
            let Some(node) = nodes.get(*index) else { continue };
            let at = |deep: &[u64], index: usize| deep.get(index).copied().unwrap_or(u64::MAX);
            let in_place = node.in_place.iter().map(|inner| at(&level, *inner));
            let deepest = in_place.chain(node.below.all().map(|inner| at(&below, inner))).max();
            if let Some(place) = level.get_mut(*index) {
                *place = deepest.unwrap_or(0).saturating_add(1);
            }
        }
        chain = chain.or_else(|| level.iter().copied().max());
        by_depth.push(level.get(ROOT).copied().unwrap_or(u64::MAX));
        below = level;
    }
    (chain.unwrap_or(u64::MAX), by_depth)
}

impl Node {
    /// How often its subschemas in place are asked.
    pub(crate) fn again(&self) -> u64 {
        if self.twice { 2 } else { 1 }
    }

    /// What its subschemas cost.
    fn cost(&self, level: &[u64], below: &[u64]) -> u64 {
        let at = |costs: &[u64], index: usize| costs.get(index).copied().unwrap_or(u64::MAX);
        let in_place = self.in_place.iter().map(|c| at(level, *c)).fold(0, u64::saturating_add);
        let one_of = self.below.one_of().map(|c| at(below, c)).max().unwrap_or(0);
        let each = self.below.each().map(|c| at(below, c)).fold(0, u64::saturating_add);
        in_place.saturating_mul(self.again()).saturating_add(one_of).saturating_add(each)
    }
}

/// The subschemas that a keyword's value holds: itself, or its elements, or its members.
fn subschemas<'s>(keyword: &str, value: &'s Value) -> Vec<&'s Value> {
    let maps = ["patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"];
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
    // Each name brings a list of names.
    let lists = |keyword: &str| match members.get(keyword) {
        Some(Value::Object(lists)) => lists.values().map(|list| 1 + list.as_array().map_or(0, Vec::len)).sum(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) | None => 0,
    };
    let entries = ["enum", "required", "properties", "const"].map(long).iter().sum::<usize>()
        + ["dependentRequired", "dependencies"].map(lists).iter().sum::<usize>();
    u64::try_from(1 + entries / ENTRIES_PER_VISIT).unwrap_or(u64::MAX)
}

/// The root is walked first.
pub(crate) const ROOT: usize = 0;
/// Most subschemas of one schema.
const SUBSCHEMAS_MAX: usize = 4096;
/// Most visits for the smallest value.
const LEAST_VISITS_MAX: u64 = 100_000;
/// Most visits for one value: well under a second of work.
const VISITS_MAX: u64 = 10_000_000;
/// Stands for the places that `$recursiveRef` may mean.
const RECURSIVE: &str = "";
/// Most visits where each thing that does not fit is told.
const TOLD_VISITS_MAX: u64 = 20_000;
/// Most subschemas that lead to each other for the same value.
const CHAIN_MAX: u64 = 128;
/// Most subschemas inside of each other for a value and what it holds: a thread has 2 MiB of stack.
const NESTED_MAX: u64 = 512;
/// How many entries of a list weigh as much as one visit.
const ENTRIES_PER_VISIT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn measure(schema: &Value) -> Result<Work, Unbounded> {
        super::measure(schema, Draft::Draft202012, &mut Patterns::default())
    }

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
            assert_eq!(measure(&schema).err().unwrap(), Unbounded::External(outside.to_owned()));
            let schema = json!({"type": "object", "not": {"$dynamicRef": outside}});
            assert_eq!(measure(&schema).err().unwrap(), Unbounded::External(outside.to_owned()));
        }
    }

    #[test]
    fn a_resource_inside_is_resolved_by_its_own_base_and_two_of_one_name_are_refused() {
        let inside = json!({
            "$id": "https://example.com/root", "type": "object",
            "properties": {"a": {"$ref": "item"}, "b": {"$ref": "https://example.com/item#/$defs/n"}, "c": {"$ref": "/item#x"}},
            "$defs": {"i": {"$id": "item", "type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"$anchor": "x"}}}},
        });
        assert!(measure(&inside).is_ok());
        // The pointer is one of the resource inside, not of the root.
        let other = json!({"$defs": {"n": {}, "i": {"$id": "https://example.com/i", "items": {"$ref": "#/$defs/n"}}}});
        assert_eq!(measure(&other).err().unwrap(), Unbounded::External("#/$defs/n".to_owned()));
        let circle = json!({"$ref": "x:i", "$defs": {"i": {"$id": "x:i", "allOf": [{"$ref": "x:j"}]}, "j": {"$id": "x:j", "$ref": "x:i"}}});
        assert_eq!(measure(&circle).err().unwrap(), Unbounded::Circle);
        let twice = json!({"$defs": {"a": {"$id": "x:i"}, "b": {"$id": "x:i", "type": "string"}}});
        assert_eq!(measure(&twice).err().unwrap(), Unbounded::Id("x:i".into()));
        let own = json!({"$id": "x:i", "$defs": {"a": {"$id": "x:i"}}});
        assert_eq!(measure(&own).err().unwrap(), Unbounded::Id("x:i".into()));
        let none = json!({"$defs": {"a": {"$id": "http://[/"}}});
        assert!(matches!(measure(&none), Err(Unbounded::Id(_))));
    }

    #[test]
    fn metaschemas_are_outside_whatever_the_library_knows() {
        for outside in ["https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"] {
            let schema = json!({"properties": {"a": {"$ref": outside}}});
            assert_eq!(measure(&schema).err().unwrap(), Unbounded::External(outside.to_owned()));
        }
    }

    #[test]
    fn a_dialect_inside_is_one_that_is_known() {
        let inside = |dialect: &str| json!({"properties": {"a": {"$schema": dialect, "id": "x:y"}, "$schema": true}});
        assert!(measure(&inside("http://json-schema.org/draft-07/schema#")).is_ok());
        for other in ["http://json-schema.org/draft-04/schema#", "https://example.com/mine"] {
            assert_eq!(measure(&inside(other)).err().unwrap(), Unbounded::Dialect(other.into()));
        }
    }

    #[test]
    fn circles_in_place_are_refused_and_recursion_over_children_is_not() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"not": {"$ref": "#/$defs/a"}, "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}}),
        ] {
            assert_eq!(measure(&schema).err().unwrap(), Unbounded::Circle, "{schema}");
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
        assert_eq!(measure(&schema).err().unwrap(), Unbounded::Heavy);
    }

    /// `count` definitions that refer to each other in a row, and what the last one says.
    fn chain(count: u64, last: Value) -> Value {
        let mut defs = Map::new();
        for i in 1..count {
            defs.insert(format!("n{i}"), json!({"$ref": format!("#/$defs/n{}", i + 1)}));
        }
        defs.insert(format!("n{count}"), last);
        json!({"$ref": "#/$defs/n1", "$defs": defs})
    }

    #[test]
    fn subschemas_that_lead_to_each_other_for_one_value_are_bounded() {
        // The root is one of them.
        assert!(measure(&chain(CHAIN_MAX - 1, json!({"type": "string"}))).is_ok());
        assert_eq!(measure(&chain(CHAIN_MAX, json!({"type": "string"}))).err().unwrap(), Unbounded::Chain);
    }

    #[test]
    fn subschemas_inside_of_each_other_are_bounded_by_how_deep_a_value_is() {
        let work = measure(&chain(62, json!({"properties": {"a": {"$ref": "#"}}}))).unwrap();
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({"a": inner}));
        // 64 for each level: the root, the definitions, and the reference back.
        let most = usize::try_from(NESTED_MAX).unwrap() / 64 - 1;
        assert_eq!(work.bounded_for(&nested(most)), Ok(Effort::Small));
        assert_eq!(work.bounded_for(&nested(most + 1)), Err(Excess::Visits));
    }

    #[test]
    fn elements_that_are_compared_with_each_other_are_bounded_unless_they_are_plain() {
        let work = measure(&json!({"properties": {"a": {"uniqueItems": true}}})).unwrap();
        let lists = |count: usize| json!({"a": vec![json!([]); count]});
        assert!(work.bounded_for(&lists(4000)).is_ok());
        assert_eq!(work.bounded_for(&lists(4500)), Err(Excess::Visits));
        assert!(work.bounded_for(&json!({"a": vec![json!(1); 100_000]})).is_ok());
        let uncompared = measure(&json!({"properties": {"a": {"uniqueItems": false}}})).unwrap();
        assert!(uncompared.bounded_for(&lists(4500)).is_ok());
    }

    #[test]
    fn dynamic_references_that_circle_in_place_are_refused_and_recursion_over_children_is_not() {
        let circle =
            json!({"$defs": {"a": {"$dynamicAnchor": "d", "allOf": [{"$dynamicRef": "#d"}]}}, "$ref": "#/$defs/a"});
        assert_eq!(measure(&circle).err().unwrap(), Unbounded::Circle);
        // Another resource's anchor of the same name may be the one that is meant.
        let across = json!({
            "$id": "x:root", "$ref": "x:list",
            "$defs": {
                "l": {"$id": "x:list", "$dynamicRef": "#d", "$defs": {"d": {"$dynamicAnchor": "d"}}},
                "d": {"$dynamicAnchor": "d", "$ref": "x:list"},
            },
        });
        assert_eq!(measure(&across).err().unwrap(), Unbounded::Circle);
        let tree = json!({"$dynamicAnchor": "d", "properties": {"c": {"items": {"$dynamicRef": "#d"}}}});
        assert!(measure(&tree).is_ok());
    }

    #[test]
    fn doubling_by_depth_is_refused_for_deep_values_alone() {
        let both = json!({"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]});
        let work = measure(&both).unwrap();
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(work.bounded_for(&nested(8)), Ok(Effort::Small));
        assert_eq!(work.bounded_for(&nested(40)), Err(Excess::Visits));
    }

    #[test]
    fn long_lists_of_names_weigh() {
        let many: Map<String, Value> = (0..8000).map(|i| (format!("k{i}"), json!(["x"]))).collect();
        let values = |count: usize| json!(vec![json!({}); count]);
        for keyword in ["dependentRequired", "dependencies"] {
            let work = measure(&json!({"items": {keyword: many}})).unwrap();
            // One visit for each value, one more for the root, and one for eight of the names and their lists.
            let most = usize::try_from(VISITS_MAX).unwrap() / (1 + 1 + 16_000 / ENTRIES_PER_VISIT) - 1;
            assert_eq!(work.bounded_for(&values(most)), Ok(Effort::Large));
            assert_eq!(work.bounded_for(&values(most + 1)), Err(Excess::Visits));
        }
    }

    #[test]
    fn the_number_of_subschemas_is_bounded() {
        let many = |count: usize| json!({"allOf": vec![json!({"type": "object"}); count]});
        assert!(measure(&many(SUBSCHEMAS_MAX - 1)).is_ok());
        assert_eq!(measure(&many(SUBSCHEMAS_MAX)).err().unwrap(), Unbounded::Subschemas);
    }
}
