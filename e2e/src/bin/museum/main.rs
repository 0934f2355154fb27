//! Every exhibit of the incident museum in both eras: `cargo xtask museum`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use sekisho_e2e::client::Era;
use sekisho_e2e::museum::{self, Row};

/// Plays public incidents and their benign twins, without the gateway and through it.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only exhibits whose ids contain this.
    #[arg(long, default_value = "")]
    exhibit: String,
    /// Writes one row per exhibit and era into this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let start = Instant::now();
    let mut rows: Vec<Row> = Vec::new();
    for exhibit in museum::exhibits()?.iter().filter(|exhibit| exhibit.id().contains(&arguments.exhibit)) {
        for era in [Era::Legacy, Era::Modern] {
            let row = museum::play(exhibit, era);
            row.failures().for_each(|failure| println!("{failure}"));
            rows.push(row);
        }
    }
    if let Some(path) = &arguments.json {
        std::fs::write(path, museum::json(&rows)).with_context(|| format!("{}", path.display()))?;
    }
    println!("{}done in {} s", museum::table(&rows), start.elapsed().as_secs());
    anyhow::ensure!(!rows.is_empty(), "no exhibit is called so");
    let failing = rows.iter().filter(|row| !row.holds()).count();
    anyhow::ensure!(failing == 0, "{failing} rows do not hold");
    Ok(())
}
