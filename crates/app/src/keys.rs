//! Every key of `sekisho.toml`, known or written: what the schema says of it, and what the file has there.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use crate::problem::{Code, Place, Problem};
use crate::schema::{Fit, Node, Shape};
use crate::strict::Document;

/// A key, with what holds for it.
#[derive(Debug)]
pub(crate) struct Key<'s> {
    /// From the top. `*` stands for a name or number that the file does not have.
    pub(crate) path: Vec<String>,
    /// What the schema says.
    pub(crate) node: Node<'s>,
    /// What the file says.
    pub(crate) written: Option<Written>,
    /// Whether the configuration cannot be without it.
    pub(crate) required: bool,
    /// Whether a change needs a restart: by its own word, or that of a table above.
    pub(crate) restart: bool,
    /// The requirement it serves, or that of a table above.
    pub(crate) requirement: Option<&'s str>,
}

/// What stands in the file.
#[derive(Debug)]
pub(crate) struct Written {
    /// The value; nothing where it cannot be read.
    pub(crate) value: Option<toml::Value>,
    /// The key's place.
    pub(crate) place: Place,
}

/// All keys of the schema and of the file, each table before what is in it.
pub(crate) fn keys<'s>(schema: &'s Value, document: &Document) -> Vec<Key<'s>> {
    let Some(node) = Node::of(schema) else { return Vec::new() };
    let table = document.table();
    let span = table.span();
    let top = Spanned::new(span.clone(), DeValue::Table(table.into_inner()));
    let mut walk = Walk { document, keys: Vec::new() };
    let found = Some((span, &top));
    let start = Step { path: Vec::new(), node, found, required: true, restart: false, requirement: None };
    walk.below(&start);
    walk.keys
}

/// Numbers outside their ranges. Types are serde's to refuse, and what more there is to a value the rooms'.
pub(crate) fn out_of_range(schema: &Value, document: &Document) -> Vec<Problem> {
    let keys = keys(schema, document);
    let told = |key: &Key<'_>| {
        let (written, (min, max)) = (key.written.as_ref()?, key.node.range()?);
        let value = written.value.as_ref()?;
        let refused = || {
            let words = format!("`{}` is {value}, but must be between {min} and {max}", key.name());
            Problem::new(Code::BadValue, words).at(Some(written.place.clone()))
        };
        (key.node.admits(value) == Fit::OutOfRange).then(refused)
    };
    keys.iter().filter_map(told).collect()
}

impl Key<'_> {
    /// The path with dots, as TOML writes it.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        let bare = |part: &str| part == "*" || part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let parts = self.path.iter().map(|part| if bare(part) { part.clone() } else { format!("\"{part}\"") });
        parts.collect::<Vec<_>>().join(".")
    }
}

/// One step down: a key of the schema, and what the file has there.
struct Step<'s, 'd> {
    path: Vec<String>,
    node: Node<'s>,
    found: Option<Found<'d>>,
    required: bool,
    restart: bool,
    requirement: Option<&'s str>,
}

/// Where a key stands, and its value.
type Found<'d> = (Range<usize>, &'d Spanned<DeValue<'d>>);

struct Walk<'a, 's> {
    document: &'a Document,
    keys: Vec<Key<'s>>,
}

impl<'s> Walk<'_, 's> {
    fn key(&mut self, step: &Step<'s, '_>) {
        let written = step
            .found
            .as_ref()
            .map(|(span, value)| Written { value: read(value), place: self.document.place(span.clone()) });
        let Step { node, required, restart, requirement, .. } = *step;
        self.keys.push(Key { path: step.path.clone(), node, written, required, restart, requirement });
        self.below(step);
    }

    fn below(&mut self, step: &Step<'s, '_>) {
        let table = step.found.as_ref().and_then(|(_, value)| value.get_ref().as_table());
        match step.node.shape() {
            Shape::Leaf => {}
            Shape::Table => {
                for (name, node) in step.node.keys() {
                    let found = table.and_then(|table| table.iter().find(|(key, _)| key.get_ref() == name));
                    let found = found.map(|(key, value)| (key.span(), value));
                    self.key(&step.down(name, node, found));
                }
            }
            Shape::Map(each) => {
                let entries: Vec<_> = table.into_iter().flat_map(|table| table.iter()).collect();
                for (key, value) in &entries {
                    self.key(&step.down(key.get_ref(), each, Some((key.span(), *value))));
                }
                if entries.is_empty() {
                    self.key(&step.down("*", each, None));
                }
            }
            Shape::List(each) => {
                let list = step.found.as_ref().and_then(|(_, value)| value.get_ref().as_array());
                let entries: Vec<_> = list.into_iter().flat_map(|list| list.iter()).collect();
                for (at, value) in entries.iter().enumerate() {
                    self.key(&step.down(&at.to_string(), each, Some((value.span(), *value))));
                }
                if entries.is_empty() {
                    self.key(&step.down("*", each, None));
                }
            }
        }
    }
}

impl<'s> Step<'s, '_> {
    fn down<'d>(&self, name: &str, node: Node<'s>, found: Option<Found<'d>>) -> Step<'s, 'd> {
        let path = self.path.iter().cloned().chain([name.to_owned()]).collect();
        // What a table must have is missing only where the table is there, or must be.
        let required = self.node.requires(name) && (self.required || self.found.is_some());
        let (restart, requirement) = (self.restart || node.needs_restart(), node.requirement().or(self.requirement));
        Step { path, node, found, required, restart, requirement }
    }
}

/// The value by itself. One that the parser had to mend may not be readable.
fn read(value: &Spanned<DeValue<'_>>) -> Option<toml::Value> {
    serde::Deserialize::deserialize(ValueDeserializer::from(value.clone())).ok()
}
