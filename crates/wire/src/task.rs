//! Tasks: work that a server goes on with after it has answered (2025-11-25, Tasks; for 2026-07-28 the extension
//! `io.modelcontextprotocol/tasks`, SEP-2663).

use crate::input::{self, BadInput, InputRequest};
use crate::json::{Json, Object};
use crate::method::Method;
use crate::server::{Answer, RpcError};
use crate::version::Era;

/// What is asked about a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskVerb {
    /// `tasks/get`: how it is.
    Get,
    /// `tasks/result`: what came of it; answered once it has ended (legacy).
    Result,
    /// `tasks/update`: answers to what its server asked for meanwhile (modern).
    Update,
    /// `tasks/cancel`: it is no longer wanted.
    Cancel,
}

impl TaskVerb {
    /// Its method.
    #[must_use]
    pub fn method(self) -> Method {
        match self {
            TaskVerb::Get => Method::GetTask,
            TaskVerb::Result => Method::TaskResult,
            TaskVerb::Update => Method::UpdateTask,
            TaskVerb::Cancel => Method::CancelTask,
        }
    }
}

/// A task, as its server tells of it.
#[derive(Debug, Clone)]
pub struct Task {
    /// The server's own name for it.
    pub id: Box<str>,
    /// Whether it has just begun: the answer to a call, and not to a question about a task.
    pub begins: bool,
    /// Everything that is said about it beside what stands below, an object.
    pub said: Json,
    /// What the server asks for, each under its key (modern).
    pub requests: Vec<(Box<str>, InputRequest)>,
    /// What came of it, once it has ended (modern).
    pub outcome: Option<Answer>,
    /// `_meta` of the message.
    pub meta: Option<Json>,
}

impl Task {
    /// Its status, as said.
    #[must_use]
    pub fn status(&self) -> Box<str> {
        self.said.get("status").and_then(|status| status.string().map(Box::from)).unwrap_or_default()
    }
}

/// What the answer to a request may say about tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum About {
    /// Nothing.
    #[default]
    Nothing,
    /// That a task has begun in its place.
    Beginning,
    /// How a task is.
    State,
}

/// Why what is said about a task is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTask {
    /// It has not the shape of a task.
    #[error("what the server says of a task is wrong: {what}")]
    Shape {
        /// One clause, without anything of the content.
        what: &'static str,
    },
    /// What it asks for meanwhile is none that servers may ask for.
    #[error("what a task requires is refused")]
    Input(#[source] BadInput),
}

/// Reads the task that a result of `era` tells of; none where it tells of none, because the call was done at once.
///
/// # Errors
/// [`BadTask`].
pub fn read(era: Era, about: About, result: &Json) -> Result<Option<Task>, BadTask> {
    let wrong = |what| BadTask::Shape { what };
    let meta = result.get("_meta");
    if meta.as_ref().is_some_and(|meta| !meta.is_object()) {
        return Err(wrong("`_meta` is not an object"));
    }
    let begins = about == About::Beginning;
    let of = match (era, about) {
        (_, About::Nothing) => return Ok(None),
        (Era::Legacy, About::Beginning) => match result.get("task") {
            Some(task) => task,
            None => return Ok(None),
        },
        (Era::Legacy, About::State) | (Era::Modern, About::State | About::Beginning) => result.clone(),
    };
    let text = |key: &str| of.get(key).and_then(|value| value.string().map(Box::<str>::from));
    let id = text("taskId").filter(|id| (1..=ID_BYTES_MAX).contains(&id.len()));
    let id = id.ok_or(wrong("`taskId` is missing, or too long"))?;
    let status = text("status").filter(|status| STATUSES.contains(&&**status));
    let status = status.ok_or(wrong("`status` is none that a task has"))?;
    let (mut requests, mut outcome) = (Vec::new(), None);
    if (era, about) == (Era::Modern, About::State) {
        match &*status {
            "input_required" => requests = input::required(&of).map_err(BadTask::Input)?.requests,
            "completed" => {
                let result = of.get("result").filter(Json::is_object);
                outcome = Some(Answer::Result(result.ok_or(wrong("`result` is missing"))?));
            }
            "failed" => {
                let error = of.get("error").and_then(|error| RpcError::read(&error));
                outcome = Some(Answer::Error(error.ok_or(wrong("`error` is missing"))?));
            }
            _ => {}
        }
    }
    Ok(Some(Task { id, begins, said: said(&of), requests, outcome, meta }))
}

fn said(of: &Json) -> Json {
    let other = of.members().filter(|(key, _)| !APART.contains(&&**key));
    other.fold(Object::new(), |object, (key, value)| object.json(&key, &value)).finish()
}

/// What a task that ended or waits says beside its state, towards the client.
#[must_use]
pub fn written(task: &Task, id: &str, era: Era) -> Json {
    let head = |object: Object| match (era, task.begins) {
        (Era::Modern, true) => object.text("resultType", "task"),
        (Era::Modern, false) => object.text("resultType", "complete"),
        (Era::Legacy, _) => object,
    };
    let body = |object: Object| {
        let object = object.text("taskId", id);
        task.said.members().fold(object, |object, (key, value)| object.json(&key, &value))
    };
    let object = match (era, task.begins) {
        (Era::Legacy, true) => Object::new().object("task", body),
        (Era::Legacy, false) | (Era::Modern, _) => body(head(Object::new())),
    };
    let object = if task.requests.is_empty() {
        object
    } else {
        object.object("inputRequests", |object| input::written(object, &task.requests))
    };
    let object = match &task.outcome {
        None => object,
        Some(Answer::Result(result)) => object.json("result", result),
        Some(Answer::Error(error)) => object.json("error", &error.written()),
    };
    object.maybe("_meta", task.meta.as_ref()).finish()
}

/// The member of `_meta` that says which task a message belongs to (legacy, T5-03).
pub const RELATED: &str = "io.modelcontextprotocol/related-task";
/// The extension of the modern era.
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// Longest name that a server may give to a task, in bytes.
pub const ID_BYTES_MAX: usize = 1024;
const STATUSES: [&str; 5] = ["working", "input_required", "completed", "failed", "cancelled"];
/// Members that are read by themselves.
const APART: [&str; 6] = ["taskId", "_meta", "resultType", "inputRequests", "result", "error"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Limits;

    fn json(text: &str) -> Json {
        Json::decode(bytes::Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON")
    }

    fn round(era: Era, about: About, text: &str) -> String {
        let task = read(era, about, &json(text)).expect("good").expect("a task");
        written(&task, "ours", era).as_str().to_owned()
    }

    #[test]
    fn a_task_is_written_as_it_was_read_under_our_own_name() {
        for (era, about, text) in [
            (
                Era::Legacy,
                About::Beginning,
                r#"{"task":{"taskId":"ours","status":"working","ttl":60000,"x":1.50},"_meta":{"a":1}}"#,
            ),
            (Era::Legacy, About::State, r#"{"taskId":"ours","status":"input_required","ttl":null}"#),
            (Era::Modern, About::Beginning, r#"{"resultType":"task","taskId":"ours","status":"working","ttlMs":null}"#),
            (
                Era::Modern,
                About::State,
                r#"{"resultType":"complete","taskId":"ours","status":"input_required","inputRequests":{"k":{"method":"roots/list","params":{}}}}"#,
            ),
            (
                Era::Modern,
                About::State,
                r#"{"resultType":"complete","taskId":"ours","status":"completed","result":{"content":[]},"_meta":{}}"#,
            ),
            (
                Era::Modern,
                About::State,
                r#"{"resultType":"complete","taskId":"ours","status":"failed","error":{"code":-32603,"message":"no"}}"#,
            ),
        ] {
            assert_eq!(round(era, about, text), text);
            assert_eq!(round(era, about, &text.replace("ours", "theirs")), text);
        }
    }

    #[test]
    fn what_is_no_task_is_refused_or_none() {
        let read = |era, about, text: &str| read(era, about, &json(text));
        assert!(matches!(read(Era::Legacy, About::Beginning, r#"{"content":[]}"#), Ok(None)), "done at once");
        assert!(matches!(read(Era::Legacy, About::Nothing, r#"{"task":{}}"#), Ok(None)));
        let long = format!(r#"{{"taskId":"{}","status":"working"}}"#, "a".repeat(ID_BYTES_MAX + 1));
        for bad in [
            "{}",
            r#"{"taskId":"a"}"#,
            r#"{"taskId":"a","status":"done"}"#,
            r#"{"taskId":1,"status":"working"}"#,
            r#"{"taskId":"","status":"working"}"#,
            r#"{"taskId":"a","status":"working","_meta":1}"#,
            r#"{"taskId":"a","status":"completed"}"#,
            r#"{"taskId":"a","status":"completed","result":1}"#,
            r#"{"taskId":"a","status":"failed","error":{}}"#,
            r#"{"taskId":"a","status":"input_required"}"#,
            r#"{"taskId":"a","status":"input_required","inputRequests":{"k":{"method":"tools/call"}}}"#,
            &long,
        ] {
            assert!(read(Era::Modern, About::State, bad).is_err(), "{bad}");
        }
    }
}
