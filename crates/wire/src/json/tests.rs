use bytes::Bytes;

use super::*;

const LIMITS: Limits = Limits { bytes_max: 1 << 16, depth_max: 8, nodes_max: 64 };

fn decode(text: &str) -> Result<Json, DecodeError> {
    Json::decode(Bytes::copy_from_slice(text.as_bytes()), &LIMITS)
}

fn json(text: &str) -> Json {
    decode(text).expect("strict JSON")
}

#[test]
fn white_space_around_is_dropped_and_inside_is_kept() {
    assert_eq!(json(" \n{ \"a\" : 1 }\t").as_str(), "{ \"a\" : 1 }");
}

#[test]
fn nothing_is_not_json() {
    assert_eq!(decode(""), Err(DecodeError::Syntax { at: 0 }));
    assert_eq!(decode("  "), Err(DecodeError::Syntax { at: 2 }));
}

#[test]
fn a_byte_order_mark_is_refused() {
    assert_eq!(decode("\u{feff}{}"), Err(DecodeError::Syntax { at: 0 }));
}

#[test]
fn invalid_utf8_is_refused_where_it_begins() {
    let text = Bytes::from_static(b"{\"a\":\"\xff\"}");
    assert_eq!(Json::decode(text, &LIMITS), Err(DecodeError::Utf8 { at: 6 }));
}

#[test]
fn trailing_bytes_are_refused_and_trailing_space_is_not() {
    assert!(decode("{} ").is_ok());
    assert_eq!(decode("{} {}"), Err(DecodeError::Trailing { at: 3 }));
    assert_eq!(decode("{}\0"), Err(DecodeError::Trailing { at: 2 }));
    assert_eq!(decode("01"), Err(DecodeError::Trailing { at: 1 }));
}

#[test]
fn a_key_that_stands_twice_is_refused_at_any_depth() {
    assert!(decode(r#"{"a":{"b":1},"b":{"a":1}}"#).is_ok());
    assert_eq!(decode(r#"{"a":1,"a":1}"#), Err(DecodeError::DuplicateKey { at: 7 }));
    assert_eq!(decode(r#"[{"x":{"a":1,"b":2,"a":3}}]"#), Err(DecodeError::DuplicateKey { at: 19 }));
}

#[test]
fn keys_are_compared_decoded() {
    assert!(decode(r#"{"a":1,"\u0062":1}"#).is_ok());
    assert_eq!(decode(r#"{"a":1,"\u0061":1}"#), Err(DecodeError::DuplicateKey { at: 7 }));
    assert_eq!(decode(r#"{"\ud83d\ude00":1,"😀":1}"#), Err(DecodeError::DuplicateKey { at: 18 }));
}

#[test]
fn a_key_that_stands_twice_is_found_among_many() {
    let object = |last: &str| {
        let keys: Vec<String> = (0..40).map(|n| format!("\"k{n}\":0")).collect();
        format!("{{{},\"{last}\":0}}", keys.join(","))
    };
    assert!(decode(&object("k40")).is_ok());
    assert!(matches!(decode(&object("k39")), Err(DecodeError::DuplicateKey { .. })));
    assert!(matches!(decode(&object("k0")), Err(DecodeError::DuplicateKey { .. })));
}

#[test]
fn the_keys_of_an_inner_object_do_not_count_for_the_outer_one() {
    assert!(decode(r#"{"a":{"b":1,"c":2},"c":3,"d":[{"a":1},{"a":2}],"b":4}"#).is_ok());
}

#[test]
fn half_a_character_is_refused() {
    assert_eq!(json(r#""\ud83d\ude00""#).string().as_deref(), Some("😀"));
    assert_eq!(decode(r#""\ud83d""#), Err(DecodeError::Surrogate { at: 1 }));
    assert_eq!(decode(r#""\ud83dx""#), Err(DecodeError::Surrogate { at: 1 }));
    assert_eq!(decode(r#""\ud83d\n""#), Err(DecodeError::Surrogate { at: 1 }));
    assert_eq!(decode(r#""\ud83d\u0041""#), Err(DecodeError::Surrogate { at: 1 }));
    assert_eq!(decode(r#""\ude00\ud83d""#), Err(DecodeError::Surrogate { at: 1 }));
    assert_eq!(decode(r#"{"\udc00":1}"#), Err(DecodeError::Surrogate { at: 2 }));
}

#[test]
fn control_characters_in_strings_are_refused_raw_and_accepted_escaped() {
    assert_eq!(json(r#""\u0000\n\u001f""#).string().as_deref(), Some("\0\n\u{1f}"));
    assert_eq!(decode("\"a\nb\""), Err(DecodeError::Syntax { at: 2 }));
    assert_eq!(decode("\"\u{1f}\""), Err(DecodeError::Syntax { at: 1 }));
    assert!(decode("\"\u{7f}\"").is_ok());
}

#[test]
fn the_limits_hold_at_the_bound_and_one_past_it() {
    let limits = Limits { bytes_max: 10, depth_max: 2, nodes_max: 3 };
    let decode = |text: &'static str| Json::decode(Bytes::from_static(text.as_bytes()), &limits);
    assert!(decode("\"12345678\"").is_ok());
    assert_eq!(decode("\"123456789\""), Err(DecodeError::TooLong { len: 11, bytes_max: 10 }));
    assert!(decode("[[]]").is_ok());
    assert_eq!(decode("[[[]]]"), Err(DecodeError::TooDeep { at: 2, depth_max: 2 }));
    assert!(decode("[1,2,3]").is_ok());
    assert_eq!(decode("[1,2,3,4]"), Err(DecodeError::TooMany { at: 7, nodes_max: 3 }));
    let scalars = Limits { depth_max: 0, ..limits };
    assert!(Json::decode(Bytes::from_static(b"1"), &scalars).is_ok());
    assert!(Json::decode(Bytes::from_static(b"[]"), &scalars).is_err());
}

#[test]
fn a_hundred_thousand_brackets_cost_no_stack() {
    let limits = Limits { bytes_max: 1 << 20, depth_max: 100_000, nodes_max: 200_000 };
    let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let json = Json::decode(text.into(), &limits).expect("within the limits");
    assert_eq!(json.elements().count(), 1);
}

#[test]
fn accessors_see_members_elements_and_scalars() {
    let json = json(r#" {"a":[1, "x\ty" ,null], "\u0062" : {"c":true} , "e":{} } "#);
    assert_eq!(json.kind(), Kind::Object);
    let keys: Vec<_> = json.members().map(|(key, _)| key.into_owned()).collect();
    assert_eq!(keys, ["a", "b", "e"]);
    let list = json.get("a").expect("a");
    let elements: Vec<_> = list.elements().collect();
    assert_eq!(elements.len(), 3);
    assert_eq!(elements[0].number().and_then(|n| n.integer()), Some(1));
    assert_eq!(elements[1].string().as_deref(), Some("x\ty"));
    assert!(elements[2].is_null());
    assert_eq!(json.get("b").and_then(|b| b.get("c")).and_then(|c| c.boolean()), Some(true));
    assert!(json.get("c").is_none());
    assert!(json.get("e").is_some_and(|e| e.members().next().is_none()));
    assert!(list.get("a").is_none());
    assert!(json.string().is_none() && json.number().is_none() && json.boolean().is_none());
}

#[test]
fn numbers_are_exact_or_they_are_not() {
    let exact = |text: &str| json(text).number().and_then(|n| n.exact());
    assert_eq!(exact("9223372036854775807"), Some(Exact::Integer(i64::MAX)));
    assert_eq!(exact("9223372036854775808"), None);
    assert_eq!(exact("1.10"), Some(Exact::Float(1.1)));
    assert_eq!(exact("1e2"), Some(Exact::Float(100.0)));
    assert_eq!(exact("1E+2"), Some(Exact::Float(100.0)));
    assert_eq!(exact("-0.0"), Some(Exact::Float(-0.0)));
    assert_eq!(exact("0e999999999999999999999"), Some(Exact::Float(0.0)));
    assert_eq!(exact("0.1000000000000000055"), None);
    assert_eq!(exact("1e400"), None);
    assert_eq!(exact("1e-400"), None);
    assert_eq!(exact("1e99999999999999999999"), None);
}

#[test]
fn only_what_is_written_as_an_integer_is_one() {
    let integer = |text: &str| json(text).number().and_then(|n| n.integer());
    assert_eq!(integer("-12"), Some(-12));
    for other in ["1.0", "1e0", "-0", "9223372036854775808"] {
        assert_eq!(integer(other), None, "{other}");
    }
}

#[test]
fn numbers_are_compared_by_what_they_denote() {
    let number = json("42");
    let number = number.number().expect("a number");
    for same in ["42", "42.0", "4.2e1", "420E-1"] {
        assert!(number.denotes(same), "{same}");
    }
    for other in ["42.1", "-42", "042", "+42", " 42", "42 ", "0x2a", "", "4_2", "42n"] {
        assert!(!number.denotes(other), "{other}");
    }
}

#[test]
fn whole_numbers_are_written_without_a_fraction_within_the_safe_range() {
    let whole = |text: &str| json(text).number().and_then(|n| n.whole());
    assert_eq!(whole("42.0"), Some(42));
    assert_eq!(whole("-4.2e1"), Some(-42));
    assert_eq!(whole("-0"), Some(0));
    assert_eq!(whole("9007199254740991"), Some(9_007_199_254_740_991));
    assert_eq!(whole("9007199254740992"), None);
    assert_eq!(whole("1e999999"), None);
    assert_eq!(whole("4.5"), None);
}

#[test]
fn written_strings_read_back() {
    for text in ["", "plain", "\"\\\u{0}\u{1f}\u{7f}\n\r\t/", "日本語 😀\u{202e}"] {
        let written = Json::text(text);
        assert_eq!(json(written.as_str()).string().as_deref(), Some(text));
    }
}

#[test]
fn a_control_character_in_a_string_is_refused_wherever_it_stands() {
    for length in [0, 1, 7, 8, 31, 32, 33, 63, 64, 65, 200] {
        let (before, behind) = ("x".repeat(length), "y".repeat(100));
        assert!(
            decode(&format!("[\t\"{before}{behind}\"\n]")).is_ok(),
            "between tokens, tabs and line feeds may stand"
        );
        for control in (0..0x20).filter_map(char::from_u32) {
            assert!(decode(&format!("[\"{before}{control}{behind}\"]")).is_err(), "{control:?} behind {length} bytes");
            assert!(
                decode(&format!("{{\"{before}{control}{behind}\":1}}")).is_err(),
                "{control:?} behind {length} bytes"
            );
        }
    }
}

#[test]
fn plain_text_is_what_is_written_as_it_is() {
    let texts = (0..0x180).filter_map(char::from_u32).flat_map(|char| [format!("{char}"), format!("abcdefgh{char}ij")]);
    for text in texts.chain(["".to_owned(), "日本語".to_owned()]) {
        assert_eq!(super::is_plain(&text), Json::text(&text).as_str() == format!("\"{text}\""), "{text:?}");
        assert_eq!(Json::text(&text).as_str(), serde_json::to_string(&text).unwrap());
    }
}

#[test]
fn built_objects_are_strict() {
    let mut list = Array::new();
    list.push(&Json::integer(-1));
    list.push(&Json::null());
    let object = Object::new()
        .text("a\"b", "c")
        .integer("n", 7)
        .unsigned("u", u64::MAX)
        .bool("t", true)
        .maybe("none", None)
        .json("list", &list.finish())
        .finish();
    assert_eq!(object.as_str(), r#"{"a\"b":"c","n":7,"u":18446744073709551615,"t":true,"list":[-1,null]}"#);
    assert_eq!(json(object.as_str()), object);
    assert_eq!(Object::new().finish(), Json::empty_object());
}

#[test]
fn strings_are_mapped_and_keys_are_not() {
    let before = json(r#"{ "a" : "a" , "b":["a", {"a":"\u0061"}], "c":1.50 }"#);
    let after = before.map_strings(&mut |text| (text == "a").then(|| "\"z\"".to_owned()));
    assert_eq!(after.as_str(), r#"{ "a" : "\"z\"" , "b":["\"z\"", {"a":"\"z\""}], "c":1.50 }"#);
    let same = before.map_strings(&mut |_| None);
    assert_eq!(same.bytes().as_ptr(), before.bytes().as_ptr());
    assert_eq!(json("\"a\"").map_strings(&mut |_| Some(String::new())).as_str(), "\"\"");
}

#[test]
fn a_member_is_replaced_in_place_or_appended() {
    let value = Json::bool(true);
    assert_eq!(json(r#"{ "a" : 1 , "b":2 }"#).with("a", &value).as_str(), r#"{ "a" : true , "b":2 }"#);
    assert_eq!(json(r#"{ "a" : 1 }"#).with("c", &value).as_str(), r#"{ "a" : 1,"c":true }"#);
    assert_eq!(json("{ }").with("c", &value).as_str(), r#"{"c":true }"#);
    assert_eq!(json("[1]").with("c", &value).as_str(), "[1]");
}

#[test]
fn a_member_is_removed_with_one_comma() {
    let all = json(r#"{ "a" : 1 , "b":{"a":2} , "c":3 }"#);
    assert_eq!(all.without("a").as_str(), r#"{ "b":{"a":2} , "c":3 }"#);
    assert_eq!(all.without("b").as_str(), r#"{ "a" : 1 , "c":3 }"#);
    assert_eq!(all.without("c").as_str(), r#"{ "a" : 1 , "b":{"a":2} }"#);
    assert_eq!(all.without("d"), all);
    assert_eq!(json(r#"{"a":1}"#).without("a").as_str(), "{}");
    assert_eq!(json("[1]").without("a").as_str(), "[1]");
}

#[test]
fn content_never_reaches_debug_output() {
    assert_eq!(format!("{:?}", json("\"secret\"")), "Json(8 bytes)");
}

/// The same value, nothing noted of it.
fn unnoted(json: &Json) -> Json {
    json.detached()
}

fn assert_same(noted: &Json, walked: &Json) {
    let members = |json: &Json| json.members().map(|(key, value)| (key.into_owned(), value)).collect::<Vec<_>>();
    assert_eq!(members(noted), members(walked));
    for (key, value) in members(walked) {
        assert_eq!(noted.get(&key), Some(value.clone()));
        assert!(noted.get(&format!("{key}?")).is_none());
        assert_same(&noted.get(&key).expect("a member"), &unnoted(&value));
    }
    for (noted, walked) in noted.elements().zip(walked.elements()) {
        assert_same(&noted, &unnoted(&walked));
    }
}

#[test]
fn members_that_were_noted_are_those_that_a_walk_finds() {
    let wide =
        |count: usize| (0..count).map(|at| format!(r#""k{at}": {{ "v" : {at} }}"#)).collect::<Vec<_>>().join(" , ");
    for text in [
        "{}".to_owned(),
        r#" { "a" : { } , "b":[{"a":1}], "c":{"d":{"e":{"f":[ ]}} , "g":"x\"" } , "":null,"h" :-1.5e3 } "#.to_owned(),
        r#"{"\u0061":{"b":1},"c":{"d":2}}"#.to_owned(),
        r#"{"a":{"\u0062":1,"c":2},"d":{"b":3}}"#.to_owned(),
        r#"[{"a":{"b":1}},{"a":2}]"#.to_owned(),
        format!("{{{}}}", wide(5)),
        format!("{{{}}}", wide(24)),
        format!("{{{}}}", wide(25)),
        format!("{{{}}}", wide(32)),
    ] {
        let noted = json(&text);
        assert_same(&noted, &unnoted(&noted));
    }
}

#[test]
fn a_text_that_was_noted_is_changed_like_any_other() {
    let before = json(r#" {"a":{"b":1,"c":2},"d":3} "#);
    let inner = before.get("a").expect("a");
    assert_eq!(inner.without("b").get("c"), inner.get("c"));
    assert!(inner.without("b").get("b").is_none());
    assert_eq!(inner.with("b", &Json::null()).get("b"), Some(Json::null()));
    assert_eq!(before.with("a", &Json::integer(7)).get("d"), before.get("d"));
}
