//! A gateway before scripted servers, and the commands beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sekisho_e2e::client::{Client, Era};
use sekisho_e2e::gateway::{Approved, Gateway, Setup, granting, stdio_server};
use sekisho_e2e::process::Output;
use sekisho_e2e::{place, process, raw};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

/// A scripted server: what it shows hangs on which files lie in its folder.
pub(crate) struct Puppet {
    folder: TempDir,
}

impl Puppet {
    /// `faces` by name; the first one is shown, and another one while a file of its name is there.
    pub(crate) fn new(faces: &[(&str, Value)]) -> Puppet {
        let puppet = Puppet { folder: tempfile::tempdir().expect("a folder") };
        let show = faces.iter().enumerate().map(|(at, (name, _))| match at {
            0 => json!({"face": name}),
            _ => json!({"face": name, "control": name}),
        });
        let by_name: serde_json::Map<String, Value> =
            faces.iter().map(|(name, face)| ((*name).to_owned(), face.clone())).collect();
        puppet.script(&json!({"name": "puppet", "faces": by_name, "show": show.collect::<Vec<_>>(), "announce": true}));
        puppet
    }

    pub(crate) fn script(&self, script: &Value) {
        fs::write(self.folder.path().join("script.json"), script.to_string()).expect("a script");
    }

    /// From now on it shows this face.
    pub(crate) fn show(&self, face: &str) {
        fs::write(self.folder.path().join(face), "").expect("a control file");
    }

    /// And no more.
    pub(crate) fn hide(&self, face: &str) {
        fs::remove_file(self.folder.path().join(face)).expect("a control file");
    }

    /// How often a tool was called.
    pub(crate) fn calls(&self, tool: &str) -> usize {
        let journal = fs::read_to_string(self.folder.path().join("journal")).unwrap_or_default();
        journal.lines().filter(|line| line.contains(&format!("{tool:?}"))).count()
    }

    /// Its table of the configuration.
    pub(crate) fn table(&self, name: &str) -> String {
        let at = |file: &str| self.folder.path().join(file).display().to_string();
        let program = place::binary("puppet").expect("the scripted server").display().to_string();
        let control = self.folder.path().display().to_string();
        let command = [
            program,
            "--script".into(),
            at("script.json"),
            "--journal".into(),
            at("journal"),
            "--control".into(),
            control,
        ];
        stdio_server(name, &command) + &granting(&[], &[self.folder.path()])
    }
}

/// A tool with nothing special about it.
pub(crate) fn tool(name: &str, description: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": false});
    json!({"name": name, "description": description, "inputSchema": schema})
}

pub(crate) fn tools(tools: &[Value]) -> Value {
    json!({"tools": tools})
}

/// A gateway before this server, which is called `notes`; what it offers now is approved.
pub(crate) fn locked(puppet: &Puppet) -> Gateway {
    locked_with(&puppet.table("notes"))
}

pub(crate) fn locked_with(servers: &str) -> Gateway {
    let gateway = Gateway::start(&Setup::open(servers).approving(Approved::Locked)).expect("a gateway");
    gateway.wait_for_servers(&["notes"]).expect("a server that answers");
    gateway
}

/// A folder with a configuration that nobody has started anything from.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new(servers: &str) -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        folder.write("policy.cedar", "@id(\"all\") permit(principal, action, resource);\n");
        folder.write("jwks.json", "{\"keys\":[]}");
        let head = "data_dir = \"data\"\n[gateway]\nlisten = \"127.0.0.1:18799\"\npublic_url = \"http://127.0.0.1:18799\"\n\
            [[identity.issuers]]\nissuer = \"https://as.example\"\njwks_file = \"jwks.json\"\n[policy]\nfiles = [\"policy.cedar\"]\n";
        folder.write("sekisho.toml", &format!("{head}{servers}"));
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("a file");
    }

    pub(crate) fn lock(&self) -> String {
        fs::read_to_string(lock_of(self.path())).expect("a lock file")
    }

    pub(crate) fn sekisho(&self, arguments: &[&str]) -> Output {
        sekisho(self.path(), arguments)
    }
}

pub(crate) fn lock_of(folder: &Path) -> PathBuf {
    folder.join("sekisho.lock")
}

/// Runs a command in a folder with a configuration.
pub(crate) fn sekisho(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(place::binary("sekisho").expect("the binary"));
    process::run(command.args(arguments).current_dir(folder), "", LIMIT).expect("an end")
}

/// The names of the tools that a client sees.
pub(crate) fn seen(client: &mut Client) -> Vec<String> {
    client.list("tools/list").expect("a list")
}

/// The text of a call's result, or the code of its refusal.
pub(crate) fn call(client: &mut Client, tool: &str) -> Result<String, String> {
    let response = client.send("tools/call", json!({"name": tool, "arguments": {"text": "x"}})).expect("a response");
    let messages = response.messages().expect("messages");
    let answer = messages.last().expect("an answer");
    match answer.pointer("/error/data/code").and_then(Value::as_str) {
        Some(code) => Err(code.to_owned()),
        None => Ok(answer.pointer("/result/content/0/text").and_then(Value::as_str).unwrap_or_default().to_owned()),
    }
}

/// The records of the audit log that are about definitions of this name.
pub(crate) fn records(gateway: &Gateway, item: &str) -> Vec<Value> {
    let mut records = Vec::new();
    for entry in fs::read_dir(gateway.folder().join("data/audit")).expect("a log") {
        let text = fs::read_to_string(entry.expect("a file").path()).unwrap_or_default();
        let lines = text.lines().filter_map(|line| raw::parse(line).ok());
        records.extend(lines.filter(|line| line["item"] == item && line.get("code").is_none()));
    }
    records
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const LIMIT: Duration = Duration::from_secs(60);
