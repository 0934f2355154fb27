//! `x-mcp-header` in a tool's input schema (MCP 2026-07-28, Streamable HTTP, "Schema Extension").

use std::collections::HashSet;

use super::{PARAM_PREFIX, PARAMS_MAX, is_token};
use crate::json::Json;

/// Why a tool must not be used where headers mirror arguments (HT-29).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnnotation {
    /// Not a string.
    #[error("`x-mcp-header` is not a string")]
    NotAString,
    /// Empty, longer than 128 characters, or no token (RFC 9110 section 5.6.2).
    #[error("`x-mcp-header` is not a header name")]
    NotAToken,
    /// Another one has the same name, without regard to case.
    #[error("two `x-mcp-header` have one name")]
    Repeated,
    /// On something other than a string, an integer or a boolean.
    #[error("`x-mcp-header` is on something that is not a string, an integer or a boolean")]
    NotPrimitive,
    /// Not on a property that is reached from the root through `properties` alone.
    #[error("`x-mcp-header` is where no argument is certain to be")]
    Unreachable,
    /// More than [`PARAMS_MAX`].
    #[error("too many `x-mcp-header`")]
    TooMany,
}

/// Whether all annotations of a tool's input schema can be used.
///
/// # Errors
/// [`BadAnnotation`] for the first one that cannot; the tool is then not offered (HT-29).
pub fn valid_annotations(schema: &Json) -> Result<(), BadAnnotation> {
    annotations(schema).map(drop)
}

/// What usable annotations of a schema copy into headers: the names of these arguments, and those of their headers.
#[must_use]
pub fn mirrored_names(schema: &Json) -> Vec<Box<str>> {
    let names = |of: Annotation| of.path.into_iter().chain([of.name]);
    annotations(schema).unwrap_or_default().into_iter().flat_map(names).collect()
}

/// One usable annotation.
pub(super) struct Annotation {
    /// From the root of the arguments to the one that is mirrored.
    path: Vec<Box<str>>,
    /// What follows `Mcp-Param-`, in lower case.
    name: Box<str>,
}

impl Annotation {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The header's full name.
    pub(super) fn header(&self) -> Box<str> {
        format!("{PARAM_PREFIX}{}", self.name).into()
    }

    /// The argument; nothing if it is absent or null.
    pub(super) fn value(&self, arguments: &Json) -> Option<Json> {
        let value = self.path.iter().try_fold(arguments.clone(), |value, key| value.get(key))?;
        (!value.is_null()).then_some(value)
    }
}

/// All annotations of `schema`, if all of them can be used.
pub(super) fn annotations(schema: &Json) -> Result<Vec<Annotation>, BadAnnotation> {
    if !mentions_annotation(schema) {
        return Ok(Vec::new());
    }
    let mut found: Vec<Annotation> = Vec::new();
    let mut names = HashSet::new();
    let mut due = vec![Part::Schema(schema.clone(), Place::Root)];
    while let Some(part) = due.pop() {
        match part {
            Part::Schema(schema, place) => {
                if let Some(name) = schema.get(KEYWORD) {
                    let annotation = read(&name, &schema, &place)?;
                    if !names.insert(annotation.name.clone()) {
                        return Err(BadAnnotation::Repeated);
                    }
                    if found.len() == PARAMS_MAX {
                        return Err(BadAnnotation::TooMany);
                    }
                    found.push(annotation);
                }
                due.extend(schema.members().filter_map(|(key, value)| inside(&key, value, &place)));
                due.extend(schema.elements().map(|element| Part::Schema(element, Place::Elsewhere)));
            }
            Part::Named(schemas, place) => {
                due.extend(schemas.members().map(|(name, value)| Part::Schema(value, place.property(&name))));
            }
        }
    }
    Ok(found)
}

/// A part of a schema that is still to be looked at.
enum Part {
    /// A schema, or an array of schemas.
    Schema(Json, Place),
    /// An object whose members are schemas, below a schema at this place.
    Named(Json, Place),
}

/// Where a schema stands.
enum Place {
    Root,
    /// Reached through `properties` alone.
    Property(Vec<Box<str>>),
    Elsewhere,
}

impl Place {
    fn property(&self, name: &str) -> Place {
        match self {
            Place::Root => Place::Property(vec![name.into()]),
            Place::Property(path) => Place::Property(path.iter().cloned().chain([name.into()]).collect()),
            Place::Elsewhere => Place::Elsewhere,
        }
    }

    fn same(&self) -> Place {
        match self {
            Place::Root => Place::Root,
            Place::Property(path) => Place::Property(path.clone()),
            Place::Elsewhere => Place::Elsewhere,
        }
    }
}

/// What stands under `keyword` of a schema, if schemas can stand there.
fn inside(keyword: &str, value: Json, place: &Place) -> Option<Part> {
    match keyword {
        "properties" => Some(Part::Named(value, place.same())),
        "$defs" | "definitions" | "patternProperties" | "dependentSchemas" | "dependencies" => {
            Some(Part::Named(value, Place::Elsewhere))
        }
        // Plain values, in which the keyword is not one.
        KEYWORD | "default" | "const" | "enum" | "examples" | "required" | "dependentRequired" => None,
        // `items`, `oneOf`, `if`, … and whatever a dialect may add.
        _ => Some(Part::Schema(value, Place::Elsewhere)),
    }
}

fn read(name: &Json, schema: &Json, place: &Place) -> Result<Annotation, BadAnnotation> {
    let name = name.string().ok_or(BadAnnotation::NotAString)?;
    if !is_token(&name) || name.len() > NAME_CHARS_MAX {
        return Err(BadAnnotation::NotAToken);
    }
    let primitive = schema
        .get("type")
        .is_some_and(|kind| kind.string().is_some_and(|kind| matches!(&*kind, "string" | "integer" | "boolean")));
    match place {
        Place::Property(path) if primitive => {
            Ok(Annotation { path: path.clone(), name: name.to_ascii_lowercase().into() })
        }
        Place::Property(_) => Err(BadAnnotation::NotPrimitive),
        Place::Root | Place::Elsewhere => Err(BadAnnotation::Unreachable),
    }
}

/// Most schemas have none, which their text tells at once: only an escape could hide the keyword.
fn mentions_annotation(schema: &Json) -> bool {
    let text = schema.bytes();
    memchr::memmem::find(text, KEYWORD.as_bytes()).is_some() || memchr::memmem::find(text, b"\\u").is_some()
}

const KEYWORD: &str = "x-mcp-header";
const NAME_CHARS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json::Limits;

    fn check(text: &str) -> Result<(), BadAnnotation> {
        let schema = Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default());
        valid_annotations(&schema.expect("strict JSON"))
    }

    fn property(schema: &str) -> Result<(), BadAnnotation> {
        check(&format!(r#"{{"properties":{{"a":{schema}}}}}"#))
    }

    #[test]
    fn primitive_properties_may_be_annotated_and_others_not() {
        for kind in ["string", "integer", "boolean"] {
            assert_eq!(property(&format!(r#"{{"type":"{kind}","x-mcp-header":"A"}}"#)), Ok(()));
        }
        for kind in [r#""number""#, r#""object""#, r#"["string","null"]"#, "1"] {
            let schema = format!(r#"{{"type":{kind},"x-mcp-header":"A"}}"#);
            assert_eq!(property(&schema), Err(BadAnnotation::NotPrimitive), "{kind}");
        }
        assert_eq!(property(r#"{"x-mcp-header":"A"}"#), Err(BadAnnotation::NotPrimitive));
    }

    #[test]
    fn a_name_is_a_token_and_stands_once() {
        assert_eq!(property(r#"{"type":"string","x-mcp-header":7}"#), Err(BadAnnotation::NotAString));
        for name in ["", "a b", "a\\r\\nb", "a:b", "é"] {
            let schema = format!(r#"{{"type":"string","x-mcp-header":"{name}"}}"#);
            assert_eq!(property(&schema), Err(BadAnnotation::NotAToken), "{name}");
        }
        let two = |second: &str| {
            check(&format!(
                r#"{{"properties":{{"a":{{"type":"string","x-mcp-header":"Key"}},
                    "b":{{"type":"string","x-mcp-header":"{second}"}}}}}}"#
            ))
        };
        assert_eq!(two("Other"), Ok(()));
        assert_eq!(two("KEY"), Err(BadAnnotation::Repeated));
    }

    #[test]
    fn only_properties_lead_to_an_annotation() {
        let inner = r#"{"properties":{"b":{"type":"string","x-mcp-header":"B"}}}"#;
        assert_eq!(property(inner), Ok(()));
        for wrapped in [
            format!(r#"{{"items":{inner}}}"#),
            format!(r#"{{"oneOf":[{inner}]}}"#),
            format!(r#"{{"if":{inner}}}"#),
            format!(r#"{{"$defs":{{"d":{inner}}}}}"#),
            format!(r#"{{"vendor-word":{inner}}}"#),
        ] {
            assert_eq!(property(&wrapped), Err(BadAnnotation::Unreachable), "{wrapped}");
        }
        assert_eq!(check(r#"{"type":"string","x-mcp-header":"A"}"#), Err(BadAnnotation::Unreachable));
    }

    #[test]
    fn an_escaped_keyword_is_the_keyword() {
        let schema = r#"{"type":"number","x-mcp-\u0068eader":"A"}"#;
        assert_eq!(property(schema), Err(BadAnnotation::NotPrimitive));
    }

    #[test]
    fn plain_values_and_property_names_are_no_annotations() {
        assert_eq!(property(r#"{"default":{"x-mcp-header":7},"enum":[{"x-mcp-header":7}]}"#), Ok(()));
        assert_eq!(check(r#"{"properties":{"x-mcp-header":{"type":"number"}}}"#), Ok(()));
        assert_eq!(check("true"), Ok(()));
    }

    #[test]
    fn annotations_are_bounded() {
        let schema = |count: usize| {
            let properties: Vec<String> =
                (0..count).map(|n| format!(r#""p{n}":{{"type":"string","x-mcp-header":"H{n}"}}"#)).collect();
            check(&format!(r#"{{"properties":{{{}}}}}"#, properties.join(",")))
        };
        assert_eq!(schema(PARAMS_MAX), Ok(()));
        assert_eq!(schema(PARAMS_MAX + 1), Err(BadAnnotation::TooMany));
    }
}
