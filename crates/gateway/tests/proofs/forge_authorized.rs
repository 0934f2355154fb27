use sekisho_flow::Labelled;
use sekisho_policy::{Authorized, Basis, Releasable};
use sekisho_wire::FromServer;

fn forge(message: Labelled) -> Authorized {
    Authorized { message, basis: Basis::default(), obligations: Vec::new() }
}

fn forge_answer(message: FromServer) -> Releasable {
    Releasable { message, withheld: Vec::new(), obligations: Vec::new() }
}

fn main() {}
