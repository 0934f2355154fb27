//! What would have permitted it, in words for the operator.

use crate::Basis;
use crate::entities::{Object, Vocabulary};
use crate::evaluate::Asker;

/// The smallest policy that permits it, and the policies that stand against it.
pub(crate) fn needed(
    vocabulary: &Vocabulary,
    asker: &Asker<'_>,
    method: &str,
    object: Object<'_>,
    against: &Basis,
) -> Box<str> {
    let parts = (vocabulary.principal(asker.who()), vocabulary.action(method), vocabulary.resource(object));
    let (Ok(principal), Ok(action), Ok(resource)) = parts else {
        return "the method is not one that policies decide about".into();
    };
    // Cedar writes entity ids escaped, control characters and quotes included.
    let permit = format!("permit(principal == {principal}, action == {action}, resource == {resource});");
    let words = if against.policies.is_empty() {
        format!("no policy matches; this one would permit it: {permit}")
    } else {
        format!("forbidden by {}; without them, this one would permit it: {permit}", against.policies.join(", "))
    };
    words.into()
}

/// A policy erred.
pub(crate) fn failed(basis: &Basis) -> Box<str> {
    let ids = basis.policies.join(", ");
    format!("these policies err for this request and have to be mended: {ids}").into()
}

/// Policy permits it, content stands against it.
pub(crate) fn content() -> Box<str> {
    "the policies permit it; what inspection found stands against it".into()
}

/// No policy was asked, since it could not be told what about.
pub(crate) fn ambiguous() -> Box<str> {
    "the completion gives one argument two values, in `argument` and in `context.arguments`; no policy was asked".into()
}
