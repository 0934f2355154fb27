//! Tools and a prompt that need something from the client first (2026-07-28, SEP-2322).

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, InputRequests, InputRequiredResult, InputResponses,
};
use serde_json::{Value, json};

use crate::state;

/// Answers a call to one of the round tools, or `None` when `request` names another tool.
pub(crate) fn call(
    request: &CallToolRequestParams,
    capabilities: &ClientCapabilities,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let name = &*request.name;
    let answers = request.input_responses.as_ref();
    let state = request.request_state.as_deref();
    let answer = match name.strip_prefix("test_input_required_result_")? {
        "elicitation" => one_question(answers, "user_name", ask_name()),
        "sampling" => one_question(answers, "capital_question", ask_model("What is the capital of France?")),
        "list_roots" => one_question(answers, "client_roots", ask_roots()),
        "request_state" | "tampered_state" => with_state(name, answers, state, &[("confirm", ask_confirmation())]),
        "multiple_inputs" => with_state(
            name,
            answers,
            state,
            &[("user_name", ask_name()), ("greeting", ask_model("Generate a greeting")), ("client_roots", ask_roots())],
        ),
        "multi_round" => two_rounds(name, answers, state),
        "capabilities" => ask_what_the_client_can(answers, capabilities),
        _ => return None,
    };
    Some(answer)
}

/// Answers `prompts/get` of the prompt that asks first.
pub(crate) fn prompt(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    match answered(request.input_responses.as_ref(), "user_context") {
        Some(answer) => {
            let context = answer.pointer("/content/context").and_then(Value::as_str).unwrap_or("none");
            let message = json!({"resultType": "complete", "messages": [{"role": "user", "content":
                {"type": "text", "text": format!("Use this context: {context}")}}]});
            Ok(parse::<GetPromptResult>(message)?.into())
        }
        None => Ok(ask(
            json!({"user_context": ask_user(
            "What context should the prompt use?", json!({"context": {"type": "string"}}), &["context"])}),
            None,
        )?
        .into()),
    }
}

fn one_question(answers: Option<&InputResponses>, key: &str, question: Value) -> Result<CallToolResponse, ErrorData> {
    match answered(answers, key) {
        Some(answer) => Ok(said(answer)),
        None => Ok(ask(json!({ key: question }), None)?.into()),
    }
}

fn with_state(
    of: &str,
    answers: Option<&InputResponses>,
    state: Option<&str>,
    questions: &[(&str, Value)],
) -> Result<CallToolResponse, ErrorData> {
    if let Some(state) = state {
        state::open(of, state)?;
        if questions.iter().all(|(key, _)| answered(answers, key).is_some()) {
            return Ok(text("state-ok"));
        }
    }
    let open: serde_json::Map<String, Value> =
        questions.iter().map(|(key, question)| ((*key).to_owned(), question.clone())).collect();
    Ok(ask(Value::Object(open), Some(state::seal(of, 0)?))?.into())
}

fn two_rounds(of: &str, answers: Option<&InputResponses>, state: Option<&str>) -> Result<CallToolResponse, ErrorData> {
    let round = state.map(|state| state::open(of, state)).transpose()?;
    let first = ask_user("Step 1: What is your name?", json!({"name": {"type": "string"}}), &["name"]);
    let second = ask_user("Step 2: What is your favorite color?", json!({"color": {"type": "string"}}), &["color"]);
    match round {
        Some(0) if answered(answers, "step1").is_some() => {
            Ok(ask(json!({ "step2": second }), Some(state::seal(of, 1)?))?.into())
        }
        Some(1) if answered(answers, "step2").is_some() => Ok(text("Both steps are done.")),
        Some(1) => Ok(ask(json!({ "step2": second }), Some(state::seal(of, 1)?))?.into()),
        Some(_) | None => Ok(ask(json!({ "step1": first }), Some(state::seal(of, 0)?))?.into()),
    }
}

fn ask_what_the_client_can(
    answers: Option<&InputResponses>,
    capabilities: &ClientCapabilities,
) -> Result<CallToolResponse, ErrorData> {
    if answers.is_some_and(|answers| !answers.is_empty()) {
        return Ok(text("Thank you."));
    }
    let mut questions = serde_json::Map::new();
    if capabilities.elicitation.is_some() {
        questions.insert("user_name".to_owned(), ask_name());
    }
    if capabilities.sampling.is_some() {
        questions.insert("greeting".to_owned(), ask_model("Generate a greeting"));
    }
    if capabilities.roots.is_some() {
        questions.insert("client_roots".to_owned(), ask_roots());
    }
    if questions.is_empty() {
        return Ok(text("This client can do nothing that could be asked for."));
    }
    Ok(ask(Value::Object(questions), None)?.into())
}

/// The answer under `key`, if it has the shape of one: an object.
fn answered<'a>(answers: Option<&'a InputResponses>, key: &str) -> Option<&'a Value> {
    answers?.get(key).filter(|answer| answer.is_object())
}

fn said(answer: &Value) -> CallToolResponse {
    let name = answer.pointer("/content/name").and_then(Value::as_str);
    match name {
        Some(name) => text(&format!("Hello, {name}!")),
        None => text(&format!("The client answered: {answer}")),
    }
}

fn text(text: &str) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

fn ask(questions: Value, state: Option<String>) -> Result<InputRequiredResult, ErrorData> {
    Ok(InputRequiredResult::new(Some(parse::<InputRequests>(questions)?), state))
}

fn ask_name() -> Value {
    ask_user("What is your name?", json!({"name": {"type": "string"}}), &["name"])
}

fn ask_confirmation() -> Value {
    ask_user("Please confirm", json!({"ok": {"type": "boolean"}}), &["ok"])
}

fn ask_user(message: &str, properties: Value, required: &[&str]) -> Value {
    json!({"method": "elicitation/create", "params": {"message": message, "requestedSchema":
        {"type": "object", "properties": properties, "required": required}}})
}

fn ask_model(prompt: &str) -> Value {
    json!({"method": "sampling/createMessage", "params": {
        "messages": [{"role": "user", "content": {"type": "text", "text": prompt}}], "maxTokens": 100}})
}

fn ask_roots() -> Value {
    json!({"method": "roots/list", "params": {}})
}

/// Reads a literal of this file into the type that `rmcp` has for it.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}
