//! The other side of the suite: it plays the server, and asks for a client. That is the official Rust client, alone or through the
//! gateway; what it does there is what the gateway does as a client.

#![expect(deprecated, reason = "sampling and roots are deprecated in 2026-07-28, and the suite wants them")]

use std::env;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use rmcp::model::{
    CallToolRequestParams, ClientConfig, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams,
    ElicitResult, ElicitationAction, Implementation, ListRootsResult, ProtocolVersion, SamplingMessage, Tool,
};
use rmcp::service::{RequestContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _, ErrorData, RoleClient};
use sekisho_e2e::gateway::{Gateway, Setup, http_server};
use sekisho_e2e::raw;
use serde_json::{Map, Value, json};

/// What stands between the client and the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Leg {
    /// Nothing.
    Direct,
    /// The gateway.
    Through,
}

impl Leg {
    /// Its name on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Leg::Direct => "direct",
            Leg::Through => "through",
        }
    }
}

/// Does what the suite's scenario wants of a client: lists the tools, and calls those that it names, or all.
pub(crate) fn run(leg: Leg, url: &str) -> anyhow::Result<()> {
    let version = env::var("MCP_CONFORMANCE_PROTOCOL_VERSION").context("the suite names no revision")?;
    let context = env::var("MCP_CONFORMANCE_CONTEXT").ok().map(|text| raw::parse(&text)).transpose()?;
    let modern = version == ProtocolVersion::V_2026_07_28.as_str();
    // The suite listens on every interface, under a name that may be an address of either family.
    let url = url.replace("localhost", "127.0.0.1");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let work = |url: String, token: Option<String>| {
        let work = work(url, token, modern, context.clone());
        runtime.block_on(async { tokio::time::timeout(LIMIT, work).await })
    };
    match leg {
        Leg::Direct => work(url, None)?,
        Leg::Through => {
            let era = if modern { "modern" } else { "legacy" };
            let server = http_server(SERVER, &url) + &format!("era = \"{era}\"\n");
            let gateway = Gateway::start(&Setup::open(&server))?;
            gateway.wait_for_servers(&[SERVER])?;
            let endpoint = gateway.endpoint(SERVER);
            let token = gateway.token("conformance", &endpoint)?;
            work(endpoint, Some(token))?.with_context(|| gateway.log())
        }
    }
}

async fn work(url: String, token: Option<String>, modern: bool, context: Option<Value>) -> anyhow::Result<()> {
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    let config = match token {
        Some(token) => config.auth_header(token),
        None => config,
    };
    let lifecycle = if modern {
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
    } else {
        ClientLifecycleMode::Initialize
    };
    let client = Answers.serve_with_lifecycle(StreamableHttpClientTransport::from_config(config), lifecycle).await?;
    let tools = client.list_all_tools().await?;
    if !modern {
        // This client opens the stream of its session in a task of its own, and the suite asks nobody where there is none yet.
        tokio::time::sleep(STREAM_OPENS).await;
    }
    let named = context.as_ref().and_then(|context| context["toolCalls"].as_array());
    let calls: Vec<CallToolRequestParams> = match named {
        Some(calls) => {
            calls.iter().map(|call| call_of(&call["name"], call["arguments"].as_object().cloned())).collect()
        }
        None => tools.iter().map(|tool| call_of(&json!(tool.name), Some(arguments_for(tool, &tools)))).collect(),
    };
    for call in calls {
        let name = call.name.clone();
        // Refusals are the scenario's business.
        if let Err(error) = client.call_tool(call).await {
            eprintln!("{name}: {error}");
        }
    }
    // The suite has seen what it wanted to see.
    let _ = RunningService::cancel(client).await;
    Ok(())
}

fn call_of(name: &Value, arguments: Option<Map<String, Value>>) -> CallToolRequestParams {
    CallToolRequestParams::new(name.as_str().unwrap_or_default().to_owned())
        .with_arguments(arguments.unwrap_or_default())
}

/// Something that fits for each required argument. One tool wants to see what became of another's schema on the way.
fn arguments_for(tool: &Tool, tools: &[Tool]) -> Map<String, Value> {
    let schema = |tool: &Tool| Value::Object((*tool.input_schema).clone());
    let mut arguments = filled(&schema(tool));
    if tool.name == "json_schema_echo"
        && let Some(other) = tools.iter().find(|other| other.name == "json_schema_2020_12_tool")
    {
        arguments.insert("schema".to_owned(), schema(other));
    }
    arguments
}

/// The default of each field, and something that fits for the required ones that have none.
fn filled(schema: &Value) -> Map<String, Value> {
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.contains(&json!(name)));
    let fields = schema["properties"].as_object().into_iter().flatten();
    fields
        .filter_map(|(name, field)| {
            let default = field.get("default").cloned();
            Some((name.clone(), default.or_else(|| required(name).then(|| sample(field)))?))
        })
        .collect()
}

fn sample(field: &Value) -> Value {
    match field["type"].as_str() {
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        Some(_) | None => field["enum"].get(0).cloned().unwrap_or_else(|| json!("text")),
    }
}

/// Answers whatever it is asked.
struct Answers;

impl ClientHandler for Answers {
    fn get_info(&self) -> ClientConfig {
        let capabilities = json!({"elicitation": {}, "sampling": {}, "roots": {}});
        ClientConfig::new(serde_json::from_value(capabilities).unwrap_or_default(), Implementation::new("suite", "1"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let request = serde_json::to_value(request).unwrap_or_default();
        let content = request.get("requestedSchema").map(filled).unwrap_or_default();
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(Value::Object(content)))
    }

    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        Ok(CreateMessageResult::new(SamplingMessage::assistant_text("text"), "model".to_owned()))
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::default())
    }
}

/// The name of the server in the gateway's configuration.
const SERVER: &str = "suite";
/// How long the stream of a session may take to be opened.
const STREAM_OPENS: Duration = Duration::from_secs(1);
/// How long a client works.
const LIMIT: Duration = Duration::from_secs(60);
