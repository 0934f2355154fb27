//! The official Rust client.

use rmcp::model::{
    CallToolRequestParams, ClientConfig, GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams,
};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use sekisho_e2e::fixture::{Everything, everything_command};
use sekisho_e2e::gateway::{Gateway, http_server, stdio_server};
use serde_json::{Value, json};

use super::{filesystem, folder, gateway, git, repository, text, time};

type Client = RunningService<RoleClient, ClientConfig>;

async fn connect(gateway: &Gateway, server: &str, lifecycle: ClientLifecycleMode) -> Client {
    let endpoint = gateway.endpoint(server);
    let token = gateway.token("alice", &endpoint).expect("a token");
    let config = StreamableHttpClientTransportConfig::with_uri(endpoint).auth_header(token);
    let transport = StreamableHttpClientTransport::from_config(config);
    let connected = ClientConfig::default().serve_with_lifecycle(transport, lifecycle).await;
    connected.unwrap_or_else(|error| panic!("{error:?}\n{}", gateway.log()))
}

fn modern() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

async fn call(client: &Client, tool: &'static str, arguments: Value) -> Value {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    let result = client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.expect("a result");
    serde_json::to_value(result).expect("JSON")
}

async fn assert_everything(client: &Client) {
    let tools = client.list_all_tools().await.expect("tools");
    assert!(tools.iter().any(|tool| tool.name == "json_schema_2020_12_tool"));
    assert_eq!(text(&call(client, "test_add", json!({"a": 2, "b": 40})).await), "42");
    let read = client.read_resource(ReadResourceRequestParams::new("test://static-text")).await.expect("a resource");
    let read = serde_json::to_value(read).expect("JSON");
    assert_eq!(read["contents"][0]["mimeType"], "text/plain");
    let prompt = client.get_prompt(GetPromptRequestParams::new("test_prompt_with_image")).await.expect("a prompt");
    let prompt = serde_json::to_value(prompt).expect("JSON");
    assert_eq!(prompt["messages"][0]["content"]["type"], "image");
}

#[tokio::test]
async fn the_rust_client_discovers_a_dual_server_over_stdio() {
    let command = everything_command(&[]).expect("the server");
    let gateway = gateway(&stdio_server("everything", &command), &["everything"]);
    let client = connect(&gateway, "everything", modern()).await;
    assert_everything(&client).await;
    client.cancel().await.expect("an end");
}

#[tokio::test]
async fn the_rust_client_initializes_with_a_dual_server_over_http() {
    let server = Everything::start(&[]).expect("the server");
    let gateway = gateway(&http_server("everything", server.url()), &["everything"]);
    let client = connect(&gateway, "everything", ClientLifecycleMode::Initialize).await;
    assert_everything(&client).await;
    client.cancel().await.expect("an end");
}

#[tokio::test]
async fn the_rust_client_discovers_the_git_server() {
    let repository = repository();
    let gateway = gateway(&git(repository.path()), &["git"]);
    let client = connect(&gateway, "git", modern()).await;
    let log = call(&client, "git_log", json!({"repo_path": repository.path()})).await;
    assert!(text(&log).contains("first"), "{log}");
    client.cancel().await.expect("an end");
}

#[tokio::test]
async fn the_rust_client_initializes_with_the_time_server() {
    let gateway = gateway(&time(), &["time"]);
    let client = connect(&gateway, "time", ClientLifecycleMode::Initialize).await;
    let now = call(&client, "get_current_time", json!({"timezone": "UTC"})).await;
    assert!(text(&now).contains("UTC"), "{now}");
    client.cancel().await.expect("an end");
}

#[tokio::test]
async fn the_rust_client_falls_back_with_the_filesystem_server() {
    let root = folder();
    let gateway = gateway(&filesystem(root.path()), &["files"]);
    let lifecycle =
        ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None };
    let client = connect(&gateway, "files", lifecycle).await;
    let read = call(&client, "read_text_file", json!({"path": root.path().join("hello.txt")})).await;
    assert_eq!(text(&read), "hello from the file");
    client.cancel().await.expect("an end");
}
