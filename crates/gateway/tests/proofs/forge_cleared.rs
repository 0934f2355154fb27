use sekisho_guard::Cleared;
use sekisho_policy::Authorized;

fn forge(of: Authorized) -> Cleared<Authorized> {
    Cleared { of }
}

fn main() {}
