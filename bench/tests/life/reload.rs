use super::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sekisho_bench::load::{Groups, Sessions, Transport, handshakes, trusting};
use sekisho_e2e::client::Era;

static OVER: AtomicBool = AtomicBool::new(false);

/// A gateway whose files are changed.
struct Changed<'a> {
    sekisho: &'a mut Sekisho,
    configuration: String,
    policy: String,
}

impl Changed<'_> {
    /// Writes a file, and waits until the gateway has taken it over, or has refused to.
    fn to(&mut self, name: &str, text: &str, outcome: &str) {
        let count = |sekisho: &Sekisho| sekisho.log().matches(outcome).count();
        let before = count(self.sekisho);
        replace(self.sekisho.folder(), name, text);
        tell(self.sekisho, Signal::SIGHUP);
        eventually(outcome, || count(self.sekisho) > before);
    }

    fn configuration(&mut self, round: u32) {
        let text = self.configuration.replace("burst = 100000", &format!("burst = {}", 90_000 + round));
        self.to("sekisho.toml", &text, TAKEN_OVER);
    }

    fn policy(&mut self, round: u32) {
        let text = format!("// round {round}\n{}", self.policy);
        self.to("policy.cedar", &text, TAKEN_OVER);
    }

    /// A mistake that would forbid everything, were it taken over.
    fn wrong_policy(&mut self) {
        self.to("policy.cedar", "forbid (principal, action, resource) when { principal.nonsense };\n", REFUSED);
    }

    fn certificate(&mut self, certificate: &Certificate) {
        let folder = self.sekisho.folder().to_owned();
        let fresh = tempfile::tempdir().expect("a folder");
        let (pem, key) = certificate.write(fresh.path()).expect("written");
        let text = |path| fs::read_to_string(path).expect("read");
        // Between the two the pair does not fit: whoever looks then keeps the old one.
        replace(&folder, "key.pem", &text(key));
        self.to("certificate.pem", &text(pem), TAKEN_OVER);
    }
}

#[test]
fn a_hundred_reloads_under_load_drop_no_call() {
    let upstream = Upstream::start(&[]).expect("an upstream");
    let pair = [Certificate::new().expect("a certificate"), Certificate::new().expect("a certificate")];
    let both = trusting(&format!("{}{}", pair[0].pem(), pair[1].pem()), Groups::Classic).expect("a client");
    let mut stand = stand(&upstream, Some(&pair[0])).over(Transport::Tls(Arc::clone(&both)));
    stand.wait(Era::Legacy).expect("it answers");
    let plan = Plan { stop: Stop::Told(&OVER), connections: 8, ..stand.plan() };
    let loads = [
        calling(plan.clone()),
        calling(Plan { sessions: Sessions::PerCall, connections: 2, ..plan.clone() }),
        calling(Plan { era: Era::Modern, connections: 2, ..plan }),
    ];

    let target = stand.target.clone();
    let greeted = |config| handshakes(&target, config, 1, Stop::Calls(1)).expect("a runtime").errors == 0;
    let alone = pair.each_ref().map(|one| trusting(one.pem(), Groups::Classic).expect("a client"));
    let sekisho = stand.sekisho.as_mut().expect("a gateway");
    let text = |name: &str| fs::read_to_string(sekisho.folder().join(name)).expect("read");
    let (configuration, policy) = (text("sekisho.toml"), text("policy.cedar"));
    let mut changed = Changed { sekisho, configuration, policy };
    for round in 0..RELOADS {
        match round % 4 {
            0 => changed.configuration(round),
            1 => changed.policy(round),
            2 => {
                changed.wrong_policy();
                changed.policy(round);
            }
            _ => {
                let (new, old) = if round % 8 == 3 { (1, 0) } else { (0, 1) };
                changed.certificate(&pair[new]);
                eventually("the replaced certificate is shown", || greeted(&alone[new]));
                assert!(!greeted(&alone[old]), "and no longer the old one");
            }
        }
        assert!(greeted(&both), "round {round}: a new connection is accepted");
    }
    let log = changed.sekisho.log();
    OVER.store(true, Ordering::Relaxed);
    for report in loads.map(came_to) {
        assert!(report.errors == 0 && report.calls > 100, "{report:?}");
        eprintln!("{} calls without a fault", report.calls);
    }
    assert!(log.matches(TAKEN_OVER).count() >= usize::try_from(RELOADS).expect("few"), "{log}");
    assert!(log.matches(REFUSED).count() >= usize::try_from(RELOADS / 4).expect("few"), "{log}");
}

const RELOADS: u32 = 100;
const TAKEN_OVER: &str = "the changed configuration is in use";
const REFUSED: &str = "the changed configuration is not used";
