use sekisho_catalog::Addressed;
use sekisho_limits::Admitted;

fn forge(message: Addressed) -> Admitted {
    Admitted { message }
}

fn main() {}
