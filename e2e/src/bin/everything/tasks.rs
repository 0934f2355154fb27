//! Tools whose calls become tasks (2026-07-28, SEP-2663), under the names that the conformance suite has for them. How a task is,
//! follows from when it began and what was said since: nothing runs in the background.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientCapabilities, CreateTaskResult, DetailedTask,
    GetTaskParams, GetTaskResult, UpdateTaskParams,
};
use serde_json::{Value, json};

use crate::rounds::parse;
use crate::tools;

/// Every task that was begun.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jobs(Arc<Mutex<Vec<Job>>>);

#[derive(Debug)]
struct Job {
    kind: Kind,
    done_at: Instant,
    cancelled: bool,
    /// What is still asked for.
    open: BTreeMap<String, Value>,
    answers: BTreeMap<String, Value>,
}

#[derive(Debug, Clone)]
enum Kind {
    Computes(String),
    FailsAsTool,
    FailsAsProtocol,
    Asks,
    Greets(String),
}

impl Jobs {
    /// Answers a call to one of the tools here; `None` when it names another one.
    pub(crate) fn call(
        &self,
        request: &CallToolRequestParams,
        capabilities: &ClientCapabilities,
    ) -> Option<Result<CallToolResponse, ErrorData>> {
        let arguments = request.arguments.clone().unwrap_or_default();
        let text = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let seconds = arguments.get("seconds").and_then(Value::as_f64).unwrap_or(1.0).clamp(0.0, 3600.0);
        let after = Duration::from_secs_f64(seconds);
        let declared = capabilities.supports_tasks();
        let confirm = || json!({"confirm": {"type": "boolean"}});
        let two = json!({"name": {"type": "string"}, "confirm": {"type": "boolean"}});
        Some(match &*request.name {
            "greet" => tools::text(&format!("Hello, {}!", text("name"))),
            "slow_compute" if declared => self.begin(Kind::Computes(text("label")), after, BTreeMap::new()),
            "slow_compute" => tools::text("Computed at once."),
            "failing_job" if declared => self.begin(Kind::FailsAsTool, Duration::from_millis(500), BTreeMap::new()),
            "failing_job" => Err(undeclared()),
            "protocol_error_job" if declared => self.begin(Kind::FailsAsProtocol, Duration::ZERO, BTreeMap::new()),
            "protocol_error_job" => Err(undeclared()),
            "confirm_delete" if declared => self.begin(
                Kind::Asks,
                Duration::ZERO,
                BTreeMap::from([("confirm".to_owned(), ask("confirm", confirm()))]),
            ),
            "multi_input" if declared => {
                let both = ["first", "second"].map(|key| (key.to_owned(), ask(key, two.clone())));
                self.begin(Kind::Asks, Duration::ZERO, BTreeMap::from(both))
            }
            "confirm_delete" | "multi_input" => tools::text("Nothing was asked."),
            "test_tool_with_task" if declared => {
                let answers = request.input_responses.as_ref().and_then(|answers| serde_json::to_value(answers).ok());
                match answers.as_ref().and_then(|answers| answers.pointer("/user_name/content/name")) {
                    Some(name) => {
                        let name = name.as_str().unwrap_or_default().to_owned();
                        self.begin(Kind::Greets(name), Duration::ZERO, BTreeMap::new())
                    }
                    None => required(),
                }
            }
            "test_tool_with_task" => Err(undeclared()),
            _ => return None,
        })
    }

    /// `tasks/get`
    pub(crate) fn get(&self, asked: &GetTaskParams) -> Result<GetTaskResult, ErrorData> {
        let jobs = self.jobs();
        let (number, job) = find(&jobs, &asked.task_id)?;
        Ok(GetTaskResult::new(parse::<DetailedTask>(job.told(number))?))
    }

    /// `tasks/update`
    pub(crate) fn update(&self, said: &UpdateTaskParams) -> Result<(), ErrorData> {
        let answers = serde_json::to_value(&said.input_responses).unwrap_or_default();
        let mut jobs = self.jobs();
        let (number, _) = find(&jobs, &said.task_id)?;
        let Some(job) = jobs.get_mut(number) else { return Err(unknown()) };
        for (key, answer) in answers.as_object().into_iter().flatten() {
            if job.open.remove(key).is_some() {
                job.answers.insert(key.clone(), answer.clone());
            }
        }
        Ok(())
    }

    /// `tasks/cancel`
    pub(crate) fn cancel(&self, said: &CancelTaskParams) -> Result<(), ErrorData> {
        let mut jobs = self.jobs();
        let (number, job) = find(&jobs, &said.task_id)?;
        if !job.is_done()
            && let Some(job) = jobs.get_mut(number)
        {
            job.cancelled = true;
        }
        Ok(())
    }

    fn begin(&self, kind: Kind, after: Duration, open: BTreeMap<String, Value>) -> Result<CallToolResponse, ErrorData> {
        let mut jobs = self.jobs();
        let begun = Instant::now();
        let done_at = begun.checked_add(after).unwrap_or(begun);
        jobs.push(Job { kind, done_at, cancelled: false, open, answers: BTreeMap::new() });
        let task = with(envelope(jobs.len().saturating_sub(1), "working"), "resultType", json!("task"));
        Ok(CallToolResponse::Task(parse::<CreateTaskResult>(task)?))
    }

    fn jobs(&self) -> MutexGuard<'_, Vec<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn is_done(&self) -> bool {
        self.open.is_empty() && Instant::now() >= self.done_at
    }

    fn told(&self, number: usize) -> Value {
        if self.cancelled {
            return envelope(number, "cancelled");
        }
        if !self.open.is_empty() {
            return with(envelope(number, "input_required"), "inputRequests", json!(self.open));
        }
        if !self.is_done() {
            return envelope(number, "working");
        }
        let (words, is_error) = match &self.kind {
            Kind::Computes(label) => (format!("Computed {label}."), false),
            Kind::FailsAsTool => ("The job failed.".to_owned(), true),
            Kind::Asks => (format!("Answered: {}", json!(self.answers)), false),
            Kind::Greets(name) => (format!("Hello, {name}!"), false),
            Kind::FailsAsProtocol => {
                let error = json!({"code": -32603, "message": "the job broke"});
                return with(envelope(number, "failed"), "error", error);
            }
        };
        let result = json!({"content": [{"type": "text", "text": words}], "isError": is_error});
        with(envelope(number, "completed"), "result", result)
    }
}

fn find<'a>(jobs: &'a [Job], id: &str) -> Result<(usize, &'a Job), ErrorData> {
    let number = id.strip_prefix("job-").and_then(|number| number.parse().ok()).ok_or_else(unknown)?;
    Ok((number, jobs.get(number).ok_or_else(unknown)?))
}

fn envelope(number: usize, status: &str) -> Value {
    json!({"taskId": format!("job-{number}"), "status": status, "createdAt": "2026-07-28T00:00:00Z",
        "lastUpdatedAt": "2026-07-28T00:00:00Z", "ttlMs": 3_600_000, "pollIntervalMs": 100})
}

fn with(mut task: Value, key: &str, value: Value) -> Value {
    if let Some(members) = task.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
    task
}

fn ask(about: &str, fields: Value) -> Value {
    json!({"method": "elicitation/create", "params": {"mode": "form", "message": format!("What about {about}?"),
        "requestedSchema": {"type": "object", "properties": fields}}})
}

fn required() -> Result<CallToolResponse, ErrorData> {
    let question = ask("name", json!({"name": {"type": "string"}}));
    let required = json!({"resultType": "input_required", "inputRequests": {"user_name": question}});
    Ok(parse::<rmcp::model::InputRequiredResult>(required)?.into())
}

fn unknown() -> ErrorData {
    ErrorData::invalid_params("Failed to retrieve task: Task not found", None)
}

fn undeclared() -> ErrorData {
    ErrorData::missing_required_client_capability(ClientCapabilities::builder().enable_tasks().build())
}
