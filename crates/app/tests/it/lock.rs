//! Looking at servers and pinning them.

use crate::support::Home;

/// A demo server, not confined, so that every machine can run it.
fn notes(name: &str) -> String {
    let program = env!("CARGO_BIN_EXE_sekisho");
    format!(
        "[servers.{name}]\ncommand = ['{program}', 'demo', 'notes', '--dir', '{name}']\n\
         [servers.{name}.sandbox]\ndangerous_unconfined = true\n"
    )
}

fn home(servers: &str) -> Home {
    let home = Home::new();
    let config = home.config();
    home.write("sekisho.toml", &format!("{}{servers}", config.split("[servers.absent]").next().unwrap()));
    home
}

/// A report without the breaks of its lines.
fn unwrapped(report: &str) -> String {
    report.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_server_that_cannot_be_set_up_keeps_no_other_from_being_pinned() {
    let secretive = format!("{}[servers.secretive.env]\nTOKEN = 'env:SEKISHO_TEST_UNSET'\n", notes("secretive"));
    let greedy = "[servers.greedy]\ncommand = ['/bin/cat']\n[servers.greedy.sandbox]\nread = ['/']\n";
    let home = home(&format!("{}{secretive}{greedy}", notes("good")));
    let said = home.run(&["lock", "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    for words in ["SK0311", "`secretive` cannot be set up", "SEKISHO_TEST_UNSET=…", "`greedy` cannot be set up"] {
        assert!(unwrapped(&said.err).contains(words), "{words} in {}", said.err);
    }
    let lock = std::fs::read_to_string(home.path("sekisho.lock")).unwrap();
    assert!(lock.contains("\"good\"") && !lock.contains("\"secretive\"") && !lock.contains("\"greedy\""), "{lock}");

    let said = home.run_with(&["lock", "--yes", "secretive"], &[("SEKISHO_TEST_UNSET", "x")]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(std::fs::read_to_string(home.path("sekisho.lock")).unwrap().contains("\"secretive\""));
}
