use sekisho_audit::Recorded;
use sekisho_guard::Cleared;
use sekisho_policy::Authorized;

fn forge(value: Cleared<Authorized>) -> Recorded<Cleared<Authorized>> {
    Recorded { value, seq: 0 }
}

fn main() {}
