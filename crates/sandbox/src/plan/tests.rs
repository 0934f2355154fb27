use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

/// A machine of its own: a home, and beside it what is not of the home.
struct Place(tempfile::TempDir);

impl Place {
    fn new(files: &[&str]) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fs::create_dir_all(place.at("home/user")).unwrap();
        for file in files {
            place.file(file, "");
        }
        place
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(path)
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if !path.exists() {
            fs::write(path, text).unwrap();
        }
    }

    fn of(&self, config: &str, command: &str, set: impl FnOnce(&mut Asked)) -> Result<Plan, PlanError> {
        let command: Vec<String> = command
            .replace("{P}", self.at("").to_str().unwrap().trim_end_matches('/'))
            .split(' ')
            .map(String::from)
            .collect();
        let mut asked = Asked {
            program: PathBuf::from(&command[0]),
            folder: None,
            home: Some(self.at("home/user")),
            hidden: Vec::new(),
            tier: Tier::Full,
            search: "/usr/bin:/bin".to_owned(),
        };
        set(&mut asked);
        let config: Config = toml::from_str(config).unwrap();
        let subject = Subject {
            program: &asked.program,
            command: &command,
            folder: asked.folder.as_deref(),
            base: &self.at("etc"),
            home: asked.home.as_deref(),
            search: Some(&asked.search),
            own_home: &self.at("data/homes/server"),
            hidden: &asked.hidden,
            way_out: false,
        };
        Plan::of(&config, &subject, asked.tier)
    }

    fn granting(&self, config: &str) -> Result<Plan, PlanError> {
        self.of(config, "/bin/true", |_| {})
    }

    /// What of this place a plan shows.
    fn shown(&self, plan: &Plan) -> Vec<(String, Access)> {
        let root = self.at("");
        let here = plan.views.iter().filter_map(|view| {
            let path = Path::new(&view.path).strip_prefix(&root).ok()?;
            Some((path.to_str()?.to_owned(), view.access))
        });
        here.collect()
    }

    fn shows(&self, command: &str) -> Vec<String> {
        let plan = self.of("", command, |_| {}).unwrap();
        self.shown(&plan).into_iter().map(|(path, _)| path).collect()
    }
}

struct Asked {
    program: PathBuf,
    folder: Option<PathBuf>,
    home: Option<PathBuf>,
    hidden: Vec<PathBuf>,
    tier: Tier,
    search: String,
}

#[test]
fn grant_of_nearly_everything_is_refused_and_a_folder_in_it_is_not() {
    let place = Place::new(&["home/user/project/file", "etc/x"]);
    let home = place.at("home/user").display().to_string();
    let above = place.at("home").display().to_string();
    for path in ["/", "/etc", "/home", "/var", "/tmp", "/usr/..", "~", "~/", "~/.", "~/project/..", &home, &above] {
        for key in ["read", "write"] {
            let refused = place.granting(&format!("{key} = [{path:?}]"));
            assert!(matches!(refused, Err(PlanError::TooBroad { .. })), "{key} {path}: {refused:?}");
        }
    }
    for path in ["~/project", "/etc/ssl", "/usr/lib"] {
        assert!(place.granting(&format!("read = [{path:?}]")).is_ok(), "{path}");
    }
}

#[test]
fn grant_of_what_is_the_kernels_or_a_socket_is_refused() {
    let place = Place::new(&["home/user/project/file"]);
    let _listener = UnixListener::bind(place.at("home/user/project/socket")).unwrap();
    for path in ["/proc", "/proc/1", "/proc/self", "/sys", "/dev", "/dev/null", "/run", "~/project/socket"] {
        let refused = place.granting(&format!("read = [{path:?}]"));
        assert!(matches!(refused, Err(PlanError::WayAround { .. })), "{path}: {refused:?}");
    }
    assert!(place.granting("read = ['~/project/file']").is_ok());
}

#[test]
fn paths_start_where_they_say_and_must_be_there() {
    let place = Place::new(&["home/user/project/file", "etc/beside/file"]);
    let plan = place.granting("read = ['~/project', 'beside']\nwrite = ['./beside/file']").unwrap();
    let expected =
        [("etc/beside", Access::Read), ("etc/beside/file", Access::Write), ("home/user/project", Access::Read)];
    assert_eq!(place.shown(&plan), expected.map(|(path, access)| (path.to_owned(), access)));
    for path in ["~/projects", "besides", "/no/such/path", "~root/project", "$HOME/project"] {
        let refused = place.granting(&format!("read = [{path:?}]"));
        assert!(matches!(&refused, Err(PlanError::Missing { path: named }) if named == path), "{path}: {refused:?}");
    }
    symlink("nowhere", place.at("home/user/dangling")).unwrap();
    assert!(matches!(place.granting("read = ['~/dangling']"), Err(PlanError::Missing { .. })));
}

#[test]
fn path_that_is_no_text_cannot_be_granted_by_way_of_a_link() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new(&[]);
    let odd = place.at("home/user").join(std::ffi::OsStr::from_bytes(b"odd\xff"));
    fs::create_dir(&odd).unwrap();
    symlink(&odd, place.at("home/user/even")).unwrap();
    assert!(matches!(place.granting("read = ['~/even']"), Err(PlanError::NotText(_))));
}

#[test]
fn links_are_shown_as_links_to_what_they_lead_to() {
    let place = Place::new(&["home/user/real/file"]);
    symlink("second", place.at("home/user/first")).unwrap();
    symlink("real", place.at("home/user/second")).unwrap();
    let plan = place.granting("read = ['~/first']").unwrap();
    assert_eq!(place.shown(&plan), [("home/user/real".to_owned(), Access::Read)]);
    let link = plan.links.iter().find(|link| link.from.ends_with("/first")).unwrap();
    assert!(link.to.ends_with("home/user/real"), "{link:?}");
    // One that leads to the whole home is the whole home.
    symlink(".", place.at("home/user/all")).unwrap();
    assert!(matches!(place.granting("read = ['~/all']"), Err(PlanError::TooBroad { .. })));
}

#[test]
fn home_behind_a_link_is_the_same_home() {
    let place = Place::new(&["home/user/project/file", "home/user/.ssh/key"]);
    symlink("home", place.at("h")).unwrap();
    let behind = |config: &str| place.of(config, "/bin/true", |asked| asked.home = Some(place.at("h/user")));
    let plan = behind("read = ['~/project']").unwrap();
    assert_eq!(place.shown(&plan), [("home/user/project".to_owned(), Access::Read)]);
    assert!(plan.home.ends_with("h/user"));
    for path in ["~", &place.at("home/user").display().to_string(), &place.at("h").display().to_string()] {
        assert!(matches!(behind(&format!("read = [{path:?}]")), Err(PlanError::TooBroad { .. })), "{path}");
    }
    // Whoever names what is hidden, by the name it has, wants it.
    for path in ["~/.ssh", &place.at("home/user/.ssh").display().to_string()] {
        let hidden = behind(&format!("read = [{path:?}]")).unwrap().hidden;
        assert!(!hidden.iter().any(|path| path.ends_with(".ssh")), "{path} {hidden:?}");
    }
}

#[test]
fn what_profiles_hide_is_hidden_unless_it_is_named() {
    let place =
        Place::new(&["home/user/.config/gh/hosts", "home/user/.config/plain", "home/user/.local/share/keyrings/login"]);
    let hidden = |config: &str| -> Vec<String> {
        let plan = place.granting(config).unwrap();
        plan.hidden
            .iter()
            .filter_map(|path| path.strip_prefix(place.at("home/user/").to_str().unwrap()).map(String::from))
            .collect()
    };
    assert_eq!(hidden("read = ['~/.config']"), [".config/gh"]);
    assert_eq!(hidden("read = ['~/.config', '~/.config/gh']"), Vec::<String>::new());
    assert_eq!(hidden("read = ['~/.config/plain']"), Vec::<String>::new(), "nothing of it is shown");
    // What holds it stays in its place, where it could be moved.
    let plan = place.granting("write = ['~/.local']").unwrap();
    let expected = [("home/user/.local", Access::Write), ("home/user/.local/share", Access::Write)];
    assert_eq!(place.shown(&plan), expected.map(|(path, access)| (path.to_owned(), access)));
    let plan = place.granting("read = ['~/.local']").unwrap();
    assert_eq!(place.shown(&plan), [("home/user/.local".to_owned(), Access::Read)]);
}

#[test]
fn link_into_what_is_hidden_grants_nothing() {
    let place = Place::new(&["home/user/.ssh/key", "home/user/desk/plain/file"]);
    symlink("../.ssh", place.at("home/user/desk/notes")).unwrap();
    symlink("../.ssh/key", place.at("home/user/desk/file")).unwrap();
    for path in ["~/desk/notes", "~/desk/file"] {
        let refused = place.granting(&format!("read = [{path:?}]"));
        assert!(matches!(refused, Err(PlanError::WayAround { .. })), "{path}: {refused:?}");
    }
    assert!(place.granting("read = ['~/desk/plain']").is_ok());
    // Nor does an argument.
    let shown = place.shows("/bin/true {P}/home/user/desk/file {P}/home/user/desk/plain/file");
    assert_eq!(shown, ["home/user/desk/plain/file"]);
}

#[test]
fn what_permits_the_server_cannot_be_granted_for_writing() {
    let place = Place::new(&["home/user/project/conf/sekisho.toml", "home/user/project/src/main"]);
    let of = |config: &str, hidden: &str| place.of(config, "/bin/true", |asked| asked.hidden = vec![place.at(hidden)]);
    for hidden in ["home/user/project/conf", "home/user/project/not/there/yet"] {
        let refused = of("write = ['~/project']", hidden);
        assert!(matches!(refused, Err(PlanError::WayAround { .. })), "{hidden}: {refused:?}");
        assert!(of("write = ['~/project/src']", hidden).is_ok());
    }
    let plan = of("read = ['~/project']", "home/user/project/conf").unwrap();
    assert!(plan.hidden.iter().any(|path| path.ends_with("project/conf")), "it may be read around it");
    // Nor by way of what the command names.
    let refused = place.of("profile = 'filesystem'", "/bin/true {P}/home/user/project", |asked| {
        asked.hidden = vec![place.at("home/user/project/conf")];
    });
    assert!(matches!(refused, Err(PlanError::WayAround { .. })), "{refused:?}");
}

#[test]
fn without_namespaces_what_is_hidden_is_left_out_or_the_grant_is_refused() {
    let place = Place::new(&["home/user/.config/gh/hosts", "home/user/.config/plain", "home/user/.config/deep/x"]);
    let partial = |config: &str| place.of(config, "/bin/true", |asked| asked.tier = Tier::Partial);
    let plan = partial("read = ['~/.config']").unwrap();
    let expected = [("home/user/.config/deep", Access::Read), ("home/user/.config/plain", Access::Read)];
    assert_eq!(place.shown(&plan), expected.map(|(path, access)| (path.to_owned(), access)));
    assert!(matches!(partial("write = ['~/.config']"), Err(PlanError::CannotHide { .. })));
    assert!(partial("write = ['~/.config/deep']").is_ok());
    assert_eq!(plan.home, plan.own_home, "nothing can be shown at another place");
}

#[test]
fn folders_that_a_command_names_are_for_servers_that_work_on_those() {
    let place = Place::new(&["home/user/desk/file", "home/user/repository/file"]);
    let access = |command: &str| place.of("", command, |_| {}).map(|plan| place.shown(&plan));
    let written = |path: &str| Ok(vec![(path.to_owned(), Access::Write)]);
    assert_eq!(
        access("/bin/npx -y @modelcontextprotocol/server-filesystem@1.0 {P}/home/user/desk"),
        written("home/user/desk")
    );
    assert_eq!(
        access("/bin/uvx mcp-server-git --repository {P}/home/user/repository"),
        written("home/user/repository")
    );
    assert_eq!(
        access("/bin/uvx mcp-server-git --repository={P}/home/user/repository"),
        written("home/user/repository")
    );
    // Another server gets no folder, and a file to read.
    assert_eq!(access("/bin/npx other-server {P}/home/user/desk"), Ok(Vec::new()));
    assert_eq!(
        access("/bin/other-server --config={P}/home/user/desk/file"),
        Ok(vec![("home/user/desk/file".to_owned(), Access::Read)])
    );
    let whole = access("/bin/npx @modelcontextprotocol/server-filesystem {P}/home/user");
    assert!(matches!(whole, Err(PlanError::TooBroad { .. })), "{whole:?}");
    // The folder that it starts in.
    let here = place.of("", "/bin/npx @modelcontextprotocol/server-filesystem .", |asked| {
        asked.folder = Some(place.at("home/user/desk"))
    });
    assert_eq!(here.map(|plan| place.shown(&plan)), written("home/user/desk"));
}

#[test]
fn script_brings_its_project_and_one_of_none_only_itself() {
    let place = Place::new(&[
        "home/user/project/package.json",
        "home/user/project/dist/index.js",
        "home/user/loose.py",
        "home/user/Downloads/server.py",
        "home/user/code/tool/server.py",
        "home/user/code/tool/helper.py",
        "home/user/lib/node_modules/a/dist/index.js",
        "home/user/lib/node_modules/b/index.js",
        "home/user/desk/bin/server.py",
        "home/user/desk/secret",
    ]);
    assert_eq!(place.shows("/usr/bin/node {P}/home/user/project/dist/index.js"), ["home/user/project"]);
    assert_eq!(
        place.shows("/usr/bin/node {P}/home/user/lib/node_modules/a/dist/index.js"),
        ["home/user/lib/node_modules"]
    );
    assert_eq!(place.shows("/usr/bin/python3 {P}/home/user/code/tool/server.py"), ["home/user/code/tool"]);
    // Where people keep everything.
    assert_eq!(place.shows("/usr/bin/python3 {P}/home/user/loose.py"), ["home/user/loose.py"]);
    assert_eq!(place.shows("/usr/bin/python3 {P}/home/user/Downloads/server.py"), ["home/user/Downloads/server.py"]);
    assert_eq!(place.shows("/usr/bin/python3 {P}/home/user/desk/bin/server.py"), ["home/user/desk/bin/server.py"]);
}

#[test]
fn virtual_environment_brings_itself_and_what_it_stands_on() {
    let place = Place::new(&["home/user/python/lib/x", "home/user/python/bin/python3.12"]);
    symlink("python3.12", place.at("home/user/python/bin/python3")).unwrap();
    place.file(
        "home/user/venv/pyvenv.cfg",
        &format!("home = {}\nversion = 3.12\n", place.at("home/user/python/bin").display()),
    );
    place.file("home/user/venv/bin/server", &format!("#!{}\n", place.at("home/user/venv/bin/python").display()));
    symlink(place.at("home/user/python/bin/python3"), place.at("home/user/venv/bin/python")).unwrap();
    assert_eq!(place.shows("{P}/home/user/venv/bin/server"), ["home/user/python", "home/user/venv"]);
    assert_eq!(place.shows("{P}/home/user/venv/bin/python -m server"), ["home/user/python", "home/user/venv"]);
    // A folder with a `bin` is none by that alone.
    let place = Place::new(&["home/user/desk/bin/tool", "home/user/desk/secret"]);
    assert_eq!(place.shows("{P}/home/user/desk/bin/tool"), ["home/user/desk/bin/tool"]);
}

#[test]
fn folder_of_a_version_manager_is_shown_to_a_program_in_it() {
    let place = Place::new(&[
        "home/user/.nvm/versions/node/v22/bin/node",
        "home/user/.nvm/versions/node/v22/lib/x",
        "home/user/.volta/x",
    ]);
    assert_eq!(place.shows("{P}/home/user/.nvm/versions/node/v22/bin/node"), ["home/user/.nvm"]);
    assert_eq!(place.shows("/usr/bin/node"), Vec::<String>::new());
}

#[test]
fn more_grants_than_a_plan_holds_are_refused() {
    let files: Vec<String> = (0..VIEWS_MAX).map(|number| format!("home/user/many/{number}")).collect();
    let place = Place::new(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let paths: Vec<String> = (0..VIEWS_MAX).map(|number| format!("'~/many/{number}'")).collect();
    assert_eq!(place.granting(&format!("read = [{}]", paths.join(", "))), Err(PlanError::TooMany));
    assert!(place.granting(&format!("read = [{}]", paths[..VIEWS_MAX / 2].join(", "))).is_ok());
}

#[test]
fn offer_of_a_profile_takes_nothing_from_what_was_granted() {
    let place = Place::new(&["home/user/.npm/_npx/x/package.json"]);
    let access = |config: &str| place.of(config, "/bin/npx thing", |_| {}).map(|plan| place.shown(&plan)).unwrap();
    assert_eq!(access(""), [("home/user/.npm/_npx".to_owned(), Access::Copy)]);
    assert_eq!(access("write = ['~/.npm/_npx']"), [("home/user/.npm/_npx".to_owned(), Access::Write)]);
}

#[test]
fn what_others_run_unseen_is_not_changed_in_a_folder_that_is_unless_it_is_named() {
    let place = Place::new(&[
        "home/user/project/.git/hooks/pre-commit",
        "home/user/project/.git/config",
        "home/user/project/.git/HEAD",
        "home/user/project/.mcp.json",
    ]);
    let shown = |config: &str| place.shown(&place.granting(config).unwrap());
    let project = |path: &str, access| (format!("home/user/project{path}"), access);
    let expected = [
        project("", Access::Write),
        // By itself, so that it cannot be renamed with what lies in it.
        project("/.git", Access::Write),
        project("/.git/config", Access::Read),
        project("/.git/hooks", Access::Read),
        project("/.mcp.json", Access::Read),
    ];
    assert_eq!(shown("write = ['~/project']"), expected);
    let named = shown("write = ['~/project', '~/project/.mcp.json']");
    assert!(!named.contains(&project("/.mcp.json", Access::Read)) && named.contains(&expected[3]), "{named:?}");
    assert_eq!(shown("read = ['~/project']"), [project("", Access::Read)]);
}

#[test]
fn link_that_the_server_may_change_grants_nothing_out_of_what_it_may_change() {
    let place = Place::new(&[
        "home/user/project/data/file",
        "home/user/documents/letter",
        "home/user/documents/sub/letter",
        "etc/settings",
    ]);
    let link = |from: &str, to: &str| {
        let from = place.at(from);
        let _before = fs::remove_file(&from);
        symlink(place.at(to), from).unwrap();
    };
    // As the server leaves it before its next start.
    link("home/user/project/swapped", "home/user/documents");
    for config in [
        "write = ['~/project']\nread = ['~/project/swapped']",
        "write = ['~/project']\nread = ['~/project/swapped/sub']",
        "write = ['~/project', '~/project/swapped']",
    ] {
        let refused = place.granting(config).unwrap_err();
        assert!(matches!(refused, PlanError::WayAround { .. }), "{config}: {refused}");
    }
    let command = "npx @modelcontextprotocol/server-filesystem {P}/home/user/project {P}/home/user/project/swapped";
    assert!(matches!(place.of("", command, |_| {}), Err(PlanError::WayAround { .. })));
    // What it leads to is not offered, either.
    link("home/user/project/conf.json", "etc/settings");
    let plan = place.of("write = ['~/project']", "/bin/true {P}/home/user/project/conf.json", |_| {}).unwrap();
    assert_eq!(place.shown(&plan), [("home/user/project".to_owned(), Access::Write)]);
    // Within what it may change it may lead anywhere; and outside of it the link is nobody's but the user's.
    link("home/user/project/swapped", "home/user/project/data");
    assert!(place.granting("write = ['~/project']\nread = ['~/project/swapped']").is_ok());
    link("home/user/own", "home/user/documents");
    assert!(place.granting("write = ['~/project']\nread = ['~/own']").is_ok());
}

#[test]
fn what_a_server_may_write_tells_nothing_about_what_it_may_read() {
    let place =
        Place::new(&["home/user/project/.venv/bin/python", "home/user/other/lib/x", "home/user/other/bin/python3"]);
    let config = place.at("home/user/other/bin").display().to_string();
    fs::write(place.at("home/user/project/.venv/pyvenv.cfg"), format!("home = {config}\n")).unwrap();
    let command = "{P}/home/user/project/.venv/bin/python -m server";
    let shown = |config: &str| place.shown(&place.of(config, command, |_| {}).unwrap());
    assert!(shown("").contains(&("home/user/other".to_owned(), Access::Read)));
    assert_eq!(shown("write = ['~/project']"), [("home/user/project".to_owned(), Access::Write)]);
}

#[test]
fn what_is_kept_from_all_servers_is_granted_to_none() {
    let place = Place::new(&["data/homes/other/x", "etc/sekisho.toml", "etc/other"]);
    let kept = |asked: &mut Asked| asked.hidden = vec![place.at("data"), place.at("etc/sekisho.toml")];
    for config in ["read = ['../data/homes/other']", "read = ['../data']", "write = ['.']", "read = ['sekisho.toml']"] {
        let refused = place.of(config, "/bin/true", kept).unwrap_err();
        assert!(matches!(refused, PlanError::WayAround { .. }), "{config}: {refused}");
    }
    let plan = place.of("read = ['.']", "/bin/true", kept).unwrap();
    assert!(plan.hidden.contains(&place.at("etc/sekisho.toml").display().to_string()), "{plan:?}");
    assert!(place.of("read = ['other']", "/bin/true", kept).is_ok());
}

#[test]
fn program_in_the_home_is_executed_as_the_file_that_it_is() {
    let place = Place::new(&["home/user/.local/share/srv/bin/srv"]);
    fs::create_dir_all(place.at("home/user/.local/bin")).unwrap();
    symlink(place.at("home/user/.local/share/srv/bin/srv"), place.at("home/user/.local/bin/srv")).unwrap();
    let plan = place.of("", "{P}/home/user/.local/bin/srv --stdio", |_| {}).unwrap();
    assert_eq!(plan.program, place.at("home/user/.local/share/srv/bin/srv").display().to_string());
    assert!(plan.command[0].ends_with(".local/bin/srv"), "it is called as it was");
}
