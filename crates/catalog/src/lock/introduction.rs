//! What a server says of itself: its instructions end up in a model's context as its definitions do.

use sekisho_wire::json::Object;
use sekisho_wire::{Json, ListKind};

use crate::canonical::{exact, pretty};
use crate::definition::DefinitionDigest;
use crate::rules::{Mark, Neighbours, Rules};

/// What a server says of itself in one era: `instructions`, and `serverInfo` but for its version, which changes without meaning
/// anything for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    said: Json,
    digest: DefinitionDigest,
    accepted: Vec<Box<str>>,
}

impl Introduction {
    /// As a server says it.
    #[must_use]
    pub fn of(server: &Json, instructions: Option<&str>) -> Introduction {
        let said = Object::new().maybe_text("instructions", instructions);
        // A version that is none is text like any other.
        let is_version = server.get("version").as_ref().and_then(Json::string).is_some_and(|version| {
            version.len() <= VERSION_CHARS
                && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+_-".contains(&byte))
        });
        let info = if is_version { server.without("version") } else { server.clone() };
        Introduction::read(&said.json("serverInfo", &info).finish(), Vec::new())
    }

    /// As the lock file has it.
    pub(super) fn read(said: &Json, accepted: Vec<Box<str>>) -> Introduction {
        // Sorted, so that what the lock file says does not hang on how a server writes.
        let sorted = Json::decode(exact(said).into(), &super::read::LIMITS);
        let said = sorted.unwrap_or_else(|_| said.detached());
        Introduction { digest: DefinitionDigest::of(ListKind::Prompts, &said), said, accepted }
    }

    /// The whole of it, an object.
    #[must_use]
    pub fn said(&self) -> &Json {
        &self.said
    }

    /// The same over lines, hidden characters escaped: for people.
    #[must_use]
    pub fn to_lines(&self) -> String {
        pretty(&self.said, 0)
    }

    /// Which one it is.
    #[must_use]
    pub fn digest(&self) -> DefinitionDigest {
        self.digest
    }

    /// The rules that it breaks and that it was approved despite.
    #[must_use]
    pub fn accepted(&self) -> &[Box<str>] {
        &self.accepted
    }

    /// The same, approved despite these rules.
    #[must_use]
    pub fn accepting(self, accepted: Vec<Box<str>>) -> Introduction {
        Introduction { accepted, ..self }
    }

    /// What rules mark in it.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        Rules::standard().look(ListKind::Prompts, &self.said, &Neighbours::none())
    }

    /// The first rule that withholds it and that it was not approved despite.
    pub(crate) fn unaccepted(&self, accepted: &[Box<str>]) -> Option<Mark> {
        self.marks().into_iter().find(|mark| mark.withholds_despite(accepted))
    }
}

const VERSION_CHARS: usize = 64;
