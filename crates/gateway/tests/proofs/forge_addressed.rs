use sekisho_catalog::{Addressed, Target};
use sekisho_identity::Authenticated;
use sekisho_wire::Inbound;

fn forge(message: Authenticated<Inbound>) -> Addressed {
    Addressed { message, target: Target::Gateway }
}

fn main() {}
