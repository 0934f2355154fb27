//! What the schema says, an editor believes; so it must be what the program does. The judge is the `jsonschema` crate.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jsonschema::Validator;
use serde::Deserialize as _;

use super::*;
use crate::assemble;
use crate::config::{self, Loaded};
use crate::keys::{Key, keys};
use crate::strict::Document;

const BASE: &str = r#"
[gateway]
listen = "127.0.0.1:8700"
public_url = "http://127.0.0.1:8700"
[[identity.issuers]]
issuer = "https://login.example.com"
jwks_file = "jwks.json"
[broker.provider]
issuer = "https://login.example.com"
client_id = "sekisho"
[policy]
files = ["policy.cedar"]
[servers.notes]
command = ["notes-server"]
"#;

/// A P-256 public key from RFC 7515, appendix A.3.
const KEY_SET: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// A folder with what the configuration names, and the two judges.
struct Court {
    folder: tempfile::TempDir,
    validator: Validator,
}

impl Court {
    fn new() -> Court {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("jwks.json"), KEY_SET).unwrap();
        std::fs::write(folder.path().join("policy.cedar"), "permit (principal, action, resource);\n").unwrap();
        Court { folder, validator: jsonschema::validator_for(&schema()).unwrap() }
    }

    /// What the schema says.
    fn fits(&self, text: &str) -> bool {
        self.validator.is_valid(&toml::from_str(text).unwrap())
    }

    /// What the program says, as `sekisho config check` does.
    fn load(&self, text: &str) -> Result<Loaded, String> {
        let path = self.folder.path().join("sekisho.toml");
        std::fs::write(&path, text).unwrap();
        let told = |problems: Vec<crate::problem::Problem>| format!("{problems:#?}");
        let loaded = config::load(&path).map_err(told)?;
        let egress = assemble::egress(&loaded).map_err(|problem| problem.line())?;
        assemble::at_start(
            &loaded,
            &egress,
            &std::sync::Arc::new(sekisho_identity::Revocations::passing()),
            SystemTime::now(),
        )
        .map_err(told)?;
        Ok(loaded)
    }
}

/// The base with one more value.
fn with(path: &[String], value: toml::Value) -> String {
    let mut table: toml::Value = toml::from_str(BASE).unwrap();
    put(&mut table, path, value);
    toml::to_string(&table).unwrap()
}

fn put(level: &mut toml::Value, path: &[String], value: toml::Value) {
    let (first, below) = path.split_first().unwrap();
    if below.is_empty() {
        level.as_table_mut().unwrap().insert(first.clone(), value);
    } else if let Some(list) = level.as_array_mut() {
        put(&mut list[first.parse::<usize>().unwrap()], below, value);
    } else {
        let table = level.as_table_mut().unwrap();
        put(table.entry(first).or_insert_with(|| toml::Table::new().into()), below, value);
    }
}

fn leaves(schema: &Value) -> Vec<Key<'_>> {
    let document = Document::new(Path::new("sekisho.toml"), BASE);
    let all = keys(schema, &document).into_iter();
    all.filter(|key| matches!(key.node.shape(), Shape::Leaf) && !key.path.iter().any(|part| part == "*")).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn published_schema_is_that_of_the_program() {
    let text = std::fs::read_to_string(root().join("docs/sekisho.schema.json")).unwrap();
    let published = Value::deserialize(&mut serde_json::Deserializer::from_str(&text)).unwrap();
    assert!(
        published == schema(),
        "docs/sekisho.schema.json is stale; renew it: cargo run --release --bin sekisho -- config schema > docs/sekisho.schema.json"
    );
}

#[test]
fn every_key_is_described_and_every_number_bounded() {
    let schema = schema();
    let document = Document::new(Path::new("sekisho.toml"), BASE);
    for key in keys(&schema, &document) {
        let entry = key.path.last().is_some_and(|part| part == "*" || part.parse::<usize>().is_ok());
        assert!(entry || !key.node.description().is_empty(), "{} has no description", key.name());
        let number = matches!(key.node.kind(), "integer" | "number");
        assert!(!number || key.node.range().is_some(), "{} has no range", key.name());
        let closed = key.node.0.get("additionalProperties");
        assert!(!matches!(key.node.shape(), Shape::Table) || closed == Some(&Value::Bool(false)), "{}", key.name());
    }
}

#[test]
fn every_range_holds_at_its_bounds_and_not_one_past_them() {
    let (court, schema) = (Court::new(), schema());
    let bounded: Vec<_> = leaves(&schema)
        .into_iter()
        .filter(|key| !key.path.starts_with(&["gateway".to_owned(), "tls".to_owned()]))
        .collect();
    let integers = bounded.iter().filter(|key| key.node.kind() == "integer");
    let ranges = integers.filter_map(|key| Some((key, key.node.range()?)));
    let mut count = 0;
    for (key, (min, max)) in ranges {
        let (min, max) = (min.as_i64().unwrap(), max.as_i64().unwrap());
        for good in [min, max] {
            let text = with(&key.path, good.into());
            assert!(court.fits(&text), "the schema refuses {} = {good}", key.name());
            let loaded = court.load(&text);
            assert!(loaded.is_ok(), "the program refuses {} = {good}: {}", key.name(), loaded.unwrap_err());
        }
        for bad in [min - 1, max + 1] {
            let text = with(&key.path, bad.into());
            assert!(!court.fits(&text), "the schema takes {} = {bad}", key.name());
            assert!(court.load(&text).is_err(), "the program takes {} = {bad}", key.name());
        }
        count += 1;
    }
    assert!(count >= 45, "only {count} keys have a range");
}

#[test]
fn default_that_is_told_is_the_one_that_is_used() {
    let (court, schema) = (Court::new(), schema());
    let plain = format!("{:?}", court.load(BASE).unwrap().config);
    let mut all: toml::Value = toml::from_str(BASE).unwrap();
    let mut unset = Vec::new();
    for key in leaves(&schema).iter().filter(|key| key.written.is_none()) {
        let Some(default) = key.node.default() else {
            unset.push(key.name());
            continue;
        };
        let value = toml::Value::try_from(default).unwrap();
        assert_eq!(key.node.admits(&value), Fit::Good, "{}", key.name());
        put(&mut all, &key.path, value);
    }
    let spelled_out = court.load(&toml::to_string(&all).unwrap()).unwrap();
    assert_eq!(format!("{:?}", spelled_out.config), plain);
    // Whatever is told to be unset is absent in the program too, or belongs to a table that is.
    let known = [
        "admin.listen",
        "broker.provider.client_secret",
        "broker.provider.groups_claim",
        "broker.provider.roles_claim",
        "broker.provider.subject_claim",
        "broker.provider.tenant_claim",
        "broker.provider.token_endpoint_auth",
        "egress.ca_file",
        "gateway.tls.certificate_file",
        "gateway.tls.client_ca_file",
        "gateway.tls.client_certificates",
        "gateway.tls.key_file",
        "gateway.workers",
        "identity.issuers.0.client_claim",
        "identity.issuers.0.groups_claim",
        "identity.issuers.0.jwks_url",
        "identity.issuers.0.logout_audience",
        "identity.issuers.0.roles_claim",
        "identity.issuers.0.tenant_claim",
        "servers.notes.cwd",
        "servers.notes.sandbox.profile",
        "servers.notes.url",
        "telemetry.otlp_endpoint",
    ];
    unset.sort();
    assert_eq!(unset, known);
    // A section that is there but empty is one that is not there.
    let empty = BASE.to_owned() + "[limits]\n[guard]\n[audit]\n[egress]\n[upstream]\n[identity.sessions]\n";
    assert_eq!(format!("{:?}", court.load(&empty).unwrap().config), plain);
}

#[test]
fn schema_and_program_refuse_alike() {
    let court = Court::new();
    assert!(court.fits(BASE) && court.load(BASE).is_ok());
    let changed = |from: &str, to: &str| {
        assert!(BASE.contains(from), "{from}");
        BASE.replace(from, to)
    };
    let wrong = [
        BASE.to_owned() + "[limit]\nburst = 1\n",
        BASE.to_owned() + "[limits]\nbrust = 1\n",
        BASE.to_owned() + "[limits]\nburst = \"1\"\n",
        BASE.to_owned() + "[limits]\nburst = 1.5\n",
        BASE.to_owned() + "[audit]\nlevel = \"Durable\"\n",
        BASE.to_owned() + "[guard]\nunknown_arguments = \"drop\"\n",
        BASE.to_owned() + "trust = \"full\"\n",
        BASE.to_owned() + "shell = true\n",
        BASE.to_owned() + "url = \"https://a.example/mcp\"\n",
        BASE.to_owned() + "headers = { x = \"env:X\" }\n",
        BASE.to_owned() + "env = { \"A-B\" = \"c\" }\n",
        BASE.to_owned() + "[servers.Notes_]\ncommand = [\"x\"]\n",
        changed("command = [\"notes-server\"]", "command = []"),
        changed("command = [\"notes-server\"]", ""),
        changed(
            "command = [\"notes-server\"]",
            "url = \"https://a.example\"\nheaders = { authorization = \"hunter2\" }",
        ),
        changed("command = [\"notes-server\"]", "url = \"https://a.example\"\nheaders = { \"a b\" = \"env:X\" }"),
        changed("command = [\"notes-server\"]", "url = \"https://a.example\"\ncwd = \"/\""),
        changed("[servers.notes]\ncommand = [\"notes-server\"]", ""),
        changed("files = [\"policy.cedar\"]", "files = []"),
        changed("[policy]\nfiles = [\"policy.cedar\"]", ""),
        changed("jwks_file", "jwks_url = \"https://a.example/jwks\"\njwks_file"),
        changed("jwks_file", "algorithms = [\"HS256\"]\njwks_file"),
        changed("jwks_file", "algorithms = []\njwks_file"),
        changed("jwks_file", "token_types = [\"\"]\njwks_file"),
        changed("jwks_file", "audiences = [\"\"]\njwks_file"),
        changed(
            "[[identity.issuers]]\nissuer = \"https://login.example.com\"\njwks_file = \"jwks.json\"\n[broker.provider]\nissuer = \"https://login.example.com\"\nclient_id = \"sekisho\"",
            "[identity]",
        ),
        changed("client_id = \"sekisho\"", ""),
        changed("client_id = \"sekisho\"", "client_id = \"sekisho\"\nclient_secret = \"hunter2\""),
        changed("[broker.provider]", "[broker]\nregistration = true\n[broker.provider]"),
        changed("listen = \"127.0.0.1:8700\"", ""),
        changed("listen = \"127.0.0.1:8700\"", "listen = 8700"),
        changed("[policy]", "[gateway.tls]\ncertificate_file = \"c.pem\"\n[policy]"),
    ];
    for text in wrong {
        assert!(!court.fits(&text), "the schema takes\n{text}");
        assert!(court.load(&text).is_err(), "the program takes\n{text}");
    }
}

#[test]
fn examples_fit_the_schema_and_name_it() {
    let court = Court::new();
    let mut count = 0;
    for folder in std::fs::read_dir(root().join("examples")).unwrap() {
        let path = folder.unwrap().path().join("sekisho.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let value: Value = toml::from_str(&text).unwrap();
        let wrong: Vec<String> = court.validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
        let (hint, rest) = text.split_once('\n').unwrap();
        // Taplo reads the line anywhere at the top; Tombi wants an empty one below it.
        let named = path.parent().unwrap().join(hint.strip_prefix("#:schema ").unwrap());
        assert!(named.is_file() && rest.starts_with('\n'), "{}: {hint}", path.display());
        count += 1;
    }
    assert!(count >= 2, "{count} examples");
}

#[test]
fn what_needs_a_restart_is_what_a_reload_refuses_or_leaves() {
    let schema = schema();
    for (section, node) in Node::of(&schema).unwrap().keys() {
        assert_eq!(node.needs_restart(), config::FIXED.contains(&section), "{section}");
    }
    let restart = |name: &str| leaves(&schema).iter().any(|key| key.name() == name && key.restart);
    for name in [
        "gateway.listen",
        "gateway.workers",
        "data_dir",
        "audit.level",
        "egress.timeout_ms",
        "identity.sessions.idle_seconds",
    ] {
        assert!(restart(name), "{name}");
    }
    for name in ["gateway.public_url", "limits.burst", "policy.files", "servers.notes.trust", "guard.schema_bytes_max"]
    {
        assert!(!restart(name), "{name}");
    }
}

#[test]
fn requirements_that_are_named_stand_in_the_specification() {
    let schema = schema();
    let specification = std::fs::read_to_string(root().join("SPECIFICATION.md")).unwrap();
    let ids: Vec<&str> = specification
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .flat_map(|cell| cell.split([' ', ',']))
        .collect();
    for key in leaves(&schema) {
        assert!(key.requirement.is_none_or(|id| ids.contains(&id)), "{}: {:?}", key.name(), key.requirement);
    }
}
