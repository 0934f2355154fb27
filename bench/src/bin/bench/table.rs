//! What people see at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sekisho_bench::load::Report;
use sekisho_bench::row::Row;
use sekisho_bench::usage::Usage;

use crate::bars::{Bar, CPU, Figure, P50, RPS, difference, median, middle, pick, ratio, ratios};

/// Prints medians of every cell, and how each target stands to `yardstick`: medians of what was found round by round.
pub(crate) fn print(rows: &[Row], yardstick: &str, bars: &[Bar]) {
    println!(
        "| load | bytes | connections | target | a second | x | p50 us | + | p99 us | CPU us a call | x | MiB | errors |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut seen = BTreeSet::new();
    for row in rows {
        if seen.insert((cell(row), row.target.clone())) {
            let ours = pick(rows, |other| cell(other) == cell(row) && other.target == row.target);
            let theirs = pick(rows, |other| cell(other) == cell(row) && other.target == yardstick);
            print_line(row, &ours, &theirs);
        }
    }
    println!("\nMedians of the rounds. x and +: against {yardstick} in the same round, then the median of those.");
    if !bars.is_empty() {
        println!("\n| promise | found | limit | |\n|---|---|---|---|");
        bars.iter().for_each(|bar| println!("{bar}"));
    }
}

/// Prints how gateways stand to the first of them, round by round: the median, and the least and most of all rounds. What lies on both
/// sides of 1 is noise.
pub(crate) fn versus(rows: &[Row], first: &str, others: &[String]) {
    println!("\n| load | bytes | connections | target | CPU a call, x {first} | calls a second, x {first} |");
    println!("|---|---|---|---|---|---|");
    let mut seen = BTreeSet::new();
    for row in rows.iter().filter(|row| others.contains(&row.target)) {
        if seen.insert((cell(row), row.target.clone())) {
            let of = |target: &str| pick(rows, |other| cell(other) == cell(row) && other.target == target);
            let [cpu, rps] = [CPU, RPS].map(|figure| spread(&of(&row.target), &of(first), figure));
            println!("| {} | {} | {} | {} | {cpu} | {rps} |", words(row), row.payload, row.concurrency, row.target);
        }
    }
}

fn spread(ours: &[&Row], theirs: &[&Row], figure: Figure) -> String {
    let mut all = ratios(ours, theirs, figure);
    all.sort_by(f64::total_cmp);
    let ends = all.first().copied().zip(all.last().copied());
    match median(all).zip(ends) {
        Some((middle, (least, most))) => format!("{middle:.3} ({least:.3} to {most:.3})"),
        None => "no figure".to_owned(),
    }
}

/// The report of something that was done once.
pub(crate) fn single(time: Duration, used: Usage) -> Report {
    let us = time.as_secs_f64() * 1e6;
    Report {
        calls: 1,
        seconds: time.as_secs_f64(),
        rps: 0.0,
        p50_us: us,
        p99_us: us,
        cpu_us_per_call: used.cpu.as_secs_f64() * 1e6,
        load_us_per_call: 0.0,
        rss_mib: used.rss_mib,
        peak_rss_mib: used.peak_rss_mib,
        descriptors: used.descriptors,
        errors: 0,
        error_kinds: BTreeMap::new(),
    }
}

fn print_line(row: &Row, ours: &[&Row], theirs: &[&Row]) {
    let middle = |figure: Figure| middle(ours, figure).unwrap_or(f64::NAN);
    let against = |found: Option<f64>, signed: bool| match found {
        Some(found) if signed => format!("{found:+.0}"),
        Some(found) => format!("{found:.2}"),
        None => String::new(),
    };
    println!(
        "| {} | {} | {} | {} | {:.0} | {} | {:.0} | {} | {:.0} | {:.1} | {} | {:.1} | {} |",
        words(row),
        row.payload,
        row.concurrency,
        row.target,
        middle(RPS),
        against(ratio(ours, theirs, RPS), false),
        middle(P50),
        against(difference(ours, theirs, P50), true),
        middle(crate::bars::P99),
        middle(CPU),
        against(ratio(ours, theirs, CPU), false),
        middle(|row| row.report.peak_rss_mib),
        ours.iter().map(|row| row.report.errors).sum::<u64>()
    );
}

fn words(row: &Row) -> String {
    let words = [row.load, &row.variant, row.protocol, row.http];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ")
}

/// What has to be alike for rows to be compared.
fn cell(row: &Row) -> (&str, &str, &str, &str, u64, u32) {
    (row.load, &row.variant, row.protocol, row.http, row.payload, row.concurrency)
}
