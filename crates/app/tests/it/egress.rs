//! `sekisho egress check`: the verdict before anything is asked.

use crate::support::{Home, Said, json, text_at};

fn check(home: &Home, arguments: &[&str]) -> Said {
    home.run(&[&["egress", "check"], arguments].concat())
}

fn words(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

#[test]
fn url_that_may_be_asked_is_told_with_its_addresses() {
    let home = Home::new();
    let said = check(&home, &["https://1.1.1.1/mcp"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.out, "1.1.1.1 may be asked\n  permitted: 1.1.1.1 is a public address\n");
    assert_eq!(said.err, "");
    let said = check(&home, &["http://localhost:1/"]);
    let line = "is a loopback address, which the URL names\n";
    assert!(said.code == 0 && said.out.starts_with("localhost may be asked\n") && said.out.contains(line), "{said:?}");
}

#[test]
fn url_that_may_not_be_asked_is_told_with_why_and_what_to_do() {
    let home = Home::new();
    for (url, parts) in [
        ("http://mcp.example.com/", &["mcp.example.com may not be asked", "must be https", "write it with https"][..]),
        ("https://169.254.169.254./", &["refused: 169.254.169.254 is a special-purpose address", "no configuration"]),
        ("https://0xa9fea9fe/", &["169.254.169.254 is a special-purpose address"]),
        ("https://[::ffff:127.0.0.1]/", &["is a special-purpose address"]),
        ("https://localhost./", &["a dot too many"]),
        ("https://10.1.2.3/", &["refused: 10.1.2.3 is in a private network", "internal_hosts = [\"10.1.2.3\"]"]),
        ("mcp.example.com", &["this is no URL", "https://mcp.example.com/mcp"]),
    ] {
        let said = check(&home, &[url]);
        let told = words(&said.out) + &words(&said.err);
        assert!(said.code == 1 && told.contains("SK0306"), "{url}: {said:?}");
        for part in parts {
            assert!(told.contains(part), "{url}: {part} in {told}");
        }
    }
}

#[test]
fn rules_are_those_of_the_configuration() {
    let home = Home::new();
    let listed = home.config() + "[egress]\ninternal_hosts = [\"10.1.2.3\"]\n";
    home.write("sekisho.toml", &listed);
    let said = check(&home, &["https://10.1.2.3/"]);
    assert!(said.code == 0 && said.out.contains("`internal_hosts` has the URL's host"), "{said:?}");
    assert_eq!(check(&home, &["https://10.1.2.4/"]).code, 1);
    home.write("other.toml", &home.config());
    assert_eq!(check(&home, &["https://10.1.2.3/", "--config", "other.toml"]).code, 1);

    let missing = check(&home, &["https://1.1.1.1/", "--config", "missing.toml"]);
    assert!(missing.code == 1 && missing.err.contains("SK0101"), "{missing:?}");
    home.write("sekisho.toml", &listed.replace("10.1.2.3", "*.corp.example"));
    let wrong = check(&home, &["https://1.1.1.1/"]);
    assert!(wrong.code == 1 && wrong.out.is_empty(), "{wrong:?}");
    for part in ["SK0104", "must not have a wildcard", "sekisho.toml:16:19"] {
        assert!(wrong.err.contains(part), "{part} in {}", wrong.err);
    }
}

#[test]
fn without_a_configuration_the_defaults_hold_and_that_is_said() {
    let home = Home::empty();
    let said = check(&home, &["https://10.1.2.3/"]);
    assert!(said.code == 1 && said.err.contains("there is no sekisho.toml here"), "{said:?}");
    let said = check(&home, &["https://1.1.1.1/"]);
    assert!(said.code == 0 && said.err.contains("there is no sekisho.toml here"), "{said:?}");
}

#[test]
fn machines_get_the_verdict_as_json() {
    let home = Home::new();
    let said = check(&home, &["https://1.1.1.1/", "--json"]);
    let told = json(&said.out);
    assert!(said.code == 0 && said.out.contains("\"permitted\": true"), "{said:?}");
    assert_eq!(text_at(&told, &["host"]), "1.1.1.1");
    assert_eq!(text_at(&told, &["configuration"]), "sekisho.toml");
    let said = check(&home, &["https://[fd12::1]/", "--json"]);
    let told = json(&said.out);
    assert!(said.code == 1 && !said.out.contains("\"permitted\": true"), "{said:?}");
    assert_eq!(text_at(&told, &["code"]), "SK0306");
    let address = told.get("addresses").unwrap().elements().next().unwrap();
    assert_eq!(text_at(&address, &["address"]), "fd12::1");
    assert!(text_at(&address, &["why"]).starts_with("fd12::1 is in a private network"), "{said:?}");
}

#[test]
fn user_and_password_of_the_url_are_never_printed() {
    let home = Home::new();
    for url in [
        "https://ann:hunter2@1.1.1.1/",
        "https://hunter2@10.0.0.1/",
        "https://ann:hunter2@/",
        "ann:hunter2@mcp.example",
    ] {
        for form in [&[url][..], &[url, "--json"]] {
            let said = check(&home, form);
            assert!(said.code == 1 && !format!("{said:?}").contains("hunter2"), "{said:?}");
        }
    }
}
