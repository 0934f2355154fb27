//! The one decision function: for calls with what is known, for lists with what is not (architecture, property 3).

use cedar_policy::{Authorizer, Decision, Effect, Entity, EntityUid, PartialResponse, PolicyId, Request};
use sekisho_identity::Principal;

use crate::arguments::Tags;
use crate::entities::{BuildError, Circumstances, Object, Uses};
use crate::{Basis, Policy, reads};

/// What is asked.
pub(crate) struct Question<'a> {
    pub(crate) asker: &'a Asker,
    /// A method's name.
    pub(crate) action: &'static str,
    pub(crate) object: Object<'a>,
    pub(crate) circumstances: Circumstances<'a>,
    pub(crate) arguments: Arguments,
}

/// What is known of the arguments.
pub(crate) enum Arguments {
    /// All of them.
    Known(Tags),
    /// Nothing: the call was not made yet.
    Unknown,
}

/// Who asks, prepared once for all questions of one message.
pub(crate) struct Asker {
    uid: EntityUid,
    user: Entity,
}

impl Asker {
    pub(crate) fn uid(&self) -> &EntityUid {
        &self.uid
    }
}

/// How a question is answered.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Permitted, whatever is unknown.
    Permit(Basis),
    /// No policy permits it, whatever is unknown.
    NoPermit,
    /// A policy forbids it, whatever is unknown.
    Forbid(Basis),
    /// A policy errs, whatever is unknown. It is never skipped.
    Failed(Basis),
    /// It depends on what is unknown, by these policies.
    Depends(Vec<PolicyId>),
}

impl Policy {
    pub(crate) fn asker(&self, who: &Principal) -> Result<Asker, BuildError> {
        Ok(Asker { uid: self.vocabulary.principal(who)?, user: self.vocabulary.user(who)? })
    }

    /// Answers a question. What cannot even be asked is [`Verdict::Failed`].
    pub(crate) fn evaluate(&self, question: Question<'_>) -> Verdict {
        match self.response(question) {
            Ok(response) => verdict(&response),
            Err(_) => Verdict::Failed(Basis::default()),
        }
    }

    fn response(&self, question: Question<'_>) -> Result<PartialResponse, BuildError> {
        let Question { asker, action, object, circumstances, arguments } = question;
        let mut entities = self.vocabulary.object(object)?;
        entities.push(asker.user.clone());
        let store = match arguments {
            Arguments::Known(tags) => {
                entities.extend(self.vocabulary.arguments(tags)?);
                self.vocabulary.store(action, entities)?
            }
            // What is not in a partial store is unknown; in a whole one it does not exist.
            Arguments::Unknown => self.vocabulary.store(action, entities)?.partial(),
        };
        let context = self.vocabulary.context(&circumstances, Uses::of(action))?;
        let action = self.vocabulary.action(action)?;
        let request = match object {
            Object::Template { server } if self.names_resource_of(server.id.as_str()) => Request::builder()
                .principal(asker.uid.clone())
                .action(action)
                .unknown_resource_with_type(self.vocabulary.resource_type()?)
                .context(context)
                .build(),
            Object::Template { .. }
            | Object::Gateway
            | Object::Server(_)
            | Object::Tool { .. }
            | Object::Prompt { .. }
            | Object::Resource { .. } => {
                let resource = self.vocabulary.resource(object)?;
                Request::new(asker.uid.clone(), action, resource, context, Some(self.vocabulary.schema()))
                    .map_err(|e| BuildError::Request(Box::new(e)))?
            }
        };
        Ok(Authorizer::new().is_authorized_partial(&request, &self.policies, &store))
    }

    /// Whether a policy means a resource of this server by its exact URI. If none does, which resource it is
    /// makes no difference beyond its attributes, and those alone are unknown; else the resource is.
    fn names_resource_of(&self, server: &str) -> bool {
        self.resources.iter().any(|id| id.strip_prefix(server).is_some_and(|rest| rest.starts_with('/')))
    }
}

fn verdict(response: &PartialResponse) -> Verdict {
    let errored = Basis::of(response.definitely_errored());
    if !errored.policies.is_empty() {
        return Verdict::Failed(errored);
    }
    let decided = || {
        let policies: Vec<_> = response.must_be_determining().collect();
        Basis::of(policies.iter().map(cedar_policy::Policy::id))
    };
    match response.decision() {
        Some(Decision::Allow) => Verdict::Permit(decided()),
        Some(Decision::Deny) => {
            let basis = decided();
            if basis.policies.is_empty() { Verdict::NoPermit } else { Verdict::Forbid(basis) }
        }
        None => undecided(response),
    }
}

/// Cedar leaves `unknown && false` as it is. What can never come out true is no permit, and what can never come
/// out false is a forbid.
fn undecided(response: &PartialResponse) -> Verdict {
    let residual: Vec<_> = response.nontrivial_residuals().collect();
    let certain = |policy: &&cedar_policy::Policy| policy.effect() == Effect::Forbid && !reads::may_be(false, policy);
    let certain = Basis::of(residual.iter().filter(certain).map(cedar_policy::Policy::id));
    if !certain.policies.is_empty() {
        return Verdict::Forbid(certain);
    }
    let satisfied: Vec<_> = response.definitely_satisfied().collect();
    let mut permits = satisfied.iter().chain(residual.iter().filter(|policy| reads::may_be(true, policy)));
    if permits.any(|policy| policy.effect() == Effect::Permit) {
        Verdict::Depends(residual.iter().map(|policy| policy.id().clone()).collect())
    } else {
        Verdict::NoPermit
    }
}

impl Basis {
    fn of<'a>(ids: impl Iterator<Item = &'a PolicyId>) -> Basis {
        let mut policies: Vec<Box<str>> = ids.map(|id| AsRef::<str>::as_ref(id).into()).collect();
        policies.sort_unstable();
        Basis { policies }
    }
}
