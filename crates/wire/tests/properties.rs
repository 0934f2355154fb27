//! Properties that hold for every message, and agreement with another JSON parser.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "a test; serde_json is the second opinion"
)]

use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;
use sekisho_wire::json::{Json, Kind, Limits, Object};
use sekisho_wire::outgoing::{self, OutMeta};
use sekisho_wire::{Call, Id, Inbound, Request, Version, front, headers, lines, sse, text};
use serde_json::Value;

const LIMITS: Limits = Limits { bytes_max: 1 << 20, depth_max: 32, nodes_max: 100_000 };

fn decode(text: &str) -> Json {
    Json::decode(Bytes::copy_from_slice(text.as_bytes()), &LIMITS).expect("strict JSON")
}

/// What the accessors see, as the other parser's tree.
fn tree(json: &Json) -> Value {
    match json.kind() {
        Kind::Null => Value::Null,
        Kind::Boolean => Value::Bool(json.boolean().expect("a boolean")),
        Kind::Number => serde_json::from_str(json.as_str()).expect("a number"),
        Kind::String => Value::String(json.string().expect("a string").into_owned()),
        Kind::Array => json.elements().map(|element| tree(&element)).collect(),
        Kind::Object => {
            let members = json.members().map(|(key, value)| (key.into_owned(), tree(&value)));
            Value::Object(members.collect())
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // The other parser rounds only such floats correctly.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 64.0)),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..20)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Texts that are nearly JSON.
fn near_json() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\"",
        "\"a\"",
        "\"b\"",
        "\"\\u0061\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\\",
        "0",
        "1",
        "-",
        "1.5",
        "1e3",
        "01",
        ".",
        "true",
        "false",
        "null",
        "nul",
        "é",
        "\u{1}",
    ]);
    prop::collection::vec(token, 0..16).prop_map(|tokens| tokens.concat())
}

fn call() -> impl Strategy<Value = Call> {
    let arguments = prop::collection::btree_map(any::<String>(), value(), 0..6)
        .prop_map(|map| decode(&Value::Object(map.into_iter().collect()).to_string()));
    let name = prop_oneof!["[ -~]{0,20}", any::<String>()];
    prop_oneof![
        (name.clone(), arguments).prop_map(|(name, arguments)| Call::CallTool { name: name.into(), arguments }),
        name.clone().prop_map(|uri| Call::ReadResource { uri: uri.into() }),
        (name.clone(), name).prop_map(|(name, value)| Call::GetPrompt {
            name: name.into(),
            arguments: Object::new().text("a", &value).finish(),
        }),
    ]
}

fn out_meta() -> OutMeta {
    OutMeta {
        client: Json::empty_object(),
        capabilities: Json::empty_object(),
        progress: Some(Id::Text("p".into())),
        log_level: None,
        carried: vec![("com.example/a".into(), Json::bool(true))],
    }
}

fn received(headers: &HeaderMap, body: Bytes) -> Request {
    match front::decode(headers, body, &LIMITS) {
        Ok(Inbound::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_another_parser_writes_is_read_alike(value in value(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.expect("written");
        let json = decode(&text);
        prop_assert_eq!(json.as_str(), text.as_str());
        prop_assert_eq!(tree(&json), value);
    }

    #[test]
    fn what_is_accepted_another_parser_accepts_alike(text in near_json()) {
        if let Ok(json) = Json::decode(text.clone().into(), &LIMITS) {
            match serde_json::from_str::<Value>(&text) {
                Ok(other) => prop_assert_eq!(tree(&json), other),
                // It refuses numbers that no f64 holds; here they stay text.
                Err(error) => prop_assert!(error.to_string().starts_with("number out of range")),
            }
        }
    }

    #[test]
    fn what_only_we_refuse_has_two_meanings(text in near_json()) {
        use sekisho_wire::json::DecodeError::DuplicateKey;
        if serde_json::from_str::<Value>(&text).is_ok() {
            let decoded = Json::decode(text.into(), &LIMITS);
            prop_assert!(matches!(decoded, Ok(_) | Err(DuplicateKey { .. })), "{decoded:?}");
        }
    }

    #[test]
    fn mapping_strings_to_themselves_changes_no_meaning(value in value()) {
        let json = decode(&value.to_string());
        prop_assert_eq!(&json.map_strings(&mut |_| None), &json);
        prop_assert_eq!(tree(&json.map_strings(&mut |text| Some(text.to_owned()))), value);
    }

    #[test]
    fn a_member_that_is_set_is_there_and_one_that_is_removed_is_not(
        members in prop::collection::btree_map(any::<String>(), value(), 0..8),
        key in any::<String>(),
        new in value(),
    ) {
        let mut expected = Value::Object(members.clone().into_iter().collect());
        let json = decode(&expected.to_string());
        expected[&key] = new.clone();
        prop_assert_eq!(tree(&decode(json.with(&key, &decode(&new.to_string())).as_str())), expected);
        for gone in members.keys() {
            let mut left = members.clone();
            left.remove(gone);
            let left = Value::Object(left.into_iter().collect());
            prop_assert_eq!(tree(&decode(json.without(gone).as_str())), left);
        }
    }

    #[test]
    fn what_we_send_upstream_we_would_accept(call in call(), modern in any::<bool>()) {
        let version = if modern { Version::V2026_07_28 } else { Version::V2025_11_25 };
        let headers: HeaderMap =
            headers::mirror(&call, version, None).expect("mirrored").into_iter().collect();
        let sent = outgoing::request(1, &call, None, &out_meta(), version);
        let request = received(&headers, sent.clone());
        prop_assert_eq!(outgoing::request(1, request.call(), None, &out_meta(), version), sent);
        prop_assert_eq!(&request.meta().progress, &Some(Id::Text("p".into())));
        prop_assert_eq!(request.meta().carried.len(), 1);
    }

    #[test]
    fn mirrored_arguments_match_what_they_mirror(
        text in any::<String>(),
        number in -9_007_199_254_740_991_i64..=9_007_199_254_740_991,
        flag in any::<bool>(),
    ) {
        let schema = decode(r#"{"properties":{"t":{"type":"string","x-mcp-header":"T"},
            "n":{"type":"integer","x-mcp-header":"N"},"f":{"type":"boolean","x-mcp-header":"F"}}}"#);
        let arguments = Object::new().text("t", &text).integer("n", number).bool("f", flag).finish();
        let call = Call::CallTool { name: "tool".into(), arguments: arguments.clone() };
        let headers: HeaderMap = headers::mirror(&call, Version::V2026_07_28, Some(&schema))
            .expect("mirrored").into_iter().collect();
        let request = received(&headers, outgoing::request(1, &call, None, &out_meta(), Version::V2026_07_28));
        prop_assert_eq!(request.mirrored().len(), 3);
        prop_assert_eq!(headers::check_mirrored(request.mirrored(), &schema, &arguments), Ok(()));
        let other = arguments.with("n", &Json::integer(number / 2 + 1_000_000_007));
        if other != arguments {
            prop_assert!(headers::check_mirrored(request.mirrored(), &schema, &other).is_err());
        }
    }

    #[test]
    fn an_event_carries_any_json_in_any_chunks(value in value(), size in 1_usize..40) {
        let json = decode(&serde_json::to_string_pretty(&value).expect("written"));
        let written = sse::event(json.bytes(), None);
        let mut events = sse::Events::new(1 << 20);
        let mut out = Vec::new();
        for chunk in written.chunks(size) {
            events.feed(chunk, &mut out).expect("within the limit");
        }
        prop_assert_eq!(out.len(), 1);
        prop_assert_eq!(&out[0].data, json.bytes());
    }

    #[test]
    fn a_line_carries_any_json_in_any_chunks(value in value(), size in 1_usize..40) {
        let json = decode(&serde_json::to_string_pretty(&value).expect("written"));
        let mut lines = lines::Lines::new(1 << 20);
        let mut out = Vec::new();
        for chunk in lines::frame(json.bytes()).chunks(size) {
            lines.feed(chunk, &mut out);
        }
        prop_assert_eq!(out.len(), 1);
        let line = out.remove(0).expect("within the limit");
        prop_assert_eq!(tree(&Json::decode(line, &LIMITS).expect("strict JSON")), value);
    }

    #[test]
    fn visible_text_holds_nothing_more_to_make_visible(text in any::<String>()) {
        let once = text::visible(&text).into_owned();
        prop_assert_eq!(text::visible(&once), once.as_str());
        let hidden = ['\u{1b}', '\u{202e}', '\u{200b}', '\u{2028}', '\u{e0041}'];
        prop_assert!(!once.contains(hidden));
    }
}
