//! What is promised, held against what was found.

use std::fmt;

use sekisho_bench::row::Row;

/// A promise, and how it stands.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    /// What is promised, in words.
    pub(crate) promise: String,
    /// What was found; none where there are no rows for it.
    pub(crate) found: Option<f64>,
    /// What it may be.
    pub(crate) limit: Limit,
}

/// What a figure may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    /// A promise and its figure.
    pub(crate) fn new(promise: &str, found: Option<f64>, limit: Limit) -> Self {
        Self { promise: promise.to_owned(), found, limit }
    }

    /// Whether the promise is kept; a figure that is missing keeps none.
    pub(crate) fn holds(&self) -> bool {
        self.found.is_some_and(|found| match self.limit {
            Limit::AtMost(most) => found <= most,
            Limit::AtLeast(least) => found >= least,
        })
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found.map_or_else(|| "no figure".to_owned(), |found| format!("{found:.2}"));
        let limit = match self.limit {
            Limit::AtMost(most) => format!("at most {most}"),
            Limit::AtLeast(least) => format!("at least {least}"),
        };
        let holds = if self.holds() { "holds" } else { "DOES NOT HOLD" };
        write!(to, "| {} | {found} | {limit} | {holds} |", self.promise)
    }
}

/// A figure of a row.
pub(crate) type Figure = fn(&Row) -> f64;

/// CPU per call, in microseconds.
pub(crate) const CPU: Figure = |row| row.report.cpu_us_per_call;
/// Calls a second.
pub(crate) const RPS: Figure = |row| row.report.rps;
/// Median latency, in microseconds.
pub(crate) const P50: Figure = |row| row.report.p50_us;
/// Latency of the slowest hundredth, in microseconds.
pub(crate) const P99: Figure = |row| row.report.p99_us;

/// The median of per-round ratios of one figure.
pub(crate) fn ratio(ours: &[&Row], theirs: &[&Row], figure: Figure) -> Option<f64> {
    median(ratios(ours, theirs, figure))
}

/// The ratios of one figure, round by round.
pub(crate) fn ratios(ours: &[&Row], theirs: &[&Row], figure: Figure) -> Vec<f64> {
    per_round(ours, theirs, |our, their| figure(our) / figure(their))
}

/// The median of per-round differences of one figure.
pub(crate) fn difference(ours: &[&Row], theirs: &[&Row], figure: Figure) -> Option<f64> {
    median(per_round(ours, theirs, |our, their| figure(our) - figure(their)))
}

/// The median of one figure over all rounds.
pub(crate) fn middle(rows: &[&Row], figure: Figure) -> Option<f64> {
    median(rows.iter().map(|row| figure(row)).collect())
}

/// `of` applied to both rows of each round: neighbours in time see the same machine.
fn per_round(ours: &[&Row], theirs: &[&Row], of: impl Fn(&Row, &Row) -> f64) -> Vec<f64> {
    let pairs = ours.iter().filter_map(|our| {
        let their = theirs.iter().find(|their| their.round == our.round)?;
        Some(of(our, their))
    });
    pairs.collect()
}

/// The median.
pub(crate) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    let upper = figures.get(half)?;
    if figures.len() % 2 == 1 {
        return Some(*upper);
    }
    let lower = figures.get(half.checked_sub(1)?)?;
    Some(f64::midpoint(*lower, *upper))
}

/// The rows that `wanted` picks.
pub(crate) fn pick(rows: &[Row], wanted: impl Fn(&Row) -> bool) -> Vec<&Row> {
    rows.iter().filter(|row| wanted(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle_and_none_is_none() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn a_bar_holds_at_its_limit_and_not_past_it_nor_without_a_figure() {
        let bar = |found, limit| Bar { promise: String::new(), found, limit }.holds();
        assert!(bar(Some(1.8), Limit::AtMost(1.8)) && !bar(Some(1.81), Limit::AtMost(1.8)));
        assert!(bar(Some(0.55), Limit::AtLeast(0.55)) && !bar(Some(0.54), Limit::AtLeast(0.55)));
        assert!(!bar(None, Limit::AtMost(1.8)));
    }
}
