//! The parameters of each method. What has the wrong shape is refused under the method's own name, never
//! passed on as something unknown; members that have no meaning are dropped.

use super::{VERSION_BYTES_MAX, Why, meta};
use crate::id::Id;
use crate::input::Resumed;
use crate::json::{Json, Object};
use crate::listen::Filter;
use crate::message::{Call, Handshake, ListKind, NoticeKind, Reference};
use crate::method::Method;
use crate::task::TaskVerb;
use crate::version::Era;

/// The parameters as an object; `{}` where there are none.
pub(super) fn object(params: Option<Json>) -> Result<Json, Why> {
    match params {
        None => Ok(Json::empty_object()),
        Some(params) if params.is_object() => {
            // Some parsers match member names without regard to case: `"Name"` behind `"name"` would win there.
            let is_variant =
                |key: &str| !MEMBERS.contains(&key) && MEMBERS.iter().any(|member| member.eq_ignore_ascii_case(key));
            if params.members().any(|(key, _)| is_variant(&key)) {
                return Err(Why::BadParams { what: "a member of `params` is a case variant of a known one" });
            }
            Ok(params)
        }
        Some(_) => Err(Why::BadParams { what: "`params` is not an object" }),
    }
}

/// Every member of `params` that has a meaning in some method.
const MEMBERS: [&str; 21] = [
    "_meta",
    "argument",
    "arguments",
    "capabilities",
    "clientInfo",
    "context",
    "cursor",
    "inputResponses",
    "level",
    "name",
    "notifications",
    "progress",
    "progressToken",
    "protocolVersion",
    "ref",
    "requestId",
    "requestState",
    "task",
    "taskId",
    "total",
    "uri",
];

/// Reads the parameters of `method`.
pub(super) fn call(method: Method, params: &Json) -> Result<Call, Why> {
    match method {
        Method::Initialize => handshake(params).map(Call::Initialize),
        Method::Discover => Ok(Call::Discover),
        Method::Ping => Ok(Call::Ping),
        Method::SetLogLevel => set_log_level(params),
        Method::ListTools => list(ListKind::Tools, params),
        Method::ListPrompts => list(ListKind::Prompts, params),
        Method::ListResources => list(ListKind::Resources, params),
        Method::ListTemplates => list(ListKind::Templates, params),
        Method::CallTool => Ok(Call::CallTool {
            name: string(params, "name", "`name` is not a string")?,
            arguments: arguments(params)?,
        }),
        Method::ReadResource => Ok(Call::ReadResource { uri: string(params, "uri", "`uri` is not a string")? }),
        Method::GetPrompt => Ok(Call::GetPrompt {
            name: string(params, "name", "`name` is not a string")?,
            arguments: strings(arguments(params)?)?,
        }),
        Method::Complete => complete(params),
        Method::Listen => listen(params),
        Method::Subscribe => Ok(Call::Subscribe { uri: string(params, "uri", "`uri` is not a string")? }),
        Method::Unsubscribe => Ok(Call::Unsubscribe { uri: string(params, "uri", "`uri` is not a string")? }),
        Method::GetTask => about_task(TaskVerb::Get, params),
        Method::TaskResult => about_task(TaskVerb::Result, params),
        Method::UpdateTask => about_task(TaskVerb::Update, params),
        Method::CancelTask => about_task(TaskVerb::Cancel, params),
    }
}

fn about_task(verb: TaskVerb, params: &Json) -> Result<Call, Why> {
    Ok(Call::Task { verb, id: string(params, "taskId", "`taskId` is not a string")? })
}

/// That a call is to become a task (legacy, T5-01).
pub(super) fn task(method: Method, params: &Json) -> Result<Option<Json>, Why> {
    let Some(task) = params.get("task").filter(|_| method == Method::CallTool) else { return Ok(None) };
    if !task.is_object() {
        return Err(Why::BadParams { what: "`task` is not an object" });
    }
    let written = match task.get("ttl") {
        None => Object::new(),
        Some(ttl) => {
            let whole = ttl.number().and_then(|ttl| ttl.whole()).filter(|ttl| *ttl >= 0);
            whole.ok_or(Why::BadParams { what: "`task.ttl` is no number of milliseconds" })?;
            Object::new().json("ttl", &ttl)
        }
    };
    Ok(Some(written.finish()))
}

/// What a request brings after `input_required` (MR-03), or what a task requires. Answers without the state that was given with the questions answer nothing
/// that was asked, and are dropped like other members without a meaning; their shape is checked all the same.
pub(super) fn resumed(method: Method, params: &Json) -> Result<Option<Box<Resumed>>, Why> {
    if !matches!(method, Method::CallTool | Method::GetPrompt | Method::ReadResource | Method::UpdateTask) {
        return Ok(None);
    }
    let responses = match params.get("inputResponses") {
        None => Json::empty_object(),
        Some(responses) if responses.is_object() && responses.members().all(|(_, one)| one.is_object()) => responses,
        Some(_) => return Err(Why::BadParams { what: "`inputResponses` is not an object of objects" }),
    };
    if method == Method::UpdateTask {
        return Ok(Some(Box::new(Resumed { state: Box::default(), responses })));
    }
    let Some(state) = params.get("requestState") else { return Ok(None) };
    let state = state.string().ok_or(Why::BadParams { what: "`requestState` is not a string" })?;
    Ok(Some(Box::new(Resumed { state: state.into(), responses })))
}

/// Reads a notification.
pub(super) fn notice(era: Era, method: &str, params: &Json) -> Result<NoticeKind, Why> {
    match (method, era) {
        ("notifications/cancelled", Era::Legacy | Era::Modern) => {
            let request = params.get("requestId").and_then(|id| Id::read(&id).ok());
            let what = "`requestId` is neither a string nor an integer";
            Ok(NoticeKind::Cancelled { request: request.ok_or(Why::BadParams { what })? })
        }
        ("notifications/initialized", Era::Legacy) => Ok(NoticeKind::Initialized),
        ("notifications/roots/list_changed", Era::Legacy) => Ok(NoticeKind::RootsChanged),
        ("notifications/progress", Era::Legacy) => progress(params),
        (_, Era::Legacy | Era::Modern) => Err(Why::UnknownNotice),
    }
}

/// How far a client has come with a server's question: the token that it has for it, a number, and nothing that is not known.
fn progress(params: &Json) -> Result<NoticeKind, Why> {
    let token = params.get("progressToken").and_then(|token| Id::read(&token).ok());
    let token = token.ok_or(Why::BadParams { what: "`progressToken` is neither a string nor an integer" })?;
    let number = |key: &str| params.get(key).filter(|value| value.number().is_some());
    let said = number("progress").ok_or(Why::BadParams { what: "`progress` is not a number" })?;
    // Words would be an answer that nobody judges.
    let said = Object::new().json("progress", &said).maybe("total", number("total").as_ref());
    Ok(NoticeKind::Progress { token, said: said.finish() })
}

fn handshake(params: &Json) -> Result<Handshake, Why> {
    let version = string(params, "protocolVersion", "`protocolVersion` is not a string")?;
    if version.len() > VERSION_BYTES_MAX {
        return Err(Why::BadParams { what: "`protocolVersion` is too long" });
    }
    let capabilities = params.get("capabilities").filter(Json::is_object);
    let client = params.get("clientInfo").filter(|client| is_string(client, "name") && is_string(client, "version"));
    Ok(Handshake {
        version,
        capabilities: capabilities.ok_or(Why::BadParams { what: "`capabilities` is not an object" })?,
        client: client.ok_or(Why::BadParams { what: "`clientInfo` has no name and version" })?,
    })
}

fn list(kind: ListKind, params: &Json) -> Result<Call, Why> {
    let cursor = match params.get("cursor") {
        None => None,
        Some(cursor) => {
            let text = cursor.string().ok_or(Why::BadParams { what: "`cursor` is not a string" })?;
            Some(text.into())
        }
    };
    Ok(Call::List { kind, cursor })
}

fn set_log_level(params: &Json) -> Result<Call, Why> {
    let level = string(params, "level", "`level` is not a string")?;
    if !meta::is_log_level(&level) {
        return Err(Why::BadParams { what: "`level` is not a log level" });
    }
    Ok(Call::SetLogLevel { level })
}

fn complete(params: &Json) -> Result<Call, Why> {
    let reference = params.get("ref").ok_or(Why::BadParams { what: "`ref` is missing" })?;
    let reference = match string(&reference, "type", "`ref.type` is not a string")?.as_ref() {
        "ref/prompt" => Reference::Prompt { name: string(&reference, "name", "`ref.name` is not a string")? },
        "ref/resource" => Reference::Resource { uri: string(&reference, "uri", "`ref.uri` is not a string")? },
        _ => {
            return Err(Why::BadParams { what: "`ref.type` is not known" });
        }
    };
    let argument = params.get("argument").ok_or(Why::BadParams { what: "`argument` is missing" })?;
    let context = match params.get("context") {
        None => None,
        Some(context) if context.is_object() => {
            let arguments = strings(arguments(&context)?)?;
            Some(Object::new().json("arguments", &arguments).finish())
        }
        Some(_) => {
            return Err(Why::BadParams { what: "`context` is not an object" });
        }
    };
    let argument = Object::new()
        .text("name", &string(&argument, "name", "`argument.name` is not a string")?)
        .text("value", &string(&argument, "value", "`argument.value` is not a string")?)
        .finish();
    Ok(Call::Complete { reference, argument, context })
}

fn listen(params: &Json) -> Result<Call, Why> {
    let filter = params.get("notifications").ok_or(Why::BadParams { what: "`notifications` is missing" })?;
    let filter = Filter::read(&filter).map_err(|what| Why::BadParams { what })?;
    Ok(Call::Listen { filter })
}

fn arguments(params: &Json) -> Result<Json, Why> {
    match params.get("arguments") {
        None => Ok(Json::empty_object()),
        Some(arguments) if arguments.is_object() => Ok(arguments),
        Some(_) => Err(Why::BadParams { what: "`arguments` is not an object" }),
    }
}

fn strings(object: Json) -> Result<Json, Why> {
    if object.members().all(|(_, value)| value.string().is_some()) {
        Ok(object)
    } else {
        Err(Why::BadParams { what: "an argument is not a string" })
    }
}

fn string(object: &Json, key: &str, what: &'static str) -> Result<Box<str>, Why> {
    let value = object.get(key).ok_or(Why::BadParams { what })?;
    Ok(value.string().ok_or(Why::BadParams { what })?.into())
}

fn is_string(object: &Json, key: &str) -> bool {
    object.get(key).is_some_and(|value| value.string().is_some())
}
