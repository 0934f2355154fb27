//! Starting the bench.

use std::process::Command;
use std::time::Duration;

use crate::place::Place;
use crate::run::run;
use crate::{peers, suite};

/// Builds everything, and gives `arguments` to the bench. What is measured is the gateway that users get, optimised as a whole; a smoke
/// test measures nothing, and `--binary` brings its own.
///
/// # Errors
/// When the build fails, or a call was not answered as it should be.
pub(crate) fn bench(place: &Place, arguments: &[String]) -> anyhow::Result<()> {
    peers::install(place)?;
    suite::build(place)?;
    let mut bench = Command::new(place.binary("bench"));
    bench.args(arguments);
    if !arguments.iter().any(|argument| argument == "--short" || argument.starts_with("--binary")) {
        let shipped = suite::build_shipped(place)?;
        bench.arg("--binary").arg(format!("sekisho={}", shipped.display()));
    }
    run(&mut bench, LIMIT)
}

/// How long all loads together may take.
const LIMIT: Duration = Duration::from_secs(6 * 60 * 60);
