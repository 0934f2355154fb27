//! The parameters of a request: each at most once, each of a bounded length (RFC 6749 section 3.1).

use std::collections::BTreeMap;

use http::header::CONTENT_TYPE;
use url::form_urlencoded;

use crate::broker::Knock;
use crate::paths;

/// The parameters of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters(BTreeMap<Box<str>, Vec<Box<str>>>);

/// Why they cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadParameters {
    /// One has two values, and who reads the other one would decide about another request.
    #[error("parameter `{0}` is given twice")]
    Twice(Box<str>),
    /// More than any request needs.
    #[error("there are more than {COUNT_MAX} parameters, or more than {BYTES_MAX} bytes of them")]
    TooMany,
    /// It is no text.
    #[error("a parameter is no UTF-8")]
    NotText,
    /// The body is of another kind.
    #[error("the body must be of the type `application/x-www-form-urlencoded`")]
    NotForm,
}

impl Parameters {
    /// Reads a query, or a body of the type `application/x-www-form-urlencoded`. An empty value is as good as none.
    ///
    /// # Errors
    /// [`BadParameters`]
    pub fn read(encoded: &[u8]) -> Result<Parameters, BadParameters> {
        Parameters::read_repeating(encoded, None)
    }

    /// Reads the form that a request brings. A page's boxes have one name, `scope`, each.
    ///
    /// # Errors
    /// [`BadParameters`]
    pub(crate) fn of_form(knock: &Knock<'_>) -> Result<Parameters, BadParameters> {
        let kind = knock.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM)) {
            return Err(BadParameters::NotForm);
        }
        Parameters::read_repeating(&knock.body, (knock.path == paths::CONSENT).then_some("scope"))
    }

    fn read_repeating(encoded: &[u8], repeats: Option<&str>) -> Result<Parameters, BadParameters> {
        if encoded.len() > BYTES_MAX {
            return Err(BadParameters::TooMany);
        }
        let mut parameters: BTreeMap<Box<str>, Vec<Box<str>>> = BTreeMap::new();
        for (count, (name, value)) in form_urlencoded::parse(encoded).enumerate() {
            if count >= COUNT_MAX {
                return Err(BadParameters::TooMany);
            }
            // What is no UTF-8 was replaced by this; nobody means it.
            if name.contains(char::REPLACEMENT_CHARACTER) || value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(BadParameters::NotText);
            }
            let values = parameters.entry(name.as_ref().into()).or_default();
            if !values.is_empty() && repeats != Some(&*name) {
                return Err(BadParameters::Twice(name.as_ref().into()));
            }
            values.push(value.as_ref().into());
        }
        Ok(Parameters(parameters))
    }

    /// A parameter that has a value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of one that may be there several times.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(AsRef::as_ref).filter(|value: &&str| !value.is_empty())
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
/// LIMIT: parameters of a request.
const COUNT_MAX: usize = 64;
/// LIMIT: of all of them together, encoded.
const BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_is_read_once_and_a_second_one_is_refused() {
        let parameters = Parameters::read(b"client_id=https%3A%2F%2Fa.example%2Fc&state=a+b%26c&scope=&x").unwrap();
        assert_eq!(parameters.get("client_id"), Some("https://a.example/c"));
        assert_eq!(parameters.get("state"), Some("a b&c"));
        assert_eq!((parameters.get("scope"), parameters.get("x"), parameters.get("y")), (None, None, None));
        assert_eq!(Parameters::read(b"a=1&b=2&a=1"), Err(BadParameters::Twice("a".into())));
        assert_eq!(Parameters::read(b"a=1&%61=2"), Err(BadParameters::Twice("a".into())));
        assert_eq!(Parameters::read(b"a=%ff"), Err(BadParameters::NotText));
        assert_eq!(Parameters::read(b""), Ok(Parameters::default()));
    }

    #[test]
    fn parameters_are_bounded_in_number_and_length() {
        let many = |count: usize| (0..count).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
        assert!(Parameters::read(many(COUNT_MAX).as_bytes()).is_ok());
        assert_eq!(Parameters::read(many(COUNT_MAX + 1).as_bytes()), Err(BadParameters::TooMany));
        assert_eq!(Parameters::read(&vec![b'a'; BYTES_MAX + 1]), Err(BadParameters::TooMany));
    }
}
