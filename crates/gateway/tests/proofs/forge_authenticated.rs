use sekisho_identity::Authenticated;
use sekisho_wire::Inbound;

fn forge(message: Inbound) -> Authenticated<Inbound> {
    Authenticated { message }
}

fn main() {}
