use sekisho_guard::Masked;
use sekisho_wire::FromServer;

fn mask(message: FromServer) -> Masked {
    Masked(message)
}

fn main() {}
