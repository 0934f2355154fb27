//! `sekisho why`

use clap::Args;
use sekisho_wire::Json;
use sekisho_wire::text::visible;

use super::{Outcome, Running};
use crate::config;
use crate::problem::{Code, Problem};

/// Tell what happened to a request, why, and what would have permitted it
///
/// Reads the audit logs, those of clients over stdio too; the gateway need not run.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sekisho why 5f0c2b9a71d3e846")]
pub(crate) struct Why {
    /// The request id, as the refused client was told it
    #[arg(value_name = "REQUEST ID")]
    request: String,
    #[command(flatten)]
    config: Running,
}

impl Why {
    pub(super) fn run(self) -> Outcome {
        let folder = config::folder_of(&self.config.path())?;
        let mut logs = folder.with_logs();
        if logs.is_empty() {
            logs.push(folder.clone());
        }
        let mut records = Vec::new();
        for log in logs {
            let found = sekisho_audit::find(&log.audit(), &self.request);
            let found = found.map_err(|error| vec![Problem::of(Code::LogUnreadable, &error)])?;
            records.extend(found.into_iter().map(|record| (log.label(), record)));
        }
        if records.is_empty() {
            let words = format!("the audit log `{}` has no request `{}`", folder.audit().display(), self.request);
            let help =
                "the id stands in the refusal as `requestId`; another gateway's log is named with `--config FILE`";
            return Err(vec![Problem::new(Code::RequestUnknown, words).help(help)]);
        }
        println!("request {}", visible(&self.request));
        for (log, record) in &records {
            print!("{}", told(record, log.as_deref()));
        }
        Ok(())
    }
}

/// One record, a line for each thing that it says. `log`: which client's over stdio it stands in.
fn told(record: &Json, log: Option<&str>) -> String {
    let word = |name: &str| record.get(name).map(|value| text(&value)).unwrap_or_default();
    let of =
        |object: &str, name: &str| record.get(object).and_then(|o| o.get(name)).map(|v| text(&v)).unwrap_or_default();
    let mut lines = format!("\n{}  {}: {}  (record {})\n", word("time"), word("kind"), word("outcome"), word("seq"));
    let who = [of("principal", "subject"), of("principal", "issuer"), of("principal", "client")];
    let who = match &who {
        [subject, ..] if subject.is_empty() => String::new(),
        [subject, issuer, client] if client.is_empty() => format!("{subject}, said {issuer}"),
        [subject, issuer, client] => format!("{subject} with {client}, said {issuer}"),
    };
    let what = [word("method"), word("server"), word("item")].into_iter().filter(|part| !part.is_empty());
    let what = what.collect::<Vec<_>>().join(" ");
    let rows = [
        ("log", log.unwrap_or_default().to_owned()),
        ("who", who),
        ("what", what),
        ("door", [word("endpoint"), word("era")].join(" ").trim().to_owned()),
        ("code", word("code")),
        ("reason", word("reason")),
        ("policies", list(record, "policies")),
        ("needed", word("needed")),
        ("arguments", payload(record, "arguments")),
        ("result", payload(record, "result")),
        ("labels", pairs(record, "labels")),
        ("detail", pairs(record, "detail")),
        ("took", record.get("duration_us").map(|took| format!("{} µs", text(&took))).unwrap_or_default()),
    ];
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        let title = match name {
            "needed" => "would have permitted it",
            other => other,
        };
        if value.contains('\n') || name == "needed" {
            lines.push_str(&format!("  {title}:\n"));
            value.lines().for_each(|line| lines.push_str(&format!("      {line}\n")));
        } else {
            lines.push_str(&format!("  {title:<11}{value}\n"));
        }
    }
    lines
}

/// A value as text; hidden characters of hostile names made visible (requirement 1.4).
fn text(value: &Json) -> String {
    match value.string() {
        Some(text) => visible(&text).into_owned(),
        None => value.as_str().to_owned(),
    }
}

/// The digest of a payload, and how it was made.
fn payload(record: &Json, what: &str) -> String {
    let by = |algorithm: &str| Some(format!("{algorithm} {}", text(&record.get(&format!("{what}_{algorithm}"))?)));
    by("sha256").or_else(|| by("blake3")).unwrap_or_default()
}

fn list(record: &Json, name: &str) -> String {
    let list = record.get(name);
    list.iter().flat_map(Json::elements).map(|value| text(&value)).collect::<Vec<_>>().join(", ")
}

fn pairs(record: &Json, name: &str) -> String {
    let object = record.get(name);
    let pair = |(key, value): (std::borrow::Cow<'_, str>, Json)| {
        let value = if value.elements().next().is_some() {
            value.elements().map(|value| text(&value)).collect::<Vec<_>>().join(", ")
        } else {
            text(&value)
        };
        format!("{}={value}", visible(&key))
    };
    let pairs: Vec<String> = object
        .iter()
        .flat_map(Json::members)
        // Definitions are for those who look for them.
        .filter(|(key, _)| !key.starts_with("definition "))
        .map(pair)
        .collect();
    pairs.join("; ")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sekisho_wire::json::Limits;

    use super::*;

    #[test]
    fn record_says_what_happened_why_and_what_would_have_permitted_it() {
        let record = r#"{"seq":7,"time":"T","kind":"decision","outcome":"forbid","request":"r1","principal":{"issuer":"https://i","subject":"ann","client":"c"},"endpoint":"/mcp","method":"tools/call","item":"notes__delete_note","era":"modern","code":"SK1601","reason":"no policy permits it\u001b[2J","policies":["a","b"],"needed":"permit (principal,\n  action);","arguments_sha256":"ab","detail":{"k":"v"},"duration_us":12}"#;
        let record = Json::decode(Bytes::from_static(record.as_bytes()), &Limits::default()).unwrap();
        let told = told(&record, Some("stdio/3"));
        for part in [
            "T  decision: forbid  (record 7)",
            "log        stdio/3",
            "who        ann with c, said https://i",
            "what       tools/call notes__delete_note",
            "door       /mcp modern",
            "code       SK1601",
            "reason     no policy permits it\\u{1b}[2J",
            "policies   a, b",
            "would have permitted it:\n      permit (principal,\n        action);\n",
            "arguments  sha256 ab",
            "detail     k=v",
            "took       12 µs",
        ] {
            assert!(told.contains(part), "{part} in\n{told}");
        }
    }
}
