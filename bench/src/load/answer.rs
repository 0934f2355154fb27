//! Whether an answer is the one that was asked for.

use anyhow::{Context as _, ensure};
use bytes::BytesMut;
use memchr::memmem;

/// A response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) session: Option<String>,
    pub(super) body: BytesMut,
    /// Whether the connection ends with it.
    pub(super) is_last: bool,
}

impl Answer {
    /// What it says, for people.
    pub(super) fn shown(&self) -> String {
        let body = self.body.get(..self.body.len().min(SHOWN_BYTES_MAX)).unwrap_or_default();
        format!("{} {}", self.status, String::from_utf8_lossy(body).escape_debug())
    }

    /// Looks at the answer to the call `id`, which must echo `expected`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check_echo(&self, id: u64, expected: &[u8]) -> anyhow::Result<()> {
        ensure!(self.status == 200, "status {}", self.shown());
        let around = self.around(expected).with_context(|| format!("another echo: {}", self.shown()))?;
        let says = |words: &[u8]| around.iter().any(|part| memmem::find(part, words).is_some());
        ensure!(around.iter().any(|part| has_id(part, id)), "another id: {}", self.shown());
        ensure!(says(RESULT), "no result: {}", self.shown());
        ensure!(!says(b"\"isError\":true"), "the tool failed: {}", self.shown());
        Ok(())
    }

    /// Looks at the answer to the list `id`: how many tools it has, and where the next page is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check_page(&self, id: u64) -> anyhow::Result<(usize, Option<String>)> {
        ensure!(self.status == 200, "status {}", self.shown());
        ensure!(has_id(&self.body, id), "another id: {}", self.shown());
        ensure!(memmem::find(&self.body, RESULT).is_some(), "no result: {}", self.shown());
        let cursor = memmem::rfind(&self.body, CURSOR).and_then(|at| self.body.get(at.saturating_add(CURSOR.len())..));
        let cursor = cursor.map(|rest| rest.split(|byte| *byte == b'"').next().unwrap_or_default());
        let cursor = cursor.map(|cursor| str::from_utf8(cursor).map(ToOwned::to_owned)).transpose()?;
        Ok((memmem::find_iter(&self.body, b"\"inputSchema\":").count(), cursor))
    }

    /// What stands before and after the echo. A few bytes are searched for and the rest compared: a search for all of them would cost
    /// more than the call.
    fn around(&self, expected: &[u8]) -> Option<[&[u8]; 2]> {
        let start = expected.get(..expected.len().min(SEARCHED_BYTES))?;
        memmem::find_iter(&self.body, start).find_map(|at| {
            let (before, rest) = self.body.split_at_checked(at)?;
            Some([before, rest.strip_prefix(expected)?])
        })
    }
}

fn has_id(text: &[u8], id: u64) -> bool {
    let id = format!("\"id\":{id}");
    let after = memmem::find(text, id.as_bytes()).and_then(|at| text.get(at.saturating_add(id.len())));
    after.is_some_and(|byte| !byte.is_ascii_digit())
}

const RESULT: &[u8] = b"\"result\":";
const CURSOR: &[u8] = b"\"nextCursor\":\"";
const SEARCHED_BYTES: usize = 32;
const SHOWN_BYTES_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, session: None, body: body.into(), is_last: false }
    }

    #[test]
    fn the_answer_to_a_call_passes_and_its_neighbours_do_not() {
        let echo = format!("\"{}\"", "hi ".repeat(100));
        let good = format!(
            r#"{{"jsonrpc":"2.0","id":7,"result":{{"content":[{{"type":"text","text":{echo}}}],"isError":false}}}}"#
        );
        let check = |status, body: &str| answer(status, body).check_echo(7, echo.as_bytes()).is_ok();
        assert!(check(200, &good));
        assert!(check(200, &format!("event: message\ndata: {good}\n\n")));
        for (status, body) in [
            (202, good.clone()),
            (200, good.replace("\"id\":7", "\"id\":77")),
            (200, good.replace("\"id\":7", "\"id\":8")),
            (200, good.replace("result", "error")),
            (200, good.replace("hi \"", "ho \"")),
            (200, good.replace("hi \"", "\"")),
            (200, good.replace("false", "true")),
        ] {
            assert!(!check(status, &body), "{status} {body}");
        }
    }

    #[test]
    fn a_page_says_how_many_tools_it_has_and_where_the_next_one_is() {
        let page =
            r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"inputSchema":{}},{"inputSchema":{}}],"nextCursor":"n2"}}"#;
        assert_eq!(answer(200, page).check_page(7).unwrap(), (2, Some("n2".to_owned())));
        let last = page.replace(r#","nextCursor":"n2""#, "");
        assert_eq!(answer(200, &last).check_page(7).unwrap(), (2, None));
        assert!(answer(200, page).check_page(8).is_err());
        assert!(answer(500, page).check_page(7).is_err());
    }
}
