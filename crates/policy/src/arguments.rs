//! Top-level arguments as tags that policies read. Nested ones are not: no policy language reads them safely.

use cedar_policy::RestrictedExpression;
use sekisho_wire::json::{Exact, Kind};
use sekisho_wire::{Call, Json};

use crate::reads::Forms;
use crate::slice::Slice;

/// The arguments of a call, each in every form that holds it exactly.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    pub(crate) text: Vec<(String, RestrictedExpression)>,
    pub(crate) number: Vec<(String, RestrictedExpression)>,
    pub(crate) decimal: Vec<(String, RestrictedExpression)>,
    pub(crate) flag: Vec<(String, RestrictedExpression)>,
}

impl Tags {
    pub(crate) fn of<'a>(arguments: impl Iterator<Item = &'a (String, Json)>) -> Tags {
        let mut tags = Tags::default();
        for (name, argument) in arguments {
            match argument.kind() {
                Kind::String => {
                    let text = argument.string().unwrap_or_default().into_owned();
                    tags.text.push((name.clone(), RestrictedExpression::new_string(text)));
                }
                Kind::Boolean => {
                    let flag = argument.boolean() == Some(true);
                    tags.flag.push((name.clone(), RestrictedExpression::new_bool(flag)));
                }
                Kind::Number => {
                    if let Some(long) = long(argument) {
                        tags.number.push((name.clone(), RestrictedExpression::new_long(long)));
                    }
                    if let Some(decimal) = decimal(argument) {
                        tags.decimal.push((name.clone(), RestrictedExpression::new_decimal(decimal)));
                    }
                }
                Kind::Null | Kind::Array | Kind::Object => {}
            }
        }
        tags
    }
}

/// What the policies of `slice` may read of a call, by name.
///
/// # Errors
/// The name of an argument that a completion gives two values: a policy would read one of them, and the server
/// might use the other.
pub(crate) fn named(call: &Call, slice: &Slice) -> Result<Vec<(String, Json)>, Box<str>> {
    let members = |object: &Json| object.members().map(|(name, value)| (name.into_owned(), value)).collect::<Vec<_>>();
    match call {
        // Nobody looks at them: they are not taken apart.
        Call::CallTool { .. } | Call::GetPrompt { .. } if slice.inputs.arguments == Forms::NONE => Ok(Vec::new()),
        Call::CallTool { arguments, .. } | Call::GetPrompt { arguments, .. } => Ok(members(arguments)),
        Call::Complete { argument, context, .. } => {
            let given = context.as_ref().and_then(|context| context.get("arguments"));
            let mut named = given.as_ref().map(members).unwrap_or_default();
            let name = argument.get("name");
            if let (Some(name), Some(value)) = (name.as_ref().and_then(Json::string), argument.get("value")) {
                match named.iter().find(|(given, _)| *given == *name) {
                    Some((_, given)) if same(given, &value) => {}
                    Some(_) => return Err(name.into()),
                    None => named.push((name.into_owned(), value)),
                }
            }
            Ok(named)
        }
        Call::ReadResource { .. }
        | Call::SetLogLevel { .. }
        | Call::Initialize(_)
        | Call::Discover
        | Call::Ping
        | Call::Listen { .. }
        | Call::Subscribe { .. }
        | Call::Unsubscribe { .. }
        | Call::Task { .. }
        | Call::List { .. } => Ok(Vec::new()),
    }
}

/// Whether both are the same text. Completions have no other values.
fn same(one: &Json, other: &Json) -> bool {
    match (one.string(), other.string()) {
        (Some(one), Some(other)) => one == other,
        (Some(_) | None, _) => false,
    }
}

/// A number as Cedar's `Long`, if it is whole and fits: `7`, `7.0` and `7e0` are the same number.
pub(crate) fn long(argument: &Json) -> Option<i64> {
    match argument.number()?.exact()? {
        Exact::Integer(integer) => Some(integer),
        // A float without fraction is written without one. Beyond 2^53 not every whole number is a float, and
        // servers differ in which one they see.
        Exact::Float(float) if float.abs() < WHOLE_MAX => {
            format!("{float}").parse().ok().or((float == 0.0).then_some(0))
        }
        Exact::Float(_) => None,
    }
}

/// A number as the text of Cedar's `decimal`, if four digits behind the point hold it.
pub(crate) fn decimal(argument: &Json) -> Option<String> {
    let written = match argument.number()?.exact()? {
        Exact::Integer(integer) => format!("{integer}.0"),
        Exact::Float(0.0) => "0.0".to_owned(),
        Exact::Float(float) => {
            let shortest = format!("{float}");
            if shortest.contains('.') { shortest } else { format!("{shortest}.0") }
        }
    };
    let (whole, fraction) = written.split_once('.')?;
    let whole: i64 = whole.parse().ok()?;
    (fraction.len() <= DECIMAL_DIGITS && whole.unsigned_abs() < DECIMAL_WHOLE_MAX).then_some(written)
}

/// 2^53
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// Digits behind the point that Cedar's `decimal` has.
const DECIMAL_DIGITS: usize = 4;
/// The whole part of the largest `decimal`.
const DECIMAL_WHOLE_MAX: u64 = 922_337_203_685_477;

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho_wire::json::Limits;
    use std::str::FromStr;

    fn json(text: &str) -> Json {
        Json::decode(text.to_owned().into(), &Limits::default()).unwrap()
    }

    #[test]
    fn whole_numbers_are_longs_however_they_are_written() {
        for (text, expected) in
            [("7", Some(7)), ("7.0", Some(7)), ("7e2", Some(700)), ("-0", Some(0)), ("-0.0", Some(0))]
        {
            assert_eq!(long(&json(text)), expected, "{text}");
        }
        assert_eq!(long(&json("9223372036854775807")), Some(i64::MAX));
        for none in ["7.5", "9223372036854775808", "1e18", "1e400", "0.1000000000000000055511", r#""7""#] {
            assert_eq!(long(&json(none)), None, "{none}");
        }
    }

    #[test]
    fn decimals_hold_four_digits_and_cedar_accepts_each() {
        for (text, expected) in
            [("7", "7.0"), ("1.5", "1.5"), ("-0.0001", "-0.0001"), ("1.50000", "1.5"), ("-0", "0.0"), ("2e3", "2000.0")]
        {
            assert_eq!(decimal(&json(text)).as_deref(), Some(expected));
        }
        for text in ["922337203685476", "-922337203685476", "922337203685476.9"] {
            if let Some(decimal) = decimal(&json(text)) {
                let parsed = cedar_policy::RestrictedExpression::from_str(&format!("decimal(\"{decimal}\")")).unwrap();
                assert!(cedar_policy::Context::from_pairs([("d".to_owned(), parsed)]).is_ok(), "{decimal}");
            }
        }
        for none in ["1.00001", "922337203685477", "1e300", "1e-7"] {
            assert_eq!(decimal(&json(none)), None, "{none}");
        }
    }
}
