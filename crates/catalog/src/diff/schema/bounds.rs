//! Keywords that bound a single value.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use sekisho_wire::Json;
use sekisho_wire::json::{Exact, Kind};

use super::{Place, Values, definition, destination, form};
use crate::diff::Meaning;
use crate::diff::form::named;
use crate::diff::report::Report;

/// Compares a bound; false for another keyword.
pub(super) fn compare(report: &mut Report, place: &Place<'_>, key: &str, values: Values<'_>) -> bool {
    let (meaning, says) = match key {
        "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" | "minContains" => {
            bounded(values, Ordering::Greater)
        }
        "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" | "maxContains" => {
            bounded(values, Ordering::Less)
        }
        "uniqueItems" => match values.1.and_then(Json::boolean).unwrap_or(false) {
            true => NARROWER,
            false => WIDER,
        },
        "pattern" | "format" | "multipleOf" | "contentEncoding" | "contentMediaType" | "dependentRequired" => {
            match values {
                (None, _) => NARROWER,
                (_, None) => WIDER,
                (Some(_), Some(_)) => (Meaning::Widened, "is bounded otherwise: what is taken cannot be compared"),
            }
        }
        _ => return false,
    };
    let words = format_args!("{} {says} by `{}`.", place.subject(), named(key));
    report.note(&place.at, place.means(meaning), words, values);
    let named = definition::newly_named(values.0, values.1);
    destination(report, &place.at, named.iter().map(String::as_str));
    true
}

/// A number that bounds; `narrower`: how the later one stands to the earlier one where less is taken.
fn bounded((old, new): Values<'_>, narrower: Ordering) -> (Meaning, &'static str) {
    let number = |value: &Json| match value.number()?.exact()? {
        Exact::Integer(integer) => integer.to_string().parse::<f64>().ok(),
        Exact::Float(float) => Some(float),
    };
    match (old, new) {
        (None, _) => NARROWER,
        (_, None) => WIDER,
        (Some(old), Some(new)) => match (number(old), number(new)) {
            (Some(old), Some(new)) if new.partial_cmp(&old) == Some(narrower) => NARROWER,
            // Where it cannot be told, the worse of the two.
            (_, _) => WIDER,
        },
    }
}

/// The choices that a keyword leaves; nothing if it leaves all.
pub(super) fn choices(key: &str, value: Option<&Json>) -> Option<BTreeSet<String>> {
    let value = value?;
    let mut choices: BTreeSet<String> = match (key, value.kind()) {
        ("type" | "enum", Kind::Array) => value.elements().map(|choice| form(&choice)).collect(),
        (_, _) => BTreeSet::from([form(value)]),
    };
    // Whatever is a number may be an integer.
    if key == "type" && choices.contains("\"number\"") {
        choices.insert("\"integer\"".to_owned());
    }
    Some(choices)
}

const NARROWER: (Meaning, &str) = (Meaning::Narrowed, "is held closer");
const WIDER: (Meaning, &str) = (Meaning::Widened, "is held less closely");
