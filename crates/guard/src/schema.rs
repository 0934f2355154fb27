//! Schemas of tools: compiled once, kept by digest, never fetched.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use jsonschema::{Draft, PatternOptions, Validator};
use moka::sync::Cache;
use sekisho_wire::Json;
use serde_json::Value;

use crate::config::{Config, UnknownArguments};
use crate::value::{self, Unfaithful};
use crate::work::{self, Unbounded, Work};
use crate::{FINDINGS_MAX, Finding, Rule};

/// What a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// `inputSchema`: its root is an object (JS-05).
    Input,
    /// `outputSchema`: any schema (JS-06).
    Output,
}

/// The compiled schemas.
pub(crate) struct Schemas {
    config: Config,
    /// By role and SHA-256 of the text: what an approved definition says decides, not its name. Schemas that
    /// cannot be used are kept as well, so that they cost once.
    compiled: Cache<(Role, [u8; 32]), Compiled>,
}

type Compiled = Arc<Result<Schema, Unusable>>;

/// Why a schema is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("it is {len} bytes long, limit is {bytes_max}")]
    TooLong { len: usize, bytes_max: u32 },
    #[error("it is nested deeper than {depth_max} levels")]
    TooDeep { depth_max: u16 },
    #[error(transparent)]
    Unfaithful(Unfaithful),
    #[error("it is not an object")]
    NotAnObject,
    #[error("its root does not say `\"type\": \"object\"`")]
    RootType,
    #[error("its dialect `{0}` is not one of 2020-12, 2019-09 and draft-07")]
    Dialect(String),
    #[error(transparent)]
    Unbounded(Unbounded),
    #[error("it does not compile at `{at}`: {why}")]
    Compile { at: String, why: String },
}

impl Schemas {
    pub(crate) fn new(config: &Config) -> Schemas {
        Schemas { config: config.clone(), compiled: Cache::new(u64::from(config.schema_cache_max)) }
    }

    /// The compiled form of a schema, or why there is none.
    pub(crate) fn compiled(&self, role: Role, schema: &Json) -> Compiled {
        let mut key = [0; 32];
        let digest = digest(&SHA256, schema.bytes());
        for (to, from) in key.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        self.compiled.get_with((role, key), || Arc::new(Schema::compile(&self.config, role, schema)))
    }

    /// Whether the schemas of a tool's definition compile. Other definitions have none.
    pub(crate) fn usable(&self, definition: &Json) -> Result<(), Box<str>> {
        for (member, role) in [("inputSchema", Role::Input), ("outputSchema", Role::Output)] {
            let Some(schema) = definition.get(member) else { continue };
            if let Err(why) = &*self.compiled(role, &schema) {
                return Err(format!("`{member}` cannot be used: {why}").into());
            }
        }
        Ok(())
    }
}

/// A schema that values are checked against.
pub(crate) struct Schema {
    validator: Validator,
    work: Work,
}

impl Schema {
    fn compile(config: &Config, role: Role, schema: &Json) -> Result<Schema, Unusable> {
        let (len, bytes_max) = (schema.bytes().len(), config.schema_bytes_max);
        if u32::try_from(len).map_or(true, |len| len > bytes_max) {
            return Err(Unusable::TooLong { len, bytes_max });
        }
        let mut tree = value::tree(schema).map_err(Unusable::Unfaithful)?;
        if value::depth(&tree) > usize::from(config.schema_depth_max) {
            return Err(Unusable::TooDeep { depth_max: config.schema_depth_max });
        }
        let draft = dialect(&tree)?;
        if role == Role::Input && tree.get("type").and_then(Value::as_str) != Some("object") {
            return Err(Unusable::RootType);
        }
        if role == Role::Input && config.unknown_arguments == UnknownArguments::Refuse {
            close(&mut tree, draft);
        }
        let work = work::measure(&tree).map_err(Unusable::Unbounded)?;
        let validator = jsonschema::options()
            .with_draft(draft)
            .offline()
            // Linear in the length of the text; look-around and back references do not compile (JS-04).
            .with_pattern_options(
                PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX),
            )
            // `format` is an annotation in 2020-12, and means the same in every dialect here.
            .should_validate_formats(false)
            .build(&tree)
            .map_err(|error| Unusable::Compile {
                at: error.schema_path().to_string(),
                why: error.masked().to_string(),
            })?;
        Ok(Schema { validator, work })
    }

    /// What of `instance` does not fit, at most [`FINDINGS_MAX`] findings, each under `base`.
    pub(crate) fn check(&self, rule: Rule, base: &str, instance: &Value) -> Vec<Finding> {
        if !self.work.bounded_for(instance) {
            return vec![Finding::new(
                rule,
                base,
                "the value is too large or too deep to be checked against the schema",
            )];
        }
        if self.validator.is_valid(instance) {
            return Vec::new();
        }
        let findings: Vec<Finding> = self
            .validator
            .iter_errors(instance)
            .take(FINDINGS_MAX)
            .map(|error| {
                let words = format!("`{}` is not met: {}", error.kind().keyword(), error.masked());
                Finding::new(rule, &format!("{base}{}", error.instance_path()), &words)
            })
            .collect();
        if findings.is_empty() { vec![Finding::new(rule, base, "the value does not fit the schema")] } else { findings }
    }
}

/// JS-01: 2020-12 unless the schema says otherwise; what is not known is refused.
fn dialect(schema: &Value) -> Result<Draft, Unusable> {
    let members = schema.as_object().ok_or(Unusable::NotAnObject)?;
    let Some(dialect) = members.get("$schema") else { return Ok(Draft::Draft202012) };
    let uri = dialect.as_str().unwrap_or_default().trim_end_matches('#');
    let name = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://")).unwrap_or_default();
    match name {
        "json-schema.org/draft/2020-12/schema" => Ok(Draft::Draft202012),
        "json-schema.org/draft/2019-09/schema" => Ok(Draft::Draft201909),
        "json-schema.org/draft-07/schema" => Ok(Draft::Draft7),
        _ => Err(Unusable::Dialect(dialect.as_str().unwrap_or("(not a string)").to_owned())),
    }
}

/// Refuses arguments that the schema does not mention, where it does not speak of them itself.
fn close(schema: &mut Value, draft: Draft) {
    let Some(members) = schema.as_object_mut() else { return };
    if members.contains_key("additionalProperties") || members.contains_key("unevaluatedProperties") {
        return;
    }
    // `unevaluatedProperties` sees what subschemas in place mention; draft 7 does not have it.
    let keyword = if draft == Draft::Draft7 { "additionalProperties" } else { "unevaluatedProperties" };
    members.insert(keyword.to_owned(), Value::Bool(false));
}

/// Largest compiled pattern, and largest cache of one, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sekisho_wire::json::Limits;
    use serde_json::json;
    use std::time::{Duration, Instant};

    fn wire(value: &Value) -> Json {
        Json::decode(value.to_string().into(), &Limits { depth_max: 200, ..Limits::default() }).unwrap()
    }

    fn schemas() -> Schemas {
        Schemas::new(&Config::default())
    }

    fn findings(schema: &Value, instance: &Value) -> Vec<Finding> {
        let compiled = schemas().compiled(Role::Input, &wire(schema));
        let schema = compiled.as_ref().as_ref().unwrap_or_else(|why| panic!("{why}"));
        schema.check(Rule::InputSchema, "", instance)
    }

    fn unusable(role: Role, schema: &Value) -> String {
        match &*schemas().compiled(role, &wire(schema)) {
            Ok(_) => panic!("usable: {schema}"),
            Err(why) => why.to_string(),
        }
    }

    #[test]
    fn arguments_are_judged_with_words_to_repair_them() {
        let schema = json!({"type": "object", "properties": {"path": {"type": "string"}, "n": {"maximum": 3}}, "required": ["path"]});
        assert!(findings(&schema, &json!({"path": "a", "n": 3})).is_empty());
        let found = findings(&schema, &json!({"path": 7, "n": 4}));
        assert_eq!(found.iter().map(|f| &*f.at).collect::<Vec<_>>(), ["/n", "/path"]);
        assert!(found[1].words.contains("string"), "{found:?}");
        assert!(findings(&schema, &json!({}))[0].words.contains("path"));
    }

    #[test]
    fn findings_are_bounded_in_number_and_length() {
        let names: Vec<String> = (0..50).map(|i| format!("{i}{}", "x".repeat(400))).collect();
        let schema = json!({"type": "object", "required": names});
        let found = findings(&schema, &json!({}));
        assert_eq!(found.len(), FINDINGS_MAX);
        assert!(found.iter().all(|f| f.words.chars().count() <= crate::WORDS_CHARS_MAX + 1));
    }

    #[test]
    fn each_dialect_has_its_own_meaning_and_others_are_refused() {
        // A list under `items` is a tuple up to 2019-09, and no schema at all in 2020-12.
        let tuple = |dialect: &str| json!({"$schema": dialect, "type": "object", "properties": {"a": {"items": [{"type": "string"}]}}});
        for dialect in [
            "http://json-schema.org/draft-07/schema#",
            "https://json-schema.org/draft-07/schema",
            "https://json-schema.org/draft/2019-09/schema",
        ] {
            assert!(findings(&tuple(dialect), &json!({"a": ["x", 1]})).is_empty());
            assert_eq!(findings(&tuple(dialect), &json!({"a": [1]})).len(), 1);
        }
        unusable(Role::Input, &tuple("https://json-schema.org/draft/2020-12/schema"));
        let prefix = json!({"type": "object", "properties": {"a": {"prefixItems": [{"type": "string"}]}}});
        assert_eq!(findings(&prefix, &json!({"a": [1]})).len(), 1);
        for other in ["http://json-schema.org/draft-04/schema#", "https://example.com/mine", ""] {
            assert!(unusable(Role::Input, &json!({"$schema": other, "type": "object"})).contains("dialect"));
        }
        assert!(unusable(Role::Input, &json!({"$schema": 7, "type": "object"})).contains("dialect"));
    }

    #[test]
    fn a_reference_that_leaves_the_schema_makes_it_unusable() {
        for reference in ["http://127.0.0.1:1/s.json", "https://example.com/s", "file:///etc/passwd", "s.json"] {
            let schema = json!({"type": "object", "properties": {"a": {"$ref": reference}}});
            assert!(unusable(Role::Input, &schema).contains("outside"));
            assert!(unusable(Role::Output, &schema).contains("outside"));
        }
        let inside =
            json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/s"}}, "$defs": {"s": {"type": "string"}}});
        assert_eq!(findings(&inside, &json!({"a": 1})).len(), 1);
    }

    #[test]
    fn an_input_schema_is_an_object_schema() {
        for schema in [json!({}), json!({"type": "array"}), json!({"type": ["object", "null"]})] {
            unusable(Role::Input, &schema);
        }
        for schema in [json!(null), json!(true), json!([]), json!("object")] {
            unusable(Role::Input, &schema);
            unusable(Role::Output, &schema);
        }
        assert!(schemas().compiled(Role::Output, &wire(&json!({"type": "array"}))).is_ok());
    }

    #[test]
    fn patterns_are_linear_and_what_is_not_linear_is_unusable() {
        let schema = json!({"type": "object", "properties": {"a": {"pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"}}});
        let started = Instant::now();
        assert_eq!(findings(&schema, &json!({"a": "a".repeat(200_000)})).len(), 1);
        assert!(started.elapsed() < Duration::from_secs(5));
        for pattern in ["(?=a)b", "(a)\\1", "((a{100}){100}){100}"] {
            unusable(Role::Input, &json!({"type": "object", "properties": {"a": {"pattern": pattern}}}));
            unusable(Role::Input, &json!({"type": "object", "patternProperties": {pattern: true}}));
        }
    }

    #[test]
    fn length_and_depth_of_schemas_are_bounded() {
        let config = Config { schema_bytes_max: 100, schema_depth_max: 3, ..Config::default() };
        let schemas = Schemas::new(&config);
        let padded = |len: usize| {
            let text = format!(r#"{{"type":"object","title":"{}"}}"#, "x".repeat(len - 28));
            assert_eq!(text.len(), len);
            Json::decode(Bytes::from(text), &Limits::default()).unwrap()
        };
        assert!(schemas.compiled(Role::Input, &padded(100)).is_ok());
        assert!(schemas.compiled(Role::Input, &padded(101)).is_err());
        let deep = |inner: Value| wire(&json!({"type": "object", "properties": {"a": inner}}));
        assert!(schemas.compiled(Role::Input, &deep(json!({}))).is_ok());
        assert!(schemas.compiled(Role::Input, &deep(json!({"not": {}}))).is_err());
    }

    #[test]
    fn arguments_that_are_not_mentioned_pass_or_not_as_configured() {
        let strict = Schemas::new(&Config { unknown_arguments: UnknownArguments::Refuse, ..Config::default() });
        let found = |schemas: &Schemas, schema: &Value| {
            let compiled = schemas.compiled(Role::Input, &wire(schema));
            compiled.as_ref().as_ref().unwrap().check(Rule::InputSchema, "", &json!({"a": 1, "b": 2})).len()
        };
        let one = json!({"type": "object", "properties": {"a": true}});
        assert_eq!((found(&schemas(), &one), found(&strict, &one)), (0, 1));
        let composed = json!({"type": "object", "allOf": [{"properties": {"a": true, "b": true}}]});
        assert_eq!(found(&strict, &composed), 0);
        let open = json!({"type": "object", "properties": {"a": true}, "additionalProperties": {"type": "integer"}});
        assert_eq!(found(&strict, &open), 0);
        let old =
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {"a": true}});
        assert_eq!((found(&schemas(), &old), found(&strict, &old)), (0, 1));
    }

    #[test]
    fn a_schema_with_a_number_that_loses_digits_is_unusable() {
        let text = r#"{"type":"object","properties":{"a":{"maximum":9223372036854775809}}}"#;
        let schema = Json::decode(Bytes::from(text), &Limits::default()).unwrap();
        assert!(schemas().compiled(Role::Input, &schema).is_err());
    }
}
