//! What a client is told whose connection is refused or fails: which rule would be needed, and nothing that it could not know.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gate::head::BadHead;
use crate::gate::hello::BadHello;
use crate::gate::host::Place;
use crate::gate::passage::{AddressForbidden, Cut, Failure, Outcome, Refusal};
use crate::gate::rules::{Asking, Via};

/// What has been said to a client before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing: an answer of HTTP is awaited.
    Nothing,
    /// Its tunnel stands, and bytes are what it understands.
    Established,
    /// Part of an answer: there is nothing to add.
    Part,
}

/// Tells the outcome, where something can be told, and that nothing else comes.
pub(super) async fn tell(client: &mut TcpStream, said: Said, asked: Option<(Asking, &Place)>, outcome: &Outcome) {
    let text = match (said, outcome) {
        (Said::Nothing, _) => response(asked, outcome),
        (Said::Established, Outcome::Refused(Refusal::Hello(why)) | Outcome::Cut(Cut::Hello(why))) => alert(*why),
        (
            Said::Established,
            Outcome::Opened | Outcome::Ended | Outcome::Cut(_) | Outcome::Refused(_) | Outcome::Failed(_),
        )
        | (Said::Part, _) => None,
    };
    let told = async {
        client.write_all(&text.unwrap_or_default()).await?;
        client.shutdown().await
    };
    // Who has left need not be told, and who does not read is not waited for.
    let _ = tokio::time::timeout(TOLD_WITHIN, told).await;
}

/// Lets a client read what it was told: a connection that is dropped with unread bytes is reset.
pub(super) async fn linger(mut client: TcpStream) {
    let rest = async {
        let mut scrap = vec![0; SCRAP_BYTES];
        for _ in 0..SCRAPS_MAX {
            if client.read(&mut scrap).await? == 0 {
                break;
            }
        }
        Ok::<(), io::Error>(())
    };
    let _ = tokio::time::timeout(LINGER, rest).await;
}

/// An HTTP response that says why. It closes the connection.
fn response(asked: Option<(Asking, &Place)>, outcome: &Outcome) -> Option<Vec<u8>> {
    let (status, kind) = status(outcome)?;
    let subject = match asked {
        None => "this connection".to_owned(),
        Some((Asking::Tunnel, place)) => format!("CONNECT {place}"),
        Some((Asking::Plain, place)) => format!("a request to http://{place}"),
    };
    let body = format!("sekisho: {subject} goes no further: {}\n", reason(asked, outcome)?);
    let length = body.len();
    let response = format!(
        "HTTP/1.1 {status}\r\nProxy-Status: sekisho; error={kind}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    Some(response.into_bytes())
}

/// The status, and the type of error of RFC 9209 section 2.3.
fn status(outcome: &Outcome) -> Option<(&'static str, &'static str)> {
    match outcome {
        Outcome::Opened | Outcome::Ended => None,
        Outcome::Refused(why) => of_refusal(why),
        Outcome::Failed(why) => of_failure(*why),
        Outcome::Cut(why) => Some(match why {
            Cut::Idle | Cut::Life => ("504 Gateway Timeout", "http_response_timeout"),
            Cut::Budget(_) => ("429 Too Many Requests", "connection_limit_reached"),
            Cut::Hello(_) => ("502 Bad Gateway", "tls_protocol_error"),
            Cut::Body => ("400 Bad Request", "http_request_error"),
            Cut::Closed => ("503 Service Unavailable", "destination_unavailable"),
        }),
    }
}

fn of_refusal(why: &Refusal) -> Option<(&'static str, &'static str)> {
    match why {
        Refusal::Head(BadHead::Left) => None,
        Refusal::Head(BadHead::Late) => Some(("408 Request Timeout", "http_request_error")),
        Refusal::Head(BadHead::TooLong) => Some(("431 Request Header Fields Too Large", "http_request_error")),
        Refusal::Head(
            BadHead::Lines
            | BadHead::NotHttp
            | BadHead::Form
            | BadHead::Scheme
            | BadHead::Place(_)
            | BadHead::Host
            | BadHead::Body
            | BadHead::SecondRequest,
        ) => Some(("400 Bad Request", "http_request_error")),
        Refusal::NoRule => Some(("403 Forbidden", "http_request_denied")),
        Refusal::Address(_) => Some(("403 Forbidden", "destination_ip_prohibited")),
        Refusal::Budget(_) => Some(("429 Too Many Requests", "connection_limit_reached")),
        Refusal::Hello(_) => Some(("400 Bad Request", "tls_protocol_error")),
        Refusal::NotRecorded => Some(("503 Service Unavailable", "proxy_internal_error")),
    }
}

fn of_failure(why: Failure) -> Option<(&'static str, &'static str)> {
    match why {
        Failure::Lookup(_) | Failure::NoAddress => Some(("502 Bad Gateway", "dns_error")),
        Failure::LookupLate => Some(("504 Gateway Timeout", "dns_timeout")),
        Failure::Connect(io::ErrorKind::TimedOut) => Some(("504 Gateway Timeout", "connection_timeout")),
        Failure::Connect(io::ErrorKind::ConnectionRefused) => Some(("502 Bad Gateway", "connection_refused")),
        Failure::Connect(_) => Some(("502 Bad Gateway", "destination_unavailable")),
        Failure::Broken(_) => Some(("502 Bad Gateway", "connection_terminated")),
        Failure::Answer => Some(("502 Bad Gateway", "http_protocol_error")),
        Failure::Left => None,
    }
}

/// It repeats what was asked for alone, in its one spelling. Where a name leads stays untold: names are not looked up in a cage.
fn reason(asked: Option<(Asking, &Place)>, outcome: &Outcome) -> Option<String> {
    let would = |list: &str| match asked {
        None => String::new(),
        Some((asking, place)) => {
            let via = match asking {
                Asking::Tunnel => Via::Tls,
                Asking::Plain => Via::Http,
            };
            format!("; the rule \"{via}{place}\" in `{list}` of this server's sandbox would permit it")
        }
    };
    match outcome {
        Outcome::Refused(Refusal::NoRule) => Some(format!("no rule permits it{}", would("hosts"))),
        Outcome::Refused(Refusal::Address(why)) => Some(match why {
            AddressForbidden::Loopback(_) | AddressForbidden::Private(_) | AddressForbidden::Own(_) => {
                format!("it is at a private address{}", would("dangerous_private_hosts"))
            }
            AddressForbidden::NotLoopback(_) => "localhost leads elsewhere than to this machine".to_owned(),
            AddressForbidden::Special(_) => "it is at an address that no rule can permit".to_owned(),
            AddressForbidden::OwnPort(_) => "it is the gateway itself, which no rule can permit".to_owned(),
            AddressForbidden::OwnUnknown => "its address cannot be checked".to_owned(),
        }),
        Outcome::Opened
        | Outcome::Ended
        | Outcome::Cut(_)
        | Outcome::Refused(Refusal::Head(_) | Refusal::Budget(_) | Refusal::Hello(_) | Refusal::NotRecorded)
        | Outcome::Failed(_) => outcome.why(),
    }
}

/// A fatal alert (RFC 8446 section 6; RFC 6066 section 3), so that a client of TLS hears more than silence.
fn alert(why: BadHello) -> Option<Vec<u8>> {
    let description = match why {
        BadHello::NotTls | BadHello::Late | BadHello::Answer => return None,
        BadHello::Malformed | BadHello::TooLong => 50,
        BadHello::Nameless | BadHello::OtherName => 112,
    };
    Some(vec![21, 3, 3, 0, 2, 2, description])
}

const TOLD_WITHIN: Duration = Duration::from_secs(2);
const LINGER: Duration = Duration::from_secs(2);
const SCRAP_BYTES: usize = 4 * 1024;
const SCRAPS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::budget::Budget;

    fn told(asking: Asking, place: &str, outcome: &Outcome) -> String {
        let place = Place::parse(place).unwrap();
        String::from_utf8(response(Some((asking, &place)), outcome).unwrap()).unwrap()
    }

    #[test]
    fn refusal_says_which_rule_would_be_needed() {
        let no_rule = Outcome::Refused(Refusal::NoRule);
        let text = told(Asking::Tunnel, "EVIL.test.:443", &no_rule);
        assert!(text.starts_with("HTTP/1.1 403 Forbidden\r\nProxy-Status: sekisho; error=http_request_denied\r\n"));
        assert!(text.ends_with(
            "sekisho: CONNECT evil.test:443 goes no further: no rule permits it; the rule \"evil.test:443\" in `hosts` of this \
             server's sandbox would permit it\n"
        ));
        assert!(told(Asking::Plain, "evil.test:80", &no_rule).contains("the rule \"http://evil.test:80\" in `hosts`"));
    }

    #[test]
    fn refusal_does_not_say_where_a_name_leads() {
        let address = "10.1.2.3".parse().unwrap();
        for why in [
            AddressForbidden::Private(address),
            AddressForbidden::Loopback(address),
            AddressForbidden::Own(address),
            AddressForbidden::Special(address),
        ] {
            let text = told(Asking::Tunnel, "a.corp.example:443", &Outcome::Refused(Refusal::Address(why)));
            assert!(text.contains("403 Forbidden") && !text.contains("10.1.2.3"), "{text}");
            let is_permissible = !matches!(why, AddressForbidden::Special(_));
            assert_eq!(text.contains("`dangerous_private_hosts`"), is_permissible, "{text}");
        }
    }

    #[test]
    fn each_budget_is_named() {
        for (budget, name) in [
            (Budget::Connections, "connections open at once"),
            (Budget::ConnectionsPerMinute, "connections in a minute"),
            (Budget::BytesUp, "bytes sent"),
            (Budget::BytesDown, "bytes received"),
        ] {
            let text = told(Asking::Tunnel, "a.example:443", &Outcome::Refused(Refusal::Budget(budget)));
            assert!(text.starts_with("HTTP/1.1 429 ") && text.contains(name), "{text}");
        }
    }

    #[test]
    fn who_left_is_told_nothing() {
        assert_eq!(response(None, &Outcome::Refused(Refusal::Head(BadHead::Left))), None);
        assert_eq!(response(None, &Outcome::Ended), None);
    }
}
