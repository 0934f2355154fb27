//! Who a server is, as far as configuration tells: an approval is of this server and no other.

use std::fmt;

use crate::config::{EnvValue, ServerConfig, Transport};

/// Who a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A server over HTTP.
    Http {
        /// Its endpoint. `https` is TLS 1.3 with a certificate of an authority that `[egress]` trusts.
        url: Box<str>,
        /// Names of the headers that are sent along, in lower case, sorted.
        headers: Vec<Box<str>>,
    },
    /// A program.
    Stdio {
        /// It and its arguments.
        command: Vec<Box<str>>,
        /// Its working folder, as configured.
        cwd: Option<Box<str>>,
        /// Names of the environment variables that it is given, sorted.
        env: Vec<Box<str>>,
        /// SHA-256 of the file that is the program, if the command names one.
        program: Option<ProgramDigest>,
    },
}

/// SHA-256 of a file that is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ProgramDigest(pub [u8; 32]);

/// A package that a command takes from a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Of which registry: `npm`, `pypi` or `oci`.
    pub registry: &'static str,
    /// Its name.
    pub name: Box<str>,
    /// Its version, or the digest of an image. None: whatever is newest.
    pub version: Option<Box<str>>,
}

impl Identity {
    /// Who a server of this configuration is; `program`: of the file that it runs, if there is one to tell it by.
    #[must_use]
    pub(crate) fn of(config: &ServerConfig, transport: &Transport, program: Option<ProgramDigest>) -> Identity {
        match transport {
            Transport::Http { url } => {
                let headers = config.headers.keys().map(|name| name.to_ascii_lowercase().into());
                Identity::Http { url: url.as_str().into(), headers: sorted(headers) }
            }
            Transport::Stdio { command } => Identity::Stdio {
                command: command.iter().map(|argument| argument.as_str().into()).collect(),
                cwd: config.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into()),
                env: sorted(config.env.iter().map(|(name, value)| match value {
                    EnvValue::Literal(_) | EnvValue::Secret(_) => name.as_str().into(),
                })),
                program,
            },
        }
    }

    /// The package that its command takes from a registry.
    #[must_use]
    pub fn package(&self) -> Option<Package> {
        match self {
            Identity::Http { .. } => None,
            Identity::Stdio { command, .. } => package(command),
        }
    }

    /// What differs from what was approved, in words. None: it is the same server.
    #[must_use]
    pub fn differs_from(&self, approved: &Identity) -> Option<String> {
        let differing = match (self, approved) {
            (Identity::Http { url, headers }, Identity::Http { url: old_url, headers: old_headers }) => {
                vec![("its URL", url != old_url), ("the headers that it is sent", headers != old_headers)]
            }
            (
                Identity::Stdio { command, cwd, env, program },
                Identity::Stdio { command: old_command, cwd: old_cwd, env: old_env, program: old_program },
            ) => vec![
                ("its command", command != old_command),
                ("its working folder", cwd != old_cwd),
                ("the environment variables that it is given", env != old_env),
                (PROGRAM, program != old_program),
            ],
            (Identity::Http { .. }, Identity::Stdio { .. }) | (Identity::Stdio { .. }, Identity::Http { .. }) => {
                vec![("its transport", true)]
            }
        };
        let differing: Vec<&str> =
            differing.into_iter().filter_map(|(what, differs)| differs.then_some(what)).collect();
        match differing.as_slice() {
            [] => None,
            // It was approved before it was looked at.
            [PROGRAM] if approved.has_no_program_file() => Some(format!("{PROGRAM} is not in the lock file")),
            [PROGRAM] if self.has_no_program_file() => Some("no file of its program is found".to_owned()),
            changed => Some(format!("{} changed", changed.join(" and "))),
        }
    }

    fn has_no_program_file(&self) -> bool {
        matches!(self, Identity::Stdio { program: None, .. })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Http { url, .. } => f.write_str(url),
            Identity::Stdio { command, .. } => f.write_str(&command.join(" ")),
        }
    }
}

impl fmt::Display for ProgramDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ProgramDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Package {
    /// How a command names a version of it.
    #[must_use]
    pub fn with_version(&self, version: &str) -> String {
        let between = match self.registry {
            "pypi" => "==",
            _ => "@",
        };
        format!("{}{between}{version}", self.name)
    }
}

/// The package behind the launchers that people use: `npx`, `uvx`, `pipx run`, `bunx`, `docker run`, `podman run`.
fn package(command: &[Box<str>]) -> Option<Package> {
    let (program, rest) = command.split_first()?;
    let launcher = program.rsplit('/').next().unwrap_or(program);
    let rest: Vec<&str> = rest.iter().map(|argument| &**argument).collect();
    let registry = match launcher {
        "npx" | "bunx" => "npm",
        "uvx" | "pipx" => "pypi",
        "docker" | "podman" => "oci",
        _ => return None,
    };
    let after = match (launcher, rest.as_slice()) {
        ("pipx" | "docker" | "podman", ["run", after @ ..]) => after,
        ("pipx" | "docker" | "podman", _) => return None,
        (_, all) => all,
    };
    let named = named_package(after).or_else(|| first_word(after, registry))?;
    let (name, version) = split_version(named, registry);
    Some(Package { registry, name: name.into(), version: version.map(Box::from) })
}

/// `--package NAME`, `-p NAME`, `--from NAME`: the program is another word than the package.
fn named_package<'a>(arguments: &[&'a str]) -> Option<&'a str> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--package" | "-p" | "--from" | "--spec" => return arguments.next().copied(),
            _ => {}
        }
        let inline = ["--package=", "--from=", "--spec="].iter().find_map(|flag| argument.strip_prefix(flag));
        if inline.is_some() {
            return inline;
        }
    }
    None
}

/// The first word that is no option. Which options of a container engine take a value is its own affair: there the image is the first
/// word with a slash, colon or at sign that follows none of them.
fn first_word<'a>(arguments: &[&'a str], registry: &str) -> Option<&'a str> {
    let mut words = arguments.iter().filter(|argument| !argument.starts_with('-'));
    if registry == "oci" {
        let is_image = |word: &&&str| word.contains(['/', '@']) && !word.starts_with(['/', '.']) && !word.contains('=');
        return words.find(is_image).copied();
    }
    words.next().copied()
}

fn split_version<'a>(named: &'a str, registry: &str) -> (&'a str, Option<&'a str>) {
    let split = match registry {
        "pypi" => named.split_once("==").or_else(|| named.split_once('@')),
        // The first character of a scoped name is an at sign, too.
        "npm" => named
            .char_indices()
            .skip(1)
            .find(|(_, char)| *char == '@')
            .and_then(|(at, _)| Some((named.get(..at)?, named.get(at.saturating_add(1)..)?))),
        _ => named.split_once('@').or_else(|| named.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))),
    };
    match split {
        Some((name, "latest" | "*" | "")) => (name, None),
        Some((name, version)) => (name, Some(version)),
        None => (named, None),
    }
}

fn sorted(names: impl Iterator<Item = Box<str>>) -> Vec<Box<str>> {
    let mut names: Vec<Box<str>> = names.collect();
    names.sort();
    names
}

const PROGRAM: &str = "the file of its program";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_file_is_the_one_that_was_approved_and_one_that_was_never_looked_at_is_none() {
        let with = |program: Option<u8>| Identity::Stdio {
            command: vec!["npx".into()],
            cwd: None,
            env: Vec::new(),
            program: program.map(|byte| ProgramDigest([byte; 32])),
        };
        assert_eq!(with(Some(1)).differs_from(&with(Some(1))), None);
        assert_eq!(with(Some(1)).differs_from(&with(Some(2))).unwrap(), "the file of its program changed");
        assert_eq!(with(None).differs_from(&with(Some(2))).unwrap(), "no file of its program is found");
        assert_eq!(with(Some(1)).differs_from(&with(None)).unwrap(), "the file of its program is not in the lock file");
    }

    #[test]
    fn packages_are_read_out_of_the_commands_that_people_write() {
        let of = |command: &str| {
            let command: Vec<Box<str>> = command.split(' ').map(Box::from).collect();
            package(&command).map(|package| {
                format!("{} {} {}", package.registry, package.name, package.version.as_deref().unwrap_or("?"))
            })
        };
        for (command, expected) in [
            ("npx -y @modelcontextprotocol/server-everything", "npm @modelcontextprotocol/server-everything ?"),
            (
                "npx -y @modelcontextprotocol/server-git@2026.1.14 /srv",
                "npm @modelcontextprotocol/server-git 2026.1.14",
            ),
            ("/usr/bin/npx left-pad@latest", "npm left-pad ?"),
            ("npx --package=a@1 b", "npm a 1"),
            ("uvx mcp-server-git --repository .", "pypi mcp-server-git ?"),
            ("uvx mcp-server-git==1.2 --repository .", "pypi mcp-server-git 1.2"),
            ("uvx --from mcp@1.0 run", "pypi mcp 1.0"),
            ("pipx run mcp-server-time", "pypi mcp-server-time ?"),
            ("docker run -i --rm -e TOKEN ghcr.io/github/github-mcp-server", "oci ghcr.io/github/github-mcp-server ?"),
            ("docker run -i mcp/git@sha256:00ff", "oci mcp/git sha256:00ff"),
            ("docker run -i localhost:5000/git:1.2", "oci localhost:5000/git 1.2"),
        ] {
            assert_eq!(of(command).as_deref(), Some(expected), "{command}");
        }
        for command in ["python3 server.py", "docker ps", "npx", "npx -y", "./npx-like a"] {
            assert_eq!(of(command), None, "{command}");
        }
    }
}
