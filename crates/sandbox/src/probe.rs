//! What this machine can enforce, and what is to be done where it is less than everything.

use crate::tier::Tier;

/// Something that confinement stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ability {
    /// Landlock, in any version.
    Landlock,
    /// Filters of system calls.
    Seccomp,
    /// User namespaces with powers in them, for this user.
    UserNamespaces,
    /// All the others, in one of these.
    Namespaces,
    /// A root, and `/proc`, of its own in them.
    Mounts,
    /// The calls of Linux 5.12 and later that the launcher uses.
    Processes,
}

/// Whether it is there; if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What.
    pub ability: Ability,
    /// Whether.
    pub found: bool,
    /// Why not; of Landlock, the version.
    pub words: String,
}

/// What a machine can enforce.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// What was tried, in the order it was.
    pub found: Vec<Found>,
}

impl Ability {
    /// All of them.
    pub const ALL: [Ability; 6] = [
        Ability::Landlock,
        Ability::Seccomp,
        Ability::UserNamespaces,
        Ability::Namespaces,
        Ability::Mounts,
        Ability::Processes,
    ];

    /// What people call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Ability::Landlock => "landlock",
            Ability::Seccomp => "seccomp",
            Ability::UserNamespaces => "user namespaces",
            Ability::Namespaces => "namespaces",
            Ability::Mounts => "a root of its own",
            Ability::Processes => "descriptors closed by range",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Ability> {
        Ability::ALL.into_iter().find(|ability| ability.as_str() == name)
    }
}

impl Machine {
    /// The best that is to be had here.
    #[must_use]
    pub fn tier(&self) -> Tier {
        let has = |ability| self.has(ability);
        let partial = has(Ability::Landlock)
            && has(Ability::Seccomp)
            && has(Ability::Processes)
            && self.landlock() >= LANDLOCK_MIN;
        let full = has(Ability::Landlock)
            && has(Ability::Seccomp)
            && has(Ability::Processes)
            && has(Ability::UserNamespaces)
            && has(Ability::Namespaces)
            && has(Ability::Mounts);
        match (full, partial) {
            (true, _) => Tier::Full,
            (false, true) => Tier::Partial,
            (false, false) => Tier::None,
        }
    }

    /// Whether it has this.
    #[must_use]
    pub fn has(&self, ability: Ability) -> bool {
        self.found.iter().any(|found| found.ability == ability && found.found)
    }

    /// The version of Landlock; 0: none.
    #[must_use]
    pub fn landlock(&self) -> u32 {
        let found = self.found.iter().find(|found| found.ability == Ability::Landlock && found.found);
        found.and_then(|found| found.words.parse().ok()).unwrap_or(0)
    }
}

/// Before version 3 a file could be emptied that could not be written.
const LANDLOCK_MIN: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(lacking: &[Ability], landlock: &str) -> Machine {
        let found = |ability| Found {
            ability,
            found: !lacking.contains(&ability),
            words: if ability == Ability::Landlock { landlock.to_owned() } else { String::new() },
        };
        Machine { found: Ability::ALL.map(found).into() }
    }

    #[test]
    fn tier_is_what_everything_it_stands_on_permits() {
        assert_eq!(machine(&[], "7").tier(), Tier::Full);
        assert_eq!(machine(&[], "1").tier(), Tier::Full, "the root of its own does the rest");
        for lacking in [Ability::UserNamespaces, Ability::Namespaces, Ability::Mounts] {
            assert_eq!(machine(&[lacking], "3").tier(), Tier::Partial);
            assert_eq!(machine(&[lacking], "2").tier(), Tier::None, "a file that cannot be written could be emptied");
        }
        for lacking in [Ability::Landlock, Ability::Seccomp, Ability::Processes] {
            assert_eq!(machine(&[lacking], "7").tier(), Tier::None, "{lacking:?}");
        }
        assert_eq!(Machine::default().tier(), Tier::None);
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for ability in Ability::ALL {
            assert_eq!(Ability::parse(ability.as_str()), Some(ability));
        }
    }
}
