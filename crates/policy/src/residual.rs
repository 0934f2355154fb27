//! What is left of a policy where something is not known, and what can still come of it. Found in its text: sound, and exact enough that
//! what is settled by the known part is settled.

use cedar_policy::{Effect, Policy, PolicyId};
use serde_json::Value;

/// What is left of a policy.
pub(crate) struct Residual {
    pub(crate) id: PolicyId,
    pub(crate) effect: Effect,
    /// None: it cannot be looked into.
    clauses: Option<Vec<(Clause, Value)>>,
}

#[derive(Clone, Copy)]
enum Clause {
    When,
    Unless,
}

/// What is asked of a part whose value depends on what is not known.
#[derive(Clone, Copy)]
enum Open {
    /// Could it come out so?
    Somehow,
    /// Could it come out so whatever the caller's groups are?
    WhateverGroups,
}

impl Residual {
    pub(crate) fn of(policy: &Policy) -> Residual {
        Residual { id: policy.id().clone(), effect: policy.effect(), clauses: clauses(policy) }
    }

    /// Whether it could still come out true, or false. An error counts as neither, since a call that meets one is refused.
    pub(crate) fn may_be(&self, outcome: bool) -> bool {
        self.could(outcome, Open::Somehow)
    }

    /// Whether it could come out so for arguments that settle it, although nobody knows the caller's groups.
    pub(crate) fn may_settle(&self, outcome: bool) -> bool {
        self.could(outcome, Open::WhateverGroups)
    }

    fn could(&self, outcome: bool, open: Open) -> bool {
        let Some(clauses) = &self.clauses else { return true };
        let could = |outcome: bool, (clause, body): &(Clause, Value)| match clause {
            Clause::When => body_may_be(outcome, body, open),
            Clause::Unless => body_may_be(!outcome, body, open),
        };
        if outcome {
            clauses.iter().all(|clause| could(true, clause))
        } else {
            clauses.iter().any(|clause| could(false, clause))
        }
    }

    /// Whether it could err: true of all but what is known not to, so that nobody is let in by what nobody looked into.
    pub(crate) fn may_err(&self) -> bool {
        self.clauses.as_ref().is_none_or(|clauses| clauses.iter().any(|(_, body)| body_may_err(body)))
    }
}

fn clauses(policy: &Policy) -> Option<Vec<(Clause, Value)>> {
    // The public tree takes no unknowns; the JSON form does (Cedar, "JSON policy format").
    let policy = policy.to_json().ok()?;
    let clause = |clause: &Value| {
        let kind = match clause.get("kind")?.as_str()? {
            "when" => Clause::When,
            "unless" => Clause::Unless,
            _ => return None,
        };
        Some((kind, clause.get("body")?.clone()))
    };
    policy.get("conditions")?.as_array()?.iter().map(clause).collect()
}

/// Depth is bounded: Cedar's own parser bounds that of policies.
fn body_may_be(outcome: bool, body: &Value, open: Open) -> bool {
    let could = |outcome: bool, body: &Value| body_may_be(outcome, body, open);
    if let Some(value) = body.get("Value").and_then(Value::as_bool) {
        return value == outcome;
    }
    if let Some(negated) = body.get("!").and_then(|of| of.get("arg")) {
        return could(!outcome, negated);
    }
    if let Some((left, right)) = operands(body, "&&") {
        let (left, right) = (could(outcome, left), could(outcome, right));
        return if outcome { left && right } else { left || right };
    }
    if let Some((left, right)) = operands(body, "||") {
        let (left, right) = (could(outcome, left), could(outcome, right));
        return if outcome { left || right } else { left && right };
    }
    if let Some((test, then, other)) = choice(body) {
        let either = could(true, test) && could(outcome, then) || could(false, test) && could(outcome, other);
        // Both ways lead there, whichever is taken.
        return either || could(outcome, then) && could(outcome, other);
    }
    match open {
        Open::Somehow => true,
        Open::WhateverGroups => !names_groups(body) || has_ways(body),
    }
}

fn operands<'a>(body: &'a Value, operator: &str) -> Option<(&'a Value, &'a Value)> {
    let of = body.get(operator)?;
    Some((of.get("left")?, of.get("right")?))
}

fn choice(body: &Value) -> Option<(&Value, &Value, &Value)> {
    let of = body.get("if-then-else")?;
    Some((of.get("if")?, of.get("then")?, of.get("else")?))
}

fn names_groups(body: &Value) -> bool {
    let is_it = |of: &Value| of.get(0).and_then(|name| name.get("Value")).and_then(Value::as_str) == Some(GROUPS);
    body.get("unknown").is_some_and(is_it) || parts(body).any(names_groups)
}

/// Whether a part of it may be passed over, and with it what it depends on.
fn has_ways(body: &Value) -> bool {
    ["&&", "||", "if-then-else"].iter().any(|operator| body.get(operator).is_some()) || parts(body).any(has_ways)
}

fn body_may_err(body: &Value) -> bool {
    let Some((operator, of)) = body.as_object().and_then(|object| object.iter().next()) else { return true };
    match operator.as_str() {
        "Value" | "Var" | "unknown" => false,
        // What is not there would have to be read before.
        "." => of.get("left").is_none_or(|left| left.get("Var").is_none() && left.get(".").is_none()) || any_errs(of),
        // They were validated with the policy.
        "datetime" | "duration" | "decimal" | "ip" => parts(of).any(|part| part.get("Value").is_none()),
        operator if HARMLESS.contains(&operator) => any_errs(of),
        _ => true,
    }
}

fn any_errs(of: &Value) -> bool {
    expressions(of).any(body_may_err)
}

/// The expressions that an operator has.
fn expressions(of: &Value) -> impl Iterator<Item = &Value> {
    parts(of).filter(|part| part.is_object())
}

fn parts(of: &Value) -> impl Iterator<Item = &Value> {
    let (members, elements) = (of.as_object(), of.as_array());
    members.into_iter().flat_map(|members| members.values()).chain(elements.into_iter().flatten())
}

/// The unknown that stands for the caller's groups.
pub(crate) const GROUPS: &str = "principal.groups";
/// Operators that no value of the type that was validated makes err.
const HARMLESS: [&str; 21] = [
    "&&",
    "||",
    "!",
    "if-then-else",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "in",
    "is",
    "has",
    "like",
    "contains",
    "containsAll",
    "containsAny",
    "isEmpty",
    "hasTag",
    "Set",
    "Record",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn residual(condition: &str) -> Residual {
        let text = format!("permit(principal, action, resource) when {{ {condition} }};");
        Residual::of(&Policy::parse(None, text).unwrap())
    }

    /// A residual of this body alone.
    fn of_body(body: Value) -> Residual {
        Residual { clauses: Some(vec![(Clause::When, body)]), ..residual("true") }
    }

    fn operator(name: &str, left: &Value, right: &Value) -> Value {
        let of = [("left".to_owned(), left.clone()), ("right".to_owned(), right.clone())];
        Value::Object([(name.to_owned(), Value::Object(of.into_iter().collect()))].into_iter().collect())
    }

    fn value(of: impl Into<Value>) -> Value {
        Value::Object([("Value".to_owned(), of.into())].into_iter().collect())
    }

    fn unknown(name: &str) -> Value {
        Value::Object([("unknown".to_owned(), Value::Array(vec![value(name)]))].into_iter().collect())
    }

    #[test]
    fn a_condition_is_settled_by_its_literal_parts() {
        let open = r#"context.text.hasTag("a")"#;
        for (condition, could_be_true, could_be_false) in [
            (open.to_owned(), true, true),
            (format!("{open} && false"), false, true),
            (format!("{open} && true"), true, true),
            (format!("{open} || true"), true, false),
            (format!("!({open} || true)"), false, true),
            (format!("if {open} then false else false"), false, true),
            (format!("if {open} && false then false else true"), true, false),
        ] {
            let residual = residual(&condition);
            assert_eq!((residual.may_be(true), residual.may_be(false)), (could_be_true, could_be_false), "{condition}");
        }
        let unless = "permit(principal, action, resource) unless { context.a || true };";
        assert!(!Residual::of(&Policy::parse(None, unless).unwrap()).may_be(true));
    }

    #[test]
    fn what_hangs_on_groups_is_settled_by_no_argument_but_what_passes_them_over_may_be() {
        let groups = operator("contains", &unknown(GROUPS), &value("editors"));
        let argument = operator("hasTag", &unknown("Sekisho::TextArguments::\"call\""), &value("a"));
        let wrapped = operator("contains", &operator("||", &argument, &groups), &value(true));
        for (body, true_, false_) in [
            (groups.clone(), false, false),
            (argument.clone(), true, true),
            (operator("&&", &argument, &groups), false, true),
            (operator("||", &argument, &groups), true, false),
            (operator("==", &argument, &groups), false, false),
            (wrapped, true, true),
        ] {
            let residual = of_body(body.clone());
            assert_eq!((residual.may_settle(true), residual.may_settle(false)), (true_, false_), "{body}");
            assert!(residual.may_be(true) && residual.may_be(false), "{body}");
        }
    }

    #[test]
    fn what_computes_or_reads_of_who_is_not_there_may_err_and_the_rest_does_not() {
        for (condition, errs) in [
            (r#"principal.groups.contains("a") && principal.client == "c""#, false),
            (r#"resource.server.trust like "t*" || !(context has mode)"#, false),
            (r#"principal.groups.containsAny(["a", resource.name]) && resource in Sekisho::Server::"s""#, false),
            (r#"if principal.groups.isEmpty() then principal is Sekisho::User else {"a": context.era}.a == "b""#, true),
            (r#"context.time < datetime("2030-01-01")"#, false),
            (r#"context.time.offset(duration("1d")) < datetime("2030-01-01")"#, true),
            (r#"principal.groups.contains("a") && 9223372036854775807 * 2 > 0"#, true),
            (r#"Sekisho::User::"bob".client == "x""#, true),
            (r#"principal.getTag("a") == "b""#, true),
        ] {
            assert_eq!(residual(condition).may_err(), errs, "{condition}");
        }
    }
}
