use sekisho_catalog::{Addressed, Target};
use sekisho_identity::Authenticated;
use sekisho_wire::Inbound;

fn forge(message: Authenticated<Inbound>) -> Addressed {
    Addressed { message: Box::new(message), target: Box::new(Target::Gateway) }
}

fn main() {}
