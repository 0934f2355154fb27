//! Thousands of tokens that somebody made who has the issuer's own key, another library, and bad intentions.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sekisho_e2e::idp::{self, Forged};
use sekisho_e2e::issuer::Issuer;

use super::*;

/// Longest token that is looked into, and longest head of a request, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// How many strangers' requests are written down one by one, and in which time.
const NOTED_MAX: u64 = 200;
const WINDOW: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 8;

/// A connection that is used again as long as the gateway lets it.
struct Line<'a> {
    gateway: &'a Gateway,
    open: Option<BufReader<TcpStream>>,
}

impl Line<'_> {
    fn send(&mut self, request: &[u8]) -> Response {
        // One that was closed meanwhile is found out by using it.
        let used = self.open.is_some();
        match self.exchange(request) {
            Ok(response) => response,
            Err(_) if used => self.exchange(request).expect("an answer"),
            Err(error) => panic!("{error:#}"),
        }
    }

    fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Response> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let stream = TcpStream::connect(self.gateway.address())?;
                stream.set_read_timeout(Some(LIMIT))?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        // A head that is too long is answered before all of it is taken.
        let _ = open.get_mut().write_all(request);
        let response = raw::read(&mut open)?;
        if response.header("connection") != Some("close") && response.status != 431 {
            self.open = Some(open);
        }
        Ok(response)
    }
}

/// The request of [`message`] with this token, leaving the connection open.
fn bytes(gateway: &Gateway, token: &str) -> Vec<u8> {
    let client = Client::new(&gateway.endpoint("up"), Some(token), Era::Modern).expect("a client");
    String::from_utf8(client.bytes(&message())).expect("text").replacen("Connection: close\r\n", "", 1).into_bytes()
}

/// What an answer says, without what differs from one to the next: its request's id, and the time.
fn said(response: &Response) -> (u16, Vec<(String, String)>, String) {
    let id = response.header("sekisho-request-id").unwrap_or("no id");
    let own = |(name, _): &&(String, String)| name != "date" && name != "sekisho-request-id";
    let headers = response.headers.iter().filter(own).cloned().collect();
    (response.status, headers, response.text().replace(id, "ID"))
}

/// What the status may be: what is no token at all, or too long, is told apart.
fn wanted(token: &str) -> &'static [u16] {
    let is_b64token = |token: &str| {
        let body = token.trim_end_matches('=');
        !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
    };
    match token.len() {
        length if length >= 2 * HEAD_BYTES_MAX => &[431],
        // hyper's bound is that of its buffer, which lets up to twice as much through.
        length if length >= HEAD_BYTES_MAX => &[400, 431],
        length if length > TOKEN_BYTES_MAX || !is_b64token(token) => &[400],
        _ => &[401],
    }
}

/// Refusals of strangers that are written down one by one, and the number of all others.
fn strangers(records: &[Value]) -> (Vec<Value>, usize) {
    let refused = records.iter().filter(|record| record["principal"].is_null() && record["outcome"] == "refused");
    let (one_by_one, summaries): (Vec<&Value>, Vec<&Value>) = refused.partition(|record| record["request"].is_string());
    let number = |summary: &&Value| {
        let words = text(summary, "reason");
        words.split(' ').next().and_then(|number| number.parse::<usize>().ok()).expect("a number")
    };
    let counted = summaries.iter().map(number).sum();
    (one_by_one.into_iter().cloned().collect(), counted)
}

/// Sends the good token, which passes.
fn check_good(line: &mut Line<'_>, good: &Forged) {
    let answer = line.send(&bytes(line.gateway, &good.token));
    assert!(answer.status == 200 && answer.text().contains("\"result\""), "{}", answer.text());
}

/// What is answered to each forgery, over several connections, with the good one in the midst of each.
fn answers<'a>(gateway: &Gateway, good: &Forged, bad: &'a [Forged]) -> Vec<(&'a Forged, Response)> {
    let send = |share: &'a [Forged]| {
        let mut line = Line { gateway, open: None };
        let mut answers = Vec::new();
        for (at, forged) in share.iter().enumerate() {
            answers.push((forged, line.send(&bytes(gateway, &forged.token))));
            if at == share.len() / 2 {
                check_good(&mut line, good);
            }
        }
        answers
    };
    thread::scope(|scope| {
        let share = bad.len().div_ceil(CONNECTIONS);
        let workers: Vec<_> = bad.chunks(share).map(|share| scope.spawn(move || send(share))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    })
}

/// Whether a token, good or not, has a key's thumbprint among its claims.
fn says_bound(token: &str) -> bool {
    let claims = token.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    claims.is_some_and(|claims| String::from_utf8_lossy(&claims).contains("\"jkt\""))
}

fn assert_alike(gateway: &Gateway, answers: &[(&Forged, Response)]) {
    // What a token says of itself decides which scheme is named, whatever else is wrong with it.
    let mut alike: HashMap<(u16, bool), HashSet<_>> = HashMap::new();
    for (forged, answer) in answers {
        assert!(wanted(&forged.token).contains(&answer.status), "{}: {}", forged.name, answer.text());
        let to_proofs = answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("DPoP "));
        assert!(!to_proofs || says_bound(&forged.token), "{}: {}", forged.name, answer.text());
        alike.entry((answer.status, to_proofs)).or_default().insert(said(answer));
    }
    for (status, answers) in &alike {
        assert_eq!(answers.len(), 1, "all answers with {status:?} are the same: {answers:?}");
    }
    let (_, headers, _) = alike[&(401, false)].iter().next().expect("one");
    let challenge = headers.iter().find(|(name, _)| name == "www-authenticate").expect("a challenge");
    let metadata = format!("http://{}/.well-known/oauth-protected-resource/s/up/mcp", gateway.address());
    assert_eq!(challenge.1, format!("Bearer error=\"invalid_token\", resource_metadata=\"{metadata}\""));
}

/// Of strangers, as many are written down as have room, each with its reason, and of all others the number: as soon as the next one comes
/// after the time that the number is of. `before` is how many records there were when `start` was.
fn assert_recorded(gateway: &Gateway, answers: &[(&Forged, Response)], (before, start): (usize, Instant)) {
    let refused = answers.iter().filter(|(_, answer)| answer.status != 431).count();
    let asked = Instant::now();
    let mut more = 0;
    let one_by_one = loop {
        assert_eq!(status(gateway, "one-more"), 401);
        more += 1;
        let (one_by_one, counted) = strangers(&records(gateway)[before..]);
        if one_by_one.len() + counted == refused + more {
            assert!(counted > 0);
            break one_by_one;
        }
        let noted = one_by_one.len();
        assert!(asked.elapsed() < WINDOW + LIMIT, "{noted} and {counted}, not {refused} and {more}");
        thread::sleep(Duration::from_millis(200));
    };
    let windows = start.elapsed().as_secs() / WINDOW.as_secs() + 1;
    let noted = u64::try_from(one_by_one.len()).expect("a number");
    assert!(noted <= NOTED_MAX * windows, "{noted} in {windows}");
    let reasons: HashMap<&str, &str> =
        one_by_one.iter().map(|record| (text(record, "request"), text(record, "reason"))).collect();
    let ids: HashSet<&str> = answers.iter().filter_map(|(_, answer)| answer.header("sekisho-request-id")).collect();
    assert!(reasons.keys().filter(|id| !ids.contains(*id)).count() <= more, "each is the reason of an answer");
    assert!(reasons.values().collect::<HashSet<_>>().len() > 3, "{reasons:?}");
    assert!(reasons.values().all(|reason| !reason.is_empty()), "{reasons:?}");
}

fn every_forgery_is_refused_alike(issuer: Issuer) {
    let recorder = Recorder::start_modern().expect("a port");
    let gateway = Gateway::start_with(&Setup::open(&http_server("up", &recorder.url())), issuer).expect("a gateway");
    gateway.wait_for_servers(&["up"]).expect("the server is probed");
    let claims = gateway.issuer().claims("alice", &gateway.endpoint("up"));
    let mut plan = gateway.issuer().betrayed(&claims).expect("a plan");
    let (elsewhere, called) = trap();
    plan["listener"] = json!(format!("{elsewhere}/jwks.json"));
    let forged = idp::attack(&plan).expect("forgeries");
    let (good, bad) = forged.split_first().expect("tokens");
    assert!(good.name == "good" && bad.len() > 3000, "{} forgeries", bad.len());

    check_good(&mut Line { gateway: &gateway, open: None }, good);
    let began = (records(&gateway).len(), Instant::now());
    let answers = answers(&gateway, good, bad);
    check_good(&mut Line { gateway: &gateway, open: None }, good);
    assert_alike(&gateway, &answers);
    let shares = bad.chunks(bad.len().div_ceil(CONNECTIONS)).count();
    assert_eq!(recorder.calls().len(), 2 + shares, "the good ones alone");
    assert_eq!(called.load(Ordering::Relaxed), 0, "nothing is fetched because a token says so");
    assert_recorded(&gateway, &answers, began);
    let log = gateway.log() + &records(&gateway).iter().map(Value::to_string).collect::<String>();
    let mut parts = good.token.split('.').skip(1);
    assert!(!log.contains("attacker.example") && parts.all(|part| !log.contains(part)), "no token is written down");
}

#[test]
fn every_forgery_of_an_es256_token_is_refused_and_all_answers_are_alike() {
    every_forgery_is_refused_alike(Issuer::es256("http://127.0.0.1:9/issuer").expect("keys"));
}

#[test]
fn every_forgery_of_an_rs256_token_is_refused_and_all_answers_are_alike() {
    every_forgery_is_refused_alike(Issuer::rs256("http://127.0.0.1:9/issuer").expect("keys"));
}
