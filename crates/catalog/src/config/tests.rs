//! Which configurations of servers are taken, and which are refused.

use super::*;

fn server(text: &str) -> ServerConfig {
    toml::from_str(text).expect("a section")
}

fn problem(text: &str) -> String {
    server(text).read("notes").expect_err("is refused").to_string()
}

#[test]
fn a_server_has_a_url_or_a_command_and_not_both() {
    let (id, transport) = server(r#"command = ["notes", "--stdio"]"#).read("notes").expect("a command");
    assert_eq!(id.as_str(), "notes");
    assert!(matches!(transport, Transport::Stdio { command } if command == ["notes", "--stdio"]));
    let (_, transport) = server(r#"url = "https://mcp.example.com/mcp""#).read("notes").expect("a URL");
    assert!(matches!(transport, Transport::Http { url } if url.path() == "/mcp"));

    let exactly_one = "server `notes` needs exactly one of `url` and `command`";
    assert_eq!(problem(""), exactly_one);
    assert_eq!(problem("url = 'https://a.example'\ncommand = ['x']"), exactly_one);
}

#[test]
fn what_is_not_said_is_the_strict_choice() {
    let server = server("command = ['notes']");
    assert_eq!(server.trust, Trust::Untrusted);
    assert_eq!(server.confidentiality, Confidentiality::Internal);
    assert_eq!(server.era, EraChoice::Auto);
    assert_eq!(server.timeout(), Duration::from_secs(60));
}

#[test]
fn a_gateway_to_nothing_is_refused() {
    let machine = sekisho_sandbox::Tier::None;
    let config = Config { servers: BTreeMap::new(), catalog: PinConfig::default(), machine };
    assert_eq!(config.problems(), [ConfigError::NoServers]);
}

#[test]
fn every_wrong_server_is_named_at_once() {
    let text = "[servers.a]\n[servers.B_]\ncommand = ['x']\n[servers.c]\ncommand = ['x']";
    let config: Config = toml::from_str(text).expect("sections");
    let problems: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
    let expected = ["`[servers.B_]` needs another name", "server `a` needs exactly one of `url` and `command`"];
    assert_eq!(problems, expected);
}

#[test]
fn a_secret_is_named_and_never_written_out() {
    let named = server("command = ['x']\nenv = { API_TOKEN = 'env:API_TOKEN', LEVEL = 'info', DB_KEY = 'file:key' }");
    assert!(named.read("notes").is_ok());
    assert!(problem("command = ['x']\nenv = { API_TOKEN = 'abc' }").contains("`env.API_TOKEN`"));
    assert!(problem("command = ['x']\nenv = { my_password = 'abc' }").contains("`env.my_password`"));
    let mistyped = toml::from_str::<ServerConfig>("command = ['x']\nenv = { A = 'env:' }");
    assert!(mistyped.is_err(), "a mistyped reference is no setting");
    assert!(problem("url = 'https://a.example/mcp?api_key=s3cr3t'").contains("secret in its query"));
    assert!(server("url = 'https://a.example/mcp?tenant=7'").read("notes").is_ok());
    assert!(problem("url = 'https://user:s3cr3t@a.example/'").contains("user or password"));
    assert!(toml::from_str::<ServerConfig>("url = 'https://a.example'\nheaders = { x = 'abc' }").is_err());
}

#[test]
fn neither_debug_nor_an_error_repeats_a_written_value() {
    let server = server("command = ['x']\nenv = { SETTING = 's3cr3t' }");
    assert!(!format!("{server:?}").contains("s3cr3t"));
    assert!(!problem("url = 'https://user:s3cr3t@a.example/'").contains("s3cr3t"));
}

#[test]
fn headers_of_the_connection_and_the_protocol_cannot_be_configured() {
    let with = |name: &str| format!("url = 'https://a.example'\nheaders = {{ '{name}' = 'env:X' }}");
    for name in ["authorization", "X-Api-Key", "x-tenant"] {
        assert!(server(&with(name)).read("notes").is_ok(), "{name}");
    }
    for name in ["Host", "Cookie", "Connection", "Content-Length", "MCP-Session-Id", "Proxy-Authorization", "a b", "TE"]
    {
        assert!(problem(&with(name)).contains(name), "{name}");
    }
    let twice = "url = 'https://a.example'\nheaders = { X-A = 'env:X', x-a = 'env:X' }";
    assert!(problem(twice).contains("twice"));
}

#[test]
fn settings_of_the_other_transport_are_refused() {
    assert!(problem("url = 'https://a.example'\nenv = { A = 'b' }").contains("`env`"));
    assert!(problem("url = 'https://a.example'\ncwd = '/'").contains("`cwd`"));
    assert!(problem("command = ['x']\nheaders = { x = 'env:X' }").contains("`headers`"));
}

#[test]
fn urls_that_are_not_http_are_refused() {
    for url in ["file:///etc/passwd", "ftp://a.example", "unix:/run/x", "a.example", "https://a.example/#x"] {
        assert!(problem(&format!("url = '{url}'")).contains("`url` of server `notes`"), "{url}");
    }
}

#[test]
fn numbers_hold_at_their_bound_and_not_past_it() {
    assert!(server("command = ['x']\ntimeout_seconds = 3600").read("notes").is_ok());
    assert!(problem("command = ['x']\ntimeout_seconds = 3601").contains("between 1 and 3600"));
    assert!(problem("command = ['x']\nconnections_max = 0").contains("`connections_max`"));
}

#[test]
fn a_command_needs_a_program_and_unknown_settings_are_refused() {
    assert!(problem("command = []").contains("program"));
    assert!(problem("command = ['']").contains("program"));
    assert!(toml::from_str::<ServerConfig>("command = ['x']\nshell = true").is_err());
}

#[test]
fn a_command_that_does_more_than_start_its_program_is_refused_unless_that_is_spelled_out() {
    let words = "server `notes` would not only start its program: `node -e` runs or loads what stands in an argument, or another file, \
                 `NODE_OPTIONS` gives the interpreter more options, such as code to run; if that is meant, say so: \
                 `dangerous_launch = [\"node -e\", \"NODE_OPTIONS\"]`";
    let command = "command = ['node', '-e', 's3cr3t']\nenv = { NODE_OPTIONS = '--title=s3cr3t' }\n";
    assert_eq!(problem(command), words);
    assert!(problem(&format!("{command}dangerous_launch = ['node -e']")).contains("`NODE_OPTIONS`"));
    assert!(server(&format!("{command}dangerous_launch = ['node -e', 'NODE_OPTIONS']")).read("notes").is_ok());
    assert!(server("command = ['node', 'server.js', '-e']\nenv = { NODE_ENV = 'x' }").read("notes").is_ok());
    let idle = problem("command = ['node', 'server.js']\ndangerous_launch = ['node -e']");
    assert!(idle.contains("names `node -e`, which its command and `env` do not do"), "{idle}");
    assert!(problem("url = 'https://a.example'\ndangerous_launch = ['node -e']").contains("`dangerous_launch`"));
}
