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
    let yard = Yard::start(&servers)?;
    let count = clients.len().saturating_mul(servers.len());
    let mut rows: Vec<Row> = Vec::new();
    for client in clients {
        for server in &servers {
            let row = run(&yard, client, server);
            let nth = rows.len().saturating_add(1);
            let time = row.time.as_secs_f32();
            println!("[{nth:3}/{count}] {} - {}: {} in {time:.1} s", row.client, row.server, verdict(&row));
            row.failures().for_each(|failure| println!("    {failure}"));
            rows.push(row);
        }
    }
    print!("\n{}", table(&rows));
    println!("done in {} s", start.elapsed().as_secs());
    let failures = rows.iter().flat_map(Row::failures).count();
    if failures > 0 {
        println!("{}", yard.gateway().log());
    }
    anyhow::ensure!(failures == 0, "{failures} cells fail");
    Ok(())
}

fn verdict(row: &Row) -> &'static str {
    if row.failures().next().is_none() { "ok" } else { "FAILS" }
}
