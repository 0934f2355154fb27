use std::time::Duration;

use sekisho_wire::{Askable, Endpoint, Era, ServerId, Version};
use tokio::time::{Instant, sleep};

use super::rooms::House;
use super::site::{Listening, Reply};
use super::support::is_gone;
use crate::config::Config;
use crate::hello::{Hello, Probing};

const OLD: Hello = Hello::Legacy {
    version: Version::V2025_11_25,
    askable: Askable {
        form: false,
        url: false,
        sampling: false,
        sampling_tools: false,
        sampling_context: false,
        roots: false,
        tasks: false,
    },
};

/// A house for one client, whose server speaks these eras.
fn house(speaks: &str) -> House {
    let servers = format!("[servers.one]\ncommand = ['python3', 'SCRIPT', '{speaks}']\n");
    let config = Config { restart_backoff_max_seconds: 1, ..Config::default() };
    House::probing(&servers, &config, Probing::OnDemand).expect("a house")
}

/// The processes that were started so far.
fn starts(house: &House) -> Vec<String> {
    let text = std::fs::read_to_string(house.ground.folder.path().join("starts")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn eras(house: &House) -> Vec<Era> {
    house.upstream.offer(&ServerId::parse("one").unwrap()).map(|offer| offer.eras()).unwrap_or_default()
}

#[tokio::test]
async fn nothing_is_started_before_a_client_opens_and_then_one_process_that_serves_it() {
    for (hello, era) in [(OLD, Era::Legacy), (Hello::Modern, Era::Modern)] {
        let house = house("both");
        sleep(Duration::from_millis(200)).await;
        assert!(starts(&house).is_empty());
        house.upstream.greet(&Endpoint::All, hello.era(), |_| hello).await;
        assert_eq!(eras(&house), [era]);
        let caller = if era == Era::Legacy { house.legacy("ann").await } else { house.modern("ann").await };
        let pid = house.call("one", "pid", &caller).await.unwrap();
        assert_eq!(house.call("one", "pid", &caller).await.unwrap(), pid);
        assert_eq!(starts(&house), [pid]);
        assert_eq!(house.upstream.status().remove(0).connections, 1);
        house.upstream.shutdown().await;
    }
}

#[tokio::test]
async fn a_process_that_was_opened_for_another_kind_of_client_is_not_given_to_this_one() {
    let house = house("both");
    let Hello::Legacy { version, askable } = OLD else { panic!() };
    let hello = Hello::Legacy { version, askable: Askable { roots: true, ..askable } };
    house.upstream.greet(&Endpoint::All, hello.era(), |_| hello).await;
    let pid = house.call("one", "pid", &house.legacy("ann").await).await.unwrap();
    let [first, second] = starts(&house).try_into().expect("two processes");
    assert_eq!(pid, second);
    assert!(is_gone(&first, Duration::from_secs(5)).await);
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_process_that_agreed_on_an_older_version_serves_the_client_that_asked_for_a_newer_one() {
    let house = house("older");
    house.upstream.greet(&Endpoint::All, OLD.era(), |_| OLD).await;
    let pid = house.call("one", "pid", &house.legacy("ann").await).await.unwrap();
    assert_eq!(starts(&house), [pid]);
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_process_that_has_ended_meanwhile_is_not_given_to_anybody() {
    let house = house("both");
    house.upstream.greet(&Endpoint::All, OLD.era(), |_| OLD).await;
    let [first] = starts(&house).try_into().expect("one process");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first.parse().unwrap()), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    assert!(is_gone(&first, Duration::from_secs(5)).await);
    sleep(Duration::from_millis(300)).await;
    let pid = house.call("one", "pid", &house.legacy("ann").await).await.unwrap();
    assert_ne!(pid, first);
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn a_process_that_nobody_took_ends_with_the_house() {
    let house = house("both");
    house.upstream.greet(&Endpoint::All, OLD.era(), |_| OLD).await;
    let [first] = starts(&house).try_into().expect("one process");
    house.upstream.shutdown().await;
    assert!(is_gone(&first, Duration::ZERO).await);
}

#[tokio::test]
async fn a_client_of_the_era_that_a_server_does_not_speak_hears_so_and_opens_in_the_other() {
    for (speaks, wrong, right) in [("legacy", Hello::Modern, Era::Legacy), ("modern", OLD, Era::Modern)] {
        let house = house(speaks);
        house.upstream.greet(&Endpoint::All, wrong.era(), |_| wrong).await;
        assert_eq!(eras(&house), [right]);
        let caller = if right == Era::Legacy { house.legacy("ann").await } else { house.modern("ann").await };
        house.call("one", "pid", &caller).await.unwrap();
        house.upstream.shutdown().await;
    }
}

#[tokio::test]
async fn whoever_opens_in_the_other_era_later_is_served_too_and_one_who_says_no_hello_as_well() {
    let house = house("both");
    let (old, new) = (house.legacy("ann").await, house.modern("ann").await);
    house.call("one", "pid", &new).await.unwrap();
    assert_eq!(eras(&house), [Era::Modern]);
    house.call("one", "pid", &old).await.unwrap();
    assert_eq!(eras(&house), [Era::Legacy, Era::Modern]);
    house.upstream.shutdown().await;
}

#[tokio::test]
async fn who_speaks_the_era_that_a_server_answered_in_does_not_wait_for_the_other() {
    let site = Listening::start(|seen| match (seen.handshake("s"), seen.method().as_str()) {
        (Some(reply), _) => reply,
        (None, "server/discover") => Reply::json(200, "{").hold(),
        (None, _) => seen.result(r#"{"content":[{"type":"text","text":"done"}]}"#),
    })
    .await;
    let house = House::with(&format!("[servers.one]\nurl = '{}'\n", site.url), &Config::default()).unwrap();
    let start = Instant::now();
    house.call("one", "echo", &house.legacy("ann").await).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    house.upstream.shutdown().await;
}
