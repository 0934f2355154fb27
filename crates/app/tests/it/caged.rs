//! `sekisho import` to its end: what clients start afterwards is in a cage, and works.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use sekisho_wire::Json;

use crate::support::{Home, Said, json, text_at};

/// A user with four clients. `server` is a program of theirs; three clients start it to write notes, one to look at documents.
struct User {
    home: Home,
    before: Vec<(&'static str, Vec<u8>)>,
}

const CURSOR: &str = ".cursor/mcp.json";
const CLAUDE: &str = ".config/Claude/claude_desktop_config.json";
const VSCODE: &str = ".config/Code/User/mcp.json";
const CODEX: &str = ".codex/config.toml";

impl User {
    fn new() -> User {
        let home = Home::empty();
        for folder in ["bin", "notes", "docs"] {
            std::fs::create_dir(home.path(folder)).unwrap();
        }
        std::fs::write(home.path("docs/a.txt"), "as it was").unwrap();
        // Under another name: what is called `sekisho` is left alone.
        std::fs::copy(env!("CARGO_BIN_EXE_sekisho"), home.path("bin/server")).unwrap();
        let notes = r#"{ "command": "HOME/bin/server", "args": ["demo", "notes", "--dir", "HOME/notes"],
            "env": { "NOTES_TOKEN": "hunter2" } }"#;
        let files = [
            (CURSOR, format!("{{\n  // mine\n  \"mcpServers\": {{ \"notes\": {notes} }}\n}}\n")),
            (CLAUDE, format!("{{\"mcpServers\": {{\"Notes\": {notes}}}, \"theme\": \"dark\"}}")),
            (VSCODE, format!("{{\n\t\"servers\": {{\n\t\t\"my notes\": {notes},\n\t}},\n\t\"inputs\": []\n}}\n")),
            (
                CODEX,
                "# of Codex\n[mcp_servers.docs]\ncommand = \"HOME/bin/server\"\nargs = [\"demo\", \"files\", \"--root\", \"HOME/docs\"]\n"
                    .to_owned(),
            ),
        ];
        let place = home.path("").to_str().unwrap().trim_end_matches('/').to_owned();
        let mut before = Vec::new();
        for (name, text) in files {
            let text = text.replace("HOME", &place);
            std::fs::create_dir_all(home.path(name).parent().unwrap()).unwrap();
            std::fs::write(home.path(name), &text).unwrap();
            before.push((name, text.into_bytes()));
        }
        User { home, before }
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let place = self.home.path("").to_str().unwrap().trim_end_matches('/').to_owned();
        let empty = ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"].map(|name| (name, String::new()));
        [("HOME", place)].into_iter().chain(empty).collect()
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let variables = self.variables();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.home.run_with(arguments, &variables)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path(name)).unwrap()
    }

    /// Starts what a client's entry says, as the client does.
    fn start(&self, program: &str, arguments: &[String]) -> Talk {
        let mut command = Command::new(program);
        command.args(arguments).envs(self.variables()).current_dir(self.home.path("docs"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut talk = Talk { child, input, output, last: 0 };
        let hello = talk.ask(
            "initialize",
            r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}"#,
        );
        assert_eq!(text_at(&hello, &["result", "protocolVersion"]), "2025-06-18", "{hello:?}");
        talk.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        talk
    }

    /// What the entry of a client says since the import.
    fn entry(&self, name: &str, keys: [&str; 2]) -> (String, Vec<String>) {
        if name == CODEX {
            let table: toml::Table = self.text(name).parse().unwrap();
            let entry = &table[keys[0]][keys[1]];
            let arguments = entry["args"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
            return (entry["command"].as_str().unwrap().to_owned(), arguments.collect());
        }
        let plain: Vec<String> =
            self.text(name).lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect();
        let tree = json(&plain.concat().replace(",\t}", "\t}"));
        let entry = tree.get(keys[0]).unwrap().get(keys[1]).unwrap();
        let arguments = entry.get("args").unwrap();
        (text_at(&entry, &["command"]), arguments.elements().map(|one| one.string().unwrap().into_owned()).collect())
    }
}

/// A server on its standard streams.
struct Talk {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last: u64,
}

impl Talk {
    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn ask(&mut self, method: &str, params: &str) -> Json {
        self.last += 1;
        self.say(&format!(r#"{{"jsonrpc":"2.0","id":{},"method":"{method}","params":{params}}}"#, self.last));
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended");
            let message = json(line.trim());
            if message.get("id").is_some() {
                return message;
            }
        }
    }

    /// The words of a tool's result, and whether they are of an error.
    fn call(&mut self, tool: &str, arguments: &str) -> (String, bool) {
        let answer = self.ask("tools/call", &format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#));
        let result = answer.get("result").unwrap_or_else(|| panic!("{answer:?}"));
        let failed = result.get("isError").is_some_and(|is| is.as_str() == "true");
        (result.as_str().to_owned(), failed)
    }

    fn end(mut self) {
        drop(self.input);
        assert!(self.child.wait().unwrap().success(), "it ends in peace with its client");
    }
}

fn is_in(folder: PathBuf, words: &str) -> bool {
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.any(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains(words)))
}

#[test]
fn imported_servers_work_in_their_cages_and_not_beyond_them() {
    let user = User::new();
    let shown = user.run(&["import", "--dry-run"]);
    for part in ["reads and changes ~/notes\n", "reads ~/bin/server, ~/docs\n", "has no network", "tier full"] {
        assert!(shown.out.contains(part), "{part} in\n{}", shown.out);
    }
    let said = user.run(&["import", "--yes"]);
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
    for place in [".config/sekisho/sekisho.toml", ".config/sekisho/secrets/notes/NOTES_TOKEN.sealed", CURSOR] {
        assert!(!user.text(place).contains("hunter2"), "{place}");
    }
    let config = user.home.path(".config/sekisho/sekisho.toml");
    let config = config.to_str().unwrap();
    for command in [&["config", "check", "--config", config][..], &["lock", "--check", "--config", config]] {
        let said = user.run(command);
        assert_eq!(said.code, 0, "{command:?}: {}\n{}", said.out, said.err);
    }

    // One server, which three clients start.
    for (at, (file, keys)) in
        [(CURSOR, ["mcpServers", "notes"]), (CLAUDE, ["mcpServers", "Notes"]), (VSCODE, ["servers", "my notes"])]
            .into_iter()
            .enumerate()
    {
        let (program, arguments) = user.entry(file, keys);
        assert_eq!(arguments.get(..3).unwrap(), ["run", "--server", "notes"], "{file}");
        let mut talk = user.start(&program, &arguments);
        let tools = talk.ask("tools/list", "{}");
        assert!(tools.get("result").unwrap().as_str().contains("add_note"), "{tools:?}");
        let words = format!("note {at} of {file}");
        let (said, failed) = talk.call("add_note", &format!(r#"{{"title":"one","text":"{words}"}}"#));
        assert!(!failed, "{said}");
        assert!(is_in(user.home.path("notes"), &words), "it is where it was before");
        talk.end();
    }

    // It may read its folder, and change nothing in it.
    let (program, arguments) = user.entry(CODEX, ["mcp_servers", "docs"]);
    let mut talk = user.start(&program, &arguments);
    let (said, failed) = talk.call("read_file", r#"{"path":"a.txt"}"#);
    assert!(!failed && said.contains("as it was"), "{said}");
    let (said, failed) = talk.call("write_file", r#"{"path":"a.txt","text":"changed"}"#);
    assert!(failed, "{said}");
    assert_eq!(user.text("docs/a.txt"), "as it was");
    talk.end();
    // The same program does both where nothing confines it.
    let bare = ["demo", "files", "--root", user.home.path("docs").to_str().unwrap()].map(str::to_owned);
    let mut talk = user.start(user.home.path("bin/server").to_str().unwrap(), &bare);
    assert!(!talk.call("write_file", r#"{"path":"a.txt","text":"changed"}"#).1);
    assert_eq!(user.text("docs/a.txt"), "changed");
    talk.end();

    let said = user.run(&["import", "undo"]);
    assert_eq!(said.code, 0, "{said:?}");
    for (name, before) in &user.before {
        assert_eq!(std::fs::read(user.home.path(name)).unwrap(), *before, "{name}");
    }
    assert!(Path::new(config).exists(), "servers stay, for who wants them back");
}
