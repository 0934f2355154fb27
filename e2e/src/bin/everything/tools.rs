//! What the tools do.
#![expect(deprecated, reason = "sampling and logging are deprecated in 2026-07-28 and must work in 2025-11-25")]

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientResult, ContentBlock,
    CreateMessageRequest, ElicitRequest, LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam,
    ServerRequest,
};
use rmcp::service::{PeerRequestOptions, RequestContext};
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::catalog::{PNG, WAV};
use crate::changes::Change;
use crate::rounds::{self, parse};
use crate::server::Everything;

type Context = RequestContext<RoleServer>;
type Called = Result<CallToolResponse, ErrorData>;

/// Runs one tool.
pub(crate) async fn call(server: &Everything, request: CallToolRequestParams, context: Context) -> Called {
    let capabilities = context.client_capabilities().unwrap_or_default();
    if let Some(answer) = rounds::call(&request, &capabilities) {
        return answer;
    }
    if let Some(answer) = server.jobs().call(&request, &capabilities) {
        return answer;
    }
    if let Some(content) = fixed_content(&request.name) {
        return result(json!({ "content": content }));
    }
    let arguments = Value::Object(request.arguments.clone().unwrap_or_default());
    match &*request.name {
        "test_error_handling" => {
            Ok(CallToolResult::error(vec![ContentBlock::text("This tool intentionally returns an error for testing")])
                .into())
        }
        "test_tool_with_logging" | "test_logging_tool" => log_and_answer(server, &context).await,
        "test_tool_with_progress" => progress_and_answer(&context).await,
        "test_streaming_elicitation" => {
            progress_and_answer(&context).await?;
            let again = CallToolRequestParams::new("test_input_required_result_elicitation");
            rounds::call(&again, &capabilities).unwrap_or_else(|| text("No question is left."))
        }
        "test_sampling" => ask_model(&context, &capabilities, &arguments).await,
        "test_elicitation" => ask_user(&context, &capabilities, one_form(&arguments), "User response:").await,
        "test_elicitation_sep1034_defaults" => {
            ask_user(&context, &capabilities, defaults_form(), "Elicitation completed:").await
        }
        "test_elicitation_sep1330_enums" => {
            ask_user(&context, &capabilities, choices_form(), "Elicitation completed:").await
        }
        "test_missing_capability" => {
            require(capabilities.sampling.is_some(), json!({"sampling": {}}))?;
            text("The client can sample.")
        }
        "test_reconnection" => wait(Duration::from_millis(100)).await,
        "test_wait" => wait_unless_cancelled(server, &context, &arguments).await,
        "test_ask_slowly" => ask_slowly(server, &context, &arguments).await,
        "test_exit" => std::process::exit(0),
        "test_chatter" => chatter(&context, &arguments).await,
        "test_was_cancelled" => was_cancelled(server, &arguments).await,
        "test_trigger_tool_change" => announce(server, Change::Tools).await,
        "test_trigger_prompt_change" => announce(server, Change::Prompts).await,
        "test_trigger_resource_change" => {
            announce(server, Change::Resource("test://watched-resource".to_owned())).await
        }
        "json_schema_2020_12_tool" | "test_header_parameter" => text(&format!("Called with {arguments}")),
        "test_echo" => text(arguments.get("text").and_then(Value::as_str).unwrap_or_default()),
        "test_delete" => text(&format!("Deleted {}", arguments.get("what").unwrap_or(&Value::Null))),
        "test_add" => {
            let term = |name: &str| arguments.get(name).and_then(Value::as_i64).unwrap_or(0);
            text(&term("a").saturating_add(term("b")).to_string())
        }
        "test_structured" => {
            let weather = json!({"city": arguments.get("city"), "celsius": 21.5});
            result(json!({"content": [{"type": "text", "text": weather.to_string()}], "structuredContent": weather}))
        }
        unknown => Err(ErrorData::invalid_params(format!("unknown tool: {unknown}"), None)),
    }
}

/// Answers that never change.
fn fixed_content(tool: &str) -> Option<Value> {
    let image = json!({"type": "image", "data": PNG, "mimeType": "image/png"});
    Some(match tool {
        "test_simple_text" => {
            json!([{"type": "text", "text": "This is a simple text response for testing."}])
        }
        "test_image_content" => json!([image]),
        "test_audio_content" => json!([{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]),
        "test_embedded_resource" => {
            json!([{"type": "resource", "resource": {"uri": "test://embedded-resource",
            "mimeType": "text/plain", "text": "This is an embedded resource content."}}])
        }
        "test_multiple_content_types" => json!([
            {"type": "text", "text": "Multiple content types test:"},
            image,
            {"type": "resource", "resource": {"uri": "test://mixed-content-resource",
                "mimeType": "application/json", "text": "{\"test\":\"data\",\"value\":123}"}},
        ]),
        _ => return None,
    })
}

async fn log_and_answer(server: &Everything, context: &Context) -> Called {
    for (nth, line) in
        ["Tool execution started", "Tool processing data", "Tool execution completed"].into_iter().enumerate()
    {
        if nth > 0 {
            tokio::time::sleep(STEP).await;
        }
        if server.logs_at(context, LoggingLevel::Info) {
            let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(line));
            context.peer.notify_logging_message(message).await.map_err(internal)?;
        }
    }
    text("The tool logged what it did.")
}

async fn progress_and_answer(context: &Context) -> Called {
    let token = context.meta.get_progress_token();
    for progress in [0.0, 50.0, 100.0] {
        if let Some(token) = token.clone() {
            let step = ProgressNotificationParam::new(token, progress).with_total(100.0);
            context.peer.notify_progress(step).await.map_err(internal)?;
        }
        // Behind the last one, too: the official TypeScript client hands notifications on a turn later, and forgets with the answer who
        // waits for them.
        tokio::time::sleep(STEP).await;
    }
    text("The tool is done.")
}

async fn ask_model(context: &Context, capabilities: &ClientCapabilities, arguments: &Value) -> Called {
    if capabilities.sampling.is_none() {
        return failed("the client cannot sample");
    }
    let params = parse(json!({"maxTokens": 100, "messages": [{"role": "user", "content":
        {"type": "text", "text": arguments.get("prompt").and_then(Value::as_str).unwrap_or_default()}}]}))?;
    let request = ServerRequest::CreateMessageRequest(CreateMessageRequest::new(params));
    let answer = context.peer.send_request(request).await.map_err(internal)?;
    let ClientResult::CreateMessageResult(answer) = answer else {
        return failed(&format!("the client answered something else: {answer:?}"));
    };
    text(&format!("LLM response: {}", serde_json::to_string(&answer.message.content).unwrap_or_default()))
}

async fn ask_user(context: &Context, capabilities: &ClientCapabilities, form: Value, opening: &str) -> Called {
    if capabilities.elicitation.is_none() {
        return failed("the client cannot ask its user");
    }
    let request = ServerRequest::ElicitRequest(ElicitRequest::new(parse(form)?));
    let answer = context.peer.send_request(request).await.map_err(internal)?;
    let ClientResult::ElicitResult(answer) = answer else {
        return failed(&format!("the client answered something else: {answer:?}"));
    };
    let action = serde_json::to_value(&answer.action).unwrap_or_default();
    let content = answer.content.unwrap_or(Value::Null);
    text(&format!("{opening} action={}, content={content}", action.as_str().unwrap_or_default()))
}

/// Asks after a while; answers with what it heard, of progress too, or takes its question back.
async fn ask_slowly(server: &Everything, context: &Context, arguments: &Value) -> Called {
    let time = |key: &str| arguments.get(key).and_then(Value::as_u64).map(Duration::from_millis);
    tokio::time::sleep(time("after").unwrap_or_default()).await;
    let params = parse(form("Are you there?", json!({"ok": {"type": "boolean"}}), &[]))?;
    let request = ServerRequest::ElicitRequest(ElicitRequest::new(params));
    let asked = context.peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
    let asked = asked.map_err(internal)?;
    if let Some(time) = time("withdraw_after") {
        tokio::time::sleep(time).await;
        asked.cancel(Some("no longer of interest".to_owned())).await.map_err(internal)?;
        // It may go another way than the answer.
        tokio::time::sleep(time).await;
        return text("The question was taken back.");
    }
    let token = asked.progress_token.clone();
    let answer = asked.await_response().await.map_err(internal)?;
    let ClientResult::ElicitResult(answer) = answer else { return failed("the client answered something else") };
    let action = serde_json::to_value(&answer.action).unwrap_or_default();
    text(&format!("action={}, progress={:?}", action.as_str().unwrap_or_default(), server.progress_of(&token)))
}

fn one_form(arguments: &Value) -> Value {
    form(
        arguments.get("message").and_then(Value::as_str).unwrap_or_default(),
        json!({
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"},
        }),
        &["username", "email"],
    )
}

fn defaults_form() -> Value {
    form(
        "Please review these values",
        json!({
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": true},
        }),
        &[],
    )
}

fn choices_form() -> Value {
    let plain = json!(["option1", "option2", "option3"]);
    let titled = |noun: &str| {
        json!([
            {"const": "value1", "title": format!("First {noun}")},
            {"const": "value2", "title": format!("Second {noun}")},
            {"const": "value3", "title": format!("Third {noun}")},
        ])
    };
    form(
        "Please choose",
        json!({
            "untitledSingle": {"type": "string", "enum": plain},
            "titledSingle": {"type": "string", "oneOf": titled("Option")},
            "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"]},
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}},
        }),
        &[],
    )
}

fn form(message: &str, properties: Value, required: &[&str]) -> Value {
    json!({"mode": "form", "message": message,
        "requestedSchema": {"type": "object", "properties": properties, "required": required}})
}

async fn wait(time: Duration) -> Called {
    tokio::time::sleep(time).await;
    text("Thank you for waiting.")
}

/// Says that it began, to whoever listens, and remembers that it was cancelled.
async fn wait_unless_cancelled(server: &Everything, context: &Context, arguments: &Value) -> Called {
    if let Some(token) = context.meta.get_progress_token() {
        context.peer.notify_progress(ProgressNotificationParam::new(token, 0.0)).await.map_err(internal)?;
    }
    let time = Duration::from_millis(arguments.get("milliseconds").and_then(Value::as_u64).unwrap_or(0));
    tokio::select! {
        done = wait(time) => done,
        () = context.ct.cancelled() => {
            server.cancelled().note(name(arguments));
            failed("The wait was cancelled.")
        }
    }
}

/// Reports progress as often as it is asked to.
async fn chatter(context: &Context, arguments: &Value) -> Called {
    let Some(token) = context.meta.get_progress_token() else { return failed("nobody wants to hear of progress") };
    let count = arguments.get("count").and_then(Value::as_u64).unwrap_or(0).min(10_000);
    for number in 0..count {
        let said = ProgressNotificationParam::new(token.clone(), f64::from(u32::try_from(number).unwrap_or(u32::MAX)));
        context.peer.notify_progress(said).await.map_err(internal)?;
    }
    text("That is all.")
}

async fn was_cancelled(server: &Everything, arguments: &Value) -> Called {
    let known = tokio::time::timeout(CANCELLED, server.cancelled().wait_for(name(arguments))).await;
    text(if known.is_ok() { "The wait was cancelled." } else { "Nobody cancelled." })
}

fn name(arguments: &Value) -> &str {
    arguments.get("name").and_then(Value::as_str).unwrap_or_default()
}

async fn announce(server: &Everything, change: Change) -> Called {
    server.changes().announce(change).await;
    text("The change was announced.")
}

/// Refuses with "missing required client capability" unless the client has it.
fn require(has: bool, capability: Value) -> Result<(), ErrorData> {
    if has {
        return Ok(());
    }
    Err(ErrorData::missing_required_client_capability(parse(capability)?))
}

/// A result that says this.
pub(crate) fn text(text: &str) -> Called {
    Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
}

fn failed(why: &str) -> Called {
    Ok(CallToolResult::error(vec![ContentBlock::text(why)]).into())
}

fn result(value: Value) -> Called {
    let mut result: CallToolResult = parse(value)?;
    result.result_type = Some(rmcp::model::ResultType::COMPLETE);
    Ok(result.into())
}

fn internal(error: rmcp::ServiceError) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

/// The pause between two steps of a tool that reports what it does.
const STEP: Duration = Duration::from_millis(50);

/// How long a cancellation may be on its way.
const CANCELLED: Duration = Duration::from_secs(10);
