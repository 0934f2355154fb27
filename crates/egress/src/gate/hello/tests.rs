use std::sync::Arc;

use rustls::client::ClientConnection;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ServerConnection;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::*;

fn client(name: &str, change: impl Fn(&mut ClientConfig)) -> ClientConnection {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP384R1];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    change(&mut config);
    ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap()
}

/// What a client says first.
fn hello(name: &str) -> Vec<u8> {
    said(&mut client(name, |_| {}))
}

fn said(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// A server that takes this group alone.
fn server(group: &'static dyn rustls::crypto::SupportedKxGroup) -> ServerConnection {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![group];
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(certificate.der().to_vec())],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    ServerConnection::new(Arc::new(config)).unwrap()
}

/// What a server answers to a hello.
fn answer(server: &mut ServerConnection, mut hello: &[u8]) -> Vec<u8> {
    server.read_tls(&mut hello).unwrap();
    server.process_new_packets().unwrap();
    let mut bytes = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// What goes out of these, said in parts of so many bytes.
fn judged(name: Option<&str>, bytes: &[u8], step: usize) -> Result<Vec<u8>, BadHello> {
    let mut greeting = Greeting::new(name);
    let mut gone = Vec::new();
    for part in bytes.chunks(step) {
        greeting.up(part)?;
        gone.extend(greeting.take());
    }
    Ok(gone)
}

/// The same message in records of so many bytes.
fn in_records(hello: &[u8], bytes: usize) -> Vec<u8> {
    let record = |part: &[u8]| {
        let mut record = vec![22, 3, 1];
        record.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        record.extend(part);
        record
    };
    hello[RECORD_HEADER_BYTES..].chunks(bytes).flat_map(record).collect()
}

#[test]
fn hello_that_says_the_name_passes_however_it_comes() {
    let hello = hello("a.example");
    for bytes in [hello.clone(), in_records(&hello, 1), in_records(&hello, 7), in_records(&hello, 100)] {
        for step in [1, 2, 5, 6, 100, bytes.len()] {
            assert_eq!(judged(Some("a.example"), &bytes, step), Ok(bytes.clone()), "by {step}");
        }
        for end in 0..bytes.len() {
            assert_eq!(judged(Some("a.example"), &bytes[..end], 1 << 14), Ok(Vec::new()), "not before it is whole");
        }
    }
}

#[test]
fn name_is_the_same_in_another_case() {
    let mut hello = hello("a.example");
    let at = hello.windows(9).position(|part| part == b"a.example").unwrap();
    hello[at..at + 9].copy_from_slice(b"A.ExAmPlE");
    assert_eq!(judged(Some("a.example"), &hello, 1000), Ok(hello.clone()));
}

#[test]
fn hello_that_says_another_name_is_refused() {
    for name in ["b.example", "x.a.example", "a.example.evil.test", "example"] {
        assert_eq!(judged(Some("a.example"), &hello(name), 50), Err(BadHello::OtherName), "{name}");
    }
    assert_eq!(judged(None, &hello("a.example"), 50), Err(BadHello::OtherName), "an address was asked for");
}

#[test]
fn hello_without_a_name_is_for_addresses_alone() {
    for nameless in [hello("1.1.1.1"), said(&mut client("a.example", |config| config.enable_sni = false))] {
        assert_eq!(judged(Some("a.example"), &nameless, 50), Err(BadHello::Nameless));
        assert_eq!(judged(None, &nameless, 50), Ok(nameless));
    }
}

#[test]
fn what_is_no_tls_is_refused_at_its_first_bytes() {
    let early_data = [23, 3, 3, 0, 1, 0];
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"GET / HTTP/1.1\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"\x80\x2e\x01\x03\x01",
        b"\x16\x02",
        &early_data,
        &[20, 3, 3, 0, 1, 1],
        &[21, 3, 3, 0, 2, 1, 0],
    ] {
        for step in [1, 100] {
            assert_eq!(judged(Some("a.example"), bytes, step), Err(BadHello::NotTls), "{bytes:?}");
        }
    }
    for bytes in
        [&[22, 3, 1, 0, 0][..], &[22, 3, 1, 255, 255], &[22, 3, 1, 0, 4, 2, 0, 0, 0], &[22, 3, 1, 0, 4, 1, 0, 0, 0]]
    {
        assert_eq!(judged(Some("a.example"), bytes, 100), Err(BadHello::Malformed), "{bytes:?}");
    }
}

#[test]
fn other_records_among_those_of_a_hello_are_refused() {
    let mut bytes = in_records(&hello("a.example"), 100);
    bytes.splice(105..105, [20, 3, 3, 0, 1, 1]);
    assert_eq!(judged(Some("a.example"), &bytes, 1 << 14), Err(BadHello::NotTls));
}

#[test]
fn hello_is_read_up_to_its_bound_and_not_one_past_it() {
    let long = |protocols: &[usize]| {
        let protocols: Vec<Vec<u8>> = protocols.iter().map(|length| vec![b'x'; *length]).collect();
        said(&mut client("a.example", |config| config.alpn_protocols.clone_from(&protocols)))
    };
    // A hello of one record each, brought to length by the last protocols it speaks.
    let mut protocols = vec![200; 76];
    let short = HELLO_BYTES_MAX - long(&protocols).len();
    protocols.extend(vec![short / 5 - 1; 4]);
    protocols.push(short - 4 * (short / 5) - 1);
    let hello = long(&protocols);
    assert_eq!(hello.len(), HELLO_BYTES_MAX);
    for step in [100, hello.len()] {
        assert_eq!(judged(Some("a.example"), &hello, step).map(|gone| gone.len()), Ok(HELLO_BYTES_MAX));
    }
    *protocols.last_mut().unwrap() += 1;
    for step in [100, hello.len() + 1] {
        assert_eq!(judged(Some("a.example"), &long(&protocols), step), Err(BadHello::TooLong));
    }
    assert_eq!(judged(Some("a.example"), &in_records(&hello, 1), 1000), Err(BadHello::TooLong), "headers count, too");
}

#[test]
fn what_follows_a_hello_waits_for_the_servers_answer() {
    let mut speaker = client("a.example", |_| {});
    let hello = said(&mut speaker);
    let answer = answer(&mut server(aws_lc_rs::kx_group::X25519), &hello);
    let mut greeting = Greeting::new(Some("a.example"));
    let mut sent = hello.clone();
    sent.extend_from_slice(b"\x17\x03\x03\0\x01x whatever");
    greeting.up(&sent).unwrap();
    assert_eq!(greeting.take(), hello);
    for byte in &answer {
        assert_eq!((greeting.take(), greeting.is_over()), (Vec::new(), false));
        greeting.down(&[*byte]).unwrap();
        if greeting.is_over() {
            break;
        }
    }
    assert_eq!(greeting.take(), b"\x17\x03\x03\0\x01x whatever");
    greeting.up(b"and on").unwrap();
    assert_eq!(greeting.take(), b"and on");
}

/// A greeting whose server has asked for a second hello, and that client's second hello.
fn retried(warning: &[u8]) -> (Greeting, Vec<u8>) {
    let mut speaker = client("a.example", |_| {});
    let hello = said(&mut speaker);
    let answer = answer(&mut server(aws_lc_rs::kx_group::SECP384R1), &hello);
    let mut greeting = Greeting::new(Some("a.example"));
    greeting.up(&hello).unwrap();
    assert_eq!(greeting.take(), hello);
    greeting.down(warning).unwrap();
    greeting.down(&answer).unwrap();
    assert!(!greeting.is_over());
    speaker.read_tls(&mut &answer[..]).unwrap();
    speaker.process_new_packets().unwrap();
    (greeting, said(&mut speaker))
}

#[test]
fn second_hello_says_the_same_name_or_is_refused() {
    let early_data = [23, 3, 3, 0, 1, 0, 20, 3, 3, 0, 1, 1, 21, 3, 3, 0, 2, 1, 90];
    for warning in [&[][..], &[21, 3, 3, 0, 2, 1, 112]] {
        for before in [&[][..], &early_data] {
            let (mut greeting, second) = retried(warning);
            greeting.up(before).unwrap();
            let (last, second) = second.split_last().unwrap();
            greeting.up(second).unwrap();
            let gone = greeting.take();
            assert!(gone.starts_with(before) && gone.len() < before.len() + second.len(), "held until it is whole");
            greeting.up(&[*last]).unwrap();
            assert!(greeting.is_over());
            assert_eq!(gone.len() + greeting.take().len(), before.len() + second.len() + 1);

            let (mut greeting, _) = retried(warning);
            greeting.up(before).unwrap();
            assert_eq!(greeting.up(&hello("evil.test")), Err(BadHello::OtherName));
            assert_eq!(greeting.take(), before);
            let (mut greeting, _) = retried(warning);
            assert_eq!(greeting.up(&hello("1.1.1.1")), Err(BadHello::Nameless));
        }
    }
    let (mut greeting, _) = retried(&[]);
    assert_eq!(greeting.up(b"GET / HTTP/1.1"), Err(BadHello::NotTls));
}

#[test]
fn second_hello_that_is_sent_before_it_is_asked_for_does_not_go_out_unseen() {
    let mut speaker = client("a.example", |_| {});
    let mut sent = said(&mut speaker);
    let answer = answer(&mut server(aws_lc_rs::kx_group::SECP384R1), &sent);
    let first = sent.clone();
    sent.extend(hello("evil.test"));
    let mut greeting = Greeting::new(Some("a.example"));
    greeting.up(&sent).unwrap();
    assert_eq!(greeting.take(), first);
    assert_eq!(greeting.down(&answer), Err(BadHello::OtherName));
    assert_eq!(greeting.take(), b"");
}

#[test]
fn answer_that_is_no_hello_of_a_server_is_refused() {
    let answered = |answer: &[u8]| {
        let mut greeting = Greeting::new(Some("a.example"));
        greeting.up(&hello("a.example")).unwrap();
        greeting.down(answer).map(|()| greeting.is_over())
    };
    assert_eq!(answered(b"HTTP/1.1 200 OK"), Err(BadHello::Answer));
    assert_eq!(answered(&[22, 3, 3, 0, 4, 1]), Err(BadHello::Answer));
    assert_eq!(answered(&[22, 3, 3, 0, 37]), Err(BadHello::Answer), "in two records");
    assert_eq!(answered(&[22, 3, 3, 0, 38]), Ok(false));
    assert_eq!(answered(&[21, 3, 3, 0, 2, 2, 40]), Ok(false));
    assert_eq!(answered(&[21, 3, 3, 0, 2, 1, 0].repeat(100)), Err(BadHello::Answer), "warnings have an end");
    assert_eq!(answered(&[23, 3, 3, 0, 1, 0]), Err(BadHello::Answer));
}

#[test]
fn what_is_held_back_is_bounded() {
    let mut greeting = Greeting::new(Some("a.example"));
    greeting.up(&hello("a.example")).unwrap();
    let _ = greeting.take();
    assert_eq!(greeting.room(), HELD_BYTES_MAX);
    greeting.up(&vec![0; HELD_BYTES_MAX]).unwrap();
    assert_eq!((greeting.room(), greeting.take()), (0, Vec::new()));
}
