use super::*;

fn paths(system: System, variables: &[(&str, &str)], project: Option<&str>) -> Vec<String> {
    let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
    let home = if system == System::Windows { "C:/Users/me" } else { "/h" };
    let machine = Machine::new(system, home.into(), &variable);
    let told = |one: Candidate| format!("{} {}", one.client.id, one.path.display());
    candidates(&machine, project.map(Path::new)).into_iter().map(told).collect()
}

#[test]
fn every_client_has_its_files_on_linux() {
    assert_eq!(
        paths(System::Linux, &[], None),
        [
            "claude-desktop /h/.config/Claude/claude_desktop_config.json",
            "claude-code /h/.claude.json",
            "vscode /h/.config/Code/User/mcp.json",
            "vscode /h/.config/Code/User/settings.json",
            "copilot-cli /h/.copilot/mcp-config.json",
            "cursor /h/.cursor/mcp.json",
            "windsurf /h/.codeium/windsurf/mcp_config.json",
            "antigravity /h/.gemini/antigravity/mcp_config.json",
            "gemini-cli /h/.gemini/settings.json",
            "codex /h/.codex/config.toml",
            "zed /h/.config/zed/settings.json",
            "opencode /h/.config/opencode/opencode.json",
            "opencode /h/.config/opencode/opencode.jsonc",
            "goose /h/.config/goose/config.yaml",
            "continue /h/.continue/config.yaml",
            "kiro /h/.kiro/settings/mcp.json",
            "lm-studio /h/.lmstudio/mcp.json",
            "amp /h/.config/amp/settings.json",
            "cline /h/.config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
            "amazon-q /h/.aws/amazonq/mcp.json",
        ]
    );
    assert_eq!(ids().count(), 18);
}

#[test]
fn other_systems_and_variables_have_their_own_places() {
    let mac = paths(System::Mac, &[], None);
    for path in [
        "claude-desktop /h/Library/Application Support/Claude/claude_desktop_config.json",
        "vscode /h/Library/Application Support/Code/User/mcp.json",
        "zed /h/.config/zed/settings.json",
        "goose /h/.config/goose/config.yaml",
        "cursor /h/.cursor/mcp.json",
    ] {
        assert!(mac.iter().any(|known| known == path), "{path} in {mac:#?}");
    }
    let windows = paths(System::Windows, &[("APPDATA", "C:/R")], None);
    for path in [
        "claude-desktop C:/R/Claude/claude_desktop_config.json",
        "vscode C:/R/Code/User/mcp.json",
        "zed C:/R/Zed/settings.json",
        "goose C:/R/Block/goose/config/config.yaml",
        "cline C:/R/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
        "amp C:/Users/me/.config/amp/settings.json",
        "opencode C:/Users/me/.config/opencode/opencode.json",
        "codex C:/Users/me/.codex/config.toml",
    ] {
        assert!(windows.iter().any(|known| known == path), "{path} in {windows:#?}");
    }
    let xdg = paths(System::Linux, &[("XDG_CONFIG_HOME", "/x")], None);
    assert!(xdg.contains(&"claude-desktop /x/Claude/claude_desktop_config.json".to_owned()), "{xdg:#?}");
    let relative = paths(System::Linux, &[("XDG_CONFIG_HOME", "x")], None);
    assert_eq!(relative, paths(System::Linux, &[], None), "a relative folder counts as unset");
}

#[test]
fn project_files_are_looked_at_where_a_project_is_named() {
    let with = paths(System::Linux, &[], Some("/p"));
    for path in ["claude-code /p/.mcp.json", "vscode /p/.vscode/mcp.json", "cursor /p/.cursor/mcp.json"] {
        assert!(with.contains(&path.to_owned()), "{path}");
    }
    assert_eq!(with.len(), paths(System::Linux, &[], None).len() + 3);
}

#[test]
fn placeholders_are_those_of_the_client() {
    for (kind, text, is) in [
        (Placeholders::None, "${env:A} {env:B} $C", false),
        (Placeholders::Braces, "x${env:A}", true),
        (Placeholders::Braces, "$A {env:B} 5$", false),
        (Placeholders::Dollar, "Bearer $A", true),
        (Placeholders::Dollar, "costs 5$ or $5", false),
        (Placeholders::Curly, "{env:A}", true),
        (Placeholders::Curly, "${A}", false),
        (Placeholders::Double, "${{ secrets.A }}", true),
        (Placeholders::Double, "${A}", false),
    ] {
        assert_eq!(kind.is_in(text), is, "{kind:?} {text}");
    }
}
