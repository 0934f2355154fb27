//! `sekisho import`, as its users meet it.

use std::path::Path;

use crate::support::{Home, Said};

const SERVERS: &str = r#"{
  "mcpServers": {
    // of the community
    "notes": { "command": "npx", "args": ["-y", "notes-server"], "env": { "NOTES_TOKEN": "hunter2", "MODE": "fast" } }
  }
}
"#;
const FILE: &str = ".cursor/mcp.json";

/// A user with Cursor, and one server in it.
fn user() -> Home {
    let home = Home::empty();
    std::fs::create_dir_all(home.path(".cursor")).unwrap();
    home.write(FILE, SERVERS);
    home
}

fn import(home: &Home, arguments: &[&str]) -> Said {
    let path = home.path("");
    let folder = path.to_str().unwrap().trim_end_matches('/');
    let arguments: Vec<&str> = std::iter::once("import").chain(arguments.iter().copied()).collect();
    home.run_with(
        &arguments,
        &[("HOME", folder), ("XDG_CONFIG_HOME", ""), ("XDG_STATE_HOME", ""), ("XDG_DATA_HOME", "")],
    )
}

fn text(home: &Home, name: &str) -> String {
    std::fs::read_to_string(home.path(name)).unwrap()
}

#[test]
fn without_a_terminal_it_shows_what_it_would_do_and_writes_nothing() {
    let home = user();
    for (arguments, code) in [(&[][..], 1), (&["--dry-run"], 0)] {
        let said = import(&home, arguments);
        assert_eq!(said.code, code, "{said:?}");
        for part in [
            "Cursor: ~/.cursor/mcp.json",
            "becomes server `notes`",
            "-y\", \"notes-server\"",
            "secret NOTES_TOKEN moves to",
        ] {
            assert!(said.out.contains(part), "{part} in\n{}", said.out);
        }
        assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
        assert_eq!(said.err.contains("SK0320"), code == 1);
        assert_eq!(text(&home, FILE), SERVERS);
        assert!(!home.path(".config").exists() && !home.path(".local").exists());
    }
}

#[test]
fn imported_server_is_run_by_this_program_and_one_command_takes_it_back() {
    let home = user();
    let said = import(&home, &["--yes", "--no-lock"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out.contains("sekisho lock --config ~/.config/sekisho/sekisho.toml") && !said.out.contains("hunter2"),
        "{said:?}"
    );
    let after = text(&home, FILE);
    assert!(
        after.contains(r#""args": ["run", "--server", "notes", "--", "npx", "-y", "notes-server"], "env": {} }"#),
        "{after}"
    );
    assert!(after.contains("// of the community") && !after.contains("hunter2"));
    let config = text(&home, ".config/sekisho/sekisho.toml");
    assert!(
        config.contains("[servers.notes]") && config.contains("[servers.notes.sandbox]") && !config.contains("hunter2"),
        "{config}"
    );
    let sealed = text(&home, ".config/sekisho/secrets/notes/NOTES_TOKEN.sealed");
    assert!(sealed.starts_with("sekisho-sealed 1\nfor servers.notes NOTES_TOKEN\n") && !sealed.contains("hunter2"));
    assert!(said.out.contains("with the key ~/.local/share/sekisho/key"), "{said:?}");
    let said = import(&home, &["status"]);
    assert!(said.code == 0 && said.out.contains("notes   protected"), "{said:?}");
    let again = import(&home, &["--yes"]);
    assert!(again.code == 0 && again.out.contains("nothing to import"), "{again:?}");
    let said = import(&home, &["undo"]);
    assert!(said.code == 0 && said.out.contains("byte for byte"), "{said:?}");
    assert_eq!(text(&home, FILE), SERVERS);
    let said = import(&home, &["undo"]);
    assert!(said.code == 0 && said.out.contains("no import to take back"), "{said:?}");
}

#[test]
fn one_broken_file_is_told_and_does_not_stop_the_others() {
    let home = user();
    std::fs::create_dir_all(home.path(".kiro/settings")).unwrap();
    home.write(".kiro/settings/mcp.json", "{ \"mcpServers\": ");
    let said = import(&home, &["--yes", "--no-lock"]);
    assert!(said.code == 1 && said.err.contains("SK0321") && said.err.contains("Kiro"), "{said:?}");
    assert!(text(&home, FILE).contains("\"run\", \"--server\""));
    assert_eq!(text(&home, ".kiro/settings/mcp.json"), "{ \"mcpServers\": ");
}

#[test]
fn entry_that_was_changed_since_is_refused_by_name() {
    let home = user();
    import(&home, &["--yes", "--no-lock"]);
    let edited = text(&home, FILE).replace("notes-server", "other-server");
    home.write(FILE, &edited);
    let said = import(&home, &["undo", "--client", "cursor"]);
    assert!(said.code == 1 && said.err.contains("SK0321") && said.err.contains("`notes`"), "{said:?}");
    assert_eq!(text(&home, FILE), edited);
}

#[test]
fn files_of_a_project_are_imported_only_where_the_project_is_named() {
    let home = Home::empty();
    // What a repository that was only just cloned may bring; the home is the folder that is stood in.
    let text = r#"{ "mcpServers": { "theirs": { "command": "their-server", "args": ["hostile"] } } }"#;
    home.write(".mcp.json", text);
    for arguments in [&["--yes", "--no-lock"][..], &["--dry-run"], &["status"]] {
        let said = import(&home, arguments);
        assert!(said.code == 0 && !format!("{said:?}").contains("their"), "{arguments:?}: {said:?}");
        assert_eq!(self::text(&home, ".mcp.json"), text);
    }
    assert!(!home.path(".config").exists());
    for arguments in [&["--project", ".", "--yes", "--no-lock"][..], &["status", "--project", "."]] {
        let said = import(&home, arguments);
        assert!(said.code == 0 && said.out.contains("theirs"), "{arguments:?}: {said:?}");
    }
    assert!(self::text(&home, ".config/sekisho/sekisho.toml").contains("[servers.theirs]"));
}

#[test]
fn wrong_names_are_refused() {
    let home = user();
    assert_eq!(import(&home, &["--client", "nobody"]).code, 2);
    let said = import(&home, &["--project", "nowhere"]);
    assert!(said.code == 1 && said.err.contains("SK0320"), "{said:?}");
    let said = import(&home, &["--server", "other", "--yes"]);
    assert!(said.code == 0 && said.out.contains("nothing to import"), "{said:?}");
    assert!(Path::new(&home.path(FILE)).exists());
}
