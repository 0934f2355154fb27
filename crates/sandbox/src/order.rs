//! What is said between the two halves: the plan and the environment one way, how far it came the other.

use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// What the launcher is to do.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Start this.
    Start(Box<Start>),
    /// Tell what this machine can enforce.
    Probe {},
}

/// A server to be started. No `Debug`: it holds secrets.
#[derive(Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) plan: Plan,
    /// Every variable that it gets.
    pub(crate) environment: Vec<(String, String)>,
    /// Control groups that it is to be in: folders.
    pub(crate) groups: Vec<String>,
}

/// What the launcher says, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// What the server descends from, seen from outside: the first process of its namespace, or itself.
    Process { process: u32, landlock: u32 },
    /// The way out comes along with this.
    WayOut,
    /// The server runs, confined as was asked for.
    Started,
    /// A step failed, and nothing runs.
    Failed { step: String, why: String },
    /// The server ended with this code.
    Exited { code: i32 },
    /// The server was ended by this signal.
    Killed { signal: i32 },
    /// The machine has an ability, or lacks it and why.
    Ability { name: String, found: bool, words: String },
}

impl Line {
    pub(crate) fn write(&self) -> String {
        let words = match self {
            Line::Process { process, landlock } => {
                vec!["process".to_owned(), process.to_string(), landlock.to_string()]
            }
            Line::WayOut => vec!["way-out".to_owned()],
            Line::Started => vec!["started".to_owned()],
            Line::Failed { step, why } => vec!["failed".to_owned(), step.clone(), why.clone()],
            Line::Exited { code } => vec!["exited".to_owned(), code.to_string()],
            Line::Killed { signal } => vec!["killed".to_owned(), signal.to_string()],
            Line::Ability { name, found, words } => {
                vec!["ability".to_owned(), name.clone(), if *found { "yes" } else { "no" }.to_owned(), words.clone()]
            }
        };
        let words: Vec<String> = words.iter().map(|word| word.replace(['\n', '\t'], " ")).collect();
        words.join("\t") + "\n"
    }

    pub(crate) fn read(line: &str) -> Option<Line> {
        let words: Vec<&str> = line.trim_end_matches('\n').split('\t').collect();
        match words.as_slice() {
            ["process", process, landlock] => {
                Some(Line::Process { process: process.parse().ok()?, landlock: landlock.parse().ok()? })
            }
            ["way-out"] => Some(Line::WayOut),
            ["started"] => Some(Line::Started),
            ["failed", step, why] => Some(Line::Failed { step: (*step).to_owned(), why: (*why).to_owned() }),
            ["exited", code] => Some(Line::Exited { code: code.parse().ok()? }),
            ["killed", signal] => Some(Line::Killed { signal: signal.parse().ok()? }),
            ["ability", name, found, words] => {
                Some(Line::Ability { name: (*name).to_owned(), found: *found == "yes", words: (*words).to_owned() })
            }
            _ => None,
        }
    }
}

/// The descriptor that the launcher finds its end of the socket at.
pub(crate) const CONTROL: i32 = 3;
/// LIMIT: an order, in bytes.
pub(crate) const ORDER_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// The argument that makes the product its own launcher.
pub(crate) const LAUNCHER_WORD: &str = "__cage";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        for line in [
            Line::Process { process: 7, landlock: 6 },
            Line::WayOut,
            Line::Started,
            Line::Failed { step: "pivot root".to_owned(), why: "not permitted".to_owned() },
            Line::Exited { code: -1 },
            Line::Killed { signal: 31 },
            Line::Ability { name: "landlock".to_owned(), found: true, words: "7".to_owned() },
        ] {
            assert_eq!(Line::read(&line.write()), Some(line));
        }
        let split = Line::Failed { step: "a\tb".to_owned(), why: "c\nexited\t0".to_owned() };
        assert_eq!(split.write().matches('\n').count(), 1);
        assert_eq!(Line::read("exited"), None);
        assert_eq!(Line::read("process\t-1\t0"), None);
    }
}
