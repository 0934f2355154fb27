//! What is run, and what is not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;

use sekisho_catalog::{Approvals, Catalog, Lock, Locked, Unapproved};
use sekisho_wire::Era;

use super::*;
use crate::config::Config;
use crate::link::Stdio;
use crate::process::Process;
use crate::program::{Confinement, Program};
use crate::tests::support::{Ground, stdio_config};

fn executable(file: &Path) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, "#!/bin/sh\nexec cat\n").unwrap();
    mode(file, 0o755);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn path_of(folders: &[&Path]) -> OsString {
    std::env::join_paths(folders).unwrap()
}

#[test]
fn a_program_is_known_by_its_file_and_an_interpreter_by_its_script() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    executable(&base.join("app/server.py"));
    executable(&base.join("run"));
    executable(&base.join("bin/npx"));
    let path = path_of(&[&base.join("bin")]);
    let of = |table: &str| match program_file(base, &toml::from_str(table).unwrap(), Some(&path)) {
        ProgramFile::At(file) => file.strip_prefix(base).unwrap().display().to_string(),
        ProgramFile::None => "none".to_owned(),
        ProgramFile::Unfound(why) => why.to_string(),
    };
    for (table, expected) in [
        ("command = ['./run', 'app/server.py']", "run"),
        ("command = ['python3.11', '-u', 'server.py']\ncwd = 'app'", "app/server.py"),
        ("command = ['/usr/bin/node', 'app/server.py', 'run']", "app/server.py"),
        ("command = ['bash', 'run']", "run"),
        ("command = ['npx', '-y', 'run']", "bin/npx"),
        ("command = ['uvx', 'run']", "`uvx` is in no folder of `PATH`"),
        ("command = ['python3', '-m', 'mcp']", "none"),
        ("command = ['node', '-e', 'x', 'run']", "none"),
        ("url = 'https://a/'", "none"),
    ] {
        assert_eq!(of(table), expected, "{table}");
    }
}

#[test]
fn a_plain_name_is_looked_for_in_absolute_folders_and_what_cannot_be_executed_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
    executable(&second.join("tool"));
    fs::create_dir_all(first.join("tool")).unwrap();
    let path = path_of(&[Path::new(""), Path::new("."), Path::new("bin"), &first, &second]);
    assert_eq!(find(dir.path(), "tool", Some(&path)), Ok(second.join("tool")));
    fs::remove_dir(first.join("tool")).unwrap();
    executable(&first.join("tool"));
    mode(&first.join("tool"), 0o644);
    assert_eq!(find(dir.path(), "tool", Some(&path)), Ok(second.join("tool")));
    mode(&first.join("tool"), 0o755);
    assert_eq!(find(dir.path(), "tool", Some(&path)), Ok(first.join("tool")));
    let relative = path_of(&[Path::new(""), Path::new("second")]);
    assert_eq!(find(dir.path(), "tool", Some(&relative)), Err(Unfound::Nowhere("tool".to_owned())));
    assert_eq!(find(dir.path(), "tool", None), Err(Unfound::Nowhere("tool".to_owned())));
    assert_eq!(safe_path(&path), path_of(&[&first, &second]));
    // Somebody named it, so it is run from there; its digest is what is pinned.
    assert_eq!(find(dir.path(), "./second/tool", None), Ok(dir.path().join("./second/tool")));
}

#[test]
fn a_program_that_others_could_have_put_there_is_refused_and_nothing_behind_it_is_run_instead() {
    let dir = tempfile::tempdir().unwrap();
    let [open, closed] = ["open", "closed"].map(|name| dir.path().join(name));
    executable(&open.join("bin/tool"));
    executable(&closed.join("tool"));
    let path = path_of(&[&open.join("bin"), &closed]);
    let found = || find(dir.path(), "tool", Some(&path));
    assert_eq!(found(), Ok(open.join("bin/tool")));
    for exposed in ["open/bin", "open", "open/bin/tool"] {
        let exposed = dir.path().join(exposed);
        mode(&exposed, 0o777);
        let refused = found().unwrap_err().to_string();
        assert!(refused.contains("can be written to by others (mode 0777)"), "{}: {refused}", exposed.display());
        // In a sticky folder nobody can replace what is another one's.
        mode(&exposed, 0o1777);
        assert_eq!(found().is_ok(), exposed.is_dir(), "{}", exposed.display());
        mode(&exposed, 0o755);
    }
    // A link leads to where others can write.
    executable(&dir.path().join("elsewhere/tool"));
    mode(&dir.path().join("elsewhere"), 0o777);
    symlink(dir.path().join("elsewhere/tool"), closed.join("linked")).unwrap();
    assert!(find(dir.path(), "linked", Some(&path)).unwrap_err().to_string().contains("elsewhere"));
    mode(&dir.path().join("elsewhere"), 0o755);
    find(dir.path(), "linked", Some(&path)).unwrap();
}

#[test]
fn a_program_of_another_user_is_refused_and_one_of_the_superuser_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("tool");
    executable(&tool);
    let path = path_of(&[dir.path()]);
    find(dir.path(), "tool", Some(&path)).unwrap();
    // Only the superuser can give a file away.
    if Uid::effective().is_root() {
        std::os::unix::fs::chown(&tool, Some(65_000), None).unwrap();
        let refused = find(dir.path(), "tool", Some(&path)).unwrap_err().to_string();
        assert!(refused.contains("belongs to user 65000"), "{refused}");
    }
    find(dir.path(), "sh", Some(OsStr::new("/usr/bin:/bin"))).unwrap();
}

/// A server with this command, approved as it is now.
fn server(command: &[&str], approved: Option<ProgramDigest>, now: Option<ProgramDigest>, locked: bool) -> Arc<Server> {
    let config = sekisho_catalog::Config {
        servers: [("test".to_owned(), stdio_config(command))].into(),
        catalog: sekisho_catalog::PinConfig::default(),
        machine: sekisho_sandbox::Tier::None,
    };
    let with = |lock: Lock, digest: Option<ProgramDigest>| {
        let programs: BTreeMap<_, _> = digest.map(|digest| ("test".to_owned(), digest)).into_iter().collect();
        let catalog = Catalog::new(&config, &Approvals::new(lock, programs, Unapproved::Withheld), None).unwrap();
        catalog.servers().next().unwrap().clone()
    };
    let mut lock = Lock::default();
    if locked {
        let identity = with(Lock::default(), approved).identity().clone();
        lock.put(crate::tests::support::server_id(), Locked::new(identity));
    }
    with(lock, now)
}

fn started(ground: &Ground, launch: Launch, server: &Arc<Server>) -> Result<Process, String> {
    let notes = Arc::new(Notes::new(server, ground.audit.clone(), ground.tasks.clone(), 30));
    let launch = Box::new(launch);
    let program = Program {
        launch,
        arguments: Vec::new(),
        inherited: Vec::new(),
        configured: Vec::new(),
        folder: None,
        confinement: Confinement::None,
    };
    let stdio = Stdio { program, config: Arc::new(Config::default()), notes, tasks: ground.tasks.clone() };
    Process::start(&stdio, Era::Modern, None).map_err(|fault| fault.to_string())
}

#[tokio::test]
async fn a_process_is_started_only_while_its_program_is_the_file_that_was_approved() {
    let ground = Ground::new();
    let bin = ground.folder.path().join("bin");
    let tool = bin.join("tool");
    executable(&tool);
    let digest = digest_of(&tool);
    let server = server(&["tool"], digest, digest, true);
    let start =
        || started(&ground, Launch::new(ground.folder.path(), server.config(), Some(path_of(&[&bin]))), &server);
    drop(start().unwrap());
    executable(&tool);
    fs::write(&tool, "#!/bin/sh\nexec tac\n").unwrap();
    assert_eq!(start().err().unwrap(), "it is not started: the file of its program is not the one that was approved");
    executable(&tool);
    drop(start().unwrap());
    fs::remove_file(&tool).unwrap();
    assert_eq!(start().err().unwrap(), "it cannot be started: `tool` is in no folder of `PATH`");
    let log = ground.log().await;
    assert_eq!(log.matches("is not the one that was approved").count(), 1, "{log}");
    assert!(log.contains("\"kind\":\"security\""), "{log}");
}

#[tokio::test]
async fn what_nobody_has_approved_is_not_started() {
    let ground = Ground::new();
    let bin = ground.folder.path().join("bin");
    executable(&bin.join("tool"));
    let digest = digest_of(&bin.join("tool"));
    let start = |server: &Arc<Server>| {
        started(&ground, Launch::new(ground.folder.path(), server.config(), Some(path_of(&[&bin]))), server)
    };
    drop(start(&server(&["tool"], digest, digest, true)).unwrap());
    let unapproved = start(&server(&["tool"], digest, digest, false)).err().unwrap();
    assert_eq!(unapproved, "it is not started: nobody has approved it");
    let other = Some(ProgramDigest([7; 32]));
    let stranger = start(&server(&["tool"], other, digest, true)).err().unwrap();
    assert!(stranger.ends_with("the file of its program changed"), "{stranger}");
    let gone = start(&server(&["nowhere"], digest, None, true)).err().unwrap();
    assert!(gone.contains("no file of its program is found; `nowhere` is in no folder of `PATH`"), "{gone}");
}
