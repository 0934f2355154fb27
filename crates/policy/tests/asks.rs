//! What servers ask of clients: offered, released and answered by the same policies, and nothing that was not declared.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as expected"
)]

mod support;

use std::time::SystemTime;

use sekisho_catalog::{Parking, Target};
use sekisho_policy::{Authorized, ForbidReason, Policy};
use sekisho_wire::server::{AskedOn, ServerNotice, ServerNoticeKind, ServerRequest};
use sekisho_wire::task::{self, About};
use sekisho_wire::{Answer, Askable, Endpoint, Era, FromServer, Id, Inbound, InputRequired, RpcError, ServerId, input};
use serde_json::{Value, json};
use support::{Who, World, policy, who, wire};

fn alice() -> Who {
    who("alice", json!({}))
}

fn everything() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}})
}

fn call(world: &World, policy: &Policy, capabilities: Value) -> Authorized {
    let params = json!({"name": "notes__add_note", "arguments": {}});
    let message = world.modern_able(&alice(), "tools/call", params, capabilities);
    world.decide(policy, message).unwrap_or_else(|no| panic!("{no:?}"))
}

fn with(rules: &str) -> Policy {
    policy(&format!(
        "@id(\"use\") permit(principal, action in Sekisho::Action::\"use\", resource);\n\
         permit(principal, action in Sekisho::Action::\"connect\", resource);\n{rules}"
    ))
}

fn form(field: &str) -> Value {
    json!({"method": "elicitation/create", "params": {"message": "m", "requestedSchema":
        {"type": "object", "properties": {field: {"type": "string"}}}}})
}

fn page(url: &str) -> Value {
    json!({"method": "elicitation/create", "params": {"mode": "url", "message": "m", "url": url, "elicitationId": "1"}})
}

fn sampling(tools: bool) -> Value {
    let mut params = json!({"messages": [], "maxTokens": 5});
    if tools {
        params["tools"] = json!([]);
    }
    json!({"method": "sampling/createMessage", "params": params})
}

fn roots() -> Value {
    json!({"method": "roots/list"})
}

fn asked(question: &Value) -> FromServer {
    let params = question.get("params").map(wire);
    let request = input::request(question["method"].as_str().unwrap(), params).unwrap();
    FromServer::Ask(ServerRequest { id: Id::Integer(1), request, on: AskedOn::default() })
}

fn parked(questions: &Value) -> InputRequired {
    input::required(&wire(&json!({"inputRequests": questions, "requestState": "theirs"}))).unwrap()
}

const ALL: &str = "@id(\"ask\") permit(principal, action in Sekisho::Action::\"ask\", resource);";

#[test]
fn a_server_is_offered_what_is_declared_and_not_forbidden_whatever_it_asks() {
    let world = World::new();
    let offered = |rules: &str, capabilities| call(&world, &with(rules), capabilities).askable();
    let all = Askable::of(&wire(&everything()));
    assert_eq!(offered(ALL, everything()), all);
    assert_eq!(offered(ALL, json!({})), Askable::default());
    assert_eq!(offered("", everything()), Askable::default());
    let none_of = |rule: &str| offered(&format!("{ALL}\nforbid(principal, {rule};"), everything());
    let no_sampling = none_of("action == Sekisho::Action::\"sampling/createMessage\", resource)");
    assert_eq!(no_sampling, Askable { sampling: false, sampling_tools: false, ..all });
    let no_tools = none_of("action, resource) when { context has with_tools && context.with_tools }");
    assert_eq!(no_tools, Askable { sampling_tools: false, ..all });
    let elicits = "action == Sekisho::Action::\"elicitation/create\", resource)";
    assert_eq!(none_of(&format!("{elicits} when {{ context.mode == \"form\" }}")), Askable { form: false, ..all });
    // Some page may be shown, so pages are offered.
    let some = none_of(&format!("{elicits} when {{ context.mode == \"url\" && context.host != \"a.example\" }}"));
    assert_eq!(some, all);
    assert_eq!(none_of("action, resource in Sekisho::Server::\"files\")"), all);
    assert_eq!(none_of("action == Sekisho::Action::\"roots/list\", resource)"), Askable { roots: false, ..all });
}

#[test]
fn a_question_is_released_if_it_was_offered_and_a_policy_permits_it() {
    let world = World::new();
    let rules = "@id(\"forms\") permit(principal, action == Sekisho::Action::\"elicitation/create\", resource)
        when { context.mode == \"form\" || context.host like \"*.trusted.example\" };
        @id(\"models\") permit(principal, action == Sekisho::Action::\"sampling/createMessage\", resource)
        unless { context.with_tools };";
    let policy = with(rules);
    let of = call(&world, &policy, everything());
    let released = |question: &Value| world.release(&policy, &of, asked(question)).map(|_| ());
    assert_eq!(released(&form("name")), Ok(()));
    assert_eq!(released(&page("https://login.trusted.example/")), Ok(()));
    assert_eq!(released(&sampling(false)), Ok(()));
    let refused = |question: &Value| match released(question) {
        Err(ForbidReason::Ask(no)) => (no.method, no.reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&page("https://trusted.example.evil.example/")), ("elicitation/create", ForbidReason::NoPermit));
    // Nothing permits them whatever they are, so they were not offered.
    assert_eq!(released(&sampling(true)), Err(ForbidReason::NotOffered));
    assert_eq!(released(&roots()), Err(ForbidReason::NotOffered));
    let basis = world.release(&policy, &of, asked(&form("name"))).unwrap().basis().clone();
    assert_eq!(basis.policies.iter().map(|id| &**id).collect::<Vec<_>>(), ["forms"]);
}

#[test]
fn what_the_client_did_not_declare_is_not_asked_whatever_policies_say() {
    let world = World::new();
    let policy = with(ALL);
    for (declared, question, good) in [
        (json!({"elicitation": {}}), form("name"), true),
        (json!({"elicitation": {}}), page("https://a.example/"), false),
        (json!({"elicitation": {"url": {}}}), form("name"), false),
        (json!({"sampling": {}}), sampling(false), true),
        (json!({"sampling": {}}), sampling(true), false),
        (json!({"sampling": {}}), roots(), false),
        (json!({"roots": {}}), roots(), true),
    ] {
        let of = call(&world, &policy, declared);
        let expected = if good { Ok(()) } else { Err(ForbidReason::NotOffered) };
        assert_eq!(world.release(&policy, &of, asked(&question)).map(|_| ()), expected, "{question}");
    }
}

#[test]
fn a_secret_by_form_and_a_page_that_is_not_safe_are_not_asked_though_policies_permit_it() {
    let world = World::new();
    let policy = with(ALL);
    let of = call(&world, &policy, everything());
    for question in [form("password"), page("http://a.example/"), page("https://user@a.example/")] {
        let refused = world.release(&policy, &of, asked(&question)).map(|_| ());
        assert!(matches!(&refused, Err(ForbidReason::Question(found)) if found.len() == 1), "{question}: {refused:?}");
    }
    let opens = |url: &str| {
        let data = json!({"elicitations": [page(url)["params"]]});
        let error = RpcError { code: -32042, message: "open this".into(), data: Some(wire(&data)) };
        world.release(&policy, &of, FromServer::End(Answer::Error(error))).map(|_| ())
    };
    assert_eq!(opens("https://a.example/"), Ok(()));
    assert!(matches!(opens("http://a.example/"), Err(ForbidReason::Question(_))));
}

#[test]
fn that_a_page_was_done_with_is_told_to_who_can_be_sent_to_one() {
    let world = World::new();
    let policy = with(ALL);
    for (declared, good) in [(json!({"elicitation": {"url": {}}}), true), (json!({"elicitation": {}}), false)] {
        let of = call(&world, &policy, declared);
        let notice = ServerNotice { kind: ServerNoticeKind::Elicited, params: wire(&json!({"elicitationId": "1"})) };
        let expected = if good { Ok(()) } else { Err(ForbidReason::NotTold) };
        assert_eq!(
            world
                .release(&policy, &of, FromServer::Notice { server: ServerId::parse("notes").unwrap(), notice })
                .map(|_| ()),
            expected
        );
    }
}

#[test]
fn what_a_task_requires_is_released_like_any_question_and_its_result_if_it_fits() {
    let world = World::new();
    let declared = json!({"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    let of = call(&world, &with(ALL), declared.clone());
    assert!(of.askable().tasks);
    let may_not = format!("{ALL}\nforbid(principal, action == Sekisho::Action::\"tasks/get\", resource);");
    assert!(!call(&world, &with(&may_not), declared).askable().tasks, "who may not ask for the result gets no task");
    assert!(!call(&world, &with(ALL), everything()).askable().tasks, "nor does who did not declare it");
    let released = |members: Value| {
        let mut said = json!({"taskId": "1"});
        members.as_object().unwrap().iter().for_each(|(key, value)| said[key] = value.clone());
        let task = task::read(Era::Modern, About::State, &wire(&said)).unwrap().unwrap();
        world.release(&with(ALL), &of, FromServer::Task(Box::new(task))).map(|_| ())
    };
    let asks = |question: Value| json!({"status": "input_required", "inputRequests": {"k": question}});
    assert_eq!(released(asks(form("name"))), Ok(()));
    assert!(matches!(released(asks(form("password"))), Err(ForbidReason::Question(_))));
    assert_eq!(released(asks(roots())), Err(ForbidReason::NotOffered));
    assert_eq!(released(json!({"status": "completed", "result": {"content": []}})), Ok(()));
    let opens = |url: &str| {
        let data = json!({"elicitations": [page(url)["params"]]});
        released(json!({"status": "failed", "error": {"code": -32042, "message": "open this", "data": data}}))
    };
    assert_eq!(opens("https://a.example/"), Err(ForbidReason::NotOffered), "an error that asks is a question");
}

#[test]
fn questions_that_are_asked_together_are_released_together_or_not_at_all() {
    let world = World::new();
    let policy = with(
        "permit(principal, action == Sekisho::Action::\"elicitation/create\", resource);
        permit(principal, action == Sekisho::Action::\"roots/list\", resource) when { context.era == \"modern\" };",
    );
    let of = call(&world, &policy, everything());
    let both = parked(&json!({"a": form("name"), "b": roots()}));
    assert!(world.release(&policy, &of, FromServer::Park(both)).is_ok());
    let third = parked(&json!({"a": form("name"), "b": roots(), "c": sampling(false)}));
    assert!(world.release(&policy, &of, FromServer::Park(third)).is_err());
    let secret = parked(&json!({"a": form("name"), "b": form("api_key")}));
    assert!(matches!(world.release(&policy, &of, FromServer::Park(secret)).err(), Some(ForbidReason::Question(_))));
}

#[test]
fn only_calls_reads_and_prompts_wait_for_input() {
    let world = World::new();
    let policy = with(ALL);
    for (method, params, waits) in [
        ("tools/call", json!({"name": "notes__add_note", "arguments": {}}), true),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "notes__summarize"},
            "argument": {"name": "style", "value": "s"}}),
            false,
        ),
    ] {
        let of = world.decide(&policy, world.modern_able(&alice(), method, params, everything())).unwrap();
        let released = world.release(&policy, &of, FromServer::Park(parked(&json!({"a": roots()}))));
        assert_eq!(released.is_ok(), waits, "{method}");
    }
}

#[test]
fn an_answer_reaches_the_server_if_it_may_ask_still_and_the_answer_fits() {
    let world = World::new();
    let policy = with(ALL);
    let of = call(&world, &policy, everything());
    let Inbound::Request(request) = of.addressed().message().message() else { panic!("a request") };
    let parking = Parking { endpoint: &Endpoint::All, who: of.facts().who.key(), call: request.call() };
    let required = parked(&json!({"a": form("name")}));
    let server = ServerId::parse("notes").unwrap();
    let comes_again = |policy: &Policy, answer: Value| {
        let state = world.catalog.park(parking, &server, &required, SystemTime::now()).unwrap();
        let responses = json!({"a": answer, "unasked": {"action": "accept"}});
        let params =
            json!({"name": "notes__add_note", "arguments": {}, "requestState": state, "inputResponses": responses});
        world.decide(policy, world.modern_able(&alice(), "tools/call", params, everything()))
    };
    let good = json!({"action": "accept", "content": {"name": "n"}});
    let permitted = comes_again(&policy, good.clone()).unwrap_or_else(|no| panic!("{no:?}"));
    let Target::One(route) = permitted.addressed().target() else { panic!("one server") };
    let input = route.input().unwrap();
    assert_eq!(input.state(), Some("theirs"));
    assert_eq!(input.responses().unwrap(), wire(&json!({"a": good})), "what nobody asked for is dropped");
    assert!(permitted.basis().policies.iter().any(|id| &**id == "ask"));
    let unfit = comes_again(&policy, json!({"action": "accept", "content": {"name": 1}})).err().unwrap();
    assert!(matches!(unfit.reason, ForbidReason::Arguments(_)), "{:?}", unfit.reason);
    assert_eq!(comes_again(&with(""), good).err().unwrap().reason, ForbidReason::NoPermit, "no longer permitted");
}

#[test]
fn a_reply_is_decided_like_the_question() {
    let world = World::new();
    let policy = with(ALL);
    let reply = |policy: &Policy, answer: Value| {
        let FromServer::Ask(question) = asked(&form("name")) else { panic!("a question") };
        let (message, _open) = world.reply(&alice(), "notes", &question, &answer);
        world.decide(policy, message).map(|_| ()).map_err(|no| no.reason)
    };
    let good = json!({"action": "accept", "content": {"name": "n"}});
    assert_eq!(reply(&policy, good.clone()), Ok(()));
    assert_eq!(reply(&with(""), good), Err(ForbidReason::NoPermit));
    assert!(matches!(reply(&policy, json!({"action": "accept"})), Err(ForbidReason::Arguments(_))));
    assert_eq!(reply(&policy, json!({"action": "decline"})), Ok(()));
}

#[test]
fn an_error_in_place_of_an_answer_says_no_more_than_that_there_is_none() {
    let world = World::new();
    let FromServer::Ask(question) = asked(&form("name")) else { panic!("a question") };
    let error = json!({"code": -1, "message": "no\u{200b}", "data": {"name": "what no form was asked for"}});
    let (message, _open) = world.reply(&alice(), "notes", &question, &error);
    let permitted = world.decide(&with(ALL), message).unwrap_or_else(|no| panic!("{no:?}"));
    let Target::Reply(reply) = permitted.addressed().target() else { panic!("a reply") };
    let Answer::Error(error) = reply.answer() else { panic!("an error") };
    assert!(error.code == -1 && error.data.is_none() && !error.message.contains('\u{200b}'), "{error:?}");
}
