use std::time::SystemTime;

use sekisho_flow::Labelled;
use sekisho_guard::{Examined, Inspected};
use sekisho_policy::{Authorized, Basis, Facts, Policy, Releasable};
use sekisho_wire::FromServer;

fn forge(message: Labelled) -> Authorized {
    Authorized { message, basis: Basis::default(), obligations: Vec::new() }
}

fn forge_answer(message: FromServer) -> Releasable {
    Releasable { message, withheld: Vec::new(), obligations: Vec::new() }
}

fn skip(policy: &Policy, message: Inspected) {
    let _ = policy.decide(message, SystemTime::UNIX_EPOCH);
}

fn skip_back(policy: &Policy, facts: &Facts, message: Examined) {
    let _ = policy.release(facts, message, SystemTime::UNIX_EPOCH);
}

fn main() {}
