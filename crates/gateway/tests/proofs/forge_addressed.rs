use sekisho_catalog::{Addressed, Pinned, Target};
use sekisho_identity::Authenticated;
use sekisho_wire::{Inbound, Json};

fn forge(message: Authenticated<Inbound>) -> Addressed {
    Addressed { message, target: Target::Gateway }
}

fn pin(json: Json) -> Pinned {
    Pinned { json }
}

fn main() {}
