//! Policies from text: parsed, strictly validated, named. What does not validate does not load.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::entities_errors::EntitiesError;
use cedar_policy::{CedarSchemaError, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use crate::entities::{Actions, Vocabulary};
use crate::memory::Memory;
use crate::pages::Pages;
use crate::proposal::{Proposal, Unusable};
use crate::reads::Reads;
use crate::slice::Slices;
use crate::{Config, Policy};

/// The schema that every policy is validated against; published with the policies.
pub const SCHEMA: &str = include_str!("../../../policies/schema.cedarschema");

/// What forbids whatever a user has not agreed to, for tokens of this issuer; a source for [`Policy::load`] (M3).
#[must_use]
pub fn consent_policies(issuer: &str) -> String {
    // An issuer is a URL in its plainest form: it has no character that would end the string.
    let plain: String = issuer.chars().filter(|char| !matches!(char, '"' | '\\') && !char.is_control()).collect();
    CONSENT.replace("ISSUER", &plain)
}

const CONSENT: &str = include_str!("../../../policies/consent.cedar");

/// Why policies are not loaded. The old ones stay in force.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No file is named.
    #[error("no policy file is configured, so nothing would be permitted")]
    NoFiles,
    /// A file cannot be read as text.
    #[error("policy file `{}` cannot be read", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is longer than any sensible policy.
    #[error("policy file `{file}` is longer than {bytes_max} bytes")]
    TooLong {
        /// Which.
        file: Box<str>,
        /// The limit.
        bytes_max: usize,
    },
    /// The files hold no policy.
    #[error("the policy files hold no policy, so nothing would be permitted")]
    Empty,
    /// Policies that do not parse or do not validate.
    #[error("{}", listed(.0))]
    Invalid(Vec<Problem>),
    /// The built-in schema.
    #[error("the built-in schema is broken")]
    Schema(#[source] Box<CedarSchemaError>),
    /// The actions of the built-in schema.
    #[error("the actions of the built-in schema are broken")]
    Actions(#[source] Box<EntitiesError>),
    /// The type names of the built-in schema.
    #[error("the built-in schema lacks `{0}`")]
    Name(&'static str),
}

/// One thing wrong in a policy file, with its place for people and for a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as configured.
    pub file: Box<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// First byte in the file, from 0.
    pub offset: usize,
    /// Length in bytes; 0 if only the place is known.
    pub length: usize,
    /// What is wrong.
    pub message: Box<str>,
    /// What would help, if Cedar knows.
    pub help: Option<Box<str>>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

fn listed(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("; ")
}

impl Policy {
    /// Reads the configured files; `base` is the folder that relative paths start from. `more` are texts that come with the program, each
    /// with a name.
    ///
    /// # Errors
    /// [`LoadError`]: no file, no policy, or one that does not parse or validate.
    pub fn load(config: &Config, base: &Path, more: &[(&str, &str)]) -> Result<Policy, LoadError> {
        if config.files.is_empty() {
            return Err(LoadError::NoFiles);
        }
        let mut sources = Vec::new();
        for file in &config.files {
            let text = std::fs::read_to_string(base.join(file))
                .map_err(|source| LoadError::Read { file: file.clone(), source })?;
            sources.push((file.display().to_string(), text));
        }
        // What only forbids would hide that nothing is permitted.
        if sources.iter().all(|(_, text)| PolicySet::from_str(text).is_ok_and(|set| set.is_empty())) {
            return Err(LoadError::Empty);
        }
        let sources = sources.iter().map(|(name, text)| (&**name, &**text)).chain(more.iter().copied());
        Policy::parse(&sources.collect::<Vec<_>>())
    }

    /// Takes policies from texts, each with the name of its file.
    ///
    /// # Errors
    /// [`LoadError`]: no policy, or one that does not parse or validate.
    pub fn parse(sources: &[(&str, &str)]) -> Result<Policy, LoadError> {
        let schema = Schema::from_cedarschema_str(SCHEMA).map_err(|e| LoadError::Schema(Box::new(e)))?.0;
        let mut policies = PolicySet::new();
        let mut origins: HashMap<PolicyId, (&str, &str)> = HashMap::new();
        let mut problems = Vec::new();
        for (file, text) in sources {
            if text.len() > FILE_BYTES_MAX {
                return Err(LoadError::TooLong { file: (*file).into(), bytes_max: FILE_BYTES_MAX });
            }
            match PolicySet::from_str(text) {
                Ok(set) => problems.extend(merge(&mut policies, &mut origins, &set, (file, text))),
                Err(errors) => problems.extend(places(&errors, (file, text))),
            }
        }
        if problems.is_empty() {
            problems = invalid(&schema, &policies, &origins);
        }
        let (proposals, unusable) = proposals(&policies, &origins);
        problems.extend(unusable);
        if !problems.is_empty() {
            problems.truncate(PROBLEMS_MAX);
            return Err(LoadError::Invalid(problems));
        }
        if policies.is_empty() {
            return Err(LoadError::Empty);
        }
        let slices = Slices::of(&schema, &policies, proposals)?;
        let resources: HashSet<String> = policies
            .policies()
            .flat_map(cedar_policy::Policy::entity_literals)
            .filter(|uid| uid.type_name().basename() == "Resource")
            .map(|uid| uid.id().unescaped().to_owned())
            .collect();
        let held = if slices.reads().any(Reads::names_actions) { Actions::Every } else { Actions::Reached };
        let ids = policies.policies().map(|policy| AsRef::<str>::as_ref(policy.id()).into()).collect();
        Ok(Policy {
            vocabulary: Vocabulary::of(&schema, held)?,
            slices,
            memory: Memory::default(),
            pages: Pages::default(),
            ids,
            resources,
        })
    }

    /// The ids of the loaded policies, in order: the `@id` of each, or `<file>#<number>`.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(|id| &**id)
    }
}

/// Adds the policies of one file, each under an id that a record can be read by.
fn merge<'s>(
    into: &mut PolicySet,
    origins: &mut HashMap<PolicyId, (&'s str, &'s str)>,
    set: &PolicySet,
    (file, text): (&'s str, &'s str),
) -> Vec<Problem> {
    let mut problems = Vec::new();
    if set.num_of_templates() > 0 {
        let message = "a policy with `?principal` or `?resource` is a template, and nothing here fills it in";
        problems.push(problem((file, text), text.find('?').unwrap_or(0), 1, message, None));
    }
    // Cedar numbers the policies of a text from 0.
    let number = |policy: &cedar_policy::Policy| -> usize {
        let id: &str = policy.id().as_ref();
        id.trim_start_matches("policy").parse().unwrap_or(usize::MAX)
    };
    let mut in_order: Vec<&cedar_policy::Policy> = set.policies().collect();
    in_order.sort_by_key(|policy| number(policy));
    for (index, policy) in in_order.into_iter().enumerate() {
        let said = policy.annotation("id").filter(|id| !id.is_empty());
        let id = PolicyId::new(said.map_or_else(|| format!("{file}#{}", index + 1), str::to_owned));
        if into.add(policy.new_id(id.clone())).is_err() {
            let quoted = format!("\"{id}\"");
            let at = text.rfind(&quoted).unwrap_or(0);
            let message = format!("two policies have the id `{id}`");
            problems.push(problem((file, text), at, quoted.len(), &message, None));
        }
        origins.insert(id, (file, text));
    }
    problems
}

fn invalid(schema: &Schema, policies: &PolicySet, origins: &HashMap<PolicyId, (&str, &str)>) -> Vec<Problem> {
    let result = Validator::new(schema.clone()).validate(policies, ValidationMode::Strict);
    let mut problems = Vec::new();
    for error in result.validation_errors() {
        let source = origins.get(error.policy_id()).copied().unwrap_or_default();
        problems.extend(places(error, source));
    }
    problems.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
    problems
}

/// What policies propose to those who are refused.
fn proposals(
    policies: &PolicySet,
    origins: &HashMap<PolicyId, (&str, &str)>,
) -> (HashMap<PolicyId, Arc<Proposal>>, Vec<Problem>) {
    let (mut proposals, mut problems) = (HashMap::new(), Vec::new());
    for policy in policies.policies() {
        match Proposal::of(policy) {
            Ok(proposal) => proposals.extend(proposal.map(|proposal| (policy.id().clone(), Arc::new(proposal)))),
            Err(unusable) => {
                let source = origins.get(policy.id()).copied().unwrap_or_default();
                problems.extend(unusable.iter().map(|unusable| annotated(source, unusable)));
            }
        }
    }
    problems.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
    (proposals, problems)
}

/// The place of an annotation: the first of its name and value, or of its name where the value is written with escapes.
fn annotated(source: (&str, &str), of: &Unusable) -> Problem {
    let text = source.1;
    let name = format!("@{}", of.name);
    let is_it = |(at, _): &(usize, &str)| {
        let rest = text.get(at + name.len()..).unwrap_or_default().trim_start();
        let value = rest.strip_prefix('(').map_or("", |rest| rest.trim_start());
        value.strip_prefix('"').and_then(|value| value.strip_prefix(&*of.value)).is_some_and(|end| end.starts_with('"'))
    };
    let at = text.match_indices(&name).find(is_it).map(|(at, _)| at).or_else(|| text.find(&name));
    problem(source, at.unwrap_or(0), name.len(), &of.message, Some(of.help.into()))
}

/// An error of Cedar's, and those beside it, with their places.
fn places(error: &dyn Diagnostic, source: (&str, &str)) -> Vec<Problem> {
    let label = error.labels().and_then(|mut labels| labels.next());
    let (offset, length) = label.as_ref().map_or((0, 0), |label| (label.offset(), label.len()));
    let mut message = error.to_string();
    if let Some(detail) = label.as_ref().and_then(|label| label.label()) {
        message = format!("{message}: {detail}");
    }
    let help = error.help().map(|help| help.to_string().into());
    let mut problems = vec![problem(source, offset, length, &message, help)];
    for beside in error.related().into_iter().flatten() {
        problems.extend(places(beside, source));
    }
    problems
}

fn problem((file, text): (&str, &str), offset: usize, length: usize, message: &str, help: Option<Box<str>>) -> Problem {
    let before = text.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Problem {
        file: file.into(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        offset,
        length,
        message: message.into(),
        help,
    }
}

/// Longest policy file, in bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Most problems that are told at once.
const PROBLEMS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<Problem> {
        match Policy::parse(&[("a.cedar", text)]) {
            Err(LoadError::Invalid(problems)) => problems,
            other => panic!("{:?}", other.err()),
        }
    }

    #[test]
    fn no_file_no_policy_and_an_unreadable_file_are_refused() {
        let base = Path::new(".");
        assert!(matches!(Policy::load(&Config { files: vec![] }, base, &[]), Err(LoadError::NoFiles)));
        let missing = Config { files: vec!["does-not-exist.cedar".into()] };
        assert!(matches!(Policy::load(&missing, base, &[]), Err(LoadError::Read { .. })));
        for empty in ["", "// only words\n"] {
            assert!(matches!(Policy::parse(&[("a.cedar", empty)]), Err(LoadError::Empty)));
        }
        assert!(Policy::parse(&[("a.cedar", "permit(principal, action, resource);")]).is_ok());
    }

    #[test]
    fn a_policy_that_does_not_parse_is_refused_with_its_place() {
        let found = problems("permit(principal, action, resource);\n\npermit(principal, action resource);\n");
        assert_eq!((found[0].line, found[0].column), (3, 26));
        assert_eq!(found[0].offset, 63);
        assert!(found[0].to_string().starts_with("a.cedar:3:26: "));
    }

    #[test]
    fn a_policy_that_does_not_validate_is_refused_with_its_place() {
        let text = "permit(principal, action, resource)\nwhen { principal.ünknown == \"x\" };\n";
        let text = text.replace('ü', "u");
        let found = problems(&text);
        assert_eq!(
            (found[0].line, text.get(found[0].offset..found[0].offset + found[0].length).unwrap()),
            (2, "principal.unknown")
        );
        for refused in [
            // An action that is none, an entity type that is none, a tag read without a look.
            r#"permit(principal, action == Sekisho::Action::"tools/cal", resource);"#,
            r#"permit(principal == User::"a", action, resource);"#,
            r#"permit(principal, action == Sekisho::Action::"tools/call", resource) when { context.text.getTag("a") == "b" };"#,
            r#"permit(principal, action == Sekisho::Action::"tools/call", resource) when { context.path == "b" };"#,
            r#"permit(principal, action == Sekisho::Action::"tools/list", resource) when { context.text.hasTag("a") };"#,
            r#"permit(principal == ?principal, action, resource);"#,
            "@id(\"x\") permit(principal, action, resource); @id(\"x\") forbid(principal, action, resource);",
        ] {
            assert!(!problems(refused).is_empty(), "{refused}");
        }
    }

    #[test]
    fn policies_are_named_by_annotation_or_file() {
        let policy = Policy::parse(&[
            ("a.cedar", "@id(\"named\") permit(principal, action, resource); forbid(principal, action, resource);"),
            ("b.cedar", "permit(principal, action, resource);"),
        ]);
        assert_eq!(policy.unwrap().ids().collect::<Vec<_>>(), ["a.cedar#2", "b.cedar#1", "named"]);
        let twice = [("a.cedar", "@id(\"x\") permit(principal, action, resource);"); 2];
        assert!(matches!(Policy::parse(&twice), Err(LoadError::Invalid(_))));
    }
}
