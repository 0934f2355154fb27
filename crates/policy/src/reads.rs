//! Which arguments a policy reads, and as what: found in its text when it is loaded.

use std::collections::BTreeMap;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, Var};
use sekisho_wire::Json;
use sekisho_wire::json::Kind;

use crate::arguments;

/// The forms that an argument can be read in; several at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Forms {
    pub(crate) text: bool,
    pub(crate) number: bool,
    pub(crate) decimal: bool,
    pub(crate) flag: bool,
}

/// What one policy reads of the arguments.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    named: BTreeMap<Box<str>, Forms>,
    /// Read under names that are computed: any.
    any: Forms,
    /// Whether a condition names an action.
    names_actions: bool,
}

impl Forms {
    pub(crate) const NONE: Forms = Forms { text: false, number: false, decimal: false, flag: false };
    pub(crate) const ALL: Forms = Forms { text: true, number: true, decimal: true, flag: true };

    /// What an attribute of the context holds; every form where it is none of them.
    pub(crate) fn named(attribute: &str) -> Forms {
        match attribute {
            "text" => Forms { text: true, ..Forms::NONE },
            "number" => Forms { number: true, ..Forms::NONE },
            "decimal" => Forms { decimal: true, ..Forms::NONE },
            "flag" => Forms { flag: true, ..Forms::NONE },
            _ => Forms::ALL,
        }
    }

    pub(crate) fn or(self, other: Forms) -> Forms {
        Forms {
            text: self.text || other.text,
            number: self.number || other.number,
            decimal: self.decimal || other.decimal,
            flag: self.flag || other.flag,
        }
    }

    fn meets(self, other: Forms) -> bool {
        (self.text && other.text)
            || (self.number && other.number)
            || (self.decimal && other.decimal)
            || (self.flag && other.flag)
    }

    /// The forms that hold an argument exactly.
    fn holding(argument: &Json) -> Forms {
        match argument.kind() {
            Kind::String => Forms { text: true, ..Forms::NONE },
            Kind::Boolean => Forms { flag: true, ..Forms::NONE },
            Kind::Number => Forms {
                number: arguments::long(argument).is_some(),
                decimal: arguments::decimal(argument).is_some(),
                ..Forms::NONE
            },
            Kind::Null | Kind::Array | Kind::Object => Forms::NONE,
        }
    }
}

impl Reads {
    /// What `policy` reads; everything if its text cannot be looked into.
    pub(crate) fn of(policy: &cedar_policy::Policy) -> Reads {
        let mut reads = Reads::default();
        match policy.to_pst() {
            Ok(tree) => {
                let clauses = tree.body().clauses();
                reads.names_actions = clauses.iter().any(|clause| match clause {
                    Clause::When(expr) | Clause::Unless(expr) => expr.reduce(&action, &|a, b| a || b, false),
                });
                for (name, forms) in clauses.iter().flat_map(|clause| match clause {
                    Clause::When(expr) | Clause::Unless(expr) => tags(expr),
                }) {
                    match name {
                        Some(name) => {
                            let known = reads.named.entry(name).or_default();
                            *known = known.or(forms);
                        }
                        None => reads.any = reads.any.or(forms),
                    }
                }
            }
            Err(_) => reads = Reads { any: Forms::ALL, names_actions: true, ..reads },
        }
        reads
    }

    /// Whether a condition names an action, and may ask what it is in.
    pub(crate) fn names_actions(&self) -> bool {
        self.names_actions
    }

    /// Whether the policy reads the argument of this name.
    pub(crate) fn reads(&self, name: &str) -> bool {
        self.any != Forms::NONE || self.named.get(name).is_some_and(|forms| *forms != Forms::NONE)
    }

    /// Whether the policy reads this argument, but in no form that holds it: then it would decide as if there
    /// were no such argument, and the server would see one. `null` stands for none on both sides.
    pub(crate) fn misses(&self, name: &str, argument: &Json) -> bool {
        if argument.is_null() {
            return false;
        }
        let read = self.named.get(name).copied().unwrap_or_default().or(self.any);
        read != Forms::NONE && !read.meets(Forms::holding(argument))
    }
}

type Tag = (Option<Box<str>>, Forms);

/// Ends the search where an action is named.
fn action(expr: &Expr) -> Option<bool> {
    if let Expr::Literal(Literal::EntityUID(uid)) = expr { Some(uid.ty.to_string().ends_with("Action")) } else { None }
}

/// Every tag of an argument entity that an expression reads.
fn tags(expr: &Expr) -> Vec<Tag> {
    let look = |expr: &Expr| {
        let Expr::BinaryOp { op: BinaryOp::GetTag | BinaryOp::HasTag, left, right } = expr else { return None };
        let name = if let Expr::Literal(Literal::String(name)) = &**right { Some(name.as_str().into()) } else { None };
        let mut found = vec![(name, forms(left))];
        found.extend(tags(left));
        found.extend(tags(right));
        Some(found)
    };
    expr.reduce(
        &look,
        &|mut a, b| {
            a.extend(b);
            a
        },
        Vec::new(),
    )
}

/// The forms that tags of `base` have: none for a claim of the principal, all where it cannot be told.
fn forms(base: &Expr) -> Forms {
    if matches!(base, Expr::Var(Var::Principal)) {
        return Forms::NONE;
    }
    let Expr::GetAttr { expr, attr } = base else { return Forms::ALL };
    if !matches!(&**expr, Expr::Var(Var::Context)) {
        return Forms::ALL;
    }
    Forms::named(attr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho_wire::json::Limits;

    fn reads(condition: &str) -> Reads {
        let text = format!("permit(principal, action, resource) when {{ {condition} }};");
        Reads::of(&cedar_policy::Policy::parse(None, text).unwrap())
    }

    fn json(text: &str) -> Json {
        Json::decode(text.to_owned().into(), &Limits::default()).unwrap()
    }

    #[test]
    fn an_argument_in_a_form_that_the_policy_does_not_read_is_missed() {
        let amount = reads(r#"context.number.hasTag("amount") && context.number.getTag("amount") > 5"#);
        for missed in ["1.5", r#""7""#, "[7]", "{}", "true", "9223372036854775808", "1e30"] {
            assert!(amount.misses("amount", &json(missed)), "{missed}");
        }
        for held in ["7", "7.0", "7e0", "null"] {
            assert!(!amount.misses("amount", &json(held)), "{held}");
        }
        assert!(!amount.misses("other", &json("1.5")));
        let both = reads(r#"context.decimal.hasTag("a") || context.text.hasTag("a")"#);
        for (argument, missed) in [("1.5", false), ("1.23456", true), (r#""x""#, false), ("true", true)] {
            assert_eq!(both.misses("a", &json(argument)), missed, "{argument}");
        }
    }

    #[test]
    fn a_computed_name_reads_every_argument_and_claims_read_none() {
        let computed = reads(r#"context.text.hasTag(principal.subject)"#);
        assert!(computed.misses("anything", &json("1")));
        assert!(!computed.misses("anything", &json(r#""x""#)));
        let hidden = reads(r#"{"a": context.text}.a.hasTag("x")"#);
        assert!(hidden.misses("x", &json("[]")));
        let claims = reads(r#"principal.hasTag("x") && principal.getTag("x") == "y""#);
        assert!(!claims.misses("x", &json("[]")));
    }
}
