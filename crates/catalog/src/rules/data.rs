//! The files of `rules/`, as they are written.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;

use super::{Effect, RuleId};

/// Words by language and class; `any` is every language.
pub(crate) type Words = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// A file of rules about sentences.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SentenceFile {
    pub(crate) rules: Vec<SentenceRule>,
}

/// What sentences a rule marks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SentenceRule {
    pub(crate) id: String,
    pub(crate) effect: Effect,
    pub(crate) why: String,
    pub(crate) languages: BTreeMap<String, Sentences>,
}

/// A rule in one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the examples are read by tests alone; their form is held everywhere")
)]
pub(crate) struct Sentences {
    /// Classes of words in the order in which they follow each other in a sentence; `..` lets them stand further apart.
    pub(crate) patterns: Vec<String>,
    pub(crate) must_match: Vec<String>,
    pub(crate) must_not_match: Vec<String>,
}

/// A file of rules whose condition is code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckFile {
    pub(crate) rules: Vec<CheckRule>,
}

/// A rule whose condition is code: what it is called and what follows from it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the examples are read by tests alone; their form is held everywhere")
)]
pub(crate) struct CheckRule {
    pub(crate) check: Check,
    pub(crate) id: String,
    pub(crate) effect: Effect,
    pub(crate) why: String,
    /// Words that the check looks for, where it looks for words.
    #[serde(default)]
    pub(crate) words: Vec<String>,
    #[serde(default)]
    pub(crate) must_match: Vec<String>,
    #[serde(default)]
    pub(crate) must_not_match: Vec<String>,
}

/// The conditions that are code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Check {
    TagCharacters,
    BidiControls,
    VariationSelectors,
    ZeroWidthInWord,
    TerminalEscape,
    OtherHidden,
    OrderInComment,
    EncodedText,
    EncodedBlob,
    EscapedRun,
    MentionInOrder,
    Mention,
    NameDisguised,
    NameConfusable,
    NameSpelling,
    NameEqual,
    NameNear,
    ContextParameter,
    ReadOnlyClaim,
    HarmlessClaim,
}

impl Check {
    /// Each of them has its rule.
    pub(crate) const ALL: [Check; 20] = [
        Check::TagCharacters,
        Check::BidiControls,
        Check::VariationSelectors,
        Check::ZeroWidthInWord,
        Check::TerminalEscape,
        Check::OtherHidden,
        Check::OrderInComment,
        Check::EncodedText,
        Check::EncodedBlob,
        Check::EscapedRun,
        Check::MentionInOrder,
        Check::Mention,
        Check::NameDisguised,
        Check::NameConfusable,
        Check::NameSpelling,
        Check::NameEqual,
        Check::NameNear,
        Check::ContextParameter,
        Check::ReadOnlyClaim,
        Check::HarmlessClaim,
    ];
}

/// What every rule is: the marks say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: RuleId,
    pub(crate) effect: Effect,
    pub(crate) why: &'static str,
}

/// What a rule found in one string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) rule: Header,
    /// Bytes of the string.
    pub(crate) span: Range<usize>,
}

impl Header {
    /// Rules are read once and live as long as the process.
    pub(crate) fn new(id: String, effect: Effect, why: String) -> Header {
        Header { id: RuleId(id.leak()), effect, why: why.leak() }
    }
}

/// The words.
pub(crate) const WORDS: &str = include_str!("../../rules/words.toml");
/// What the rules say about sentences, a family each.
pub(crate) const SENTENCES: [&str; 3] = [
    include_str!("../../rules/poisoning.toml"),
    include_str!("../../rules/shadowing.toml"),
    include_str!("../../rules/markup.toml"),
];
/// The rules whose condition is code, a family each.
pub(crate) const CHECKS: [&str; 4] = [
    include_str!("../../rules/hidden.toml"),
    include_str!("../../rules/encoded.toml"),
    include_str!("../../rules/names.toml"),
    include_str!("../../rules/claims.toml"),
];
