//! What the server offers, as it appears on the wire.

use std::sync::LazyLock;

use rmcp::model::{Prompt, Resource, ResourceTemplate, Tool};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A picture of one red pixel.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";

/// A sound of no length.
pub(crate) const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

/// Every tool. The first one can be called without arguments: the conformance suite does.
pub(crate) static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    let mut tools = vec![
        read_only("test_simple_text", "Answers with plain text", nothing()),
        read_only("test_image_content", "Answers with an image", nothing()),
        read_only("test_audio_content", "Answers with a sound", nothing()),
        read_only("test_embedded_resource", "Answers with an embedded resource", nothing()),
        read_only("test_multiple_content_types", "Answers with several kinds of content", nothing()),
        read_only("test_tool_with_logging", "Logs while it works", nothing()),
        read_only("test_tool_with_progress", "Reports progress while it works", nothing()),
        read_only("test_error_handling", "Always fails", nothing()),
        tool("test_sampling", "Asks the client's model", object(json!({"prompt": {"type": "string"}}), &["prompt"])),
        tool("test_elicitation", "Asks the user", object(json!({"message": {"type": "string"}}), &["message"])),
        tool("test_elicitation_sep1034_defaults", "Asks the user, with defaults", nothing()),
        tool("test_elicitation_sep1330_enums", "Asks the user to choose", nothing()),
        tool("test_reconnection", "Takes a moment to answer", nothing()),
        read_only("json_schema_2020_12_tool", "Has a schema with much of JSON Schema 2020-12", schema_2020_12()),
        tool("test_streaming_elicitation", "Reports progress, then asks the user", nothing()),
        read_only("test_logging_tool", "Logs when the request asks for it", nothing()),
        tool("test_missing_capability", "Needs a client that can sample", nothing()),
        tool("test_trigger_tool_change", "Announces that the tools changed", nothing()),
        tool("test_trigger_prompt_change", "Announces that the prompts changed", nothing()),
        tool("test_trigger_resource_change", "Announces that the watched resource changed", nothing()),
        read_only("test_echo", "Says what it was told", object(json!({"text": {"type": "string"}}), &["text"])),
        read_only(
            "test_add",
            "Adds two whole numbers",
            object(json!({"a": {"type": "integer"}, "b": {"type": "integer"}}), &["a", "b"]),
        ),
        read_only(
            "test_wait",
            "Answers after some milliseconds",
            object(
                json!({"milliseconds": {"type": "integer", "minimum": 0, "maximum": 60_000}, "name": {"type": "string"}}),
                &["milliseconds"],
            ),
        ),
        read_only(
            "test_ask_slowly",
            "Asks the user after a while, and may take its question back",
            object(
                json!({"after": {"type": "integer", "minimum": 0, "maximum": 60_000},
                    "withdraw_after": {"type": "integer", "minimum": 0, "maximum": 60_000}}),
                &["after"],
            ),
        ),
        read_only("test_exit", "Ends the server", object(json!({}), &[])),
        read_only(
            "test_chatter",
            "Reports progress as often as it is asked to",
            object(json!({"count": {"type": "integer", "minimum": 0, "maximum": 10_000}}), &["count"]),
        ),
        read_only(
            "test_was_cancelled",
            "Answers as soon as the wait of this name was cancelled",
            object(json!({"name": {"type": "string"}}), &["name"]),
        ),
        read_only(
            "test_header_parameter",
            "Has a parameter that travels in a header too",
            object(json!({"region": {"type": "string", "x-mcp-header": "Region"}}), &[]),
        ),
        json!({
            "name": "test_delete",
            "description": "Says that it deleted something",
            "inputSchema": object(json!({"what": {"type": "string"}}), &["what"]),
            "annotations": {"readOnlyHint": false, "destructiveHint": true},
        }),
        json!({
            "name": "test_structured",
            "description": "Answers with structured content",
            "inputSchema": object(json!({"city": {"type": "string"}}), &["city"]),
            "outputSchema": object(
                json!({"city": {"type": "string"}, "celsius": {"type": "number"}}), &["city", "celsius"]),
            "annotations": {"readOnlyHint": true},
        }),
    ];
    tools.extend(TASK_TOOLS.map(|(name, description, fields)| tool(name, description, object(fields(), &[]))));
    tools.extend(ROUND_TOOLS.map(|(name, description)| tool(name, description, nothing())));
    typed(tools)
});

/// Name, description and arguments.
type TaskTool = (&'static str, &'static str, fn() -> Value);

/// Tools whose calls become tasks, and one whose never do.
const TASK_TOOLS: [TaskTool; 7] = [
    ("greet", "Greets at once", || json!({"name": {"type": "string"}})),
    ("slow_compute", "Takes some seconds", || json!({"seconds": {"type": "number"}, "label": {"type": "string"}})),
    ("failing_job", "Fails after a while", || json!({})),
    ("protocol_error_job", "Breaks", || json!({})),
    ("confirm_delete", "Asks while it works", || json!({"filename": {"type": "string"}})),
    ("multi_input", "Asks twice while it works", || json!({})),
    ("test_tool_with_task", "Asks before it works", || json!({})),
];

/// Every prompt.
pub(crate) static PROMPTS: LazyLock<Vec<Prompt>> = LazyLock::new(|| {
    typed(vec![
        json!({"name": "test_simple_prompt", "description": "A prompt without arguments"}),
        json!({"name": "test_prompt_with_arguments", "description": "A prompt with two arguments", "arguments": [
            {"name": "arg1", "description": "The first", "required": true},
            {"name": "arg2", "description": "The second", "required": true},
        ]}),
        json!({"name": "test_prompt_with_embedded_resource", "description": "A prompt that embeds a resource",
            "arguments": [{"name": "resourceUri", "description": "Which resource", "required": true}]}),
        json!({"name": "test_prompt_with_image", "description": "A prompt with an image"}),
        json!({"name": "test_input_required_result_prompt", "description": "A prompt that asks the user first"}),
    ])
});

/// Every resource.
pub(crate) static RESOURCES: LazyLock<Vec<Resource>> = LazyLock::new(|| {
    typed(vec![
        json!({"uri": "test://static-text", "name": "Static text", "description": "Text that never changes",
            "mimeType": "text/plain"}),
        json!({"uri": "test://static-binary", "name": "Static picture", "description": "A picture that never changes",
            "mimeType": "image/png"}),
        json!({"uri": "test://watched-resource", "name": "Watched resource", "description": "Can be subscribed to",
            "mimeType": "text/plain"}),
    ])
});

/// Every resource template.
pub(crate) static TEMPLATES: LazyLock<Vec<ResourceTemplate>> = LazyLock::new(|| {
    typed(vec![json!({"uriTemplate": "test://template/{id}/data", "name": "Template",
        "description": "Data about an id", "mimeType": "application/json"})])
});

/// The tools that answer with `input_required` first.
const ROUND_TOOLS: [(&str, &str); 8] = [
    ("test_input_required_result_elicitation", "Asks the user for a name"),
    ("test_input_required_result_sampling", "Asks the client's model for a capital"),
    ("test_input_required_result_list_roots", "Asks for the client's roots"),
    ("test_input_required_result_request_state", "Asks the user and keeps state"),
    ("test_input_required_result_multiple_inputs", "Asks for three things at once"),
    ("test_input_required_result_multi_round", "Asks twice"),
    ("test_input_required_result_tampered_state", "Refuses changed state"),
    ("test_input_required_result_capabilities", "Asks only for what the client can do"),
];

fn typed<T: DeserializeOwned>(values: Vec<Value>) -> Vec<T> {
    #[expect(clippy::expect_used, reason = "the values are literals of this file, and every run reads them all")]
    values.into_iter().map(|value| serde_json::from_value(value).expect("a well-formed definition")).collect()
}

fn tool(name: &str, description: &str, input_schema: Value) -> Value {
    json!({"name": name, "description": description, "inputSchema": input_schema})
}

fn read_only(name: &str, description: &str, input_schema: Value) -> Value {
    json!({"name": name, "description": description, "inputSchema": input_schema,
        "annotations": {"readOnlyHint": true}})
}

fn nothing() -> Value {
    json!({"type": "object", "properties": {}})
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

fn schema_2020_12() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}
