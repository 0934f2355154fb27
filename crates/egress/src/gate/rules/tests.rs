use super::*;

fn rule(text: &str) -> HostRule {
    text.parse().unwrap()
}

fn covers(rule: &str, place: &str) -> bool {
    self::rule(rule).covers(&Place::parse(place).unwrap())
}

#[test]
fn rule_is_told_in_its_one_spelling_and_is_the_same_rule_again() {
    for (text, told) in [
        ("api.github.com:443", "api.github.com:443"),
        ("api.github.com", "api.github.com:443"),
        ("API.GitHub.com.:8443", "api.github.com:8443"),
        ("bücher.example", "xn--bcher-kva.example:443"),
        ("*.example.com:443", "*.example.com:443"),
        ("**.example.com", "**.example.com:443"),
        ("1.1.1.1:443", "1.1.1.1:443"),
        ("[2606:4700::1]:443", "[2606:4700::1]:443"),
        ("[2606:4700::1]", "[2606:4700::1]:443"),
        ("tcp://db.example.com:5432", "tcp://db.example.com:5432"),
        ("http://example.com:80", "http://example.com:80"),
        ("http://example.com", "http://example.com:80"),
        ("http://*.example.com:8080", "http://*.example.com:8080"),
    ] {
        assert_eq!(rule(text).to_string(), told, "{text}");
        assert_eq!(rule(told), rule(text), "{text}");
    }
    for (text, told) in [
        ("localhost:5432", "localhost:5432"),
        ("127.0.0.1:5432", "127.0.0.1:5432"),
        ("[::1]:5432", "[::1]:5432"),
        ("10.0.0.5:443", "10.0.0.5:443"),
        ("[fd12::1]:443", "[fd12::1]:443"),
        ("DB.corp.example.:5432", "db.corp.example:5432"),
        ("tcp://localhost:5432", "tcp://localhost:5432"),
        ("http://localhost:8080", "http://localhost:8080"),
    ] {
        let private: PrivateHost = text.parse().unwrap();
        assert_eq!(private.to_string(), told, "{text}");
        assert_eq!(told.parse::<PrivateHost>().unwrap(), private, "{text}");
    }
}

#[test]
fn what_is_no_rule_is_refused_and_said_why() {
    let special = |address: &str| BadHostRule::Special(address.parse().unwrap());
    for (text, why) in [
        ("", BadHostRule::Place(BadPlace::Host)),
        ("https://api.github.com", BadHostRule::Shape),
        ("ftp://api.github.com:21", BadHostRule::Shape),
        ("HTTP://api.github.com", BadHostRule::Shape),
        ("http://api.github.com/path", BadHostRule::Shape),
        ("ann:secret@api.github.com:443", BadHostRule::Shape),
        ("api.github.com:0", BadHostRule::Place(BadPlace::Port)),
        ("api.github.com:*", BadHostRule::Place(BadPlace::Port)),
        ("api.github.com:443:443", BadHostRule::Place(BadPlace::Port)),
        ("tcp://db.example.com", BadHostRule::Place(BadPlace::NoPort)),
        ("2606:4700::1", BadHostRule::Place(BadPlace::Port)),
        ("*", BadHostRule::Wildcard),
        ("**", BadHostRule::Wildcard),
        ("api.*.com", BadHostRule::Wildcard),
        ("a*.example.com", BadHostRule::Wildcard),
        ("*.*.example.com", BadHostRule::Wildcard),
        ("***.example.com", BadHostRule::Wildcard),
        ("*.1.1.1.1", BadHostRule::Wildcard),
        ("*.com", BadHostRule::WildcardTooWide),
        ("**.com.", BadHostRule::WildcardTooWide),
        ("tcp://*.example.com:5432", BadHostRule::WildcardTcp),
        ("tcp://**.example.com:5432", BadHostRule::WildcardTcp),
        ("localhost:443", BadHostRule::Private),
        ("localhost.:443", BadHostRule::Private),
        ("127.0.0.1:443", BadHostRule::Private),
        ("[::1]:443", BadHostRule::Private),
        ("10.0.0.1:443", BadHostRule::Private),
        ("[fd12::1]:443", BadHostRule::Private),
        ("169.254.169.254:80", special("169.254.169.254")),
        ("http://169.254.169.254", special("169.254.169.254")),
        ("100.100.100.200:80", special("100.100.100.200")),
        ("[fd00:ec2::254]:80", special("fd00:ec2::254")),
        ("[::ffff:1.1.1.1]:443", special("::ffff:1.1.1.1")),
        ("[fe80::1]:443", special("fe80::1")),
        ("0.0.0.0:443", special("0.0.0.0")),
        ("0x1010101:443", BadHostRule::Spelling("1.1.1.1".parse().unwrap())),
        ("1.1.1.1.:443", BadHostRule::Spelling("1.1.1.1".parse().unwrap())),
    ] {
        assert_eq!(text.parse::<HostRule>(), Err(why), "{text}");
    }
    assert!(!BadHostRule::Shape.to_string().contains("secret"));
}

#[test]
fn what_is_no_private_host_is_refused_and_said_why() {
    let special = |address: &str| BadHostRule::Special(address.parse().unwrap());
    for (text, why) in [
        ("localhost", BadHostRule::PrivateInexact),
        ("*.corp.example:443", BadHostRule::PrivateInexact),
        ("localhost:*", BadHostRule::PrivateInexact),
        ("10.0.0.0/8:443", BadHostRule::Shape),
        ("1.1.1.1:443", BadHostRule::Public("1.1.1.1".parse().unwrap())),
        ("169.254.169.254:80", special("169.254.169.254")),
        ("tcp://169.254.169.254:80", special("169.254.169.254")),
        ("[fd00:ec2::254]:80", special("fd00:ec2::254")),
        ("[::ffff:127.0.0.1]:80", special("::ffff:127.0.0.1")),
        ("100.64.0.1:80", special("100.64.0.1")),
        ("0.0.0.0:80", special("0.0.0.0")),
        ("0x7f.1:80", BadHostRule::Spelling("127.0.0.1".parse().unwrap())),
        ("[0::1]:80", BadHostRule::Spelling("::1".parse().unwrap())),
    ] {
        assert_eq!(text.parse::<PrivateHost>(), Err(why), "{text}");
    }
}

#[test]
fn exact_rule_covers_its_name_and_port_and_no_other() {
    for place in ["api.github.com:443", "API.GITHUB.COM:443", "api.github.com.:443"] {
        assert!(covers("api.github.com", place), "{place}");
    }
    for place in [
        "api.github.com:22",
        "api.github.com:80",
        "github.com:443",
        "x.api.github.com:443",
        "evilapi.github.com:443",
        "api.github.com.evil.test:443",
        "api.github.comm:443",
        "xn--pi-vja.github.com:443",
        "1.1.1.1:443",
    ] {
        assert!(!covers("api.github.com", place), "{place}");
    }
    assert!(covers("1.1.1.1:443", "1.1.1.1:443") && covers("1.1.1.1:443", "0x1010101:443"));
    assert!(!covers("1.1.1.1:443", "1.1.1.2:443") && !covers("1.1.1.1:443", "[::ffff:1.1.1.1]:443"));
}

#[test]
fn wildcards_are_exact_about_apex_and_depth() {
    for (place, one, any) in [
        ("example.com:443", false, false),
        ("a.example.com:443", true, true),
        ("A.Example.Com.:443", true, true),
        ("xn--bcher-kva.example.com:443", true, true),
        ("a.b.example.com:443", false, true),
        ("a.b.c.example.com:443", false, true),
        ("a.example.com:444", false, false),
        ("evilexample.com:443", false, false),
        ("a.evilexample.com:443", false, false),
        ("example.com.evil.test:443", false, false),
        ("a.example.com.evil.test:443", false, false),
        ("a.example.co:443", false, false),
        ("com:443", false, false),
    ] {
        assert_eq!(covers("*.example.com", place), one, "{place}");
        assert_eq!(covers("**.example.com", place), any, "{place}");
    }
    assert!(Place::parse(".example.com:443").is_err(), "no empty label counts as one");
}

#[test]
fn rule_permits_what_it_says_and_nothing_beside() {
    let of = |hosts: &[&str], private: &[&str], place: &str, asked| {
        let hosts: Vec<HostRule> = hosts.iter().map(|text| text.parse().unwrap()).collect();
        let private: Vec<PrivateHost> = private.iter().map(|text| text.parse().unwrap()).collect();
        Permission::of(&hosts, &private, &Place::parse(place).unwrap(), asked)
    };
    let public = |via| Some(Permission { via, reach: Reach::Public });
    let listed = |via| Some(Permission { via, reach: Reach::Listed });
    assert_eq!(of(&["a.example:443"], &[], "a.example:443", Asking::Tunnel), public(Via::Tls));
    assert_eq!(of(&["a.example:443"], &[], "a.example:443", Asking::Plain), None);
    assert_eq!(of(&["http://a.example:80"], &[], "a.example:80", Asking::Plain), public(Via::Http));
    assert_eq!(of(&["http://a.example:80"], &[], "a.example:80", Asking::Tunnel), None);
    assert_eq!(of(&["tcp://a.example:1"], &[], "a.example:1", Asking::Tunnel), public(Via::Tcp));
    assert_eq!(of(&["tcp://a.example:1"], &[], "a.example:1", Asking::Plain), None);
    assert_eq!(of(&["a.example:1", "tcp://a.example:1"], &[], "a.example:1", Asking::Tunnel), public(Via::Tcp));
    assert_eq!(of(&["a.example:443"], &["a.example:443"], "a.example:443", Asking::Tunnel), listed(Via::Tls));
    assert_eq!(of(&[], &["a.example:1", "tcp://a.example:1"], "a.example:1", Asking::Tunnel), listed(Via::Tcp));
    let apart = of(&["tcp://a.example:1"], &["a.example:1"], "a.example:1", Asking::Tunnel);
    assert_eq!(apart, listed(Via::Tls), "neither permits any bytes to a private address");
    assert_eq!(of(&["a.example:443"], &["a.example:1"], "a.example:443", Asking::Tunnel), public(Via::Tls));
    assert_eq!(of(&[], &["localhost:1"], "localhost:1", Asking::Tunnel), listed(Via::Tls));
    assert_eq!(of(&[], &["localhost:1"], "127.0.0.1:1", Asking::Tunnel), None, "the name was listed, not the address");
    assert_eq!(of(&[], &["10.0.0.1:1"], "0xa000001:1", Asking::Tunnel), listed(Via::Tls));
    assert_eq!(of(&[], &[], "a.example:443", Asking::Tunnel), None);
}

#[test]
fn rules_are_read_from_a_configuration_and_an_error_says_what_is_wrong() {
    #[derive(Debug, serde::Deserialize)]
    struct Lists {
        hosts: Vec<HostRule>,
    }
    let read = |text: &str| toml::from_str::<Lists>(text);
    assert_eq!(read("hosts = ['a.example']").unwrap().hosts, [rule("a.example:443")]);
    let refused = read("hosts = ['a.example', '*.com']").unwrap_err();
    assert!(refused.to_string().contains("two labels") && refused.span() == Some(22..29), "{refused}");
    assert!(read("hosts = ['a.example:0']").unwrap_err().to_string().contains("1 to 65535"));
}
