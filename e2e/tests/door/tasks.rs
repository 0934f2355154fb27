//! Tasks: work that a server goes on with after it has answered, and whose it is.

use std::time::Instant;

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::fixture::everything_command;
use sekisho_e2e::gateway::stdio_server;
use sekisho_e2e::peers;
use serde_json::{Value, json};

use super::*;

fn able() -> Value {
    json!({"elicitation": {"form": {}}, "extensions": {"io.modelcontextprotocol/tasks": {}}})
}

/// The fixture, which has tasks of the modern era, and the reference server, which has those of the legacy one.
fn stand(policy: &str) -> Gateway {
    let fixture = everything_command(&[]).expect("the fixture");
    let reference =
        peers::npm_server("@modelcontextprotocol/server-everything/dist/index.js").expect("the reference server");
    let servers = stdio_server("all", &fixture) + &stdio_server("old", &reference);
    let gateway = Gateway::start(&Setup::open(&servers).with_policy(policy)).expect("a gateway");
    gateway.wait_for_servers(&["all", "old"]).expect("probed");
    gateway
}

const OPEN: &str = "permit(principal, action, resource);";

fn client_at(gateway: &Gateway, who: &str, era: Era, endpoint: &str) -> Client {
    let token = gateway.token(who, endpoint).expect("a token");
    Client::connect_able(endpoint, Some(&token), era, able()).expect("a client")
}

fn modern(gateway: &Gateway, who: &str) -> Client {
    client_at(gateway, who, Era::Modern, &gateway.endpoint("all"))
}

fn begin(client: &mut Client, tool: &str, arguments: Value) -> String {
    let begun = client.request("tools/call", json!({"name": tool, "arguments": arguments})).expect("a task");
    assert_eq!((&begun["resultType"], &begun["status"]), (&json!("task"), &json!("working")), "{begun}");
    let id = begun["taskId"].as_str().expect("a name").to_owned();
    assert!(id.starts_with("task-") && !begun.to_string().contains("job-"), "ours: {begun}");
    id
}

fn get(client: &mut Client, id: &str) -> Value {
    let task = client.request("tasks/get", json!({"taskId": id})).expect("a task");
    assert_eq!((&task["resultType"], &task["taskId"]), (&json!("complete"), &json!(id)), "{task}");
    task
}

fn until(client: &mut Client, id: &str, status: &str) -> Value {
    let end = Instant::now() + LIMIT;
    loop {
        let task = get(client, id);
        if task["status"] == status {
            return task;
        }
        assert!(Instant::now() < end, "{task}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn refused(client: &mut Client, method: &str, id: &str) -> String {
    let params = json!({"taskId": id, "inputResponses": {}});
    code(&client.send(method, params).expect("an answer"))
}

#[test]
fn a_modern_call_becomes_a_task_and_its_result_is_asked_for_later() {
    let gateway = stand(OPEN);
    for endpoint in [gateway.endpoint("all"), gateway.endpoint_of_all()] {
        let mut client = client_at(&gateway, "alice", Era::Modern, &endpoint);
        assert!(client.opening()["capabilities"]["extensions"]["io.modelcontextprotocol/tasks"].is_object());
        let tool = |name: &str| if endpoint.ends_with("/s/all/mcp") { name.to_owned() } else { format!("all__{name}") };
        let id = begin(&mut client, &tool("slow_compute"), json!({"seconds": 0.3, "label": "it"}));
        assert_eq!(get(&mut client, &id)["status"], "working");
        let task = until(&mut client, &id, "completed");
        assert_eq!(task["result"]["content"][0]["text"], "Computed it.", "{task}");
        let id = begin(&mut client, &tool("protocol_error_job"), json!({}));
        assert_eq!(until(&mut client, &id, "failed")["error"]["code"], -32603);
        let id = begin(&mut client, &tool("slow_compute"), json!({"seconds": 600}));
        let cancelled = client.request("tasks/cancel", json!({"taskId": id})).expect("an acknowledgement");
        assert_eq!(cancelled["resultType"], "complete", "{cancelled}");
        until(&mut client, &id, "cancelled");
    }
    let log = audit_log(&gateway);
    for part in ["\"tasks/get\"", "\"tasks/cancel\"", "\"tool\":\"slow_compute\"", "\"task\":\"working\""] {
        assert!(log.contains(part), "{part}: {log}");
    }
}

#[test]
fn what_a_task_asks_for_is_decided_like_any_question_and_only_that_is_answered() {
    let gateway = stand(OPEN);
    let mut client = modern(&gateway, "alice");
    let id = begin(&mut client, "multi_input", json!({}));
    let task = until(&mut client, &id, "input_required");
    assert_eq!(task["inputRequests"]["first"]["method"], "elicitation/create", "{task}");
    let update = |client: &mut Client, responses: Value| {
        client.request("tasks/update", json!({"taskId": id, "inputResponses": responses}))
    };
    let answer = json!({"action": "accept", "content": {"name": "one"}});
    let wrong = json!({"action": "accept", "content": {"name": 1}});
    let params = json!({"taskId": id, "inputResponses": {"first": wrong}});
    assert_eq!(code(&client.send("tasks/update", params).expect("an answer")), "SK1705");
    update(&mut client, json!({"first": answer, "nobody": answer})).expect("an acknowledgement");
    let task = until(&mut client, &id, "input_required");
    assert!(task["inputRequests"]["second"].is_object() && task["inputRequests"].get("first").is_none(), "{task}");
    update(&mut client, json!({"second": {"action": "decline"}})).expect("an acknowledgement");
    let task = until(&mut client, &id, "completed");
    let said = task["result"]["content"][0]["text"].as_str().expect("text");
    assert!(said.contains("\"one\"") && said.contains("decline") && !said.contains("nobody"), "{said}");
    // Who may not be asked is not: neither by a call nor by its task.
    let silent = stand("permit(principal, action, resource) unless { action in Sekisho::Action::\"ask\" };");
    let mut client = modern(&silent, "alice");
    let id = begin(&mut client, "multi_input", json!({}));
    assert_eq!(refused(&mut client, "tasks/get", &id), "SK1802");
    assert!(client.request("tasks/cancel", json!({"taskId": id})).is_ok());
    assert_eq!(until(&mut client, &id, "cancelled")["status"], "cancelled");
}

#[test]
fn a_task_is_its_own_principals_at_its_own_door_and_a_guess_is_nobodys() {
    let gateway = stand(OPEN);
    let mut alice = modern(&gateway, "alice");
    let id = begin(&mut alice, "slow_compute", json!({"seconds": 600}));
    let mut at_all = client_at(&gateway, "alice", Era::Modern, &gateway.endpoint_of_all());
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        assert_eq!(refused(&mut modern(&gateway, "bob"), method, &id), "SK1509", "{method}");
        assert_eq!(refused(&mut at_all, method, &id), "SK1509", "{method}: another door");
        for guess in ["job-0", "", "task-", &id.to_uppercase(), &format!("{id} "), &"t".repeat(5000)] {
            assert!(["SK1509", "SK1403"].contains(&&*refused(&mut alice, method, guess)), "{method} {guess}");
        }
    }
    let mut legacy = client_at(&gateway, "alice", Era::Legacy, &gateway.endpoint("all"));
    assert_eq!(refused(&mut legacy, "tasks/get", &id), "SK1509", "another era");
    assert_eq!(refused(&mut legacy, "tasks/update", &id), "SK1407", "a method of the other era");
    assert_eq!(refused(&mut alice, "tasks/result", &id), "SK1407");
    assert_eq!(refused(&mut alice, "tasks/list", &id), "SK1407");
    assert_eq!(get(&mut modern(&gateway, "alice"), &id)["status"], "working", "another client of hers");
    assert_eq!(get(&mut alice, &id)["status"], "working", "nobody has cancelled it");
}

#[test]
fn who_does_not_declare_tasks_gets_none_and_may_not_ask_about_one() {
    let gateway = stand(OPEN);
    let mut alice = modern(&gateway, "alice");
    let id = begin(&mut alice, "slow_compute", json!({"seconds": 600}));
    let mut silent = gateway.client("all", Era::Modern).expect("a client");
    let answer = silent.send("tasks/get", json!({"taskId": id})).expect("an answer");
    let error = &answer.messages().expect("JSON")[0]["error"];
    assert_eq!((answer.status, &error["code"]), (400, &json!(-32021)), "{error}");
    let required = &error["data"]["requiredCapabilities"]["extensions"]["io.modelcontextprotocol/tasks"];
    assert!(required.is_object(), "{error}");
    let wanted = json!({"notifications": {"taskIds": [id], "toolsListChanged": true}});
    let refused = silent.send("subscriptions/listen", wanted.clone()).expect("an answer");
    assert_eq!(refused.messages().expect("JSON")[0]["error"]["code"], -32021, "{}", refused.text());
    let mut stream = alice.open("subscriptions/listen", wanted).expect("a stream");
    let begun = stream.message().expect("a message").expect("an acknowledgement");
    assert_eq!(
        begun["params"]["notifications"],
        json!({"toolsListChanged": true}),
        "asked about, and not told: {begun}"
    );
    let done = silent.call("slow_compute", json!({"seconds": 600})).expect("a result");
    assert_eq!((&done["resultType"], done.get("taskId")), (&json!("complete"), None), "{done}");
    let needs = silent.send("tools/call", json!({"name": "failing_job", "arguments": {}})).expect("an answer");
    assert_eq!(needs.messages().expect("JSON")[0]["error"]["code"], -32021);
}

#[test]
fn whom_policy_does_not_let_ask_for_the_result_gets_no_task() {
    let policy = "permit(principal, action, resource)
        unless { [Sekisho::Action::\"tasks/get\", Sekisho::Action::\"tasks/result\"].contains(action) && principal.subject == \"bob\" };";
    let gateway = stand(policy);
    begin(&mut modern(&gateway, "alice"), "slow_compute", json!({"seconds": 600}));
    let done = modern(&gateway, "bob").call("slow_compute", json!({"seconds": 600})).expect("a result");
    assert_eq!(done["resultType"], "complete", "done at once: {done}");
    let mut bob = client_at(&gateway, "bob", Era::Legacy, &gateway.endpoint("old"));
    let wanted = json!({"name": "simulate-research-query", "arguments": {"topic": "tea"}, "task": {}});
    assert_eq!(code(&bob.send("tools/call", wanted).expect("an answer")), "SK1701");
}

#[test]
fn a_legacy_call_becomes_a_task_of_the_reference_server() {
    let gateway = stand(OPEN);
    let mut alice = client_at(&gateway, "alice", Era::Legacy, &gateway.endpoint("old"));
    assert!(alice.opening()["capabilities"]["tasks"]["requests"]["tools"]["call"].is_object());
    let wanted = |task: Value| json!({"name": "simulate-research-query", "arguments": {"topic": "tea"}, "task": task});
    for bad in [json!(1), json!({"ttl": "long"}), json!({"ttl": -1})] {
        assert_eq!(code(&alice.send("tools/call", wanted(bad)).expect("an answer")), "SK1408");
    }
    let begun = alice.request("tools/call", wanted(json!({"ttl": 60_000}))).expect("a task");
    let id = begun["task"]["taskId"].as_str().expect("a name").to_owned();
    assert!(id.starts_with("task-"), "{begun}");
    let state = alice.request("tasks/get", json!({"taskId": id})).expect("a state");
    assert_eq!(state["taskId"], json!(id), "{state}");
    // It blocks until the task has ended.
    let result = alice.request("tasks/result", json!({"taskId": id})).expect("a result");
    assert!(result["content"][0]["text"].as_str().expect("text").contains("tea"), "{result}");
    let related = &result["_meta"]["io.modelcontextprotocol/related-task"]["taskId"];
    assert_eq!(related, &json!(id), "{result}");
    assert_eq!(alice.request("tasks/get", json!({"taskId": id})).expect("a state")["status"], "completed");
    let ended = alice.send("tasks/cancel", json!({"taskId": id})).expect("an answer");
    assert_eq!(ended.messages().expect("JSON")[0]["error"]["code"], -32602, "it has ended");
    let mut bob = client_at(&gateway, "bob", Era::Legacy, &gateway.endpoint("old"));
    assert_eq!(refused(&mut bob, "tasks/result", &id), "SK1509");
}
