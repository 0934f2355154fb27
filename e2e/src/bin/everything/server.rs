//! The server: which method leads where.
#![expect(deprecated, reason = "logging and resource subscriptions must work in 2025-11-25")]

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{
    ArgumentInfo, CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
    CompletionInfo, GetPromptRequestParams, GetPromptResponse, GetPromptResult, GetTaskParams, GetTaskResult,
    Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, LoggingLevel,
    PaginatedRequestParams, ProgressNotificationParam, ProgressToken, ProtocolVersion, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, Reference, ServerCapabilities, ServerConfig, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};

use crate::Era;
use crate::catalog::{PNG, PROMPTS, RESOURCES, TEMPLATES, TOOLS};
use crate::changes::{Cancelled, Changes, Watched};
use crate::rounds::{self, parse};
use crate::tasks::Jobs;
use crate::tools;

type Context = RequestContext<RoleServer>;

/// One session, or one request where there are no sessions.
#[derive(Debug, Clone)]
pub(crate) struct Everything {
    era: Era,
    capabilities: ServerCapabilities,
    changes: Changes,
    cancelled: Cancelled,
    watched: Watched,
    log_level: Arc<Mutex<LoggingLevel>>,
    jobs: Jobs,
    progress: Arc<Mutex<Vec<(ProgressToken, f64)>>>,
}

impl Everything {
    /// A server that speaks the revisions of `era`.
    pub(crate) fn new(era: Era) -> anyhow::Result<Self> {
        let capabilities = serde_json::from_value(json!({
            "logging": {},
            "completions": {},
            "prompts": {"listChanged": true},
            "resources": {"subscribe": true},
            "tools": {"listChanged": true},
            "extensions": {"io.modelcontextprotocol/tasks": {}},
        }))?;
        Ok(Self {
            era,
            capabilities,
            changes: Changes::new(),
            cancelled: Cancelled::new(),
            watched: Watched::default(),
            log_level: Arc::new(Mutex::new(LoggingLevel::Debug)),
            jobs: Jobs::default(),
            progress: Arc::default(),
        })
    }

    /// The same server for another session: what one session sets does not show in another.
    pub(crate) fn another(&self) -> Self {
        Self { watched: Watched::default(), log_level: Arc::new(Mutex::new(LoggingLevel::Debug)), ..self.clone() }
    }

    /// The tasks that were begun.
    pub(crate) fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// What was heard of a question's progress.
    pub(crate) fn progress_of(&self, token: &ProgressToken) -> Vec<f64> {
        let heard = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|(of, _)| of == token).map(|(_, progress)| *progress).collect()
    }

    /// Where changes are announced.
    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The waits that were cancelled.
    pub(crate) fn cancelled(&self) -> &Cancelled {
        &self.cancelled
    }

    /// Whether a message of this level may be sent for this request: in 2026-07-28 only when the
    /// request names a level, before that by the level of the session.
    pub(crate) fn logs_at(&self, context: &Context, level: LoggingLevel) -> bool {
        let modern = context
            .protocol_version()
            .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
        let least = if modern {
            context.meta.log_level()
        } else {
            Some(*self.log_level.lock().unwrap_or_else(PoisonError::into_inner))
        };
        least.is_some_and(|least| rank(level) >= rank(least))
    }
}

impl ServerHandler for Everything {
    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.era.versions()
    }

    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(self.capabilities.clone())
            .with_server_info(Implementation::new("sekisho-e2e-everything", "1.0.0"))
            .with_instructions("Offers one of everything, for tests.")
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: Context) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(TOOLS.clone()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        TOOLS.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Context) -> Result<CallToolResponse, ErrorData> {
        tools::call(self, request, context).await
    }

    async fn get_task(&self, request: GetTaskParams, _: Context) -> Result<GetTaskResult, ErrorData> {
        self.jobs.get(&request)
    }

    async fn update_task(&self, request: UpdateTaskParams, _: Context) -> Result<(), ErrorData> {
        self.jobs.update(&request)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: Context) -> Result<(), ErrorData> {
        self.jobs.cancel(&request)
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(PROMPTS.clone()))
    }

    async fn get_prompt(&self, request: GetPromptRequestParams, _: Context) -> Result<GetPromptResponse, ErrorData> {
        if request.name == "test_input_required_result_prompt" {
            return rounds::prompt(&request);
        }
        Ok(parse::<GetPromptResult>(prompt_messages(&request)?)?.into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(RESOURCES.clone()))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(TEMPLATES.clone()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let contents = resource_contents(&request.uri)
            .ok_or_else(|| ErrorData::resource_not_found("Resource not found", Some(json!({"uri": request.uri}))))?;
        Ok(parse::<ReadResourceResult>(json!({"resultType": "complete", "contents": [contents]}))?.into())
    }

    async fn complete(&self, request: CompleteRequestParams, _: Context) -> Result<CompleteResult, ErrorData> {
        let values = match &request.r#ref {
            Reference::Prompt(_) => completions(&request.argument),
            Reference::Resource(_) | _ => vec!["1".to_owned(), "2".to_owned()],
        };
        let completion =
            CompletionInfo::with_all_values(values).map_err(|error| ErrorData::internal_error(error, None))?;
        Ok(CompleteResult::new(completion))
    }

    async fn set_level(&self, request: SetLevelRequestParams, context: Context) -> Result<(), ErrorData> {
        // Removed in 2026-07-28, where each request names its own level.
        if context.protocol_version().is_some_and(|version| version == ProtocolVersion::V_2026_07_28) {
            return Err(ErrorData::method_not_found::<rmcp::model::SetLevelRequestMethod>());
        }
        *self.log_level.lock().unwrap_or_else(PoisonError::into_inner) = request.level;
        Ok(())
    }

    async fn subscribe(&self, request: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        self.watched.add(request.uri);
        Ok(())
    }

    async fn unsubscribe(&self, request: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        self.watched.remove(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        self.changes.feed(subscription).await
    }

    async fn on_progress(&self, said: ProgressNotificationParam, _: NotificationContext<RoleServer>) {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).push((said.progress_token, said.progress));
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.changes.feed_session(context.peer, self.watched.clone());
    }
}

fn prompt_messages(request: &GetPromptRequestParams) -> Result<Value, ErrorData> {
    let argument = |name: &str| {
        let value = request.arguments.as_ref().and_then(|arguments| arguments.get(name)).and_then(Value::as_str);
        value.ok_or_else(|| ErrorData::invalid_params(format!("argument {name} is missing"), None))
    };
    let user = |content: Value| json!({"role": "user", "content": content});
    let text = |text: &str| json!({"type": "text", "text": text});
    let messages = match request.name.as_str() {
        "test_simple_prompt" => json!([user(text("This is a simple prompt for testing."))]),
        "test_prompt_with_arguments" => {
            let line = format!("Prompt with arguments: arg1='{}', arg2='{}'", argument("arg1")?, argument("arg2")?);
            json!([user(text(&line))])
        }
        "test_prompt_with_embedded_resource" => json!([
            user(json!({"type": "resource", "resource": {"uri": argument("resourceUri")?, "mimeType": "text/plain",
                "text": "Embedded resource content for testing."}})),
            user(text("Please process the embedded resource above.")),
        ]),
        "test_prompt_with_image" => json!([
            user(json!({"type": "image", "data": PNG, "mimeType": "image/png"})),
            user(text("Please analyze the image above.")),
        ]),
        unknown => {
            return Err(ErrorData::invalid_params(format!("unknown prompt: {unknown}"), None));
        }
    };
    Ok(json!({ "resultType": "complete", "messages": messages }))
}

fn resource_contents(uri: &str) -> Option<Value> {
    let text = |text: &str| json!({"uri": uri, "mimeType": "text/plain", "text": text});
    Some(match uri {
        "test://static-text" => text("This is the content of the static text resource."),
        "test://watched-resource" => text("Watched resource content"),
        "test://static-binary" => json!({"uri": uri, "mimeType": "image/png", "blob": PNG}),
        templated => {
            let id = templated.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            json!({"uri": uri, "mimeType": "application/json", "text": data.to_string()})
        }
    })
}

fn completions(argument: &ArgumentInfo) -> Vec<String> {
    ["paris", "park", "party", "test", "tester"]
        .into_iter()
        .filter(|word| word.starts_with(&argument.value))
        .map(ToOwned::to_owned)
        .collect()
}

/// How severe a level is (RFC 5424, section 6.2.1, the other way round).
fn rank(level: LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        LoggingLevel::Emergency => 7,
    }
}
