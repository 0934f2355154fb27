//! What a client is asked to do, and what must come of it.

use serde_json::Value;

/// One step of a plan, and what it must bring.
#[derive(Debug)]
pub(super) struct Ask {
    /// What the client is told.
    pub(super) step: Value,
    /// What it must report.
    pub(super) expect: Expect,
}

/// What must be in the report of a step.
#[derive(Debug)]
pub(super) enum Expect {
    /// Lists with these names.
    Names(&'static [(&'static str, &'static str)]),
    /// A result with this text.
    Text(String),
    /// A question of this method, and a result with this text.
    Asked(&'static str, &'static str),
    /// So many steps, each further than the one before, and a result with this text.
    Progress(usize, &'static str),
    /// A change of this resource.
    Updated(&'static str),
    /// A call that was cancelled, and then a result with this text.
    Cancelled(&'static str),
}

impl Expect {
    /// Says what is missing in a report.
    ///
    /// # Errors
    /// When something is.
    pub(super) fn check(&self, done: &Value) -> Result<(), String> {
        let holds = match self {
            Self::Names(names) => names.iter().all(|(list, name)| has(done.get(list), name)),
            Self::Text(text) => says(done, text),
            Self::Asked(method, text) => asked(done) == Some(*method) && says(done, text),
            Self::Progress(count, text) => rises(done.get("progress"), *count) && says(done, text),
            Self::Updated(uri) => has(done.get("updated"), uri),
            Self::Cancelled(text) => done.get("cancelled") == Some(&Value::Bool(true)) && says(done, text),
        };
        if holds { Ok(()) } else { Err(format!("expected {self:?}, not {done}")) }
    }

    /// The same without the last step, where there are steps.
    pub(super) fn but_the_last(&self) -> Option<Self> {
        if let Self::Progress(count, text) = self { Some(Self::Progress(count.checked_sub(1)?, text)) } else { None }
    }
}

fn has(list: Option<&Value>, name: &str) -> bool {
    list.and_then(Value::as_array).is_some_and(|list| list.iter().any(|found| found == name))
}

fn asked(done: &Value) -> Option<&str> {
    done.pointer("/asked/0/0").and_then(Value::as_str)
}

/// Whether the first text of the result, whatever it is a result of, contains this, and the result is no error.
fn says(done: &Value, text: &str) -> bool {
    let places = [
        "/result/content/0/text",
        "/result/contents/0/text",
        "/result/messages/0/content/text",
        "/result/completion/values/0",
    ];
    let found = places.iter().find_map(|place| done.pointer(place)).and_then(Value::as_str);
    let is_error = done.pointer("/result/isError") == Some(&Value::Bool(true));
    !is_error && found.is_some_and(|found| found.contains(text))
}

fn rises(progress: Option<&Value>, count: usize) -> bool {
    let steps: Vec<f64> = progress.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_f64).collect();
    steps.len() == count && steps.windows(2).all(|pair| pair.first() < pair.last())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_is_noticed_and_its_neighbour_holds() {
        let cases = [
            (Expect::Names(&[("tools", "a")]), json!({"tools": ["a"]}), json!({"tools": ["b"]})),
            (
                Expect::Text("42".to_owned()),
                json!({"result": {"content": [{"text": "42"}]}}),
                json!({"result": {"isError": true, "content": [{"text": "42"}]}}),
            ),
            (
                Expect::Asked("roots/list", "me"),
                json!({"asked": [["roots/list", ""]], "result": {"content": [{"text": "me"}]}}),
                json!({"asked": [], "result": {"content": [{"text": "me"}]}}),
            ),
            (
                Expect::Progress(2, "done"),
                json!({"progress": [0, 50.0], "result": {"content": [{"text": "done"}]}}),
                json!({"progress": [50, 0], "result": {"content": [{"text": "done"}]}}),
            ),
            (Expect::Updated("a://b"), json!({"updated": ["a://b"]}), json!({"refused": "no"})),
            (
                Expect::Cancelled("yes"),
                json!({"cancelled": true, "result": {"content": [{"text": "yes"}]}}),
                json!({"cancelled": false, "result": {"content": [{"text": "yes"}]}}),
            ),
        ];
        for (expect, good, bad) in cases {
            assert_eq!(expect.check(&good), Ok(()));
            assert!(expect.check(&bad).is_err(), "{expect:?} {bad}");
        }
    }
}
