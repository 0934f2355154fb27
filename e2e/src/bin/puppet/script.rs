//! A script, as it stands in its file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// What a server shows, and when.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// How it calls itself.
    pub(crate) name: String,
    /// Sets of definitions.
    pub(crate) faces: BTreeMap<String, Face>,
    /// Which of them when; the last one that applies.
    pub(crate) show: Vec<Show>,
    /// Whether it says that its list of tools changed before it answers a call.
    #[serde(default)]
    pub(crate) announce: bool,
    /// What tools answer.
    #[serde(default)]
    pub(crate) results: BTreeMap<String, Answered>,
    /// How it reads keys.
    #[serde(default)]
    pub(crate) keys: Keys,
}

/// A set of definitions.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Face {
    /// What it says of itself when it is asked who it is.
    #[serde(default)]
    pub(crate) instructions: Option<String>,
    #[serde(default)]
    pub(crate) tools: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(crate) prompts: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(crate) resources: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(crate) templates: Vec<Box<RawValue>>,
}

/// When a face is shown: whenever all that is said here holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Show {
    pub(crate) face: String,
    #[serde(default)]
    pub(crate) after_calls: u64,
    #[serde(default)]
    pub(crate) control: Option<String>,
    #[serde(default)]
    pub(crate) every: Option<u64>,
}

/// What a tool answers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answered {
    #[serde(default)]
    pub(crate) text: Option<String>,
    #[serde(default)]
    pub(crate) echo: Option<String>,
    #[serde(default)]
    pub(crate) effect: Option<Value>,
}

/// How keys are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Keys {
    /// As they are written.
    #[default]
    Exact,
    /// As if all were in lower case.
    AnyCase,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// When there is none, it is none, or it shows a face that it does not have.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("script {}", path.display()))?;
        #[expect(clippy::disallowed_methods, reason = "scripts are ours, and this server has no part of the gateway")]
        let script: Self = serde_json::from_str(&text).with_context(|| format!("script {}", path.display()))?;
        for show in &script.show {
            let face = &show.face;
            anyhow::ensure!(script.faces.contains_key(face), "script {} has no face `{face}`", path.display());
        }
        Ok(script)
    }
}
