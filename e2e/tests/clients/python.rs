//! The official Python client.

use sekisho_e2e::fixture::{Everything, everything_command};
use sekisho_e2e::gateway::{Gateway, http_server, stdio_server};
use sekisho_e2e::{peers, process, raw};
use serde_json::{Value, json};

use super::{LIMIT, everything_from_npm, filesystem, folder, gateway, git, has, memory, repository, text, time};

/// Does what `plan` says at `endpoint`, with a good token.
fn client(gateway: &Gateway, endpoint: &str, mode: &str, plan: Value) -> Value {
    let token = gateway.token("alice", endpoint).expect("a token");
    client_with(gateway, endpoint, Some(&token), mode, plan)
}

fn client_with(gateway: &Gateway, endpoint: &str, token: Option<&str>, mode: &str, mut plan: Value) -> Value {
    plan["url"] = json!(endpoint);
    plan["token"] = json!(token);
    plan["mode"] = json!(mode);
    let mut script = peers::python_script("tests/clients/python_client.py").expect("the peers");
    let ended = process::run(&mut script, &plan.to_string(), LIMIT).expect("the client ends");
    raw::parse(&ended.out).unwrap_or_else(|error| panic!("{error}\n{}\n{}", ended.err, gateway.log()))
}

/// What the everything server is asked for.
fn everything_plan() -> Value {
    json!({
        "call": [["test_add", {"a": 2, "b": 40}], ["test_structured", {"city": "Hakone"}], ["test_error_handling", {}]],
        "read": ["test://static-text", "test://template/7/data"],
        "prompt": [["test_prompt_with_arguments", {"arg1": "one", "arg2": "two"}]],
        "complete": [["prompt", "test_prompt_with_arguments", "arg1", "par"]],
    })
}

/// What it must answer, whatever stands in between.
fn assert_everything(report: &Value, version: &str) {
    assert_eq!(report["version"], version, "{report}");
    assert!(has(&report["tools"], "test_simple_text"), "{report}");
    assert!(has(&report["prompts"], "test_simple_prompt"), "{report}");
    assert!(has(&report["resources"], "test://static-text"), "{report}");
    assert!(has(&report["templates"], "test://template/{id}/data"), "{report}");
    assert_eq!(text(&report["calls"][0]), "42", "{report}");
    assert_eq!(report["calls"][1]["structuredContent"]["city"], "Hakone", "{report}");
    assert_eq!(report["calls"][2]["isError"], true, "{report}");
    assert_eq!(
        report["reads"][0]["contents"][0]["text"], "This is the content of the static text resource.",
        "{report}"
    );
    assert!(
        report["reads"][1]["contents"][0]["text"].as_str().is_some_and(|data| data.contains("Data for ID: 7")),
        "{report}"
    );
    let line = "Prompt with arguments: arg1='one', arg2='two'";
    assert_eq!(report["prompted"][0]["messages"][0]["content"]["text"], line, "{report}");
    assert_eq!(report["completed"][0]["completion"]["values"], json!(["paris", "park", "party"]), "{report}");
}

#[test]
fn auto_speaks_2026_07_28_with_a_dual_server_over_http() {
    let server = Everything::start(&[]).expect("the server");
    let gateway = gateway(&http_server("everything", server.url()), &["everything"]);
    let report = client(&gateway, &gateway.endpoint("everything"), "auto", everything_plan());
    assert_everything(&report, "2026-07-28");
    assert_eq!(report["server"], "sekisho-e2e-everything", "{report}");
}

#[test]
fn legacy_speaks_2025_11_25_with_a_dual_server_over_http() {
    let server = Everything::start(&[]).expect("the server");
    let gateway = gateway(&http_server("everything", server.url()), &["everything"]);
    assert_everything(&client(&gateway, &gateway.endpoint("everything"), "legacy", everything_plan()), "2025-11-25");
}

#[test]
fn modern_only_speaks_2026_07_28_with_a_dual_server_over_stdio() {
    let command = everything_command(&[]).expect("the server");
    let gateway = gateway(&stdio_server("everything", &command), &["everything"]);
    assert_everything(
        &client(&gateway, &gateway.endpoint("everything"), "2026-07-28", everything_plan()),
        "2026-07-28",
    );
}

#[test]
fn legacy_speaks_with_a_legacy_server_over_stdio() {
    let command = everything_command(&["--era", "legacy"]).expect("the server");
    let gateway = gateway(&stdio_server("everything", &command), &["everything"]);
    assert_everything(&client(&gateway, &gateway.endpoint("everything"), "legacy", everything_plan()), "2025-11-25");
}

#[test]
fn auto_speaks_with_a_modern_server_over_http() {
    let server = Everything::start(&["--era", "modern"]).expect("the server");
    let gateway = gateway(&http_server("everything", server.url()), &["everything"]);
    assert_everything(&client(&gateway, &gateway.endpoint("everything"), "auto", everything_plan()), "2026-07-28");
}

#[test]
fn auto_falls_back_to_2025_11_25_with_the_filesystem_server_and_a_modern_only_client_is_refused() {
    let root = folder();
    let gateway = gateway(&filesystem(root.path()), &["files"]);
    let endpoint = gateway.endpoint("files");
    let inside = root.path().join("hello.txt");
    let plan = json!({"call": [
        ["read_text_file", {"path": inside}],
        ["read_text_file", {"path": "/etc/passwd"}],
    ]});
    let report = client(&gateway, &endpoint, "auto", plan.clone());
    assert_eq!(report["version"], "2025-11-25", "{report}");
    assert_eq!(text(&report["calls"][0]), "hello from the file", "{report}");
    assert_eq!(report["calls"][1]["isError"], true, "the server's own refusal comes through: {report}");

    let report = client(&gateway, &endpoint, "2026-07-28", plan);
    assert!(report["calls"][0]["content"].is_null(), "a legacy server cannot be spoken to in 2026-07-28: {report}");
}

#[test]
fn modern_only_speaks_with_the_time_server() {
    let gateway = gateway(&time(), &["time"]);
    let plan = json!({"call": [["convert_time", {"source_timezone": "Asia/Tokyo", "time": "12:00", "target_timezone": "UTC"}]]});
    let report = client(&gateway, &gateway.endpoint("time"), "2026-07-28", plan);
    assert!(has(&report["tools"], "convert_time"), "{report}");
    assert!(text(&report["calls"][0]).contains("03:00"), "{report}");
}

#[test]
fn legacy_speaks_with_the_git_server() {
    let repository = repository();
    let gateway = gateway(&git(repository.path()), &["git"]);
    let plan = json!({"call": [["git_log", {"repo_path": repository.path()}]]});
    let report = client(&gateway, &gateway.endpoint("git"), "legacy", plan);
    assert_eq!(report["version"], "2025-11-25", "{report}");
    assert!(text(&report["calls"][0]).contains("first"), "{report}");
}

#[test]
fn auto_speaks_with_the_everything_server_from_npm() {
    let gateway = gateway(&everything_from_npm(), &["npm"]);
    let plan = json!({
        "call": [["echo", {"message": "through the gate"}], ["get-sum", {"a": 2, "b": 40}], ["get-structured-content", {"location": "Chicago"}]],
        "read": ["demo://resource/static/document/features.md", "demo://resource/dynamic/text/1"],
        "prompt": [["simple-prompt", {}], ["args-prompt", {"city": "Kyoto"}]],
        "complete": [["prompt", "completable-prompt", "department", "E"]],
    });
    let report = client(&gateway, &gateway.endpoint("npm"), "auto", plan);
    assert_eq!(report["version"], "2025-11-25", "{report}");
    assert!(text(&report["calls"][0]).contains("through the gate"), "{report}");
    assert!(text(&report["calls"][1]).contains("42"), "{report}");
    assert!(report["calls"][2]["structuredContent"].is_object(), "{report}");
    assert!(report["reads"][0]["contents"][0]["text"].is_string(), "{report}");
    assert!(report["reads"][1]["contents"][0]["text"].is_string(), "{report}");
    assert!(report["prompted"][0]["messages"][0]["content"]["text"].is_string(), "{report}");
    assert!(
        report["prompted"][1]["messages"][0]["content"]["text"].as_str().is_some_and(|line| line.contains("Kyoto")),
        "{report}"
    );
    assert_eq!(report["completed"][0]["completion"]["values"], json!(["Engineering"]), "{report}");
}

#[test]
fn the_endpoint_of_all_offers_every_server_under_its_own_name() {
    let root = folder();
    let server = Everything::start(&[]).expect("the server");
    let servers = [http_server("everything", server.url()), memory(root.path()), filesystem(root.path())].concat();
    let gateway = gateway(&servers, &["everything", "memory", "files"]);
    let plan = json!({"call": [
        ["everything__test_add", {"a": 2, "b": 40}],
        ["files__read_text_file", {"path": root.path().join("hello.txt")}],
        ["memory__read_graph", {}],
        ["test_add", {"a": 2, "b": 40}],
    ]});
    let report = client(&gateway, &gateway.endpoint_of_all(), "legacy", plan);
    for name in ["everything__test_add", "files__read_text_file", "memory__read_graph"] {
        assert!(has(&report["tools"], name), "{report}");
    }
    assert_eq!(text(&report["calls"][0]), "42", "{report}");
    assert_eq!(text(&report["calls"][1]), "hello from the file", "{report}");
    assert!(text(&report["calls"][2]).contains("entities"), "{report}");
    assert!(report["calls"][3]["content"].is_null(), "a name without its server is nobody's: {report}");
}

#[test]
fn a_token_for_another_server_opens_nothing_and_its_neighbour_does() {
    let repository = repository();
    let gateway = gateway(&(time() + &git(repository.path())), &["time", "git"]);
    let endpoint = gateway.endpoint("time");
    let report = client(&gateway, &endpoint, "auto", json!({}));
    assert!(has(&report["tools"], "convert_time"), "{report}");
    let foreign = gateway.token("alice", &gateway.endpoint("git")).expect("a token");
    for token in [Some(foreign.as_str()), None] {
        let report = client_with(&gateway, &endpoint, token, "auto", json!({}));
        assert!(report["failed"].is_string(), "{report}");
    }
}

/// The fixture's tools that ask in an era, and what they ask.
const ASKING: [(&str, &str); 2] = [("legacy", "test_"), ("2026-07-28", "test_input_required_result_")];

#[test]
fn it_is_asked_by_a_dual_server_in_both_eras_over_http_and_stdio() {
    let server = Everything::start(&[]).expect("the server");
    let command = everything_command(&[]).expect("the server");
    let servers = http_server("http", server.url()) + &stdio_server("stdio", &command);
    let gateway = gateway(&servers, &["http", "stdio"]);
    let arguments = json!({"message": "Who are you?", "prompt": "What is the capital of Japan?"});
    for (mode, prefix) in ASKING {
        for name in ["http", "stdio"] {
            let calls = json!([[format!("{prefix}elicitation"), arguments], [format!("{prefix}sampling"), arguments]]);
            let plan = json!({"asked": true, "call": calls});
            let report = client(&gateway, &gateway.endpoint(name), mode, plan);
            let asked: Vec<&Value> = report["asked"].as_array().expect("questions").iter().map(|one| &one[0]).collect();
            assert_eq!(asked, ["elicitation/create", "sampling/createMessage"], "{mode} {name}: {report}");
            assert!(text(&report["calls"][0]).contains("me"), "{mode} {name}: {report}");
            assert!(text(&report["calls"][1]).contains("Kyoto"), "{mode} {name}: {report}");
        }
    }
}

#[test]
fn it_is_asked_for_folders_and_a_client_that_cannot_be_asked_is_told_so_by_the_server() {
    let server = Everything::start(&[]).expect("the server");
    let gateway = gateway(&http_server("all", server.url()), &["all"]);
    let plan = |asked: bool| json!({"asked": asked, "call": [["test_input_required_result_list_roots", {}]]});
    let report = client(&gateway, &gateway.endpoint("all"), "2026-07-28", plan(true));
    assert!(text(&report["calls"][0]).contains("file:///srv/work"), "{report}");
    let report = client(&gateway, &gateway.endpoint("all"), "2026-07-28", plan(false));
    assert!(report["calls"][0]["refused"].is_string(), "{report}");
    let report = client(
        &gateway,
        &gateway.endpoint("all"),
        "legacy",
        json!({"call": [["test_sampling", {"prompt": "Say hello."}]]}),
    );
    assert!(text(&report["calls"][0]).contains("cannot sample"), "{report}");
}
