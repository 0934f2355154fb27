//! `sekisho config`, and the codes of what is wrong with a configuration.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};

use crate::support::{Home, json, text_at};

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
fn certificates_that_cannot_be_used_are_refused_and_those_that_can_are_not() {
    let home = Home::new();
    let tls = "[gateway.tls]\ncertificate_file = \"c.pem\"\nkey_file = \"k.pem\"\n[policy]";
    home.write("sekisho.toml", &home.config().replace("[policy]", tls).replace("\"http://127", "\"https://127"));
    let issue = |until: i32| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let (certificate, key) = issue(2090);
    home.write("c.pem", &certificate);
    home.write("k.pem", &key);
    let good = home.run(&["config", "check"]);
    assert_eq!(good.code, 0, "{good:?}");

    let refused = |parts: &[&str]| {
        for command in [&["config", "check"][..], &["serve"]] {
            let said = home.run(command);
            let words = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
            let told = parts.iter().all(|part| words.contains(part));
            assert!(said.code == 1 && words.contains("SK0110") && told, "{parts:?} in {said:?}");
        }
    };
    home.write("k.pem", &issue(2090).1);
    refused(&["is not that of the certificate in", "sekisho.toml:12:1"]);
    let (certificate, key) = issue(2021);
    home.write("c.pem", &certificate);
    home.write("k.pem", &key);
    refused(&["has expired", "it was good until 2021-01-01T00:00:00Z", "sekisho.toml:11:1"]);
    home.write("c.pem", "no certificate");
    refused(&["holds no usable certificate in PEM form", "sekisho.toml:11:1"]);
}

#[test]
fn workers_are_between_1_and_256_and_change_with_a_restart() {
    for good in [1, 256] {
        let home = Home::new();
        home.write("sekisho.toml", &home.config().replace("[[identity", &format!("workers = {good}\n[[identity")));
        let mut gateway = home.serve();
        // A reload reads files on a worker, of which there may be one.
        home.write("policy.cedar", "@id(\"other\") permit (principal, action, resource);\n");
        gateway.wait_for("the policy is taken over", || gateway.log().contains("the changed configuration is in use"));
        home.write("sekisho.toml", &home.config().replace("[[identity", "workers = 2\n[[identity"));
        gateway.wait_for("the other number is refused", || gateway.log().contains("SK0113"));
        assert_eq!(home.run(&["status"]).code, 0);
        gateway.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(gateway.end().code(), Some(0), "{}", gateway.log());
    }
    for bad in [0, 257] {
        let parts = ["SK0104", "`gateway.workers`", "between 1 and 256", "sekisho.toml:6:1"];
        refused(|_, text| text.replace("[[identity", &format!("workers = {bad}\n[[identity")), &parts);
    }
}

#[test]
fn number_outside_its_range_is_refused_once_with_its_place() {
    let home = Home::new();
    home.write("sekisho.toml", &(home.config() + "timeout_seconds = 0\n[limits]\nburst = -1\n"));
    let said = home.run(&["config", "check"]);
    assert!(said.code == 1 && said.err.matches("SK0104").count() == 2, "{}", said.err);
    for part in ["`servers.absent.timeout_seconds` is 0, but must be between 1 and 3600", "sekisho.toml:17:9"] {
        assert!(said.err.contains(part), "{part} in\n{}", said.err);
    }
}

fn explained(home: &Home, path: &str) -> String {
    let said = home.run(&["config", "explain", path]);
    assert_eq!(said.code, 0, "{said:?}");
    said.out
}

#[test]
fn key_is_explained_with_value_origin_type_and_purpose() {
    let home = Home::new();
    home.write("sekisho.toml", &(home.config() + "timeout_seconds = 7\n"));
    let told = explained(&home, "servers.absent.timeout_seconds");
    for part in [
        "servers.absent.timeout_seconds = 7\n",
        "sekisho.toml:15 (default: 60); integer from 1 to 3600, in seconds; a change is taken over while it runs\n",
        "How long it may take to answer",
    ] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    let told = explained(&home, "limits.connections_max");
    for part in
        ["limits.connections_max = 4096\n    default; integer from 1 to 1000000; a change needs a restart", "4.1"]
    {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    assert!(explained(&home, "identity.issuers.0.issuer").contains("= \"https://login.example.com\""));
    assert!(explained(&home, "gateway.workers").contains("gateway.workers is not set"));
    assert_eq!(explained(&home, "servers.*.trust"), explained(&home, "servers.absent.trust"));
    assert!(explained(&home, "audit.level").contains("one of written, durable"));
    let all = home.run(&["config", "explain"]).out;
    for part in ["[limits]\n", "gateway.listen = ", "servers.absent.command = [\"./there-is-no-such-program\"]"] {
        assert!(all.contains(part), "{part} in\n{all}");
    }
}

#[test]
fn wrong_path_is_refused_with_the_nearest_one() {
    let home = Home::new();
    for (wrong, near) in [
        ("gateway.lisen", "gateway.listen"),
        ("servers.absnt.trust", "servers.absent.trust"),
        ("timeout_seconds", "servers.absent.timeout_seconds"),
        ("identity.issuers.1.issuer", "identity.issuers.0.issuer"),
    ] {
        let said = home.run(&["config", "explain", wrong]);
        let told = said.err.contains("SK0103") && said.err.contains(&format!("did you mean `{near}`?"));
        assert!(said.code == 1 && told, "{wrong}: {said:?}");
    }
    assert_eq!(home.run(&["config", "explain", "zzz"]).code, 1);
    assert_eq!(Home::empty().run(&["config", "explain"]).code, 1);
}

#[test]
fn secrets_are_neither_looked_up_nor_shown() {
    let home = Home::new();
    let secrets = r#"env = { API_TOKEN = "env:HUNTER", PLAIN = "hunter2", "A.B" = "file:a" }
[servers.far]
url = "https://u:hunter2@a.example/?key=hunter2"
headers = { authorization = "Bearer hunter2" }
trust = ["hunter2"]
[limits]
burst = "hunter2"
[audit]
level = 5
"#;
    home.write("sekisho.toml", &(home.config() + secrets));
    for form in [&["config", "explain"][..], &["config", "explain", "--json"]] {
        let said = home.run_with(form, &[("HUNTER", "hunter2")]);
        // What is wrong is told as `config check` tells it: with the line, unless a secret belongs there.
        let shown = said.out.split("\"problems\"").next().unwrap_or_default();
        assert!(said.code == 0 && !shown.contains("hunter2"), "{said:?}");
        assert!(!format!("{said:?}").contains("Bearer hunter2"), "{said:?}");
        assert!(said.out.contains("env:HUNTER") && said.out.contains("file:a"), "{said:?}");
    }
    let said = home.run(&["config", "explain", "servers.absent.env.API_TOKEN"]);
    assert!(said.out.contains("= \"env:HUNTER\"") && said.err.contains("SK0104"), "{said:?}");
    assert!(explained(&home, "servers.absent.env.\"A.B\"").contains("file:a"));
}

#[test]
fn configuration_with_mistakes_is_explained_as_far_as_it_goes() {
    let home = Home::new();
    home.write("sekisho.toml", &(home.config().replace("public_url", "publik_url") + "[limits]\nburst = = 1\n"));
    let said = home.run(&["config", "explain", "gateway"]);
    assert!(said.code == 0 && said.out.contains("gateway.public_url is missing"), "{said:?}");
    assert!(said.err.contains("SK0102") && said.err.contains("until that is mended"), "{said:?}");
}

#[test]
fn machines_get_the_same_as_json() {
    let home = Home::new();
    let said = home.run(&["config", "explain", "gateway.listen", "--json"]);
    let told = json(&said.out);
    let key = told.get("keys").unwrap().elements().next().unwrap();
    assert_eq!(text_at(&key, &["key"]), "gateway.listen");
    assert_eq!(text_at(&key, &["value"]), format!("127.0.0.1:{}", home.port));
    assert_eq!(text_at(&key, &["from", "file"]), "sekisho.toml");
    assert!(said.out.contains("\"line\": 3") && said.out.contains("\"restart\": true"), "{}", said.out);
    assert_eq!(told.get("problems").unwrap().elements().count(), 0);
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

#[test]
fn tokens_bound_to_certificates_need_a_listener_that_asks_for_them() {
    refused(
        |_, text| text.replace("jwks_file", "sender_constraint = \"mtls\"\njwks_file"),
        &["SK0111", "no client is asked for one", "client_certificates"],
    );
}
