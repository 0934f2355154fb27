//! A caller who is only supposed sends nothing.

fn suppose(
    real: sekisho_identity::Authenticated<sekisho_wire::Inbound>,
    supposed: &sekisho_identity::Supposed,
) -> sekisho_identity::Authenticated<sekisho_wire::Inbound> {
    let who = std::sync::Arc::new(real.principal().supposing(supposed));
    sekisho_identity::Authenticated { who, ..real }
}

fn main() {}
