//! TOML read strictly, and everything wrong with it said at once.
//!
//! Serde stops at the first error. So the entry that an error points at is taken out of the parsed document and the rest is
//! read again, until nothing is wrong any more or nothing can be taken out.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use crate::problem::{Code, Place, Problem};

/// A parsed file, for finding the place of a key.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    path: Arc<Path>,
    text: Arc<str>,
}

impl Document {
    /// The text of the file at `path`.
    #[must_use]
    pub(crate) fn new(path: &Path, text: &str) -> Document {
        Document { path: path.into(), text: text.into() }
    }

    /// The text.
    #[must_use]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Reads it as a `T`; keys in `required` are missed by name even if others are missing or wrong too.
    ///
    /// # Errors
    /// All that is wrong with it, 32 problems at most, in the order of the file.
    pub(crate) fn read<T: DeserializeOwned>(&self, required: &[&str]) -> Result<T, Vec<Problem>> {
        let (mut table, errors) = DeTable::parse_recoverable(&self.text);
        if !errors.is_empty() {
            let told = |error: &toml::de::Error| {
                Problem::new(Code::Syntax, error.message()).at(error.span().map(|span| self.place(span)))
            };
            return Err(errors.iter().take(PROBLEMS_MAX).map(told).collect());
        }
        let mut problems: Vec<(usize, Problem)> = Vec::new();
        let mut gone = BTreeSet::new();
        for key in required.iter().filter(|key| table.get_ref().get(**key).is_none()) {
            problems.push((usize::MAX, self.missing(key, None)));
            gone.insert((*key).to_owned());
        }
        while problems.len() < PROBLEMS_MAX {
            let error = match T::deserialize(Deserializer::from(table.clone())) {
                Ok(value) if problems.is_empty() => return Ok(value),
                Ok(_) => break,
                Err(error) => error,
            };
            let Some(span) = error.span() else {
                problems.push((usize::MAX, Problem::new(Code::BadValue, error.message())));
                break;
            };
            // What was taken out here is missing only because of that.
            let follows = quoted(error.message(), "missing field").is_some_and(|field| gone.contains(field));
            if !follows {
                problems.push((span.start, self.problem(&error, span.clone())));
            }
            // A mistyped key is not missing besides.
            let meant = quoted(error.message(), "unknown field").and_then(|field| similar(field, error.message()));
            gone.extend(meant.map(str::to_owned));
            match take_out(table.get_mut(), &span) {
                Some(name) => gone.insert(name),
                None => break,
            };
        }
        problems.sort_by_key(|(at, _)| *at);
        Err(problems.into_iter().map(|(_, problem)| problem).collect())
    }

    /// Where the key at the end of `keys` stands; the nearest table above it if it does not.
    #[must_use]
    pub(crate) fn place_of(&self, keys: &[&str]) -> Option<Place> {
        let table = DeTable::parse(&self.text).ok()?;
        let mut level = Some(table.get_ref());
        let mut found = None;
        for key in keys {
            let Some((key, value)) = level.and_then(|table| table.iter().find(|(name, _)| name.get_ref() == *key))
            else {
                break;
            };
            found = Some(key.span());
            level = value.get_ref().as_table();
        }
        found.map(|span| self.place(span))
    }

    /// The string called `key` at the top, whatever is wrong elsewhere in the file.
    #[must_use]
    pub(crate) fn string(&self, key: &str) -> Option<String> {
        self.table().get_ref().get(key)?.get_ref().as_str().map(str::to_owned)
    }

    /// What it says, as far as it can be read.
    #[must_use]
    pub(crate) fn table(&self) -> Spanned<DeTable<'_>> {
        DeTable::parse_recoverable(&self.text).0
    }

    /// The place of a part of the text.
    #[must_use]
    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        Place { path: self.path.to_path_buf(), text: Arc::clone(&self.text), span }
    }

    fn problem(&self, error: &toml::de::Error, span: Range<usize>) -> Problem {
        let words = error.message();
        if let Some(field) = quoted(words, "missing field") {
            return self.missing(field, Some(span));
        }
        if let Some(field) = quoted(words, "unknown field") {
            let problem = Problem::new(Code::UnknownKey, format!("unknown key `{field}`"));
            let help = match (similar(field, words), words.split_once("expected ")) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Some((_, known))) => format!("known here: {}", known.trim_start_matches("one of ")),
                (None, None) => "no key is known here".to_owned(),
            };
            return problem.help(help).at(Some(self.place(span)));
        }
        // Whatever stands where a reference should may be the secret itself.
        if REFERENCE.iter().any(|part| words.contains(part)) {
            return Problem::new(Code::Secret, words)
                .help("put the secret into a file with mode 0600, or an environment variable, and name that")
                .at(Some(self.blanked(span)));
        }
        let problem = Problem::new(Code::BadValue, words);
        let near = quoted(words, "unknown variant").and_then(|value| similar(value, words));
        let problem = match near {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem,
        };
        problem.at(Some(self.place(span)))
    }

    fn missing(&self, key: &str, span: Option<Range<usize>>) -> Problem {
        // The whole file is no place.
        let span = span.filter(|span| span.len() < self.text.trim().len());
        let problem = match key {
            "policy" => Problem::new(Code::PolicyMissing, "no policy is configured, so nothing could be permitted")
                .help("add `[policy]` with `files = [\"policy.cedar\"]`; `sekisho up` writes a policy to start from"),
            _ => Problem::new(Code::MissingKey, format!("`{key}` is missing")),
        };
        problem.at(span.map(|span| self.place(span)))
    }

    /// A place whose own bytes are not shown: a secret was written there.
    fn blanked(&self, span: Range<usize>) -> Place {
        let blank = |(at, byte): (usize, u8)| if span.contains(&at) && byte != b'\n' { b'*' } else { byte };
        let bytes: Vec<u8> = self.text.bytes().enumerate().map(blank).collect();
        // Spans of TOML values begin and end between characters, so what is left is text.
        let text = String::from_utf8(bytes).unwrap_or_default();
        Place { path: self.path.to_path_buf(), text: text.into(), span }
    }
}

/// The word in back quotes that follows `before` at the start of a message.
fn quoted<'a>(words: &'a str, before: &str) -> Option<&'a str> {
    let rest = words.strip_prefix(before)?.strip_prefix(" `")?;
    rest.split_once('`').map(|(word, _)| word)
}

/// The known word that is most like `word`, of those that serde's message lists behind "expected".
fn similar<'a>(word: &str, words: &'a str) -> Option<&'a str> {
    let (_, expected) = words.split_once("expected ")?;
    nearest(word, expected.split('`').skip(1).step_by(2))
}

/// The known word that is most like `word`, if one is.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let rated = known.map(|known| (strsim::jaro_winkler(word, known), known));
    let best = rated.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(likeness, _)| *likeness >= LIKENESS_MIN).map(|(_, known)| known)
}

/// Takes the entry at `span` out, and says what it was called.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let named = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    if let Some(name) = named.map(|(key, _)| key.get_ref().to_string()) {
        table.remove(name.as_str());
        return Some(name);
    }
    // Not an entry of this table, so of one within.
    for (key, value) in table.iter_mut() {
        if let Some(name) = take_out_of(value, span, key.get_ref()) {
            return Some(name);
        }
    }
    None
}

fn take_out_of(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>, name: &str) -> Option<String> {
    match value.get_mut() {
        DeValue::Table(table) => take_out(table, span),
        DeValue::Array(array) => {
            if array.iter().any(|element| element.span() == *span) {
                *array = array.clone().into_iter().filter(|element| element.span() != *span).collect();
                return Some(name.to_owned());
            }
            array.iter_mut().find_map(|element| take_out_of(element, span, name))
        }
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            None
        }
    }
}

/// In every message of `sekisho_keys` and of serde about a value that is no secret reference.
const REFERENCE: [&str; 2] = ["`env:", "`file:"];
const PROBLEMS_MAX: usize = 32;
const LIKENESS_MIN: f64 = 0.8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::problem::Colour;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by serde alone")]
    struct Room {
        listen: u16,
        #[serde(default)]
        level: Level,
        secret: Option<sekisho_keys::SecretRef>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Level {
        #[default]
        Written,
        Durable,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by serde alone")]
    struct House {
        gateway: Room,
        policy: Option<Vec<String>>,
        #[serde(default)]
        servers: BTreeMap<String, Room>,
    }

    fn read(text: &str) -> Result<House, Vec<Problem>> {
        Document::new(Path::new("s.toml"), text).read(&["gateway", "policy"])
    }

    fn lines(text: &str) -> Vec<String> {
        read(text).unwrap_err().iter().map(Problem::line).collect()
    }

    #[test]
    fn good_file_is_read() {
        read("policy = []\n[gateway]\nlisten = 1\nlevel = 'durable'\n[servers.a]\nlisten = 2\n").unwrap();
    }

    #[test]
    fn unknown_key_is_refused_with_its_place_and_the_nearest_known_one() {
        assert_eq!(
            lines("policy = []\n[gateway]\nlisten = 1\nlisen = 2\n"),
            ["s.toml:4:1: unknown key `lisen`; did you mean `listen`? (SK0103)"]
        );
        let meant = lines("policy = []\n[gateway]\nlisen = 2\n");
        assert_eq!(meant, ["s.toml:3:1: unknown key `lisen`; did you mean `listen`? (SK0103)"]);
        let far = lines("policy = []\n[gateway]\nlisten = 1\nzzz = 2\n");
        assert_eq!(far, ["s.toml:4:1: unknown key `zzz`; known here: `listen`, `level`, `secret` (SK0103)"]);
    }

    #[test]
    fn every_problem_is_said_at_once_in_the_order_of_the_file() {
        let told = lines(
            "policy = []\ntop = 1\n[gateway]\nlisten = 'x'\nlevel = 'durabel'\n[servers.a]\nlisten = 2\nlisted = 3\n",
        );
        assert_eq!(told.len(), 4, "{told:#?}");
        assert!(told[0].starts_with("s.toml:2:1: unknown key `top`"), "{told:#?}");
        assert!(told[1].starts_with("s.toml:4:10: invalid type"), "{told:#?}");
        assert!(told[2].contains("s.toml:5:9:") && told[2].contains("did you mean `durable`?"), "{told:#?}");
        assert!(told[3].contains("s.toml:8:1:") && told[3].contains("did you mean `listen`?"), "{told:#?}");
    }

    #[test]
    fn missing_policy_has_its_own_code() {
        let told = lines("[gateway]\nlisten = 1\n");
        assert!(told.len() == 1 && told[0].ends_with("(SK0106)"), "{told:#?}");
    }

    #[test]
    fn missing_key_points_at_its_table() {
        let told = lines("policy = []\n[gateway]\nlevel = 'written'\n[servers.a]\nlisten = 1\n");
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].starts_with("s.toml:2:") && told[0].contains("`listen` is missing (SK0105)"), "{told:#?}");
    }

    #[test]
    fn bad_syntax_has_its_place() {
        let told = lines("policy = []\n[gateway]\nlisten = = 1\n");
        assert!(told[0].starts_with("s.toml:3:") && told[0].ends_with("(SK0102)"), "{told:#?}");
    }

    #[test]
    fn literal_secret_is_refused_and_never_repeated() {
        for literal in ["'hunter2-é-hunter2'", "20261122", "[\"hunter2\"]"] {
            let problems = read(&format!("policy = []\n[gateway]\nlisten = 1\nsecret = {literal}\n")).unwrap_err();
            let told: String = problems.iter().map(|problem| problem.report(Colour::Off) + &problem.line()).collect();
            assert!(told.contains("SK0109"), "{told}");
            assert!(!told.contains("hunter2") && !told.contains("20261122"), "{told}");
        }
        read("policy = []\n[gateway]\nlisten = 1\nsecret = 'env:TOKEN'\n").unwrap();
    }

    #[test]
    fn place_of_a_key_or_of_the_table_above_it() {
        let document = Document::new(Path::new("s.toml"), "a = 1\n[gateway]\nlisten = 1\n");
        assert_eq!(document.place_of(&["gateway", "listen"]).unwrap().position(), (3, 1));
        assert_eq!(document.place_of(&["gateway", "public_url"]).unwrap().position(), (2, 2));
        assert!(document.place_of(&["servers"]).is_none());
    }
}
