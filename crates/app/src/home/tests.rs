use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn home() -> (tempfile::TempDir, Home) {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new(System::Linux, dir.path().to_owned(), &|_| None);
    let home = Home::locate(&machine);
    (dir, home)
}

fn new(name: &str, command: &[&str]) -> NewServer {
    NewServer {
        name: ServerId::parse(name).unwrap(),
        server: Server { command: command.iter().map(|text| (*text).to_owned()).collect(), ..Server::default() },
        cage: Cage {
            profile: Some("git".to_owned()),
            read: vec!["~/a".to_owned()],
            write: vec!["~/b \"c\"".to_owned()],
            hosts: vec!["api.example.com:443".to_owned()],
        },
        timeout_seconds: Some(120),
        origin: "From a\ntest.".to_owned(),
    }
}

#[test]
fn places_are_those_of_the_base_directory_specification() {
    let named = |name: &str| match name {
        "XDG_CONFIG_HOME" => Some("/c".into()),
        "XDG_STATE_HOME" => Some("/s".into()),
        _ => None,
    };
    let home = Home::locate(&Machine::new(System::Linux, "/h".into(), &named));
    assert_eq!((home.path(), home.state()), ("/c/sekisho/sekisho.toml".into(), Path::new("/s/sekisho")));
    let home = Home::locate(&Machine::new(System::Linux, "/h".into(), &|_| None));
    assert_eq!(
        (home.path(), home.state()),
        ("/h/.config/sekisho/sekisho.toml".into(), Path::new("/h/.local/state/sekisho"))
    );
}

#[test]
fn missing_home_configuration_is_told_with_what_to_do() {
    let (_dir, home) = home();
    assert!(home.load().unwrap_err()[0].line().contains("sekisho import"));
    assert!(home.servers().unwrap().is_empty());
}

#[test]
fn configuration_is_made_once_for_its_owner_alone() {
    let (_dir, home) = home();
    home.ensure().unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(home.folder()), mode(&home.path()), mode(home.state())), (0o700, 0o600, 0o700));
    let loaded = home.load().unwrap();
    assert!(crate::developer::is_believed(&loaded) && home.state().join(KEYS).exists());
    assert_eq!(loaded.folder().path(), home.state());
    std::fs::write(home.folder().join("policy.cedar"), "// mine\n").unwrap();
    let text = std::fs::read_to_string(home.path()).unwrap() + "# mine\n";
    std::fs::write(home.path(), &text).unwrap();
    home.ensure().unwrap();
    assert_eq!(std::fs::read_to_string(home.path()).unwrap(), text);
    assert_eq!(std::fs::read_to_string(home.folder().join("policy.cedar")).unwrap(), "// mine\n");
}

#[test]
fn server_is_added_once_and_another_of_its_name_is_refused() {
    let (_dir, home) = home();
    home.ensure().unwrap();
    let one = new("one", &["npx", "one"]);
    home.add(std::slice::from_ref(&one)).unwrap();
    let text = std::fs::read_to_string(home.path()).unwrap();
    home.add(std::slice::from_ref(&one)).unwrap();
    assert_eq!(std::fs::read_to_string(home.path()).unwrap(), text);
    let refused = home.add(&[new("one", &["npx", "other"])]).unwrap_err();
    assert!(refused[0].line().contains("another server `one`"), "{refused:?}");
    home.add(&[new("two", &["npx", "other"])]).unwrap();
    let after = std::fs::read_to_string(home.path()).unwrap();
    assert!(after.starts_with(&text) && home.load().unwrap().config.servers.len() == 2);
    assert!(home.add(&[new("three", &[])]).is_ok(), "what a server needs is checked before");
    assert!(new("three", &[]).check().unwrap_err().contains("exactly one"));
}

#[test]
fn cage_is_written_as_the_sandbox_reads_it() {
    let one = new("one", &["npx", "a \"b\""]);
    let expected = "\n# From a test.\n[servers.one]\ncommand = [\"npx\", 'a \"b\"']\ntimeout_seconds = 120\n\
        [servers.one.sandbox]\nprofile = \"git\"\nread = [\"~/a\"]\nwrite = ['~/b \"c\"']\nhosts = [\"api.example.com:443\"]\n";
    assert_eq!(section(&one), expected);
    let parsed: toml::Table = section(&one).parse().unwrap();
    assert_eq!(parsed["servers"]["one"]["sandbox"]["write"][0].as_str(), Some("~/b \"c\""));
}

#[test]
fn configuration_that_was_changed_while_it_was_written_is_left_alone() {
    let (_dir, home) = home();
    home.ensure().unwrap();
    let path = home.path();
    let error = files::replace(&path, b"something else", b"new").unwrap_err();
    assert!(error.to_string().contains("changed meanwhile"));
    assert!(files::create(&path, b"new").is_err());
    let left: Vec<_> = std::fs::read_dir(home.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing is left beside: {left:?}");
}

#[test]
fn policy_permits_the_user_and_nobody_else() {
    let (_dir, home) = home();
    home.ensure().unwrap();
    let policy = std::fs::read_to_string(home.folder().join("policy.cedar")).unwrap();
    let permits = policy.matches("\npermit (").count();
    assert_eq!(permits, policy.matches("\nwhen { principal.issuer == \"local\" };").count());
    assert!(permits > 0 && !policy.contains("\n  action,"));
}
