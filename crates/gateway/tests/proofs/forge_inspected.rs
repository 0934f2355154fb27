use sekisho_guard::{Examined, Inspected};
use sekisho_limits::Admitted;
use sekisho_wire::FromServer;

fn forge(message: Admitted) -> Inspected {
    Inspected { message, findings: Vec::new() }
}

fn forge_answer(message: FromServer) -> Examined {
    Examined { message, findings: Vec::new() }
}

fn main() {}
