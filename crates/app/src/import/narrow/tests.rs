use super::*;
use crate::home::System;

fn machine() -> Machine {
    let variable = |name: &str| (name == "PATH").then(|| "/usr/bin:bin:/h/me/.local/bin:/h/me/.nvm/v20/bin".into());
    Machine::new(System::Linux, "/h/me".into(), &variable)
}

/// What is there.
fn look(path: &Path) -> Option<(Found, PathBuf)> {
    let folders = [
        "/",
        "/h",
        "/h/me",
        "/h/me/docs",
        "/h/me/docs/a",
        "/h/me/repo",
        "/h/me/.ssh",
        "/h/me/.config",
        "/h/me/app",
        "/h/me/app/dist",
        "/h/me/app/node_modules",
        "/h/me/env",
        "/h/me/env/bin",
        "/data",
        "/h/me/.nvm/v20",
        "/h/me/.nvm/v20/bin",
        "/h/me/.nvm/v20/lib",
        "/h/me/.local",
        "/h/me/.local/bin",
        "/h/me/.local/lib",
        "/h/me/db",
    ];
    let files = [
        "/h/me/docs/a/x.txt",
        "/h/me/.ssh/id",
        "/h/me/app/dist/index.js",
        "/h/me/app/package.json",
        "/h/me/env/pyvenv.cfg",
        "/h/me/env/bin/python",
        "/h/me/.nvm/v20/bin/node",
        "/h/me/.local/bin/uvx",
        "/h/me/db/notes.db",
        "/h/me/tool.py",
        "/usr/bin/node",
    ];
    if folders.iter().any(|known| Path::new(known) == path) {
        return Some((Found::Folder, path.to_owned()));
    }
    for (link, target) in [("/h/me/link", "/h/me/.ssh"), ("/h/me/all", "/h/me")] {
        if path == Path::new(link) {
            return Some((Found::Folder, target.into()));
        }
    }
    if path == Path::new("/h/me/.local/bin/tool") {
        return Some((Found::File, "/h/me/env/bin/tool".into()));
    }
    files.iter().any(|known| Path::new(known) == path).then(|| (Found::File, path.to_owned()))
}

fn propose(command: &str, env: &[(&str, Option<&str>)], cwd: Option<&str>) -> Result<Proposal, String> {
    let command: Vec<String> = command.split(' ').map(str::to_owned).collect();
    Known::shipped().unwrap().narrowest(Run { command: &command, env, cwd }, &machine(), &look)
}

fn cage(command: &str) -> Cage {
    propose(command, &[], None).unwrap().cage
}

#[test]
fn filesystem_server_writes_its_roots_and_others_read_what_they_are_given() {
    let files = cage("npx -y @modelcontextprotocol/server-filesystem@2025.1.1 /h/me/docs ~/repo");
    assert_eq!((files.write, files.read), (vec!["~/docs".to_owned(), "~/repo".to_owned()], vec![]));
    assert_eq!(files.profile.as_deref(), Some("filesystem"));
    let other = cage("npx -y some-server --root=/h/me/docs /h/me/docs/a/x.txt");
    assert_eq!((other.read, other.write, other.profile), (vec!["~/docs".to_owned()], vec![], None));
    let git = cage("uvx mcp-server-git --repository /h/me/repo");
    assert_eq!((git.write, git.profile.as_deref()), (vec!["~/repo".to_owned()], Some("git")));
}

#[test]
fn relative_arguments_lead_from_the_folder_that_it_runs_in() {
    let files = |argument: &str, cwd: Option<&str>| {
        propose(&format!("npx @modelcontextprotocol/server-filesystem {argument}"), &[], cwd)
    };
    for (argument, cwd, write) in [
        (".", "/h/me/docs", "~/docs"),
        ("..", "/h/me/docs/a", "~/docs"),
        ("./a", "/h/me/docs", "~/docs/a"),
        ("a", "/h/me/docs", "~/docs/a"),
        ("--root=a", "/h/me/docs", "~/docs/a"),
    ] {
        assert_eq!(files(argument, Some(cwd)).unwrap().cage.write, [write], "{argument}");
    }
    for argument in ["b", "-a", "@a", "https://a.example"] {
        assert!(files(argument, Some("/h/me/docs")).unwrap().cage.write.is_empty(), "{argument}");
    }
    assert!(files("..", Some("/h/me/docs")).unwrap_err().contains("name the folders"));
    assert_eq!(files("a", None).unwrap().cage, Cage { profile: Some("filesystem".to_owned()), ..Cage::default() });
    let env = |value| propose("x", &[("NOTES_DIR", Some(value))], Some("/h/me/docs")).unwrap().cage.write;
    assert_eq!((env("./a"), env("a")), (vec!["~/docs/a".to_owned()], vec![]), "a bare word is a setting");
    // The name of a package is none of a folder.
    let read = |command| propose(command, &[], Some("/h/me")).unwrap().cage.read;
    assert_eq!((read("uvx docs"), read("uvx x docs").len()), (vec!["~/.local/bin/uvx".to_owned()], 2));
}

#[test]
fn whole_home_and_credentials_are_not_opened() {
    for root in ["/h/me", "/h/me/all", "~", "/", "/h", "/h/me/docs/.."] {
        let refused = propose(&format!("npx @modelcontextprotocol/server-filesystem {root}"), &[], None).unwrap_err();
        assert!(refused.contains("name the folders"), "{refused}");
        let other = propose(&format!("npx other {root}"), &[], None).unwrap();
        assert_eq!(other.cage, Cage::default(), "{root}");
        assert!(other.reasons.iter().any(|reason| reason.starts_with("not opened")), "{:?}", other.reasons);
    }
    for secret in ["/h/me/.ssh", "/h/me/link", "~/.ssh/id", "/h/me/.config"] {
        let other = propose(&format!("npx other --key {secret}"), &[], None).unwrap();
        assert_eq!(other.cage, Cage::default(), "{secret}");
        propose(&format!("npx mcp-server-filesystem {}", secret.trim_end_matches("/id")), &[], None).unwrap_err();
    }
    let gone = propose("npx other /h/me/gone", &[], None).unwrap();
    assert!(gone.cage == Cage::default() && gone.reasons[0].contains("not there"), "{:?}", gone.reasons);
}

#[test]
fn scripts_get_their_project_and_programs_what_they_are_made_of() {
    assert_eq!(cage("node /h/me/app/dist/index.js").read, ["~/app"]);
    assert_eq!(cage("python /h/me/tool.py").read, ["~/tool.py"], "the folder of the script is the home");
    assert_eq!(cage("/h/me/env/bin/python -m tool").read, ["~/env"]);
    assert_eq!(cage("/h/me/.nvm/v20/bin/node").read, ["~/.nvm/v20"]);
    assert_eq!(
        cage("/h/me/.local/bin/uvx other").read,
        ["~/.local/bin/uvx"],
        "more would be open to all that is kept there"
    );
    assert_eq!(cage("/usr/bin/node"), Cage::default());
    assert_eq!(cage("node"), Cage::default(), "the first one in PATH is the system's");
    assert_eq!(cage("uvx other").read, ["~/.local/bin/uvx"]);
    assert_eq!(cage("tool").read, ["~/.local/bin/tool", "~/env"], "a link, and where it leads to");
    let gone = propose("/opt/gone x", &[], None).unwrap();
    assert!(gone.cage == Cage::default() && gone.reasons[0].contains("not there"), "{:?}", gone.reasons);
}

#[test]
fn folder_where_a_server_keeps_things_is_written_to_and_others_are_read() {
    for (writes, reads) in [
        ("x --dir /h/me/docs", "x --root /h/me/docs"),
        ("x --dir=/h/me/docs", "x /h/me/docs"),
        ("x --data-dir /h/me/docs", "x --config-dir /h/me/docs"),
        ("x --output_folder /h/me/docs", "x --input_folder /h/me/docs"),
        ("x --db /h/me/db/notes.db", "x --read-db /h/me/db/notes.db"),
    ] {
        let (writes, reads) = (cage(writes), cage(reads));
        assert!(writes.write.len() == 1 && writes.read.is_empty(), "{writes:?}");
        assert_eq!((reads.read, reads.write), (writes.write, vec![]));
    }
    let env = |name: &str| propose("x", &[(name, Some("/h/me/docs"))], None).unwrap().cage;
    assert_eq!((env("NOTES_DIR").write.len(), env("DOCS_DIR").write.len(), env("DOCS_DIR").read.len()), (1, 0, 1));
    // What is known of a package goes before what names say.
    assert_eq!(cage("npx @modelcontextprotocol/server-github --dir /h/me/docs").read, ["~/docs"]);
}

#[test]
fn what_no_cage_may_be_granted_is_not_proposed() {
    for path in [
        "/tmp",
        "/etc",
        "/etc/cron.d",
        "/proc/self",
        "/dev/sda",
        "/dev/stdin",
        "/run/x.sock",
        "/var/run",
        "/h/me/.codex",
        "/h/me/.codex/config.toml",
        "/h/me/.cursor/rules",
        "/h/me/.kiro/settings",
        "/h/me/.config/zed",
        "/h/me/.claude",
        "/h/me/.claude.json",
        "/h/me/.zshrc",
        "/h/me/.bash_history",
        "/h/me/.config/systemd/user",
    ] {
        let look = |asked: &Path| (asked == Path::new(path)).then(|| (Found::Folder, PathBuf::from(path)));
        let of = |command: &[&str]| {
            let command: Vec<String> = command.iter().map(|text| (*text).to_owned()).collect();
            Known::shipped().unwrap().narrowest(Run { command: &command, env: &[], cwd: None }, &machine(), &look)
        };
        let other = of(&["/usr/bin/x", path]).unwrap();
        let words = format!("not opened: {}", machine().short(Path::new(path)));
        assert!(
            other.cage.read.is_empty() && other.reasons.iter().any(|reason| reason.starts_with(&words)),
            "{other:?}"
        );
        assert!(of(&["mcp-server-filesystem", path]).unwrap_err().contains("name the folders"), "{path}");
    }
}

#[test]
fn what_every_server_sees_and_what_lies_beside_what_is_kept_is_proposed() {
    for path in ["/etc/ssl/certs", "/var/lib/notes", "/h/me/.codex-notes", "/h/me/.zshrc.d", "/h/me/zed"] {
        let look = |asked: &Path| (asked == Path::new(path)).then(|| (Found::Folder, PathBuf::from(path)));
        let command = ["/usr/bin/x", path].map(str::to_owned);
        let run = Run { command: &command, env: &[], cwd: None };
        let proposal = Known::shipped().unwrap().narrowest(run, &machine(), &look).unwrap();
        assert_eq!(proposal.cage.read, [machine().short(Path::new(path))], "{:?}", proposal.reasons);
    }
}

#[test]
fn what_a_link_leads_to_today_is_not_proposed_for_ever() {
    let look = |_: &Path| Some((Found::File, PathBuf::from("/h/me/docs/a/x.txt")));
    let command = ["/usr/bin/x", "/dev/stdin"].map(str::to_owned);
    let run = Run { command: &command, env: &[], cwd: None };
    let proposal = Known::shipped().unwrap().narrowest(run, &machine(), &look).unwrap();
    assert!(proposal.reasons.iter().any(|reason| reason.starts_with("not opened: /dev/stdin")), "{proposal:?}");
}

#[test]
fn table_of_known_servers_is_whole() {
    let known = Known::shipped().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for server in &known.servers {
        assert!(!server.why.is_empty() && !server.names.is_empty(), "{server:?}");
        assert!(server.hosts.iter().all(|host| host.ends_with(":443") && !host.contains('/')), "{server:?}");
        assert!(server.hosts.iter().all(|host| host.parse::<sekisho_egress::HostRule>().is_ok()), "{server:?}");
        assert!(server.names.iter().all(|name| seen.insert(name)), "{server:?} stands twice");
    }
}

#[test]
fn hosts_come_from_what_is_known_and_from_addresses() {
    assert_eq!(cage("npx -y @modelcontextprotocol/server-github").hosts, ["api.github.com:443"]);
    assert_eq!(cage("/opt/github-mcp-server stdio").hosts, ["api.github.com:443"]);
    assert_eq!(cage("x/mcp-server-fetch"), Cage::default());
    assert_eq!(cage("python3.11 -m mcp_server_fetch"), Cage::default());
    let hosts = cage("npx other https://a.example/x http://b.example:8080 wss://c.example").hosts;
    assert_eq!(hosts, ["a.example:443", "http://b.example:8080", "c.example:443"]);
    let gitlab = |env: &[(&str, Option<&str>)]| propose("npx @zereight/mcp-gitlab", env, None).unwrap().cage.hosts;
    assert_eq!(gitlab(&[]), ["gitlab.com:443"]);
    assert_eq!(gitlab(&[("GITLAB_API_URL", Some("https://git.corp.example/api/v4"))]), ["git.corp.example:443"]);
    assert_eq!(gitlab(&[("GITLAB_API_URL", None)]), [""; 0]);
}

#[test]
fn private_addresses_and_databases_are_told_and_not_opened() {
    for address in [
        "http://localhost:3000",
        "http://127.0.0.1",
        "https://10.1.2.3/x",
        "http://db.internal",
        "https://[::1]/",
        "http://build",
    ] {
        let proposal = propose(&format!("npx other {address}"), &[], None).unwrap();
        assert_eq!(proposal.cage, Cage::default(), "{address}");
        assert!(proposal.reasons[0].contains("dangerous_private_hosts"), "{:?}", proposal.reasons);
    }
    let metadata = propose("npx other http://169.254.169.254/x", &[], None).unwrap();
    assert!(metadata.cage == Cage::default() && metadata.reasons[0].contains("no rule can permit it"));
    let proposal =
        propose("npx other", &[("DATABASE", Some("postgres://me:hunter2@db.example:5432/x"))], None).unwrap();
    assert!(
        proposal.cage == Cage::default() && proposal.reasons[0].contains("\"tcp://db.example:5432\" to `hosts`"),
        "{:?}",
        proposal.reasons
    );
    assert!(!proposal.reasons[0].contains("hunter2"));
}

#[test]
fn variables_and_working_folder_are_looked_at_too() {
    let env = [("MEMORY_FILE_PATH", Some("/h/me/db/new.json")), ("HOME", Some("/h/me"))];
    let memory = propose("npx -y @modelcontextprotocol/server-memory", &env, Some("/h/me/repo")).unwrap();
    let told = "writes ~/db, the folder of MEMORY_FILE_PATH".to_owned();
    assert!(memory.reasons.contains(&told), "{:?}", memory.reasons);
    assert_eq!((memory.cage.write, memory.cage.read), (vec!["~/db".to_owned()], vec!["~/repo".to_owned()]));
    let sqlite = cage("uvx mcp-server-sqlite --db-path /h/me/db/notes.db");
    assert_eq!(sqlite.write, ["~/db"]);
}

#[test]
fn what_runs_something_else_than_it_names_is_refused_and_its_neighbour_is_not() {
    for (refused, fine) in [
        ("sh -c x", "sh /data/x.sh"),
        ("bash -lc x", "bash --posix /data/x.sh"),
        ("/bin/zsh -ic x", "zsh run.sh -c"),
        ("python -c x", "python -m tool -c x"),
        ("python3.12 -Ic x", "python3.12 -I tool.py -c"),
        ("node -e x", "node server.js -e"),
        ("node --eval=x", "node --max-old-space-size=99 s.js"),
        ("nodejs -p x", "nodejs --enable-source-maps s.js"),
        ("npx -c x", "npx -y x -c"),
        ("npx --call=x", "npx --yes x"),
        ("deno eval x", "deno run eval"),
        ("cmd /c npx x", "npx x"),
        ("CMD.EXE /c npx x", "npx.cmd x"),
        ("env A=b x", "x A=b"),
        ("sudo x", "x sudo"),
        ("docker run x", "dockerx run"),
        ("perl -e x", "perl x.pl"),
    ] {
        propose(refused, &[], None).unwrap_err();
        propose(fine, &[], None).unwrap_or_else(|why| panic!("{fine}: {why}"));
    }
}

#[test]
fn packages_are_found_behind_their_starters() {
    for (command, package) in [
        ("npx -y @a/b@1.2.3 c", "@a/b"),
        ("npx --package=@a/b@latest tool", "@a/b"),
        ("npx -p x y", "x"),
        ("npm exec -- x", "x"),
        ("pnpm dlx x@2", "x"),
        ("uvx --python 3.12 x==1.0", "x"),
        ("uvx --from git+x tool", "git+x"),
        ("uv tool run x[extra]", "x"),
        ("pipx run x", "x"),
        ("python -m mcp_server_git", "mcp-server-git"),
        ("C:\\x\\server.exe", "server"),
    ] {
        let command: Vec<String> = command.split(' ').map(str::to_owned).collect();
        assert_eq!(command::package(&command).as_deref(), Some(package), "{command:?}");
    }
}
