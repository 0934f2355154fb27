use sekisho_identity::{Presented, Verified};
use sekisho_wire::Inbound;

// A token that was only presented is no verified caller.
fn skip(identity: &sekisho_identity::Identity, token: Presented, message: Inbound, now: std::time::SystemTime) {
    let _ = identity.authenticate(token, message, None, now);
}

fn copy(caller: &Verified) -> Verified {
    caller.clone()
}

fn main() {}
