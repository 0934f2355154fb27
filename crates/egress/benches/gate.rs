//! What the way out of a cage costs beside going straight, over loopback: `cargo bench -p sekisho-egress --bench gate`.
//!
//! Client, gate and server each have a thread. Figures are medians; both ways are taken in turn, so that a busy machine slows both.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a bench ends where something is not as it should be"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sekisho_egress::{Gate, GateBudgets, GateRules};

fn main() {
    let server = server();
    let gate = gate(server.port());
    let straight = || TcpStream::connect(server).unwrap();
    let through = || tunnel(gate, server.port());
    let pairs = |measure: &dyn Fn(&mut TcpStream) -> f64| {
        let pairs: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (measure(&mut straight()), measure(&mut through()))).collect();
        (median(pairs.iter().map(|pair| pair.0)), median(pairs.iter().map(|pair| pair.1)))
    };
    for (way, order) in [("received", b'd'), ("sent", b'u')] {
        let (direct, proxied) = pairs(&|stream| throughput(stream, order));
        println!(
            "{way}: {direct:.0} MiB/s straight, {proxied:.0} MiB/s through the gate, {:.0} %",
            100.0 * proxied / direct
        );
    }
    let (direct, proxied) = pairs(&round_trip);
    println!("a byte there and back: {direct:.1} us straight, {proxied:.1} us through the gate");
    let opened = |open: &dyn Fn() -> TcpStream| {
        median((0..100).map(|_| {
            let begun = Instant::now();
            drop(open());
            micros(begun.elapsed())
        }))
    };
    println!("a connection: {:.0} us straight, {:.0} us through the gate", opened(&straight), opened(&through));
}

/// Sends or takes as many bytes as it is told to by the first one, or gives each byte back.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || serve(&mut stream));
        }
    });
    at
}

fn serve(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut order = [0];
    stream.read_exact(&mut order)?;
    let mut chunk = vec![0; CHUNK];
    match order[0] {
        b'd' => (0..CHUNKS).try_for_each(|_| stream.write_all(&chunk)),
        b'u' => {
            (0..CHUNKS).try_for_each(|_| stream.read_exact(&mut chunk))?;
            stream.write_all(b"x")
        }
        _ => loop {
            stream.read_exact(&mut order)?;
            stream.write_all(&order)?;
        },
    }
}

fn gate(port: u16) -> SocketAddr {
    let budgets =
        GateBudgets { bytes_per_hour_max: 1 << 40, connections_per_minute_max: 100_000, ..GateBudgets::default() };
    let private_hosts = vec![format!("tcp://localhost:{port}").parse().unwrap()];
    let rules = GateRules { private_hosts, budgets, ..GateRules::default() };
    let gate = Arc::new(Gate::new(rules, |_| async { Ok(()) }).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async move { gate.serve(tokio::net::TcpListener::from_std(listener).unwrap()).await })
    });
    at
}

fn tunnel(gate: SocketAddr, port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(gate).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(format!("CONNECT localhost:{port} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
    let mut head = [0; 39];
    stream.read_exact(&mut head).unwrap();
    assert!(head.starts_with(b"HTTP/1.1 200"));
    stream
}

fn throughput(stream: &mut TcpStream, order: u8) -> f64 {
    let begun = Instant::now();
    stream.write_all(&[order]).unwrap();
    let mut chunk = vec![0; CHUNK];
    for _ in 0..CHUNKS {
        if order == b'd' {
            stream.read_exact(&mut chunk).unwrap();
        } else {
            stream.write_all(&chunk).unwrap();
        }
    }
    if order == b'u' {
        stream.read_exact(&mut chunk[..1]).unwrap();
    }
    (CHUNK * CHUNKS) as f64 / f64::from(1 << 20) / begun.elapsed().as_secs_f64()
}

fn round_trip(stream: &mut TcpStream) -> f64 {
    stream.set_nodelay(true).unwrap();
    stream.write_all(b"e").unwrap();
    median((0..2000).map(|_| {
        let begun = Instant::now();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        micros(begun.elapsed())
    }))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const ROUNDS: usize = 7;
const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 4096;
