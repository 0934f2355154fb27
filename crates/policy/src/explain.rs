//! What would have permitted it, in words for the operator.

use crate::Basis;
use crate::entities::{Object, Vocabulary};
use crate::evaluate::Asker;
use crate::step_up::Step;

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

/// It hangs on groups that the token leaves out.
pub(crate) fn groups(basis: &Basis) -> Box<str> {
    let ids = basis.policies.join(", ");
    format!(
        "the token leaves the caller's groups out, since they are too many for it (Entra ID: groups overage), and it depends on them by \
         {ids}; nothing that depends on them is permitted. Have the application's tokens list the groups that are assigned to it, or let \
         the policies read roles"
    )
    .into()
}

/// What was tried, and would have permitted it.
pub(crate) fn step_up(step: &Step, by: &[Box<str>], against: &Basis) -> Box<str> {
    let mut asked = Vec::new();
    if !step.scopes.is_empty() {
        asked.push(format!("the scope {}", step.scopes.join(" ")));
    }
    if !step.acr_values.is_empty() {
        asked.push(format!("a login with acr {}", step.acr_values.join(" or ")));
    }
    if let Some(seconds) = step.max_age_s {
        asked.push(format!("a login at most {seconds} s ago"));
    }
    if let Some(context) = &step.context {
        asked.push(format!("the authentication context {context}"));
    }
    if !step.amr.is_empty() {
        asked.push(format!("such a login's amr {}", step.amr.join(" ")));
    }
    let (asked, by) = (asked.join(" and "), by.join(", "));
    let words = if against.policies.is_empty() {
        format!("no policy permits it as it came; with {asked} it would be permitted, as proposed by {by}")
    } else {
        let against = against.policies.join(", ");
        format!("forbidden by {against} as it came; with {asked} it would be permitted, as proposed by {by}")
    };
    words.into()
}

/// Policy permits it, content stands against it.
pub(crate) fn content() -> Box<str> {
    "the policies permit it; what inspection found stands against it".into()
}

/// No policy was asked, since it could not be told what about.
pub(crate) fn ambiguous() -> Box<str> {
    "the completion gives one argument two values, in `argument` and in `context.arguments`; no policy was asked".into()
}
