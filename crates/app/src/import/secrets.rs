//! What looks like a secret, where it is kept, and how it is hidden from the screen.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use sekisho_keys::{Purpose, SealingKey, SecretRef, is_sealed};
use sekisho_wire::ServerId;
use subtle::ConstantTimeEq as _;

use super::tree::Node;
use crate::home::{Home, files};
use crate::problem::{Code, Problem, chain};

/// Seals a secret of a server into a file beside the configuration, with the key that lies elsewhere, and says how the configuration
/// names it. One that is kept already stays as it is.
///
/// # Errors
/// It cannot be written, or there is no good key.
pub(crate) fn keep(home: &Home, server: &ServerId, name: &str, value: &SecretString) -> Result<String, Problem> {
    let refused = |error: &dyn std::error::Error| {
        Problem::new(Code::Secret, format!("secret `{name}` of server `{server}` cannot be sealed: {}", chain(error)))
            .help("nothing that was there is changed; mend it and do it again")
    };
    let reference = reference(server, name);
    if is_kept(home, &reference, server.as_str(), name, value) {
        return Ok(reference);
    }
    let key = SealingKey::ensure(&home.key()).map_err(|error| refused(&error))?;
    let purpose = Purpose::Server { server: server.as_str(), name };
    let sealed = key.seal(purpose, value).map_err(|error| refused(&error))?;
    put(&home.folder().join(place(server, name)), &sealed).map_err(|error| refused(&error))?;
    Ok(reference)
}

/// Writes a sealed file, in the place of the one that is there.
///
/// # Errors
/// It cannot be written, or what is there is no sealed file.
pub(crate) fn put(path: &Path, sealed: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    match files::read(path, BYTES_MAX) {
        Ok(there) if is_sealed(&there) => files::replace(path, &there, sealed.as_bytes()),
        Ok(_) => Err(io::Error::other(format!("`{}` is another file, and stays", path.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => files::create(path, sealed.as_bytes()),
        Err(error) => Err(error),
    }
}

/// Whether the secret that the configuration names so is this one.
#[must_use]
pub(crate) fn is_kept(home: &Home, reference: &str, server: &str, name: &str, value: &SecretString) -> bool {
    let Ok(parsed) = reference.parse::<SecretRef>() else { return false };
    // Variables are not looked at: those of this process are not those that the client hands over.
    let data = |name: &str| home.key().ancestors().nth(2).filter(|_| name == "XDG_DATA_HOME").map(OsString::from);
    let there = parsed.resolve(Purpose::Server { server, name }, home.folder(), &data);
    there.is_ok_and(|there| there.expose_secret().as_bytes().ct_eq(value.expose_secret().as_bytes()).into())
}

/// How the configuration names a secret that is kept here.
#[must_use]
pub(crate) fn reference(server: &ServerId, name: &str) -> String {
    format!("sealed:{}", place(server, name).display())
}

fn place(server: &ServerId, name: &str) -> PathBuf {
    Path::new("secrets").join(server.as_str()).join(format!("{}.sealed", file_name(name)))
}

/// Names of variables are letters, digits and `_`; those of headers have other characters, too.
#[must_use]
pub(crate) fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' }).collect()
}

/// Whether a variable of that name commonly holds a secret. Whatever the configuration takes for one is among them.
#[must_use]
pub(crate) fn smells(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let words = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "KEY", "CREDENTIAL"];
    let more = ["PWD", "PASS", "AUTH", "BEARER", "COOKIE", "DSN", "CONNECTION_STRING", "CONN_STR", "WEBHOOK"];
    let is_folder = upper == "PWD" || upper == "OLDPWD";
    !is_folder
        && (words.iter().chain(&more).any(|word| upper.contains(word)) || upper.split('_').any(|part| part == "PAT"))
}

/// Whether a text looks like a credential: it begins as those of known services do, it is an address with a password, or letters and
/// digits in it are as mixed as chance makes them.
#[must_use]
pub(crate) fn looks_like_one(text: &str) -> bool {
    let text = text.trim();
    let known = PREFIXES.iter().any(|prefix| text.starts_with(prefix) && text.len() >= prefix.len().saturating_add(8));
    known || text.contains("-----BEGIN ") || has_password(text) || is_random(text)
}

/// `scheme://user:password@host`
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

fn is_random(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-+=~.".contains(c);
    if text.len() < RANDOM_MIN || !text.chars().all(is_word) || text.matches('.').count() > 2 {
        return false;
    }
    let count = |is: fn(&char) -> bool| text.chars().filter(is).count();
    let (digits, lower, upper) =
        (count(char::is_ascii_digit), count(char::is_ascii_lowercase), count(char::is_ascii_uppercase));
    let letters = lower.saturating_add(upper);
    let separators = text.len().saturating_sub(digits).saturating_sub(letters);
    // Words and versions have long runs of one kind, chance does not.
    let kinds: Vec<u8> = text.bytes().map(|byte| u8::from(byte.is_ascii_digit())).collect();
    let changes = kinds.iter().zip(kinds.iter().skip(1)).filter(|(one, next)| one != next).count();
    digits >= 3 && letters >= 3 && separators.saturating_mul(6) <= text.len() && changes.saturating_mul(5) >= text.len()
}

/// The text of a file with every value hidden that looks like a secret, by the name that it stands under or by itself.
#[must_use]
pub(crate) fn masked(text: &str, tree: &Node) -> String {
    let mut places: Vec<std::ops::Range<usize>> = Vec::new();
    tree.each_text("", &mut |key, node, value| {
        let is_header = key.eq_ignore_ascii_case("authorization");
        if !value.is_empty() && (smells(key) || is_header || looks_like_one(value)) && !is_reference(value) {
            places.push(node.at.clone());
        }
    });
    places.sort_by_key(|place| place.start);
    let (mut masked, mut done) = (String::with_capacity(text.len()), 0);
    for place in places {
        let (Some(before), Some(value)) = (text.get(done..place.start), text.get(place.clone())) else { continue };
        if !value.is_empty() {
            // Line ends stay, so that lines can be compared.
            masked.push_str(&format!("{before}\"{HIDDEN}\"{}", "\n".repeat(value.matches('\n').count())));
            done = place.end;
        }
    }
    masked.push_str(text.get(done..).unwrap_or_default());
    masked
}

/// A line with every word hidden that looks like a secret by itself, wherever it stands: in comments, too.
#[must_use]
pub(crate) fn masked_words(line: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || "\"',;()[]{}<>`".contains(c);
    let masked = |word: &str| {
        let bare = word.trim_end_matches(is_end);
        let value = bare.rsplit_once('=').map_or(bare, |(_, value)| value);
        if looks_like_one(value) || looks_like_one(bare) { word.replace(bare, HIDDEN) } else { word.to_owned() }
    };
    line.split_inclusive(is_end).map(masked).collect()
}

/// `env:NAME`, `${…}` and the like say where a secret is, and are none.
fn is_reference(text: &str) -> bool {
    SecretRef::begins(text) || (text.starts_with("${") && text.ends_with('}'))
}

const HIDDEN: &str = "••••••••";
const RANDOM_MIN: usize = 20;
/// LIMIT: of a file that is replaced, which is a sealed one.
const BYTES_MAX: u64 = 96 * 1024;
const PREFIXES: [&str; 42] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "sk-",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "rk_test_",
    "pk_live_",
    "whsec_",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxe",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "npm_",
    "pypi-",
    "hf_",
    "ntn_",
    "secret_",
    "sntrys_",
    "sntryu_",
    "sbp_",
    "lin_api_",
    "dckr_pat_",
    "SG.",
    "figd_",
    "shpat_",
    "dop_v1_",
    "eyJ",
    "Bearer ",
    "Basic ",
    "pat-",
];

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::home::{Machine, System};

    #[test]
    fn credentials_are_told_from_settings() {
        for secret in [
            "ghp_0123456789abcdefghij",
            "sk-ant-0123456789",
            "postgres://me:hunter2@db.example/app",
            "Bearer abcdefgh12345678",
            "4f9a1c0b7e2d8a6f3b5c9d1e",
            "A1b2C3d4E5f6G7h8I9j0",
            "0b9c7f1e-3d52-4a86-9c1f-7e2d8a6f3b5c",
        ] {
            assert!(looks_like_one(secret), "{secret}");
        }
        for setting in [
            "production",
            "/home/me/projects/notes-2026-11",
            "https://api.example.com/v1?x=1",
            "@modelcontextprotocol/server-filesystem",
            "mcp-server-fetch==2025.4.7",
            "--allow-read-only-access-to-files",
            "postgres://db.example/app",
            "1234567890123456789012345",
            "sk-",
            "anthropic.claude-3-5-sonnet-20241022-v2",
        ] {
            assert!(!looks_like_one(setting), "{setting}");
        }
        for name in ["GITHUB_PERSONAL_ACCESS_TOKEN", "apiKey", "DB_PASS", "GITLAB_PAT", "SENTRY_DSN"] {
            assert!(smells(name), "{name}");
        }
        for name in ["PATH", "NODE_ENV", "PWD", "PATTERN", "LOG_LEVEL"] {
            assert!(!smells(name), "{name}");
        }
    }

    #[test]
    fn secrets_are_hidden_by_name_and_by_looks_and_the_rest_is_shown() {
        let text = "{\"env\": {\"API_KEY\": \"plain\", \"MODE\": \"fast\"}, \"args\": [\"--token=ghp_0123456789abcdef\"], \"x\": \"${env:KEY}\"} // sk-0123456789ab\n";
        let tree = super::super::json::read(text).unwrap();
        let shown = masked_words(&masked(text, &tree));
        assert!(!shown.contains("plain") && !shown.contains("ghp_") && !shown.contains("sk-0"), "{shown}");
        assert!(shown.contains("\"MODE\": \"fast\"") && shown.contains("${env:KEY}"), "{shown}");
    }

    #[test]
    fn kept_secret_is_sealed_and_is_known_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(&Machine::new(System::Linux, dir.path().to_owned(), &|_| None));
        let server = ServerId::parse("github").unwrap();
        let is_kept = |reference: &str, value: &str| is_kept(&home, reference, "github", "A_TOKEN", &value.into());
        let reference = keep(&home, &server, "A_TOKEN", &"one\n".into()).unwrap();
        assert_eq!(reference, "sealed:secrets/github/A_TOKEN.sealed");
        assert!(is_kept(&reference, "one\n"));
        assert!(!is_kept(&reference, "one") && !is_kept("env:A_TOKEN", "one\n") && !is_kept("one\n", "one\n"));
        assert!(!super::is_kept(&home, &reference, "github", "OTHER", &"one\n".into()), "of another variable");
        let path = home.folder().join("secrets/github/A_TOKEN.sealed");
        let (sealed, key) = (std::fs::read(&path).unwrap(), home.key());
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap()), mode(&key)), (0o600, 0o700, 0o600));
        assert_eq!(key, dir.path().join(".local/share/sekisho/key"));
        keep(&home, &server, "A_TOKEN", &"one\n".into()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), sealed, "the same again changes nothing");
        keep(&home, &server, "A_TOKEN", &"two".into()).unwrap();
        assert!(is_kept(&reference, "two") && !is_kept(&reference, "one\n"));
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = keep(&home, &server, "A_TOKEN", &"three".into()).unwrap_err().line();
        assert!(refused.contains("SK0109") && refused.contains("chmod go-rwx") && !refused.contains("three"));
        // What was written there by hand is known, too.
        std::fs::write(home.folder().join("plain"), "four\n").unwrap();
        std::fs::set_permissions(home.folder().join("plain"), std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(is_kept("file:plain", "four") && !is_kept("file:plain", "five"));
    }
}
