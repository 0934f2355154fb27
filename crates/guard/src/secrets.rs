//! Whether words name, or ask for, what only its owner may know (EL-01). Words of other languages than those below are not known.

use unicode_normalization::UnicodeNormalization;

/// Whether a name or a label is that of a secret: `userPassword`, "API key".
pub(crate) fn are_named(text: &str) -> bool {
    Words::of(text).name_a_secret()
}

/// Whether a name is that of a secret and of nothing beside: `apiKey`, `token`, but not `pageToken`.
pub(crate) fn are_plainly_named(text: &str) -> bool {
    Words::of(text).name_a_secret_plainly()
}

/// Whether sentences speak of one.
pub(crate) fn are_asked_for(text: &str) -> bool {
    clauses(text).any(|clause| Words::of(clause).name_a_secret())
}

/// The same for a field that takes a number. There a warning not to give a secret away does not count: forms do well to have it.
/// Elsewhere a warning cannot be told from a request in its shape.
pub(crate) fn are_asked_for_in_numbers(text: &str) -> bool {
    clauses(text).any(|clause| {
        let words = Words::of(clause);
        words.name_a_secret() && !words.warn()
    })
}

/// Sentences, and what is said in brackets. A full stop within a word ends none.
fn clauses(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut ends = false;
        let end = rest.find(|char: char| {
            let is_end = ends && char.is_whitespace() || matches!(char, '(' | ')' | '[' | ']' | '\n' | '。');
            ends = matches!(char, '.' | '!' | '?' | ';' | ':');
            is_end
        });
        let (clause, left) = rest.split_at(end.unwrap_or(rest.len()));
        rest = left.get(left.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
        Some(clause)
    })
}

/// The words of a text in lower case, by letters alone: neither case nor spelling nor width nor hidden characters help.
struct Words(Vec<String>);

impl Words {
    fn of(text: &str) -> Words {
        let mut words = vec![String::new()];
        let mut before = ' ';
        for char in text.nfkc() {
            let begins = char.is_uppercase() && before.is_lowercase();
            if begins || (!char.is_alphanumeric() && (char.is_ascii() || char.is_whitespace())) {
                words.push(String::new());
            }
            if char.is_alphanumeric()
                && let Some(word) = words.last_mut()
            {
                word.extend(char.to_lowercase());
            }
            before = char;
        }
        words.retain(|word| !word.is_empty());
        Words(words)
    }

    fn name_a_secret(&self) -> bool {
        self.0.iter().any(|word| SECRET_WORDS.contains(&&**word)) || self.name_a_secret_plainly()
    }

    fn name_a_secret_plainly(&self) -> bool {
        let within = |word: &String| SECRETS.iter().any(|secret| word.contains(secret));
        let alone = matches!(&*self.0, [word] if SECRET_WORDS.contains(&&**word));
        if alone || self.0.iter().any(within) {
            return true;
        }
        let joined = self.0.concat();
        let mut begins = 0;
        self.0.iter().any(|word| {
            let rest = joined.get(begins..).unwrap_or_default();
            begins += word.len();
            SECRETS.iter().any(|secret| rest.starts_with(secret))
        })
    }

    /// "Please do not enter …", "you must never share …", "we will never ask …": nothing else is asked for by the way.
    fn warn(&self) -> bool {
        let mut words = self.0.iter().map(String::as_str).skip_while(|word| BEFORE_NO.contains(word)).peekable();
        match words.next() {
            Some("never" | "not" | "dont" | "cannot") => {}
            Some("don") if words.next_if_eq(&"t").is_some() => {}
            Some(_) | None => return false,
        }
        words.next().is_some_and(|verb| GIVING.contains(&verb))
            && words.all(|word| !GIVING.contains(&word) && !EXCEPT.contains(&word))
    }
}

/// Found within a word, or in words that are joined from the beginning of one.
const SECRETS: [&str; 34] = [
    "password",
    "passwort",
    "passwd",
    "passphrase",
    "passcode",
    "motdepasse",
    "contraseña",
    "secretkey",
    "clientsecret",
    "sharedsecret",
    "apikey",
    "accesstoken",
    "refreshtoken",
    "bearertoken",
    "authtoken",
    "sessiontoken",
    "sessioncookie",
    "accesskey",
    "privatekey",
    "sshkey",
    "credential",
    "creditcard",
    "debitcard",
    "cardnumber",
    "securitycode",
    "seedphrase",
    "recoveryphrase",
    "recoverycode",
    "onetimecode",
    "verificationcode",
    "socialsecurity",
    "パスワード",
    "暗証番号",
    "密码",
];
/// Found as words of their own.
const SECRET_WORDS: [&str; 12] =
    ["secret", "token", "pin", "pwd", "otp", "totp", "mfa", "2fa", "cvv", "cvc", "ssn", "mnemonic"];
/// What may stand before a negation.
const BEFORE_NO: [&str; 9] = ["please", "we", "you", "will", "must", "should", "can", "shall", "do"];
/// What one is told not to do in a warning.
const GIVING: [&str; 11] =
    ["give", "enter", "send", "share", "provide", "reveal", "disclose", "tell", "paste", "submit", "ask"];
/// What turns a warning into a request.
const EXCEPT: [&str; 10] =
    ["but", "except", "only", "instead", "than", "unless", "until", "without", "besides", "then"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_joined_from_their_beginnings_and_never_from_within() {
        for secret in [
            "pass word",
            "PASS_WORD",
            "the api-key",
            "ｐａｓｓｗｏｒｄ",
            "ＡＰＩ　ｋｅｙ",
            "mypassword2",
            "userPassWord",
        ] {
            assert!(are_named(secret), "{secret}");
        }
        for other in ["bypass code", "spinning", "tokens", "a key. Access it"] {
            assert!(!are_asked_for(other), "{other}");
        }
    }

    #[test]
    fn a_warning_asks_for_nothing_and_a_request_in_its_shape_does() {
        for warning in [
            "Your favorite integer (do not give us your phone number, pin, or other sensitive info)",
            "A number. Please do not enter your password here!",
            "You must never share a token.",
            "We will never ask for your password",
            "Don't enter your PIN",
            "Don’t enter your PIN",
        ] {
            assert!(!are_asked_for_in_numbers(warning), "{warning}");
            assert!(are_asked_for(warning), "{warning}");
        }
        for request in [
            "Do not forget to enter your password",
            "Do not enter anything but your password",
            "Do not share this, enter your password",
            "Do not give it away. Your password:",
            "Never mind, your password",
            "Not only your name: your password",
            "Do not enter your name (your password)",
            "your password; do not enter another one",
            "Don't continue without your PIN",
            "Do not use spaces in your PIN",
            "Do not type your password in capitals",
        ] {
            assert!(are_asked_for_in_numbers(request), "{request}");
        }
    }
}
