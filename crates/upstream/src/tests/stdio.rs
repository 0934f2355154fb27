use std::time::Duration;

use sekisho_wire::message::Meta;
use sekisho_wire::{Answer, Era, Version};
use tokio::time::Instant;

use super::support::*;
use crate::ask::Heard;
use crate::config::Config;
use crate::error::Fault;
use crate::launch::Launch;
use crate::link::Link;
use crate::probe::{Eras, probe};

fn modern(ground: &Ground) -> Link {
    Link::modern(&ground.way("both"), Version::V2026_07_28, None).unwrap()
}

#[tokio::test]
async fn a_call_is_answered_in_both_eras_and_arguments_keep_their_bytes() {
    let ground = Ground::new();
    assert_eq!(call(&legacy(&ground.way("both")).await, "echo").await, r#"{"n": 1.5}"#);
    assert_eq!(call(&modern(&ground), "echo").await, r#"{"n": 1.5}"#);
}

#[tokio::test]
async fn probing_finds_each_era_that_is_spoken_and_no_other() {
    let ground = Ground::new();
    for (mode, eras) in
        [("both", vec![Era::Legacy, Era::Modern]), ("legacy", vec![Era::Legacy]), ("modern", vec![Era::Modern])]
    {
        let offer = probe(&ground.way(mode), Eras::Both, Duration::from_secs(20), |_| ()).await.unwrap();
        assert_eq!(offer.eras(), eras, "{mode}");
    }
    let offer = probe(&ground.way("both"), Eras::Only(Era::Legacy), Duration::from_secs(20), |_| ()).await.unwrap();
    assert_eq!(offer.eras(), [Era::Legacy]);
    assert_eq!(offer.legacy.unwrap().instructions.as_deref(), Some("be kind"));
}

#[tokio::test]
async fn a_server_that_is_silent_or_speaks_an_unknown_version_is_down_and_says_why() {
    let ground = Ground::new();
    let why = probe(&ground.way("mute"), Eras::Both, Duration::from_millis(700), |_| ()).await.unwrap_err();
    assert!(why.contains("no answer came"), "{why}");
    let why = probe(&ground.way("future"), Eras::Only(Era::Legacy), Duration::from_secs(20), |_| ()).await.unwrap_err();
    assert!(why.contains("2099-01-01"), "{why}");
}

#[tokio::test]
async fn a_process_sees_its_own_environment_and_nothing_of_ours() {
    let ground = Ground::new();
    let environment = json(&call(&modern(&ground), "env").await);
    let mut names: Vec<String> = environment.members().map(|(name, _)| name.into_owned()).collect();
    names.retain(|name| !["LC_CTYPE", "__CF_USER_TEXT_ENCODING"].contains(&name.as_str()));
    names.sort();
    assert_eq!(names, ["API_KEY", "PATH"]);
    assert_eq!(call(&modern(&ground), "cwd").await, ground.folder.path().canonicalize().unwrap().display().to_string());
}

#[tokio::test]
async fn a_progress_token_is_ours_upstream_and_the_clients_on_the_way_back() {
    let ground = Ground::new();
    let link = modern(&ground);
    let mut flight = start(&link, "progress", &with_token("client's own")).await;
    let heard = heard(&mut flight).await;
    // The server's notices about other tokens, and about ours as a string, are dropped.
    assert_eq!(heard, [r#"notifications/progress {"progressToken": "client's own", "progress": 0.5}"#, "done"]);
    let meta = words(start(&link, "meta", &with_token("client's own")).await.answer().await.unwrap());
    assert!(!meta.contains("client's own"), "{meta}");
    assert!(meta.contains(r#""progressToken": 2"#), "{meta}");
}

#[tokio::test]
async fn log_messages_reach_a_modern_request_only_if_it_asked_for_them() {
    let ground = Ground::new();
    let link = modern(&ground);
    assert_eq!(heard(&mut start(&link, "log", &Meta::default()).await).await, ["done"]);
    let meta = Meta { log_level: Some("info".into()), ..Meta::default() };
    assert_eq!(heard(&mut start(&link, "log", &meta).await).await.len(), 2);
    let link = legacy(&ground.way("both")).await;
    assert_eq!(heard(&mut start(&link, "log", &Meta::default()).await).await.len(), 2);
}

#[tokio::test]
async fn lines_that_are_no_message_are_skipped_and_noted_with_nothing_hidden() {
    let ground = Ground::new();
    let link = modern(&ground);
    assert_eq!(call(&link, "garbage").await, "done");
    drop(link);
    let log = ground.log().await;
    assert_eq!(log.matches("its output has a line that is no MCP message").count(), 2, "{log}");
    assert!(!log.contains('\u{1b}') && !log.contains("u001b"), "{log}");
}

#[tokio::test]
async fn garbage_without_end_ends_the_process_and_its_exchanges() {
    let ground = Ground::new();
    let link = modern(&ground);
    let mut flight = start(&link, "flood", &Meta::default()).await;
    let fault = flight.answer().await.unwrap_err();
    assert!(matches!(&fault, Fault::Ended(why) if why.contains("not MCP")), "{fault:?}");
    assert!(link.is_over());
}

#[tokio::test]
async fn an_answer_goes_to_the_request_with_its_id_and_type_and_a_stray_one_to_nobody() {
    let ground = Ground::new();
    let link = modern(&ground);
    assert_eq!(call(&link, "stray").await, "mine");
    assert_eq!(call(&link, "twice").await, "first");
    assert_eq!(call(&link, "echo").await, r#"{"n": 1.5}"#);
    drop(link);
    let log = ground.log().await;
    assert_eq!(log.matches("it sent an answer to no request").count(), 4, "{log}");
}

#[tokio::test]
async fn a_line_longer_than_the_bound_is_no_answer() {
    let ground = Ground::new();
    let link = modern(&ground);
    let mut flight = start_by(&link, "huge", &Meta::default(), Instant::now() + Duration::from_secs(1)).await.unwrap();
    assert!(matches!(flight.answer().await, Err(Fault::TimedOut(_))));
    assert_eq!(call(&link, "echo").await, r#"{"n": 1.5}"#);
    drop((flight, link));
    assert!(ground.log().await.contains("too long a line"));
}

#[tokio::test]
async fn a_request_that_times_out_or_is_dropped_is_cancelled_and_its_late_answer_is_no_stray() {
    let ground = Ground::new();
    let link = legacy(&ground.way("both")).await;
    let mut flight =
        start_by(&link, "never", &Meta::default(), Instant::now() + Duration::from_millis(100)).await.unwrap();
    assert!(matches!(flight.answer().await, Err(Fault::TimedOut(_))));
    drop(flight);
    drop(start(&link, "never", &Meta::default()).await);
    drop(start(&link, "echo", &Meta::default()).await);
    assert_eq!(call(&link, "cancelled").await, "[2, 3, 4]");
    drop(link);
    assert!(!ground.log().await.contains("answer to no request"));
}

#[tokio::test]
async fn an_answered_request_is_not_cancelled() {
    let ground = Ground::new();
    let link = legacy(&ground.way("both")).await;
    assert_eq!(call(&link, "echo").await, r#"{"n": 1.5}"#);
    assert_eq!(call(&link, "cancelled").await, "[]");
}

#[tokio::test]
async fn a_process_that_ends_mid_call_ends_the_call_and_its_error_stream_is_sanitized() {
    let ground = Ground::new();
    let link = modern(&ground);
    let mut flight = start(&link, "exit", &Meta::default()).await;
    let fault = flight.answer().await.unwrap_err();
    assert!(matches!(&fault, Fault::Ended(why) if why.contains("exit status: 3")), "{fault:?}");
    assert!(matches!(start_by(&link, "echo", &Meta::default(), soon()).await, Err(Fault::Ended(_))));
    drop((flight, link));
    let log = ground.log().await;
    assert!(log.contains("the process ended by itself"), "{log}");
    assert!(log.contains("fatal") && !log.contains("u001b["), "{log}");
}

#[tokio::test]
async fn last_words_of_a_process_are_still_heard() {
    let ground = Ground::new();
    assert_eq!(call(&modern(&ground), "last_words").await, "last words");
}

#[tokio::test]
async fn a_servers_error_is_an_answer_with_its_data() {
    let ground = Ground::new();
    let answer = start(&modern(&ground), "refuse", &Meta::default()).await.answer().await.unwrap();
    let Answer::Error(error) = answer else { panic!("{answer:?}") };
    assert_eq!((error.code, error.data.unwrap().as_str()), (-32000, r#"{"why": "because"}"#));
}

#[tokio::test]
async fn a_servers_question_is_heard_and_declined_and_ping_is_answered_by_us() {
    let ground = Ground::new();
    let link = legacy(&ground.way("both")).await;
    let mut flight = start(&link, "ask", &Meta::default()).await;
    let Heard::Ask(asked) = flight.next().await.unwrap() else { panic!("a question") };
    assert_eq!(asked.request.kind.method(), "sampling/createMessage");
    flight.decline(&asked.id);
    let heard_all = heard(&mut flight).await;
    assert!(heard_all.last().unwrap().contains(r#""code": -1"#), "{heard_all:?}");
    let heard_all = heard(&mut start(&link, "ask_wrongly", &Meta::default()).await).await;
    assert!(heard_all.last().unwrap().contains(r#""code": -32602"#), "{heard_all:?}");
    let heard_all = heard(&mut start(&link, "ping", &Meta::default()).await).await;
    assert_eq!(heard_all.len(), 1);
    assert!(heard_all.first().unwrap().contains(r#""result": {}"#), "{heard_all:?}");
}

#[tokio::test]
async fn stopping_closes_standard_input_and_ends_what_the_process_started() {
    let ground = Ground::new();
    let link = modern(&ground);
    let (own, grandchild) = (call(&link, "pid").await, call(&link, "fork").await);
    drop(link);
    assert!(is_gone(&own, Duration::from_secs(2)).await, "ends at the end of its input");
    assert!(is_gone(&grandchild, Duration::from_secs(2)).await);
}

#[tokio::test]
async fn a_process_that_ignores_the_end_of_input_is_terminated_and_one_that_ignores_that_is_killed() {
    let ground = Ground::new();
    let link = Link::modern(&ground.way("lingers"), Version::V2026_07_28, None).unwrap();
    let deaf = modern(&ground);
    let (lingering, deaf_one) = (call(&link, "pid").await, call(&deaf, "deaf").await);
    drop((link, deaf));
    assert!(is_gone(&lingering, Duration::from_secs(4)).await);
    assert!(is_gone(&deaf_one, Duration::from_secs(6)).await);
    ground.tasks.finish(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn whoever_waits_is_told_when_the_connection_is_closed() {
    let ground = Ground::new();
    let link = modern(&ground);
    let mut flight = start(&link, "never", &Meta::default()).await;
    link.close();
    assert!(matches!(flight.answer().await, Err(Fault::Ended(_))));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_unreachable() {
    let ground = Ground::new();
    let way = ground.way_with("both", Config::default());
    let crate::link::Way::Stdio(mut stdio) = way else { panic!() };
    *stdio.program.launch = Launch::new(ground.folder.path(), &stdio_config(&["/nonexistent/program"]), None);
    let fault = Link::modern(&crate::link::Way::Stdio(stdio), Version::V2026_07_28, None).err().unwrap();
    assert!(matches!(fault, Fault::Unreachable(_)));
}

#[tokio::test]
async fn what_waits_for_a_slow_reader_is_bounded_in_bytes_and_too_long_a_notice_is_noted() {
    let ground = Ground::new();
    let link = modern(&ground);
    let meta = Meta { log_level: Some("info".into()), ..Meta::default() };
    let mut slow = start(&link, "blast", &meta).await;
    // The process answers in order, so that by then all of it has come.
    call(&link, "echo").await;
    let heard = heard(&mut slow).await;
    assert_eq!(heard.len(), 9, "eight times 60,000 bytes, and the answer");
    drop((slow, link));
    let log = ground.log().await;
    assert_eq!(log.matches("it says more before its answer than is passed on").count(), 1, "{log}");
}

#[tokio::test]
async fn a_server_that_tells_faster_than_its_client_reads_is_slowed_down_and_loses_nothing() {
    let ground = Ground::new();
    let link = modern(&ground);
    let mut flight = start(&link, "chatter", &with_token("t")).await;
    let mut told = 0;
    while let Heard::Notice(_) = flight.next().await.unwrap() {
        told += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(told, 300);
}

#[tokio::test]
async fn a_server_is_not_kept_for_a_client_that_reads_nothing() {
    let ground = Ground::new();
    let link = modern(&ground);
    let mut slow = start(&link, "chatter", &with_token("t")).await;
    let start = Instant::now();
    call(&link, "echo").await;
    assert!(start.elapsed() < Duration::from_secs(5), "another call took {:?}", start.elapsed());
    assert!(heard(&mut slow).await.len() < 300);
}

#[tokio::test]
async fn last_words_behind_more_than_anybody_read_are_still_heard() {
    let ground = Ground::new();
    let link = modern(&ground);
    let mut slow = start(&link, "chatter_and_exit", &with_token("t")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(heard(&mut slow).await.last().unwrap(), "that is all");
}
