use sekisho_flow::{Carried, Labelled, Labels};
use sekisho_guard::{Examined, Inspected};

fn forge(message: Inspected, labels: Labels) -> Labelled {
    Labelled { message, labels }
}

fn forge_answer(message: Examined, labels: Labels) -> Carried {
    Carried { message, labels }
}

fn main() {}
