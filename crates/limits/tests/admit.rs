//! Who is admitted, with real proofs from decoding, authentication and addressing.

#![allow(clippy::expect_used, reason = "helpers of tests fail by panicking")]

#[path = "../../catalog/tests/support/mod.rs"]
mod support;

use sekisho_catalog::Addressed;
use sekisho_limits::{Admitted, Config, Limits, OverLimit};
use sekisho_wire::Endpoint;
use support::{Gate, catalog};

fn limits(config: &str) -> Limits {
    Limits::new(&toml::from_str::<Config>(config).expect("a section"), None).expect("in range")
}

async fn request(gate: &Gate, who: &str) -> Addressed {
    let message = gate.modern(who, &Endpoint::All, "tools/list", "").await;
    catalog(&["notes"]).address(message, std::time::SystemTime::now()).map_err(|refused| refused.0).expect("a list")
}

async fn cancellation(gate: &Gate, who: &str) -> Addressed {
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let message = gate.legacy(who, &Endpoint::All, cancelled).await;
    catalog(&["notes"])
        .address(message, std::time::SystemTime::now())
        .map_err(|refused| refused.0)
        .expect("the gateway")
}

/// What stands for the rooms behind: proofs hold the proofs before them.
struct Nested {
    _inner: Box<Admitted>,
}

#[tokio::test]
async fn a_permit_is_held_until_the_admitted_message_is_dropped_wherever_it_is_nested() {
    let (gate, limits) = (Gate::new(&[]), limits("concurrent_max = 1"));
    let nested = Nested { _inner: Box::new(limits.admit(request(&gate, "alice").await).expect("is first")) };
    let refused = limits.admit(request(&gate, "alice").await).err();
    assert_eq!(refused, Some(OverLimit::Concurrency { concurrent_max: 1 }));
    assert!(limits.admit(request(&gate, "bob").await).is_ok(), "another principal has its own places");
    drop(nested);
    assert!(limits.admit(request(&gate, "alice").await).is_ok());
}

#[tokio::test]
async fn a_cancellation_comes_through_when_every_place_is_taken_but_counts_for_the_rate() {
    let (gate, limits) = (Gate::new(&[]), limits("concurrent_max = 1\nburst = 2\nrequests_per_minute = 1"));
    let _held = limits.admit(request(&gate, "alice").await).expect("is first");
    assert!(limits.admit(cancellation(&gate, "alice").await).is_ok());
    let refused = limits.admit(cancellation(&gate, "alice").await).err();
    assert!(matches!(refused, Some(OverLimit::Rate { retry_after_s: 1..=60 })), "{refused:?}");
}

#[tokio::test]
async fn the_rate_is_refused_past_the_burst_and_the_neighbour_is_not() {
    let (gate, limits) = (Gate::new(&[]), limits("burst = 1\nrequests_per_minute = 1"));
    assert!(limits.admit(request(&gate, "alice").await).is_ok());
    let refused = limits.admit(request(&gate, "alice").await).err();
    assert!(matches!(refused, Some(OverLimit::Rate { retry_after_s: 1..=60 })), "{refused:?}");
    assert!(limits.admit(request(&gate, "bob").await).is_ok());
}
