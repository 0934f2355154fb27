//! What is known of a server's program before it runs for the first time: where it is, which package it takes from where, and what its
//! command does besides.

use std::fmt::Write as _;

use sekisho_catalog::{Identity, Server};
use sekisho_upstream::launch::{ProgramFile, program_file, search_path};
use sekisho_wire::text::visible;

use crate::assemble::variable;
use crate::config::Loaded;

/// A few lines about a server that is a process; empty where its command says it all.
#[must_use]
pub(crate) fn before_it_runs(loaded: &Loaded, server: &Server) -> String {
    let config = server.config();
    let mut text = String::new();
    // Writing into a String cannot fail.
    if config.command.as_ref().and_then(|command| command.first()).is_some_and(|program| !program.contains('/')) {
        match program_file(&loaded.base, config, search_path(config, &variable).as_deref()) {
            ProgramFile::At(file) => {
                let digest = match server.identity() {
                    Identity::Stdio { program: Some(digest), .. } => format!(", sha256 {digest}"),
                    Identity::Stdio { program: None, .. } | Identity::Http { .. } => String::new(),
                };
                let _ = writeln!(text, "  runs {}{digest}", file.display());
            }
            ProgramFile::Unfound(why) => {
                let _ = writeln!(text, "  ! {why}");
            }
            ProgramFile::None => {}
        }
    }
    text.push_str(&package(server.identity()));
    for escape in config.escapes() {
        let sign = if config.dangerous_launch.iter().any(|id| **id == *escape.id) { "! DANGEROUS" } else { "·" };
        let _ = writeln!(text, "  {sign} {escape}");
    }
    if text.is_empty() { text } else { visible(&format!("{}\n{text}", server.id())).into_owned() }
}

/// Where its program is now, in words; none where its command says it all.
#[must_use]
pub(crate) fn where_it_is(loaded: &Loaded, server: &Server) -> Option<String> {
    let config = server.config();
    let name = config.command.as_ref()?.first()?;
    match program_file(&loaded.base, config, search_path(config, &variable).as_deref()) {
        ProgramFile::Unfound(why) => Some(why.to_string()),
        ProgramFile::At(file) if !file.is_file() => Some(format!("`{}` is not there", file.display())),
        ProgramFile::At(file) if !name.contains('/') => Some(format!("`{name}` is `{}` now", file.display())),
        ProgramFile::At(_) | ProgramFile::None => None,
    }
}

/// The package that it takes from a registry.
#[must_use]
pub(crate) fn package(identity: &Identity) -> String {
    let Some(package) = identity.package() else { return String::new() };
    let (name, registry) = (visible(&package.name), package.registry);
    match &package.version {
        Some(version) => format!("  package `{name}` of {registry}, version {}\n", visible(version)),
        None => {
            let pinned = package.with_version(if registry == "oci" { "sha256:…" } else { "1.2.3" });
            let pinned = visible(&pinned).into_owned();
            format!(
                "  ! package `{name}` of {registry} in no version: whatever is newest runs, whoever put it there; pin it as `{pinned}`\n"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use sekisho_catalog::{Approvals, Catalog};

    use super::*;

    fn told(table: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sekisho.toml");
        let text = format!(
            "[gateway]\nlisten = \"127.0.0.1:8700\"\npublic_url = \"http://127.0.0.1:8700\"\n[[identity.issuers]]\n\
             issuer = \"https://login.example.com\"\njwks_file = \"jwks.json\"\n[policy]\nfiles = [\"policy.cedar\"]\n[servers.it]\n{table}"
        );
        std::fs::write(&path, text).unwrap();
        let loaded = crate::config::load(&path).unwrap();
        let catalog = Catalog::new(&loaded.catalog(), &Approvals::of_first_use(), None).unwrap();
        let server = catalog.servers().next().unwrap().clone();
        before_it_runs(&loaded, &server)
    }

    #[test]
    fn a_package_without_a_version_is_told_with_the_mend_before_it_runs_and_one_with_a_version_by_it() {
        let unpinned = told("command = ['npx', '-y', 'left-pad']");
        for part in ["it\n", "! package `left-pad` of npm in no version", "pin it as `left-pad@1.2.3`"] {
            assert!(unpinned.contains(part), "{part} in {unpinned}");
        }
        assert!(told("command = ['uvx', 'mcp-server-git']").contains("pin it as `mcp-server-git==1.2.3`"));
        let pinned = told("command = ['npx', '-y', 'left-pad@1.3.0']");
        assert!(
            pinned.contains("package `left-pad` of npm, version 1.3.0") && !pinned.contains("! package"),
            "{pinned}"
        );
    }

    #[test]
    fn what_a_command_does_besides_is_told_and_a_plain_program_says_nothing() {
        assert!(
            told("command = ['uv', 'run', '--with', 'x', 'server.py']").contains("· `uv --with` brings more packages")
        );
        let danger = told("command = ['sh', '-c', 'x']\ndangerous_launch = ['sh -c']");
        assert!(danger.contains("! DANGEROUS `sh -c`"), "{danger}");
        assert_eq!(told("command = ['/srv/server', '--stdio']"), "");
        assert_eq!(told("url = 'https://a.example'"), "");
    }
}
