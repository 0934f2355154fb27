use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sekisho_identity::Authenticated;
use sekisho_wire::message::Meta;
use sekisho_wire::server::{AskedOn, ServerRequest};
use sekisho_wire::{Answer, Askable, Era, Filter, FromServer, Id, Inbound, ListKind, ServerId, input};
use tokio::time::{Instant, sleep};

use super::rooms::{House, session_of};
use super::site::{Listening, Reply};
use super::support::{is_gone, legacy, soon, start_by, words};
use crate::caller::Caller;
use crate::config::Config;
use crate::error::{Fault, SendError};
use crate::exchange::{Wanted, gather};
use crate::listening::{Ear, Listening as Ears};

const ONE: &str = "[servers.one]\ncommand = ['python3', 'SCRIPT', 'both']\n";

fn id(name: &str) -> ServerId {
    ServerId::parse(name).unwrap()
}

#[tokio::test]
async fn a_process_serves_one_session_or_one_principal_and_nobody_else() {
    let house = House::new(ONE);
    let (first, second) = (house.legacy("ann").await, house.legacy("ann").await);
    let first_pid = house.call("one", "pid", &first).await.unwrap();
    assert_eq!(house.call("one", "pid", &first).await.unwrap(), first_pid);
    assert_ne!(house.call("one", "pid", &second).await.unwrap(), first_pid);
    let (ann, bob) = (house.modern("ann").await, house.modern("bob").await);
    let ann_pid = house.call("one", "pid", &ann).await.unwrap();
    assert_eq!(house.call("one", "pid", &house.modern("ann").await).await.unwrap(), ann_pid);
    assert_ne!(house.call("one", "pid", &bob).await.unwrap(), ann_pid);
    assert_ne!(ann_pid, first_pid);
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_session_that_ends_takes_its_process_along_and_no_other() {
    let house = House::new(ONE);
    let (first, second) = (house.legacy("ann").await, house.legacy("ann").await);
    let first_pid = house.call("one", "pid", &first).await.unwrap();
    let second_pid = house.call("one", "pid", &second).await.unwrap();
    house.upstream.end_session(session_of(&first)).await;
    assert!(is_gone(&first_pid, Duration::from_secs(3)).await);
    assert_eq!(house.call("one", "pid", &second).await.unwrap(), second_pid);
    house.upstream.shutdown().await;
    assert!(is_gone(&second_pid, Duration::ZERO).await, "a shutdown leaves no process");
}

#[tokio::test]
async fn connections_are_bounded_for_all_and_for_each_principal_and_come_back() {
    let house = House::new(&format!("{ONE}connections_max = 3\nper_principal_max = 2\n"));
    let (first, second, third) = (house.legacy("ann").await, house.legacy("ann").await, house.legacy("ann").await);
    house.call("one", "pid", &first).await.unwrap();
    house.call("one", "pid", &second).await.unwrap();
    assert!(matches!(house.call("one", "pid", &third).await, Err(SendError::Busy(_))));
    house.call("one", "pid", &house.modern("bob").await).await.unwrap();
    assert!(matches!(house.call("one", "pid", &house.modern("cid").await).await, Err(SendError::Busy(_))));
    house.upstream.end_session(session_of(&first)).await;
    call_when_free(&house, &third).await;
    house.upstream.shutdown().await;
}

/// Calls until the place of a connection that has ended is free.
async fn call_when_free(house: &House, caller: &Authenticated<Inbound>) {
    let until = Instant::now() + Duration::from_secs(10);
    while let Err(SendError::Busy(_)) = house.call("one", "pid", caller).await {
        assert!(Instant::now() < until, "in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_process_counts_until_it_is_gone_and_not_only_until_it_is_let_go() {
    let house = House::new("[servers.one]\ncommand = ['python3', 'SCRIPT', 'lingers']\nper_principal_max = 1\n");
    let (first, second) = (house.legacy("ann").await, house.legacy("ann").await);
    let pid = house.call("one", "pid", &first).await.unwrap();
    house.upstream.end_session(session_of(&first)).await;
    assert!(!is_gone(&pid, Duration::ZERO).await);
    assert!(matches!(house.call("one", "pid", &second).await, Err(SendError::Busy(_))));
    assert_eq!(house.upstream.status().remove(0).connections, 1);
    assert!(is_gone(&pid, Duration::from_secs(5)).await);
    call_when_free(&house, &second).await;
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_process_that_is_being_stopped_counts_beside_the_one_that_follows_it() {
    let house = House::new("[servers.one]\ncommand = ['python3', 'SCRIPT', 'lingers']\nper_principal_max = 1\n");
    let ann = house.modern("ann").await;
    let pid = house.call("one", "pid", &ann).await.unwrap();
    // It is stopped for what it says, and sleeps.
    assert!(matches!(house.call("one", "flood", &ann).await, Err(SendError::Ended(_))));
    assert!(matches!(house.call("one", "pid", &ann).await, Err(SendError::Busy(_))));
    assert!(is_gone(&pid, Duration::from_secs(5)).await);
    call_when_free(&house, &ann).await;
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_server_that_is_slow_to_say_that_it_speaks_an_era_is_asked_again() {
    let asked = AtomicUsize::new(0);
    let site = Listening::start(move |seen| match (seen.handshake("s"), seen.method().as_str()) {
        (Some(reply), _) => reply,
        (None, "server/discover") if asked.fetch_add(1, Ordering::SeqCst) == 0 => Reply::json(200, "{").hold(),
        (None, _) => seen.result(r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#),
    })
    .await;
    let house = House::with(&format!("[servers.one]\nurl = '{}'\n", site.url), &Config::default()).unwrap();
    house.upstream.settle(Duration::from_secs(10)).await;
    assert_eq!(house.upstream.status().remove(0).eras, [Era::Legacy], "as far as is known");
    let until = Instant::now() + Duration::from_secs(10);
    while house.upstream.status().remove(0).eras != [Era::Legacy, Era::Modern] {
        assert!(Instant::now() < until, "in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_stalled_server_has_its_own_short_time_in_a_list_of_many_and_hides_no_other() {
    let answers = |stalls: bool| {
        Listening::start(move |seen| match seen.method().as_str() {
            "tools/list" if stalls => Reply::json(200, "{").hold(),
            "tools/list" => seen.result(r#"{"tools":[{"name":"a"}]}"#),
            _ => seen.result(r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#),
        })
    };
    let (good, stalled) = (answers(false).await, answers(true).await);
    let servers = format!("[servers.good]\nurl = '{}'\n[servers.stalled]\nurl = '{}'\n", good.url, stalled.url);
    // The server's own time is a minute.
    let house = House::with(&servers, &Config { list_timeout_seconds: 1, ..Config::default() }).unwrap();
    house.upstream.settle(Duration::from_secs(10)).await;
    let caller = Caller::of(&house.modern("ann").await).unwrap();
    let wanted = ["good", "stalled"].map(|name| Wanted {
        server: id(name),
        peer: house.upstream.peer(&id(name)),
        cursor: None,
        askable: Askable::default(),
    });
    let listing = gather(caller, ListKind::Tools, wanted.into());
    let items = tokio::time::timeout(Duration::from_secs(10), listing).await.expect("in a short time");
    assert_eq!(items.entries.len(), 1);
    assert_eq!(items.missing.len(), 1);
    assert_eq!(items.missing[0].0.as_str(), "stalled");
    assert!(items.missing[0].1.contains("in time"), "{:?}", items.missing);
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_server_cannot_pose_as_the_gateway_with_its_error_codes() {
    let house = House::new(ONE);
    let ann = house.modern("ann").await;
    for (tool, code, has_data) in [("pose", -32603, false), ("refuse", -32000, true)] {
        let mut course = house.start("one", tool, &ann).await.unwrap();
        let Some(Ok(FromServer::End(Answer::Error(error)))) = course.next().await else { panic!("an error") };
        assert_eq!((error.code, error.data.is_some()), (code, has_data));
    }
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_connection_that_is_not_used_is_closed_and_one_in_use_is_not() {
    let house = House::new(&format!("{ONE}idle_seconds = 1\n"));
    let (idle, busy) = (house.modern("ann").await, house.modern("bob").await);
    let idle_pid = house.call("one", "pid", &idle).await.unwrap();
    let busy_pid = house.call("one", "pid", &busy).await.unwrap();
    let under_way = house.start("one", "never", &busy).await.unwrap();
    assert!(is_gone(&idle_pid, Duration::from_secs(5)).await);
    assert!(!is_gone(&busy_pid, Duration::ZERO).await);
    drop(under_way);
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_process_that_ended_is_started_again_at_once_and_a_crash_loop_has_pauses() {
    let house = House::new(ONE);
    let ann = house.modern("ann").await;
    let pid = house.call("one", "pid", &ann).await.unwrap();
    assert!(matches!(house.call("one", "exit", &ann).await, Err(SendError::Ended(_))));
    assert_ne!(house.call("one", "pid", &ann).await.unwrap(), pid);
    assert_eq!(house.upstream.status().remove(0).restarts, 1);
    let mut refused = 0;
    for _ in 0..4 {
        match house.call("one", "exit", &ann).await {
            Err(SendError::Unreachable(trouble)) if trouble.why().contains("failed before") => refused += 1,
            other => assert!(matches!(other, Err(SendError::Ended(_))), "{other:?}"),
        }
    }
    assert!(refused >= 1);
    house.call("one", "pid", &house.modern("bob").await).await.expect("one principal's crashes are no other's");
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn the_last_line_of_the_error_stream_of_a_server_that_ends_is_kept_and_cannot_steer_a_terminal() {
    let house = House::new(
        "[servers.sad]\ncommand = ['sh', '-c', 'echo first >&2; printf \"no \\\\033[2Jkey\\\\n\\\\n\" >&2']\ndangerous_launch = ['sh -c']\n",
    );
    house.upstream.settle(Duration::from_secs(5)).await;
    let mut last = None;
    for _ in 0..100 {
        last = house.upstream.status().remove(0).last_line;
        if last.as_deref().is_some_and(|line| line.contains("key")) {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    let last = last.expect("a line");
    assert!(last.starts_with("no ") && last.ends_with("key") && !last.contains('\u{1b}'), "{last}");
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_server_that_is_down_says_why_and_is_found_when_it_comes_up() {
    let house = House::new("[servers.late]\ncommand = ['./late']\n");
    house.upstream.settle(Duration::from_secs(5)).await;
    let status = house.upstream.status().remove(0);
    assert!(!status.up && status.eras.is_empty());
    assert!(status.trouble.unwrap().contains("cannot be started"));
    assert_eq!(status.last_line, None, "nothing ran that could have written");
    assert!(house.upstream.offer(&id("late")).is_none());
    let ann = house.modern("ann").await;
    assert!(matches!(house.call("late", "pid", &ann).await, Err(SendError::Unreachable(_))));

    let program = format!("#!/bin/sh\nexec python3 {}\n", house.ground.script());
    let (path, made) = (house.ground.folder.path().join("late"), house.ground.folder.path().join("made"));
    std::fs::write(&made, program).unwrap();
    std::fs::set_permissions(&made, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::rename(made, path).unwrap();
    let up = async {
        while house.upstream.offer(&id("late")).is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), up).await.unwrap();
    assert!(house.call("late", "pid", &ann).await.is_ok());
    house.upstream.shutdown().await;
    let log = house.ground.log().await;
    assert!(log.contains("the server is down") && log.contains("the server is up"), "{log}");
}

#[tokio::test]
async fn nothing_is_translated_between_eras() {
    let house = House::new("[servers.old]\ncommand = ['python3', 'SCRIPT', 'legacy']\n");
    let refused = house.call("old", "pid", &house.modern("ann").await).await;
    assert!(
        matches!(&refused, Err(SendError::WrongEra(trouble)) if trouble.why() == "it speaks legacy only"),
        "{refused:?}"
    );
    assert!(house.call("old", "pid", &house.legacy("ann").await).await.is_ok());
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_list_of_many_has_what_answers_and_says_what_is_missing() {
    let slow = Listening::start(|seen| match seen.method().as_str() {
        "tools/list" => Reply::json(200, "{").hold(),
        _ => seen.result(r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#),
    })
    .await;
    let toolless = Listening::start(|seen| match seen.method().as_str() {
        "server/discover" => seen.result(r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#),
        _ => Reply::json(
            404,
            &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32601,"message":"x"}}}}"#, seen.id()),
        ),
    })
    .await;
    let house = House::new(&format!(
        "[servers.b-good]\ncommand = ['python3', 'SCRIPT', 'both']\n[servers.a-good]\ncommand = ['python3', 'SCRIPT', 'modern']\n\
         [servers.dead]\ncommand = ['/nonexistent/x']\n[servers.old]\ncommand = ['python3', 'SCRIPT', 'legacy']\n\
         [servers.slow]\nurl = '{}'\ntimeout_seconds = 1\n[servers.toolless]\nurl = '{}'\n",
        slow.url, toolless.url
    ));
    house.upstream.settle(Duration::from_secs(10)).await;
    let caller = Caller::of(&house.modern("ann").await).unwrap();
    let servers = ["b-good", "slow", "dead", "a-good", "old", "toolless", "gone"];
    let wanted = servers.map(|name| Wanted {
        server: id(name),
        peer: house.upstream.peer(&id(name)),
        cursor: None,
        askable: Askable::default(),
    });
    let items = gather(caller, ListKind::Tools, wanted.into()).await;
    let names: Vec<&str> = items.entries.iter().map(|item| item.server.as_str()).collect();
    assert_eq!(names, ["a-good", "b-good"]);
    let next: Vec<(&str, &str)> = items.next.iter().map(|(server, cursor)| (server.as_str(), &**cursor)).collect();
    assert_eq!(next, [("a-good", "1"), ("b-good", "1")]);
    let missing: Vec<&str> = items.missing.iter().map(|(server, _)| server.as_str()).collect();
    assert_eq!(missing, ["dead", "gone", "old", "slow"]);
    assert_eq!(&*items.missing[2].1, "it speaks legacy only");
    assert_eq!(items.ttl_ms, Some(1000));
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn the_gateways_own_listing_has_all_pages_and_is_shared() {
    let lists = Arc::new(AtomicUsize::new(0));
    let counted = lists.clone();
    let site = Listening::start(move |seen| match seen.method().as_str() {
        "tools/list" => {
            counted.fetch_add(1, Ordering::SeqCst);
            let cursor =
                seen.body.as_ref().and_then(|body| body.get("params")?.get("cursor")?.string().map(|c| c.into_owned()));
            let next = if cursor.is_none() { r#","nextCursor":"two""# } else { "" };
            seen.result(&format!(r#"{{"tools":[{{"name":"{}"}}]{next}}}"#, cursor.as_deref().unwrap_or("one")))
        }
        _ => seen.result(r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#),
    })
    .await;
    let house = House::new(&format!("[servers.one]\nurl = '{}'\n", site.url));
    let ann = house.modern("ann").await;
    let list = || house.learn("one", &ann);
    let (first, second) = tokio::join!(list(), list());
    let third = list().await;
    for items in [first, second, third] {
        let names: Vec<String> = items
            .unwrap()
            .entries
            .iter()
            .map(|item| item.definition.get("name").unwrap().as_str().to_owned())
            .collect();
        assert_eq!(names, ["\"one\"", "\"two\""]);
    }
    assert_eq!(lists.load(Ordering::SeqCst), 2);
    let bob = house.modern("bob").await;
    house.learn("one", &bob).await.unwrap();
    assert_eq!(lists.load(Ordering::SeqCst), 4, "nobody gets another's list");
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_reload_keeps_what_did_not_change_and_ends_what_did() {
    let secret = |house: &House, text: &str| {
        let path = house.ground.folder.path().join("secret");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    let two = "[servers.two]\ncommand = ['python3', 'SCRIPT', 'both']\nenv = { API_TOKEN = 'file:secret' }\n";
    let mut house = House::new(ONE);
    secret(&house, "first");
    house.reload(&format!("{ONE}{two}")).unwrap();
    let ann = house.modern("ann").await;
    let kept = house.call("one", "pid", &ann).await.unwrap();
    let changed = house.call("two", "pid", &ann).await.unwrap();
    assert!(house.call("two", "env", &ann).await.unwrap().contains("first"));
    let mut under_way = house.start("two", "never", &ann).await.unwrap();

    house.reload(&format!("{ONE}{two}")).unwrap();
    assert_eq!(house.call("two", "pid", &ann).await.unwrap(), changed);
    secret(&house, "second");
    house.reload(&format!("{ONE}{two}")).unwrap();
    assert!(matches!(under_way.next().await, Some(Err(SendError::Ended(_)))));
    assert!(under_way.next().await.is_none());
    assert!(is_gone(&changed, Duration::from_secs(3)).await);
    assert!(house.call("two", "env", &ann).await.unwrap().contains("second"));

    house.reload(ONE).unwrap();
    assert!(matches!(house.call("two", "pid", &ann).await, Err(SendError::Unreachable(_))));
    assert_eq!(house.call("one", "pid", &ann).await.unwrap(), kept);
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_secret_that_is_not_there_or_an_address_that_is_refused_stops_the_start_and_changes_nothing() {
    let missing = "[servers.x]\nurl = 'https://mcp.example'\nheaders = { x-key = 'env:SEKISHO_TEST_NOT_SET' }\n";
    let error = House::try_new(missing).err().unwrap();
    assert_eq!(error.to_string(), "secret `x-key` of server `x` cannot be resolved");
    let plain = House::try_new("[servers.x]\nurl = 'http://mcp.example'\n").err().unwrap();
    assert_eq!(plain.to_string(), "the address of server `x` is refused");
    let mut house = House::new(ONE);
    let ann = house.modern("ann").await;
    let pid = house.call("one", "pid", &ann).await.unwrap();
    assert!(house.reload(missing).is_err());
    assert_eq!(house.call("one", "pid", &ann).await.unwrap(), pid);
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_lost_session_is_opened_anew_once_and_a_second_loss_is_said() {
    let sessions = Arc::new(AtomicUsize::new(0));
    let opened = sessions.clone();
    let site = Listening::start(move |seen| {
        if seen.method() == "initialize" {
            return seen.handshake(&format!("s{}", opened.fetch_add(1, Ordering::SeqCst))).unwrap();
        }
        // The probe's session is s0; s1 serves once, s2 as long as it is asked.
        seen.handshake("").unwrap_or_else(|| match seen.header("mcp-session-id") {
            "s2" => Reply::json(200, &seen.text("from s2")),
            _ => Reply::status(404),
        })
    })
    .await;
    let house = House::new(&format!("[servers.one]\nurl = '{}'\nera = 'legacy'\n", site.url));
    let ann = house.legacy("ann").await;
    assert_eq!(house.call("one", "echo", &ann).await.unwrap(), "from s2");
    assert_eq!(house.call("one", "echo", &ann).await.unwrap(), "from s2");
    assert_eq!(sessions.load(Ordering::SeqCst), 3);
    let other = house.legacy("ann").await;
    let twice = house.call("one", "echo", &other).await;
    assert!(matches!(&twice, Err(SendError::Ended(trouble)) if trouble.why().contains("twice")), "{twice:?}");
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn an_answer_in_one_message_is_waited_for_while_a_user_is_asked_on_the_stream_of_the_session() {
    let site = Listening::start(|seen| match (seen.handshake("s"), seen.verb.as_str()) {
        (Some(reply), _) => reply,
        (None, "GET") => Reply::stream("data: \n\n").hold(),
        (None, _) => Reply::json(200, &seen.text("hi")).late(Duration::from_millis(800)),
    })
    .await;
    let house = House::new(&format!("[servers.one]\nurl = '{}'\nera = 'legacy'\n", site.url));
    let ann = house.legacy("ann").await;
    let link = legacy(&site.way(&house.ground)).await;
    let ask = || async {
        let soon = Instant::now() + Duration::from_millis(200);
        start_by(&link, "echo", &Meta::default(), soon).await?.answer().await
    };
    let mut stream = link.listen(soon()).await.unwrap();
    assert!(matches!(ask().await, Err(Fault::TimedOut(_))), "nobody is asked");
    let on = AskedOn { connection: 1, standing: true };
    let asked = ServerRequest { id: Id::Integer(1), request: input::request("roots/list", None).unwrap(), on };
    let until = std::time::Instant::now() + Duration::from_secs(5);
    let asking = house.catalog.ask(session_of(&ann), &id("one"), &asked, until).unwrap();
    let question = asking.question().unwrap();
    stream.wait_for(Arc::clone(&question), Duration::from_millis(100));
    assert_eq!(words(ask().await.unwrap()), "hi");
    // It has answered, and the server has had its time.
    assert!(question.take());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(matches!(ask().await, Err(Fault::TimedOut(_))));
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_server_that_ends_every_stream_at_once_is_listened_to_again_with_pauses() {
    let site = Listening::start(|seen| match (seen.handshake("s"), seen.verb.as_str()) {
        (Some(reply), _) => reply,
        (None, "GET") => Reply::stream("data: \n\n"),
        (None, _) => Reply::json(200, &seen.text("hi")),
    })
    .await;
    let house = House::new(&format!("[servers.one]\nurl = '{}'\nera = 'legacy'\n", site.url));
    let ann = house.legacy("ann").await;
    house.call("one", "echo", &ann).await.unwrap();
    let filter = Filter { session: true, ..Filter::default() };
    let ear = Ear { peer: house.upstream.peer(&id("one")).unwrap(), caller: Caller::of(&ann).unwrap(), filter };
    let mut heard = Ears::new(vec![ear]);
    let gets = || site.seen().iter().filter(|seen| seen.verb == "GET").count();
    assert!(matches!(heard.next().await, Ok(FromServer::Listening(_))));
    assert!(tokio::time::timeout(Duration::from_millis(3200), heard.next()).await.is_err(), "it tells nothing");
    // Half a second at least between two, and more each time: not once for each round trip.
    assert!((3..=6).contains(&gets()), "{} in three seconds", gets());
    drop(heard);
    let before = gets();
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert_eq!(gets(), before, "nobody listens any more");
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn the_answer_is_the_last_that_is_said() {
    let house = House::new(ONE);
    let ann = house.modern("ann").await;
    let mut course = house.start("one", "refuse", &ann).await.unwrap();
    assert!(matches!(course.next().await, Some(Ok(FromServer::End(_)))));
    assert!(course.next().await.is_none());
    let mut course = house.start("one", "park", &ann).await.unwrap();
    assert!(matches!(course.next().await, Some(Ok(FromServer::Park(_)))));
    assert!(course.next().await.is_none());
    house.upstream.shutdown().await;
}
