//! Starting the bench.

use std::process::Command;
use std::time::Duration;

use crate::place::Place;
use crate::run::run;
use crate::{peers, suite};

/// Builds everything, and gives `arguments` to the bench. With `--shipped` among them, what is measured is the gateway as it is shipped,
/// optimised as a whole.
///
/// # Errors
/// When the build fails, or a call was not answered as it should be.
pub(crate) fn bench(place: &Place, arguments: &[String]) -> anyhow::Result<()> {
    peers::install(place)?;
    suite::build(place)?;
    let mut bench = Command::new(place.binary("bench"));
    bench.args(arguments.iter().filter(|argument| *argument != SHIPPED));
    if arguments.iter().any(|argument| argument == SHIPPED) {
        bench.arg("--binary").arg(format!("sekisho={}", suite::build_shipped(place)?.display()));
    }
    run(&mut bench, LIMIT)
}

const SHIPPED: &str = "--shipped";

/// How long all loads together may take.
const LIMIT: Duration = Duration::from_secs(6 * 60 * 60);
