//! Starting, reloading, looking on, stopping.

use std::net::TcpListener;

use nix::sys::signal::Signal;

use crate::support::{Home, exists, json, text_at};

#[test]
fn gateway_starts_tells_its_status_and_stops_in_peace() {
    let home = Home::new();
    let mut gateway = home.serve();
    let status = home.run(&["status"]);
    for part in
        ["process ", &format!("127.0.0.1:{}", home.port), "policy.cedar", "healthy", "dangerous   none", "absent"]
    {
        assert!(status.out.contains(part), "{part} in {}", status.out);
    }
    let seen = json(&home.run(&["status", "--json"]).out);
    assert_eq!(text_at(&seen, &["policy_sha256"]).len(), 64);
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.end().code(), Some(0), "{}", gateway.log());
    assert!(!exists(&home.path("sekisho-data/control.sock")));
}

#[test]
fn status_without_a_gateway_says_so() {
    let said = Home::new().run(&["status"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("SK0301") && said.err.contains("sekisho serve"), "{said:?}");
    assert!(said.err.contains("nothing runs now"), "{said:?}");
}

#[test]
fn status_is_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let _gateway = home.serve();
    let mode = |name: &str| std::fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("sekisho-data"), mode("sekisho-data/control.sock")), (0o700, 0o600));
}

#[test]
fn taken_port_is_told_with_what_to_do() {
    let home = Home::new();
    let _taken = TcpListener::bind(("127.0.0.1", home.port)).unwrap();
    let said = home.run(&["serve"]);
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("SK0201") && said.err.contains(&home.port.to_string()) && said.err.contains("`listen`"),
        "{said:?}"
    );
}

#[test]
fn data_folder_in_use_is_refused() {
    let home = Home::new();
    let _gateway = home.serve();
    let said = home.run(&["serve"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("SK0203") && said.err.contains("data_dir"), "{said:?}");
    assert_eq!(home.run(&["status"]).code, 0, "the one that runs is left alone");
}

#[test]
fn data_folder_that_cannot_be_written_to_is_refused() {
    let home = Home::new();
    // No user can make a folder there.
    home.write("sekisho.toml", &("data_dir = \"/sys/sekisho-test\"\n".to_owned() + &home.config()));
    let said = home.run(&["serve"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("SK0204") && said.err.contains("/sys/sekisho-test"), "{said:?}");
}

#[test]
fn data_folder_open_to_others_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    std::fs::create_dir(home.path("sekisho-data")).unwrap();
    std::fs::set_permissions(home.path("sekisho-data"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let said = home.run(&["serve"]);
    assert!(said.code == 1 && said.err.contains("SK0205") && said.err.contains("chmod 0700"), "{said:?}");
}

#[test]
fn gateway_starts_though_a_server_is_down_and_says_which() {
    let home = Home::new();
    let gateway = home.serve();
    gateway.wait_for("the log names the server", || {
        let log = gateway.log();
        log.contains("SK0208") && log.contains("absent")
    });
    let status = home.run(&["status"]).out;
    let line = status.lines().find(|line| line.contains("absent")).unwrap();
    assert!(line.contains("DOWN") && line.trim_end().len() > "  absent   DOWN".len() + 20, "{status}");
}

#[test]
fn good_change_is_taken_over_and_a_wrong_one_is_not() {
    let home = Home::new();
    let gateway = home.serve();
    let digest = || text_at(&json(&home.run(&["status", "--json"]).out), &["policy_sha256"]);
    let first = digest();

    home.write("policy.cedar", "@id(\"other\") permit (principal, action, resource);\n");
    gateway.wait_for("the changed policy is in use", || digest() != first);
    let second = digest();

    home.write("policy.cedar", "permit (principal, action);\n");
    gateway.wait_for("the wrong policy is told", || home.run(&["status"]).out.contains("NOT IN USE"));
    assert_eq!(digest(), second);
    let log = gateway.log();
    assert!(log.contains("SK0209") && log.contains("policy.cedar:1:"), "{log}");

    home.write("policy.cedar", "@id(\"third\") permit (principal, action, resource);\n");
    gateway.wait_for("the mended policy is in use", || !home.run(&["status"]).out.contains("NOT IN USE"));
    assert_ne!(digest(), second);

    let records = home.run(&["audit", "tail", "--json"]).out;
    let configs: Vec<_> = records.lines().map(json).filter(|record| text_at(record, &["kind"]) == "config").collect();
    let outcomes: Vec<String> = configs.iter().map(|record| text_at(record, &["outcome"])).collect();
    assert_eq!(outcomes, ["completed", "failed", "completed"], "{records}");
    assert!(text_at(&configs[1], &["reason"]).contains("policy.cedar:1:"), "{records}");
}

#[test]
fn wrong_configuration_is_told_by_a_status_that_still_works() {
    let home = Home::new();
    let gateway = home.serve();
    for (wrong, code) in
        [(home.config().replace("[policy]", "[polixy]"), "SK0103"), (home.config() + "[policy\n", "SK0102")]
    {
        home.write("sekisho.toml", &wrong);
        gateway.wait_for("it is told", || home.run(&["status"]).out.contains(code));
        assert_eq!(home.run(&["audit", "tail"]).code, 0);
    }
}

#[test]
fn second_signal_stops_at_once() {
    let home = Home::new();
    // It neither answers nor ends when it is told to, so that ending it takes seconds.
    let stubborn = "command = [\"/bin/sh\", \"-c\", \"trap '' TERM; exec sleep 60\"]\ndangerous_launch = [\"sh -c\"]";
    let config = home.config().replace("command = [\"./there-is-no-such-program\"]", stubborn);
    home.write("sekisho.toml", &(config + "[catalog]\ndangerous_trust_on_first_use = true\n"));
    let mut gateway = home.serve();
    gateway.signal(Signal::SIGTERM);
    gateway.wait_for("it is stopping", || gateway.log().contains("a second signal stops at once"));
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.end().code(), Some(1));
    assert!(gateway.log().contains("stopped at once"), "{}", gateway.log());
}

#[test]
fn change_that_needs_a_restart_is_told_and_not_used() {
    let home = Home::new();
    let gateway = home.serve();
    home.write("sekisho.toml", &(home.config() + "[audit]\nlevel = \"durable\"\n"));
    gateway.wait_for("it is told", || home.run(&["status"]).out.contains("SK0113"));
    home.write("sekisho.toml", &home.config());
    gateway.wait_for("it is told no more", || !home.run(&["status"]).out.contains("SK0113"));
}

#[test]
fn hangup_reads_the_configuration_again() {
    let home = Home::new();
    let gateway = home.serve();
    gateway.signal(Signal::SIGHUP);
    gateway.wait_for("it was read", || gateway.log().contains("the changed configuration is in use"));
}

#[test]
fn start_and_stop_are_in_the_log_which_is_read_without_a_gateway() {
    let home = Home::new();
    let mut gateway = home.serve();
    gateway.signal(Signal::SIGINT);
    assert_eq!(gateway.end().code(), Some(0), "{}", gateway.log());
    let tail = home.run(&["audit", "tail"]);
    assert_eq!(tail.code, 0);
    assert!(tail.out.contains("lifecycle") && tail.out.contains("started") && tail.out.contains("stopped"), "{tail:?}");
    assert_eq!(home.run(&["audit", "tail", "-n", "1"]).out.lines().count(), 1);
    let why = home.run(&["why", "no-such-request"]);
    assert!(why.code == 1 && why.err.contains("SK0302"), "{why:?}");
    let _ = home.run(&["audit", "tail", "-n", "0"]);
}

#[test]
fn audit_tail_follows_until_nobody_reads() {
    let home = Home::new();
    let _gateway = home.serve();
    let follower = home.start(&["audit", "tail", "-f", "-n", "0"]);
    follower.wait_for("it follows", || {
        home.write(
            "policy.cedar",
            &format!("permit (principal, action, resource);\n// {:?}\n", std::time::Instant::now()),
        );
        follower.out().contains(" config ")
    });
}

#[test]
fn log_is_json_where_asked_for() {
    let home = Home::new();
    let gateway = home.start(&["serve", "--log", "json"]);
    gateway.wait_for("it listens", || home.run(&["status"]).code == 0);
    for line in gateway.log().lines() {
        assert!(!text_at(&json(line), &["level"]).is_empty(), "{line}");
    }
}

#[test]
fn token_needs_the_developer_issuer() {
    let said = Home::new().run(&["token"]);
    assert!(said.code == 1 && said.err.contains("SK0304"), "{said:?}");
}
