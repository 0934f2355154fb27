use sekisho_identity::Authenticated;
use sekisho_limits::Limits;
use sekisho_wire::Inbound;

fn skip(limits: &Limits, message: Authenticated<Inbound>) {
    let _ = limits.admit(message);
}

fn main() {}
