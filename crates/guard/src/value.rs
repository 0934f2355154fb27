//! Strict JSON as the tree that the schema library reads.

use sekisho_wire::Json;
use sekisho_wire::json::{Exact, Kind};
use serde_json::{Map, Number, Value};

/// A value that the library would not see as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfaithful {
    /// A number that machine types do not hold exactly: the library would judge another one than the server.
    #[error("the number at `{at}` is not one that machines hold exactly; write it with fewer digits or as text")]
    Number {
        /// JSON pointer.
        at: String,
    },
    /// Deeper than anything is read.
    #[error("the value is nested deeper than {DEPTH_MAX} levels")]
    Deep,
}

/// The same value as a tree, or nothing: digits are never lost on the way.
///
/// # Errors
/// [`Unfaithful`] where a number or the depth does not survive.
pub(crate) fn tree(json: &Json) -> Result<Value, Unfaithful> {
    read(json, &At::Root, DEPTH_MAX)
}

/// A place in a value; written out only where something is wrong with it.
enum At<'a> {
    Root,
    Element(&'a At<'a>, usize),
    Member(&'a At<'a>, &'a str),
}

impl At<'_> {
    /// JSON pointer.
    fn pointer(&self) -> String {
        match self {
            At::Root => String::new(),
            At::Element(outer, index) => format!("{}/{index}", outer.pointer()),
            At::Member(outer, name) => {
                let mut pointer = outer.pointer();
                push(&mut pointer, name);
                pointer
            }
        }
    }
}

/// `pointer` with one more segment (RFC 6901 section 3).
pub(crate) fn push(pointer: &mut String, segment: &str) {
    pointer.push('/');
    for char in segment.chars() {
        match char {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

fn read(json: &Json, at: &At<'_>, depth_left: usize) -> Result<Value, Unfaithful> {
    let left = depth_left.checked_sub(1).ok_or(Unfaithful::Deep)?;
    match json.kind() {
        Kind::Null => Ok(Value::Null),
        Kind::Boolean => Ok(Value::Bool(json.boolean() == Some(true))),
        Kind::String => Ok(Value::String(json.string().unwrap_or_default().into_owned())),
        Kind::Number => match json.number().and_then(|number| number.exact()) {
            Some(Exact::Integer(integer)) => Ok(Value::Number(integer.into())),
            Some(Exact::Float(float)) => {
                Number::from_f64(float).map(Value::Number).ok_or_else(|| Unfaithful::Number { at: at.pointer() })
            }
            None => Err(Unfaithful::Number { at: at.pointer() }),
        },
        Kind::Array => {
            let mut elements = Vec::new();
            for (index, element) in json.elements().enumerate() {
                elements.push(read(&element, &At::Element(at, index), left)?);
            }
            Ok(Value::Array(elements))
        }
        Kind::Object => {
            let mut members = Map::new();
            for (name, value) in json.members() {
                let value = read(&value, &At::Member(at, &name), left)?;
                members.insert(name.into_owned(), value);
            }
            Ok(Value::Object(members))
        }
    }
}

/// How deep a tree nests; 0 for a scalar. Trees come from [`tree`], so recursion is bounded.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
    }
}

/// How many values a tree has, itself included.
pub(crate) fn nodes(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        Value::Array(elements) => elements.iter().map(nodes).fold(1, u64::saturating_add),
        Value::Object(members) => members.values().map(nodes).fold(1, u64::saturating_add),
    }
}

/// Whether any object in a tree has a member of one of these names.
pub(crate) fn has_member(value: &Value, names: &[&str]) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        Value::Array(elements) => elements.iter().any(|element| has_member(element, names)),
        Value::Object(members) => {
            members.iter().any(|(name, member)| names.contains(&name.as_str()) || has_member(member, names))
        }
    }
}

/// Deepest value that is read as a tree. Wire's own bound is below it in every sensible configuration.
pub(crate) const DEPTH_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sekisho_wire::json::Limits;

    fn json(text: &str) -> Json {
        let limits = Limits { depth_max: 400, ..Limits::default() };
        Json::decode(Bytes::copy_from_slice(text.as_bytes()), &limits).unwrap()
    }

    #[test]
    fn a_tree_says_what_the_text_says() {
        let text = r#"{"a":[1,2.5,true,null,"x\n"],"b":{"c":-7}}"#;
        assert_eq!(tree(&json(text)).unwrap(), serde_json::json!({"a": [1, 2.5, true, null, "x\n"], "b": {"c": -7}}));
    }

    #[test]
    fn numbers_that_lose_digits_are_named_by_place() {
        let lossy = tree(&json(r#"{"a":[{"b/c":9007199254740993.5}]}"#)).unwrap_err();
        assert_eq!(lossy, Unfaithful::Number { at: "/a/0/b~1c".to_owned() });
        assert!(tree(&json("[1e400]")).is_err());
        assert!(tree(&json("[9223372036854775807,1e3,0.1]")).is_ok());
    }

    #[test]
    fn depth_is_bounded_on_both_sides() {
        let deep = |levels: usize| json(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
        assert!(tree(&deep(DEPTH_MAX)).is_ok());
        assert_eq!(tree(&deep(DEPTH_MAX + 1)), Err(Unfaithful::Deep));
        assert_eq!(depth(&tree(&deep(3)).unwrap()), 3);
        assert_eq!(nodes(&tree(&json(r#"{"a":[1,2],"b":3}"#)).unwrap()), 5);
    }
}
