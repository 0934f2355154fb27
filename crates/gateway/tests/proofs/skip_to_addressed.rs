use sekisho_catalog::Catalog;
use sekisho_wire::Inbound;

// A message that nobody authenticated is not addressed.
fn skip(catalog: &Catalog, message: Inbound) {
    let _ = catalog.address(message, std::time::SystemTime::now());
}

fn main() {}
