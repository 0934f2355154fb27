//! What stands in code blocks of documents is true: configurations and policies are loaded by the real binary, commands are ones
//! that it knows, JSON can be read.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where something is not as it should be")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sekisho_e2e::issuer::Issuer;
use sekisho_e2e::{place, process};

/// A code block of a document.
#[derive(Debug)]
struct Block {
    place: String,
    tag: String,
    text: String,
}

#[test]
fn configurations_in_documents_are_whole_and_good() {
    let mut count = 0;
    for block in blocks("toml") {
        let folder = tempfile::tempdir().expect("a folder");
        beside(folder.path());
        fs::write(folder.path().join("sekisho.toml"), &block.text).expect("written");
        let said = sekisho(&["config", "check"], folder.path());
        assert!(said.status.success(), "{}: {}", block.place, said.err);
        let is_one = EXAMPLES.iter().any(|name| block.text == example(name, "sekisho.toml"));
        assert!(is_one, "{} is none of the examples any more", block.place);
        count += 1;
    }
    assert!(count >= 2, "{count} configurations");
}

#[test]
fn policies_in_documents_are_whole_and_good() {
    let mut count = 0;
    let examples = EXAMPLES.map(|name| Block {
        place: format!("examples/{name}"),
        tag: "cedar".to_owned(),
        text: example(name, "policy.cedar"),
    });
    for block in blocks("cedar").into_iter().chain(examples) {
        let folder = tempfile::tempdir().expect("a folder");
        beside(folder.path());
        fs::write(folder.path().join("sekisho.toml"), example("laptop", "sekisho.toml")).expect("written");
        fs::write(folder.path().join("policy.cedar"), &block.text).expect("written");
        let said = sekisho(&["config", "check"], folder.path());
        assert!(said.status.success(), "{}: {}", block.place, said.err);
        count += 1;
    }
    assert!(count >= 6, "{count} policies");
}

#[test]
fn commands_in_documents_are_known() {
    let mut count = 0;
    for block in blocks("sh") {
        let mut bash = Command::new("bash");
        bash.args(["-n", "-c", &block.text]);
        let said = process::run(&mut bash, "", LIMIT).expect("it ends");
        assert!(said.status.success(), "{}: {}", block.place, said.err);
        for line in block.text.lines() {
            let words = line.split(" #").next().unwrap_or_default().split_whitespace();
            let words: Vec<&str> =
                words.take_while(|word| !["<", ">", "|"].contains(word)).map(|word| word.trim_matches('\'')).collect();
            let (program, arguments) = match words.as_slice() {
                ["sekisho", arguments @ ..]
                | ["cargo", "run", "--release", "--bin", "sekisho", "--", arguments @ ..] => ("sekisho", arguments),
                ["cargo", "xtask", arguments @ ..] => ("xtask", arguments),
                _ => continue,
            };
            // What stands before `--help` is read first: a command that is not known, or an option that is not, ends with 2.
            let mut command = Command::new(place::binary(program).expect("it is built"));
            command.args(arguments).arg("--help").current_dir(place::source(".."));
            let said = process::run(&mut command, "", LIMIT).expect("it ends");
            assert!(said.status.success(), "{}: {line}: {}", block.place, said.err);
            count += 1;
        }
    }
    assert!(count >= 12, "{count} commands");
    let unknown = sekisho(&["config", "explian", "--help"], Path::new("."));
    assert_eq!(unknown.status.code(), Some(2), "a command that is not known is noticed");
}

#[test]
fn every_code_block_says_what_it_is() {
    for block in blocks("") {
        let known = ["toml", "cedar", "sh", "json", "nginx", "text", "rust"].contains(&block.tag.as_str());
        assert!(known, "{}: nothing looks at a block of `{}`", block.place, block.tag);
        if block.tag == "json" {
            let json: Result<serde::de::IgnoredAny, _> =
                serde::Deserialize::deserialize(&mut serde_json::Deserializer::from_str(&block.text));
            assert!(json.is_ok(), "{}: {json:?}", block.place);
        }
    }
}

fn example(name: &str, file: &str) -> String {
    fs::read_to_string(place::source("../examples").join(name).join(file)).expect("an example")
}

/// What the configurations name.
fn beside(folder: &Path) {
    let key = rcgen::generate_simple_self_signed(vec!["mcp.example.com".to_owned()]).expect("a certificate");
    fs::create_dir_all(folder.join("tls")).expect("a folder");
    fs::write(folder.join("tls/cert.pem"), key.cert.pem()).expect("written");
    fs::write(folder.join("tls/key.pem"), key.signing_key.serialize_pem()).expect("written");
    let keys = folder.join("sekisho-data/dev-issuer");
    fs::create_dir_all(&keys).expect("a folder");
    Issuer::es256("http://127.0.0.1:8700/dev-issuer")
        .expect("keys")
        .write_key_set(&keys.join("jwks.json"))
        .expect("written");
    fs::write(folder.join("policy.cedar"), "permit (principal, action, resource);\n").expect("written");
}

fn sekisho(arguments: &[&str], folder: &Path) -> process::Output {
    let mut command = Command::new(place::binary("sekisho").expect("it is built"));
    command.args(arguments).current_dir(folder);
    process::run(&mut command, "", LIMIT).expect("it ends")
}

/// The code blocks with this tag, or all of them.
fn blocks(tag: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    for path in documents() {
        let text = fs::read_to_string(&path).expect("a document");
        let mut open: Option<Block> = None;
        for (at, line) in text.lines().enumerate() {
            match (line.strip_prefix("```"), open.take()) {
                (Some(tag), None) => {
                    let place = format!("{}:{}", path.display(), at + 1);
                    open = Some(Block { place, tag: tag.to_owned(), text: String::new() });
                }
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a code block does not end", path.display());
    }
    blocks.retain(|block| tag.is_empty() || block.tag == tag);
    blocks
}

/// Every document of ours.
fn documents() -> Vec<PathBuf> {
    let root = place::source("..");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let ours = !name.starts_with('.') && !["target", "node_modules"].contains(&name);
            if path.is_dir() && !path.is_symlink() && ours {
                folders.push(path);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

const EXAMPLES: [&str; 7] = ["facade", "laptop", "team", "entra", "oidc", "github", "sandbox"];
const LIMIT: Duration = Duration::from_secs(20);
