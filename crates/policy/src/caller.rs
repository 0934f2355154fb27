//! The caller as Cedar sees it: what a token says of it, what configuration maps, and what is not known.

use cedar_policy::{Entity, RestrictedExpression};
use sekisho_identity::{Authentication, Groups, Principal};

use crate::entities::{BuildError, Vocabulary, datetime, text};
use crate::inputs::Inputs;
use crate::residual::GROUPS;

/// What is known of what a step-up changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    /// It is as the token says.
    AsIs,
    /// It could be anything.
    Open,
}

impl Vocabulary {
    /// The caller as far as it is read, with claims and mapped attributes as tags.
    pub(crate) fn user(&self, who: &Principal, read: &Inputs, login: Login) -> Result<Entity, BuildError> {
        let mut attributes = Vec::new();
        if read.identity {
            attributes.extend([("issuer", text(who.issuer())), ("subject", text(who.subject()))]);
        }
        if read.client {
            attributes.push(("client", text(who.client())));
        }
        if read.tenant {
            attributes.push(("tenant", text(who.tenant())));
        }
        if read.kind {
            attributes.push(("kind", text(who.kind().as_str())));
        }
        if read.roles {
            attributes.push(("roles", list(who.roles())));
        }
        if read.bound_by {
            let names = who.bound_by().iter().map(|binding| text(binding.as_str()));
            attributes.push(("bound_by", RestrictedExpression::new_set(names)));
        }
        if read.groups {
            attributes.push(match who.groups() {
                Groups::Known(groups) => ("groups", list(groups)),
                Groups::Unknown => ("groups", RestrictedExpression::new_unknown(GROUPS)),
            });
        }
        attributes.extend(stepped_up(who, read, login)?);
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value));
        let tags = tags(who, read);
        Entity::new_with_tags(self.principal(who)?, attributes, [], tags).map_err(|e| BuildError::Entity(Box::new(e)))
    }
}

/// The part of a caller that another token of the same caller could say otherwise.
fn stepped_up(
    who: &Principal,
    read: &Inputs,
    login: Login,
) -> Result<Vec<(&'static str, RestrictedExpression)>, BuildError> {
    if login == Login::Open {
        let names = [
            ("scopes", read.scopes),
            ("acr", read.acr),
            ("amr", read.amr),
            ("acrs", read.acrs),
            ("auth_time", read.auth_time),
        ];
        let names = names.into_iter().filter(|(_, read)| *read);
        return Ok(names.map(|(name, _)| (name, RestrictedExpression::new_unknown(name))).collect());
    }
    let Authentication { class, methods, contexts, at } = who.authentication();
    let mut attributes = Vec::new();
    if read.scopes {
        attributes.push(("scopes", list(who.scopes())));
    }
    if read.acr {
        attributes.push(("acr", text(class)));
    }
    if read.amr {
        attributes.push(("amr", list(methods)));
    }
    if read.acrs {
        attributes.push(("acrs", list(contexts)));
    }
    if let Some(at) = at.filter(|_| read.auth_time) {
        attributes.push(("auth_time", datetime(at)?));
    }
    Ok(attributes)
}

/// The tags of a caller: what configuration maps, and every other claim that is a string.
fn tags(who: &Principal, read: &Inputs) -> Vec<(String, RestrictedExpression)> {
    if !read.every_claim && read.claims.is_empty() {
        return Vec::new();
    }
    let is_read = |name: &str| read.every_claim || read.claims.contains(name);
    let is_mapped = |name: &str| who.attributes().iter().any(|(mapped, _)| **mapped == *name);
    let claims = who.claims().members().filter(|(name, _)| is_read(name) && !is_mapped(name));
    let claims = claims.filter_map(|(name, claim)| Some((name.into_owned(), text(&claim.string()?))));
    let mapped = who.attributes().iter().filter(|(name, _)| is_read(name));
    claims.chain(mapped.map(|(name, value)| (name.to_string(), text(value)))).collect()
}

fn list(values: &[Box<str>]) -> RestrictedExpression {
    RestrictedExpression::new_set(values.iter().map(|value| text(value)))
}
