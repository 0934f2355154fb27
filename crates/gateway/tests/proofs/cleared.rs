use sekisho_guard::{Cleared, Guard, Masked};
use sekisho_flow::Labelled;
use sekisho_policy::Authorized;
use sekisho_wire::FromServer;

fn forge(of: Authorized) -> Cleared<Authorized> {
    Cleared { of }
}

fn mask(message: FromServer) -> Masked {
    Masked(message)
}

fn skip(guard: &Guard, message: Labelled) {
    let _ = guard.clear(message);
}

fn main() {}
