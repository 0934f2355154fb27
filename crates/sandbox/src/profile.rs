//! Profiles: what kinds of servers need, as data (`profiles/`), each entry with its reason.

use std::path::Path;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::Access;

/// The name of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProfileName {
    /// The system's programs and nothing else.
    Base,
    /// Node.js, `npx`.
    Node,
    /// Python, `uvx`, `pipx`.
    Python,
    /// Works on Git repositories.
    Git,
    /// Works on the folders that its command names.
    Filesystem,
}

/// What a kind of server needs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// What it is for.
    pub why: String,
    /// Programs that it is chosen by.
    #[serde(default)]
    pub launchers: Vec<String>,
    /// Packages that it is chosen by.
    #[serde(default)]
    pub packages: Vec<String>,
    /// What may be done with folders that the command names; nothing if not said.
    pub arguments: Option<Access>,
    /// What it may read.
    #[serde(default)]
    pub read: Vec<Place>,
    /// What it is given a copy of: what it changes is gone with it.
    #[serde(default)]
    pub copy: Vec<Place>,
    /// What it may read if its program lies in it.
    #[serde(default)]
    pub toolchain: Vec<Place>,
    /// What is never shown, unless it is named.
    #[serde(default)]
    pub hidden: Vec<Place>,
    /// What it may read and not change in folders that it may change, by its path in them.
    #[serde(default)]
    pub guarded: Vec<Place>,
    /// Environment variables that it is given.
    #[serde(default)]
    pub variable: Vec<Variable>,
    /// Those that it is given where it has no network.
    #[serde(default)]
    pub offline: Vec<Variable>,
    /// What it may ask of the kernel.
    #[serde(default)]
    pub syscalls: Vec<Calls>,
}

/// A path, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// With `~/`, `{prefix}` and `{script}` in it.
    pub path: String,
    /// Why.
    pub why: String,
}

/// An environment variable, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Why.
    pub why: String,
}

/// System calls, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// Their names.
    pub allow: Vec<String>,
    /// The one kind of processor that has them; all if not said.
    pub only: Option<String>,
    /// Why.
    pub why: String,
}

impl Profile {
    /// All of them; the first is `base`.
    #[must_use]
    pub fn all() -> &'static [Profile] {
        &ALL
    }

    /// Those that hold for a command, `base` first: by its launcher and its packages, or by `named` in place of the latter.
    #[must_use]
    pub(crate) fn of(named: Option<ProfileName>, program: &Path, command: &[String]) -> Vec<&'static Profile> {
        let holds = |profile: &&Profile| match named {
            _ if profile.name == ProfileName::Base => true,
            Some(ProfileName::Base) => false,
            Some(named) => profile.name == named || profile.is_launched_by(program, command),
            None => profile.is_launched_by(program, command) || profile.has_package(command),
        };
        ALL.iter().filter(holds).collect()
    }

    fn is_launched_by(&self, program: &Path, command: &[String]) -> bool {
        let named = command.first().map(Path::new);
        let names = [named, Some(program)].into_iter().flatten().filter_map(|path| path.file_name()?.to_str());
        let of = |name: &str| name.trim_end_matches(|char: char| char.is_ascii_digit() || char == '.').to_owned();
        names.into_iter().any(|name| self.launchers.iter().any(|launcher| *launcher == name || *launcher == of(name)))
    }

    fn has_package(&self, command: &[String]) -> bool {
        command.iter().any(|word| self.packages.iter().any(|package| names(word, package)))
    }

    /// The names of the system calls that this machine has.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &str> {
        let here = |calls: &&Calls| calls.only.as_deref().is_none_or(|only| only == std::env::consts::ARCH);
        self.syscalls.iter().filter(here).flat_map(|calls| calls.allow.iter().map(String::as_str))
    }
}

impl ProfileName {
    /// The word in configuration and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ProfileName::Base => "base",
            ProfileName::Node => "node",
            ProfileName::Python => "python",
            ProfileName::Git => "git",
            ProfileName::Filesystem => "filesystem",
        }
    }
}

/// Whether a word of a command is this package, with or without a version, or a file of it.
fn names(word: &str, package: &str) -> bool {
    let rest = word.strip_prefix(package);
    let versioned = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['@', '=', '<', '>', '~', '[']));
    versioned || word.contains(&format!("/node_modules/{package}/")) || word.ends_with(&format!("/bin/{package}"))
}

static ALL: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the profiles are part of the program; a test reads each of them")]
    let read = |text: &str| toml::from_str::<Profile>(text).expect("a profile of the program is in order");
    TEXTS.into_iter().map(read).collect()
});

const TEXTS: [&str; 5] = [
    include_str!("../../../profiles/base.toml"),
    include_str!("../../../profiles/node.toml"),
    include_str!("../../../profiles/python.toml"),
    include_str!("../../../profiles/git.toml"),
    include_str!("../../../profiles/filesystem.toml"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(command: &str) -> Vec<ProfileName> {
        let command: Vec<String> = command.split(' ').map(String::from).collect();
        Profile::of(None, Path::new(&command[0]), &command).iter().map(|profile| profile.name).collect()
    }

    #[test]
    fn every_entry_says_why() {
        for profile in Profile::all() {
            let places = [&profile.read, &profile.copy, &profile.toolchain, &profile.hidden, &profile.guarded];
            let whys = places.iter().flat_map(|places| places.iter().map(|place| &place.why));
            let whys = whys.chain(profile.variable.iter().map(|variable| &variable.why));
            let whys = whys.chain(profile.offline.iter().map(|variable| &variable.why));
            let mut whys = whys.chain(profile.syscalls.iter().map(|calls| &calls.why)).chain([&profile.why]);
            assert!(whys.all(|why| why.ends_with('.')), "{:?}", profile.name);
        }
        assert_eq!(Profile::all()[0].name, ProfileName::Base);
    }

    #[test]
    fn command_chooses_its_profiles() {
        use ProfileName::{Base, Filesystem, Git, Node, Python};
        for (command, expected) in [
            ("/opt/server --stdio", vec![Base]),
            ("node server.js", vec![Base, Node]),
            ("python3.11 -m mcp_server", vec![Base, Python]),
            ("npx -y @modelcontextprotocol/server-filesystem@2026.1.1 /srv", vec![Base, Node, Filesystem]),
            (
                "node /x/node_modules/@modelcontextprotocol/server-filesystem/dist/index.js /srv",
                vec![Base, Node, Filesystem],
            ),
            ("uvx mcp-server-git==1.0 --repository /srv", vec![Base, Python, Git]),
            ("/venv/bin/mcp-server-git --repository /srv", vec![Base, Git]),
            ("npx mcp-server-gitlab", vec![Base, Node]),
            ("nodes server.js", vec![Base]),
        ] {
            assert_eq!(chosen(command), expected, "{command}");
        }
    }

    #[test]
    fn named_profile_takes_the_place_of_the_one_that_a_package_chooses() {
        let command: Vec<String> = ["npx", "mcp-server-git"].map(String::from).into();
        let of = |named| -> Vec<ProfileName> {
            Profile::of(Some(named), Path::new("/usr/bin/npx"), &command).iter().map(|profile| profile.name).collect()
        };
        assert_eq!(of(ProfileName::Filesystem), [ProfileName::Base, ProfileName::Node, ProfileName::Filesystem]);
        assert_eq!(of(ProfileName::Base), [ProfileName::Base]);
    }
}
