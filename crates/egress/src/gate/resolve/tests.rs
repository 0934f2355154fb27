use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A look-up that answers with these.
fn answers(addresses: &[&str]) -> Lookup {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| ip(text)).collect();
    Arc::new(move |_| {
        let addresses = addresses.clone();
        Box::pin(async move { Ok(addresses) })
    })
}

async fn check(lookup: Lookup, place: &str, reach: Reach, own_ports: &[u16]) -> Result<Vec<IpAddr>, Outcome> {
    let resolver = Resolver::new(lookup, own_ports.to_vec());
    resolver.check(&Place::parse(place).unwrap(), reach).await.map(|checked| checked.addresses)
}

fn refused(why: AddressForbidden) -> Result<Vec<IpAddr>, Outcome> {
    Err(Outcome::Refused(Refusal::Address(why)))
}

async fn public(addresses: &[&str]) -> Result<Vec<IpAddr>, Outcome> {
    check(answers(addresses), "a.example:443", Reach::Public, &[]).await
}

/// An address of this machine that is not loopback's, if it has one.
fn own() -> Option<IpAddr> {
    own_addresses().unwrap().into_iter().find(|address| !address.is_loopback() && address.is_ipv4())
}

#[tokio::test]
async fn name_that_leads_inwards_is_refused_and_its_neighbour_is_not() {
    for address in ["127.0.0.1", "127.8.8.8", "::1"] {
        assert_eq!(public(&[address]).await, refused(AddressForbidden::Loopback(ip(address))), "{address}");
    }
    for address in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "fd12::1"] {
        assert_eq!(public(&[address]).await, refused(AddressForbidden::Private(ip(address))), "{address}");
    }
    for address in [
        "169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "::",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "::ffff:127.0.0.1",
        "::ffff:1.1.1.1",
        "100.64.0.1",
    ] {
        assert_eq!(public(&[address]).await, refused(AddressForbidden::Special(ip(address))), "{address}");
        let listed = check(answers(&[address]), "a.example:443", Reach::Listed, &[]).await;
        assert_eq!(listed, refused(AddressForbidden::Special(ip(address))), "{address}");
    }
    assert_eq!(public(&["1.1.1.1", "2606:4700::1111"]).await, Ok(vec![ip("1.1.1.1"), ip("2606:4700::1111")]));
    assert_eq!(public(&[]).await, Err(Outcome::Failed(Failure::NoAddress)));
}

#[tokio::test]
async fn one_refused_address_refuses_the_name_whole() {
    for addresses in [["1.1.1.1", "10.0.0.1"], ["10.0.0.1", "1.1.1.1"]] {
        assert_eq!(public(&addresses).await, refused(AddressForbidden::Private(ip("10.0.0.1"))), "{addresses:?}");
    }
}

#[tokio::test]
async fn translation_is_left_out_beside_what_it_stands_for_and_refused_otherwise() {
    assert_eq!(public(&["64:ff9b::101:101", "1.1.1.1"]).await, Ok(vec![ip("1.1.1.1")]));
    for addresses in [&["64:ff9b::101:101"][..], &["64:ff9b::101:102", "1.1.1.1"]] {
        let special = AddressForbidden::Special(ip(addresses[0]));
        assert_eq!(public(addresses).await, refused(special), "{addresses:?}");
    }
    let inwards = ["64:ff9b::a00:1", "10.0.0.1"];
    assert_eq!(public(&inwards).await, refused(AddressForbidden::Private(ip("10.0.0.1"))));
}

#[tokio::test]
async fn listed_name_leads_to_private_addresses_and_only_localhost_to_loopback() {
    let listed =
        |addresses: &'static [&'static str], place: &'static str| check(answers(addresses), place, Reach::Listed, &[]);
    assert_eq!(listed(&["10.0.0.1"], "db.corp.example:1").await, Ok(vec![ip("10.0.0.1")]));
    assert_eq!(listed(&["1.1.1.1"], "db.corp.example:1").await, Ok(vec![ip("1.1.1.1")]));
    let loopback = ip("127.0.0.1");
    assert_eq!(listed(&["127.0.0.1"], "db.corp.example:1").await, refused(AddressForbidden::Loopback(loopback)));
    assert_eq!(listed(&["127.0.0.1", "::1"], "localhost:1").await, Ok(vec![loopback, ip("::1")]));
    assert_eq!(listed(&["10.0.0.1"], "localhost:1").await, refused(AddressForbidden::NotLoopback(ip("10.0.0.1"))));
}

#[tokio::test]
async fn address_in_the_request_is_checked_as_one_that_was_looked_up() {
    let literal = |place: &'static str, reach| check(answers(&[]), place, reach, &[]);
    assert_eq!(literal("1.1.1.1:443", Reach::Public).await, Ok(vec![ip("1.1.1.1")]));
    assert_eq!(literal("0x7f.1:443", Reach::Listed).await, Ok(vec![ip("127.0.0.1")]));
    let special = AddressForbidden::Special(ip("169.254.169.254"));
    assert_eq!(literal("2852039166:80", Reach::Listed).await, refused(special));
}

#[tokio::test]
async fn own_addresses_are_refused_unless_listed_and_the_gateways_own_ports_always() {
    let Some(own) = own() else { return };
    let text = own.to_string();
    let text: &'static str = Box::leak(text.into_boxed_str());
    let publicly = public(&[text]).await;
    assert!(matches!(publicly, Err(Outcome::Refused(Refusal::Address(_)))), "{publicly:?}");
    let listed = |port: u16| async move {
        check(answers(&[text]), &format!("db.corp.example:{port}"), Reach::Listed, &[8443]).await
    };
    let is_private = crate::address::is_private(own);
    assert!(!is_private || listed(8444).await == Ok(vec![own]));
    assert_eq!(listed(8443).await, refused(AddressForbidden::OwnPort(SocketAddr::new(own, 8443))));
    let loopback = check(answers(&["127.0.0.1"]), "localhost:8443", Reach::Listed, &[8443]).await;
    assert_eq!(loopback, refused(AddressForbidden::OwnPort("127.0.0.1:8443".parse().unwrap())));
    let elsewhere = check(answers(&["1.1.1.1"]), "a.example:8443", Reach::Public, &[8443]).await;
    assert_eq!(elsewhere, Ok(vec![ip("1.1.1.1")]), "the same port of another machine is another one");
}

#[tokio::test]
async fn own_public_address_is_refused_too() {
    let resolver = Resolver::new(answers(&[]), Vec::new());
    let place = Place::parse("a.example:443").unwrap();
    let own = [ip("1.1.1.1")];
    let verdict = |address, reach| resolver.check_one(&place, ip(address), reach, &own);
    assert_eq!(verdict("1.1.1.1", Reach::Public), Err(AddressForbidden::Own(ip("1.1.1.1"))));
    assert_eq!(verdict("1.1.1.2", Reach::Public), Ok(()));
    assert_eq!(verdict("1.1.1.1", Reach::Listed), Ok(()));
}

#[tokio::test]
async fn what_talks_to_this_machine_is_known_by_its_ends_even_if_it_was_not_by_its_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let checked = |reach| Checked { addresses: vec![address.ip()], port: address.port(), reach, is_own_port: false };
    let own = Outcome::Refused(Refusal::Address(AddressForbidden::Own(address.ip())));
    assert_eq!(checked(Reach::Public).connect().await.unwrap_err(), own);
    assert_eq!(checked(Reach::Listed).connect().await.unwrap().1, address.ip());
    let own = Outcome::Refused(Refusal::Address(AddressForbidden::OwnPort(address)));
    let gateway = Checked { is_own_port: true, ..checked(Reach::Listed) };
    assert_eq!(gateway.connect().await.unwrap_err(), own);
}

#[tokio::test]
async fn name_is_looked_up_once_and_the_checked_address_is_connected_to() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    // It answers with another address each time.
    let lookup: Lookup = Arc::new(move |_| {
        let number = u8::try_from(counted.fetch_add(1, Ordering::SeqCst)).unwrap();
        Box::pin(async move { Ok(vec![IpAddr::from([127, 0, 0, number + 1])]) })
    });
    let resolver = Resolver::new(lookup, Vec::new());
    let place = Place { host: Host::Name("localhost".to_owned()), port };
    let checked = resolver.check(&place, Reach::Listed).await.unwrap();
    let (stream, address) = checked.connect().await.unwrap();
    assert_eq!((stream.peer_addr().unwrap().ip(), address), (ip("127.0.0.1"), ip("127.0.0.1")));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn look_ups_that_hang_end_in_time_and_are_bounded_at_once() {
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let lookup: Lookup = Arc::new(move |_| {
        let counted = Arc::clone(&counted);
        Box::pin(async move {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        })
    });
    let resolver = Arc::new(Resolver::new(lookup, Vec::new()));
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..=LOOKUPS_MAX {
        let resolver = Arc::clone(&resolver);
        asked.spawn(async move {
            let place = Place::parse("a.example:443").unwrap();
            resolver.check(&place, Reach::Public).await.map(|checked| checked.addresses)
        });
    }
    let outcomes = asked.join_all().await;
    assert!(outcomes.iter().all(|outcome| *outcome == Err(Outcome::Failed(Failure::LookupLate))), "{outcomes:?}");
    assert_eq!(begun.load(Ordering::SeqCst), LOOKUPS_MAX);
}

#[tokio::test]
async fn resolver_that_fails_says_how() {
    let lookup: Lookup = Arc::new(|_| Box::pin(async { Err(io::Error::from(io::ErrorKind::NotFound)) }));
    let outcome = check(lookup, "a.example:443", Reach::Public, &[]).await;
    assert_eq!(outcome, Err(Outcome::Failed(Failure::Lookup(io::ErrorKind::NotFound))));
}

#[tokio::test]
async fn next_address_is_tried_when_one_refuses() {
    let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let checked =
        Checked { addresses: vec![ip("127.0.0.1"), ip("127.0.0.2")], port, reach: Reach::Listed, is_own_port: false };
    assert_eq!(checked.connect().await.unwrap().1, ip("127.0.0.2"));
    let nobody = Checked { addresses: vec![ip("127.0.0.1")], port, reach: Reach::Listed, is_own_port: false };
    let failed = Outcome::Failed(Failure::Connect(io::ErrorKind::ConnectionRefused));
    assert_eq!(nobody.connect().await.unwrap_err(), failed);
}
