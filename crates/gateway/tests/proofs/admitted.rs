use sekisho_catalog::Addressed;
use sekisho_identity::Authenticated;
use sekisho_limits::{Admitted, Limits};
use sekisho_wire::Inbound;

fn forge(message: Addressed) -> Admitted {
    Admitted { message }
}

fn skip(limits: &Limits, message: Authenticated<Inbound>) {
    let _ = limits.admit(message);
}

fn main() {}
