use sekisho_catalog::Addressed;
use sekisho_guard::{Examined, Guard, Inspected};
use sekisho_limits::Admitted;
use sekisho_wire::FromServer;

fn forge(message: Admitted) -> Inspected {
    Inspected { message, findings: Vec::new() }
}

fn forge_answer(message: FromServer) -> Examined {
    Examined { message, findings: Vec::new() }
}

fn skip(guard: &Guard, message: Addressed) {
    let _ = guard.inspect(message);
}

fn main() {}
