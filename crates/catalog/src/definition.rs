//! What a server says of one tool, prompt, resource or template: [`Pinned`].

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use bytes::Bytes;
use sekisho_wire::json::{Kind, Limits};
use sekisho_wire::{Json, ListKind, ServerId, headers, text};

use crate::canonical::{NESTING_MAX, lasting, pretty, rfc8785};
use crate::change::Flaw;
use crate::impact::Impact;

/// A definition that was seen, and that calls are checked against. Made by [`crate::Catalog::learn`] alone; cheap to clone.
#[derive(Debug, Clone)]
pub struct Pinned(Arc<Definition>);

#[derive(Debug)]
struct Definition {
    server: ServerId,
    kind: ListKind,
    name: Box<str>,
    json: Json,
    impact: Impact,
    digest: DefinitionDigest,
    input_schema: Option<Declared>,
    output_schema: Option<Declared>,
    arguments: Vec<PromptArgument>,
}

/// A schema as a tool declares it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Declared {
    schema: Json,
    digest: [u8; 32],
}

impl Declared {
    /// Takes the digest of a schema.
    #[must_use]
    pub fn of(schema: Json) -> Declared {
        Declared { digest: sha256(schema.bytes()), schema }
    }

    /// As the server wrote it.
    #[must_use]
    pub fn schema(&self) -> &Json {
        &self.schema
    }

    /// SHA-256 of its text, byte for byte.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// SHA-256 of the canonical form (RFC 8785) of what is approved of a definition: all of it, but of a resource its size and the time of
/// its change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefinitionDigest([u8; 32]);

/// An argument that a prompt takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptArgument {
    /// Its name.
    pub name: Box<str>,
    /// Whether the prompt cannot do without it.
    pub required: bool,
}

impl Pinned {
    /// Who offers it.
    #[must_use]
    pub fn server(&self) -> &ServerId {
        &self.0.server
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> ListKind {
        self.0.kind
    }

    /// Its name (or URI, or URI template), as the server says it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// All of it, an object, as the server wrote it.
    #[must_use]
    pub fn json(&self) -> &Json {
        &self.0.json
    }

    /// What calling it can do; of what is no tool, [`Impact::Read`].
    #[must_use]
    pub fn impact(&self) -> Impact {
        self.0.impact
    }

    /// All of it over lines, members sorted, hidden characters escaped: for people.
    #[must_use]
    pub fn to_lines(&self) -> String {
        pretty(&self.0.json, 0)
    }

    /// Which definition this is, byte for byte of its canonical form.
    #[must_use]
    pub fn digest(&self) -> DefinitionDigest {
        self.0.digest
    }

    /// `inputSchema`, an object: every tool has one, nothing else has.
    #[must_use]
    pub fn input_schema(&self) -> Option<&Declared> {
        self.0.input_schema.as_ref()
    }

    /// `outputSchema`, an object, if the tool has one. `null` is none: nothing can be checked against it.
    #[must_use]
    pub fn output_schema(&self) -> Option<&Declared> {
        self.0.output_schema.as_ref()
    }

    /// The arguments of a prompt.
    #[must_use]
    pub fn prompt_arguments(&self) -> &[PromptArgument] {
        &self.0.arguments
    }

    /// Reads a definition, into bytes of its own: a slice would keep the whole page in memory.
    pub(crate) fn read(
        server: &ServerId,
        kind: ListKind,
        definition: &Json,
        digest: DefinitionDigest,
    ) -> Result<Pinned, Flaw> {
        if definition.bytes().len() > DEFINITION_BYTES_MAX {
            return Err(Flaw::TooLong);
        }
        let name = definition.get(kind.key()).ok_or(Flaw::Malformed)?;
        let name: Box<str> = name.string().ok_or(Flaw::Malformed)?.into();
        if name.is_empty() {
            return Err(Flaw::Malformed);
        }
        if name.len() > name_bytes_max(kind) {
            return Err(Flaw::TooLong);
        }
        if is_disguised(&name) {
            return Err(Flaw::HiddenCharacters);
        }
        // Without a canonical form it could not be known again.
        rfc8785(&lasting(kind, definition)).ok_or(Flaw::Malformed)?;
        let copy = Bytes::copy_from_slice(definition.bytes());
        let json = Json::decode(copy, &BOUNDS).map_err(|_| Flaw::TooLong)?;
        let (input_schema, output_schema) = match kind {
            ListKind::Tools => schemas(&json)?,
            ListKind::Prompts | ListKind::Resources | ListKind::Templates => (None, None),
        };
        let arguments = match kind {
            ListKind::Prompts => prompt_arguments(&json)?,
            ListKind::Tools | ListKind::Resources | ListKind::Templates => Vec::new(),
        };
        let (input_schema, output_schema) = (input_schema.map(Declared::of), output_schema.map(Declared::of));
        let impact = match kind {
            ListKind::Tools => Impact::of(&json),
            ListKind::Prompts | ListKind::Resources | ListKind::Templates => Impact::Read,
        };
        let server = server.clone();
        let read = Definition { server, kind, name, json, impact, digest, input_schema, output_schema, arguments };
        Ok(Pinned(Arc::new(read)))
    }
}

impl DefinitionDigest {
    /// The digest of a definition. One that has no canonical form, and so is withheld, has that of its text.
    pub(crate) fn of(kind: ListKind, definition: &Json) -> DefinitionDigest {
        match rfc8785(&lasting(kind, definition)) {
            Some(form) => DefinitionDigest(sha256(&form)),
            None => DefinitionDigest(sha256(definition.bytes())),
        }
    }

    /// Reads the 64 hexadecimal digits that [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<DefinitionDigest> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.bytes().all(is_hex) {
            return None;
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(DefinitionDigest(bytes))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for DefinitionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DefinitionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn sha256(text: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let hash = digest::digest(&SHA256, text);
    bytes.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

/// Longest name of such a thing that is remembered, in bytes: of a tool or prompt, or a URI.
pub(crate) fn name_bytes_max(kind: ListKind) -> usize {
    match kind {
        ListKind::Tools | ListKind::Prompts => NAME_BYTES_MAX,
        ListKind::Resources | ListKind::Templates => URI_BYTES_MAX,
    }
}

/// A name that is not what it looks like cannot be approved by looking at it. Nor can one that reads as another one does whose
/// hidden characters were made visible: clients would see the two alike.
fn is_disguised(name: &str) -> bool {
    text::visible(name) != name || name.contains(['\n', '\t']) || name.contains(MADE_VISIBLE)
}

/// The input and output schema of a tool. The first one is required (TL-02), and its header annotations must be usable in
/// either era, so that both eras offer the same tools (HT-29).
fn schemas(tool: &Json) -> Result<(Option<Json>, Option<Json>), Flaw> {
    let input = tool.get("inputSchema").filter(Json::is_object).ok_or(Flaw::Malformed)?;
    headers::valid_annotations(&input).map_err(Flaw::Annotation)?;
    let output = match tool.get("outputSchema").filter(|schema| !schema.is_null()) {
        Some(schema) if schema.is_object() => Some(schema),
        // Without it answers would go unchecked that the server meant to be checked.
        Some(_) => return Err(Flaw::Malformed),
        None => None,
    };
    Ok((Some(input), output))
}

fn prompt_arguments(prompt: &Json) -> Result<Vec<PromptArgument>, Flaw> {
    let Some(list) = prompt.get("arguments").filter(|list| !list.is_null()) else { return Ok(Vec::new()) };
    if list.kind() != Kind::Array {
        return Err(Flaw::Malformed);
    }
    list.elements()
        .map(|argument| {
            let name = argument.get("name").ok_or(Flaw::Malformed)?;
            let name = name.string().ok_or(Flaw::Malformed)?.into();
            let required = match argument.get("required").filter(|required| !required.is_null()) {
                Some(required) => required.boolean().ok_or(Flaw::Malformed)?,
                None => false,
            };
            Ok(PromptArgument { name, required })
        })
        .collect()
}

/// What a hidden character begins with once [`text::visible`] has written it out.
const MADE_VISIBLE: &str = "\\u{";
/// MCP asks for 128 characters at most (2025-11-25, Tools, "Tool Names"); whoever needs more still is not a flood.
const NAME_BYTES_MAX: usize = 1024;
/// What most software takes (RFC 9110 section 4.1 asks for 8000 octets at least).
const URI_BYTES_MAX: usize = 8 * 1024;
/// Longest definition that is remembered.
pub(crate) const DEFINITION_BYTES_MAX: usize = 256 * 1024;
/// A definition is a part of a page that was decoded within the bounds of its connection: its nodes are bounded.
const BOUNDS: Limits = Limits { bytes_max: DEFINITION_BYTES_MAX, depth_max: NESTING_MAX, nodes_max: usize::MAX };

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON")
    }

    fn read(kind: ListKind, text: &str) -> Result<Pinned, Flaw> {
        let definition = json(text);
        let server = ServerId::parse("notes").expect("a server name");
        Pinned::read(&server, kind, &definition, DefinitionDigest::of(kind, &definition))
    }

    fn digest(text: &str) -> String {
        DefinitionDigest::of(ListKind::Tools, &json(text)).to_string()
    }

    #[test]
    fn order_white_space_and_escapes_do_not_change_a_digest_and_content_does() {
        let one = digest(r#"{"name":"a","x":[1,{"c":true,"b":null}]}"#);
        assert_eq!(one, digest(r#"{"name":"a","x":[1.0,{"c":true,"b":null}]}"#));
        assert_eq!(one, digest(r#"{ "x" : [1, {"b": null, "c": true}], "\u006eame": "\u0061" }"#));
        for other in [
            r#"{"name":"a","x":[1,{"c":true,"b":0}]}"#,
            r#"{"name":"a","x":[{"c":true,"b":null},1]}"#,
            r#"{"name":"a","x":[1.5,{"c":true,"b":null}]}"#,
            r#"{"name":"a ","x":[1,{"c":true,"b":null}]}"#,
            r#"{"name":"a","x":["1",{"c":true,"b":null}]}"#,
            r#"{"name":"a","x":[1],"b":null}"#,
        ] {
            assert_ne!(one, digest(other), "{other}");
        }
    }

    #[test]
    fn a_tool_has_an_input_schema_or_is_withheld() {
        let tool = read(ListKind::Tools, r#"{"name":"a","inputSchema":{"type":"object"}}"#).expect("a tool");
        let input = tool.input_schema().expect("an input schema");
        assert_eq!(input.schema().as_str(), r#"{"type":"object"}"#);
        assert_eq!(input.digest(), &sha256(br#"{"type":"object"}"#));
        assert!(tool.output_schema().is_none());
        let null = read(ListKind::Tools, r#"{"name":"a","inputSchema":{},"outputSchema":null}"#).expect("a tool");
        assert!(null.output_schema().is_none(), "null is none");
        let some = read(ListKind::Tools, r#"{"name":"a","inputSchema":{},"outputSchema":{}}"#).expect("a tool");
        assert_eq!(some.output_schema().map(|declared| declared.schema().as_str()), Some("{}"));
        for wrong in [
            r#"{"name":"a"}"#,
            r#"{"name":"a","inputSchema":null}"#,
            r#"{"name":"a","inputSchema":true}"#,
            r#"{"name":"a","inputSchema":{},"outputSchema":[]}"#,
            r#"{"name":"a","inputSchema":{},"outputSchema":false}"#,
            r#"{"name":"","inputSchema":{}}"#,
            r#"{"name":1,"inputSchema":{}}"#,
        ] {
            assert_eq!(read(ListKind::Tools, wrong).err(), Some(Flaw::Malformed), "{wrong}");
        }
    }

    #[test]
    fn a_tool_with_an_unusable_header_annotation_is_withheld() {
        let with = |header: &str| {
            let property = format!(r#"{{"type":"string","x-mcp-header":"{header}"}}"#);
            read(
                ListKind::Tools,
                &format!(r#"{{"name":"a","inputSchema":{{"type":"object","properties":{{"p":{property}}}}}}}"#),
            )
        };
        assert!(with("Region").is_ok());
        assert!(matches!(with("a b"), Err(Flaw::Annotation(_))));
    }

    #[test]
    fn a_name_with_hidden_characters_is_withheld() {
        for name in ["a\\u202eb", "a\\u0000", "a\\nb", "a\\u200bb", "a\\\\u{202e}b"] {
            let text = format!(r#"{{"name":"{name}","inputSchema":{{}}}}"#);
            assert_eq!(read(ListKind::Tools, &text).err(), Some(Flaw::HiddenCharacters), "{name}");
        }
        for name in ["メモ", "a\\\\u202eb", "a{b}"] {
            let text = format!(r#"{{"name":"{name}","inputSchema":{{}}}}"#);
            assert!(read(ListKind::Tools, &text).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_name_is_remembered_at_the_bound_and_not_past_it() {
        for kind in ListKind::ALL {
            let of_length = |length: usize| {
                let text = format!(r#"{{"{}":"{}","inputSchema":{{}}}}"#, kind.key(), "n".repeat(length));
                read(kind, &text).err()
            };
            let expected = match kind {
                ListKind::Tools | ListKind::Prompts => 1024,
                ListKind::Resources | ListKind::Templates => 8192,
            };
            assert_eq!(of_length(expected), None, "{kind:?}");
            assert_eq!(of_length(expected + 1), Some(Flaw::TooLong), "{kind:?}");
        }
    }

    #[test]
    fn prompt_arguments_are_read_and_malformed_ones_withhold_the_prompt() {
        let text = r#"{"name":"p","arguments":[{"name":"a","required":true},{"name":"b"}]}"#;
        let prompt = read(ListKind::Prompts, text).expect("a prompt");
        let expected =
            [("a", true), ("b", false)].map(|(name, required)| PromptArgument { name: name.into(), required });
        assert_eq!(prompt.prompt_arguments(), expected);
        assert!(read(ListKind::Prompts, r#"{"name":"p"}"#).is_ok());
        for wrong in [r#"{"a":1}"#, r#"[{}]"#, r#"[{"name":"a","required":"yes"}]"#] {
            let text = format!(r#"{{"name":"p","arguments":{wrong}}}"#);
            assert_eq!(read(ListKind::Prompts, &text).err(), Some(Flaw::Malformed), "{wrong}");
        }
    }

    #[test]
    fn a_definition_is_remembered_at_the_bound_and_not_past_it() {
        let of_length = |length: usize| {
            let frame = r#"{"uri":"x:","n":""}"#.len();
            format!(r#"{{"uri":"x:","n":"{}"}}"#, "n".repeat(length - frame))
        };
        assert!(read(ListKind::Resources, &of_length(DEFINITION_BYTES_MAX)).is_ok());
        assert_eq!(read(ListKind::Resources, &of_length(DEFINITION_BYTES_MAX + 1)).err(), Some(Flaw::TooLong));
    }
}
