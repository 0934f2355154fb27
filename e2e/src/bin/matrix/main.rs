//! Every official client with every server through the gateway: `cargo xtask matrix`.

use std::time::Instant;

use clap::Parser;
use sekisho_e2e::matrix::{CLIENTS, Row, SERVERS, Server, Yard, run, table};

/// Tries what every pair of a client and a server has in common.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only clients whose names contain this.
    #[arg(long, default_value = "")]
    client: String,
    /// Only servers whose names contain this.
    #[arg(long, default_value = "")]
    server: String,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let start = Instant::now();
    let clients: Vec<_> = CLIENTS.iter().filter(|client| client.name.contains(&arguments.client)).collect();
    let servers: Vec<&Server> = SERVERS.iter().filter(|server| server.name.contains(&arguments.server)).collect();
    let count = clients.len().saturating_mul(servers.len());
    let mut rows: Vec<Row> = Vec::new();
    for server in servers {
        // One at a time: many at once would take long to start, and be taken for servers that do not answer.
        let yard = Yard::start(&[server])?;
        let first = rows.len();
        for client in &clients {
            let row = run(&yard, client, server);
            let (nth, time) = (rows.len().saturating_add(1), row.time.as_secs_f32());
            println!("[{nth:3}/{count}] {} - {}: {} in {time:.1} s", row.client, row.server, verdict(&row));
            row.failures().for_each(|failure| println!("    {failure}"));
            rows.push(row);
        }
        if rows.iter().skip(first).any(|row| row.failures().next().is_some()) {
            println!("{}", yard.gateway().log());
        }
    }
    print!("\n{}done in {} s\n", table(&rows), start.elapsed().as_secs());
    let failures = rows.iter().flat_map(Row::failures).count();
    anyhow::ensure!(failures == 0, "{failures} cells fail");
    Ok(())
}

fn verdict(row: &Row) -> &'static str {
    if row.failures().next().is_none() { "ok" } else { "FAILS" }
}
