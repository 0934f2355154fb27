use super::*;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use sekisho_bench::load::{Asked, Groups, Sessions, Target, Text, Tokens, Transport, trusting};
use sekisho_bench::site::{Nginx, PRINCIPALS};
use sekisho_e2e::client::Era;
use sekisho_e2e::gateway::free_address;
use sekisho_e2e::raw;

/// Two gateways behind nginx, as docs/operations.md has it.
struct Site {
    _upstream: Upstream,
    gateways: [Sekisho; 2],
    nginx: Nginx,
    plan: Plan,
}

impl Site {
    fn start() -> Site {
        // Slow enough that calls are under way whenever a gateway is told to stop.
        let upstream = Upstream::start(&["--delay-us", "3000"]).expect("an upstream");
        let (people, certificate) = (People::new().expect("keys"), Certificate::new().expect("a certificate"));
        let address = free_address().expect("an address");
        let behind = Shape { public_url: Some(format!("https://{address}")), ..shape(&upstream, None) };
        let gateways = [(); 2].map(|()| Sekisho::start(&behind, &people).expect("a gateway"));
        let configuration = documented(address, gateways.each_ref().map(Sekisho::address));
        let nginx = Nginx::configured(address, &configuration, &certificate).expect("nginx");
        let plan = Plan {
            target: Target {
                address,
                authority: address.to_string(),
                paths: vec![format!("/s/{SERVER}/mcp")],
                transport: Transport::Tls(trusting(certificate.pem(), Groups::Classic).expect("a client")),
                pids: Vec::new(),
            },
            asked: Asked::Call { payload: 256, text: Text::Plain },
            era: Era::Modern,
            tokens: Tokens::PerConnection(people.tokens(&[gateways[0].endpoint(SERVER)], PRINCIPALS).expect("tokens")),
            connections: 8,
            sessions: Sessions::Kept,
            warm_up: Duration::ZERO,
            stop: Stop::Calls(8),
        };
        for gateway in &gateways {
            eventually("a gateway is ready", || is_ready(gateway));
        }
        eventually("calls are answered", || load::run(&plan).is_ok_and(|report| report.errors == 0));
        Site { _upstream: upstream, gateways, nginx, plan }
    }

    /// Restarts these gateways, one after the other.
    fn roll(&mut self, turns: &[usize]) {
        for gateway in turns.iter().copied() {
            let gateway = &mut self.gateways[gateway];
            tell(gateway, Signal::SIGTERM);
            assert!(gateway.process().wait(LIMIT).expect("it ends").success(), "{}", gateway.log());
            gateway.start_again().expect("it starts");
            eventually("it is ready again", || is_ready(gateway));
            let between = load::run(&Plan { stop: Stop::Calls(200), ..self.plan.clone() }).expect("a load");
            assert_eq!(between.errors, 0, "{between:?}");
        }
    }
}

fn is_ready(gateway: &Sekisho) -> bool {
    let question = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", gateway.address());
    raw::send(gateway.address(), question.as_bytes(), LIMIT).is_ok_and(|answer| answer.status == 200)
}

/// The nginx.conf of docs/operations.md, with our addresses, and nothing outside its own folder.
fn documented(address: SocketAddr, [one, other]: [SocketAddr; 2]) -> String {
    let text = fs::read_to_string(place::source("../docs/operations.md")).expect("the document");
    let block = text.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let mut configuration = block.to_owned();
    for (theirs, ours) in [
        ("listen 443 ssl;", format!("listen {address} ssl;")),
        ("127.0.0.1:8701", one.to_string()),
        ("127.0.0.1:8702", other.to_string()),
        ("http {", format!("http {{ access_log off; {FOLDERS}")),
    ] {
        assert!(configuration.contains(theirs), "docs/operations.md has no {theirs}");
        configuration = configuration.replace(theirs, &ours);
    }
    format!("daemon off;\npid nginx.pid;\nworker_processes 1;\n{configuration}")
}

#[test]
fn a_rolling_restart_behind_nginx_loses_no_call() {
    static OVER: AtomicBool = AtomicBool::new(false);
    let mut site = Site::start();
    let calls = calling(Plan { stop: Stop::Told(&OVER), ..site.plan.clone() });
    site.roll(&[0, 1, 0, 1]);
    OVER.store(true, Ordering::Relaxed);
    let report = came_to(calls);
    assert!(report.errors == 0 && report.calls > 100, "{report:?}\n{}", site.nginx.log());
    eprintln!("{} calls without a fault", report.calls);
}

#[test]
fn a_legacy_session_ends_with_its_gateway_and_its_client_opens_another() {
    static OVER: AtomicBool = AtomicBool::new(false);
    let mut site = Site::start();
    let legacy = Plan { era: Era::Legacy, connections: CLIENTS, ..site.plan.clone() };
    let calls = calling(Plan { stop: Stop::Told(&OVER), ..legacy.clone() });
    site.roll(&[0, 1]);
    OVER.store(true, Ordering::Relaxed);
    let report = came_to(calls);
    // A restart ends a session of each client, and another one when the gateway is back, if theirs it is.
    let (least, most) = (u64::from(CLIENTS), 2 * 2 * u64::from(CLIENTS));
    assert!((least..=most).contains(&report.errors) && report.calls > 100, "{report:?}");
    let unknown = |kind: &String| kind.contains("404");
    assert!(report.error_kinds.keys().all(unknown), "nothing but 404: {report:?}\n{}", site.nginx.log());
    let again = load::run(&legacy).expect("sessions");
    assert_eq!(again.errors, 0, "{again:?}");
}

const CLIENTS: u32 = 4;
const FOLDERS: &str = "client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; \
                       uwsgi_temp_path uwsgi; scgi_temp_path scgi;";
