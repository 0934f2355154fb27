//! The MCP server of the bench, as a process. Its first line is its endpoint.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use sekisho_bench::upstream::{Answers, Offer, serve};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

/// A fast and strict MCP server.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How many tools there are.
    #[arg(long, default_value_t = 20)]
    tools: usize,
    /// How many tools a page of the list has; 0: all.
    #[arg(long, default_value_t = 0)]
    page: usize,
    /// Answer with event streams.
    #[arg(long)]
    stream: bool,
    /// How long a call takes, in microseconds.
    #[arg(long, default_value_t = 0)]
    delay_us: u64,
}

fn main() -> anyhow::Result<()> {
    let Arguments { listen, tools, page, stream, delay_us } = Arguments::parse();
    let answers = if stream { Answers::Stream } else { Answers::Json };
    let offer = Offer { tools, page, answers, delay: Duration::from_micros(delay_us) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind(listen).await?;
        println!("http://{}/mcp", listener.local_addr()?);
        serve(listener, offer).await
    })
}
