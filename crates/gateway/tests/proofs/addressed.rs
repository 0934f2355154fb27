use sekisho_catalog::{Addressed, Catalog, Pinned, Target};
use sekisho_identity::Authenticated;
use sekisho_wire::{Inbound, Json};

fn forge(message: Authenticated<Inbound>) -> Addressed {
    Addressed { message, target: Target::Gateway }
}

fn pin(json: Json) -> Pinned {
    Pinned { json }
}

// A message that nobody authenticated is not addressed.
fn skip(catalog: &Catalog, message: Inbound) {
    let _ = catalog.address(message);
}

fn main() {}
