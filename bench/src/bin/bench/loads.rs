//! The loads.

mod corridor;

use crate::compare::Results;
use crate::options::{Load, Options};
use crate::stage::Stage;

/// Runs the load that was asked for, and shows what was found.
///
/// # Errors
/// When something does not start, or a call was not answered as it should be.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let mut results = Results::new(options)?;
    match options.load {
        Load::Corridor => corridor::run(options, &stage, &mut results)?,
    }
    results.demand_no_errors()
}
