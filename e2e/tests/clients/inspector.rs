//! The inspector's command line client.

use sekisho_e2e::fixture::Everything;
use sekisho_e2e::gateway::{Gateway, http_server};
use sekisho_e2e::process::Output;
use sekisho_e2e::{peers, process, raw};
use serde_json::Value;

use super::{LIMIT, everything_from_npm, folder, gateway, git, memory, repository, text};

fn inspect(gateway: &Gateway, server: &str, arguments: &[&str]) -> Value {
    let endpoint = gateway.endpoint(server);
    let token = gateway.token("alice", &endpoint).expect("a token");
    let ended = ended(&endpoint, Some(&token), arguments);
    assert!(ended.status.success(), "{arguments:?}: {}{}\n{}", ended.out, ended.err, gateway.log());
    raw::parse(&ended.out).expect("JSON")
}

fn ended(endpoint: &str, token: Option<&str>, arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().expect("a folder");
    let mut command = peers::inspector().expect("the peers");
    command.args([endpoint, "--transport", "http"]).args(arguments).env("HOME", home.path());
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    process::run(&mut command, "", LIMIT).expect("the inspector ends")
}

/// The members of a list, by name.
fn names<'a>(result: &'a Value, list: &str, name: &str) -> Vec<&'a str> {
    result[list].as_array().into_iter().flatten().filter_map(|item| item[name].as_str()).collect()
}

#[test]
fn the_inspector_uses_all_of_a_dual_server() {
    let server = Everything::start(&[]).expect("the server");
    let gateway = gateway(&http_server("everything", server.url()), &["everything"]);
    let inspect = |arguments: &[&str]| inspect(&gateway, "everything", arguments);

    let listed = inspect(&["--method", "tools/list"]);
    assert!(names(&listed, "tools", "name").contains(&"test_add"), "{listed}");
    let called =
        inspect(&["--method", "tools/call", "--tool-name", "test_add", "--tool-arg", "a=2", "--tool-arg", "b=40"]);
    assert_eq!(text(&called), "42");
    let listed = inspect(&["--method", "resources/list"]);
    assert!(names(&listed, "resources", "uri").contains(&"test://static-text"), "{listed}");
    let read = inspect(&["--method", "resources/read", "--uri", "test://static-text"]);
    assert_eq!(read["contents"][0]["text"], "This is the content of the static text resource.");
    let listed = inspect(&["--method", "prompts/list"]);
    assert!(names(&listed, "prompts", "name").contains(&"test_simple_prompt"), "{listed}");
    let prompted = inspect(&["--method", "prompts/get", "--prompt-name", "test_simple_prompt"]);
    assert_eq!(prompted["messages"][0]["content"]["text"], "This is a simple prompt for testing.");
}

#[test]
fn the_inspector_writes_and_reads_the_memory_server() {
    let root = folder();
    let gateway = gateway(&memory(root.path()), &["memory"]);
    let entities = r#"entities=[{"name":"Hakone","entityType":"barrier","observations":["on the Tokaido"]}]"#;
    let created = inspect(
        &gateway,
        "memory",
        &["--method", "tools/call", "--tool-name", "create_entities", "--tool-arg", entities],
    );
    assert!(text(&created).contains("Hakone"), "{created}");
    let graph = inspect(&gateway, "memory", &["--method", "tools/call", "--tool-name", "read_graph"]);
    assert!(text(&graph).contains("on the Tokaido"), "another session sees what the server kept: {graph}");
    let kept = std::fs::read_to_string(root.path().join("memory.jsonl")).expect("the server's file");
    assert!(kept.contains("Hakone"), "the configured environment reached the server: {kept}");
}

#[test]
fn the_inspector_reads_the_everything_server_from_npm() {
    let gateway = gateway(&everything_from_npm(), &["npm"]);
    let listed = inspect(&gateway, "npm", &["--method", "resources/templates/list"]);
    assert!(
        names(&listed, "resourceTemplates", "uriTemplate").contains(&"demo://resource/dynamic/text/{resourceId}"),
        "{listed}"
    );
    let called =
        inspect(&gateway, "npm", &["--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=hello"]);
    assert!(text(&called).contains("hello"), "{called}");
}

#[test]
fn the_inspector_reads_the_git_server() {
    let repository = repository();
    let gateway = gateway(&git(repository.path()), &["git"]);
    let path = format!("repo_path={}", repository.path().display());
    let status =
        inspect(&gateway, "git", &["--method", "tools/call", "--tool-name", "git_status", "--tool-arg", &path]);
    assert!(text(&status).contains("main"), "{status}");
}

#[test]
fn the_inspector_without_a_token_is_refused() {
    let root = folder();
    let gateway = gateway(&memory(root.path()), &["memory"]);
    let ended = ended(&gateway.endpoint("memory"), None, &["--method", "tools/list"]);
    assert!(!ended.status.success(), "{}", ended.out);
}
