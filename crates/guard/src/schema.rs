//! Schemas of tools: compiled once, kept by digest, never fetched.

use std::sync::Arc;

use jsonschema::{Draft, ValidationError, Validator};
use moka::sync::Cache;
use sekisho_catalog::{Declared, Pinned};
use sekisho_wire::{Json, headers};
use serde_json::Value;

use crate::config::{Config, UnknownArguments};
use crate::patterns::{self, PATTERN_BYTES_MAX, Patterns};
use crate::value::{self, Unfaithful};
use crate::work::{self, Effort, Excess, Unbounded, Work};
use crate::{FINDINGS_MAX, Finding, Rule, WORDS_CHARS_MAX, close, scope, secrets, text, words};

/// What a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// `inputSchema`: its root is an object (JS-05).
    Input,
    /// `outputSchema`: any schema (JS-06).
    Output,
    /// `requestedSchema` of an elicitation: its root is an object.
    Form,
}

impl Role {
    /// The member of a definition.
    fn member(self) -> &'static str {
        match self {
            Role::Input => "inputSchema",
            Role::Output => "outputSchema",
            Role::Form => "requestedSchema",
        }
    }

    /// The schema that a definition declares. `"outputSchema": null` declares none: some servers write every member
    /// that they know. An input schema is never left out, so `null` is one that cannot be used.
    pub(crate) fn declared_by(self, definition: &Json) -> Option<Declared> {
        let schema = definition.get(self.member())?;
        match self {
            Role::Input | Role::Form => Some(Declared::of(schema)),
            Role::Output => (!schema.is_null()).then(|| Declared::of(schema)),
        }
    }

    /// The same of a definition that is pinned: its digests are known.
    pub(crate) fn pinned_by(self, pinned: &Pinned) -> Option<&Declared> {
        match self {
            Role::Input => pinned.input_schema(),
            Role::Output => pinned.output_schema(),
            // Asked when it is needed, and declared by nothing.
            Role::Form => None,
        }
    }
}

/// The compiled schemas.
pub(crate) struct Schemas {
    config: Config,
    /// By role and SHA-256 of the text: what an approved definition says decides, not its name. Schemas that
    /// cannot be used are kept as well, so that they cost once.
    compiled: Cache<Key, Compiled>,
}

type Key = (Role, [u8; 32]);
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
    Dialect(Box<str>),
    #[error("draft-07 ignores what stands beside the `$ref` at its root, so that unknown arguments cannot be refused")]
    Open,
    #[error("`x-mcp-header` copies `{name}` into a header, where it would be logged (HT-32)")]
    SecretHeader { name: Box<str> },
    #[error(transparent)]
    Unbounded(Unbounded),
    #[error("it does not compile at `{at}`: {why}")]
    Compile { at: Box<str>, why: Box<str> },
}

impl Schemas {
    pub(crate) fn new(config: &Config) -> Schemas {
        // No entry weighs less than its share, so that their number is bounded too.
        let least = CACHE_BYTES_MAX / config.schema_cache_max.max(1);
        let compiled = Cache::builder()
            .max_capacity(u64::from(CACHE_BYTES_MAX))
            .weigher(move |_: &Key, compiled: &Compiled| {
                compiled.as_ref().as_ref().map_or(least, |schema| schema.bytes().max(least))
            })
            .build();
        Schemas { config: config.clone(), compiled }
    }

    /// The compiled form of a schema, or why there is none.
    pub(crate) fn compiled(&self, role: Role, declared: &Declared) -> Compiled {
        let compile = || Arc::new(Schema::compile(&self.config, role, declared.schema()));
        self.compiled.get_with((role, *declared.digest()), compile)
    }

    /// Whether the schemas of a tool's definition compile. Other definitions have none.
    pub(crate) fn usable(&self, definition: &Json) -> Result<(), Box<str>> {
        [Role::Input, Role::Output]
            .into_iter()
            .try_for_each(|role| self.usable_as(role, role.declared_by(definition).as_ref()))
    }

    /// Whether the one schema compiles, if it is declared.
    pub(crate) fn usable_as(&self, role: Role, declared: Option<&Declared>) -> Result<(), Box<str>> {
        let Some(declared) = declared else { return Ok(()) };
        self.compiled(role, declared).as_ref().as_ref().map(drop).map_err(|reason| why(role, reason))
    }
}

/// Why a tool with this schema is not used.
pub(crate) fn why(role: Role, why: &Unusable) -> Box<str> {
    format!("`{}` cannot be used: {why}", role.member()).into()
}

/// A schema that values are checked against.
pub(crate) struct Schema {
    validator: Validator,
    /// What it says, for the words of findings.
    tree: Value,
    /// Whether one error never holds many others.
    is_simple: bool,
    work: Work,
    text_bytes: usize,
    pattern_bytes: usize,
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
        if role == Role::Input
            && let Some(name) =
                headers::mirrored_names(schema).into_iter().find(|name| secrets::are_plainly_named(name))
        {
            return Err(Unusable::SecretHeader { name });
        }
        let draft = dialect(&tree)?;
        if matches!(role, Role::Input | Role::Form) && tree.get("type").and_then(Value::as_str) != Some("object") {
            return Err(Unusable::RootType);
        }
        let mut patterns = Patterns::default();
        let mut work = work::measure(&tree, draft, &mut patterns).map_err(Unusable::Unbounded)?;
        if role == Role::Input && config.unknown_arguments == UnknownArguments::Refuse {
            close::close(&mut tree, draft)?;
            work = work::measure(&tree, draft, &mut patterns).map_err(Unusable::Unbounded)?;
        }
        let validator = jsonschema::options()
            .with_draft(draft)
            .offline()
            .with_pattern_options(patterns::options(PATTERN_BYTES_MAX))
            // `format` is an annotation in 2020-12, and means the same in every dialect here.
            .should_validate_formats(false)
            .build(&tree)
            .map_err(|error| Unusable::Compile {
                at: text::brief(&error.schema_path().to_string(), WORDS_CHARS_MAX),
                why: text::brief(&error.masked().to_string(), WORDS_CHARS_MAX),
            })?;
        let is_simple = !value::has_member(&tree, &["anyOf", "oneOf"]);
        Ok(Schema { validator, tree, is_simple, work, text_bytes: len, pattern_bytes: patterns.bytes() })
    }

    /// About the memory that it takes.
    fn bytes(&self) -> u32 {
        let bytes = self.text_bytes.saturating_mul(COMPILED_BYTES_PER_BYTE).saturating_add(self.pattern_bytes);
        u32::try_from(bytes).unwrap_or(u32::MAX).min(CACHE_BYTES_MAX)
    }

    /// What of `instance` does not fit, at most [`FINDINGS_MAX`] findings, each under `base`.
    pub(crate) fn check(&self, rule: Rule, base: &str, instance: &Value) -> Vec<Finding> {
        let effort = match self.work.bounded_for(instance) {
            Ok(effort) => effort,
            Err(excess) => {
                let at = match &excess {
                    Excess::Long { at } => at.as_str(),
                    Excess::Visits | Excess::Text => "",
                };
                return vec![Finding::new(rule, &format!("{base}{at}"), &excess.to_string())];
            }
        };
        if self.validator.is_valid(instance) {
            return Vec::new();
        }
        let told = |error: &ValidationError<'_>| {
            Finding::new(rule, &format!("{base}{}", error.instance_path()), &words::of(error, &self.tree))
        };
        let findings = match effort {
            Effort::Small => {
                self.validator.iter_errors(instance).take(FINDINGS_MAX).map(|error| told(&error)).collect()
            }
            // The first alone, where it does not bring all that is wrong with each alternative.
            Effort::Large if self.is_simple => self.validator.validate(instance).err().iter().map(told).collect(),
            Effort::Large => Vec::new(),
        };
        let somewhere = "the value does not fit the schema; it is too large to say where, send less at once";
        if findings.is_empty() { vec![Finding::new(rule, base, somewhere)] } else { findings }
    }
}

/// JS-01: 2020-12 unless the schema says otherwise; what is not known is refused.
fn dialect(schema: &Value) -> Result<Draft, Unusable> {
    let members = schema.as_object().ok_or(Unusable::NotAnObject)?;
    let Some(dialect) = members.get("$schema") else { return Ok(Draft::Draft202012) };
    let uri = dialect.as_str().unwrap_or("(not a string)");
    scope::known_dialect(uri).ok_or_else(|| Unusable::Dialect(text::brief(uri, WORDS_CHARS_MAX)))
}

/// Most memory that compiled schemas take, about, in bytes.
const CACHE_BYTES_MAX: u32 = 512 * 1024 * 1024;
/// Memory of a compiled schema for each byte of its text, about.
const COMPILED_BYTES_PER_BYTE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patterns::PATTERNS_MAX;
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
        let compiled = schemas().compiled(Role::Input, &Declared::of(wire(schema)));
        let schema = compiled.as_ref().as_ref().unwrap_or_else(|why| panic!("{why}"));
        schema.check(Rule::InputSchema, "", instance)
    }

    fn unusable(role: Role, schema: &Value) -> String {
        match &*schemas().compiled(role, &Declared::of(wire(schema))) {
            Ok(_) => panic!("usable: {schema}"),
            Err(why) => why.to_string(),
        }
    }

    #[test]
    fn arguments_are_judged_with_words_to_repair_them() {
        let schema = json!({"type": "object", "properties": {"path": {"type": "string"}, "n": {"maximum": 3}}, "required": ["path"]});
        assert!(findings(&schema, &json!({"path": "a", "n": 3})).is_empty());
        let mut found = findings(&schema, &json!({"path": 7, "n": 4}));
        // Which comes first depends on how the tree keeps its members.
        found.sort_by(|a, b| a.at.cmp(&b.at));
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
    fn a_tool_that_copies_a_secret_into_a_header_cannot_be_used() {
        let with = |name: &str, header: &str| json!({"type": "object", "properties": {name: {"type": "string", "x-mcp-header": header}}});
        for (name, header) in [("apiKey", "Key"), ("value", "X-Password"), ("token", "A")] {
            let why = unusable(Role::Input, &with(name, header));
            assert!(why.contains("HT-32"), "{why}");
        }
        for (name, header) in [("region", "Region"), ("pageToken", "Page-Token"), ("secretName", "Name")] {
            assert!(findings(&with(name, header), &json!({ name: "eu" })).is_empty(), "{name}");
        }
        let unmirrored = json!({"type": "object", "properties": {"apiKey": {"type": "string"}}});
        assert!(findings(&unmirrored, &json!({"apiKey": "x"})).is_empty());
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
        assert!(schemas().compiled(Role::Output, &Declared::of(wire(&json!({"type": "array"})))).is_ok());
    }

    #[test]
    fn patterns_are_linear_and_what_is_not_linear_is_unusable() {
        let schema = json!({"type": "object", "properties": {"a": {"pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"}}});
        let started = Instant::now();
        assert_eq!(findings(&schema, &json!({"a": "a".repeat(60_000)})).len(), 1);
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
        assert!(schemas.compiled(Role::Input, &Declared::of(padded(100))).is_ok());
        assert!(schemas.compiled(Role::Input, &Declared::of(padded(101))).is_err());
        let deep = |inner: Value| wire(&json!({"type": "object", "properties": {"a": inner}}));
        assert!(schemas.compiled(Role::Input, &Declared::of(deep(json!({})))).is_ok());
        assert!(schemas.compiled(Role::Input, &Declared::of(deep(json!({"not": {}})))).is_err());
    }

    #[test]
    fn a_hostile_schema_is_refused_before_anything_is_checked() {
        let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "not": inner }));
        assert!(schemas().compiled(Role::Output, &Declared::of(wire(&nested(64)))).is_ok());
        for (schema, why) in [
            (nested(65), "64 levels"),
            (json!({"$ref": "#"}), "circle"),
            (json!({"anyOf": vec![json!({"type": "null"}); 10_000]}), "4096 subschemas"),
            (json!({"pattern": "(a{1,1000}){1,1000}"}), "not linear"),
            (json!({"patternProperties": {"((a{100}){100}){100}": true}}), "not linear"),
        ] {
            assert!(unusable(Role::Output, &schema).contains(why), "{why}");
        }
    }

    #[test]
    fn a_value_that_a_schema_is_too_much_for_is_refused_unread() {
        let check = |schema: &Value, value: &Value| {
            let compiled = schemas().compiled(Role::Output, &Declared::of(wire(schema)));
            compiled.as_ref().as_ref().unwrap_or_else(|why| panic!("{why}")).check(Rule::OutputSchema, "", value)
        };
        let choices = json!({"items": {"enum": (0..10_000).collect::<Vec<_>>()}});
        assert!(check(&choices, &json!(vec![9_999; 7_000])).is_empty());
        assert!(check(&choices, &json!(vec![9_999; 10_000]))[0].words.contains("too large"));
        let unique = json!({"uniqueItems": true});
        assert!(check(&unique, &json!((0..100_000).collect::<Vec<_>>())).is_empty());
        assert!(
            check(&unique, &json!((0..10_000).map(|i| json!([i])).collect::<Vec<_>>()))[0].words.contains("too large")
        );
    }

    #[test]
    fn what_is_wrong_with_a_large_value_is_not_gathered() {
        let check = |items: &Value, count: usize| {
            let compiled = schemas().compiled(Role::Output, &Declared::of(wire(&json!({ "items": items }))));
            compiled.as_ref().as_ref().unwrap().check(Rule::OutputSchema, "", &json!(vec!["x"; count]))
        };
        let plain = json!({"type": "integer"});
        assert_eq!(check(&plain, 1_000).len(), FINDINGS_MAX);
        let first = check(&plain, 50_000);
        assert_eq!(first.len(), 1);
        assert_eq!((&*first[0].at, first[0].words.contains("an integer")), ("/0", true));
        let forms = json!({"anyOf": [{"type": "integer"}, {"type": "null"}, {"maxLength": 0}]});
        assert_eq!(check(&forms, 1_000).len(), FINDINGS_MAX);
        let first = check(&forms, 50_000);
        assert_eq!(first.len(), 1);
        assert!(first[0].words.contains("too large to say where"), "{first:?}");
    }

    #[test]
    fn arguments_that_are_not_mentioned_pass_or_not_as_configured() {
        let strict = Schemas::new(&Config { unknown_arguments: UnknownArguments::Refuse, ..Config::default() });
        let found = |schemas: &Schemas, schema: &Value| {
            let compiled = schemas.compiled(Role::Input, &Declared::of(wire(schema)));
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
    fn unknown_arguments_are_not_let_through_beside_a_reference() {
        let strict = Schemas::new(&Config { unknown_arguments: UnknownArguments::Refuse, ..Config::default() });
        let by_reference = |dialect: &str, defs: &str| {
            let parts = json!({"a": {"type": "object", "properties": {"a": true}}});
            json!({"$schema": dialect, "type": "object", "$ref": format!("#/{defs}/a"), defs: parts})
        };
        let old = by_reference("http://json-schema.org/draft-07/schema#", "definitions");
        let mut spoken = old.clone();
        spoken["additionalProperties"] = json!(false);
        for ignored in [&old, &spoken] {
            assert!(matches!(&*strict.compiled(Role::Input, &Declared::of(wire(ignored))), Err(Unusable::Open)));
        }
        // As the schema has it, it may be used, and so may the output's.
        assert!(findings(&old, &json!({"a": 1, "b": 2})).is_empty());
        assert!(strict.compiled(Role::Output, &Declared::of(wire(&old))).is_ok());
        for dialect in ["https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2020-12/schema"]
        {
            let compiled = strict.compiled(Role::Input, &Declared::of(wire(&by_reference(dialect, "$defs"))));
            let schema = compiled.as_ref().as_ref().unwrap();
            assert!(schema.check(Rule::InputSchema, "", &json!({"a": 1})).is_empty());
            assert_eq!(schema.check(Rule::InputSchema, "", &json!({"a": 1, "b": 2})).len(), 1);
        }
    }

    #[test]
    fn a_schema_of_many_patterns_and_a_value_of_much_text_do_not_meet() {
        let patterns = |count: usize| {
            let each = (0..count).map(|i| json!({"pattern": format!("^(x{i}|a?){{9}}")}));
            json!({"anyOf": each.collect::<Vec<_>>()})
        };
        assert!(unusable(Role::Output, &patterns(3000)).contains("patterns"));
        assert!(unusable(Role::Output, &patterns(PATTERNS_MAX + 1)).contains("patterns"));
        let compiled = schemas().compiled(Role::Output, &Declared::of(wire(&patterns(PATTERNS_MAX))));
        let schema = compiled.as_ref().as_ref().unwrap_or_else(|why| panic!("{why}"));
        let found = |text: usize| schema.check(Rule::OutputSchema, "/structuredContent", &json!("a".repeat(text)));
        assert!(found(100).is_empty());
        assert!(found(60_000)[0].words.contains("too much text"), "{:?}", found(60_000));
        assert!(found(15_000_000)[0].words.contains("64 KiB"), "{:?}", found(15_000_000));
    }

    #[test]
    fn the_cache_is_bounded_by_memory_and_by_number() {
        let compiled = |schemas: &Schemas, schema: &Value| {
            let compiled = schemas.compiled(Role::Output, &Declared::of(wire(schema)));
            schemas.compiled.run_pending_tasks();
            (compiled.as_ref().as_ref().unwrap().bytes(), schemas.compiled.weighted_size())
        };
        let (plain, kept) = compiled(&schemas(), &json!({"type": "object"}));
        // The share of one of 4096.
        assert_eq!(kept, u64::from(CACHE_BYTES_MAX / 4096));
        let (patterned, kept) = compiled(&schemas(), &json!({"pattern": "1[01]{900}[23]"}));
        assert!(usize::try_from(patterned - plain).unwrap() > 2 * PATTERN_BYTES_MAX);
        assert_eq!(kept, u64::from(patterned));
        let two = Schemas::new(&Config { schema_cache_max: 2, ..Config::default() });
        for i in 0..5 {
            compiled(&two, &json!({"const": i}));
        }
        assert_eq!(two.compiled.entry_count(), 2);
    }

    #[test]
    fn a_schema_with_a_number_that_loses_digits_is_unusable() {
        let text = r#"{"type":"object","properties":{"a":{"maximum":9223372036854775809}}}"#;
        let schema = Json::decode(Bytes::from(text), &Limits::default()).unwrap();
        assert!(schemas().compiled(Role::Input, &Declared::of(schema)).is_err());
    }
}
