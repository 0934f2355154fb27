//! What a client's name makes people believe: names that read as somebody else's host, and names of mixed scripts (UTS 39).

use sekisho_wire::text;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_security::{RestrictionLevel, RestrictionLevelDetection as _, skeleton};
use url::Host;

/// Whether a name has a word that looks like a host which is neither `own` nor above it, or one whose letters are of scripts that no
/// word mixes.
pub(crate) fn poses_as_another(name: &str, own: Option<&str>) -> bool {
    // The characters that nobody sees are marked for themselves; between others they change nothing for a reader.
    let plain: String = name.chars().filter(|char| !text::suspect(*char)).nfkc().collect();
    words(&plain).any(|word| {
        mixes_scripts(word) || (looks_like_host(word) && !own.is_some_and(|own| is_host_or_above(word, own)))
    })
}

/// What stands between spaces and punctuation, but for the signs that hosts have.
fn words(name: &str) -> impl Iterator<Item = &str> {
    let is_of_word = |char: char| char.is_alphanumeric() || is_combining_mark(char) || is_hyphen(char) || is_dot(char);
    name.split(move |char| !is_of_word(char))
        .map(|word| word.trim_matches(|char| is_dot(char) || is_hyphen(char)))
        .filter(|word| !word.is_empty())
}

/// Scripts that are written together, such as Latin and Japanese ones, are not mixed.
fn mixes_scripts(word: &str) -> bool {
    word.split(|char| is_dot(char) || is_hyphen(char))
        .any(|part| !part.check_restriction_level(RestrictionLevel::HighlyRestrictive))
}

/// `claude.ai`, `claude.ai-official` and `claude.ai.v2` do, and so does `сlaude。ai`; `v1.2`, `e.g.` and `Node.js` do not.
fn looks_like_host(word: &str) -> bool {
    let seen: String = skeleton(&word.replace(is_dot, ".")).collect::<String>().to_lowercase();
    let mut labels = seen.split('.').skip(1).map(|label| label.split(is_hyphen).next().unwrap_or_default());
    labels.any(|label| {
        label.chars().count() >= 2 && label.chars().all(char::is_alphabetic) && !NO_DOMAINS.contains(&label)
    })
}

/// Compared as browsers read it, not as it looks: whoever has a host that looks like another one must not pass for that.
fn is_host_or_above(word: &str, own: &str) -> bool {
    match Host::parse(word) {
        Ok(Host::Domain(said)) => own.strip_suffix(&*said).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => false,
    }
}

fn is_hyphen(char: char) -> bool {
    matches!(char, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// A full stop, or what looks like one or is read as one in a host (UTS 46).
fn is_dot(char: char) -> bool {
    matches!(char, '.' | '\u{3002}' | '\u{ff61}') || skeleton(char.encode_utf8(&mut [0; 4])).eq(['.'])
}

/// What names of software end in, and no host does. As they look: `js` and the like have no letter that looks like another.
const NO_DOMAINS: &[&str] = &["js", "exe", "json"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_reads_as_anothers_host_is_told_from_the_clients_own() {
        for own in ["claude.ai", "www.claude.ai", "a.b.claude.ai"] {
            for name in ["claude.ai", "Claude.AI", "Claude (claude.ai)", "claude.ai:", "\u{201c}claude.ai\u{201d}"] {
                assert!(!poses_as_another(name, Some(own)), "{name} at {own}");
                assert!(poses_as_another(name, None), "{name} of nobody");
                assert!(poses_as_another(name, Some("evil.example")), "{name} at another");
                assert!(poses_as_another(name, Some("evilclaude.ai")), "{name} at another that ends alike");
                assert!(poses_as_another(name, Some("claude.ai.evil.example")), "{name} below another");
            }
        }
        for name in ["claude\u{3002}ai", "claude\u{ff0e}ai", "claude\u{2024}ai", "cl\u{200b}aude.\u{200b}ai"] {
            assert!(poses_as_another(name, Some("evil.example")), "{name}");
            assert!(!poses_as_another(name, Some("claude.ai")), "{name}");
        }
        for name in [
            "claude.ai-official",
            "claude.ai.v2",
            "claude.ai\u{2014}official",
            "\u{441}\u{43b}aude.ai",
            "login.claude.ai",
            "C1aude.ai",
        ] {
            assert!(poses_as_another(name, Some("evil.example")), "{name}");
            assert!(poses_as_another(name, Some("claude.ai")), "{name}");
        }
        // Whoever has the host that looks alike does not pass for the other.
        assert!(poses_as_another("claude.ai", Some("c1aude.ai")));
        assert!(poses_as_another("claude.ai", Some("xn--laude-y4e.ai")));
    }

    #[test]
    fn ordinary_names_pose_as_nobody() {
        for name in [
            "Claude",
            "Visual Studio Code",
            "Node.js client",
            "App v1.2.3",
            "App 2.x",
            "e.g. this one",
            "MCP-Inspector",
            "Acme, Inc.",
            "\u{30b3}\u{30fc}\u{30c9}\u{88dc}\u{5b8c}app",
            "\u{41a}\u{43b}\u{438}\u{435}\u{43d}\u{442} App",
            "Caf\u{e9} \u{2615}",
            "Cafe\u{301}",
        ] {
            assert!(!poses_as_another(name, None), "{name}");
        }
    }

    #[test]
    fn words_of_mixed_scripts_are_told() {
        for name in ["Cl\u{430}ude", "\u{0410}pp", "P\u{430}yPal", "G\u{3bf}\u{3bf}gle"] {
            assert!(poses_as_another(name, Some("app.example")), "{name}");
        }
    }
}
