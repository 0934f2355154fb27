use sekisho_audit::Recorded;
use sekisho_guard::Cleared;
use sekisho_policy::Authorized;
use sekisho_upstream::{Trail, Upstream};

// Nothing leaves that was not written down.
async fn skip_record(upstream: &Upstream, message: Cleared<Authorized>) {
    let _ = upstream.open(message, Trail::default()).await;
}

// Nothing leaves that was not cleared.
async fn skip_clear(upstream: &Upstream, message: Recorded<Authorized>) {
    let _ = upstream.open(message, Trail::default()).await;
}

fn twice(message: &Recorded<Cleared<Authorized>>) -> Recorded<Cleared<Authorized>> {
    message.clone()
}

fn main() {}
