//! Words for what nobody should hand to a server unnoticed.

use std::collections::BTreeSet;

/// The first word for personal data, secrets, files, the conversation or the machine that is in `new` and not in `old`.
pub(super) fn newly_asked(old: &str, new: &str) -> Option<String> {
    newly(old, new, |word| SECRET.contains(&word) || PERSONAL.contains(&word) || NEARBY.contains(&word))
}

/// The same with the words only that describe nothing else: for text about a whole tool, which speaks of files and contents often.
pub(super) fn newly_secret(old: &str, new: &str) -> Option<String> {
    newly(old, new, |word| SECRET.contains(&word))
}

fn newly(old: &str, new: &str, is_asking: impl Fn(&str) -> bool) -> Option<String> {
    let asked = |text: &str| -> BTreeSet<String> {
        let words = words(text).into_iter().filter(|word| is_asking(word));
        words.chain(ELSEWHERE.iter().filter(|part| text.contains(**part)).map(|part| (*part).to_owned())).collect()
    };
    let new = asked(new);
    if new.is_empty() {
        return None;
    }
    let old = asked(old);
    new.into_iter().find(|word| !old.contains(word))
}

/// The words of a name or a text: `apiKey`, `api_key` and `API keys` are all `api` and `key`.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for char in text.chars() {
        let begins = !char.is_alphanumeric() || (lower_before && char.is_uppercase());
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| char.is_alphanumeric()) {
            word.extend(char.to_lowercase());
        }
        lower_before = char.is_lowercase() || char.is_numeric();
    }
    words.iter().map(|word| singular(word)).collect()
}

/// Near enough for the words below.
fn singular(word: &str) -> String {
    let stem = |end: &str| word.strip_suffix(end).filter(|stem| stem.len() > 2);
    match (stem("ies"), stem("sses"), stem("s")) {
        (Some(stem), _, _) => format!("{stem}y"),
        (_, Some(stem), _) => format!("{stem}ss"),
        (_, _, Some(stem)) if !stem.ends_with('s') => stem.to_owned(),
        (None, None, Some(_) | None) => word.to_owned(),
    }
}

/// In the singular as [`words`] makes it.
const SECRET: [&str; 34] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "pin",
    "otp",
    "secret",
    "credential",
    "token",
    "apikey",
    "key",
    "bearer",
    "cookie",
    "jwt",
    "oauth",
    "ssh",
    "rsa",
    "pem",
    "keychain",
    "wallet",
    "mnemonic",
    "private",
    "env",
    "environment",
    "conversation",
    "transcript",
    "chat",
    "history",
    "memory",
    "prompt",
    "clipboard",
    "confidential",
    "dotenv",
];
const PERSONAL: [&str; 25] = [
    "personal",
    "email",
    "mail",
    "phone",
    "mobile",
    "address",
    "ssn",
    "passport",
    "birthday",
    "birthdate",
    "birth",
    "dob",
    "gender",
    "salary",
    "iban",
    "bank",
    "card",
    "cvv",
    "account",
    "medical",
    "health",
    "patient",
    "location",
    "username",
    "contact",
];
const NEARBY: [&str; 26] = [
    "file",
    "filename",
    "filepath",
    "path",
    "directory",
    "folder",
    "document",
    "attachment",
    "upload",
    "home",
    "disk",
    "context",
    "message",
    "session",
    "reasoning",
    "thought",
    "sidenote",
    "summary",
    "screenshot",
    "screen",
    "config",
    "log",
    "host",
    "hostname",
    "system",
    "process",
];
/// Parts of words, for languages that do not put spaces between them.
const ELSEWHERE: [&str; 12] = [
    "秘密",
    "パスワード",
    "認証情報",
    "会話",
    "履歴",
    "個人情報",
    "環境変数",
    "密码",
    "密钥",
    "对话",
    "历史",
    "비밀번호",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_that_speak_of_secrets_files_or_the_conversation_ask() {
        for text in [
            "apiKey",
            "api_keys",
            "PASSWORD",
            "user-token",
            "conversationHistory",
            "the contents of ~/.ssh/id_rsa",
            "sidenote",
            "filePath",
            "e-mail",
            "ENVIRONMENT",
            "会話の履歴",
        ] {
            assert!(newly_asked("", text).is_some(), "{text}");
        }
    }

    #[test]
    fn ordinary_ones_do_not() {
        for text in ["limit", "query", "sort_order", "How many to show", "monkey", "profile", "spinning", "区切り"] {
            assert_eq!(newly_asked("", text), None, "{text}");
        }
    }

    #[test]
    fn what_was_asked_for_before_is_not_new() {
        assert_eq!(newly_asked("the token", "The tokens of it"), None);
        assert_eq!(newly_asked("the token", "the token and the password").as_deref(), Some("password"));
        assert_eq!(newly_secret("", "a file in a folder"), None);
        assert_eq!(newly_secret("", "a file with keys").as_deref(), Some("key"));
    }
}
