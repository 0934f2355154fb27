//! A server in a cage, as the product starts one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use sekisho_sandbox::{Cage, Config, Launcher, Plan, Said, Subject, Tier};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

/// Where a test plays: a home with a key in it, a project, and the home that the server gets.
pub(crate) struct Yard {
    dir: tempfile::TempDir,
}

/// What came of a server.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) said: Vec<Said>,
    pub(crate) status: std::process::ExitStatus,
}

impl Yard {
    pub(crate) fn new() -> Yard {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["home/.ssh", "home/project/src", "home/other", "own"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for (file, text) in [
            ("home/.ssh/id_ed25519", "PRIVATE KEY"),
            ("home/project/readme", "hello"),
            ("home/project/src/main", "source"),
            ("home/other/file", "of another"),
        ] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        Yard { dir }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    pub(crate) fn plan(&self, config: &str, tier: Tier, command: &[&str]) -> Plan {
        self.plan_with(config, tier, command, false)
    }

    pub(crate) fn plan_with(&self, config: &str, tier: Tier, command: &[&str], way_out: bool) -> Plan {
        let config: Config = toml::from_str(config).unwrap();
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let (base, home, own_home) = (self.at(""), self.at("home"), self.at("own/server"));
        let subject = Subject {
            program: Path::new(&command[0]),
            command: &command,
            folder: None,
            base: &base,
            home: Some(&home),
            search: Some("/usr/local/bin:/usr/bin:/bin"),
            own_home: &own_home,
            hidden: &[self.at("home/project/state")],
            way_out,
        };
        Plan::of(&config, &subject, tier).unwrap()
    }

    /// Runs a shell script.
    pub(crate) async fn sh(&self, config: &str, tier: Tier, script: &str) -> Run {
        run(self.plan(config, tier, &["/bin/sh", "-c", script])).await
    }
}

pub(crate) fn launcher() -> Launcher {
    Launcher::at(Path::new(env!("CARGO_BIN_EXE_sekisho-cage")))
}

pub(crate) async fn run(plan: Plan) -> Run {
    let cage = Cage::new(plan, launcher()).unwrap();
    let environment = [("PATH".to_owned(), SecretString::from("/usr/local/bin:/usr/bin:/bin"))];
    let confined = cage.start(&environment).unwrap();
    let (mut child, mut speech) = (confined.child, confined.speech);
    drop(child.stdin.take());
    let (mut out, mut err) = (String::new(), String::new());
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let mut said = Vec::new();
    let hear = async {
        while let Some(one) = speech.next().await {
            said.push(one);
        }
    };
    let all =
        async { tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err), child.wait(), hear) };
    let (_, _, status, ()) = timeout(Duration::from_secs(60), all).await.expect("it ends");
    Run { out, err, said, status: status.unwrap() }
}

impl Run {
    /// It ran to its end, and printed this.
    pub(crate) fn printed(&self) -> &str {
        assert!(matches!(self.said.as_slice(), [Said::Process { .. }, Said::Started, Said::Exited(0)]), "{self:#?}");
        self.out.trim_end()
    }
}
