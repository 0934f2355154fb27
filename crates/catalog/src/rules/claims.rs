//! What a tool claims of itself, against what it is called.

use sekisho_wire::Json;

use super::Checks;
use super::data::{Check, Found};

/// The claims of a tool that its name, or the first word of its description, contradicts.
pub(crate) fn look(checks: &Checks, name: &str, definition: &Json) -> Vec<Found> {
    let annotations = definition.get("annotations");
    let hint =
        |hint: &str| annotations.as_ref().and_then(|annotations| annotations.get(hint)).and_then(|hint| hint.boolean());
    let description = definition.get("description");
    let description = description.as_ref().and_then(Json::string).unwrap_or_default();
    let words = [first_word(name), first_word(&description)];
    let contradicted = |check: Check| words.iter().any(|word| checks.has_word(check, word));
    let claims = [
        (Check::ReadOnlyClaim, hint("readOnlyHint") == Some(true)),
        (Check::HarmlessClaim, hint("destructiveHint") == Some(false)),
    ];
    let wrong = claims.into_iter().filter(|(check, claimed)| *claimed && contradicted(*check));
    wrong.filter_map(|(check, _)| checks.found(check, 0..name.len())).collect()
}

/// `delete` of `delete_file`, `delete-file`, `deleteFile` and `Delete a file`.
pub(crate) fn first_word(text: &str) -> &str {
    let text = text.trim_start_matches(|char: char| !char.is_alphanumeric());
    let mut before = ' ';
    let end = text.find(|char: char| {
        let ends = !char.is_alphanumeric() || (char.is_uppercase() && before.is_lowercase());
        before = char;
        ends
    });
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}
