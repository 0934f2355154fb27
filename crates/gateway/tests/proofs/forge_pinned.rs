use std::sync::Arc;

use sekisho_catalog::Pinned;
use sekisho_wire::Json;

fn pin(json: Arc<Json>) -> Pinned {
    Pinned(json)
}

fn main() {}
