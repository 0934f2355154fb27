//! One record for the eye.

use std::borrow::Cow;

use sekisho_wire::Json;
use sekisho_wire::text::visible;

/// The record on one line, for people: `2026-11-22T16:00:00.123456Z #7 decision permit tools/call …`.
///
/// Control, bidi and other invisible characters are written out, since names and reasons may come from a hostile server
/// (requirement 1.4).
#[must_use]
pub fn render(record: &Json) -> String {
    let mut line = word(record, "time").unwrap_or_else(|| "?".into());
    if let Some(seq) = record.get("seq").as_ref().and_then(Json::number) {
        line.push_str(&format!(" #{}", seq.as_str()));
    }
    for name in ["kind", "outcome", "method"] {
        if let Some(value) = word(record, name) {
            line.push_str(&format!(" {value}"));
        }
    }
    let principal = record.get("principal");
    let who = principal.as_ref();
    let fields = [
        ("server", word(record, "server")),
        ("item", word(record, "item")),
        ("subject", who.and_then(|who| word(who, "subject"))),
        ("client", who.and_then(|who| word(who, "client"))),
        ("endpoint", word(record, "endpoint")),
        ("request", word(record, "request")),
        ("code", word(record, "code")),
        ("policies", record.get("policies").map(|policies| words(&policies))),
        ("us", record.get("duration_us").as_ref().and_then(Json::number).map(|number| number.as_str().to_owned())),
        ("reason", word(record, "reason").map(|text| format!("\"{text}\""))),
        ("needed", word(record, "needed").map(|text| format!("\"{text}\""))),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            line.push_str(&format!(" {name}={value}"));
        }
    }
    for name in ["labels", "detail"] {
        for (key, value) in record.get(name).iter().flat_map(Json::members) {
            // Definitions are for those who look for them.
            if key.starts_with("definition ") {
                continue;
            }
            let value = value.string().map_or_else(|| words(&value), |text| on_one_line(&text));
            line.push_str(&format!(" {name}.{}={value}", on_one_line(&key)));
        }
    }
    line
}

fn word(object: &Json, name: &str) -> Option<String> {
    let member = object.get(name)?;
    member.string().map(|text| on_one_line(&text))
}

fn words(list: &Json) -> String {
    let words: Vec<String> =
        list.elements().filter_map(|element| element.string().map(|text| on_one_line(&text))).collect();
    words.join(",")
}

fn on_one_line(text: &str) -> String {
    let text: Cow<'_, str> = visible(text);
    // `visible` leaves these two, and either of them could make one record look like two.
    text.replace('\n', "\\n").replace('\t', "\\t")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sekisho_wire::json::Limits;

    use super::*;

    fn rendered(text: &'static str) -> String {
        let limits = Limits { bytes_max: 4096, depth_max: 4, nodes_max: 100 };
        render(&Json::decode(Bytes::from_static(text.as_bytes()), &limits).unwrap())
    }

    #[test]
    fn record_is_one_line_with_what_matters_first() {
        let line = rendered(
            r#"{"seq":7,"time":"T","kind":"decision","outcome":"forbid","request":"r1","principal":{"issuer":"i","subject":"ann","client":"c"},"method":"tools/call","item":"echo","policies":["a","b"],"detail":{"k":"v","l":["x","y"]}}"#,
        );
        assert_eq!(
            line,
            "T #7 decision forbid tools/call item=echo subject=ann client=c request=r1 policies=a,b detail.k=v detail.l=x,y"
        );
    }

    #[test]
    fn hostile_text_stays_on_its_line_and_visible() {
        let line = rendered(r#"{"time":"T","item":"a\nT #8 decision permit\u001b[2J\u202e","kind":"k","outcome":"o"}"#);
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
        assert!(line.contains("a\\nT #8"));
    }
}
