//! Starting the bench.

use std::process::Command;
use std::time::Duration;

use crate::place::Place;
use crate::run::run;
use crate::{peers, suite};

/// Builds everything, and gives `arguments` to the bench.
///
/// # Errors
/// When the build fails, or a call was not answered as it should be.
pub(crate) fn bench(place: &Place, arguments: &[String]) -> anyhow::Result<()> {
    peers::install(place)?;
    suite::build(place)?;
    run(Command::new(place.binary("bench")).args(arguments), LIMIT)
}

/// How long all loads together may take.
const LIMIT: Duration = Duration::from_secs(6 * 60 * 60);
