//! Real processes, a real log and a real HTTP server for tests.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use sekisho_audit::Audit;
use sekisho_catalog::{Approvals, Catalog, Server, ServerConfig};
use sekisho_wire::json::Limits;
use sekisho_wire::message::Meta;
use sekisho_wire::{Answer, Askable, Call, Json, ServerId, Version};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::ask::{Ask, Heard, Question};
use crate::config::Config;
use crate::error::Fault;
use crate::launch::Launch;
use crate::link::{Asked, Flight, Link, Stdio, Way};
use crate::notes::Notes;
use crate::program::{Confinement, Program};
use crate::tasks::Tasks;

/// A log of its own, and what runs in the background.
pub(crate) struct Ground {
    pub(crate) folder: TempDir,
    pub(crate) audit: Arc<Audit>,
    pub(crate) tasks: Tasks,
    pub(crate) notes: Arc<Notes>,
}

impl Ground {
    pub(crate) fn new() -> Ground {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let audit = Arc::new(Audit::open(&log, &sekisho_audit::Config::default(), SystemTime::now()).unwrap());
        let tasks = Tasks::new();
        let notes = Arc::new(Notes::new(&server(), audit.clone(), tasks.clone(), 30));
        std::fs::write(folder.path().join("server.py"), include_str!("server.py")).unwrap();
        Ground { folder, audit, tasks, notes }
    }

    pub(crate) fn script(&self) -> String {
        self.folder.path().join("server.py").display().to_string()
    }

    /// The way to the test server as a child process.
    pub(crate) fn way(&self, mode: &str) -> Way {
        self.way_with(mode, Config { answer_bytes_max: 200_000, ..Config::default() })
    }

    pub(crate) fn way_with(&self, mode: &str, config: Config) -> Way {
        let program = Program {
            launch: Box::new(Launch::new(self.folder.path(), &stdio_config(&[python()]), None)),
            arguments: vec![self.script().into(), mode.into()],
            inherited: vec![("PATH", std::env::var_os("PATH").unwrap())],
            configured: vec![("API_KEY".into(), SecretString::from("s3cret"))],
            folder: Some(self.folder.path().to_owned()),
            confinement: Confinement::None,
        };
        Way::Stdio(Stdio { program, config: Arc::new(config), notes: self.notes.clone(), tasks: self.tasks.clone() })
    }

    /// Everything that was written down, once nothing runs any more.
    pub(crate) async fn log(&self) -> String {
        self.tasks.finish(Duration::from_secs(10)).await;
        text_of(&self.folder.path().join("log"))
    }
}

/// The interpreter itself: a launcher before it would put variables of its own into the environment.
pub(crate) fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let asked =
            std::process::Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
        String::from_utf8(asked.stdout).unwrap().trim().to_owned()
    })
}

pub(crate) fn text_of(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

/// The section of a server with this command.
pub(crate) fn stdio_config(command: &[&str]) -> ServerConfig {
    toml::from_str(&format!("command = {command:?}")).unwrap()
}

/// A configured server; it is never reached.
fn server() -> Arc<Server> {
    let config = toml::from_str("[servers.test]\ncommand = ['test']").unwrap();
    let catalog = Catalog::new(&config, &Approvals::of_first_use(), None).unwrap();
    catalog.servers().next().unwrap().clone()
}

pub(crate) fn server_id() -> ServerId {
    ServerId::parse("test").unwrap()
}

pub(crate) fn json(text: &str) -> Json {
    Json::decode(text.to_owned().into(), &Limits::default()).unwrap()
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub(crate) fn tool(name: &str) -> Call {
    Call::CallTool { name: name.into(), arguments: json(r#"{"n": 1.50}"#) }
}

pub(crate) fn with_token(token: &str) -> Meta {
    Meta { progress: Some(sekisho_wire::Id::Text(token.into())), ..Meta::default() }
}

pub(crate) async fn legacy(way: &Way) -> Link {
    Link::legacy(way, hello(), None, soon()).await.unwrap().0
}

pub(crate) async fn start(link: &Link, name: &str, meta: &Meta) -> Flight {
    start_by(link, name, meta, soon()).await.unwrap()
}

pub(crate) async fn start_by(link: &Link, name: &str, meta: &Meta, deadline: Instant) -> Result<Flight, Fault> {
    link.ask(&Ask::call(Question::of(&tool(name)), meta, Askable::default(), link.version()), deadline).await
}

/// Calls a tool and gives the text of its answer.
pub(crate) async fn call(link: &Link, name: &str) -> String {
    words(start(link, name, &Meta::default()).await.answer().await.unwrap())
}

pub(crate) fn words(answer: Answer) -> String {
    let Answer::Result(result) = answer else { panic!("{answer:?}") };
    let content = result.get("content").unwrap().elements().next().unwrap();
    content.get("text").unwrap().string().unwrap().into_owned()
}

/// All that is heard, in words.
pub(crate) async fn heard(flight: &mut Flight) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        match flight.next().await.unwrap() {
            Heard::Notice(notice) => all.push(format!("{} {}", notice.kind.as_str(), notice.params.as_str())),
            Heard::Told(told) => all.push(format!("told {told:?}")),
            Heard::Ask(request) => all.push(format!("asks {}", request.request.kind.method())),
            Heard::Withdrawn(id) => all.push(format!("withdraws {}", id.to_json().as_str())),
            Heard::Answer(answer) => {
                all.push(words(answer));
                return all;
            }
        }
    }
}

/// Whether a process is gone, waiting for it a bounded time.
pub(crate) async fn is_gone(pid: &str, at_most: Duration) -> bool {
    let until = Instant::now() + at_most;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A zombie whose parent is not us (an orphan of the test) is as gone as can be.
        let gone = status.is_empty() || status.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z');
        if gone || Instant::now() > until {
            return gone;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What the opening of a legacy conversation asks for where nothing else is said.
pub(crate) fn hello() -> Asked {
    Asked { version: Version::V2025_11_25, askable: Askable::default() }
}
