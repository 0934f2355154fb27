//! Where a server gets to: nowhere, but to its own sockets and to the way out, if it has one. Somebody listens outside, who would hear.

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

use sekisho_sandbox::{Cage, Said, Tier};

use crate::support::{BOTH, Probes, Yard, launcher};

/// Those outside who must hear nothing.
struct Ears {
    yard: Yard,
    stream: TcpListener,
    datagrams: UdpSocket,
    named: UnixListener,
    named_datagrams: UnixDatagram,
    nameless: UnixListener,
    program: String,
    arguments: Vec<String>,
}

impl Ears {
    fn new() -> Ears {
        let yard = Yard::new();
        let stream = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = stream.local_addr().unwrap().port();
        let datagrams = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        let named = UnixListener::bind(yard.at("home/project/socket")).unwrap();
        let named_datagrams = UnixDatagram::bind(yard.at("home/project/socket.datagrams")).unwrap();
        let name = format!("sekisho-cage-{port}");
        let nameless = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        datagrams.set_nonblocking(true).unwrap();
        for listener in [&named, &nameless] {
            listener.set_nonblocking(true).unwrap();
        }
        stream.set_nonblocking(true).unwrap();
        named_datagrams.set_nonblocking(true).unwrap();
        let program = yard.compiled("network");
        let socket = yard.at("home/project/socket").display().to_string();
        let arguments = vec![port.to_string(), socket, name];
        Ears { yard, stream, datagrams, named, named_datagrams, nameless, program, arguments }
    }

    fn command<'a>(&'a self, own: &'a str, probes: &[&'a str]) -> Vec<&'a str> {
        let arguments = self.arguments.iter().map(String::as_str);
        [self.program.as_str()].into_iter().chain(arguments).chain([own]).chain(probes.iter().copied()).collect()
    }

    /// What was heard: of TCP, of UDP, at the name, of datagrams at the name, at the name without a path.
    fn heard(&self) -> [bool; 5] {
        let mut bytes = [0; 16];
        [
            self.stream.accept().is_ok(),
            self.datagrams.recv(&mut bytes).is_ok(),
            self.named.accept().is_ok(),
            self.named_datagrams.recv(&mut bytes).is_ok(),
            self.nameless.accept().is_ok(),
        ]
    }
}

fn works(probes: &Probes) -> Vec<&str> {
    probes.iter().filter(|(_, code)| **code == 0).map(|(name, _)| name.as_str()).collect()
}

const TO_THE_HOST: [&str; 7] = [
    "stream_to_the_host",
    "datagram_to_the_host",
    "name_of_the_host",
    "name_without_a_path",
    "datagram_by_a_pair",
    "stream_to_the_host_by_six",
    "pair_of_streams",
];

#[tokio::test]
async fn outside_the_cage_each_of_these_is_heard() {
    let ears = Ears::new();
    let own = ears.yard.at("own").display().to_string();
    let free = ears.yard.free(&ears.command(&own, &TO_THE_HOST));
    assert_eq!(works(&free).len(), TO_THE_HOST.len(), "{free:?}");
    assert_eq!(ears.heard(), [true; 5]);
}

#[tokio::test]
async fn without_a_way_out_nobody_outside_hears_a_server_that_has_sockets_of_its_own() {
    let ears = Ears::new();
    let probes = ears.yard.probes("", Tier::Full, &ears.command("/tmp", &[]), false).await;
    assert_eq!(works(&probes), ["pair_of_packets", "pair_of_streams"], "{probes:?}");
    let permitted = "dangerous_unix_sockets = true";
    let probes = ears.yard.probes(permitted, Tier::Full, &ears.command("/tmp", &[]), false).await;
    assert_eq!(works(&probes), ["listen_at_a_name", "pair_of_packets", "pair_of_streams"], "{probes:?}");
    assert_eq!(ears.heard(), [false; 5]);
}

#[tokio::test]
async fn socket_in_a_granted_folder_is_reached_only_where_that_is_spelled_out() {
    let ears = Ears::new();
    let folder = ears.yard.at("home/project").display().to_string();
    let reached = async |config: &str| {
        let config = format!("read = ['~/project']\n{config}");
        let command = ears.command(&folder, &["name_of_the_host"]);
        works(&ears.yard.probes(&config, Tier::Full, &command, false).await).len()
    };
    assert_eq!(reached("").await, 0);
    assert_eq!(ears.heard(), [false; 5]);
    assert_eq!(reached("dangerous_unix_sockets = true").await, 1);
}

#[tokio::test]
async fn without_namespaces_there_are_pairs_of_sockets_and_no_others() {
    let ears = Ears::new();
    let own = ears.yard.at("own/server").display().to_string();
    let command = ears.command(&own, &[]);
    let probes = ears.yard.probes("write = ['~/project']", Tier::Partial, &command, false).await;
    assert_eq!(works(&probes), ["pair_of_packets", "pair_of_streams"], "{probes:?}");
    assert_eq!(ears.heard(), [false; 5]);
}

#[tokio::test]
async fn way_out_is_the_one_address_that_can_be_connected_to() {
    let ears = Ears::new();
    let plan = ears.yard.plan_with("", Tier::Full, &ears.command("/tmp", &[]), true);
    let confined = Cage::new(plan, launcher()).start(&[]).unwrap();
    let (mut child, mut speech) = (confined.child, confined.speech);
    let mut way_out = None;
    while let Some(said) = speech.next().await {
        if let Said::WayOut(listener) = said {
            way_out = Some(listener);
        }
    }
    let mut out = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut child.stdout.take().unwrap(), &mut out).await.unwrap();
    let mut worked: Vec<_> = out.lines().filter_map(|line| line.strip_suffix("=0")).collect();
    worked.sort_unstable();
    // The datagram goes to its own loopback, where nobody is.
    let expected = ["datagram_to_the_host", "pair_of_packets", "pair_of_streams", "stream_to_the_way_out"];
    assert_eq!(worked, expected, "{out}");
    let way_out = way_out.expect("the way out came along");
    way_out.set_nonblocking(true).unwrap();
    assert!(way_out.accept().is_ok(), "who connected is heard outside");
    assert_eq!(ears.heard(), [false; 5]);
}

#[tokio::test]
async fn sockets_are_granted_to_nobody_and_only_the_loopback_is_there() {
    let ears = Ears::new();
    for tier in BOTH {
        let socket = ears.yard.at("home/project/socket").display().to_string();
        let run =
            ears.yard.sh("", tier, &format!("test -e {socket} && echo seen; cat /proc/net/dev 2>&-; exit 0")).await;
        let interfaces = run.out.lines().filter(|line| line.contains(':')).count();
        assert_eq!(interfaces, usize::from(tier == Tier::Full), "{run:#?}");
        assert!(tier == Tier::Partial || !run.out.contains("seen"), "{run:#?}");
    }
}
