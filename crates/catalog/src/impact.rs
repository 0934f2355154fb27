//! What a tool does to the world, as its approved definition says it: by this, users are told apart what they agree to.

use sekisho_wire::Json;

/// What calling a tool can do, the least first. It follows from the tool's annotations (MCP, `ToolAnnotations`), which are the server's own
/// word: they count because somebody approved the definition that they stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Impact {
    /// It only reads, and says nothing of going elsewhere.
    Read,
    /// It changes things, and destroys none.
    Write,
    /// It deals with whatever there is outside: it reads or adds there.
    External,
    /// It may delete or overwrite; or it says nothing of what it does, which is the same.
    Destructive,
}

impl Impact {
    /// All of them, as they are told to people: the most harmless first.
    pub const ALL: [Impact; 4] = [Impact::Read, Impact::Write, Impact::External, Impact::Destructive];

    /// That of a tool with this definition.
    #[must_use]
    pub fn of(definition: &Json) -> Impact {
        let annotations = definition.get("annotations");
        let hint = |name: &str| annotations.as_ref().and_then(|hints| hints.get(name)).and_then(|hint| hint.boolean());
        let is_open = hint("openWorldHint");
        match (hint("readOnlyHint"), hint("destructiveHint")) {
            (Some(true), _) if is_open == Some(true) => Impact::External,
            (Some(true), _) => Impact::Read,
            // What is left unsaid is the worse of both: that is the specification's default, too.
            (Some(false) | None, Some(true) | None) => Impact::Destructive,
            (Some(false) | None, Some(false)) if is_open == Some(false) => Impact::Write,
            (Some(false) | None, Some(false)) => Impact::External,
        }
    }

    /// Its name in policies, scopes and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Impact::Read => "read",
            Impact::Write => "write",
            Impact::External => "external",
            Impact::Destructive => "destructive",
        }
    }
}

#[cfg(test)]
mod tests {
    use sekisho_wire::json::Limits;

    use super::*;

    fn of(annotations: &str) -> Impact {
        let definition = format!(r#"{{"name":"t","annotations":{annotations}}}"#);
        Impact::of(&Json::decode(definition.into(), &Limits::default()).unwrap())
    }

    #[test]
    fn what_is_left_unsaid_counts_as_the_worst() {
        for (annotations, impact) in [
            ("{}", Impact::Destructive),
            ("null", Impact::Destructive),
            ("7", Impact::Destructive),
            (r#"{"readOnlyHint":"true"}"#, Impact::Destructive),
            (r#"{"readOnlyHint":false}"#, Impact::Destructive),
            (r#"{"destructiveHint":true,"openWorldHint":false}"#, Impact::Destructive),
            (r#"{"destructiveHint":false}"#, Impact::External),
            (r#"{"destructiveHint":false,"openWorldHint":true}"#, Impact::External),
            (r#"{"destructiveHint":false,"openWorldHint":false}"#, Impact::Write),
            (r#"{"readOnlyHint":true}"#, Impact::Read),
            (r#"{"readOnlyHint":true,"destructiveHint":true}"#, Impact::Read),
            (r#"{"readOnlyHint":true,"openWorldHint":false}"#, Impact::Read),
            (r#"{"readOnlyHint":true,"openWorldHint":true}"#, Impact::External),
        ] {
            assert_eq!(of(annotations), impact, "{annotations}");
        }
        assert_eq!(
            Impact::of(&Json::decode(r#"{"name":"t"}"#.into(), &Limits::default()).unwrap()),
            Impact::Destructive
        );
    }
}
