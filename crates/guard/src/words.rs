//! What does not fit, in a sentence that a model can repair its call from: keyword, expectation, mend.
//!
//! Expectations are the schema's, and so public to whoever may call. Of the value only types and the names of
//! members are told: findings are logged, and a value may be a secret.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use crate::text;

/// The sentence for one error of a value under `schema`.
pub(crate) fn of(error: &ValidationError<'_>, schema: &Value) -> String {
    format!("`{}`: {}", error.kind().keyword(), said(error, schema, BRANCHES_DEEP_MAX))
}

fn said(error: &ValidationError<'_>, schema: &Value, deep: usize) -> String {
    match error.kind() {
        Kind::Type { kind } => of_type(&types(kind), error.instance()),
        Kind::Required { property } => missing(property, error, schema),
        Kind::Enum { options } => format!("must be {}; send exactly that", one_of(options)),
        Kind::Constant { expected_value } => format!("must be exactly {}", quoted(expected_value)),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unknown(unexpected, error, schema)
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => none_of(context, error, schema, deep),
        Kind::OneOfMultipleValid { .. } => {
            "fits more than one of the forms that exclude each other; send what belongs to one of them alone".to_owned()
        }
        Kind::Minimum { limit } => format!("must be at least {}", quoted(limit)),
        Kind::Maximum { limit } => format!("must be at most {}", quoted(limit)),
        Kind::ExclusiveMinimum { limit } => format!("must be greater than {}", quoted(limit)),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {}", quoted(limit)),
        Kind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        Kind::MinLength { limit } => format!("must have at least {limit} characters; send a longer text"),
        Kind::MaxLength { limit } => format!("must have at most {limit} characters; send a shorter text"),
        Kind::MinItems { limit } => format!("must have at least {limit} elements; add some"),
        Kind::MaxItems { limit } => format!("must have at most {limit} elements; leave some out"),
        Kind::MinProperties { limit } => format!("must have at least {limit} members; add some"),
        Kind::MaxProperties { limit } => format!("must have at most {limit} members; leave some out"),
        Kind::AdditionalItems { limit } => format!("must have at most {limit} elements; leave the others out"),
        Kind::UnevaluatedItems { .. } => "has elements that nothing allows; leave them out".to_owned(),
        Kind::UniqueItems => "has elements that are alike; send each once".to_owned(),
        Kind::Contains => "has too few or too many elements of the kind that must be in it".to_owned(),
        Kind::Pattern { pattern } => format!("must match the pattern `{}`", brief(pattern)),
        Kind::PropertyNames { error } => {
            format!("has a member whose name is not allowed: it {}", said(error, schema, deep))
        }
        Kind::FalseSchema => "nothing is allowed here; leave it out".to_owned(),
        Kind::Not { .. } => "is what the schema excludes; send another value".to_owned(),
        Kind::Format { format } => format!("must be a {}", brief(format)),
        Kind::ContentEncoding { content_encoding } => format!("must be encoded as {}", brief(content_encoding)),
        Kind::ContentMediaType { content_media_type } => format!("must be of media type {}", brief(content_media_type)),
        Kind::FromUtf8 { .. } => "must be UTF-8 once it is decoded".to_owned(),
        // What the library says of itself may quote the value.
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => "could not be matched".to_owned(),
        Kind::Custom { .. } | Kind::Referencing(_) => "could not be checked".to_owned(),
    }
}

fn types(kind: &TypeKind) -> Vec<JsonType> {
    match kind {
        TypeKind::Single(one) => vec![*one],
        TypeKind::Multiple(several) => several.iter().collect(),
    }
}

fn of_type(expected: &[JsonType], instance: &Value) -> String {
    let names: Vec<&str> = expected.iter().map(|kind| with_article(*kind)).collect();
    let (was, mend) = match instance {
        Value::Null => ("null", "; leave it out or send a value"),
        Value::Bool(_) => ("a boolean", ""),
        Value::Number(_) if expected.contains(&JsonType::Integer) => {
            ("a number with a fraction", "; send a whole number")
        }
        Value::Number(_) if expected.contains(&JsonType::String) => ("a number", "; send it in quotes"),
        Value::Number(_) => ("a number", ""),
        Value::String(_) => ("a string", mend_of_string(expected)),
        Value::Array(_) => ("an array", ""),
        Value::Object(_) => ("an object", ""),
    };
    let is_one = !instance.is_null() && expected == [JsonType::Array];
    let mend = if is_one { "; send an array, if need be of this one element" } else { mend };
    format!("must be {}, not {was}{mend}", joined(&names, " or "))
}

/// Models write numbers, lists and objects as text more often than they take the wrong kind.
fn mend_of_string(expected: &[JsonType]) -> &'static str {
    match expected {
        [JsonType::Integer | JsonType::Number | JsonType::Boolean | JsonType::Null, ..] => "; send it without quotes",
        [JsonType::Object | JsonType::Array, ..] => "; send it as JSON, not as text",
        [JsonType::String, ..] | [] => "",
    }
}

fn with_article(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "null",
        JsonType::Boolean => "a boolean",
        JsonType::Integer => "an integer",
        JsonType::Number => "a number",
        JsonType::String => "a string",
        JsonType::Array => "an array",
        JsonType::Object => "an object",
    }
}

/// `property` is one that the schema names.
fn missing(property: &Value, error: &ValidationError<'_>, schema: &Value) -> String {
    let name = property.as_str().unwrap_or_default();
    let around = around(error, schema);
    let kind = around.and_then(|around| around.get("properties")?.get(name)?.get("type")?.as_str().map(str::to_owned));
    match kind {
        Some(kind) => format!("`{}` is missing here; add it ({})", brief(name), brief(&kind)),
        None => format!("`{}` is missing here; add it", brief(name)),
    }
}

/// Members that nothing speaks of, each perhaps a misspelled one.
fn unknown(unexpected: &[String], error: &ValidationError<'_>, schema: &Value) -> String {
    let mut known = Vec::new();
    if let Some(around) = around(error, schema) {
        names(around, schema, BRANCHES_DEEP_MAX, &mut known);
    }
    let told = unexpected.iter().take(NAMES_TOLD_MAX).map(|name| match nearest(name, &known) {
        Some(near) => format!("`{}` is not known here, did you mean `{}`?", brief(name), brief(near)),
        None => format!("`{}` is not known here, leave it out", brief(name)),
    });
    let told: Vec<String> = told.collect();
    match unexpected.len().saturating_sub(told.len()) {
        0 => told.join("; "),
        more => format!("{}; and {more} more", told.join("; ")),
    }
}

/// The schema whose keyword refused. Where references cross resources there may be none.
fn around<'s>(error: &ValidationError<'_>, schema: &'s Value) -> Option<&'s Value> {
    let (around, _) = error.schema_path().as_str().rsplit_once('/')?;
    schema.pointer(around)
}

/// The members that `schema` and what it applies in place speak of. Bounded in depth and number.
fn names<'s>(schema: &'s Value, root: &'s Value, deep: usize, known: &mut Vec<&'s str>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    known.extend(properties.into_iter().flatten().map(|(name, _)| name.as_str()).take(NAMES_COMPARED_MAX));
    let Some(left) = deep.checked_sub(1) else { return };
    let lists = ["allOf", "anyOf", "oneOf"].iter().filter_map(|keyword| schema.get(keyword)?.as_array()).flatten();
    let pointer = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
    for part in lists.take(NAMES_TOLD_MAX * 4).chain(pointer.and_then(|pointer| root.pointer(pointer))) {
        if known.len() < NAMES_COMPARED_MAX {
            names(part, root, left, known);
        }
    }
}

/// The known name that is a slip away, if one is.
fn nearest<'s>(name: &str, known: &[&'s str]) -> Option<&'s str> {
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    if name.len() > NAME_BYTES_COMPARED_MAX {
        return None;
    }
    let near = known.iter().take(NAMES_COMPARED_MAX).filter(|known| known.len() <= NAME_BYTES_COMPARED_MAX);
    let far = |known: &str| match plain(known) == plain(name) {
        true => 0,
        false => strsim::damerau_levenshtein(known, name),
    };
    let (far, near) = near.map(|known| (far(known), *known)).min()?;
    (far <= (name.chars().count() / 3).max(1)).then_some(near)
}

/// Alternatives of which none fits: what the nearest one lacks.
fn none_of(context: &[Vec<ValidationError<'_>>], error: &ValidationError<'_>, schema: &Value, deep: usize) -> String {
    let own = error.instance_path().as_str();
    let of_kind = |errors: &[ValidationError<'_>]| {
        let [only] = errors else { return None };
        let Kind::Type { kind } = only.kind() else { return None };
        (only.instance_path().as_str() == own).then(|| types(kind))
    };
    // All differ by type alone, as where a value may be null: one list of types says it.
    let kinds: Option<Vec<Vec<JsonType>>> = context.iter().map(|errors| of_kind(errors)).collect();
    if let Some(kinds) = kinds.filter(|kinds| !kinds.is_empty()) {
        let mut kinds = kinds.concat();
        kinds.sort_unstable();
        kinds.dedup();
        return of_type(&kinds, error.instance());
    }
    let head = format!("fits none of the {} forms that it may have", context.len());
    // The kind is right at least, and the fewer things are wrong the nearer.
    let nearest = context.iter().filter(|errors| of_kind(errors).is_none()).min_by_key(|errors| errors.len());
    let Some((wrong, left)) = nearest.and_then(|errors| errors.first()).zip(deep.checked_sub(1)) else { return head };
    let at = wrong.instance_path().as_str().strip_prefix(own).unwrap_or_default();
    let at = if at.is_empty() { String::new() } else { format!(" at `{}`", brief(at)) };
    format!("{head}; for the nearest,{at} `{}`: {}", wrong.kind().keyword(), said(wrong, schema, left))
}

/// Values that the schema lists.
fn one_of(options: &Value) -> String {
    let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
    let told: Vec<String> = options.iter().take(OPTIONS_TOLD_MAX).map(quoted).collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    match (options.len().saturating_sub(told.len()), told.as_slice()) {
        (0, [only]) => (*only).to_owned(),
        (0, _) => format!("one of {}", told.join(", ")),
        (more, _) => format!("one of {} and {more} more", told.join(", ")),
    }
}

/// A value that the schema has.
fn quoted(value: &Value) -> String {
    brief(&value.to_string()).into()
}

fn brief(text: &str) -> Box<str> {
    text::brief(text, QUOTED_CHARS_MAX)
}

fn joined(parts: &[&str], last: &str) -> String {
    match parts {
        [] => "something else".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., end] => format!("{}{last}{end}", first.join(", ")),
    }
}

/// How deep alternatives inside of alternatives are told.
const BRANCHES_DEEP_MAX: usize = 3;
/// How many unknown members are told at one place.
const NAMES_TOLD_MAX: usize = 3;
/// How many known names are compared with an unknown one, and of which length, in bytes.
const NAMES_COMPARED_MAX: usize = 256;
const NAME_BYTES_COMPARED_MAX: usize = 64;
/// How many values of an `enum` are told.
const OPTIONS_TOLD_MAX: usize = 8;
/// How much of one name, value or pattern of the schema is quoted, in characters.
const QUOTED_CHARS_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Role, Schemas};
    use crate::{Config, Finding, Rule};
    use sekisho_catalog::Declared;
    use sekisho_wire::Json;
    use sekisho_wire::json::Limits;
    use serde_json::json;

    fn found(schema: &Value, value: &Value) -> Vec<Finding> {
        let schema = Json::decode(schema.to_string().into(), &Limits::default()).unwrap();
        let compiled = Schemas::new(&Config::default()).compiled(Role::Output, &Declared::of(schema));
        compiled.as_ref().as_ref().unwrap_or_else(|why| panic!("{why}")).check(Rule::InputSchema, "", value)
    }

    fn told(schema: &Value, value: &Value) -> String {
        let found = found(schema, value);
        assert_eq!(found.len(), 1, "{found:?}");
        format!("{} {}", found[0].at, found[0].words)
    }

    #[test]
    fn each_finding_says_keyword_expectation_and_mend() {
        let of = |schema: Value| json!({"properties": {"x": schema}});
        let x = |value: Value| json!({ "x": value });
        for (schema, value, words) in [
            (json!({"type": "integer"}), json!("5"), "must be an integer, not a string; send it without quotes"),
            (
                json!({"type": "integer"}),
                json!(5.5),
                "must be an integer, not a number with a fraction; send a whole number",
            ),
            (json!({"type": "string"}), json!(5), "must be a string, not a number; send it in quotes"),
            (json!({"type": "object"}), json!("{}"), "must be an object, not a string; send it as JSON, not as text"),
            (
                json!({"type": "array"}),
                json!(1),
                "must be an array, not a number; send an array, if need be of this one element",
            ),
            (json!({"type": ["string", "null"]}), json!([]), "must be null or a string, not an array"),
        ] {
            assert_eq!(told(&of(schema), &x(value)), format!("/x `type`: {words}"));
        }
        for (schema, value, words) in [
            (json!({"enum": ["r", "w"]}), json!("x"), r#"`enum`: must be one of "r", "w"; send exactly that"#),
            (json!({"const": 1}), json!(2), "`const`: must be exactly 1"),
            (json!({"maximum": 3}), json!(4), "`maximum`: must be at most 3"),
            (
                json!({"maxLength": 3}),
                json!("abcd"),
                "`maxLength`: must have at most 3 characters; send a shorter text",
            ),
            (json!({"pattern": "^a+$"}), json!("b"), "`pattern`: must match the pattern `^a+$`"),
            (json!({"uniqueItems": true}), json!([1, 1]), "`uniqueItems`: has elements that are alike; send each once"),
            (json!(false), json!(1), "`falseSchema`: nothing is allowed here; leave it out"),
            (json!({"minItems": 2}), json!([1]), "`minItems`: must have at least 2 elements; add some"),
        ] {
            assert_eq!(told(&of(schema), &x(value)), format!("/x {words}"));
        }
    }

    #[test]
    fn a_missing_member_is_told_with_its_type_where_the_schema_knows_it() {
        let schema = json!({"required": ["path"], "properties": {"path": {"type": "string"}}});
        assert_eq!(told(&schema, &json!({})), " `required`: `path` is missing here; add it (string)");
        assert_eq!(told(&json!({"required": ["path"]}), &json!({})), " `required`: `path` is missing here; add it");
    }

    #[test]
    fn a_misspelled_member_is_told_with_the_one_that_was_meant() {
        let parts = json!({"p": {"properties": {"path": true, "max_results": true}}});
        for schema in [
            json!({"properties": {"path": true, "max_results": true}, "additionalProperties": false}),
            json!({"allOf": [{"$ref": "#/$defs/p"}], "unevaluatedProperties": false, "$defs": parts}),
        ] {
            for (wrong, right) in [("pathh", "path"), ("paht", "path"), ("maxResults", "max_results")] {
                let words = told(&schema, &json!({ wrong: 1 }));
                assert!(words.ends_with(&format!("`{wrong}` is not known here, did you mean `{right}`?")), "{words}");
            }
            let words = told(&schema, &json!({"recursive": 1}));
            assert!(words.ends_with("`recursive` is not known here, leave it out"), "{words}");
        }
    }

    #[test]
    fn of_alternatives_the_nearest_one_is_told() {
        let optional = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
        assert_eq!(told(&optional, &json!(1)), " `anyOf`: must be null or a string, not a number; send it in quotes");
        let forms = json!({"oneOf": [
            {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}},
            {"type": "string"},
        ]});
        assert_eq!(
            told(&forms, &json!({"kind": "a", "n": "1"})),
            " `oneOf`: fits none of the 2 forms that it may have; for the nearest, at `/n` `type`: must be an integer, not a string; send it without quotes"
        );
    }

    #[test]
    fn no_value_is_told_whatever_the_keyword() {
        let secret = "hunter2-hunter2";
        let keywords = [
            json!({"type": "integer"}),
            json!({"enum": ["a"]}),
            json!({"const": {"a": 1}}),
            json!({"pattern": "^x$"}),
            json!({"maxLength": 1}),
            json!({"minLength": 100}),
            json!({"not": {}}),
            json!({"allOf": [false]}),
            json!({"anyOf": [{"type": "null"}, {"maxLength": 2}]}),
            json!({"oneOf": [{"type": "string"}, {"minLength": 2}]}),
            json!({"if": {}, "then": {"pattern": "^x"}}),
        ];
        for schema in &keywords {
            let found = found(schema, &json!(secret));
            assert!(!found.is_empty(), "{schema}");
            assert!(found.iter().all(|found| !found.words.contains("hunter2")), "{found:?}");
        }
        for schema in [
            json!({"contains": {"type": "integer"}}),
            json!({"uniqueItems": true}),
            json!({"maxItems": 1}),
            json!({"prefixItems": [true], "items": false}),
            json!({"unevaluatedItems": false}),
            json!({"items": {"maxLength": 2}}),
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "items": [true], "additionalItems": false}),
        ] {
            let found = found(&schema, &json!([secret, secret]));
            assert!(!found.is_empty(), "{schema}");
            assert!(found.iter().all(|found| !found.words.contains("hunter2")), "{found:?}");
        }
        let named = found(&json!({"propertyNames": {"maxLength": 2}}), &json!({"name": secret}));
        assert_eq!(
            &*named[0].words,
            "`propertyNames`: has a member whose name is not allowed: it must have at most 2 characters; send a shorter text"
        );
        let members =
            found(&json!({"minProperties": 2, "additionalProperties": {"type": "null"}}), &json!({"a": secret}));
        assert!(members.iter().all(|found| !found.words.contains("hunter2")), "{members:?}");
    }

    #[test]
    fn what_a_schema_says_is_told_visibly_and_briefly() {
        let long = "x".repeat(10_000);
        let options: Vec<String> = (0..10_000).map(|i| format!("{i}{long}").chars().take(20).collect()).collect();
        for schema in [
            json!({"enum": options}),
            json!({"const": long}),
            json!({"pattern": "a\u{202e}b"}),
            json!({"properties": {(long.as_str()): true, "pass\u{200b}word": true}, "additionalProperties": false}),
            json!({"required": [long, "a\u{202e}"]}),
        ] {
            let value = if schema.get("pattern").is_some() {
                json!("z")
            } else {
                json!({"passwordd": 1, (long.as_str()): 1, "a": 1, "b": 1})
            };
            for found in found(&schema, &value) {
                assert!(found.words.chars().count() <= crate::WORDS_CHARS_MAX + 1, "{found:?}");
                assert_eq!(&*sekisho_wire::text::visible(&found.words), &*found.words);
            }
        }
    }
}
