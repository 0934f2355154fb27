//! The front door: what is one message with one meaning, and what is refused for which reason.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test; clippy.toml permits this only within test functions"
)]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sekisho_wire::front::{self, Refused, Why};
use sekisho_wire::json::Limits;
use sekisho_wire::message::{NoticeKind, Spoken};
use sekisho_wire::{Call, Id, Inbound, ListKind, Reference, Request, Version};

const MODERN: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn decode(headers: &[(&str, &str)], body: &str) -> Result<Inbound, Refused> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
    }
    front::decode(&map, Bytes::copy_from_slice(body.as_bytes()), &Limits::default())
}

fn why(headers: &[(&str, &str)], body: &str) -> Why {
    match decode(headers, body) {
        Err(refused) => refused.why,
        Ok(inbound) => panic!("permitted: {inbound:?}"),
    }
}

fn request(headers: &[(&str, &str)], body: &str) -> Request {
    match decode(headers, body) {
        Ok(Inbound::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

/// A modern body with these members of `params` besides `_meta`.
fn modern(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{MODERN}}}}}"#)
}

fn legacy(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

fn mirrors(method: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)]
}

fn mirrors_named(method: &'static str, name: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut headers = mirrors(method);
    headers.push(("Mcp-Name", name));
    headers
}

#[test]
fn a_modern_request_speaks_what_header_and_body_agree_on() {
    let request = request(&mirrors("tools/list"), &modern("tools/list", ""));
    assert_eq!(request.spoken(), Spoken::Modern(Version::V2026_07_28));
    assert_eq!(request.id(), &Id::Integer(1));
    assert!(matches!(request.call(), Call::List { kind: ListKind::Tools, cursor: None }));
}

#[test]
fn a_list_on_a_callers_behalf_speaks_as_the_message_does_and_takes_nothing_else_of_it() {
    let meta = r#"{"_meta":{"progressToken":7,"com.example/a":1},"name":"x"}"#;
    let of_legacy = decode(&[], &legacy("tools/call", meta)).expect("a call");
    let of_modern = decode(&mirrors("tools/list"), &modern("tools/list", r#""cursor":"2","#)).expect("a list");
    for (message, spoken) in [(of_legacy, Spoken::LegacyUnsaid), (of_modern, Spoken::Modern(Version::V2026_07_28))] {
        for kind in ListKind::ALL {
            let Inbound::Request(list) = message.listing(kind) else { panic!("a list is a request") };
            assert_eq!((list.spoken(), list.id()), (spoken, &Id::Integer(0)));
            assert!(matches!(list.call(), Call::List { kind: of, cursor: None } if *of == kind));
            assert!(list.meta().progress.is_none() && list.meta().carried.is_empty());
            assert!(list.mirrored().is_empty());
        }
    }
}

#[test]
fn header_names_ignore_case_and_values_do_not() {
    let body = modern("tools/list", "");
    for name in ["mcp-method", "MCP-METHOD"] {
        let headers = [("mcp-protocol-version", "2026-07-28"), (name, "tools/list")];
        assert!(decode(&headers, &body).is_ok());
    }
    let why = why(&mirrors("TOOLS/LIST"), &body);
    assert_eq!(why, Why::HeaderMismatch { header: "mcp-method" });
}

#[test]
fn white_space_around_a_header_value_is_none_of_it() {
    let headers = mirrors_named("tools/call", "  add  ");
    assert!(decode(&headers, &modern("tools/call", r#""name":"add","#)).is_ok());
}

#[test]
fn every_mirrored_header_of_a_modern_request_is_required_and_must_match() {
    let body = modern("tools/call", r#""name":"add","arguments":{},"#);
    let all = mirrors_named("tools/call", "add");
    assert!(decode(&all, &body).is_ok());
    for header in ["mcp-protocol-version", "mcp-method", "mcp-name"] {
        let is = |name: &str| name.eq_ignore_ascii_case(header);
        let without: Vec<_> = all.iter().copied().filter(|(name, _)| !is(name)).collect();
        assert_eq!(why(&without, &body), Why::HeaderMissing { header }, "{header}");
        let mut wrong = without.clone();
        wrong.push((header, "2025-11-25"));
        assert_eq!(why(&wrong, &body), Why::HeaderMismatch { header }, "{header}");
        let mut twice = all.clone();
        twice.push(*all.iter().find(|(name, _)| is(name)).expect("present"));
        assert_eq!(why(&twice, &body), Why::HeaderRepeated { header }, "{header}");
        let mut malformed = without.clone();
        malformed.push((header, "add\u{e9}"));
        assert_eq!(why(&malformed, &body), Why::HeaderMalformed { header }, "{header}");
    }
}

#[test]
fn a_name_in_base64_is_compared_decoded() {
    let body = modern("resources/read", r#""uri":"file:///é","#);
    let good = mirrors_named("resources/read", "=?base64?ZmlsZTovLy/DqQ==?=");
    assert!(decode(&good, &body).is_ok());
    let other = mirrors_named("resources/read", "=?base64?ZmlsZTovLy9l?=");
    assert_eq!(why(&other, &body), Why::HeaderMismatch { header: "mcp-name" });
    let broken = mirrors_named("resources/read", "=?base64?ZmlsZTovLy/DqQ=?=");
    assert_eq!(why(&broken, &body), Why::HeaderMalformed { header: "mcp-name" });
}

#[test]
fn a_wrong_version_header_is_a_mismatch_before_it_is_an_unsupported_version() {
    let body = modern("server/discover", "").replace("2026-07-28", "v999.0.0");
    let headers = [("mcp-protocol-version", "v999.0.0"), ("mcp-method", "server/discover")];
    assert_eq!(why(&headers, &body), Why::UnsupportedVersion { requested: "v999.0.0".into() });
    assert_eq!(why(&mirrors("server/discover"), &body), Why::HeaderMismatch { header: "mcp-protocol-version" });
}

#[test]
fn a_legacy_version_in_modern_meta_is_unsupported() {
    let body = modern("server/discover", "").replace("2026-07-28", "2025-11-25");
    let headers = [("mcp-protocol-version", "2025-11-25"), ("mcp-method", "server/discover")];
    assert_eq!(why(&headers, &body), Why::UnsupportedVersion { requested: "2025-11-25".into() });
}

#[test]
fn a_header_of_one_era_never_changes_the_era_of_the_body() {
    let headers = [("mcp-protocol-version", "2025-11-25"), ("mcp-method", "tools/list")];
    assert_eq!(why(&headers, &modern("tools/list", "")), Why::HeaderMismatch { header: "mcp-protocol-version" });
    let version = "io.modelcontextprotocol/protocolVersion";
    let refused = decode(&mirrors("tools/list"), &legacy("tools/list", "{}")).expect_err("no meta");
    assert_eq!(refused.why, Why::MissingMeta { key: version });
    assert_eq!(refused.spoken, Some(Spoken::Modern(Version::V2026_07_28)));
    assert_eq!(refused.id, Some(Id::Integer(1)));
}

#[test]
fn a_modern_request_declares_its_capabilities_and_need_not_say_who_it_is() {
    let without = |key: &str| modern("server/discover", "").replace(key, "com.example/x");
    let headers = mirrors("server/discover");
    let capabilities = "io.modelcontextprotocol/clientCapabilities";
    assert_eq!(why(&headers, &without(capabilities)), Why::MissingMeta { key: capabilities });
    let version = "io.modelcontextprotocol/protocolVersion";
    assert_eq!(why(&headers, &without(version)), Why::MissingMeta { key: version });
    assert!(decode(&headers, &modern("server/discover", "")).is_ok());
}

#[test]
fn meta_of_the_wrong_shape_is_refused() {
    let meta = |members: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{{
            "io.modelcontextprotocol/protocolVersion":"2026-07-28",{members}}}}}}}"#
        )
    };
    let capable = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
    let headers = mirrors("tools/list");
    assert!(decode(&headers, &meta(&format!(r#"{capable},"progressToken":"p""#))).is_ok());
    for (members, key) in [
        (r#""io.modelcontextprotocol/clientCapabilities":[]"#.to_owned(), "io.modelcontextprotocol/clientCapabilities"),
        (format!(r#"{capable},"progressToken":1.5"#), "progressToken"),
        (format!(r#"{capable},"io.modelcontextprotocol/clientInfo":"me""#), "io.modelcontextprotocol/clientInfo"),
        (format!(r#"{capable},"io.modelcontextprotocol/logLevel":"loud""#), "io.modelcontextprotocol/logLevel"),
    ] {
        assert_eq!(why(&headers, &meta(&members)), Why::BadMeta { key }, "{members}");
    }
    let number = modern("tools/list", "").replace("\"2026-07-28\"", "20260728");
    let key = "io.modelcontextprotocol/protocolVersion";
    assert_eq!(why(&headers, &number), Why::BadMeta { key });
    assert_eq!(why(&[], &legacy("tools/list", r#"{"_meta":[]}"#)), Why::BadMeta { key: "_meta" });
}

#[test]
fn meta_keeps_what_is_vendors_and_drops_what_is_reserved() {
    let meta = r#"{"_meta":{"progressToken":7,"com.example/a":{"b":1.0},"io.modelcontextprotocol/related-task":{},
        "traceparent":"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01","tracestate":"\u0000","other":1}}"#;
    let request = request(&[], &legacy("tools/list", meta));
    assert_eq!(request.meta().progress, Some(Id::Integer(7)));
    let keys: Vec<&str> = request.meta().carried.iter().map(|(key, _)| &**key).collect();
    assert_eq!(keys, ["com.example/a", "traceparent"]);
    assert!(request.meta().capabilities.is_none());
}

#[test]
fn what_an_era_does_not_have_is_an_unknown_method() {
    for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "no/such"] {
        let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
        assert_eq!(why(&headers, &modern(method, "")), Why::UnknownMethod, "{method}");
    }
    assert_eq!(why(&[], &legacy("server/discover", "{}")), Why::UnknownMethod);
    assert_eq!(why(&[], &legacy("notifications/initialized", "{}")), Why::UnknownMethod);
    assert_eq!(why(&[], &legacy("Ping", "{}")), Why::UnknownMethod);
    assert!(decode(&[], &legacy("ping", "{}")).is_ok());
}

#[test]
fn a_legacy_request_speaks_what_its_header_says_or_leaves_open() {
    let spoken = |headers: &[(&str, &str)]| request(headers, &legacy("ping", "{}")).spoken();
    assert_eq!(spoken(&[]), Spoken::LegacyUnsaid);
    assert_eq!(spoken(&[("mcp-protocol-version", "2025-06-18")]), Spoken::Legacy(Version::V2025_06_18));
    assert_eq!(why(&[("mcp-protocol-version", "2025-06-19")], &legacy("ping", "{}")), Why::BadVersionHeader);
}

#[test]
fn initialize_asks_in_its_parameters_whatever_a_well_formed_header_says() {
    let body = legacy(
        "initialize",
        r#"{"protocolVersion":"1999-01-01","capabilities":{},"clientInfo":{"name":"n","version":"v"}}"#,
    );
    for version in ["2026-07-28", "1999-01-01"] {
        let request = request(&[("mcp-protocol-version", version)], &body);
        assert_eq!(request.spoken(), Spoken::LegacyUnsaid);
    }
    let header = "mcp-protocol-version";
    assert_eq!(why(&[(header, "\u{e9}")], &body), Why::HeaderMalformed { header });
}

#[test]
fn the_mirrored_headers_of_a_legacy_request_mean_nothing() {
    let headers = [("mcp-method", "tools/list"), ("mcp-name", "x"), ("mcp-param-a", "b")];
    let request = request(&headers, &legacy("tools/call", r#"{"name":"add"}"#));
    assert!(request.mirrored().is_empty());
}

#[test]
fn parameter_headers_of_a_modern_tool_call_are_collected_decoded() {
    let body = modern("tools/call", r#""name":"add","#);
    let mut headers = mirrors_named("tools/call", "add");
    headers.extend([("Mcp-Param-Region", "us"), ("Mcp-Param-Greeting", "=?base64?SGVsbG8=?=")]);
    let mut mirrored: Vec<_> =
        request(&headers, &body).mirrored().iter().map(|said| format!("{}={}", said.name, said.value)).collect();
    mirrored.sort();
    assert_eq!(mirrored, ["greeting=Hello", "region=us"]);

    let header = "mcp-param-";
    let with = |extra: &[(&'static str, &'static str)]| {
        let mut headers = mirrors_named("tools/call", "add");
        headers.extend_from_slice(extra);
        why(&headers, &body)
    };
    assert_eq!(with(&[("Mcp-Param-A", "1"), ("mcp-param-a", "1")]), Why::HeaderRepeated { header });
    assert_eq!(with(&[("Mcp-Param-A", "=?base64?SGVsbG8?=")]), Why::HeaderMalformed { header });
    assert_eq!(with(&[("Mcp-Param-A", "\u{e9}")]), Why::HeaderMalformed { header });
}

#[test]
fn parameter_headers_are_bounded_in_number_and_length() {
    let body = modern("tools/call", r#""name":"add","#);
    let names: Vec<String> = (0..=64).map(|n| format!("mcp-param-p{n}")).collect();
    let headers = |count: usize| {
        let mut headers: Vec<(&str, &str)> = mirrors_named("tools/call", "add");
        headers.extend(names.iter().take(count).map(|name| (name.as_str(), "v")));
        headers
    };
    assert_eq!(request(&headers(64), &body).mirrored().len(), 64);
    assert_eq!(why(&headers(65), &body), Why::HeaderMalformed { header: "mcp-param-" });
    let long = "a".repeat(8193);
    let mut one = headers(0);
    one.push(("mcp-param-a", &long[..8192]));
    assert!(decode(&one, &body).is_ok());
    one.pop();
    one.push(("mcp-param-a", &long));
    assert_eq!(why(&one, &body), Why::HeaderMalformed { header: "mcp-param-" });
}

#[test]
fn the_envelope_has_one_meaning() {
    for (body, expected) in [
        ("[]", Why::Batch),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, Why::Batch),
        ("\"ping\"", Why::NotAnObject),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#, Why::EnvelopeCase { member: "method" }),
        (r#"{"jsonrpc":"2.0","ID":1,"method":"ping"}"#, Why::EnvelopeCase { member: "id" }),
        (r#"{"JSONRPC":"2.0","id":1,"method":"ping"}"#, Why::EnvelopeCase { member: "jsonrpc" }),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","x":1}"#, Why::UnknownMember),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","paramſ":{}}"#, Why::UnknownMember),
        (r#"{"jsonrpc":"2","id":1,"method":"ping"}"#, Why::Version),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, Why::Version),
        (r#"{"id":1,"method":"ping"}"#, Why::Version),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Why::BadId),
        (r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#, Why::BadId),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, Why::BadId),
        (r#"{"jsonrpc":"2.0","id":1}"#, Why::NoMethod),
        (r#"{"jsonrpc":"2.0","id":1,"method":["ping"]}"#, Why::NoMethod),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, Why::ResultAndError),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"m"}}"#, Why::ResultAndError),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            Why::BadParams { what: "`params` is not an object" },
        ),
    ] {
        assert_eq!(why(&[], body), expected, "{body}");
    }
    for body in [r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, "{", "", "\u{feff}{}"] {
        assert!(matches!(why(&[], body), Why::Json(_)), "{body}");
    }
}

#[test]
fn a_refusal_carries_the_id_wherever_it_can_be_read() {
    let id = |body: &str| decode(&[], body).expect_err("refused").id;
    assert_eq!(id(r#"{"jsonrpc":"2.0","id":"a","method":"no/such"}"#), Some(Id::Text("a".into())));
    assert_eq!(id(r#"{"jsonrpc":"1.0","id":3,"method":"ping"}"#), Some(Id::Integer(3)));
    assert_eq!(id(r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#), None);
    assert_eq!(id(r#"{"jsonrpc":"2.0","id":3,"#), None);
}

#[test]
fn a_known_method_with_wrong_parameters_stays_that_method() {
    for (method, params) in [
        ("tools/call", "{}"),
        ("tools/call", r#"{"name":1}"#),
        ("tools/call", r#"{"name":"a","Name":"b"}"#),
        ("tools/call", r#"{"name":"a","ARGUMENTS":{}}"#),
        ("resources/read", r#"{"uri":"a:b","Uri":"c:d"}"#),
        ("tools/call", r#"{"name":"a","arguments":[]}"#),
        ("tools/call", r#"{"name":"a","arguments":null}"#),
        ("tools/list", r#"{"cursor":1}"#),
        ("resources/read", r#"{"uri":{}}"#),
        ("prompts/get", r#"{"name":"a","arguments":{"b":1}}"#),
        ("logging/setLevel", r#"{"level":"loud"}"#),
        ("completion/complete", r#"{"ref":{"type":"ref/tool","name":"a"},"argument":{"name":"a","value":"b"}}"#),
        ("completion/complete", r#"{"ref":{"type":"ref/prompt","name":"a"},"argument":{"name":"a"}}"#),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"a"},"argument":{"name":"a","value":"b"},"context":{"arguments":{"x":1}}}"#,
        ),
        ("initialize", r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#),
        ("initialize", r#"{"protocolVersion":"2025-11-25","capabilities":1,"clientInfo":{"name":"n","version":"v"}}"#),
    ] {
        assert!(matches!(why(&[], &legacy(method, params)), Why::BadParams { .. }), "{method} {params}");
    }
}

#[test]
fn members_without_a_meaning_are_dropped_and_arguments_are_kept_byte_for_byte() {
    let params = r#"{"name":"add","task":{"ttl":1},"arguments":{ "a" : 1.50 }}"#;
    let request = request(&[], &legacy("tools/call", params));
    let Call::CallTool { name, arguments } = request.call() else { panic!("a tool call") };
    assert_eq!((&**name, arguments.as_str()), ("add", "{ \"a\" : 1.50 }"));
}

#[test]
fn every_method_is_read() {
    let call = |method: &str, params: &str| request(&[], &legacy(method, params)).call().clone();
    assert!(
        matches!(call("prompts/list", r#"{"cursor":""}"#), Call::List { kind: ListKind::Prompts, cursor: Some(c) } if c.is_empty())
    );
    assert!(matches!(call("resources/templates/list", "{}"), Call::List { kind: ListKind::Templates, .. }));
    assert!(matches!(call("resources/read", r#"{"uri":"a:b"}"#), Call::ReadResource { uri } if &*uri == "a:b"));
    assert!(
        matches!(call("prompts/get", r#"{"name":"p"}"#), Call::GetPrompt { arguments, .. } if arguments.as_str() == "{}")
    );
    assert!(matches!(call("logging/setLevel", r#"{"level":"info"}"#), Call::SetLogLevel { .. }));
    let complete = r#"{"ref":{"type":"ref/resource","uri":"a:{b}","x":1},"argument":{"value":"v","name":"b","x":1},"context":{"arguments":{"c":"d"},"x":1}}"#;
    let Call::Complete { reference, argument, context } = call("completion/complete", complete) else {
        panic!("a completion");
    };
    assert_eq!(reference, Reference::Resource { uri: "a:{b}".into() });
    assert_eq!(argument.as_str(), r#"{"name":"b","value":"v"}"#);
    assert_eq!(context.expect("sent").as_str(), r#"{"arguments":{"c":"d"}}"#);
}

#[test]
fn notifications_are_those_of_their_era() {
    let notice = |headers: &[(&str, &str)], method: &str, params: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        decode(headers, &body)
    };
    let cancelled = r#"{"requestId":"r","reason":"late"}"#;
    for headers in [vec![], vec![("mcp-protocol-version", "2026-07-28")]] {
        let Ok(Inbound::Notice(read)) = notice(&headers, "notifications/cancelled", cancelled) else {
            panic!("a notification");
        };
        assert_eq!(read.kind(), &NoticeKind::Cancelled { request: Id::Text("r".into()) });
    }
    assert!(notice(&[], "notifications/initialized", "{}").is_ok());
    let refused = |headers: &[(&str, &str)], method, params| notice(headers, method, params).expect_err("refused").why;
    let modern = [("mcp-protocol-version", "2026-07-28")];
    assert_eq!(refused(&modern, "notifications/initialized", "{}"), Why::UnknownNotice);
    assert_eq!(refused(&[], "notifications/no/such", "{}"), Why::UnknownNotice);
    // A call that lacks its id is no notification of that name.
    assert_eq!(refused(&[], "tools/call", r#"{"name":"a"}"#), Why::UnknownNotice);
    assert!(matches!(refused(&[], "notifications/cancelled", "{}"), Why::BadParams { .. }));
    let lying = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call")];
    assert_eq!(refused(&lying, "notifications/cancelled", cancelled), Why::HeaderMismatch { header: "mcp-method" });
}

#[test]
fn replies_are_legacy_and_well_formed() {
    assert!(matches!(decode(&[], r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Ok(Inbound::Reply(_))));
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"m"}}"#;
    assert!(matches!(decode(&[], error), Ok(Inbound::Reply(_))));
    assert_eq!(why(&[("mcp-protocol-version", "2026-07-28")], error), Why::ReplyInModern);
    for body in [
        r#"{"jsonrpc":"2.0","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#,
    ] {
        assert_eq!(why(&[], body), Why::BadReply, "{body}");
    }
}

#[test]
fn a_line_needs_no_headers_and_its_meta_still_decides_the_era() {
    let line = |text: String| front::decode_line(text.into(), Spoken::LegacyUnsaid, &Limits::default());
    let Ok(Inbound::Request(request)) = line(modern("tools/call", r#""name":"add","#)) else {
        panic!("a request");
    };
    assert_eq!(request.spoken(), Spoken::Modern(Version::V2026_07_28));
    let Ok(inbound) = line(legacy("ping", "{}")) else { panic!("a request") };
    assert_eq!(inbound.spoken(), Spoken::LegacyUnsaid);
    let unsupported = line(modern("tools/list", "").replace("2026-07-28", "2027-01-01"));
    assert!(matches!(unsupported.expect_err("refused").why, Why::UnsupportedVersion { .. }));
}

#[test]
fn a_line_that_is_no_request_speaks_as_its_connection_does() {
    let newest = Spoken::Modern(Version::LATEST_MODERN);
    let line = |text: &str, unsaid| front::decode_line(text.to_owned().into(), unsaid, &Limits::default());
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    for unsaid in [newest, Spoken::LegacyUnsaid] {
        assert_eq!(line(cancelled, unsaid).expect("a notification").spoken(), unsaid);
    }
    // ST-04: servers ask nothing in the modern era.
    let reply = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    line(reply, Spoken::LegacyUnsaid).expect("a reply");
    assert_eq!(line(reply, newest).expect_err("refused").why, Why::ReplyInModern);
    // Nobody waits for an answer to either, whatever is wrong with it.
    for silent in [
        reply,
        r#"{"jsonrpc":"2.0","method":"notifications/nobody"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#,
    ] {
        assert!(!line(silent, newest).expect_err("refused").calls_for_an_answer(), "{silent}");
    }
    for asking in
        [r#"{"jsonrpc":"2.0","id":1,"method":"nothing"}"#, "{", "[]", r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#]
    {
        assert!(line(asking, newest).expect_err("refused").calls_for_an_answer(), "{asking}");
    }
    // A request says it itself, or is one of the legacy era.
    assert_eq!(line(&legacy("ping", "{}"), newest).expect("a request").spoken(), Spoken::LegacyUnsaid);
}
