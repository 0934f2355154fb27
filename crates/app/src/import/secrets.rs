//! What looks like a secret, where it is kept, and how it is hidden from the screen.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use sekisho_keys::{Purpose, SealingKey, SecretRef, is_sealed};
use sekisho_wire::{Json, ServerId};
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

/// The text of a file with every value hidden that looks like a secret, by the name that it stands under, by what stands before it in a
/// command, or by itself.
#[must_use]
pub(crate) fn masked(text: &str, tree: &Node) -> String {
    let mut places: Vec<(Range<usize>, String)> = Vec::new();
    tree.each_text("", &mut |key, node, value| {
        let is_header = key.eq_ignore_ascii_case("authorization");
        if !value.is_empty() && (smells(key) || is_header || looks_like_one(value)) && !is_reference(value) {
            places.push((node.at.clone(), HIDDEN.to_owned()));
        }
    });
    each_list(tree, &mut |elements| {
        for (at, element) in elements.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| elements.get(before)).and_then(Node::as_text);
            let hidden = element.as_text().and_then(|word| masked_word(before.unwrap_or_default(), word));
            places.extend(hidden.map(|hidden| (element.at.clone(), hidden)));
        }
    });
    places.sort_by_key(|(place, _)| place.start);
    let (mut masked, mut done) = (String::with_capacity(text.len()), 0);
    for (place, hidden) in places {
        let (Some(before), Some(value)) = (text.get(done..place.start), text.get(place.clone())) else { continue };
        if !value.is_empty() {
            // Line ends stay, so that lines can be compared.
            let hidden = Json::text(&hidden);
            masked.push_str(&format!("{before}{}{}", hidden.as_str(), "\n".repeat(value.matches('\n').count())));
            done = place.end;
        }
    }
    masked.push_str(text.get(done..).unwrap_or_default());
    masked
}

fn each_list(node: &Node, see: &mut dyn FnMut(&[Node])) {
    see(node.elements());
    node.elements().iter().for_each(|element| each_list(element, see));
    node.members().iter().for_each(|member| each_list(&member.node, see));
}

/// A command on one line, with its secrets hidden.
#[must_use]
pub(crate) fn masked_command(command: &[String]) -> String {
    let mut words = Vec::new();
    for (at, word) in command.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| command.get(before)).map_or("", String::as_str);
        words.push(masked_word(before, word).unwrap_or_else(|| masked_words(word)));
    }
    words.join(" ")
}

/// Whether a word of a command holds a secret. What a `--key-file` names is none.
#[must_use]
pub(crate) fn is_in_word(before: &str, word: &str) -> bool {
    let named = if word.starts_with('-') { word } else { before };
    let names = named.split('=').next().unwrap_or_default().to_ascii_lowercase();
    let is_place = ["file", "path", "dir", "folder", "name", "id", "url"].iter().any(|end| names.ends_with(end));
    let value = word.split_once('=').map_or(word, |(_, value)| value);
    looks_like_one(value) || looks_like_one(word) || (!is_place && masked_word(before, word).is_some())
}

/// A word of a command with the secret in it hidden, if it is known for one by a name: that of the option before it, of an option or
/// variable in it (`--token=…`), of a header (`Authorization: …`), or of a parameter of an address.
fn masked_word(before: &str, word: &str) -> Option<String> {
    let is_option = before.starts_with('-') && !before.contains('=');
    let is_value = (is_option && smells(before)) || SCHEMES.iter().any(|scheme| before.eq_ignore_ascii_case(scheme));
    let is_hidden = |value: &str| value.contains(char::is_alphanumeric) && !is_reference(value);
    if is_value && !word.starts_with("--") && is_hidden(word) {
        return Some(HIDDEN.to_owned());
    }
    if word.contains("://") {
        return masked_address(word);
    }
    for separator in [':', '='] {
        if let Some((name, value)) = word.split_once(separator)
            && is_name(name)
            && smells(name)
            && is_hidden(value.trim())
        {
            let blank = if value.starts_with(' ') { " " } else { "" };
            return Some(format!("{name}{separator}{blank}{HIDDEN}"));
        }
    }
    let (scheme, value) = word.trim().split_once(' ')?;
    let is_scheme = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    (is_scheme && is_hidden(value)).then(|| format!("{scheme} {HIDDEN}"))
}

/// An address with the parameters hidden whose names smell, and whose values look like a secret.
fn masked_address(word: &str) -> Option<String> {
    let mut is_any = false;
    let mut part = |part: &str| {
        let bare = part.trim_end_matches(['&', '?', '#']);
        let Some((name, value)) = bare.split_once('=') else { return part.to_owned() };
        let name_alone = name.rsplit("://").next().unwrap_or(name);
        if value.is_empty() || is_reference(value) || !(smells(name_alone) || looks_like_one(value)) {
            return part.to_owned();
        }
        is_any = true;
        format!("{name}={HIDDEN}{}", part.get(bare.len()..).unwrap_or_default())
    };
    let masked: String = word.split_inclusive(['&', '?', '#']).map(&mut part).collect();
    is_any.then_some(masked)
}

/// That of an option, a variable or a header.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A line with every word hidden that looks like a secret, by what stands before it or by itself, wherever it stands: in comments, too.
#[must_use]
pub(crate) fn masked_words(line: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || "\"',;()[]{}<>`".contains(c);
    let mut before = String::new();
    let mut masked = |piece: &str| {
        let bare = piece.trim_end_matches(is_end);
        if !bare.contains(char::is_alphanumeric) {
            return piece.to_owned();
        }
        let value = bare.rsplit_once('=').map_or(bare, |(_, value)| value);
        let is_one = looks_like_one(value) || looks_like_one(bare);
        let hidden = if is_one { Some(HIDDEN.to_owned()) } else { masked_word(&before, bare) };
        // What follows `Authorization:` is hidden, and what follows `Bearer` behind it.
        let is_scheme = SCHEMES.iter().chain(&["token"]).any(|scheme| bare.eq_ignore_ascii_case(scheme));
        let is_followed = piece.get(bare.len()..).is_some_and(|end| !end.is_empty() && end.trim().is_empty());
        let is_header = bare.strip_suffix(':').is_some_and(|name| is_name(name) && smells(name));
        before = match (is_scheme || is_header, is_followed) {
            (true, true) => "Bearer".to_owned(),
            (true, false) => String::new(),
            (false, _) => bare.to_owned(),
        };
        hidden.map_or_else(|| piece.to_owned(), |hidden| piece.replacen(bare, &hidden, 1))
    };
    line.split_inclusive(is_end).map(&mut masked).collect()
}

/// `env:NAME`, `${…}` and the like say where a secret is, and are none.
fn is_reference(text: &str) -> bool {
    SecretRef::begins(text) || (text.starts_with("${") && text.ends_with('}'))
}

/// What stands before a credential in the header of a request.
const SCHEMES: [&str; 2] = ["Bearer", "Basic"];
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
    fn secrets_in_arguments_are_hidden_by_what_stands_before_them() {
        for (command, shown) in [
            (&["x", "--api-key", "hunter2longpw"][..], "x --api-key ••••••••"),
            (&["x", "--api-key=hunter2longpw"], "x --api-key=••••••••"),
            (&["x", "--header", "Authorization: Bearer abc"], "x --header Authorization: ••••••••"),
            (&["x", "-H", "X-Api-Key:abc"], "x -H X-Api-Key:••••••••"),
            (&["x", "Bearer abc"], "x Bearer ••••••••"),
            (&["x", "bearer", "abc"], "x bearer ••••••••"),
            (&["x", "DB_PASSWORD=abc"], "x DB_PASSWORD=••••••••"),
            (&["x", "https://a.example/?v=1&api_key=abc&w=2"], "x https://a.example/?v=1&api_key=••••••••&w=2"),
            (&["x", "--header", "Accept: text/html", "--mode", "fast"], "x --header Accept: text/html --mode fast"),
            (&["x", "--token", "${TOKEN}", "--token", "--port", "80"], "x --token ${TOKEN} --token --port 80"),
            (&["x", "https://a.example/?v=1", "--port=80"], "x https://a.example/?v=1 --port=80"),
        ] {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(masked_command(&command), shown);
            let text = format!(
                "{{\"args\": [\n{}\n]}}",
                command.iter().map(|word| Json::text(word).as_str().to_owned()).collect::<Vec<_>>().join(",\n")
            );
            let masked = masked(&text, &super::super::json::read(&text).unwrap());
            for hidden in ["hunter2", "abc"] {
                assert!(!masked.contains(hidden), "{masked}");
            }
            assert_eq!(masked.contains(HIDDEN), shown.contains(HIDDEN), "{masked}");
            assert_eq!(masked.lines().count(), text.lines().count());
        }
        for line in [
            "// x --api-key hunter2longpw",
            "# x --header 'Authorization: Bearer hunter2' y",
            "// Authorization: hunter2",
            "// the token hunter2",
            "\"--api-key\", \"hunter2\"",
        ] {
            let masked = masked_words(line);
            assert!(!masked.contains("hunter2") && masked.contains(HIDDEN), "{masked}");
        }
        let line = "// a server for notes: \"--mode\", \"fast\"";
        assert_eq!(masked_words(line), line);
        assert!(is_in_word("--api-key", "hunter2") && is_in_word("", "--token=hunter2"));
        assert!(!is_in_word("--key-file", "/a/b") && !is_in_word("--mode", "fast"));
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
