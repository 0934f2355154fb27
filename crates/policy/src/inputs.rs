//! What a decision can depend on beside the action and the server: found in the policies' text when they are loaded. A decision is
//! remembered by exactly this, and policies are shown nothing else, so whatever is not understood here counts as read.

use std::collections::BTreeSet;
use std::str::FromStr;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, UnaryOp, Var};
use cedar_policy::{
    ActionConstraint, Context, Entities, EntityUid, EvalResult, Expression, Policy, PrincipalConstraint, Request,
    ResourceConstraint,
};

use crate::reads::Forms;

/// What one or several policies read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// Who the principal is: issuer and subject.
    pub(crate) identity: bool,
    /// Through which client.
    pub(crate) client: bool,
    pub(crate) scopes: bool,
    pub(crate) groups: bool,
    pub(crate) roles: bool,
    pub(crate) tenant: bool,
    /// Whether it is a user, an application or an agent.
    pub(crate) kind: bool,
    pub(crate) acr: bool,
    pub(crate) amr: bool,
    pub(crate) acrs: bool,
    pub(crate) auth_time: bool,
    /// What the token is bound to.
    pub(crate) bound_by: bool,
    /// The claims and mapped attributes of these names.
    pub(crate) claims: BTreeSet<Box<str>>,
    /// Every claim and mapped attribute.
    pub(crate) every_claim: bool,
    /// Which item of its server the resource is.
    pub(crate) name: bool,
    /// Of which server the resource is, and what that server is like.
    pub(crate) server: bool,
    /// Era, endpoint, client id and labels.
    pub(crate) circumstances: bool,
    pub(crate) time: Time,
    /// The forms that arguments are read in.
    pub(crate) arguments: Forms,
    /// In which groups an action is.
    pub(crate) action_groups: bool,
    /// What a server asks.
    pub(crate) asking: bool,
}

/// What is read of the time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Time {
    /// Nothing.
    #[default]
    Unread,
    /// Whether these fixed times have come, in milliseconds since 1970.
    Compared(BTreeSet<i64>),
    /// The time itself.
    Read,
}

impl Time {
    fn and(self, other: Time) -> Time {
        match (self, other) {
            (Time::Read, _) | (_, Time::Read) => Time::Read,
            (Time::Unread, one) | (one, Time::Unread) => one,
            (Time::Compared(mut ones), Time::Compared(others)) => {
                ones.extend(others);
                Time::Compared(ones)
            }
        }
    }
}

impl Inputs {
    /// What `policy` reads; everything if its text cannot be looked into.
    pub(crate) fn of(policy: &Policy) -> Inputs {
        let Ok(tree) = policy.to_pst() else { return Inputs::everything() };
        let scope = match policy.principal_constraint() {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => Inputs::default(),
            PrincipalConstraint::In(_) | PrincipalConstraint::Eq(_) | PrincipalConstraint::IsIn(..) => {
                Inputs { identity: true, ..Inputs::default() }
            }
        };
        let server = match policy.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::Eq(_) | ResourceConstraint::Is(_) => false,
            ResourceConstraint::In(_) | ResourceConstraint::IsIn(..) => true,
        };
        let action_groups = match policy.action_constraint() {
            ActionConstraint::Any | ActionConstraint::Eq(_) => false,
            ActionConstraint::In(_) => true,
        };
        tree.body().clauses().iter().fold(Inputs { server, action_groups, ..scope }, |inputs, clause| match clause {
            Clause::When(expr) | Clause::Unless(expr) => inputs.and(of(expr)),
        })
    }

    /// Whether the caller is looked into.
    pub(crate) fn principal_is_read(&self) -> bool {
        let lists = self.scopes || self.groups || self.roles;
        let login = self.acr || self.amr || self.acrs || self.auth_time;
        let claims = self.every_claim || !self.claims.is_empty();
        self.identity || self.client || self.tenant || self.kind || self.bound_by || lists || login || claims
    }

    /// Whether the resource or its server is looked into.
    pub(crate) fn resource_is_read(&self) -> bool {
        self.name || self.server
    }

    /// Whether an answer cannot be remembered: arguments and times hardly come twice.
    pub(crate) fn vary(&self) -> bool {
        self.arguments != Forms::NONE || self.time == Time::Read
    }

    /// What either reads.
    pub(crate) fn and(mut self, other: Inputs) -> Inputs {
        self.claims.extend(other.claims);
        Inputs {
            identity: self.identity || other.identity,
            client: self.client || other.client,
            scopes: self.scopes || other.scopes,
            groups: self.groups || other.groups,
            roles: self.roles || other.roles,
            tenant: self.tenant || other.tenant,
            kind: self.kind || other.kind,
            acr: self.acr || other.acr,
            amr: self.amr || other.amr,
            acrs: self.acrs || other.acrs,
            auth_time: self.auth_time || other.auth_time,
            bound_by: self.bound_by || other.bound_by,
            claims: self.claims,
            every_claim: self.every_claim || other.every_claim,
            name: self.name || other.name,
            server: self.server || other.server,
            circumstances: self.circumstances || other.circumstances,
            time: self.time.and(other.time),
            arguments: self.arguments.or(other.arguments),
            action_groups: self.action_groups || other.action_groups,
            asking: self.asking || other.asking,
        }
    }

    fn everything() -> Inputs {
        let actions = Inputs { action_groups: true, ..Inputs::default() };
        Inputs::principal().and(Inputs::resource()).and(Inputs::context()).and(actions)
    }

    fn principal() -> Inputs {
        let lists = Inputs { scopes: true, groups: true, roles: true, ..Inputs::default() };
        let login = Inputs { acr: true, amr: true, acrs: true, auth_time: true, ..lists };
        Inputs { identity: true, client: true, tenant: true, kind: true, bound_by: true, every_claim: true, ..login }
    }

    fn resource() -> Inputs {
        Inputs { name: true, server: true, ..Inputs::default() }
    }

    fn context() -> Inputs {
        Inputs { circumstances: true, time: Time::Read, arguments: Forms::ALL, asking: true, ..Inputs::default() }
    }
}

fn of(expr: &Expr) -> Inputs {
    expr.reduce(&look, &Inputs::and, Inputs::default())
}

/// What is read where an expression takes hold of a variable; nothing is said of one that has to be looked into.
fn look(expr: &Expr) -> Option<Inputs> {
    if let Expr::GetAttr { expr, attr } = expr
        && let Expr::Var(var) = &**expr
    {
        return Some(attribute(var, attr));
    }
    if let Expr::HasAttr { expr, attrs } = expr
        && let Expr::Var(var @ Var::Principal) = &**expr
        && let [attr] = attrs.iter().collect::<Vec<_>>().as_slice()
    {
        return Some(attribute(var, attr));
    }
    if let Expr::BinaryOp { op, left, right } = expr
        && let Some(fixed) = fixed_time(op, left, right).or_else(|| fixed_time(op, right, left))
    {
        return Some(Inputs { time: Time::Compared(BTreeSet::from([fixed])), ..Inputs::default() });
    }
    if let Expr::BinaryOp { op, left, right } = expr
        && let Expr::Var(var) = &**left
    {
        return compared(op, var, right);
    }
    if let Expr::Literal(Literal::EntityUID(uid)) = expr {
        return Some(named(&uid.ty.to_string()));
    }
    if let Expr::Var(var) = expr { Some(whole(var)) } else { None }
}

/// The fixed time that `time` is compared with, if it is the time of the context and nothing else is asked of it.
fn fixed_time(op: &BinaryOp, time: &Expr, with: &Expr) -> Option<i64> {
    let compares = matches!(
        op,
        BinaryOp::Less | BinaryOp::LessEq | BinaryOp::Greater | BinaryOp::GreaterEq | BinaryOp::Eq | BinaryOp::NotEq
    );
    if let Expr::GetAttr { expr, attr } = time
        && matches!(**expr, Expr::Var(Var::Context))
        && attr == "time"
        && let Expr::UnaryOp { op: UnaryOp::Datetime, expr } = with
        && let Expr::Literal(Literal::String(written)) = &**expr
    {
        return if compares { milliseconds(written) } else { None };
    }
    None
}

/// A time as Cedar reads it, in milliseconds since 1970. It is Cedar that is asked: another reader may read another time.
fn milliseconds(written: &str) -> Option<i64> {
    if !written.bytes().all(|byte| byte.is_ascii_digit() || b"TZ:.+-".contains(&byte)) {
        return None;
    }
    let asked = format!(r#"datetime("{written}").durationSince(datetime("1970-01-01")).toMilliseconds()"#);
    let nobody = EntityUid::from_str(r#"Sekisho::Gateway::"gateway""#).ok()?;
    let request = Request::new(nobody.clone(), nobody.clone(), nobody, Context::empty(), None).ok()?;
    let answer = cedar_policy::eval_expression(&request, &Entities::empty(), &Expression::from_str(&asked).ok()?);
    if let Ok(EvalResult::Long(milliseconds)) = answer { Some(milliseconds) } else { None }
}

/// An entity that is meant by name has attributes if it is the one at hand, and none otherwise.
fn named(kind: &str) -> Inputs {
    match kind {
        "Sekisho::User" => Inputs::principal(),
        "Sekisho::Server" => Inputs { server: true, ..Inputs::default() },
        "Sekisho::Action" => Inputs { action_groups: true, ..Inputs::default() },
        // It has no attributes.
        "Sekisho::Gateway" => Inputs::default(),
        "Sekisho::Tool" | "Sekisho::Prompt" | "Sekisho::Resource" => Inputs::resource(),
        // The arguments, and whatever this does not know.
        _ => Inputs::everything(),
    }
}

fn attribute(var: &Var, name: &str) -> Inputs {
    match (var, name) {
        (Var::Principal, "issuer" | "subject") => Inputs { identity: true, ..Inputs::default() },
        (Var::Principal, "client") => Inputs { client: true, ..Inputs::default() },
        (Var::Resource, "server") => Inputs { server: true, ..Inputs::default() },
        (Var::Context, "era" | "endpoint" | "client_id" | "trust" | "confidentiality") => {
            Inputs { circumstances: true, ..Inputs::default() }
        }
        (Var::Principal, "scopes") => Inputs { scopes: true, ..Inputs::default() },
        (Var::Principal, "groups") => Inputs { groups: true, ..Inputs::default() },
        (Var::Principal, "roles") => Inputs { roles: true, ..Inputs::default() },
        (Var::Principal, "tenant") => Inputs { tenant: true, ..Inputs::default() },
        (Var::Principal, "kind") => Inputs { kind: true, ..Inputs::default() },
        (Var::Principal, "acr") => Inputs { acr: true, ..Inputs::default() },
        (Var::Principal, "amr") => Inputs { amr: true, ..Inputs::default() },
        (Var::Principal, "acrs") => Inputs { acrs: true, ..Inputs::default() },
        (Var::Principal, "auth_time") => Inputs { auth_time: true, ..Inputs::default() },
        (Var::Principal, "bound_by") => Inputs { bound_by: true, ..Inputs::default() },
        (Var::Context, "mode" | "host" | "with_tools" | "with_context") => Inputs { asking: true, ..Inputs::default() },
        (Var::Context, "time") => Inputs { time: Time::Read, ..Inputs::default() },
        (Var::Context, "text" | "number" | "decimal" | "flag") => {
            Inputs { arguments: Forms::named(name), ..Inputs::default() }
        }
        (Var::Principal | Var::Action | Var::Resource | Var::Context, _) => whole(var),
    }
}

fn compared(op: &BinaryOp, var: &Var, with: &Expr) -> Option<Inputs> {
    let literal = if let Expr::Literal(literal) = with { Some(literal) } else { None };
    match (var, op, literal) {
        (Var::Principal, BinaryOp::HasTag | BinaryOp::GetTag, Some(Literal::String(name))) => {
            Some(Inputs { claims: BTreeSet::from([name.as_str().into()]), ..Inputs::default() })
        }
        (Var::Principal, BinaryOp::HasTag | BinaryOp::GetTag, _) => {
            Some(Inputs { every_claim: true, ..Inputs::default() }.and(of(with)))
        }
        (Var::Principal, BinaryOp::Eq | BinaryOp::In, Some(Literal::EntityUID(_))) => {
            Some(Inputs { identity: true, ..Inputs::default() })
        }
        (Var::Resource, BinaryOp::In, Some(Literal::EntityUID(uid))) if uid.ty.to_string() == "Sekisho::Server" => {
            Some(Inputs { server: true, ..Inputs::default() })
        }
        (Var::Principal | Var::Action | Var::Resource | Var::Context, _, _) => None,
    }
}

fn whole(var: &Var) -> Inputs {
    match var {
        Var::Principal => Inputs::principal(),
        // Always part of the question.
        Var::Action => Inputs::default(),
        Var::Resource => Inputs::resource(),
        Var::Context => Inputs::context(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(policy: &str) -> Inputs {
        Inputs::of(&Policy::parse(None, policy).unwrap())
    }

    fn read_when(condition: &str) -> Inputs {
        read(&format!("permit(principal, action, resource) when {{ {condition} }};"))
    }

    #[test]
    fn what_is_always_part_of_the_question_is_not_counted() {
        assert_eq!(read_when("true"), Inputs::default());
        assert_eq!(read_when("[action].contains(action)"), Inputs::default());
        let of_a_call = r#"permit(principal, action == Sekisho::Action::"tools/call", resource);"#;
        assert_eq!(read(of_a_call), Inputs::default());
    }

    #[test]
    fn each_input_is_found_where_it_is_read() {
        let none = Inputs::default;
        for (condition, expected) in [
            (r#"principal.subject == "a""#, Inputs { identity: true, ..none() }),
            (r#"principal == Sekisho::User::"i#a""#, Inputs { identity: true, ..none() }),
            (r#"principal.client == "c""#, Inputs { client: true, ..none() }),
            (r#"principal.roles.contains("r")"#, Inputs { roles: true, ..none() }),
            (r#"principal.groups.containsAny(principal.scopes)"#, Inputs { groups: true, scopes: true, ..none() }),
            (r#"principal.tenant == "t""#, Inputs { tenant: true, ..none() }),
            (r#"principal.kind == "agent""#, Inputs { kind: true, ..none() }),
            (r#"principal.acr == "a" || principal.amr.contains("mfa")"#, Inputs { acr: true, amr: true, ..none() }),
            (r#"principal.acrs.contains("c1")"#, Inputs { acrs: true, ..none() }),
            (r#"principal.bound_by.contains("dpop")"#, Inputs { bound_by: true, ..none() }),
            (r#"principal has auth_time"#, Inputs { auth_time: true, ..none() }),
            (
                r#"principal has auth_time && principal.auth_time > datetime("2026-01-01")"#,
                Inputs { auth_time: true, ..none() },
            ),
            (r#"principal has name.first"#, Inputs::principal()),
            (r#"principal.hasTag("d")"#, Inputs { claims: ["d".into()].into(), ..none() }),
            (r#"principal.hasTag(resource.name)"#, Inputs { every_claim: true, ..Inputs::resource() }),
            (r#"resource == Sekisho::Tool::"a/b""#, Inputs::resource()),
            (r#"resource in [Sekisho::Server::"a"]"#, Inputs::resource()),
            (r#"resource in Sekisho::Server::"a""#, Inputs { server: true, ..none() }),
            (r#"resource.server.trust == "trusted""#, Inputs { server: true, ..none() }),
            (r#"Sekisho::Server::"a".trust == "trusted""#, Inputs { server: true, ..none() }),
            (r#"action in Sekisho::Action::"use""#, Inputs { action_groups: true, ..none() }),
            (r#"context.client_id == "c""#, Inputs { circumstances: true, ..none() }),
            (r#"context.era == "modern" && context.trust == "trusted""#, Inputs { circumstances: true, ..none() }),
            (r#"context.mode == "url" && context.host like "*.example""#, Inputs { asking: true, ..none() }),
            (r#"context.with_tools || context.with_context"#, Inputs { asking: true, ..none() }),
            (r#"resource.name like "d*""#, Inputs::resource()),
            (r#"context.time.toDate() < datetime("2027-01-01")"#, Inputs { time: Time::Read, ..none() }),
            (r#"Sekisho::Tool::"a/b".name == "b""#, Inputs::resource()),
            (r#"context.text.hasTag("x")"#, Inputs { arguments: Forms { text: true, ..Forms::NONE }, ..none() }),
            (r#"context has text"#, Inputs::context()),
        ] {
            assert_eq!(read_when(condition), expected, "{condition}");
        }
    }

    #[test]
    fn of_a_time_that_is_compared_with_a_fixed_one_only_that_is_read() {
        let at = |times: &[i64]| Inputs { time: Time::Compared(times.iter().copied().collect()), ..Inputs::default() };
        for (condition, expected) in [
            (r#"context.time < datetime("1970-01-02")"#, at(&[86_400_000])),
            (r#"datetime("1970-01-01T00:00:01Z") <= context.time"#, at(&[1000])),
            (r#"context.time == datetime("1970-01-01T01:00:00.001+0100")"#, at(&[1])),
            (
                r#"context.time > datetime("1970-01-02") && context.time != datetime("1970-01-03")"#,
                at(&[86_400_000, 172_800_000]),
            ),
            (
                r#"context.time < datetime("1960-01-01") || context.time >= datetime("1970-01-01")"#,
                at(&[-315_619_200_000, 0]),
            ),
        ] {
            assert_eq!(read_when(condition), expected, "{condition}");
        }
        for whole in [
            r#"context.time < context.time"#,
            r#"context.time.offset(duration("1d")) < datetime("1970-01-02")"#,
            r#"context.time < datetime("1970-01-02").offset(duration("1d"))"#,
            r#"context.time.durationSince(datetime("1970-01-02")) > duration("1d")"#,
            r#"context.time < datetime("1970-01-02") && context.time.toTime() > duration("8h")"#,
            r#"[context.time].contains(datetime("1970-01-02"))"#,
        ] {
            assert_eq!(read_when(whole).time, Time::Read, "{whole}");
        }
    }

    #[test]
    fn a_variable_taken_as_a_whole_counts_with_all_it_has() {
        assert_eq!(read_when("(if true then principal else principal).client == \"c\""), Inputs::principal());
        assert_eq!(read_when("[principal].contains(principal)"), Inputs::principal());
        assert_eq!(read_when(r#"{"a": context}.a.era == "modern""#), Inputs::context());
        assert_eq!(read_when(r#"Sekisho::Server::"a" in resource"#), Inputs::resource());
        assert_eq!(read_when(r#"Sekisho::User::"i#a".client == "c""#), Inputs::principal());
        assert_eq!(read_when(r#"Sekisho::TextArguments::"call".hasTag("x")"#), Inputs::everything());
    }

    #[test]
    fn a_principal_in_the_scope_counts_and_of_a_resource_there_only_its_server() {
        assert_eq!(
            read(r#"permit(principal, action, resource in Sekisho::Server::"a");"#),
            Inputs { server: true, ..Inputs::default() }
        );
        assert!(read(r#"permit(principal == Sekisho::User::"i#a", action, resource);"#).identity);
        let of_a_tool = r#"permit(principal is Sekisho::User, action, resource == Sekisho::Tool::"a/b");"#;
        assert_eq!(read(of_a_tool), Inputs::default());
    }
}
