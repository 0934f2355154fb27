//! Looking at servers and pinning them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use crate::support::Home;

/// A demo server, not confined, so that every machine can run it.
fn notes(name: &str) -> String {
    let program = env!("CARGO_BIN_EXE_sekisho");
    format!(
        "[servers.{name}]\ncommand = ['{program}', 'demo', 'notes', '--dir', '{name}']\n\
         [servers.{name}.sandbox]\ndangerous_unconfined = true\n"
    )
}

fn home(servers: &str) -> Home {
    let home = Home::new();
    let config = home.config();
    home.write("sekisho.toml", &format!("{}{servers}", config.split("[servers.absent]").next().unwrap()));
    home
}

/// A report without the breaks of its lines.
fn unwrapped(report: &str) -> String {
    report.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_server_that_cannot_be_set_up_keeps_no_other_from_being_pinned() {
    let secretive = format!("{}[servers.secretive.env]\nTOKEN = 'env:SEKISHO_TEST_UNSET'\n", notes("secretive"));
    let greedy = "[servers.greedy]\ncommand = ['/bin/cat']\n[servers.greedy.sandbox]\nread = ['/']\n";
    let home = home(&format!("{}{secretive}{greedy}", notes("good")));
    let said = home.run(&["lock", "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    for words in ["SK0311", "`secretive` cannot be set up", "SEKISHO_TEST_UNSET=…", "`greedy` cannot be set up"] {
        assert!(unwrapped(&said.err).contains(words), "{words} in {}", said.err);
    }
    let lock = std::fs::read_to_string(home.path("sekisho.lock")).unwrap();
    assert!(lock.contains("\"good\"") && !lock.contains("\"secretive\"") && !lock.contains("\"greedy\""), "{lock}");

    let said = home.run_with(&["lock", "--yes", "secretive"], &[("SEKISHO_TEST_UNSET", "x")]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(std::fs::read_to_string(home.path("sekisho.lock")).unwrap().contains("\"secretive\""));
}

#[test]
fn many_servers_are_looked_at_four_at_a_time() {
    let names: Vec<String> = (0..6).map(|number| format!("n{number}")).collect();
    let table = |name: &String| {
        format!("[servers.{name}]\ncommand = ['./{name}.sh']\n[servers.{name}.sandbox]\ndangerous_unconfined = true\n")
    };
    let home = home(&names.iter().map(table).collect::<String>());
    let order = home.path("order");
    for name in &names {
        // Each tells when a process of it begins and ends.
        let (program, order) = (env!("CARGO_BIN_EXE_sekisho"), order.display());
        let script = format!(
            "#!/bin/sh\necho + {name} >> {order}\n{program} demo notes --dir {name}\necho - {name} >> {order}\n"
        );
        home.write(&format!("{name}.sh"), &script);
        std::fs::set_permissions(home.path(&format!("{name}.sh")), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let said = home.run(&["lock", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    let order = std::fs::read_to_string(order).unwrap();
    let mut running = BTreeMap::<&str, i32>::new();
    let mut most = 0;
    for line in order.lines() {
        let (sign, name) = line.split_once(' ').unwrap();
        *running.entry(name).or_default() += if sign == "+" { 1 } else { -1 };
        most = most.max(running.values().filter(|count| **count > 0).count());
    }
    assert!(running.len() == 6 && (2..=4).contains(&most), "{most} at once: {order}");
    let lock = std::fs::read_to_string(home.path("sekisho.lock")).unwrap();
    assert!(names.iter().all(|name| lock.contains(&format!("\"{name}\""))), "{lock}");
}

#[test]
fn a_server_that_ends_at_once_is_told_with_the_last_line_it_wrote() {
    let home = home(
        "[servers.sad]\ncommand = ['./sad.sh']\nenv = { LINE = 'TOKEN is missing' }\n[servers.sad.sandbox]\ndangerous_unconfined = true\n",
    );
    home.write("sad.sh", "#!/bin/sh\necho first >&2\necho \"$LINE\" >&2\nexit 1\n");
    std::fs::set_permissions(home.path("sad.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    let said = home.run(&["lock", "--yes"]);
    let told = unwrapped(&said.err);
    assert!(said.code == 1 && told.contains("SK0311") && told.contains("error stream: “TOKEN is missing”"), "{told}");
    assert!(told.contains("`sekisho audit tail`") && !told.contains("first"), "{told}");
}

#[test]
fn a_named_server_that_is_pinned_already_stays_as_it_is_and_keeps_no_other_from_being_pinned() {
    let home = home(&format!("{}{}", notes("old"), notes("next")));
    let locked = || std::fs::read_to_string(home.path("sekisho.lock")).unwrap();
    assert_eq!(home.run(&["lock", "--yes", "old"]).code, 0);
    assert!(locked().contains("\"old\"") && !locked().contains("\"next\""));
    let said = home.run(&["lock", "--yes", "old", "next"]);
    assert!(said.code == 0 && said.err.contains("`old` is in") && said.err.contains("sekisho approve"), "{said:?}");
    assert!(locked().contains("\"old\"") && locked().contains("\"next\""));
    let said = home.run(&["lock", "--yes", "old"]);
    assert!(said.code == 0 && said.out.contains("every server that is named is in"), "{said:?}");
    let said = home.run(&["lock", "--yes", "old", "stranger"]);
    assert!(said.code == 1 && said.err.contains("has no server `stranger`"), "{said:?}");
}

#[test]
fn without_a_configuration_here_that_of_the_user_is_pinned_and_every_help_names_it() {
    let home = home(&notes("good"));
    std::fs::create_dir_all(home.path("xdg/sekisho")).unwrap();
    for file in ["sekisho.toml", "sekisho.lock", "jwks.json", "policy.cedar"] {
        std::fs::rename(home.path(file), home.path(&format!("xdg/sekisho/{file}"))).unwrap();
    }
    let config = home.path("xdg/sekisho/sekisho.toml").display().to_string();
    let xdg = home.path("xdg").display().to_string();
    let run = |arguments: &[&str]| home.run_with(arguments, &[("XDG_CONFIG_HOME", xdg.as_str())]);
    let checked = run(&["lock", "--check"]);
    assert!(unwrapped(&checked.err).contains(&format!("there is no `sekisho.toml` here: `{config}` is used")));
    assert!(checked.code == 1 && glued(&checked.err).contains(&glued(&format!("lock good --config {config}"))));
    for (arguments, code) in
        [(&["lock", "--yes"][..], 0), (&["catalog"], 0), (&["approve", "good", "--yes"], 0), (&["rollback"], 0)]
    {
        let said = run(arguments);
        assert!(said.code == code && said.err.matches("there is no `sekisho.toml` here").count() == 1, "{said:?}");
    }
    // One that is here is the one that is meant.
    home.write("sekisho.toml", &home.config());
    home.write("sekisho.lock", "{\"lockVersion\": 1, \"servers\": {}}\n");
    let here = run(&["lock", "--check"]);
    assert!(here.code == 1 && !here.err.contains("is used") && !here.err.contains("--config"), "{here:?}");
}

/// Without any space: long paths are broken anywhere.
fn glued(report: &str) -> String {
    unwrapped(report).replace(' ', "")
}
