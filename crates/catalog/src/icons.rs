//! Icons that a client may load (BP-30). Nothing here fetches one.

use sekisho_wire::Json;
use sekisho_wire::json::{Array, Kind};

/// A definition, or what a server says of itself, without the icons that are neither on the web over TLS nor a picture in the very
/// text. As it is, to the byte, where there are none of these.
#[must_use]
pub fn with_safe_icons(of: &Json) -> Json {
    let Some(icons) = of.get(ICONS) else { return of.clone() };
    if icons.kind() != Kind::Array {
        return of.without(ICONS);
    }
    let safe: Vec<Json> = icons.elements().filter(is_safe).collect();
    if safe.len() == icons.elements().count() {
        return of.clone();
    }
    if safe.is_empty() {
        return of.without(ICONS);
    }
    let mut kept = Array::new();
    safe.iter().for_each(|icon| kept.push(icon));
    of.with(ICONS, &kept.finish())
}

fn is_safe(icon: &Json) -> bool {
    let src = icon.get("src");
    let src = src.as_ref().and_then(Json::string).unwrap_or_default();
    let begins = |with: &str| src.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins("https://") || begins("data:image/")
}

const ICONS: &str = "icons";

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sekisho_wire::json::Limits;

    use super::*;

    fn shown(text: &str) -> String {
        let json = Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON");
        with_safe_icons(&json).as_str().to_owned()
    }

    #[test]
    fn an_icon_is_on_the_web_over_tls_or_in_the_very_text_and_others_are_left_out() {
        let good =
            r#"{ "name":"a", "icons":[{"src":"https://a.example/i.png"},{"src":"DATA:image/png;base64,AA=="}] }"#;
        assert_eq!(shown(good), good);
        assert_eq!(shown(r#"{ "name":"a" }"#), r#"{ "name":"a" }"#);
        for bad in [
            "javascript:alert(1)",
            "http://a.example/i.png",
            "file:///etc/passwd",
            "ftp://a.example/i.png",
            "ws://a.example",
            "app://x",
            "data:text/html,x",
            " https://a.example/i.png",
            "",
        ] {
            let one = format!(r#"{{"name":"a","icons":[{{"src":"{bad}"}}],"title":"t"}}"#);
            assert_eq!(shown(&one), r#"{"name":"a","title":"t"}"#, "{bad}");
            let two = format!(r#"{{"icons":[{{"src":"{bad}"}},{{"src":"https://a.example/"}}]}}"#);
            assert_eq!(shown(&two), r#"{"icons":[{"src":"https://a.example/"}]}"#, "{bad}");
        }
        for odd in [r#""https://a.example/""#, r#"{"src":"https://a.example/"}"#, "[7]", r#"[{"src":7}]"#, "null"] {
            assert_eq!(shown(&format!(r#"{{"icons":{odd},"a":1}}"#)), r#"{"a":1}"#, "{odd}");
        }
    }
}
