//! Whether this machine's clock can be right: expiry of tokens and the times of records rest on it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::problem::{Code, Problem};

/// Refuses a time that cannot be.
///
/// # Errors
/// `now` lies before 2026, when there was no Sekisho, or decades ahead.
pub(crate) fn check(now: SystemTime) -> Result<(), Problem> {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    if (EARLIEST..LATEST).contains(&since) {
        return Ok(());
    }
    let said = Timestamp::try_from(now).map_or_else(|_| "no date at all".to_owned(), |time| time.to_string());
    Err(Problem::new(Code::Clock, format!("this machine's clock says {said}, which cannot be"))
        .help("set the clock: tokens would be taken for expired, or expired ones for good"))
}

/// The files that were changed after `now`, by their own dates: a sign that the clock goes wrong, or went wrong.
#[must_use]
pub(crate) fn from_the_future(files: &[PathBuf], now: SystemTime) -> Vec<Problem> {
    let limit = now.checked_add(SKEW).unwrap_or(now);
    let dated = |file: &Path| std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok();
    let ahead = files.iter().filter(|file| dated(file).is_some_and(|date| date > limit));
    ahead
        .map(|file| {
            Problem::new(Code::FutureFile, format!("`{}` is dated in the future", file.display()))
                .help("see whether this machine's clock is right; if it is, `touch` the file")
        })
        .collect()
}

/// 2026-01-01T00:00:00Z, in seconds of Unix time.
const EARLIEST: u64 = 1_767_225_600;
/// 2056-01-01T00:00:00Z: thirty years on, a clock is likelier to be wrong than this program to be run.
const LATEST: u64 = 2_713_910_400;
/// Files written a moment ago by another machine may be ahead a little.
const SKEW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        text.parse::<Timestamp>().unwrap().into()
    }

    #[test]
    fn time_before_2026_or_decades_ahead_is_refused() {
        for good in ["2026-01-01T00:00:00Z", "2026-11-22T00:00:00Z", "2055-12-31T23:59:59Z"] {
            check(at(good)).unwrap();
        }
        for bad in ["2025-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2056-01-01T00:00:00Z", "2106-02-07T06:28:15Z"] {
            let problem = check(at(bad)).unwrap_err();
            let (date, _) = bad.split_once('T').unwrap();
            assert!(problem.line().contains(date) && problem.line().ends_with("(SK0206)"), "{problem}");
        }
        assert!(check(SystemTime::UNIX_EPOCH - Duration::from_secs(5)).is_err());
    }

    #[test]
    fn file_of_tomorrow_is_told_and_one_of_today_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.cedar");
        std::fs::write(&file, "").unwrap();
        let now = SystemTime::now();
        assert!(from_the_future(std::slice::from_ref(&file), now).is_empty());
        let told = from_the_future(std::slice::from_ref(&file), now - Duration::from_secs(3600));
        assert!(told.len() == 1 && told[0].line().ends_with("(SK0207)"));
    }
}
