//! **What is in it?** and later **are the obligations met?** [`Inspected`] carries findings and decides
//! nothing; [`Cleared`] is the proof that every obligation was met.
//!
//! Inspection never decides, and clearing never adds or redirects: it may only stop, mask or mark. A schema
//! is never fetched, and one that cannot be understood fully and in bounded time is unusable, never
//! permissive (MCP JS-02 to JS-04).
//!
//! *Depth still missing*: detectors, argument checks by role, DLP, markup neutralisation, spotlighting,
//! context budget; hidden characters in the member names of results; a second schema run over a masked
//! answer.
#![forbid(unsafe_code)]

mod clear;
mod close;
mod config;
mod examine;
mod inspect;
mod patterns;
mod questions;
mod schema;
mod scope;
mod secrets;
#[cfg(test)]
mod suite;
mod text;
mod texts;
mod value;
mod words;
mod work;

use sekisho_catalog::{Declared, Pinned};
use sekisho_limits::Admitted;
use sekisho_wire::{Era, FromServer, Json};

pub use clear::{Cleared, Maskable, Masked, Obligation, Obliged, Unmet};
pub use config::{Config, UnknownArguments};
pub use questions::host_of;

use examine::Pages;
use schema::Schemas;

/// A request with what was found in it.
pub struct Inspected {
    message: Admitted,
    findings: Vec<Finding>,
}

impl Inspected {
    /// The request.
    #[must_use]
    pub fn message(&self) -> &Admitted {
        &self.message
    }

    /// What was found.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked for.
    pub rule: Rule,
    /// A JSON pointer into arguments or result; `<server>/<name>` for an item of a list. Visible text, bounded.
    pub at: Box<str>,
    /// One sentence that a model can repair its call from. Visible text, bounded.
    pub words: Box<str>,
}

impl Finding {
    /// A finding whose texts are visible and bounded: they quote what servers and clients wrote.
    fn new(rule: Rule, at: &str, words: &str) -> Finding {
        Finding { rule, at: text::brief(at, AT_CHARS_MAX), words: text::brief(words, WORDS_CHARS_MAX) }
    }
}

/// What was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Arguments do not fit the tool's input schema.
    InputSchema,
    /// A result does not fit the tool's output schema (JS-06).
    OutputSchema,
    /// A schema cannot be used at all (JS-01 to JS-05).
    SchemaUnusable,
    /// An `Mcp-Param-*` header differs from the arguments (HT-24).
    HeaderMismatch,
    /// Text has characters that its reader does not see. Never a reason to refuse: they are made visible.
    HiddenCharacters,
    /// Arguments have the wrong shape, or a number that does not survive reading.
    Arguments,
    /// A server asks for a secret by a form (EL-01).
    AsksForSecret,
    /// A form that is not flat, or whose schema cannot be used.
    Form,
    /// A server sends the user to a page that is not on the web over TLS, or hides where it is (EL-05).
    Link,
    /// An answer does not fit the server's question (EL-09).
    Answer,
}

impl Rule {
    /// Its word in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::InputSchema => "input_schema",
            Rule::OutputSchema => "output_schema",
            Rule::SchemaUnusable => "schema_unusable",
            Rule::HeaderMismatch => "header_mismatch",
            Rule::HiddenCharacters => "hidden_characters",
            Rule::Arguments => "arguments",
            Rule::AsksForSecret => "asks_for_secret",
            Rule::Form => "form",
            Rule::Link => "link",
            Rule::Answer => "answer",
        }
    }
}

/// Plain facts about the exchange that an answer is examined against.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The era of the request.
    pub era: Era,
    /// The definition that was addressed, if one was.
    pub pinned: Option<Pinned>,
}

/// A server's message with what was found in it.
pub struct Examined {
    message: FromServer,
    findings: Vec<Finding>,
}

impl Examined {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &FromServer {
        &self.message
    }

    /// What was found.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The message and what was found, for the room that decides what of it goes back.
    #[must_use]
    pub fn into_parts(self) -> (FromServer, Vec<Finding>) {
        (self.message, self.findings)
    }
}

/// The room.
pub struct Guard {
    schemas: Schemas,
    pages: Pages,
}

impl Guard {
    /// Builds it.
    #[must_use]
    pub fn new(config: &Config) -> Guard {
        Guard { schemas: Schemas::new(config), pages: Pages::default() }
    }

    /// Looks into a request. Decides nothing.
    #[must_use]
    pub fn inspect(&self, m: Admitted) -> Inspected {
        let findings = inspect::findings(&self.schemas, m.message());
        Inspected { message: m, findings }
    }

    /// Looks into what a server says. Decides nothing.
    #[must_use]
    pub fn examine(&self, of: &Subject, m: FromServer) -> Examined {
        let findings = examine::findings(&self.schemas, &self.pages, of, &m);
        Examined { message: m, findings }
    }

    /// What of `arguments` does not fit an input schema, as [`Guard::inspect`] finds it for a call. Decides nothing, proves nothing.
    #[must_use]
    pub fn misfits(&self, input: &Declared, arguments: &Json) -> Vec<Finding> {
        inspect::of_tool(&self.schemas, [Some(input), None], arguments, None)
    }

    /// Whether calls to a definition could be inspected at all: its schemas compile.
    ///
    /// # Errors
    /// One sentence for the operator: which schema cannot be used, and why.
    pub fn usable(&self, definition: &Pinned) -> Result<(), Box<str>> {
        self.schemas.usable(definition.json())
    }

    /// Meets the obligations of a request.
    ///
    /// # Errors
    /// [`Unmet`] if there is one: masking is for the way back, and a changed request would have to be
    /// inspected and decided again.
    pub fn clear<A: Obliged>(&self, m: A) -> Result<Cleared<A>, Unmet> {
        clear::request(m)
    }

    /// Meets the obligations of an answer, by masking it.
    ///
    /// # Errors
    /// [`Unmet`] if one cannot be met.
    pub fn clear_answer<A: Maskable>(&self, m: A) -> Result<Cleared<A>, Unmet> {
        clear::answer(m)
    }
}

/// Most findings of one message: what a model can act upon at once.
const FINDINGS_MAX: usize = 8;
/// Longest place, in characters.
const AT_CHARS_MAX: usize = 200;
/// Longest sentence, in characters.
const WORDS_CHARS_MAX: usize = 300;
