use sekisho_flow::{Flow, Labels};
use sekisho_limits::Admitted;
use sekisho_wire::FromServer;

fn skip(flow: &Flow, message: Admitted) {
    let _ = flow.label(message);
}

fn skip_back(flow: &Flow, labels: Labels, message: FromServer) {
    let _ = flow.carry(labels, message);
}

fn main() {}
