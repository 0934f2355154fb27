//! A gateway's life under load: reloads, stops and restarts, with real processes. What is demanded is that no call is lost.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

mod drain;
mod reload;
mod rolling;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sekisho_bench::load::{self, Plan, Report, Stop};
use sekisho_bench::site::{Certificate, People, Policies, SERVER, Sekisho, Shape, Stand, Upstream};
use sekisho_e2e::place;

const LIMIT: Duration = Duration::from_secs(20);

/// The gateway that was just built, in front of `upstream`.
fn shape<'a>(upstream: &Upstream, certificate: Option<&'a Certificate>) -> Shape<'a> {
    Shape {
        binary: place::binary("sekisho").expect("it is built"),
        servers: vec![(SERVER.to_owned(), upstream.url())],
        policies: Policies::Corridor,
        certificate,
        workers: None,
        payload_digest: "sha256",
        public_url: None,
        session_idle_seconds: None,
    }
}

fn stand(upstream: &Upstream, certificate: Option<&Certificate>) -> Stand {
    let people = People::new().expect("keys");
    let sekisho = Sekisho::start(&shape(upstream, certificate), &people).expect("a gateway");
    Stand::sekisho("sekisho", sekisho, &[SERVER], &people).expect("tokens")
}

/// Calls on a thread of their own.
fn calling(plan: Plan) -> JoinHandle<Report> {
    std::thread::spawn(move || load::run(&plan).expect("it can be reached"))
}

/// What the calls of [`calling`] came to.
fn came_to(calls: JoinHandle<Report>) -> Report {
    calls.join().expect("no panic")
}

/// Looks until it is so.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// As a careful operator replaces a file: whole, or not at all.
fn replace(folder: &Path, name: &str, text: &str) {
    let fresh = folder.join(format!("{name}.fresh"));
    fs::write(&fresh, text).expect("written");
    fs::rename(fresh, folder.join(name)).expect("renamed");
}

fn tell(sekisho: &mut Sekisho, signal: Signal) {
    sekisho.process().signal(signal).expect("it is there");
}
