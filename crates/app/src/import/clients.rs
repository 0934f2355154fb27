//! The MCP clients that are known: where each keeps its servers, and in which words. Data, but for the paths.

use std::path::{Path, PathBuf};

use crate::home::{Machine, System};

/// An MCP client.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its name for `--client`.
    pub(crate) id: &'static str,
    /// Its name for people.
    pub(crate) name: &'static str,
    /// Files of the user.
    files: &'static [File],
    /// A file of a project, from the project's folder.
    project: Option<ProjectFile>,
    /// The words of an entry.
    pub(crate) words: &'static Words,
    /// Which placeholders it replaces in an entry before it starts the server.
    pub(crate) placeholders: Placeholders,
}

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// JSON, with comments where the client lets them pass.
    Json,
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
}

/// Keys down to the map (or list) of servers.
pub(crate) type Keys = &'static [&'static str];

#[derive(Debug)]
struct File {
    linux: At,
    mac: At,
    windows: At,
    format: Format,
    servers: &'static [Keys],
}

#[derive(Debug)]
struct ProjectFile {
    path: &'static str,
    servers: &'static [Keys],
}

/// A path that starts from one of the user's folders.
#[derive(Debug, Clone, Copy)]
struct At(Base, &'static str);

#[derive(Debug, Clone, Copy)]
enum Base {
    Home,
    Config,
    /// `~/Library/Application Support`
    Support,
    /// `%APPDATA%`
    Roaming,
}

/// The members of an entry. The first known one of several counts.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) command: &'static str,
    /// Where the arguments are; None: behind the program, in one list.
    pub(crate) args: Option<&'static str>,
    pub(crate) env: &'static str,
    /// A list of variables that the server gets from the client's own environment, or from its store of secrets.
    pub(crate) passed: Option<&'static str>,
    pub(crate) cwd: &'static [&'static str],
    pub(crate) url: &'static [&'static str],
    pub(crate) headers: &'static [&'static str],
    /// Members of a remote entry that name where a credential is, which only the client can follow.
    pub(crate) credentials: &'static [&'static str],
    /// The `type` of an entry that starts a program.
    pub(crate) local: &'static str,
    /// How long a call may take, and in which part of a second.
    pub(crate) timeout: Option<(&'static str, Unit)>,
}

/// What a number of an entry counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
}

/// What a client replaces in an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placeholders {
    /// Nothing: what looks like one goes to the server as it is.
    None,
    /// `${…}`: variables, inputs, folders.
    Braces,
    /// `${…}` and `$NAME`.
    Dollar,
    /// `{env:…}` and `{file:…}`.
    Curly,
    /// `${{ secrets.… }}`.
    Double,
}

impl Placeholders {
    /// Whether the client would replace something in the text.
    #[must_use]
    pub(crate) fn is_in(self, text: &str) -> bool {
        let named = |rest: &str| rest.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        match self {
            Placeholders::None => false,
            Placeholders::Braces => text.contains("${"),
            Placeholders::Dollar => text.contains("${") || text.split('$').skip(1).any(named),
            Placeholders::Curly => text.contains("{env:") || text.contains("{file:"),
            Placeholders::Double => text.contains("${{"),
        }
    }
}

/// A file of a client that may be there.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Whose.
    pub(crate) client: &'static Client,
    /// Where.
    pub(crate) path: PathBuf,
    /// In what.
    pub(crate) format: Format,
    /// Where its servers can be. `*` stands for every key.
    pub(crate) servers: &'static [Keys],
    /// Nothing outside of this folder is followed to.
    pub(crate) root: PathBuf,
    /// Whether others have the file too.
    pub(crate) is_project: bool,
}

/// Every file that can be there, on this system.
#[must_use]
pub(crate) fn candidates(machine: &Machine, project: Option<&Path>) -> Vec<Candidate> {
    let mut found = Vec::new();
    for client in &CLIENTS {
        for file in client.files {
            let At(base, path) = match machine.system() {
                System::Linux => file.linux,
                System::Mac => file.mac,
                System::Windows => file.windows,
            };
            let folder = match base {
                Base::Home => machine.home().to_owned(),
                Base::Config => machine.config().to_owned(),
                Base::Support => machine.home().join("Library/Application Support"),
                Base::Roaming => machine.roaming().to_owned(),
            };
            // XDG_CONFIG_HOME may be somewhere else.
            let root = if folder.starts_with(machine.home()) { machine.home() } else { &folder };
            let (format, servers, root) = (file.format, file.servers, root.to_owned());
            found.push(Candidate { client, path: folder.join(path), format, servers, root, is_project: false });
        }
        if let (Some(file), Some(folder)) = (&client.project, project) {
            let (path, servers, root) = (folder.join(file.path), file.servers, folder.to_owned());
            found.push(Candidate { client, path, format: Format::Json, servers, root, is_project: true });
        }
    }
    found
}

/// The names of all.
pub(crate) fn ids() -> impl Iterator<Item = &'static str> {
    CLIENTS.iter().map(|client| client.id)
}

/// The client of this name.
pub(crate) fn called(id: &str) -> Option<&'static Client> {
    CLIENTS.iter().find(|client| client.id == id)
}

const fn everywhere(path: At, servers: &'static [Keys]) -> File {
    File { linux: path, mac: path, windows: path, format: Format::Json, servers }
}

/// Below the folder of VS Code's user.
const fn code(path: &'static str, servers: &'static [Keys]) -> File {
    File {
        linux: At(Base::Config, path),
        mac: At(Base::Support, path),
        windows: At(Base::Roaming, path),
        format: Format::Json,
        servers,
    }
}

const MCP_SERVERS: &[Keys] = &[&["mcpServers"]];

const USUAL: Words = Words {
    command: "command",
    args: Some("args"),
    env: "env",
    passed: None,
    cwd: &["cwd"],
    url: &["url", "serverUrl", "httpUrl"],
    headers: &["headers"],
    credentials: &["auth", "oauth", "authProviderType", "headersHelper"],
    local: "stdio",
    timeout: None,
};

const CLIENTS: [Client; 18] = [
    Client {
        id: "claude-desktop",
        name: "Claude Desktop",
        files: &[File {
            linux: At(Base::Config, "Claude/claude_desktop_config.json"),
            mac: At(Base::Support, "Claude/claude_desktop_config.json"),
            windows: At(Base::Roaming, "Claude/claude_desktop_config.json"),
            format: Format::Json,
            servers: MCP_SERVERS,
        }],
        project: None,
        words: &USUAL,
        placeholders: Placeholders::None,
    },
    Client {
        id: "claude-code",
        name: "Claude Code",
        files: &[everywhere(At(Base::Home, ".claude.json"), &[&["mcpServers"], &["projects", "*", "mcpServers"]])],
        project: Some(ProjectFile { path: ".mcp.json", servers: MCP_SERVERS }),
        words: &USUAL,
        placeholders: Placeholders::Braces,
    },
    Client {
        id: "vscode",
        name: "VS Code",
        files: &[code("Code/User/mcp.json", &[&["servers"]]), code("Code/User/settings.json", &[&["mcp", "servers"]])],
        project: Some(ProjectFile { path: ".vscode/mcp.json", servers: &[&["servers"]] }),
        words: &USUAL,
        placeholders: Placeholders::Braces,
    },
    Client {
        id: "copilot-cli",
        name: "GitHub Copilot CLI",
        files: &[everywhere(At(Base::Home, ".copilot/mcp-config.json"), MCP_SERVERS)],
        project: None,
        words: &Words { local: "local", timeout: Some(("timeout", Unit::Milliseconds)), ..USUAL },
        placeholders: Placeholders::Dollar,
    },
    Client {
        id: "cursor",
        name: "Cursor",
        files: &[everywhere(At(Base::Home, ".cursor/mcp.json"), MCP_SERVERS)],
        project: Some(ProjectFile { path: ".cursor/mcp.json", servers: MCP_SERVERS }),
        words: &USUAL,
        placeholders: Placeholders::Braces,
    },
    Client {
        id: "windsurf",
        name: "Windsurf",
        files: &[everywhere(At(Base::Home, ".codeium/windsurf/mcp_config.json"), MCP_SERVERS)],
        project: None,
        words: &USUAL,
        placeholders: Placeholders::Braces,
    },
    Client {
        id: "antigravity",
        name: "Antigravity",
        files: &[everywhere(At(Base::Home, ".gemini/antigravity/mcp_config.json"), MCP_SERVERS)],
        project: None,
        words: &USUAL,
        placeholders: Placeholders::Dollar,
    },
    Client {
        id: "gemini-cli",
        name: "Gemini CLI",
        files: &[everywhere(At(Base::Home, ".gemini/settings.json"), MCP_SERVERS)],
        project: None,
        words: &Words { timeout: Some(("timeout", Unit::Milliseconds)), ..USUAL },
        placeholders: Placeholders::Dollar,
    },
    Client {
        id: "codex",
        name: "Codex",
        files: &[File {
            format: Format::Toml,
            ..everywhere(At(Base::Home, ".codex/config.toml"), &[&["mcp_servers"]])
        }],
        project: None,
        words: &Words {
            passed: Some("env_vars"),
            headers: &["http_headers"],
            credentials: &["bearer_token_env_var", "env_http_headers", "oauth_resource", "scopes"],
            timeout: Some(("tool_timeout_sec", Unit::Seconds)),
            ..USUAL
        },
        placeholders: Placeholders::None,
    },
    Client {
        id: "zed",
        name: "Zed",
        files: &[File {
            linux: At(Base::Config, "zed/settings.json"),
            mac: At(Base::Config, "zed/settings.json"),
            windows: At(Base::Roaming, "Zed/settings.json"),
            format: Format::Json,
            servers: &[&["context_servers"]],
        }],
        project: None,
        words: &USUAL,
        placeholders: Placeholders::None,
    },
    Client {
        id: "opencode",
        name: "OpenCode",
        files: &[
            File {
                windows: At(Base::Home, ".config/opencode/opencode.json"),
                ..everywhere(At(Base::Config, "opencode/opencode.json"), &[&["mcp", "servers"], &["mcp"]])
            },
            File {
                windows: At(Base::Home, ".config/opencode/opencode.jsonc"),
                ..everywhere(At(Base::Config, "opencode/opencode.jsonc"), &[&["mcp", "servers"], &["mcp"]])
            },
        ],
        project: None,
        words: &Words { args: None, env: "environment", local: "local", ..USUAL },
        placeholders: Placeholders::Curly,
    },
    Client {
        id: "goose",
        name: "Goose",
        files: &[File {
            linux: At(Base::Config, "goose/config.yaml"),
            mac: At(Base::Config, "goose/config.yaml"),
            windows: At(Base::Roaming, "Block/goose/config/config.yaml"),
            format: Format::Yaml,
            servers: &[&["extensions"]],
        }],
        project: None,
        words: &Words {
            command: "cmd",
            env: "envs",
            passed: Some("env_keys"),
            url: &["uri"],
            timeout: Some(("timeout", Unit::Seconds)),
            ..USUAL
        },
        placeholders: Placeholders::None,
    },
    Client {
        id: "continue",
        name: "Continue",
        files: &[File { format: Format::Yaml, ..everywhere(At(Base::Home, ".continue/config.yaml"), MCP_SERVERS) }],
        project: None,
        words: &Words { credentials: &["apiKey", "requestOptions"], ..USUAL },
        placeholders: Placeholders::Double,
    },
    Client {
        id: "kiro",
        name: "Kiro",
        files: &[everywhere(At(Base::Home, ".kiro/settings/mcp.json"), MCP_SERVERS)],
        project: None,
        words: &USUAL,
        placeholders: Placeholders::Braces,
    },
    Client {
        id: "lm-studio",
        name: "LM Studio",
        files: &[everywhere(At(Base::Home, ".lmstudio/mcp.json"), MCP_SERVERS)],
        project: None,
        words: &USUAL,
        placeholders: Placeholders::None,
    },
    Client {
        id: "amp",
        name: "Amp",
        files: &[File {
            windows: At(Base::Home, ".config/amp/settings.json"),
            ..everywhere(At(Base::Config, "amp/settings.json"), &[&["amp.mcpServers"]])
        }],
        project: None,
        words: &USUAL,
        placeholders: Placeholders::Braces,
    },
    Client {
        id: "cline",
        name: "Cline",
        files: &[code("Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json", MCP_SERVERS)],
        project: None,
        words: &Words { timeout: Some(("timeout", Unit::Seconds)), ..USUAL },
        placeholders: Placeholders::Braces,
    },
    Client {
        id: "amazon-q",
        name: "Amazon Q",
        files: &[everywhere(At(Base::Home, ".aws/amazonq/mcp.json"), MCP_SERVERS)],
        project: None,
        words: &Words { timeout: Some(("timeout", Unit::Milliseconds)), ..USUAL },
        placeholders: Placeholders::Braces,
    },
];

#[cfg(test)]
mod tests;
