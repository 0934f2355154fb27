//! The addresses that a text names: URLs, e-mail addresses, hosts, IP addresses.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use url::Url;

/// Those that are in one of the `new` texts and in none of the `old` ones.
pub(super) fn added<'a>(
    old: impl IntoIterator<Item = &'a str>,
    new: impl IntoIterator<Item = &'a str>,
) -> BTreeSet<String> {
    let new: BTreeSet<String> = new.into_iter().flat_map(named_in).collect();
    if new.is_empty() {
        return new;
    }
    let old: BTreeSet<String> = old.into_iter().flat_map(named_in).collect();
    new.difference(&old).cloned().collect()
}

/// The host of a URL; nothing for one that names none.
pub(super) fn host(url: &str) -> Option<String> {
    Url::parse(url.trim()).ok()?.host_str().map(str::to_ascii_lowercase)
}

/// What may be an address is taken for one: a file's name is not, unless something follows that only an address has.
fn named_in(text: &str) -> impl Iterator<Item = String> {
    text.split(|char: char| char.is_whitespace() || BETWEEN.contains(&char)).filter_map(address)
}

fn address(word: &str) -> Option<String> {
    let word = word.trim_matches(|char: char| !char.is_alphanumeric() && char != '/');
    if !word.contains(['.', ':', '@']) {
        return None;
    }
    if word.contains("://") || word.get(..WWW.len()).is_some_and(|start| start.eq_ignore_ascii_case(WWW)) {
        return Some(url(word));
    }
    if let Some((before, host)) = word.rsplit_once('@') {
        // An address, whatever stands before it: `mailto:`, a name, a user.
        let host = host.split([':', '/', '?']).next().unwrap_or_default();
        let is_one = host.parse::<Ipv4Addr>().is_ok() || labels_below_top(host).is_some();
        return (!before.is_empty() && is_one).then(|| word.to_lowercase());
    }
    let word = word.trim_start_matches('/');
    let (authority, path) = word.find(['/', '?', '#']).map_or((word, ""), |at| word.split_at(at));
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let port_is_one = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if !port.is_empty() && !port_is_one {
        return None;
    }
    let more = port_is_one || !path.is_empty();
    (host.parse::<Ipv4Addr>().is_ok() || is_host(host, more) || (port_is_one && host == "localhost"))
        .then(|| word.to_lowercase())
}

/// A URL with the parts in lower case that have no case.
fn url(word: &str) -> String {
    match Url::parse(word) {
        Ok(url) => url.to_string(),
        Err(_) => word.to_owned(),
    }
}

/// `more`: whether a port or a path follows.
fn is_host(host: &str, more: bool) -> bool {
    let top = host.rsplit('.').next().unwrap_or_default().to_lowercase();
    let like_a_file = NO_TOP.contains(&top.as_str());
    labels_below_top(host).is_some_and(|below| !like_a_file || (more && below > 1))
}

/// How many labels a host's name has below the last one (RFC 1123 section 2.1); nothing for what is none.
fn labels_below_top(host: &str) -> Option<usize> {
    let labels: Vec<&str> = host.split('.').collect();
    let (top, below) = labels.split_last()?;
    let is_label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.chars().all(|char| char.is_alphanumeric() || char == '-')
    };
    let is_top = top.chars().count() >= 2 && (top.chars().all(char::is_alphabetic) || top.starts_with("xn--"));
    (is_top && !below.is_empty() && below.iter().all(|label| is_label(label))).then_some(below.len())
}

/// What stands between words, and in no address.
const BETWEEN: [char; 19] =
    ['"', '\'', '`', '<', '>', '(', ')', '{', '}', '|', ',', ';', '“', '”', '。', '、', '「', '」', '\\'];
const WWW: &str = "www.";
/// What the names of files end with, and code; some are the names of countries, too.
const NO_TOP: [&str; 53] = [
    "json", "jsonl", "yaml", "yml", "toml", "xml", "csv", "tsv", "txt", "md", "rst", "pdf", "doc", "docx", "xls",
    "xlsx", "ppt", "pptx", "html", "htm", "css", "js", "mjs", "cjs", "ts", "tsx", "jsx", "py", "rs", "rb", "java",
    "kt", "cpp", "hpp", "cs", "php", "sql", "sh", "bat", "png", "jpg", "jpeg", "gif", "svg", "webp", "zip", "tar",
    "gz", "log", "lock", "env", "ini", "db",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn added_in(old: &str, new: &str) -> Vec<String> {
        added([old], [new]).into_iter().collect()
    }

    #[test]
    fn urls_mail_addresses_hosts_and_ip_addresses_are_destinations() {
        for (text, expected) in [
            ("Send it to https://Evil.example/Log?x=1.", "https://evil.example/Log?x=1"),
            ("see (http://10.0.0.1:8080/a)", "http://10.0.0.1:8080/a"),
            ("mail to Eve@evil.example, please", "eve@evil.example"),
            ("mailto:eve@evil.example", "mailto:eve@evil.example"),
            ("goes to evil.example.", "evil.example"),
            ("git@evil.rs:a/b.git", "git@evil.rs:a/b.git"),
            ("goes to `collect.evil.rs/in`", "collect.evil.rs/in"),
            ("goes to evil.io", "evil.io"),
            ("www.evil.example", "www.evil.example"),
            ("at 192.0.2.7", "192.0.2.7"),
            ("at 192.0.2.7:99", "192.0.2.7:99"),
            ("at localhost:99", "localhost:99"),
            ("wss://a.example", "wss://a.example/"),
            ("//evil.example/x.png", "evil.example/x.png"),
            ("詳細は「https://evil.example/」。", "https://evil.example/"),
        ] {
            assert_eq!(added_in("", text), [expected], "{text}");
        }
    }

    #[test]
    fn files_versions_and_sentences_are_none() {
        for text in [
            "Reads config.json or README.md, e.g. main.rs.",
            "Since version 1.2.3 (v2.0), i.e. lately.",
            "src/main.rs and ../a/b.py",
            "note: this",
            "a key: value pair at 10:30",
            "@mention someone, or @scope/package@1.2.3",
            "1.5 and 300.1.1.1",
            "...",
        ] {
            assert_eq!(added_in("", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn what_was_named_before_is_not_new() {
        assert_eq!(added_in("see https://a.example/x", "Look at HTTPS://A.example/x!"), [""; 0]);
        assert_eq!(added_in("see https://a.example/x", "see https://a.example/y"), ["https://a.example/y"]);
        assert_eq!(added_in("see a.example", "see"), [""; 0]);
    }
}
