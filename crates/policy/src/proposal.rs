//! What policies say a caller could do to be permitted: annotations, read and checked when policies are loaded. They propose; whether it
//! would help is for the policies themselves to say.

use cedar_policy::{Policy, PolicyId};

/// What one policy proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) policy: PolicyId,
    /// `@scope`
    pub(crate) scopes: Vec<Box<str>>,
    /// `@acr_values`, the preferred one first.
    pub(crate) acr_values: Vec<Box<str>>,
    /// `@max_age`, in seconds.
    pub(crate) max_age_s: Option<u32>,
    /// `@amr`: what a token says of its methods after such a login.
    pub(crate) amr: Vec<Box<str>>,
    /// `@acrs`: an authentication context of Entra ID.
    pub(crate) context: Option<Box<str>>,
}

/// An annotation that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) name: Box<str>,
    pub(crate) value: Box<str>,
    pub(crate) message: String,
    pub(crate) help: &'static str,
}

impl Proposal {
    /// What the annotations of a policy propose, if any does.
    ///
    /// # Errors
    /// Each one that cannot be used: it would be said to clients, or be passed over in silence.
    pub(crate) fn of(policy: &Policy) -> Result<Option<Proposal>, Vec<Unusable>> {
        let mut wrong: Vec<Unusable> = policy.annotations().filter_map(|(name, value)| misnamed(name, value)).collect();
        let mut read = |name: &str| match policy.annotation(name).map(|value| (value, words(name, value))) {
            None => Vec::new(),
            Some((_, Ok(words))) => words,
            Some((value, Err((message, help)))) => {
                wrong.push(Unusable { name: name.into(), value: value.into(), message, help });
                Vec::new()
            }
        };
        let [scopes, acr_values, max_age, amr, contexts] = ANNOTATIONS.map(&mut read);
        let proposal = Proposal {
            policy: policy.id().clone(),
            scopes,
            acr_values,
            max_age_s: max_age.first().and_then(|seconds| seconds.parse().ok()),
            amr,
            context: contexts.into_iter().next(),
        };
        if wrong.is_empty() && !proposal.amr.is_empty() && !proposal.asks_for_login() && proposal.context.is_none() {
            let (name, value) = ("amr".into(), proposal.amr.join(" ").into());
            let message = "`@amr` alone is nothing that a client can be told to ask for".to_owned();
            wrong.push(Unusable { name, value, message, help: "put `@acr_values`, `@max_age` or `@acrs` beside it" });
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let asks = !proposal.scopes.is_empty() || proposal.asks_for_login() || proposal.context.is_some();
        Ok(asks.then_some(proposal))
    }

    /// Whether it asks for a login as RFC 9470 does.
    pub(crate) fn asks_for_login(&self) -> bool {
        !self.acr_values.is_empty() || self.max_age_s.is_some()
    }
}

/// An annotation that looks like one of ours and is none.
fn misnamed(name: &str, value: &str) -> Option<Unusable> {
    let alike = ["scope", "acr", "amr", "max_age", "maxage"].iter().any(|ours| name.starts_with(ours));
    (alike && !ANNOTATIONS.contains(&name)).then(|| Unusable {
        name: name.into(),
        value: value.into(),
        message: format!("there is no annotation `@{name}`"),
        help: "those for a step-up are `@scope`, `@acr_values`, `@max_age`, `@amr` and `@acrs`",
    })
}

/// The words of an annotation.
fn words(name: &str, value: &str) -> Result<Vec<Box<str>>, (String, &'static str)> {
    let wrong = |what: &str, help| Err((format!("`@{name}(\"{}\")` {what}", value.escape_default()), help));
    let words: Vec<&str> = value.split(' ').collect();
    if value.is_empty() {
        return wrong("is empty", "leave it out, or say what a client is to ask for");
    }
    // They go into quoted strings of a header (RFC 6749 section 3.3, RFC 9470 section 3).
    if !words.iter().all(|word| !word.is_empty() && word.bytes().all(is_plain)) || value.len() > BYTES_MAX {
        return wrong(
            "is not one or several words with one space between them",
            "words are of visible ASCII characters other than `\"` and `\\`; 512 bytes at most",
        );
    }
    let most = match name {
        "scope" => SCOPES_MAX,
        "acr_values" | "amr" => VALUES_MAX,
        _ => 1,
    };
    if words.len() > most {
        return wrong("has too many words", "16 scopes, 4 values of `@acr_values` or `@amr`, one of any other");
    }
    let repeated = words.iter().enumerate().any(|(at, word)| words.iter().take(at).any(|before| before == word));
    if repeated {
        return wrong("says a word twice", "say it once");
    }
    // RS-12: it asks for refresh tokens, and is no scope of a resource.
    if name == "scope" && words.contains(&"offline_access") {
        return wrong("asks for `offline_access`", "that is between a client and its authorization server");
    }
    if name == "max_age" && !number(value).is_some_and(|seconds| (1..=MAX_AGE_SECONDS_MAX).contains(&seconds)) {
        return wrong("is no number of seconds from 1 to 86400", "such as `@max_age(\"900\")`");
    }
    let context =
        || value.strip_prefix('c').and_then(number).is_some_and(|number| (1..=CONTEXTS_MAX).contains(&number));
    if name == "acrs" && !context() {
        return wrong("is no authentication context of Entra ID", "they are called `c1` to `c99`");
    }
    Ok(words.into_iter().map(Box::from).collect())
}

/// A number as it is usually written.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

pub(crate) fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

/// In the order that [`Proposal::of`] reads them.
const ANNOTATIONS: [&str; 5] = ["scope", "acr_values", "max_age", "amr", "acrs"];
/// LIMIT: an annotation, in bytes.
const BYTES_MAX: usize = 512;
/// LIMIT: scopes of one annotation.
const SCOPES_MAX: usize = 16;
/// LIMIT: values of others; each may have to be tried.
pub(crate) const VALUES_MAX: usize = 4;
/// A day.
const MAX_AGE_SECONDS_MAX: u32 = 86_400;
const CONTEXTS_MAX: u32 = 99;

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(annotations: &str) -> Result<Option<Proposal>, Vec<Unusable>> {
        Proposal::of(&Policy::parse(None, format!("{annotations} permit(principal, action, resource);")).unwrap())
    }

    #[test]
    fn annotations_say_what_a_step_up_would_be() {
        let all = r#"@id("x") @scope("notes:write notes:read") @acr_values("urn:a urn:b") @max_age("900") @amr("mfa") @acrs("c1")"#;
        let all = proposal(all).unwrap().unwrap();
        let words = |words: &[&str]| words.iter().map(|word| Box::from(*word)).collect::<Vec<Box<str>>>();
        assert_eq!(all.scopes, words(&["notes:write", "notes:read"]));
        assert_eq!((all.acr_values, all.max_age_s), (words(&["urn:a", "urn:b"]), Some(900)));
        assert_eq!((all.amr, all.context.as_deref()), (words(&["mfa"]), Some("c1")));
        assert_eq!(proposal(r#"@id("x") @description("a scope")"#), Ok(None));
        for good in [r#"@max_age("1")"#, r#"@max_age("86400")"#, r#"@acrs("c99")"#, r#"@acr_values("1 2 3 4")"#] {
            assert!(proposal(good).unwrap().is_some(), "{good}");
        }
    }

    #[test]
    fn what_no_client_could_be_told_is_refused() {
        let long = format!("@scope(\"{}\")", "a".repeat(BYTES_MAX + 1));
        let many = format!("@scope(\"{}\")", (0..=SCOPES_MAX).map(|n| n.to_string()).collect::<Vec<_>>().join(" "));
        for bad in [
            "@scope",
            r#"@scope("")"#,
            r#"@scope(" ")"#,
            r#"@scope("a  b")"#,
            r#"@scope("a ")"#,
            r#"@scope("a a")"#,
            r#"@scope("a\"b")"#,
            r#"@scope("a\\b")"#,
            r#"@scope("a\nb")"#,
            r#"@scope("\u{e9}")"#,
            r#"@scope("a offline_access")"#,
            &long,
            &many,
            r#"@acr_values("")"#,
            r#"@acr_values("1 2 3 4 5")"#,
            r#"@max_age("0")"#,
            r#"@max_age("86401")"#,
            r#"@max_age("-1")"#,
            r#"@max_age("+1")"#,
            r#"@max_age("007")"#,
            r#"@max_age("15m")"#,
            r#"@max_age("900 901")"#,
            r#"@max_age("99999999999")"#,
            r#"@acrs("c0")"#,
            r#"@acrs("c100")"#,
            r#"@acrs("C1")"#,
            r#"@acrs("c1 c2")"#,
            r#"@amr("mfa")"#,
            r#"@scope("a") @amr("mfa")"#,
            r#"@scopes("a")"#,
            r#"@acr("a")"#,
        ] {
            assert_eq!(proposal(bad).unwrap_err().len(), 1, "{bad}");
        }
        assert_eq!(proposal(r#"@scope("") @max_age("x") @acr("y")"#).unwrap_err().len(), 3, "each is named");
    }
}
