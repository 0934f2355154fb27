//! What must hold for any bytes, target by target. libFuzzer calls these functions from
//! `fuzz_targets/`; `crates/wire/tests/corpus.rs` replays the corpus through them as an ordinary test.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sekisho_wire::json::{Json, Kind, Limits};
use sekisho_wire::message::Spoken;
use sekisho_wire::server::Answer;
use sekisho_wire::task::About;
use sekisho_wire::{
    Era, Inbound, ListKind, ServerId, Sheets, Version, back, front, headers, lines, outgoing, sse, text,
};

const LIMITS: Limits = Limits { bytes_max: 1 << 20, depth_max: 64, nodes_max: 10_000 };

/// Whatever is accepted can be walked, written back and read again, and means the same.
pub fn json(data: &[u8]) {
    let Ok(json) = Json::decode(Bytes::copy_from_slice(data), &LIMITS) else {
        return;
    };
    assert_eq!(json.as_str().as_bytes(), &json.bytes()[..]);
    assert_eq!(Json::decode(json.bytes().clone(), &LIMITS).as_ref(), Ok(&json));
    let mut due = vec![json.clone()];
    while let Some(value) = due.pop() {
        assert_eq!(Json::decode(value.bytes().clone(), &LIMITS).as_ref(), Ok(&value));
        match value.kind() {
            Kind::String => {
                let text = value.string().expect("a string");
                let again = Json::decode(Json::text(&text).bytes().clone(), &LIMITS);
                if let Ok(again) = again {
                    assert_eq!(again.string(), Some(text.clone()));
                }
                assert_eq!(text::visible(&text::visible(&text)), text::visible(&text));
            }
            Kind::Number => {
                let number = value.number().expect("a number");
                let _ = number.exact();
                let _ = number.whole();
            }
            Kind::Null | Kind::Boolean => {}
            Kind::Array => due.extend(value.elements()),
            Kind::Object => {
                for (key, member) in value.members() {
                    assert_eq!(value.get(&key).as_ref(), Some(&member));
                    due.push(member);
                }
            }
        }
    }
    assert_eq!(json.map_strings(&mut |_| None), json);
    let mapped = json.map_strings(&mut |text| Some(text.to_owned()));
    if let Ok(mapped) = Json::decode(mapped.bytes().clone(), &LIMITS) {
        assert_eq!(mapped.kind(), json.kind());
    }
    if let Some((key, _)) = json.members().next() {
        let without = json.without(&key);
        assert!(without.get(&key).is_none());
        assert!(Json::decode(without.bytes().clone(), &LIMITS).is_ok());
        let with = json.with(&key, &Json::null());
        assert!(with.get(&key).is_some_and(|value| value.is_null()));
    }
    let _ = headers::valid_annotations(&json);
}

/// Header lines, an empty line, a body. What is accepted can be sent on, and is accepted again.
pub fn front(data: &[u8]) {
    let (head, body) = split(data);
    let mut map = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(parts.next().unwrap_or_default());
        let value = HeaderValue::from_bytes(parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    let body = Bytes::copy_from_slice(body);
    let _ = front::decode_line(body.clone(), Spoken::LegacyUnsaid, &LIMITS);
    let Ok(Inbound::Request(request)) = front::decode(&map, body, &LIMITS) else {
        return;
    };
    let version = match request.spoken() {
        Spoken::Modern(version) | Spoken::Legacy(version) => version,
        Spoken::LegacyUnsaid => Version::ASSUMED,
    };
    let meta = outgoing::OutMeta {
        client: Json::empty_object(),
        capabilities: Json::empty_object(),
        progress: request.meta().progress.clone(),
        log_level: request.meta().log_level.clone(),
        carried: request.meta().carried.clone(),
    };
    let Ok(mirrored) = headers::mirror(request.call(), version, None) else {
        return;
    };
    let sent = outgoing::request(1, request.call(), None, &meta, version);
    let again = front::decode(&mirrored.into_iter().collect(), sent.clone(), &LIMITS);
    match again {
        Ok(Inbound::Request(again)) => {
            assert_eq!(again.call().method(), request.call().method());
            assert_eq!(outgoing::request(1, again.call(), None, &meta, version), sent);
        }
        // Only escapes can make it longer than what came in.
        other => assert!(sent.len() > LIMITS.bytes_max, "{other:?}"),
    }
}

/// A message of a server, read in both eras; and again, once its pages are known.
pub fn back(data: &[u8]) {
    let server = ServerId::parse("s").expect("a name");
    let sheets = Sheets::default();
    for era in [Era::Legacy, Era::Modern] {
        let Ok(message) = back::decode(Bytes::copy_from_slice(data), era, &LIMITS) else {
            continue;
        };
        let back::Message::Answer { id, answer } = message else {
            continue;
        };
        if let Answer::Result(result) = &answer {
            let _ = back::initialized(result);
            let _ = back::discovered(result);
            for kind in ListKind::ALL {
                let Ok(items) = back::items(&sheets, kind, &server, result) else {
                    continue;
                };
                let again = back::decode_knowing(&sheets, Bytes::copy_from_slice(data), era, &LIMITS);
                let Ok(back::Message::Answer { answer: Answer::Result(again), .. }) = again else {
                    panic!("{again:?}");
                };
                assert!(again == *result && again.members().eq(result.members()));
                let again = back::items(&sheets, kind, &server, &again).expect("the same page");
                assert_eq!(again.sheet, items.sheet);
                for item in items.entries {
                    assert!(item.definition.get(kind.key()).is_some());
                }
            }
        }
        let written = outgoing::response(&id, &answer);
        let again = back::decode(written.clone(), era, &LIMITS);
        let Ok(back::Message::Answer { id, answer: again }) = again else {
            assert!(written.len() > LIMITS.bytes_max);
            continue;
        };
        assert_eq!(outgoing::response(&id, &again), written);
        for about in [About::Nothing, About::Beginning, About::State] {
            let _ = back::conclude(era, about, answer.clone());
        }
    }
}

/// The first byte says how long the chunks are: events do not depend on it.
pub fn sse(data: &[u8]) {
    let Some((size, stream)) = data.split_first() else {
        return;
    };
    let read = |size: usize| {
        let mut events = sse::Events::new(4096);
        let mut out = Vec::new();
        let end = stream.chunks(size).try_for_each(|chunk| events.feed(chunk, &mut out));
        (out, end)
    };
    let whole = read(stream.len().max(1));
    assert_eq!(read(usize::from(*size).max(1)), whole);
    for event in whole.0 {
        let mut again = Vec::new();
        let written = sse::event(&event.data, None);
        assert_eq!(sse::Events::new(1 << 20).feed(&written, &mut again), Ok(()));
        assert_eq!(again.len(), 1);
    }
}

/// The first byte says how long the chunks are: lines do not depend on it.
pub fn lines(data: &[u8]) {
    let Some((size, stream)) = data.split_first() else {
        return;
    };
    let read = |size: usize| {
        let mut lines = lines::Lines::new(100);
        let mut out = Vec::new();
        stream.chunks(size).for_each(|chunk| lines.feed(chunk, &mut out));
        assert!(lines.pending() <= 101);
        out
    };
    let whole = read(stream.len().max(1));
    assert_eq!(read(usize::from(*size).max(1)), whole);
    for line in whole.into_iter().flatten() {
        assert!(!line.contains(&b'\n') && line.len() <= 100);
        assert_eq!(lines::frame(&line).iter().filter(|byte| **byte == b'\n').count(), 1);
    }
}

fn split(data: &[u8]) -> (&[u8], &[u8]) {
    if let Some(body) = data.strip_prefix(b"\n") {
        return (b"", body);
    }
    match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (b"", data),
    }
}
