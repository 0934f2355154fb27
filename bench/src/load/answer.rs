//! Whether an answer is the one that was asked for.

use anyhow::ensure;
use bytes::BytesMut;
use memchr::memmem;

use super::Asked;

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

    /// Looks at the answer to the request `id`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(&self, id: u64, asked: Asked, expected: &[u8]) -> anyhow::Result<()> {
        ensure!(self.status == 200, "status {}", self.shown());
        ensure!(self.has_id(id), "another id: {}", self.shown());
        ensure!(memmem::find(&self.body, b"\"result\":").is_some(), "no result: {}", self.shown());
        match asked {
            Asked::Call { .. } => {
                ensure!(memmem::find(&self.body, b"\"isError\":true").is_none(), "the tool failed: {}", self.shown());
                ensure!(memmem::find(&self.body, expected).is_some(), "another echo: {}", self.shown());
            }
            Asked::List { tools } => {
                let found = memmem::find_iter(&self.body, expected).count();
                ensure!(found == tools, "{found} tools in place of {tools}: {}", self.shown());
            }
        }
        Ok(())
    }

    fn has_id(&self, id: u64) -> bool {
        let id = format!("\"id\":{id}");
        let after = memmem::find(&self.body, id.as_bytes()).and_then(|at| self.body.get(at.saturating_add(id.len())));
        after.is_some_and(|byte| !byte.is_ascii_digit())
    }
}

const SHOWN_BYTES_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::super::Text;
    use super::*;

    const CALL: Asked = Asked::Call { payload: 2, text: Text::Plain };

    fn check(status: u16, body: &str, asked: Asked, expected: &str) -> Result<(), String> {
        let answer = Answer { status, session: None, body: body.into(), is_last: false };
        answer.check(7, asked, expected.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_answer_to_a_call_passes_and_its_neighbours_do_not() {
        let good = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"hi"}],"isError":false}}"#;
        assert_eq!(check(200, good, CALL, r#""hi""#), Ok(()));
        assert_eq!(check(200, &format!("event: message\ndata: {good}\n\n"), CALL, r#""hi""#), Ok(()));
        for (status, body) in [
            (202, good.to_owned()),
            (200, good.replace("\"id\":7", "\"id\":77")),
            (200, good.replace("\"id\":7", "\"id\":8")),
            (200, good.replace("result", "error")),
            (200, good.replace("\"hi\"", "\"ho\"")),
            (200, good.replace("false", "true")),
        ] {
            assert!(check(status, &body, CALL, r#""hi""#).is_err(), "{status} {body}");
        }
    }

    #[test]
    fn a_list_with_one_tool_too_few_is_an_error() {
        let body = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"inputSchema":{}},{"inputSchema":{}}]}}"#;
        assert_eq!(check(200, body, Asked::List { tools: 2 }, "\"inputSchema\":"), Ok(()));
        assert!(check(200, body, Asked::List { tools: 3 }, "\"inputSchema\":").is_err());
    }
}
