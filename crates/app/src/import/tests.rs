use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sekisho_sandbox::{Access, Tier};

use super::apply::{Applied, Done, Manner, apply};
use super::backup::{Backups, Origin, Step};
use super::clients::{Format, candidates};
use super::plan::{Fate, Plan, RemoteEntries, Surroundings, Wanted, plan};
use super::sight::Sight;
use super::source::parse;
use super::status::rows;
use super::undo::{Report, Undone, undo};
use crate::home::{Home, Machine, System};
use crate::problem::{Code, Problem};

/// A user's home.
struct User {
    dir: tempfile::TempDir,
    around: Surroundings,
}

impl User {
    fn new() -> User {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap().join("me");
        fs::create_dir_all(home.join("projects")).unwrap();
        fs::write(home.join("projects/server.js"), "").unwrap();
        fs::write(home.join("projects/notes.db"), "").unwrap();
        fs::write(home.join("projects/package.json"), "{}").unwrap();
        let machine = Machine::new(System::Linux, home, &|_| None);
        let home = Home::locate(&machine);
        User { dir, around: Surroundings { machine, home, program: "/opt/sekisho/sekisho".to_owned() } }
    }

    fn home(&self) -> &Path {
        self.around.machine.home()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    /// Writes a file of a client, with the home in it.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text.replace("HOME_FOLDER", self.home().to_str().unwrap())).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap().replace(self.home().to_str().unwrap(), "HOME_FOLDER")
    }

    fn plan(&self, remote: RemoteEntries) -> Plan {
        let wanted = Wanted { clients: Vec::new(), servers: Vec::new(), remote, project: None, tier: Tier::Full };
        plan(&wanted, &self.around).unwrap()
    }

    fn import(&self) -> (Plan, Applied) {
        self.import_with(RemoteEntries::Left)
    }

    fn import_with(&self, remote: RemoteEntries) -> (Plan, Applied) {
        let plan = self.plan(remote);
        let applied = apply(&plan, &self.around, &manner(&|_| Ok(()))).unwrap();
        (plan, applied)
    }

    fn undo(&self) -> Report {
        undo(&self.around, &[]).unwrap()
    }

    fn config(&self) -> String {
        fs::read_to_string(self.around.home.path()).unwrap().replace(self.home().to_str().unwrap(), "HOME_FOLDER")
    }

    fn state(&self, server: &str) -> String {
        let rows = rows(&self.around, None).unwrap();
        rows.into_iter().find(|row| row.server == server).map(|row| row.state).unwrap_or_default()
    }
}

fn manner(go_on: &dyn Fn(Done) -> Result<(), Problem>) -> Manner<'_> {
    Manner { time: "2026-11-30T12:00:00Z", go_on }
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clients")
}

/// Each client, its file, and how it is called in the folder of test data.
fn files() -> Vec<(&'static str, String, &'static str)> {
    let user = User::new();
    let mut seen = Vec::new();
    let all = candidates(&user.around.machine, None);
    let first = all.into_iter().filter(|one| {
        let is_new = !seen.contains(&one.client.id);
        seen.push(one.client.id);
        is_new
    });
    let file = |one: super::clients::Candidate| {
        let end = match one.format {
            Format::Json => "json",
            Format::Toml => "toml",
            Format::Yaml => "yaml",
        };
        let name = one.path.strip_prefix(user.home()).unwrap().to_str().unwrap().to_owned();
        (one.client.id, name, end)
    };
    first.map(file).collect()
}

const SIMPLE: &str = r#"{
  "mcpServers": {
    "one": { "command": "npx", "args": ["-y", "one"], "env": { "ONE_TOKEN": "hunter2", "MODE": "x" } },
    "two": { "command": "two-server" }
  },
  "theme": "dark"
}
"#;
const CURSOR: &str = ".cursor/mcp.json";

#[test]
fn every_client_is_imported_as_expected_and_restored_byte_for_byte() {
    let mut bad = Vec::new();
    for (client, name, end) in files() {
        let user = User::new();
        let before = fs::read_to_string(data().join(client).join(format!("before.{end}"))).unwrap();
        let path = user.write(&name, &before);
        let written = fs::read(&path).unwrap();
        let (plan, applied) = user.import();
        assert!(plan.problems.is_empty() && applied.problems.is_empty(), "{client}: {:?}", plan.problems);
        assert_eq!(applied.files, std::slice::from_ref(&path), "{client}");
        let after = data().join(client).join(format!("after.{end}"));
        if fs::read_to_string(&after).ok() != Some(user.read(&name)) {
            bad.push(format!("{client}:\n{}", user.read(&name)));
            if std::env::var_os("SEKISHO_GOLDEN").is_some() {
                fs::write(&after, user.read(&name)).unwrap();
            }
        }
        let again = user.plan(RemoteEntries::Left);
        assert!(again.servers.is_empty() && again.files.iter().all(|file| file.after.is_none()), "{client}: again");
        assert_eq!(user.undo().files, [(path.clone(), Undone::Restored)], "{client}");
        assert_eq!(fs::read(&path).unwrap(), written, "{client}");
        assert!(user.undo().files.is_empty(), "{client}");
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn all_clients_at_once_share_servers_that_are_the_same() {
    let user = User::new();
    for (client, name, end) in files() {
        user.write(&name, &fs::read_to_string(data().join(client).join(format!("before.{end}"))).unwrap());
    }
    let (plan, applied) = user.import();
    assert!(applied.problems.is_empty() && applied.files.len() == 18, "{applied:?}");
    let config = user.config();
    let golden = data().join("sekisho.toml");
    if std::env::var_os("SEKISHO_GOLDEN").is_some() {
        fs::write(&golden, &config).unwrap();
    }
    assert_eq!(config, fs::read_to_string(golden).unwrap());
    let github = plan.servers.iter().find(|server| server.new.name.as_str() == "github").unwrap();
    assert_eq!(
        github.origins,
        ["Claude Desktop (`GitHub`)", "Amazon Q (`github`)"],
        "the same program, variables and values"
    );
    assert!(config.contains("[servers.github-2]"), "another one: its token comes from the client");
    for secret in ["ghp_", "0a1b2c3d4e5f", "lin_api_", "BSA0", "correct horse", "secret words"] {
        assert!(!config.contains(secret), "{secret}");
    }
    let loaded = user.around.home.load().unwrap();
    assert_eq!(loaded.config.servers.len(), plan.servers.len());
    let report = user.undo();
    assert_eq!(report.files.iter().filter(|(_, what)| *what == Undone::Restored).count(), 18);
    assert_eq!(user.config(), config, "servers stay");
}

#[test]
fn remote_entries_are_left_unless_asked_for_and_their_credentials_move() {
    let user = User::new();
    let text = r#"{
  "mcpServers": {
    "far": {
      "type": "http",
      "url": "https://mcp.example.com/mcp",
      "headers": { "Authorization": "Bearer hunter2" },
      "autoApprove": ["x"] // kept
    },
    "sse": { "type": "sse", "url": "https://mcp.example.com/sse" },
    "input": { "url": "https://mcp.example.com/mcp", "headers": { "Authorization": "Bearer ${env:X}" } },
    "query": { "url": "https://mcp.example.com/mcp?api_key=hunter2" }
  }
}
"#;
    user.write(CURSOR, text);
    assert!(user.plan(RemoteEntries::Left).servers.is_empty());
    let (plan, _) = user.import_with(RemoteEntries::Imported);
    assert_eq!(plan.servers.len(), 1);
    let fates: Vec<_> = plan.files[0].entries.iter().map(|entry| format!("{:?}", entry.fate)).collect();
    assert!(
        fates[1].contains("HTTP+SSE") && fates[2].contains("placeholder") && fates[3].contains("secret in its query"),
        "{fates:?}"
    );
    let after = user.read(CURSOR);
    assert!(
        after.contains(
            r#""args": ["stdio", "--config", "HOME_FOLDER/.config/sekisho/sekisho.toml", "--server", "far"]"#
        ),
        "{after}"
    );
    assert!(
        after.contains(r#""type": "stdio""#)
            && after.contains(r#""autoApprove": ["x"]"#)
            && !after.contains("Bearer hunter2")
    );
    let config = user.config();
    assert!(
        config.contains("url = \"https://mcp.example.com/mcp\"")
            && config.contains("Authorization = \"sealed:secrets/far/Authorization.sealed\""),
        "{config}"
    );
    user.around.home.load().unwrap();
    user.undo();
    assert_eq!(user.read(CURSOR), text);
}

#[test]
fn remote_entries_of_every_format_are_pointed_at_this_program_and_back() {
    for (name, text, expected) in [
        (
            ".codex/config.toml",
            "# c\n[mcp_servers.far] # f\nurl = \"https://a.example/mcp\"\nenabled = true\nhttp_headers = { X-Key = \"hunter2\" }\n\n[tui]\nx = 1\n",
            r#"{"args":["stdio","--config","CONFIG","--server","far"],"command":"/opt/sekisho/sekisho","enabled":true}"#,
        ),
        (
            ".config/goose/config.yaml",
            "extensions:\n  far:\n    enabled: true # on\n    type: streamable_http\n    uri: https://a.example/mcp\n    headers:\n      X-Key: hunter2\n    name: far\nz: 1 # end\n",
            r#"{"args":["stdio","--config","CONFIG","--server","far"],"cmd":"/opt/sekisho/sekisho","enabled":true,"name":"far","type":"stdio"}"#,
        ),
        (
            ".continue/config.yaml",
            "mcpServers:\n  # far\n  - name: far\n    type: streamable-http\n    url: https://a.example/mcp\n  - name: near\n    command: near\nz: 1\n",
            r#"{"args":["stdio","--config","CONFIG","--server","far"],"command":"/opt/sekisho/sekisho","name":"far","type":"stdio"}"#,
        ),
        (
            ".config/opencode/opencode.json",
            "{\"mcp\": {\"far\": {\"type\": \"remote\", \"url\": \"https://a.example/mcp\", \"enabled\": true}}}",
            r#"{"command":["/opt/sekisho/sekisho","stdio","--config","CONFIG","--server","far"],"enabled":true,"type":"local"}"#,
        ),
        (
            ".codeium/windsurf/mcp_config.json",
            "{\n  \"mcpServers\": {\n    \"far\": {\n      \"serverUrl\": \"https://a.example/mcp\"\n    }\n  }\n}\n",
            r#"{"args":["stdio","--config","CONFIG","--server","far"],"command":"/opt/sekisho/sekisho"}"#,
        ),
    ] {
        let user = User::new();
        user.write(name, text);
        let (plan, applied) = user.import_with(RemoteEntries::Imported);
        assert!(plan.problems.is_empty() && applied.problems.is_empty(), "{name}: {:?}", plan.problems);
        let file = &plan.files[0];
        let tree = parse(file.candidate.format, &fs::read_to_string(user.path(name)).unwrap()).unwrap();
        let place = &file.entries[0].place;
        let entry = tree.find(place.iter().map(String::as_str)).unwrap().entry("far").unwrap().canonical();
        assert_eq!(entry.replace(user.around.home.path().to_str().unwrap(), "CONFIG"), expected, "{name}");
        assert!(!user.read(name).contains("hunter2") && !user.config().contains("hunter2"));
        user.around.home.load().unwrap();
        user.undo();
        assert_eq!(user.read(name), text);
    }
}

#[test]
fn secrets_move_into_sealed_files_and_settings_into_the_configuration() {
    let user = User::new();
    user.write(CURSOR, SIMPLE);
    let (_, applied) = user.import();
    let reference = "sealed:secrets/one/ONE_TOKEN.sealed".to_owned();
    assert_eq!(applied.secrets, [("one".to_owned(), "ONE_TOKEN".to_owned(), reference.clone())]);
    let secret = user.around.home.folder().join("secrets/one/ONE_TOKEN.sealed");
    assert!(!fs::read_to_string(&secret).unwrap().contains("hunter2"));
    let is_kept =
        |value: &str| super::secrets::is_kept(&user.around.home, &reference, "one", "ONE_TOKEN", &value.into());
    assert!(is_kept("hunter2") && !is_kept("hunter3"));
    assert_eq!(secret.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(
        user.config().contains(r#"env = { MODE = "x", ONE_TOKEN = "sealed:secrets/one/ONE_TOKEN.sealed" }"#),
        "{}",
        user.config()
    );
    assert!(!user.read(CURSOR).contains("hunter2"));
    for kept in fs::read_dir(user.around.home.state().join("imports")).unwrap() {
        assert_eq!(kept.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
    }
}

#[test]
fn a_configuration_that_is_there_keeps_its_comments_and_names_are_not_taken_twice() {
    let user = User::new();
    user.around.home.ensure().unwrap();
    let mut config = fs::read_to_string(user.around.home.path()).unwrap();
    config.push_str("\n# mine\n[servers.one]\ncommand = [\"other\"] # really\n");
    fs::write(user.around.home.path(), &config).unwrap();
    user.write(CURSOR, SIMPLE);
    user.import();
    let after = fs::read_to_string(user.around.home.path()).unwrap();
    assert!(
        after.starts_with(&config) && after.contains("[servers.one-2]") && after.contains("[servers.two]"),
        "{after}"
    );
    assert!(user.read(CURSOR).contains(r#""--server", "one-2""#));
}

#[test]
fn a_configuration_that_cannot_be_added_to_changes_nothing() {
    let user = User::new();
    user.around.home.ensure().unwrap();
    user.write(CURSOR, SIMPLE);
    for broken in ["servers = { one = { command = [\"x\"] } }\n", "[servers.\n", "nonsense = 1\n"] {
        let start = fs::read_to_string(user.around.home.path()).unwrap();
        let text = format!("{broken}{start}");
        fs::write(user.around.home.path(), &text).unwrap();
        let wanted = Wanted {
            clients: Vec::new(),
            servers: Vec::new(),
            remote: RemoteEntries::Left,
            project: None,
            tier: Tier::Full,
        };
        let done = plan(&wanted, &user.around).and_then(|plan| apply(&plan, &user.around, &manner(&|_| Ok(()))));
        done.unwrap_err();
        assert_eq!(user.read(CURSOR), SIMPLE, "{broken}");
        assert_eq!(fs::read_to_string(user.around.home.path()).unwrap(), text, "{broken}");
        fs::write(user.around.home.path(), start).unwrap();
    }
}

#[test]
fn files_that_cannot_be_used_are_named_and_the_others_go_on() {
    let user = User::new();
    let big = format!("{{\"mcpServers\": {{}}, \"x\": \"{}\"}}", "x".repeat(4 * 1024 * 1024));
    for (name, bytes, words) in [
        (".kiro/settings/mcp.json", b"{\"a\": 1, \"a\": 2}".to_vec(), "stands twice"),
        (".lmstudio/mcp.json", b"{\"mcpServers\": ".to_vec(), "no JSON"),
        (".gemini/settings.json", big.into_bytes(), "larger than 4 MiB"),
        (".copilot/mcp-config.json", b"{\"a\": \"\xff\"}".to_vec(), "not UTF-8"),
        (".aws/amazonq/mcp.json", b"\xef\xbb\xbf{}".to_vec(), "byte order mark"),
        (".codex/config.toml", b"a = 1\na = 2\n".to_vec(), "no TOML"),
        (".continue/config.yaml", b"a: [\n".to_vec(), "no YAML"),
        (".config/goose/config.yaml", b"a: 1\na: 2\n".to_vec(), "stands twice"),
    ] {
        let path = user.write(name, "");
        fs::write(&path, &bytes).unwrap();
        let lines: Vec<String> = user.plan(RemoteEntries::Left).problems.iter().map(Problem::line).collect();
        assert!(lines.iter().any(|line| line.contains(name) && line.contains(words)), "{name}: {lines:?}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    user.write(CURSOR, SIMPLE);
    let (plan, applied) = user.import();
    assert_eq!((plan.problems.len(), applied.files.len()), (8, 1));
    assert!(plan.problems.iter().all(|problem| problem.code_of() == Code::ClientFile));
}

#[test]
fn links_within_the_home_are_followed_and_those_out_of_it_are_not() {
    let user = User::new();
    let inside = user.write("dotfiles/mcp.json", SIMPLE);
    fs::create_dir_all(user.path(".cursor")).unwrap();
    symlink(&inside, user.path(CURSOR)).unwrap();
    let outside = user.dir.path().join("outside.json");
    fs::write(&outside, SIMPLE).unwrap();
    fs::create_dir_all(user.path(".kiro/settings")).unwrap();
    symlink(&outside, user.path(".kiro/settings/mcp.json")).unwrap();
    fs::create_dir_all(user.path(".lmstudio")).unwrap();
    symlink(user.path("nowhere"), user.path(".lmstudio/mcp.json")).unwrap();
    fs::create_dir_all(user.path(".gemini")).unwrap();
    fs::write(user.path("one"), SIMPLE).unwrap();
    fs::hard_link(user.path("one"), user.path(".gemini/settings.json")).unwrap();
    let (plan, applied) = user.import();
    let lines: Vec<String> = plan.problems.iter().map(Problem::line).collect();
    for words in ["outside of", "leads nowhere", "second name"] {
        assert!(lines.iter().any(|line| line.contains(words)), "{words}: {lines:?}");
    }
    assert_eq!(applied.files, [user.path(CURSOR)]);
    assert!(user.path(CURSOR).is_symlink() && user.read("dotfiles/mcp.json").contains("/opt/sekisho/sekisho"));
    assert_eq!(fs::read_to_string(&outside).unwrap(), SIMPLE);
    assert_eq!(fs::read_to_string(user.path("one")).unwrap(), SIMPLE);
    user.undo();
    assert!(user.path(CURSOR).is_symlink());
    assert_eq!(user.read("dotfiles/mcp.json"), SIMPLE);
}

#[test]
fn owner_of_a_file_is_kept() {
    // Who is not root owns what is imported.
    let nobody = if nix::unistd::Uid::effective().is_root() { 65_534 } else { nix::unistd::Uid::effective().as_raw() };
    let user = User::new();
    let path = user.write(CURSOR, SIMPLE);
    std::os::unix::fs::chown(&path, Some(nobody), None).unwrap();
    user.import();
    assert_eq!(path.metadata().unwrap().uid(), nobody);
    user.undo();
    assert_eq!((path.metadata().unwrap().uid(), user.read(CURSOR).as_str()), (nobody, SIMPLE));
}

#[test]
fn so_many_imports_of_one_file_are_kept_and_not_one_more() {
    let user = User::new();
    let path = user.path(CURSOR);
    let backups = Backups::of(&user.around.home);
    let _alone = backups.alone().unwrap();
    let keep = |number: usize| {
        let origin =
            Origin { client: "cursor", path: &path, root: user.home(), format: Format::Json, mode: 0o600, time: "t" };
        let (before, after) = (format!("[{number}]"), format!("[{}]", number + 1));
        backups.keep(&Step::new(origin, &before, &after, Vec::new()), &before)
    };
    for number in 0..64 {
        keep(number).unwrap();
    }
    assert!(keep(64).unwrap_err().line().contains("undo"));
    assert_eq!(backups.all().unwrap().len(), 64);
}

#[test]
fn mode_of_a_file_is_kept() {
    for mode in [0o600, 0o644, 0o664, 0o400] {
        let user = User::new();
        let path = user.write(CURSOR, SIMPLE);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        user.import();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode);
        user.undo();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode);
        assert_eq!(user.read(CURSOR), SIMPLE);
    }
}

#[test]
fn cut_off_behind_any_step_nothing_is_lost_and_the_next_import_goes_on() {
    let whole = User::new();
    whole.write(CURSOR, SIMPLE);
    whole.write(".kiro/settings/mcp.json", SIMPLE);
    let steps = Cell::new(0);
    apply(
        &whole.plan(RemoteEntries::Left),
        &whole.around,
        &manner(&|_| {
            steps.set(steps.get() + 1);
            Ok(())
        }),
    )
    .unwrap();
    assert_eq!(steps.get(), 7, "two copies, the configuration, a secret, the servers, two files");
    for cut in 0..steps.get() {
        let user = User::new();
        user.write(CURSOR, SIMPLE);
        user.write(".kiro/settings/mcp.json", SIMPLE);
        let left = Cell::new(cut);
        let stop = |_| {
            if left.get() == 0 {
                return Err(Problem::new(Code::System, "cut off"));
            }
            left.set(left.get() - 1);
            Ok(())
        };
        apply(&user.plan(RemoteEntries::Left), &user.around, &manner(&stop)).unwrap_err();
        let files = [CURSOR, ".kiro/settings/mcp.json"];
        for file in files {
            let is_whole = user.read(file) == SIMPLE || user.read(file) == whole.read(file);
            assert!(is_whole, "{cut}: {file} is neither as before nor as after");
        }
        if cut % 2 == 0 {
            assert!(user.undo().problems.is_empty(), "{cut}");
            assert!(files.iter().all(|file| user.read(file) == SIMPLE), "{cut}");
        }
        let (_, applied) = user.import();
        assert!(applied.problems.is_empty(), "{cut}");
        assert!(files.iter().all(|file| user.read(file) == whole.read(file)), "{cut}");
        assert_eq!(user.config(), whole.config(), "{cut}");
        assert!(user.undo().problems.is_empty(), "{cut}");
        assert!(files.iter().all(|file| user.read(file) == SIMPLE), "{cut}");
    }
}

#[test]
fn a_file_that_was_changed_between_plan_and_import_is_left_alone() {
    let user = User::new();
    user.write(CURSOR, SIMPLE);
    let plan = user.plan(RemoteEntries::Left);
    let changed = SIMPLE.replace("dark", "light");
    user.write(CURSOR, &changed);
    let applied = apply(&plan, &user.around, &manner(&|_| Ok(()))).unwrap();
    assert!(applied.files.is_empty() && applied.problems[0].line().contains("changed meanwhile"));
    assert_eq!(user.read(CURSOR), changed);
    user.import();
    user.undo();
    assert_eq!(user.read(CURSOR), changed);
}

#[test]
fn undo_of_a_file_that_was_changed_since_turns_back_our_entries_alone() {
    let user = User::new();
    let path = user.write(CURSOR, SIMPLE);
    user.import();
    let after = user.read(CURSOR);
    user.write(CURSOR, &after.replace("\"dark\"", "\"light\"").replace("\"theme\"", "\"more\": 1, \"theme\""));
    assert_eq!(user.undo().files, [(path.clone(), Undone::Merged(vec!["one".to_owned(), "two".to_owned()]))]);
    assert_eq!(
        user.read(CURSOR),
        SIMPLE.replace("\"dark\"", "\"light\"").replace("\"theme\"", "\"more\": 1, \"theme\"")
    );
    assert!(user.undo().files.is_empty());

    // One entry was changed itself, one taken out.
    user.write(CURSOR, SIMPLE);
    user.import();
    let after = user.read(CURSOR);
    let edited = after.replace("\"-y\", \"one\"", "\"-y\", \"uno\"");
    assert_ne!(after, edited);
    user.write(CURSOR, &edited);
    assert_eq!(user.state("one"), "protected, changed since");
    assert_eq!(user.state("two"), "protected");
    let report = user.undo();
    assert_eq!(report.files, [(path.clone(), Undone::Merged(vec!["two".to_owned()]))]);
    assert!(report.problems[0].line().contains("entry `one`"), "{:?}", report.problems);
    let told = format!("{:?}", report.problems[0]);
    assert!(told.contains("it started `npx -y one` before") && !told.contains("hunter2"), "{told}");
    assert!(user.read(CURSOR).contains("\"uno\"") && user.read(CURSOR).contains("\"command\": \"two-server\""));
    // Once it says again what was written, it can be taken back.
    user.write(CURSOR, &user.read(CURSOR).replace("uno", "one"));
    assert_eq!(user.undo().files, [(path, Undone::Merged(vec!["one".to_owned()]))]);
    assert_eq!(user.read(CURSOR), SIMPLE);
}

#[test]
fn undo_keeps_what_the_client_put_into_our_entries() {
    for (name, text, from, to) in [
        (
            CURSOR,
            SIMPLE,
            "\"command\": \"/opt",
            "\"autoApprove\": [\"x\"], // by the client\n      \"disabled\": true, \"command\": \"/opt",
        ),
        (
            ".codex/config.toml",
            "# c\n[mcp_servers.one] # f\ncommand = \"x\" # run\nargs = [\"a\"]\n[mcp_servers.one.env]\nA_KEY = \"hunter2\"\n\n[tui]\nx = 1\n",
            "command = ",
            "startup_timeout_sec = 90 # by the client\ncommand = ",
        ),
        (
            ".config/goose/config.yaml",
            "extensions:\n  one: # f\n    cmd: x\n    args:\n      - a\n    envs:\n      A_KEY: hunter2\n      B: c\nz: 1 # end\n",
            "    cmd: ",
            "    timeout: 90 # by the client\n    cmd: ",
        ),
        (
            ".continue/config.yaml",
            "mcpServers:\n  - name: one\n    command: x\n    env:\n      A_KEY: hunter2\nz: 1\n",
            "    command: ",
            "    connectionTimeout: 90\n    command: ",
        ),
    ] {
        let user = User::new();
        user.write(name, text);
        user.import();
        let after = user.read(name);
        let touched = after.replace(from, to);
        assert_ne!(after, touched, "{name}");
        user.write(name, &touched);
        assert_eq!(user.state("one"), "protected");
        let report = user.undo();
        assert!(report.problems.is_empty(), "{name}: {:?}", report.problems);
        let program = from.replace("\"/opt", "\"npx");
        let expected = text.replace(&program, &to.replace("\"/opt", "\"npx"));
        let expected = if name == CURSOR {
            let two = to.replace("\"/opt", "\"two-server");
            expected.replace("\"command\": \"two-server", &two)
        } else {
            expected
        };
        assert_eq!(user.read(name), expected, "{name}");
        assert!(user.undo().files.is_empty());
    }
}

#[test]
fn undo_of_an_address_and_of_what_the_client_left_out_keeps_the_rest() {
    let user = User::new();
    let text = "{\"mcpServers\": {\n  \"far\": { \"url\": \"https://a.example/mcp\", \"headers\": { \"X-Key\": \"hunter2\" } },\n  \"near\": { \"command\": \"near\", \"env\": { \"A_KEY\": \"hunter2\" } }\n}}";
    user.write(CURSOR, text);
    user.import_with(RemoteEntries::Imported);
    let after = user.read(CURSOR);
    let touched = after.replace(", \"env\": {}", "").replace("\"command\"", "\"autoApprove\": [], \"command\"");
    let touched = touched.replace("\"far\": {", "\"far\": { \"type\": \"stdio\",");
    assert!(!touched.contains("\"env\"") && touched.matches("autoApprove").count() == 2, "{touched}");
    user.write(CURSOR, &touched);
    assert!(user.undo().problems.is_empty());
    let says = |text: &str| parse(Format::Json, text).unwrap().canonical();
    let expected = text.replace("\"url\"", "\"autoApprove\": [], \"url\"");
    let expected = expected.replace("\"command\"", "\"autoApprove\": [], \"command\"");
    assert_eq!(says(&user.read(CURSOR)), says(&expected), "{}", user.read(CURSOR));
}

#[test]
fn undo_after_a_client_wrote_its_file_anew_in_its_own_layout() {
    let user = User::new();
    user.write(CURSOR, SIMPLE);
    user.import();
    let tree = parse(Format::Json, &fs::read_to_string(user.path(CURSOR)).unwrap()).unwrap();
    fs::write(user.path(CURSOR), tree.canonical()).unwrap();
    assert!(user.undo().problems.is_empty());
    let says = |text: &str| parse(Format::Json, text).unwrap().canonical();
    assert_eq!(says(&user.read(CURSOR)), says(SIMPLE));
}

#[test]
fn undo_of_a_file_that_is_gone_or_broken_keeps_the_copy() {
    let user = User::new();
    let path = user.write(CURSOR, SIMPLE);
    user.import();
    let after = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(user.undo().problems[0].line().contains("it is gone"));
    fs::write(&path, "{ broken").unwrap();
    assert!(user.undo().problems[0].line().contains("no JSON"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "{ broken");
    fs::write(&path, after).unwrap();
    assert!(user.undo().problems.is_empty());
    assert_eq!(user.read(CURSOR), SIMPLE);
}

#[test]
fn two_imports_of_one_file_are_taken_back_to_the_first() {
    let user = User::new();
    let path = user.write(CURSOR, SIMPLE);
    user.import();
    let more = user.read(CURSOR).replace("\"two\": {", "\"new\": { \"command\": \"new-server\" },\n    \"two\": {");
    user.write(CURSOR, &more);
    let (plan, _) = user.import();
    assert_eq!(plan.servers.len(), 1);
    assert_eq!(user.undo().files, [(path, Undone::Merged(vec!["one".to_owned(), "two".to_owned()]))]);
    let expected = SIMPLE.replace("\"two\": {", "\"new\": { \"command\": \"new-server\" },\n    \"two\": {");
    assert_eq!(user.read(CURSOR), expected);
}

#[test]
fn files_of_a_project_are_imported_with_the_project_as_their_folder() {
    let user = User::new();
    let folder = user.home().join("projects");
    let text = r#"{ "mcpServers": { "own": { "command": "node", "args": ["./server.js"] }, "other": { "command": "uvx", "args": ["x"] } } }"#;
    user.write("projects/.mcp.json", text);
    let wanted = Wanted {
        clients: Vec::new(),
        servers: Vec::new(),
        remote: RemoteEntries::Left,
        project: Some(folder.clone()),
        tier: Tier::Full,
    };
    let plan = plan(&wanted, &user.around).unwrap();
    let own = &plan.servers[0].new;
    assert_eq!((own.server.cwd.as_ref(), own.cage.read.as_slice()), (Some(&folder), &["~/projects".to_owned()][..]));
    assert_eq!(plan.servers[1].new.server.cwd.as_ref(), Some(&folder), "its client starts it there");
    apply(&plan, &user.around, &manner(&|_| Ok(()))).unwrap();
    assert!(user.read("projects/.mcp.json").contains("/opt/sekisho/sekisho"));
    user.undo();
    assert_eq!(user.read("projects/.mcp.json"), text);
}

#[test]
fn servers_of_a_project_in_the_users_file_run_in_that_project() {
    let user = User::new();
    let entry = |args: &str| {
        format!(r#"{{ "mcpServers": {{ "files": {{ "command": "mcp-server-filesystem", "args": [{args}] }} }} }}"#)
    };
    user.write(
        ".claude.json",
        &format!(
            r#"{{ "projects": {{ "HOME_FOLDER/projects": {}, "HOME_FOLDER/gone": {} }}, "mcpServers": {{}} }}"#,
            entry(r#"".""#),
            entry(r#""..""#)
        ),
    );
    let plan = user.plan(RemoteEntries::Left);
    let (here, gone) = (&plan.servers[0].new, &plan.servers[1].new);
    assert_eq!(
        (here.server.cwd.as_ref(), here.cage.write.as_slice()),
        (Some(&user.path("projects")), &["~/projects".to_owned()][..])
    );
    assert_eq!((gone.server.cwd.as_ref(), gone.cage.write.len()), (None, 0));
    // Above the project there is the home.
    user.write(".claude.json", &format!(r#"{{ "projects": {{ "HOME_FOLDER/projects": {} }} }}"#, entry(r#""..""#)));
    let fate = format!("{:?}", user.plan(RemoteEntries::Left).files[0].entries[0].fate);
    assert!(fate.contains("name the folders"), "{fate}");
}

#[test]
fn configuration_folder_outside_of_the_home_is_looked_at_and_links_out_of_both_are_not() {
    let mut user = User::new();
    let (home, elsewhere) = (user.home().to_owned(), user.dir.path().canonicalize().unwrap().join("xdg"));
    let machine =
        Machine::new(System::Linux, home, &|name| (name == "XDG_CONFIG_HOME").then(|| elsewhere.clone().into()));
    user.around = Surroundings { home: Home::locate(&machine), machine, program: user.around.program.clone() };
    fs::create_dir_all(elsewhere.join("Claude")).unwrap();
    let path = elsewhere.join("Claude/claude_desktop_config.json");
    fs::write(&path, SIMPLE).unwrap();
    let outside = user.dir.path().join("outside.json");
    fs::write(&outside, SIMPLE).unwrap();
    fs::create_dir_all(elsewhere.join("Code/User")).unwrap();
    symlink(&outside, elsewhere.join("Code/User/mcp.json")).unwrap();
    let (plan, applied) = user.import();
    assert_eq!((applied.files, plan.problems.len()), (vec![path.clone()], 1));
    assert!(plan.problems[0].line().contains("outside of"));
    assert!(user.undo().problems.is_empty());
    assert_eq!(fs::read_to_string(&path).unwrap(), SIMPLE);
}

#[test]
fn servers_that_another_entry_runs_are_not_told_to_be_taken_out() {
    let user = User::new();
    user.write(CURSOR, SIMPLE);
    user.write(".kiro/settings/mcp.json", SIMPLE);
    user.import();
    // By a copy of an entry that no import knows of.
    user.write(".lmstudio/mcp.json", &user.read(CURSOR).replace("\"one\":", "\"mine\":").replace("two", "gone"));
    assert_eq!(undo(&user.around, &["cursor".to_owned()]).unwrap().servers, [""; 0], "Kiro runs them");
    assert_eq!(user.undo().servers, ["two"], "LM Studio runs the other");
}

#[test]
fn only_the_client_and_server_that_are_named_are_touched() {
    let user = User::new();
    user.write(CURSOR, SIMPLE);
    user.write(".kiro/settings/mcp.json", SIMPLE);
    let wanted = Wanted {
        clients: vec!["kiro".to_owned()],
        servers: vec!["two".to_owned()],
        remote: RemoteEntries::Left,
        project: None,
        tier: Tier::Full,
    };
    let plan = plan(&wanted, &user.around).unwrap();
    let applied = apply(&plan, &user.around, &manner(&|_| Ok(()))).unwrap();
    assert_eq!((applied.files.len(), applied.servers.len()), (1, 1));
    assert_eq!(user.read(CURSOR), SIMPLE);
    assert!(user.read(".kiro/settings/mcp.json").contains("hunter2"));
    let report = undo(&user.around, &["cursor".to_owned()]).unwrap();
    assert!(report.files.is_empty());
    assert_eq!(user.undo().servers, ["two"]);
}

#[test]
fn entries_that_cannot_run_in_a_cage_stay_and_are_told() {
    let user = User::new();
    let entries = [
        (r#"{"command": "sh", "args": ["-c", "x"]}"#, "runs whatever"),
        (r#"{"command": "docker", "args": ["run", "x"]}"#, "somewhere else"),
        (r#"{"command": "npx", "args": ["x", "${workspaceFolder}"]}"#, "${workspaceFolder}"),
        (r#"{"command": "x", "env": {"LD_PRELOAD": "/x.so"}}"#, "LD_PRELOAD"),
        (r#"{"command": "x", "env": {"PATH": "/x/bin"}}"#, "which program runs"),
        (r#"{"command": "x", "env": {"A B": "x"}}"#, "letters, digits"),
        (r#"{"command": "x", "env": {"A": ["x"]}}"#, "no text"),
        (r#"{"command": "x", "args": [null]}"#, "no text"),
        (r#"{"command": "x", "args": "y"}"#, "no list"),
        (r#"{"command": ["x"]}"#, "command is no text"),
        (r#"{"command": ""}"#, "no text"),
        (r#"{"command": "x\u0000"}"#, "NUL"),
        (r#"{"command": "x", "cwd": "sub"}"#, "relative"),
        (r#"{"command": "./x"}"#, "whole path"),
        (r#"{"command": "mcp-server-filesystem", "args": ["HOME_FOLDER"]}"#, "name the folders"),
        (r#"{"command": "mcp-server-filesystem", "args": ["/etc"]}"#, "name the folders"),
        (r#"{"command": "not-there", "cwd": "/not/there"}"#, "not there"),
        (r#"{"command": "x", "disabled": true}"#, "switched off"),
        (r#"{"command": "/usr/bin/sekisho", "args": ["run"]}"#, "Protected"),
        (r#"{"command": "sekisho", "args": ["stdio", "--config", "x"]}"#, "Protected"),
        (r#"{"command": "sekisho", "args": ["demo", "notes"]}"#, "Sekisho itself"),
        (r#"{"x": 1}"#, "neither"),
        ("{}", "no members"),
    ];
    for (entry, words) in entries {
        let text = format!(r#"{{"mcpServers": {{"it": {entry}, "fine": {{"command": "fine"}}}}}}"#);
        user.write(CURSOR, &text);
        let plan = user.plan(RemoteEntries::Left);
        let fate = format!("{:?}", plan.files[0].entries[0].fate);
        assert!(fate.contains(words), "{entry}: {fate}");
        assert!(matches!(plan.files[0].entries[1].fate, Fate::Import { .. }));
    }
}

#[test]
fn what_is_shown_of_a_cage_is_what_its_plan_has() {
    let mut user = User::new();
    let tools = user.path("tools");
    fs::create_dir_all(&tools).unwrap();
    for name in ["npx", "notes"] {
        fs::write(tools.join(name), "").unwrap();
    }
    let path = |name: &str| (name == "PATH").then(|| tools.clone().into_os_string());
    user.around.machine = Machine::new(System::Linux, user.home().to_owned(), &path);
    user.write(
        CURSOR,
        r#"{"mcpServers": {
        "files": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "HOME_FOLDER/projects"]},
        "git-hub": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-github"]},
        "notes": {"command": "notes", "args": ["--dir", "HOME_FOLDER/projects"]},
        "gone": {"command": "gone"}
    }}"#,
    );
    let plan = user.plan(RemoteEntries::Left);
    let sights: Vec<&Sight> = plan.servers.iter().filter_map(|server| server.sight.as_ref()).collect();
    let view = |access, name: &str| (access, user.path(name));
    let known = |at: usize| match sights[at] {
        Sight::Known(known) => known,
        Sight::NoProgram(name) => panic!("{name}"),
    };
    let (files, github, notes) = (known(0), known(1), known(2));
    assert_eq!(files.profiles, ["base", "node", "filesystem"]);
    assert_eq!(files.views, [view(Access::Write, "projects"), view(Access::Read, "tools/npx")]);
    assert_eq!((files.tier, &*files.hosts), (Tier::Full, &[][..]));
    assert_eq!(github.views, [view(Access::Read, "tools/npx")]);
    assert_eq!(github.hosts, ["api.github.com:443"]);
    assert_eq!(notes.views, [view(Access::Write, "projects"), view(Access::Read, "tools/notes")]);
    assert_eq!(sights[3], &Sight::NoProgram("gone".to_owned()));

    // Where somebody grants what is around the key of secrets and the configuration, neither is seen.
    for hidden in [".local/share/sekisho", ".local/state/sekisho", ".config/sekisho", ".local/share/other"] {
        fs::create_dir_all(user.path(hidden)).unwrap();
    }
    let mut wide = plan.servers[2].new.clone();
    wide.cage.write = vec!["~/.local".to_owned()];
    assert!(super::sight::of(&wide, &user.around, Tier::Full).unwrap_err().contains("cannot be granted"));
    wide.cage.write.clear();
    wide.cage.read = [".local", ".config"].map(|folder| format!("~/{folder}")).to_vec();
    let sight = super::sight::of(&wide, &user.around, Tier::Full).unwrap();
    let Some(Sight::Known(wide)) = sight else { panic!("{sight:?}") };
    let mut hidden: Vec<PathBuf> = wide.hidden;
    hidden.sort();
    hidden.dedup();
    assert_eq!(hidden, [".config/sekisho", ".local/share/sekisho", ".local/state/sekisho"].map(|name| user.path(name)));
}

#[test]
fn machine_that_cannot_confine_a_server_leaves_its_entry_alone() {
    let user = User::new();
    user.write(CURSOR, SIMPLE);
    let wanted =
        |tier| Wanted { clients: Vec::new(), servers: Vec::new(), remote: RemoteEntries::Left, project: None, tier };
    for tier in [Tier::None, Tier::Partial] {
        let plan = plan(&wanted(tier), &user.around).unwrap();
        assert!(plan.servers.is_empty() && plan.files[0].after.is_none());
        assert!(format!("{:?}", plan.files[0].entries[0].fate).contains("sekisho doctor"), "{tier}");
    }
    assert_eq!(plan(&wanted(Tier::Full), &user.around).unwrap().servers.len(), 2);
}

#[test]
fn names_are_those_of_the_clients_as_far_as_they_can_be() {
    let user = User::new();
    let keys = ["Files", "files", "My Server!", "日本", "a-very-long-name-that-no-name-can-be", "-x-", "FILES"];
    let entries: Vec<String> = keys
        .iter()
        .map(|key| {
            format!("\"{key}\": {{\"command\": \"{}\"}}", key.len() + key.bytes().map(usize::from).sum::<usize>())
        })
        .collect();
    user.write(CURSOR, &format!("{{\"mcpServers\": {{{}}}}}", entries.join(",")));
    let plan = user.plan(RemoteEntries::Left);
    let names: Vec<&str> = plan.servers.iter().map(|server| server.new.name.as_str()).collect();
    assert_eq!(names, ["files", "files-2", "my-server", "server", "a-very-long-name-that-no", "x", "files-3"]);
}

#[test]
fn entry_names_the_configuration_where_it_is_not_in_its_usual_place() {
    let mut user = User::new();
    let home = user.home().to_owned();
    let elsewhere = home.join("xdg");
    let machine =
        Machine::new(System::Linux, home, &|name| (name == "XDG_CONFIG_HOME").then(|| elsewhere.clone().into()));
    user.around = Surroundings { home: Home::locate(&machine), machine, program: user.around.program.clone() };
    user.write(CURSOR, SIMPLE);
    user.import();
    let expected =
        r#""args": ["run", "--config", "HOME_FOLDER/xdg/sekisho/sekisho.toml", "--server", "two", "--", "two-server"]"#;
    assert!(user.read(CURSOR).contains(expected), "{}", user.read(CURSOR));
    user.undo();
    assert_eq!(user.read(CURSOR), SIMPLE);
}

#[test]
fn status_tells_each_server() {
    let user = User::new();
    user.write(CURSOR, &SIMPLE.replace("\"two\": {", "\"far\": { \"url\": \"https://a.example/mcp\" }, \"two\": {"));
    assert_eq!(user.state("far"), "remote");
    assert_eq!(user.state("one"), "not protected: `sekisho import` would");
    user.write(".lmstudio/mcp.json", r#"{"mcpServers": {"box": {"command": "docker", "args": ["run", "x"]}}}"#);
    assert!(user.state("box").contains("not protected: `docker` starts the server somewhere else"));
    user.import();
    assert_eq!((user.state("one"), user.state("two")), ("protected".to_owned(), "protected".to_owned()));
    user.write(CURSOR, &user.read(CURSOR).replace("/opt/sekisho/sekisho", "/gone/sekisho"));
    assert!(user.state("one").contains("`/gone/sekisho` is not there any more"));
    fs::remove_dir_all(user.around.home.state()).unwrap();
    assert!(user.state("one").contains("`/gone/sekisho` is not there any more"));
    user.write(".kiro/settings/mcp.json", "{");
    assert!(rows(&user.around, None).unwrap().iter().any(|row| row.state.contains("cannot be read")));
}

/// JSON of any shape, with comments, that stands beside the servers.
fn beside() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|bool| bool.to_string()),
        any::<i32>().prop_map(|number| number.to_string()),
        "[a-z \\[\\]{},:/*é]{0,12}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let gap = prop_oneof![Just(""), Just(" "), Just("\n\t"), Just(" // c\n"), Just("/* ,] */")];
        prop_oneof![
            (prop::collection::vec((gap.clone(), inner.clone()), 0..4)).prop_map(|all| {
                format!("[{}]", all.iter().map(|(gap, value)| format!("{gap}{value}")).collect::<Vec<_>>().join(","))
            }),
            (prop::collection::vec((gap, inner), 0..4)).prop_map(|all| {
                let members = all.iter().enumerate().map(|(at, (gap, value))| format!("{gap}\"k{at}\":{gap}{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn edits_of_other_parts_survive_import_and_undo(first in beside(), second in beside(), third in beside()) {
        let file = |other: &str| format!("{{\"before\": {first}, // c\n \"mcpServers\": {{\"one\": {{\"command\": \"a\", \"env\": {{\"A_KEY\": \"x\"}}, }},}}, \"after\": {other} }}");
        let user = User::new();
        user.write(CURSOR, &file(&second));
        let (plan, applied) = user.import();
        prop_assert!(plan.problems.is_empty() && applied.problems.is_empty());
        let imported = user.read(CURSOR);
        let (start, end) = (format!("{{\"before\": {first}, // c\n"), format!("\"after\": {second} }}"));
        prop_assert!(imported.starts_with(&start) && imported.ends_with(&end));
        let at = imported.rfind("\"after\"").unwrap();
        let at = if second == third { imported.len() } else { at };
        user.write(CURSOR, &if at == imported.len() { imported } else { format!("{}\"after\": {third} }}", imported.get(..at).unwrap()) });
        prop_assert!(user.undo().problems.is_empty());
        prop_assert_eq!(user.read(CURSOR), file(&third));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn edits_of_other_parts_of_yaml_and_toml_survive_too(
        words in prop::collection::vec("[a-z#:\\- '\"é]{0,10}", 4),
        other in "[a-z0-9 #]{1,8}",
    ) {
        let quoted: Vec<String> = words.iter().map(|word| sekisho_wire::Json::text(word).as_str().to_owned()).collect();
        let yaml = |last: &str| format!(
            "# {w}\na: {q0}\nextensions:\n  one: # {w}\n    cmd: x\n    note: {q1} # {w}\n    envs:\n      A_KEY: {q2}\n  two:\n    type: builtin\nz: \"{last}\" # {w}\n",
            w = words[3].replace('\n', " "), q0 = quoted[0], q1 = quoted[1], q2 = quoted[2]
        );
        let toml = |last: &str| format!(
            "# {w}\na = {q0}\n[mcp_servers.one] # {w}\ncommand = \"x\"\nnote = {q1} # {w}\nenv = {{ A_KEY = {q2} }}\n# {w}\n[z]\nb = \"{last}\" # {w}\n",
            w = words[3], q0 = quoted[0], q1 = quoted[1], q2 = quoted[2]
        );
        for (name, is_yaml) in [(".config/goose/config.yaml", true), (".codex/config.toml", false)] {
            let file = |last: &str| if is_yaml { yaml(last) } else { toml(last) };
            let user = User::new();
            user.write(name, &file("before"));
            let (plan, applied) = user.import();
            prop_assert!(plan.problems.is_empty() && applied.problems.is_empty(), "{:?}", plan.problems);
            let imported = user.read(name);
            prop_assert_eq!(imported.matches(&words[3]).count() > 0, true);
            user.write(name, &imported.replace("\"before\"", &format!("\"{other}\"")));
            prop_assert!(user.undo().problems.is_empty());
            prop_assert_eq!(user.read(name), file(&other));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_panics_whatever_a_file_says(text in "[\\PC\\n\\t{}\\[\\]:,\"'#/*&!|>=-]{0,80}") {
        for format in [Format::Json, Format::Toml, Format::Yaml] {
            if let Ok(tree) = parse(format, &text) {
                prop_assert!(super::secrets::masked(&text, &tree).lines().count() <= text.lines().count());
                tree.each_text("", &mut |_, node, _| assert!(text.get(node.at.clone()).is_some()));
            }
        }
        prop_assert!(super::secrets::masked_words(&text).lines().count() == text.lines().count());
    }
}

#[test]
fn home_configuration_passes_every_room() {
    let user = User::new();
    // Its key would be that of whoever runs the tests.
    user.write(CURSOR, &SIMPLE.replace("\"ONE_TOKEN\": \"hunter2\", ", ""));
    user.import();
    let loaded = user.around.home.load().unwrap();
    let egress = crate::assemble::egress(&loaded).unwrap();
    let revocations = std::sync::Arc::new(sekisho_identity::Revocations::passing());
    crate::assemble::at_start(&loaded, &egress, &revocations, std::time::SystemTime::now()).map(drop).unwrap();
    let known: BTreeMap<String, _> = user.around.home.servers().unwrap();
    assert_eq!(known.keys().map(String::as_str).collect::<Vec<_>>(), ["one", "two"]);
}
