use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sekisho_wire::message::Meta;
use sekisho_wire::{Answer, Askable, Era, Version};
use tokio::time::{Instant, timeout};

use super::site::{Listening, Reply, Seen};
use super::support::*;
use crate::allowance::{ASKS_MAX, INTERIM_BYTES_MAX, NOTICES_MAX};
use crate::ask::{Ask, Heard, Question};
use crate::error::Fault;
use crate::link::{Link, Way};
use crate::probe::{Eras, probe};

fn modern(way: &Way) -> Link {
    Link::modern(way, Version::V2026_07_28, None).unwrap()
}

async fn ask(link: &Link, deadline: Duration) -> Result<Answer, Fault> {
    start_by(link, "echo", &Meta::default(), Instant::now() + deadline).await?.answer().await
}

/// Asks a modern server that answers everything alike.
async fn asked(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Result<Answer, Fault> {
    let ground = Ground::new();
    let site = Listening::start(answer).await;
    ask(&modern(&site.way(&ground)), Duration::from_secs(5)).await
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), wait).await.expect("in time");
}

#[tokio::test]
async fn a_modern_request_carries_the_headers_of_the_list_and_no_other() {
    let ground = Ground::new();
    let site = Listening::start(|seen| Reply::json(200, &seen.text("hi"))).await;
    let link = modern(&site.way(&ground));
    let schema = json(r#"{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"Count"}}}"#);
    let call = sekisho_wire::Call::CallTool { name: "メモ".into(), arguments: json(r#"{"n":15}"#) };
    let meta = Meta::default();
    let question = Question { call: &call, schema: Some(&schema), input: None };
    let mut flight = link.ask(&Ask::call(question, &meta, Askable::default(), link.version()), soon()).await.unwrap();
    assert_eq!(words(flight.answer().await.unwrap()), "hi");
    let seen = site.seen().remove(0);
    let mut names: Vec<&str> = seen.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort();
    let expected = ["accept", "content-length", "content-type", "host", "mcp-method", "mcp-name", "mcp-param-count"];
    assert_eq!(names, [&expected[..], &["mcp-protocol-version", "user-agent", "x-api-key"]].concat());
    assert_eq!(seen.header("mcp-method"), "tools/call");
    assert_eq!(seen.header("mcp-name"), "=?base64?44Oh44Oi?=");
    assert_eq!(seen.header("mcp-param-count"), "15");
    assert_eq!(seen.header("mcp-protocol-version"), "2026-07-28");
    assert!(seen.body.unwrap().as_str().contains(r#""arguments":{"n":15}"#));
}

#[tokio::test]
async fn a_legacy_session_is_opened_used_and_ended_with_the_servers_own_id() {
    let ground = Ground::new();
    let site =
        Listening::start(|seen| seen.handshake("abc!~").unwrap_or_else(|| Reply::json(200, &seen.text("hi")))).await;
    let link = legacy(&site.way(&ground)).await;
    assert_eq!(call(&link, "echo").await, "hi");
    drop(link);
    ground.tasks.finish(Duration::from_secs(5)).await;
    let methods = ["POST initialize", "POST notifications/initialized", "POST tools/call", "DELETE "];
    assert_eq!(site.methods(), methods);
    let seen = site.seen();
    assert_eq!(
        seen.iter().map(|seen| seen.header("mcp-session-id")).collect::<Vec<_>>(),
        ["", "abc!~", "abc!~", "abc!~"]
    );
    let versions: Vec<&str> = seen.iter().map(|seen| seen.header("mcp-protocol-version")).collect();
    assert_eq!(versions, ["", "2025-11-25", "2025-11-25", "2025-11-25"]);
    assert_eq!(seen.iter().map(Seen::id).collect::<Vec<_>>(), ["1", "null", "2", "null"], "ids are used once");
    assert!(seen.iter().all(|seen| seen.header("mcp-method").is_empty()));
}

#[tokio::test]
async fn a_session_id_that_is_not_visible_ascii_is_refused_and_none_is_fine() {
    let ground = Ground::new();
    for (session, good) in [("a b", false), ("\u{e9}", false), (&*"x".repeat(1025), false), (&*"x".repeat(1024), true)]
    {
        let session = session.to_owned();
        let site = Listening::start(move |seen| seen.handshake(&session).unwrap()).await;
        assert_eq!(Link::legacy(&site.way(&ground), hello(), None, soon()).await.is_ok(), good);
    }
}

#[tokio::test]
async fn notices_on_the_stream_come_before_the_answer_and_only_those_of_this_request() {
    let ground = Ground::new();
    let site = Listening::start(|seen| {
        let progress = |token: &str| {
            let params = format!(r#"{{"progressToken":{token},"progress":0.50}}"#);
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#)
        };
        let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned();
        Reply::events(&[progress(&seen.id()), progress("99"), progress("\"1\""), changed, seen.text("done")])
    })
    .await;
    let link = modern(&site.way(&ground));
    let mut flight = start(&link, "echo", &with_token("theirs")).await;
    let expected = [r#"notifications/progress {"progressToken":"theirs","progress":0.50}"#, "done"];
    assert_eq!(heard(&mut flight).await, expected);
}

#[tokio::test]
async fn that_a_page_was_done_with_is_heard_on_the_stream_of_a_call() {
    let ground = Ground::new();
    let site = Listening::start(|seen| {
        let done = r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}"#;
        seen.handshake("s").unwrap_or_else(|| Reply::events(&[done.to_owned(), seen.text("done")]))
    })
    .await;
    let link = legacy(&site.way(&ground)).await;
    let expected = [r#"notifications/elicitation/complete {"elicitationId":"e"}"#, "done"];
    assert_eq!(heard(&mut start(&link, "echo", &Meta::default()).await).await, expected);
}

#[tokio::test]
async fn an_answer_with_another_id_or_type_of_id_is_none_and_is_noted() {
    let ground = Ground::new();
    let site = Listening::start(|seen| {
        let other = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete"}}}}"#);
        Reply::events(&[other("77"), other("\"1\""), seen.text("mine"), seen.text("again")])
    })
    .await;
    assert_eq!(call(&modern(&site.way(&ground)), "echo").await, "mine");
    let log = ground.log().await;
    assert!(log.matches("it sent an answer to no request").count() >= 2, "{log}");
    let fault = asked(|_| Reply::json(200, r#"{"jsonrpc":"2.0","id":"1","result":{}}"#)).await.unwrap_err();
    assert!(matches!(fault, Fault::Garbled(_)), "{fault:?}");
}

#[tokio::test]
async fn errors_of_the_protocol_with_an_error_status_are_answers_and_other_bodies_are_not() {
    for status in [400, 404] {
        let answer = asked(move |seen| {
            let error = r#"{"code":-32020,"message":"header mismatch"}"#;
            Reply::json(status, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, seen.id()))
        });
        assert!(matches!(answer.await, Ok(Answer::Error(error)) if error.code == -32020));
        let without_id =
            asked(move |_| Reply::json(status, r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"x"}}"#));
        assert!(matches!(without_id.await, Ok(Answer::Error(error)) if error.code == -32700));
    }
    let fault = asked(|seen| Reply::json(400, &seen.text("a result"))).await.unwrap_err();
    assert!(matches!(fault, Fault::Garbled(_)), "{fault:?}");
    let fault = asked(|_| Reply::json(500, "{\"oops\":1}")).await.unwrap_err();
    assert!(matches!(fault, Fault::Unreachable(_)), "{fault:?}");
}

#[tokio::test]
async fn a_refused_credential_is_told_apart_and_a_redirect_is_not_followed() {
    let ground = Ground::new();
    for status in [401, 403] {
        let fault = asked(move |_| Reply::json(status, r#"{"jsonrpc":"2.0","error":{"code":1,"message":"x"}}"#))
            .await
            .unwrap_err();
        assert!(matches!(fault, Fault::Denied(_)), "{fault:?}");
    }
    let elsewhere = Listening::start(|seen| Reply::json(200, &seen.text("stolen"))).await;
    let target = elsewhere.url.to_string();
    let site = Listening::start(move |_| Reply::status(307).with("location", &target)).await;
    let fault = ask(&modern(&site.way(&ground)), Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(fault, Fault::Unreachable(_)), "{fault:?}");
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn what_is_no_mcp_answer_is_garbled() {
    let html = asked(|_| Reply::status(200).with("content-type", "text/html")).await;
    assert!(matches!(html, Err(Fault::Garbled(_))), "{html:?}");
    let accepted = asked(|_| Reply::status(202)).await;
    assert!(matches!(accepted, Err(Fault::Garbled(_))), "{accepted:?}");
    let twice =
        asked(|seen| Reply::json(200, &format!(r#"{{"jsonrpc":"2.0","id":{0},"id":{0},"result":{{}}}}"#, seen.id())))
            .await;
    assert!(matches!(twice, Err(Fault::Garbled(_))), "{twice:?}");
    let request = asked(|_| Reply::events(&[r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_owned()])).await;
    assert!(matches!(request, Err(Fault::Garbled(_))), "{request:?}");
}

#[tokio::test]
async fn an_answer_at_the_size_bound_is_taken_and_a_longer_one_is_not() {
    let sized = |length: usize| {
        move |seen: &Seen| {
            let frame = seen.text("").len();
            Reply::json(200, &seen.text(&"x".repeat(length - frame)))
        }
    };
    assert!(asked(sized(100_000)).await.is_ok());
    assert!(matches!(asked(sized(100_001)).await, Err(Fault::Garbled(_))));
    let event = asked(|seen| Reply::events(&[seen.text(&"x".repeat(100_001))])).await;
    assert!(matches!(event, Err(Fault::Garbled(_))), "{event:?}");
}

#[tokio::test]
async fn a_stream_that_ends_or_stalls_before_the_answer_ends_the_exchange() {
    let ended = asked(|_| Reply::events(&[])).await;
    assert!(matches!(ended, Err(Fault::Ended(_))), "{ended:?}");
    let ground = Ground::new();
    for reply in [|| Reply::events(&[]).hold(), || Reply::json(200, "{").hold()] {
        let site = Listening::start(move |_| reply()).await;
        let stalled = ask(&modern(&site.way(&ground)), Duration::from_millis(200)).await;
        assert!(matches!(stalled, Err(Fault::TimedOut(_))), "{stalled:?}");
    }
}

#[tokio::test]
async fn dropping_a_modern_request_closes_its_stream_and_a_legacy_one_is_cancelled_by_name() {
    let ground = Ground::new();
    let answer = |seen: &Seen| seen.handshake("s").unwrap_or_else(|| Reply::events(&[]).hold());
    let site = Listening::start(answer).await;
    drop(start(&modern(&site.way(&ground)), "echo", &Meta::default()).await);
    timeout(Duration::from_secs(5), site.left.subscribe().wait_for(|left| *left == 1)).await.unwrap().unwrap();
    assert_eq!(site.methods(), ["POST tools/call"]);

    let site = Listening::start(answer).await;
    let link = legacy(&site.way(&ground)).await;
    drop(start(&link, "echo", &Meta::default()).await);
    until(|| site.methods().last().is_some_and(|last| last == "POST notifications/cancelled")).await;
    let body = site.seen().pop().unwrap().body.unwrap();
    assert_eq!(body.get("params").unwrap().get("requestId").unwrap().as_str(), "2");
}

#[tokio::test]
async fn a_caller_who_leaves_while_the_server_thinks_cancels_too() {
    let ground = Ground::new();
    let site = Listening::start(|seen| seen.handshake("s").unwrap_or_else(|| Reply::json(200, "{").hold())).await;
    let link = legacy(&site.way(&ground)).await;
    assert!(timeout(Duration::from_millis(200), start(&link, "echo", &Meta::default())).await.is_err());
    until(|| site.methods().iter().any(|method| method == "POST notifications/cancelled")).await;
}

#[tokio::test]
async fn a_legacy_request_that_times_out_is_cancelled_and_one_that_was_refused_is_not() {
    let ground = Ground::new();
    let site = Listening::start(|seen| seen.handshake("s").unwrap_or_else(|| Reply::events(&[]).hold())).await;
    let link = legacy(&site.way(&ground)).await;
    assert!(matches!(ask(&link, Duration::from_millis(100)).await, Err(Fault::TimedOut(_))));
    until(|| site.methods().iter().any(|method| method == "POST notifications/cancelled")).await;

    let site = Listening::start(|seen| seen.handshake("s").unwrap_or_else(|| Reply::status(401))).await;
    let link = legacy(&site.way(&ground)).await;
    assert!(matches!(ask(&link, Duration::from_secs(5)).await, Err(Fault::Denied(_))));
    drop(link);
    ground.tasks.finish(Duration::from_secs(5)).await;
    assert!(!site.methods().iter().any(|method| method == "POST notifications/cancelled"));
}

#[tokio::test]
async fn a_session_id_in_another_answer_than_the_opening_has_no_meaning() {
    assert!(asked(|seen| Reply::json(200, &seen.text("hi")).with("mcp-session-id", "a b")).await.is_ok());
}

#[tokio::test]
async fn a_lost_session_is_told_apart_and_the_connection_is_over() {
    let ground = Ground::new();
    let calls = AtomicUsize::new(0);
    let site = Listening::start(move |seen| {
        seen.handshake("s").unwrap_or_else(|| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::json(200, &seen.text("hi")),
            _ => {
                Reply::json(404, r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#)
            }
        })
    })
    .await;
    let link = legacy(&site.way(&ground)).await;
    assert!(ask(&link, Duration::from_secs(5)).await.is_ok());
    assert!(matches!(ask(&link, Duration::from_secs(5)).await, Err(Fault::SessionLost)));
    assert!(link.is_over());
}

#[tokio::test]
async fn a_servers_question_on_the_stream_is_heard_and_declined_and_what_is_none_is_answered_by_us() {
    let ground = Ground::new();
    let site = Listening::start(|seen| {
        seen.handshake("s").unwrap_or_else(|| match seen.method().as_str() {
            "tools/call" => {
                let asks = |id: &str, method: &str| format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"{method}"}}"#);
                let all = [("q", "roots/list"), ("r", "tools/list"), ("s", "elicitation/create"), ("t", "ping")];
                let all = all.into_iter().map(|(id, method)| asks(id, method)).chain([seen.text("done")]);
                Reply::events(&all.collect::<Vec<_>>())
            }
            _ => Reply::status(202),
        })
    })
    .await;
    let link = legacy(&site.way(&ground)).await;
    let mut flight = start(&link, "echo", &Meta::default()).await;
    let Heard::Ask(asked) = flight.next().await.unwrap() else { panic!("a question") };
    assert_eq!(asked.request.kind.method(), "roots/list");
    flight.decline(&asked.id);
    assert_eq!(heard(&mut flight).await, ["done"]);
    let answers = || site.seen().into_iter().filter(|seen| seen.verb == "POST" && seen.method().is_empty());
    until(|| answers().count() == 4).await;
    let mut bodies: Vec<String> = answers().map(|seen| seen.body.unwrap().as_str().to_owned()).collect();
    bodies.sort();
    for (body, id, said) in [(0, "q", "-1"), (1, "r", "-32601"), (2, "s", "-32602"), (3, "t", r#""result":{}"#)] {
        assert!(bodies[body].contains(said) && bodies[body].contains(&format!(r#""id":"{id}""#)), "{bodies:?}");
    }
}

#[tokio::test]
async fn probing_tells_a_dual_a_legacy_and_a_modern_server_apart() {
    let ground = Ground::new();
    let discover = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{}}"#;
    let dual = Listening::start(move |seen| seen.handshake("s").unwrap_or_else(|| seen.result(discover))).await;
    let legacy_only = Listening::start(|seen| {
        let error = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Server not initialized"},"id":null}"#;
        seen.handshake("s").unwrap_or_else(|| Reply::json(400, error))
    })
    .await;
    let modern_only = Listening::start(move |seen| match seen.method().as_str() {
        "server/discover" => seen.result(discover),
        _ => Reply::status(400),
    })
    .await;
    let unknown_version = Listening::start(|seen| {
        let error = r#"{"code":-32022,"message":"unsupported","data":{"supported":["2027-01-01"]}}"#;
        Reply::json(400, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, seen.id()))
    })
    .await;
    let both = [Era::Legacy, Era::Modern];
    for (site, eras) in [(&dual, &both[..]), (&legacy_only, &both[..1]), (&modern_only, &both[1..])] {
        let offer = probe(&site.way(&ground), Eras::Both, Duration::from_secs(5), |_| ()).await.unwrap();
        assert_eq!(offer.eras(), eras);
    }
    let why = probe(&unknown_version.way(&ground), Eras::Both, Duration::from_secs(5), |_| ()).await.unwrap_err();
    assert!(why.contains("-32022"), "{why}");
    ground.tasks.finish(Duration::from_secs(5)).await;
    assert!(dual.methods().contains(&"DELETE ".to_owned()), "the probe's session is ended");
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let ground = Ground::new();
    let mut site = Listening::start(|_| Reply::status(200)).await;
    site.url.set_port(Some(1)).unwrap();
    let fault = ask(&modern(&site.way(&ground)), Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(fault, Fault::Unreachable(_)), "{fault:?}");
}

#[tokio::test]
async fn ids_and_progress_tokens_of_modern_requests_are_used_once() {
    let ground = Ground::new();
    let site = Listening::start(|seen| Reply::json(200, &seen.text("hi"))).await;
    let way = site.way(&ground);
    for _ in 0..3 {
        let mut flight = start(&modern(&way), "echo", &with_token("theirs")).await;
        flight.answer().await.unwrap();
    }
    let token = |seen: &Seen| {
        let meta = seen.body.as_ref().and_then(|body| body.get("params")?.get("_meta")).unwrap();
        meta.get("progressToken").unwrap().as_str().to_owned()
    };
    assert_eq!(site.seen().iter().map(Seen::id).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(site.seen().iter().map(token).collect::<Vec<_>>(), ["1", "2", "3"]);
}

#[tokio::test]
async fn notices_and_requests_before_an_answer_are_passed_on_up_to_their_bounds_and_the_first_beyond_is_noted() {
    let ground = Ground::new();
    let site = Listening::start(|seen| {
        seen.handshake("s").unwrap_or_else(|| match seen.method().as_str() {
            "tools/call" => {
                let log = |data: &str| {
                    let params = format!(r#"{{"level":"info","data":"{data}"}}"#);
                    format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{params}}}"#)
                };
                let ask = r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#.to_owned();
                let framed = log("").len();
                let mut said = vec![
                    log(&"x".repeat(INTERIM_BYTES_MAX - framed + 1)),
                    log(&"x".repeat(INTERIM_BYTES_MAX - framed)),
                ];
                said.extend((0..NOTICES_MAX).map(|_| log("")));
                said.extend((0..=ASKS_MAX).map(|_| ask.clone()));
                said.push(seen.text("done"));
                Reply::events(&said)
            }
            _ => Reply::status(202),
        })
    })
    .await;
    let link = legacy(&site.way(&ground)).await;
    let heard = heard(&mut start(&link, "echo", &Meta::default()).await).await;
    let count = |begins: &str| u32::try_from(heard.iter().filter(|words| words.starts_with(begins)).count()).unwrap();
    assert_eq!((count("notifications/message"), count("asks")), (NOTICES_MAX, ASKS_MAX));
    assert!(heard.first().unwrap().len() > INTERIM_BYTES_MAX / 2, "one at the bound passes");
    assert_eq!(heard.last().unwrap(), "done");
    drop(link);
    let log = ground.log().await;
    assert_eq!(log.matches("it says more before its answer than is passed on").count(), 1, "{log}");
    let answers = site.seen().into_iter().filter(|seen| seen.verb == "POST" && seen.method().is_empty());
    assert_eq!(answers.count(), 0, "whoever hears a question answers it");
}
