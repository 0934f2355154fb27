//! `sekisho config`, and the codes of what is wrong with a configuration.

use std::time::{Duration, SystemTime};

use crate::support::{Home, json};

/// The configuration with one thing changed, and what `config check` says to it.
fn refused(change: impl FnOnce(&Home, String) -> String, parts: &[&str]) {
    let home = Home::new();
    let text = change(&home, home.config());
    home.write("sekisho.toml", &text);
    let said = home.run(&["config", "check"]);
    assert_eq!(said.code, 1, "{said:?}");
    for part in parts {
        assert!(said.err.contains(part), "{part} in\n{}", said.err);
    }
    let served = home.run(&["serve"]);
    assert_eq!(served.code, 1, "what `config check` refuses does not start: {served:?}");
    assert!(served.err.contains(parts[0]), "{served:?}");
}

#[test]
fn good_configuration_is_good() {
    let said = Home::new().run(&["config", "check"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.out, "sekisho.toml is good: 1 servers, 1 policy files\n");
}

#[test]
fn unknown_key_is_refused_with_file_line_mark_and_the_nearest_known_key() {
    refused(
        |_, text| text.replace("public_url", "publik_url"),
        &["SK0103", "sekisho.toml:4:1", "publik_url = ", "did you mean `public_url`?", "────"],
    );
}

#[test]
fn wrong_type_is_refused_with_its_place() {
    refused(
        |_, text| text.replace("[policy]", "[limits]\nburst = \"many\"\n[policy]"),
        &["SK0104", "sekisho.toml:11:9"],
    );
}

#[test]
fn everything_wrong_is_told_at_once() {
    let change = |_: &Home, text: String| {
        text.replace("listen =", "lisen =").replace("jwks_file", "jwks_fil").replace("command =", "comand =")
    };
    refused(change, &["SK0103", "did you mean `listen`?", "did you mean `jwks_file`?", "did you mean `command`?"]);
    let change = |home: &Home, text: String| {
        home.write("policy.cedar", "");
        home.write("jwks.json", "{}");
        text.replace("public_url = \"http://127.0.0.1:", "public_url = \"http://127.0.0.1/x#")
            .replace("absent", "Absent_")
    };
    refused(change, &["SK0104", "SK0107", "SK0111", "SK0112"]);
}

#[test]
fn missing_policy_is_refused() {
    refused(
        |_, text| text.replace("[policy]\nfiles = [\"policy.cedar\"]\n", ""),
        &["SK0106", "no policy is configured"],
    );
    refused(|_, text| text.replace("policy.cedar", "none.cedar"), &["SK0106", "none.cedar", "sekisho.toml:11:1"]);
}

#[test]
fn empty_policy_is_refused() {
    refused(
        |home, text| {
            home.write("policy.cedar", "// permit (principal, action, resource);\n");
            text
        },
        &["SK0107", "sekisho.toml:11:1"],
    );
    refused(|_, text| text.replace("\"policy.cedar\"", ""), &["SK0107"]);
}

#[test]
fn wrong_policy_is_refused_with_its_own_place() {
    refused(
        |home, text| {
            home.write("policy.cedar", "permit (principal, action, resource);\npermit (principal, action, resource) when { context.nothing };\n");
            text
        },
        &["SK0108", "policy.cedar:2:"],
    );
}

#[test]
fn missing_configuration_is_told_with_what_to_do() {
    let said = Home::empty().run(&["serve"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("SK0101") && said.err.contains("sekisho up"), "{said:?}");
}

#[test]
fn secret_references_are_resolved_and_never_printed() {
    let home = Home::new();
    let text = home.config() + "env = { NOTES_TOKEN = \"env:SEKISHO_TEST_TOKEN\" }\n";
    home.write("sekisho.toml", &text);
    let good = home.run_with(&["config", "check"], &[("SEKISHO_TEST_TOKEN", "hunter2-hunter2")]);
    assert_eq!(good.code, 0, "{good:?}");
    assert!(!format!("{good:?}").contains("hunter2"), "{good:?}");
    let unset = home.run(&["config", "check"]);
    assert!(unset.code == 1 && unset.err.contains("SK0109") && unset.err.contains("SEKISHO_TEST_TOKEN"), "{unset:?}");
}

#[test]
fn literal_secret_is_refused_and_not_repeated() {
    let home = Home::new();
    let text = home.config().replace(
        "command = [\"./there-is-no-such-program\"]",
        "url = \"https://a.example/mcp\"\nheaders = { authorization = \"Bearer hunter2\" }",
    );
    home.write("sekisho.toml", &text);
    let said = home.run(&["config", "check"]);
    assert!(said.code == 1 && said.err.contains("SK0109"), "{said:?}");
    assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
}

#[test]
fn telemetry_that_leads_nowhere_is_refused() {
    let with = |lines: &'static str| move |_: &Home, text: String| format!("{text}\n[telemetry]\n{lines}\n");
    refused(with("otlp_endpoint = \"http://otel.example.com\""), &["SK0114", "must be https"]);
    refused(with("otlp_endpoint = \"https://10.0.0.1\""), &["SK0114", "10.0.0.1"]);
    refused(with("sample_ratio = 2"), &["SK0104", "from 0 to 1"]);
    refused(with("otlp_headers = { Api-Key = \"env:SEKISHO_TEST_GONE\" }"), &["SK0109", "SEKISHO_TEST_GONE"]);
    refused(with("sample_rate = 1"), &["SK0103", "did you mean `sample_ratio`?"]);
}

#[test]
fn operators_door_that_others_reach_is_refused_unless_that_is_spelled_out() {
    let with = |lines: &'static str| move |_: &Home, text: String| format!("{text}\n[admin]\n{lines}\n");
    refused(with("listen = \"0.0.0.0:9464\""), &["SK0104", "dangerous_unauthenticated"]);
    refused(with("allowed_hosts = [\"a:1\"]"), &["SK0104", "no host name"]);
    let home = Home::new();
    home.write(
        "sekisho.toml",
        &with("listen = \"0.0.0.0:9464\"\ndangerous_unauthenticated = true")(&home, home.config()),
    );
    let said = home.run(&["config", "check"]);
    assert!(said.code == 0 && said.err.contains("admin.dangerous_unauthenticated"), "{said:?}");
}

#[test]
fn certificates_that_cannot_be_read_are_refused() {
    refused(
        |_, text| {
            text.replace("[policy]", "[gateway.tls]\ncertificate_file = \"c.pem\"\nkey_file = \"k.pem\"\n[policy]")
                .replace("http://", "https://")
        },
        &["SK0110", "c.pem", "k.pem"],
    );
}

#[test]
fn file_of_tomorrow_is_told_and_used() {
    let home = Home::new();
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let policy = std::fs::OpenOptions::new().append(true).open(home.path("policy.cedar")).unwrap();
    policy.set_modified(tomorrow).unwrap();
    let said = home.run(&["config", "check"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("SK0207") && said.err.contains("policy.cedar"), "{said:?}");
}

#[test]
fn schema_describes_every_section() {
    let said = Home::empty().run(&["config", "schema"]);
    assert_eq!(said.code, 0);
    let properties = json(&said.out).get("properties").unwrap();
    for section in
        ["gateway", "identity", "limits", "guard", "policy", "audit", "egress", "upstream", "servers", "data_dir"]
    {
        let described = properties.get(section).and_then(|section| section.get("description"));
        assert!(described.is_some(), "{section} has no description");
    }
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    let home = Home::empty();
    for arguments in
        [&["serv"][..], &["serve", "--listen", "x"], &[], &["up", "--port", "0"], &["serve", "--log-level", "loud"]]
    {
        assert_eq!(home.run(arguments).code, 2, "{arguments:?}");
    }
    assert_eq!(home.run(&["--help"]).code, 0);
    assert!(home.run(&["version"]).out.starts_with("sekisho "));
}
