//! What to paste into a client, with the developer token.

use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;

use secrecy::ExposeSecret as _;

use crate::config::Loaded;
use crate::developer;

/// Prints it on standard output.
pub(super) fn print(loaded: &Loaded, address: SocketAddr, kept: bool) {
    let origin = loaded.config.gateway.public_url.as_str().trim_end_matches('/');
    let url = format!("{origin}/mcp");
    let files = if kept { "uses what is in" } else { "wrote" };
    println!("\nSekisho listens on {address} and {files} {}\n", loaded.path.display());
    if !developer::is_believed(loaded) {
        println!("Clients connect to {url} with a token of one of the configured issuers.\n");
        return;
    }
    match developer::open(loaded, SystemTime::now()) {
        Ok(developer) => {
            println!("{}", clients(&url, developer.token().expose_secret()));
            if let Ok(own) = super::own_path() {
                println!("{}\n", process(&own, &loaded.path));
            }
            println!("The token is good for 12 hours at most; `sekisho token` renews it in");
            println!("{}. Ctrl-C ends this gateway.\n", developer.token_path().display());
        }
        Err(problem) => crate::problem::print(&[problem]),
    }
}

fn clients(url: &str, token: &str) -> String {
    format!(
        r#"Claude Code, in a terminal:

  claude mcp add --transport http sekisho {url} --header "Authorization: Bearer {token}"

Cursor, in ~/.cursor/mcp.json:

  {{"mcpServers": {{"sekisho": {{"url": "{url}", "headers": {{"Authorization": "Bearer {token}"}}}}}}}}

VS Code, in .vscode/mcp.json:

  {{"servers": {{"sekisho": {{"type": "http", "url": "{url}", "headers": {{"Authorization": "Bearer {token}"}}}}}}}}

Then ask for a note to be added, and see `sekisho audit tail`. `sekisho status` and `sekisho why <request id>` tell more.
"#
    )
}

/// For clients that start their servers themselves: there is no token.
fn process(own: &str, config: &Path) -> String {
    let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let server = serde_json::json!({"command": own, "args": ["stdio", "--config", config.to_string_lossy()]});
    format!(
        "Claude Desktop, and whatever starts its servers itself (no token, and this gateway need not run):\n\n  {}",
        serde_json::json!({"mcpServers": {"sekisho": server}})
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sekisho_wire::Json;
    use sekisho_wire::json::Limits;

    use super::*;

    #[test]
    fn process_is_named_by_whole_paths() {
        let text = process("/opt/a \"b\"/sekisho", Path::new("sekisho.toml"));
        let file = text.lines().last().unwrap().trim();
        let file = Json::decode(Bytes::from(file.to_owned()), &Limits::default()).unwrap();
        let server = file.get("mcpServers").unwrap().get("sekisho").unwrap();
        assert_eq!(server.get("command").unwrap().string().unwrap(), "/opt/a \"b\"/sekisho");
        let config = server.get("args").unwrap().elements().last().unwrap();
        assert!(Path::new(&*config.string().unwrap()).is_absolute(), "{}", file.as_str());
    }

    #[test]
    fn what_is_pasted_into_files_is_json() {
        let text = clients("http://127.0.0.1:8700/mcp", "a.b.c");
        let files: Vec<&str> = text.lines().map(str::trim).filter(|line| line.starts_with('{')).collect();
        assert_eq!(files.len(), 2);
        for file in files {
            Json::decode(Bytes::from(file.to_owned()), &Limits::default()).unwrap();
            assert!(file.contains("Bearer a.b.c"));
        }
        assert!(text.contains(
            "claude mcp add --transport http sekisho http://127.0.0.1:8700/mcp --header \"Authorization: Bearer a.b.c\""
        ));
    }
}
