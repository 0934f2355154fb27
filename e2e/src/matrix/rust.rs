//! The official Rust client, in this process.
#![expect(
    deprecated,
    reason = "sampling and resource subscriptions are deprecated in 2026-07-28 and must work in 2025-11-25"
)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rmcp::model::{
    ArgumentInfo, CallToolRequest, CallToolRequestParams, ClientConfig, ClientRequest, CompleteRequestParams,
    CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult, ElicitationAction,
    GetPromptRequestParams, Implementation, ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams,
    Reference, ResourceUpdatedNotificationParam, SamplingMessage, ServerNotification, SubscribeRequestParams,
    SubscriptionFilter,
};
use rmcp::service::{NotificationContext, PeerRequestOptions, RequestContext, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _, ErrorData, RoleClient};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::client::{At, Mode};

/// Does these steps at a server, and reports what came of each.
///
/// # Errors
/// When it takes longer than `limit`.
pub(super) fn work(at: &At, mode: Mode, steps: &[&Value], limit: Duration) -> anyhow::Result<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let worked = runtime.block_on(async { tokio::time::timeout(limit, walk(at, mode, steps)).await });
    worked.context("the Rust client did not end")
}

async fn walk(at: &At, mode: Mode, steps: &[&Value]) -> Value {
    let client = match connect(at, mode).await {
        Ok(client) => client,
        Err(error) => return json!({"failed": format!("{error:?}")}),
    };
    let version = client.peer().peer_info().map(|info| info.protocol_version.to_string());
    let mut done = Vec::new();
    for step in steps {
        done.push(take(&client, step).await.unwrap_or_else(|error| json!({"refused": format!("{error:#}")})));
    }
    // What it did is told already.
    let _ = client.cancel().await;
    json!({"version": version, "done": done})
}

async fn connect(at: &At, mode: Mode) -> anyhow::Result<Client> {
    let client = Asked::default();
    Ok(match at {
        At::Http { url, token } => {
            let config = StreamableHttpClientTransportConfig::with_uri(url.as_str()).auth_header(token.as_str());
            let transport = StreamableHttpClientTransport::from_config(config);
            client.serve_with_lifecycle(transport, lifecycle(mode)).await?
        }
        At::Stdio { command } => {
            let (program, rest) = command.split_first().context("an empty command")?;
            let mut process = tokio::process::Command::new(program);
            process.args(rest).stderr(std::process::Stdio::null());
            client.serve_with_lifecycle(TokioChildProcess::new(process)?, lifecycle(mode)).await?
        }
    })
}

fn lifecycle(mode: Mode) -> ClientLifecycleMode {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    match mode {
        Mode::Legacy => ClientLifecycleMode::Initialize,
        Mode::Auto => ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
        Mode::Modern => ClientLifecycleMode::Discover { preferred_versions },
    }
}

type Client = RunningService<RoleClient, Asked>;

async fn take(client: &Client, step: &Value) -> anyhow::Result<Value> {
    let word = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
    Ok(match step["do"].as_str().unwrap_or_default() {
        "list" => list(client, step).await?,
        "call" => {
            client.service().questions.take();
            let result = client.call_tool(tool(step)).await?;
            json!({"result": result, "asked": client.service().questions.all()})
        }
        "read" => json!({"result": client.read_resource(ReadResourceRequestParams::new(word("uri"))).await?}),
        "prompt" => {
            let arguments = step["arguments"].as_object().cloned().unwrap_or_default();
            let request = GetPromptRequestParams::new(word("name")).with_arguments(arguments);
            json!({"result": client.get_prompt(request).await?})
        }
        "complete" => {
            let argument: ArgumentInfo =
                serde_json::from_value(json!({"name": step["argument"], "value": step["value"]}))?;
            let request = CompleteRequestParams::new(Reference::for_prompt(word("name")), argument);
            json!({"result": client.complete(request).await?})
        }
        "progress" => {
            client.service().progress.take();
            let result = client.call_tool(tool(step)).await?;
            // This client hands notifications on in tasks of their own: the last may be behind the result.
            tokio::time::sleep(SETTLE).await;
            json!({"result": result, "progress": client.service().progress.all()})
        }
        "cancel" => cancel(client, step).await?,
        "subscribe" => subscribe(client, step).await?,
        unknown => anyhow::bail!("no such step: {unknown}"),
    })
}

fn tool(step: &Value) -> CallToolRequestParams {
    let name = step["name"].as_str().unwrap_or_default().to_owned();
    CallToolRequestParams::new(name).with_arguments(step["arguments"].as_object().cloned().unwrap_or_default())
}

async fn list(client: &Client, step: &Value) -> anyhow::Result<Value> {
    let mut lists = serde_json::Map::new();
    for list in step["of"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let names = match list {
            "tools" => client.list_all_tools().await?.iter().map(|tool| json!(tool.name)).collect(),
            "prompts" => client.list_all_prompts().await?.iter().map(|prompt| json!(prompt.name)).collect(),
            _ => client.list_all_resources().await?.iter().map(|resource| json!(resource.uri)).collect(),
        };
        lists.insert(list.to_owned(), names);
    }
    Ok(Value::Object(lists))
}

/// Cancels when the server is known to be at work: it has said so.
async fn cancel(client: &Client, step: &Value) -> anyhow::Result<Value> {
    client.service().progress.take();
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(tool(step)));
    let call = client.peer().send_cancellable_request(request, PeerRequestOptions::no_options()).await?;
    client.service().progress.wait().await;
    call.cancel(Some("enough".to_owned())).await?;
    Ok(json!({"cancelled": true, "result": client.call_tool(tool(&step["then"])).await?}))
}

async fn subscribe(client: &Client, step: &Value) -> anyhow::Result<Value> {
    let uri = step["uri"].as_str().unwrap_or_default();
    let then = tool(&step["then"]);
    if client.peer().peer_info().is_some_and(|info| info.protocol_version == ProtocolVersion::V_2026_07_28) {
        let filter = SubscriptionFilter::builder().resource_subscriptions([uri]).build();
        let mut subscription = client.peer().listen(filter).await?;
        client.call_tool(then).await?;
        let told = subscription.next().await?;
        subscription.cancel().await?;
        let Some(ServerNotification::ResourceUpdatedNotification(told)) = told else {
            anyhow::bail!("something else was told: {told:?}");
        };
        return Ok(json!({"updated": [told.params.uri]}));
    }
    client.subscribe(SubscribeRequestParams::new(uri)).await?;
    client.call_tool(then).await?;
    client.service().updates.wait().await;
    Ok(json!({"updated": client.service().updates.all()}))
}

/// How long a notification may be on its way within the client.
const SETTLE: Duration = Duration::from_millis(200);

/// Answers what servers ask, and keeps what they ask and tell.
#[derive(Debug, Default)]
struct Asked {
    questions: Heard,
    progress: Heard,
    updates: Heard,
}

/// What was heard, in order.
#[derive(Debug, Default)]
struct Heard {
    kept: Arc<Mutex<Vec<Value>>>,
    more: Notify,
}

impl Heard {
    fn note(&self, what: Value) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        self.more.notify_one();
    }

    fn all(&self) -> Vec<Value> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn wait(&self) {
        while self.all().is_empty() {
            self.more.notified().await;
        }
    }
}

impl ClientHandler for Asked {
    fn get_info(&self) -> ClientConfig {
        let capabilities = serde_json::from_value(json!({"elicitation": {}, "sampling": {}})).unwrap_or_default();
        ClientConfig::new(capabilities, Implementation::new("rust", "1"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let request = serde_json::to_value(request).unwrap_or_default();
        self.questions.note(json!(["elicitation/create", request.get("message")]));
        let fields = request
            .pointer("/requestedSchema/required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let content: serde_json::Map<String, Value> = fields.map(|name| (name.to_owned(), json!("me"))).collect();
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(Value::Object(content)))
    }

    async fn create_message(
        &self,
        request: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.questions.note(json!(["sampling/createMessage", request.messages]));
        Ok(CreateMessageResult::new(SamplingMessage::assistant_text("Kyoto"), "m".to_owned()))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.progress.note(json!(params.progress));
    }

    async fn on_resource_updated(&self, params: ResourceUpdatedNotificationParam, _: NotificationContext<RoleClient>) {
        self.updates.note(json!(params.uri));
    }
}
