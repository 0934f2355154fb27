//! The demo servers as processes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::support::{json, text_at};

/// What a demo server says to the lines, until its input ends.
fn talk(arguments: &[&str], lines: &[&str]) -> Vec<String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sekisho"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        writeln!(input, "{line}").unwrap();
    }
    drop(input);
    let said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "it ends in peace when its input ends");
    said
}

#[test]
fn both_demo_servers_speak_both_eras() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("x");
    let folder = folder.to_str().unwrap();
    for arguments in [["demo", "files", "--root", folder], ["demo", "notes", "--dir", folder]] {
        let said = talk(
            &arguments,
            &[
                r#"{"jsonrpc":"2.0","id":"d","method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
                r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
                r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
                r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#,
                r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#,
            ],
        );
        assert_eq!(said.len(), 4, "{said:#?}");
        assert!(
            said[0].contains(r#""supportedVersions":["2026-07-28"]"#) && said[0].contains(r#""id":"d""#),
            "{}",
            said[0]
        );
        assert_eq!(text_at(&json(&said[1]), &["result", "protocolVersion"]), "2025-06-18");
        assert!(said[2].contains("inputSchema"), "{}", said[2]);
        assert_eq!(json(&said[3]).get("result").unwrap().as_str(), "{}");
    }
}
