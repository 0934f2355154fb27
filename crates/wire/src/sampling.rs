//! What a server may hand to a client's model, and what comes back (MCP, Sampling).

use crate::json::{Json, Kind};

/// Whether results of tools stand alone in the user's message right behind the one that asked for them, one for each (SA-03).
pub(crate) fn results_are_matched(messages: &Json) -> bool {
    let mut awaited: Vec<Box<str>> = Vec::new();
    for message in messages.elements() {
        let blocks = blocks(&message);
        let (Some(results), Some(uses)) = (ids(&blocks, RESULT, "toolUseId"), ids(&blocks, USE, "id")) else {
            return false;
        };
        let role = message.get("role");
        let role = role.as_ref().and_then(Json::string);
        let alone = results.len() == blocks.len() && role.as_deref() == Some("user");
        if results != awaited || !(results.is_empty() || alone) {
            return false;
        }
        if !uses.is_empty() && role.as_deref() != Some("assistant") {
            return false;
        }
        awaited = uses;
    }
    awaited.is_empty()
}

/// Whether the model's answer has nothing in it but what it may say: uses of tools where it was given some, and never their results.
#[must_use]
pub fn may_be_said(content: &Json, tools: bool) -> bool {
    let said = |block: &Json| match kind(block).as_deref() {
        Some(USE) => tools,
        Some(RESULT) | None => false,
        Some(_) => true,
    };
    matches!(content.kind(), Kind::Object | Kind::Array) && self::of(content).iter().all(said)
}

/// The blocks of a message: one, or several.
fn blocks(message: &Json) -> Vec<Json> {
    message.get("content").map(|content| of(&content)).unwrap_or_default()
}

fn of(content: &Json) -> Vec<Json> {
    if content.kind() == Kind::Array { content.elements().collect() } else { vec![content.clone()] }
}

fn kind(block: &Json) -> Option<String> {
    block.get("type")?.string().map(|kind| kind.into_owned())
}

/// The ids of the blocks of one kind, sorted. None if one has none, or shares it with another.
fn ids(blocks: &[Json], of: &str, key: &str) -> Option<Vec<Box<str>>> {
    let named = blocks.iter().filter(|block| kind(block).as_deref() == Some(of));
    let ids: Option<Vec<Box<str>>> = named.map(|block| Some(block.get(key)?.string()?.into())).collect();
    let mut ids = ids?;
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    (ids.len() == all).then_some(ids)
}

const USE: &str = "tool_use";
const RESULT: &str = "tool_result";

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json::Limits;

    fn json(text: &str) -> Json {
        Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON")
    }

    fn matched(messages: &[(&str, &str)]) -> bool {
        let written: Vec<String> = messages
            .iter()
            .map(|(role, blocks)| format!(r#"{{"role":"{role}","content":[{}]}}"#, blocks.replace('\'', "\"")))
            .collect();
        results_are_matched(&json(&format!("[{}]", written.join(","))))
    }

    #[test]
    fn results_of_tools_stand_alone_right_behind_what_asked_for_them() {
        let text = "{'type':'text','text':'t'}";
        let (uses, gives) = ("{'type':'tool_use','id':'1'}", "{'type':'tool_result','toolUseId':'1'}");
        let (uses_2, gives_2) = ("{'type':'tool_use','id':'2'}", "{'type':'tool_result','toolUseId':'2'}");
        let both = format!("{uses},{text},{uses_2}");
        let given = format!("{gives_2},{gives}");
        assert!(matched(&[]));
        assert!(matched(&[("user", text), ("assistant", text)]));
        assert!(matched(&[("user", text), ("assistant", uses), ("user", gives), ("assistant", text)]));
        assert!(matched(&[("assistant", &both), ("user", &given), ("assistant", uses), ("user", gives)]));
        for wrong in [
            vec![("assistant", uses)],
            vec![("assistant", uses), ("user", text)],
            vec![("assistant", uses), ("user", gives_2)],
            vec![("assistant", &*both), ("user", gives)],
            vec![("assistant", uses), ("user", text), ("user", gives)],
            vec![("assistant", uses), ("assistant", gives)],
            vec![("user", uses), ("user", gives)],
            vec![("user", gives)],
            vec![("assistant", "{'type':'tool_use'}"), ("user", "{'type':'tool_result'}")],
        ] {
            assert!(!matched(&wrong), "{wrong:?}");
        }
        let twice = format!("{uses},{uses}");
        assert!(!matched(&[("assistant", &twice), ("user", gives)]));
        let mixed = format!("{gives},{text}");
        assert!(!matched(&[("assistant", uses), ("user", &mixed)]));
        assert!(results_are_matched(&json(r#"[{"role":"user","content":{"type":"text"}},{"role":"user"}]"#)));
    }

    #[test]
    fn a_model_uses_tools_only_where_it_was_given_some() {
        let (text, uses, gives) = (r#"{"type":"text"}"#, r#"{"type":"tool_use"}"#, r#"{"type":"tool_result"}"#);
        assert!(may_be_said(&json(text), false) && may_be_said(&json(&format!("[{text}]")), false));
        assert!(may_be_said(&json(&format!("[{text},{uses}]")), true));
        assert!(!may_be_said(&json(&format!("[{text},{uses}]")), false));
        for wrong in [gives, "7", "{}", "[7]"] {
            assert!(!may_be_said(&json(wrong), true), "{wrong}");
        }
    }
}
