//! The JSON Schema of `sekisho.toml`: what editors read, what `sekisho config explain` tells, and the ranges that a
//! configuration is held to. It is made of the rooms' own types, so that none of the three can say what the program does not do.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Number, Value};

use crate::config::Config;

/// The schema of the whole file: draft 7, which editors of TOML know, and without references.
#[must_use]
pub(crate) fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let made = settings.with_transform(Plain).into_generator().into_root_schema_for::<Config>().to_value();
    let Value::Object(made) = made else { return made };
    // What it is, before what is in it.
    let (head, rest): (Vec<_>, Vec<_>) = made.into_iter().partition(|(key, _)| HEAD.contains(&key.as_str()));
    Value::Object(head.into_iter().chain(rest).collect())
}

/// What the schema says of one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'s>(&'s Map<String, Value>);

/// What may stand below a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'s> {
    /// Keys that are known.
    Table,
    /// Keys that the operator names, each of this kind.
    Map(Node<'s>),
    /// Tables without a name, each of this kind.
    List(Node<'s>),
    /// Nothing: it is a value.
    Leaf,
}

/// Whether a value is one that the schema wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It is.
    Good,
    /// It is of another type.
    WrongType,
    /// It is a number outside its range, or a word that is none of the choices.
    OutOfRange,
}

impl<'s> Node<'s> {
    /// The top of a schema; nothing for one that says only yes or no.
    #[must_use]
    pub(crate) fn of(schema: &'s Value) -> Option<Node<'s>> {
        schema.as_object().map(Node)
    }

    /// The known keys below.
    pub(crate) fn keys(self) -> impl Iterator<Item = (&'s str, Node<'s>)> {
        let keys = self.0.get("properties").and_then(Value::as_object).into_iter().flatten();
        keys.filter_map(|(name, node)| Some((name.as_str(), Node::of(node)?)))
    }

    /// What may stand below.
    #[must_use]
    pub(crate) fn shape(self) -> Shape<'s> {
        let below = |key: &str| self.0.get(key).and_then(Node::of);
        match (self.0.contains_key("properties"), below("additionalProperties"), below("items")) {
            (true, _, _) => Shape::Table,
            (false, Some(each), _) => Shape::Map(each),
            (false, None, Some(each)) if each.0.contains_key("properties") => Shape::List(each),
            (false, None, _) => Shape::Leaf,
        }
    }

    /// Whether the key below must be there.
    #[must_use]
    pub(crate) fn requires(self, key: &str) -> bool {
        self.0.get("required").and_then(Value::as_array).is_some_and(|keys| keys.iter().any(|known| known == key))
    }

    /// What it is for.
    #[must_use]
    pub(crate) fn description(self) -> &'s str {
        self.0.get("description").and_then(Value::as_str).unwrap_or_default()
    }

    /// What holds if nothing is written.
    #[must_use]
    pub(crate) fn default(self) -> Option<&'s Value> {
        self.0.get("default")
    }

    /// `integer`, `number`, `string`, `boolean`, `array` or `object`.
    #[must_use]
    pub(crate) fn kind(self) -> &'s str {
        // The words of an enumeration stand beside each other, each with its own type.
        self.0.get("type").and_then(Value::as_str).unwrap_or("string")
    }

    /// What each element is, of a list of values.
    #[must_use]
    pub(crate) fn element(self) -> Option<Node<'s>> {
        self.0.get("items").and_then(Node::of)
    }

    /// Smallest and largest value.
    #[must_use]
    pub(crate) fn range(self) -> Option<(&'s Number, &'s Number)> {
        let bound = |key: &str| self.0.get(key).and_then(Value::as_number);
        Some((bound("minimum")?, bound("maximum")?))
    }

    /// The words it may be; none if it may be any.
    #[must_use]
    pub(crate) fn choices(self) -> Vec<&'s str> {
        let list = |key: &str| self.0.get(key).and_then(Value::as_array).into_iter().flatten();
        let described = list("oneOf").filter_map(|choice| choice.get("const"));
        list("enum").chain(described).filter_map(Value::as_str).collect()
    }

    /// Whether it may hold a secret, so that only a reference to one is shown.
    #[must_use]
    pub(crate) fn is_secret(self) -> bool {
        self.0.get("writeOnly").and_then(Value::as_bool) == Some(true)
    }

    /// Whether it is an address, which may have a password or a key in it.
    #[must_use]
    pub(crate) fn is_address(self) -> bool {
        self.0.get("format").and_then(Value::as_str) == Some("uri")
    }

    /// Whether a change needs a restart.
    #[must_use]
    pub(crate) fn needs_restart(self) -> bool {
        self.0.get("x-restart").and_then(Value::as_bool) == Some(true)
    }

    /// The row of SPECIFICATION.md, section 2, that it serves.
    #[must_use]
    pub(crate) fn requirement(self) -> Option<&'s str> {
        self.0.get("x-requirement").and_then(Value::as_str)
    }

    /// Whether `value` may stand here. What is below a table, the table's own keys say.
    #[must_use]
    pub(crate) fn admits(self, value: &toml::Value) -> Fit {
        match (self.kind(), value) {
            ("integer", toml::Value::Integer(number)) => {
                let within = |(min, max): (&Number, &Number)| {
                    min.as_i64().is_some_and(|min| min <= *number) && max.as_i64().is_some_and(|max| *number <= max)
                };
                if self.range().is_none_or(within) { Fit::Good } else { Fit::OutOfRange }
            }
            ("number", toml::Value::Float(number)) => {
                let within = |(min, max): (&Number, &Number)| {
                    min.as_f64().is_some_and(|min| min <= *number) && max.as_f64().is_some_and(|max| *number <= max)
                };
                if self.range().is_none_or(within) { Fit::Good } else { Fit::OutOfRange }
            }
            ("string", toml::Value::String(word)) => {
                let choices = self.choices();
                if choices.is_empty() || choices.contains(&word.as_str()) { Fit::Good } else { Fit::OutOfRange }
            }
            ("array", toml::Value::Array(elements)) => {
                let each = self.element();
                let fits = |element| each.map_or(Fit::Good, |each| each.admits(element));
                elements.iter().map(fits).find(|fit| *fit != Fit::Good).unwrap_or(Fit::Good)
            }
            ("boolean", toml::Value::Boolean(_)) | ("object", toml::Value::Table(_)) => Fit::Good,
            (_, _) => Fit::WrongType,
        }
    }
}

/// Leaves out what means nothing in TOML, which has no null, and what editors do not know.
#[derive(Debug, Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        if let Some(node) = schema.as_object_mut() {
            without_null(node);
            // The names of Rust's integers; their ranges say more.
            node.retain(|key, value| key != "format" || value.as_str().is_none_or(|format| !format.contains("int")));
            without_defaults_of_required(node);
            if let Some(Value::String(text)) = node.get_mut("description") {
                *text = flowing(text);
            }
        }
        transform_subschemas(self, schema);
    }
}

fn without_null(node: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = node.get_mut("type") {
        types.retain(|name| name != "null");
        if let [name] = types.as_slice() {
            let name = name.clone();
            node.insert("type".to_owned(), name);
        }
    }
    if let Some(Value::Array(any)) = node.get_mut("anyOf") {
        any.retain(|option| option.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = any.as_slice() {
            let only = only.clone();
            node.retain(|key, _| key != "anyOf");
            only.into_iter().for_each(|(key, value)| {
                // What is said at the key itself stays.
                node.entry(key).or_insert(value);
            });
        }
    }
    node.retain(|key, value| key != "default" || !value.is_null());
}

/// Paragraphs without the line breaks of the source.
fn flowing(text: &str) -> String {
    let paragraph = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split("\n\n").map(paragraph).collect::<Vec<_>>().join("\n\n")
}

fn without_defaults_of_required(node: &mut Map<String, Value>) {
    let Some(Value::Array(required)) = node.get("required").cloned() else { return };
    let Some(Value::Object(properties)) = node.get_mut("properties") else { return };
    for name in required.iter().filter_map(Value::as_str) {
        if let Some(Value::Object(property)) = properties.get_mut(name) {
            property.retain(|key, _| key != "default");
        }
    }
}

const HEAD: [&str; 3] = ["$schema", "title", "description"];

#[cfg(test)]
mod tests;
