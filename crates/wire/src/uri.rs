//! URIs of resources: what names one thing, plainly (MCP, Server, Resources; RE-01).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::text;

/// Whether it has a scheme, hides nothing, and does not climb out of the folder that it is in.
#[must_use]
pub fn is_plain(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    // What comes behind is no path on the web; elsewhere nobody knows what a server makes of it.
    let web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    let path = if web { rest.split(['?', '#']).next().unwrap_or_default() } else { rest };
    is_scheme(scheme) && !rest.is_empty() && text::visible(uri) == uri && !uri.contains(['\n', '\t']) && !climbs(path)
}

/// Whether a path has a segment `..`, in whatever spelling a server may read as one.
#[must_use]
pub fn climbs(path: &str) -> bool {
    let mut path = Cow::Borrowed(path);
    for _ in 0..SPELLINGS {
        let decoded = percent_decode_str(&path).decode_utf8_lossy().into_owned();
        if decoded == path {
            break;
        }
        path = Cow::Owned(decoded);
    }
    path.split(['/', '\\']).any(|segment| segment == "..")
}

/// RFC 3986 section 3.1.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|char: char| char.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// How often a path may be encoded.
const SPELLINGS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_has_a_scheme_hides_nothing_and_never_climbs() {
        for good in [
            "file:///srv/notes/a..b",
            "note://1",
            "mail:x",
            "test://template/{id}/data",
            "a+b.c-d:メモ",
            "https://a.example/x?up=../y#../z",
            "file:///a/.../b",
            "note://50%25",
        ] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "",
            "notes",
            ":x",
            "a:",
            "1a:x",
            "a b:x",
            "../x:y",
            "file:///srv/../etc/passwd",
            "file:///srv/..",
            "file:///srv/%2e%2E/etc",
            "file:///srv/..%2fetc",
            "file:///srv/..%5cetc",
            "file:///srv/%252e%252e/etc",
            "file:///srv\\..\\etc",
            "file:///srv/x?/../../etc/passwd",
            "note://x#/../../y",
            "file:///a\u{202e}b",
            "file:///a\nb",
            "file:///a\0b",
        ] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
