use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use super::*;

/// A gate whose names lead where these pairs say, and what it told.
async fn gate(hosts: &[&str], private: &[&str], names: &[(&str, &[&str])]) -> (std::net::SocketAddr, Told) {
    let names: HashMap<String, Vec<IpAddr>> = names
        .iter()
        .map(|(name, addresses)| ((*name).to_owned(), addresses.iter().map(|text| text.parse().unwrap()).collect()))
        .collect();
    let lookup: Lookup = Arc::new(move |name| {
        let found = names.get(&name).cloned().ok_or(io::Error::from(io::ErrorKind::NotFound));
        Box::pin(async move { found })
    });
    let told = Told::default();
    let telling = Arc::clone(&told);
    let report: Report = Box::new(move |passage| {
        telling.lock().unwrap().push(passage);
        Box::pin(async { Ok(()) })
    });
    let rules = GateRules {
        hosts: hosts.iter().map(|text| text.parse().unwrap()).collect(),
        private_hosts: private.iter().map(|text| text.parse().unwrap()).collect(),
        ..GateRules::default()
    };
    let gate = Arc::new(Gate::with_lookup(rules, report, lookup).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(gate.serve(listener));
    (at, told)
}

type Told = Arc<Mutex<Vec<Passage>>>;

/// What the gate answers to this.
async fn ask(at: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn connect(at: std::net::SocketAddr, place: &str) -> String {
    ask(at, &format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n")).await
}

#[tokio::test]
async fn permitted_name_that_leads_inwards_is_refused_and_nobody_hears_where() {
    let inwards: &[(&str, &[&str])] = &[
        ("metadata.google.internal", &["169.254.169.254"]),
        ("mapped.example.com", &["::ffff:127.0.0.1"]),
        ("loopback.example.com", &["127.0.0.1"]),
        ("private.example.com", &["10.1.2.3"]),
        ("mixed.example.com", &["1.1.1.1", "10.1.2.3"]),
        ("nat64.example.com", &["64:ff9b::a9fe:a9fe"]),
        ("6to4.example.com", &["2002:7f00:1::"]),
        ("aws.example.com", &["fd00:ec2::254"]),
    ];
    let (at, told) = gate(&["*.example.com", "metadata.google.internal"], &[], inwards).await;
    for (number, (name, addresses)) in inwards.iter().enumerate() {
        let answer = connect(at, &format!("{name}:443")).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("destination_ip_prohibited"), "{answer}");
        assert!(addresses.iter().all(|address| !answer.contains(address)), "{answer}");
        let told = told.lock().unwrap();
        assert_eq!(told.len(), number + 1, "once, at its end");
        let last = told.last().unwrap();
        assert!(matches!(last.outcome, Outcome::Refused(Refusal::Address(_))), "{last:?}");
        assert_eq!((last.bytes_up, last.bytes_down, last.asked.as_ref().unwrap().host.as_str()), (0, 0, *name));
    }
}

#[tokio::test]
async fn what_no_rule_names_is_not_even_looked_up() {
    let (at, told) = gate(&["*.example.com", "example.org", "**.example.net"], &[], &[]).await;
    for place in [
        "example.com:443",
        "a.b.example.com:443",
        "a.example.com:22",
        "evilexample.com:443",
        "example.org.evil.test:443",
        "example.net:443",
        "localhost.:443",
        "0x7f.1:443",
        "2130706433:443",
        "[::ffff:127.0.0.1]:443",
        "169.254.169.254:443",
    ] {
        let answer = connect(at, place).await;
        assert!(answer.contains("http_request_denied") && answer.contains("no rule permits it"), "{place}: {answer}");
        assert_eq!(told.lock().unwrap().pop().unwrap().outcome, Outcome::Refused(Refusal::NoRule), "{place}");
    }
    for place in ["a.example.com:443", "example.org:443", "a.b.example.net:443"] {
        let answer = connect(at, place).await;
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("dns_error"), "{place}: {answer}");
        let outcome = Outcome::Failed(Failure::Lookup(io::ErrorKind::NotFound));
        assert_eq!(told.lock().unwrap().pop().unwrap().outcome, outcome, "{place}");
    }
}

#[tokio::test]
async fn listed_name_leads_to_the_private_addresses_it_has_and_not_to_loopback() {
    let names: &[(&str, &[&str])] = &[("db.corp.example", &["127.0.0.1"])];
    let (at, told) = gate(&[], &["tcp://db.corp.example:5432"], names).await;
    let answer = connect(at, "db.corp.example:5432").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let loopback = Outcome::Refused(Refusal::Address(AddressForbidden::Loopback("127.0.0.1".parse().unwrap())));
    assert_eq!(told.lock().unwrap().pop().unwrap().outcome, loopback);
}

#[test]
fn rules_are_taken_up_to_their_bound_and_not_one_past_it() {
    let gate = |count: usize| {
        let hosts = vec!["a.example".parse().unwrap(); count];
        Gate::new(GateRules { hosts, ..GateRules::default() }, |_| async { Ok(()) })
    };
    assert!(gate(RULES_MAX).is_ok());
    let too_many = BadGateRules::TooMany { count: RULES_MAX + 1, count_max: RULES_MAX };
    assert_eq!(gate(RULES_MAX + 1).unwrap_err(), too_many);
}

#[test]
fn rule_that_names_the_gateway_itself_is_refused_and_one_beside_it_is_not() {
    for text in ["localhost:8443", "127.0.0.1:8443", "tcp://127.1.2.3:8443", "http://[::1]:8443"] {
        let gate = |own_ports: Vec<u16>| {
            let private_hosts = vec![text.parse().unwrap()];
            Gate::new(GateRules { private_hosts, own_ports, ..GateRules::default() }, |_| async { Ok(()) })
        };
        assert_eq!(gate(vec![1, 8443]).unwrap_err(), BadGateRules::OwnPort(text.parse().unwrap()), "{text}");
        assert!(gate(vec![8444]).is_ok(), "{text}");
    }
}
