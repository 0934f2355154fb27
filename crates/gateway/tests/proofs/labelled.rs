use sekisho_flow::{Carried, Flow, Labelled, Labels};
use sekisho_guard::{Examined, Inspected};
use sekisho_limits::Admitted;
use sekisho_wire::FromServer;

fn forge(message: Inspected, labels: Labels) -> Labelled {
    Labelled { message, labels }
}

fn forge_answer(message: Examined, labels: Labels) -> Carried {
    Carried { message, labels }
}

fn skip(flow: &Flow, message: Admitted) {
    let _ = flow.label(message);
}

fn skip_back(flow: &Flow, labels: Labels, message: FromServer) {
    let _ = flow.carry(labels, message);
}

fn main() {}
