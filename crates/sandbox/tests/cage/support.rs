//! A server in a cage, as the product starts one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use sekisho_sandbox::{Cage, Config, Launcher, Plan, Said, Speech, Subject, Tier};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

pub(crate) const BOTH: [Tier; 2] = [Tier::Full, Tier::Partial];

/// Where a test plays: a home with a key in it, a project, and the home that the server gets.
pub(crate) struct Yard {
    dir: tempfile::TempDir,
}

/// What came of a server.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) out: String,
    #[expect(dead_code, reason = "a failed test shows it")]
    pub(crate) err: String,
    pub(crate) said: Vec<Said>,
    pub(crate) status: ExitStatus,
}

/// A server that runs.
pub(crate) struct Live {
    pub(crate) child: Child,
    pub(crate) speech: Speech,
    pub(crate) out: BufReader<ChildStdout>,
}

impl Yard {
    pub(crate) fn new() -> Yard {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["home/.ssh", "home/project/src", "home/other", "home/state", "own/another", "hostile"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for (file, text) in [
            ("home/.ssh/id_ed25519", "PRIVATE KEY"),
            ("home/project/readme", "hello"),
            ("home/project/src/main", "source"),
            ("home/other/file", "of another"),
            ("home/state/log", "of the gateway"),
            ("own/another/notes", "of another server"),
        ] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        Yard { dir }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    pub(crate) fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap()
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
            hidden: &[self.at("home/state")],
            way_out,
        };
        Plan::of(&config, &subject, tier).unwrap()
    }

    /// Runs a shell script; `$Y` is the yard.
    pub(crate) async fn sh(&self, config: &str, tier: Tier, script: &str) -> Run {
        self.sh_of(config, tier, script, |_| {}).await
    }

    /// The same with another plan.
    pub(crate) async fn sh_of(&self, config: &str, tier: Tier, script: &str, set: impl FnOnce(&mut Plan)) -> Run {
        let mut plan = self.plan(config, tier, &["/bin/sh", "-c", &self.script(script)]);
        set(&mut plan);
        run(plan).await
    }

    /// Starts a shell script that runs on.
    pub(crate) fn live(&self, config: &str, tier: Tier, script: &str) -> Live {
        live(self.plan(config, tier, &["/bin/sh", "-c", &self.script(script)]))
    }

    fn script(&self, script: &str) -> String {
        format!("Y={}\n{script}", self.at("").display().to_string().trim_end_matches('/'))
    }

    /// Runs a Python script of `hostile/`.
    pub(crate) async fn python(&self, config: &str, tier: Tier, script: &str, arguments: &[&str]) -> Run {
        let file = self.at("hostile").join(script);
        std::fs::copy(hostile(script), &file).unwrap();
        let command = [&["/usr/bin/python3", file.to_str().unwrap()], arguments].concat();
        run(self.plan(config, tier, &command)).await
    }

    /// Compiles a program of `hostile/`.
    pub(crate) fn compiled(&self, name: &str) -> String {
        let to = self.at("hostile").join(name);
        let mut compile = Command::new("cc");
        compile.args(["-O1", "-pthread", "-o"]).arg(&to).arg(hostile(&format!("{name}.c")));
        let done = compile.output().expect("a C compiler, which is Rust's linker, too");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        to.to_str().unwrap().to_owned()
    }

    /// What a program of probes tells in a cage: names, and what came of them.
    pub(crate) async fn probes(&self, config: &str, tier: Tier, command: &[&str], way_out: bool) -> Probes {
        let run = run(self.plan_with(config, tier, command, way_out)).await;
        read(&run.out, &run)
    }

    /// And outside.
    pub(crate) fn free(&self, command: &[&str]) -> Probes {
        let mut free = Command::new(command[0]);
        let done = free.args(&command[1..]).current_dir(self.at("own")).output().unwrap();
        read(&String::from_utf8_lossy(&done.stdout), &done)
    }
}

/// What came of probes: 0 where one did what it tried, else the error, or 1000 and the signal that ended it.
pub(crate) type Probes = BTreeMap<String, i32>;

fn read(out: &str, all: &dyn std::fmt::Debug) -> Probes {
    let probes: Probes = out
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter_map(|(name, code)| Some((name.to_owned(), code.parse().ok()?)))
        .collect();
    assert!(!probes.is_empty(), "{all:#?}");
    probes
}

pub(crate) fn hostile(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cage/hostile").join(name)
}

pub(crate) fn is_superuser() -> bool {
    nix::unistd::Uid::effective().is_root()
}

pub(crate) fn launcher() -> Launcher {
    Launcher::at(Path::new(env!("CARGO_BIN_EXE_sekisho-cage")))
}

fn path_alone() -> [(String, SecretString); 1] {
    [("PATH".to_owned(), SecretString::from("/usr/local/bin:/usr/bin:/bin"))]
}

pub(crate) fn live(plan: Plan) -> Live {
    let confined = Cage::new(plan, launcher()).start(&path_alone()).unwrap();
    let mut child = confined.child;
    let out = BufReader::new(child.stdout.take().unwrap());
    Live { child, speech: confined.speech, out }
}

impl Live {
    /// The next line that it writes.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = async {
            tokio::select! {
                read = self.out.read_line(&mut line) => drop(read.unwrap()),
                () = async { while self.speech.next().await.is_some() {} } => {}
            }
        };
        timeout(LIMIT, read).await.expect("a line in time");
        line.trim_end().to_owned()
    }

    /// Waits for its end; what was said of it last.
    pub(crate) async fn end(&mut self) -> (Option<Said>, ExitStatus) {
        let mut last = None;
        let all = async {
            while let Some(said) = self.speech.next().await {
                last = Some(said);
            }
            self.child.wait().await.unwrap()
        };
        let status = timeout(LIMIT, all).await.expect("it ends");
        (last, status)
    }
}

pub(crate) async fn run(plan: Plan) -> Run {
    run_with(plan, &path_alone()).await
}

pub(crate) async fn run_with(plan: Plan, environment: &[(String, SecretString)]) -> Run {
    let confined = Cage::new(plan, launcher()).start(environment).unwrap();
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
    let (_, _, status, ()) = timeout(LIMIT, all).await.expect("it ends");
    Run { out, err, said, status: status.unwrap() }
}

impl Run {
    /// It ran to its end, and printed this.
    pub(crate) fn printed(&self) -> &str {
        assert!(matches!(self.said.as_slice(), [Said::Process { .. }, Said::Started, Said::Exited(0)]), "{self:#?}");
        self.out.trim_end()
    }
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The processes whose arguments hold this word.
pub(crate) fn processes_with(word: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let own = std::process::id();
    let has = |number: &u32| {
        let line = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        *number != own && String::from_utf8_lossy(&line).contains(word)
    };
    numbers.filter(has).collect()
}

const LIMIT: Duration = Duration::from_secs(60);
