use sekisho_guard::{Cleared, Masked};
use sekisho_policy::Authorized;
use sekisho_wire::FromServer;

fn forge(of: Authorized) -> Cleared<Authorized> {
    Cleared { of }
}

fn mask(message: FromServer) -> Masked {
    Masked(message)
}

fn main() {}
