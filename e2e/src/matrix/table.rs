//! Rows as people read them.

use std::fmt::Write as _;

use super::{Cell, Row, Verb};
use crate::client::Era;

/// One line for each pair, and a line of sums.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut table = format!("{:25} {:14} {:10}", "client", "server", "revision");
    for verb in Verb::ALL {
        let _ = write!(table, " {:>9}", verb.name());
    }
    table.push('\n');
    for row in rows {
        let revision = row.era.map_or("none", Era::version);
        let _ = write!(table, "{:25} {:14} {revision:10}", row.client, row.server);
        for verb in Verb::ALL {
            let cell = row.cells.iter().find(|(of, _)| *of == verb).map(|(_, cell)| cell);
            let _ = write!(table, " {:>9}", cell.map_or("-", word));
        }
        table.push('\n');
    }
    let count =
        |word_of: &str| rows.iter().flat_map(|row| &row.cells).filter(|(_, cell)| word(cell) == word_of).count();
    let [works, fails, refused, lacks] = ["ok", "FAIL", "refused", "-"].map(count);
    let pairs = rows.len();
    let _ = writeln!(
        table,
        "{pairs} pairs: {works} cells work, {fails} fail, {refused} pairs without a shared era are refused, \
         {lacks} are declared to be lacking"
    );
    table
}

fn word(cell: &Cell) -> &'static str {
    match cell {
        Cell::Works => "ok",
        Cell::Refused => "refused",
        Cell::Lacks(_) => "-",
        Cell::Fails(_) => "FAIL",
    }
}
