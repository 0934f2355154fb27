//! The one decision function: for calls with what is known, for lists with what is not (architecture, property 3).

use std::cell::RefCell;
use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Effect, Entities, Entity, EntityUid, PartialResponse, PolicyId,
    Request, Response,
};
use sekisho_identity::Principal;
use sekisho_wire::Json;

use crate::arguments::Tags;
use crate::entities::{BuildError, Circumstances, Object, Uses, Vocabulary};
use crate::slice::Slice;
use crate::{Basis, Policy, memory, reads};

/// What is asked.
pub(crate) struct Question<'a> {
    pub(crate) asker: &'a Asker<'a>,
    /// A method's name.
    pub(crate) action: &'static str,
    pub(crate) object: Object<'a>,
    pub(crate) circumstances: Circumstances<'a>,
    pub(crate) arguments: Arguments<'a>,
}

/// What is known of the arguments.
#[derive(Clone, Copy)]
pub(crate) enum Arguments<'a> {
    /// All of them.
    Known(&'a [(String, Json)]),
    /// Nothing: the call was not made yet.
    Unknown,
}

/// Who asks. Cedar's form of it is kept from one question of a message to the next one.
pub(crate) struct Asker<'a> {
    who: &'a Principal,
    /// As the policies of the slice with this number see it.
    user: RefCell<Option<(u64, Entity)>>,
}

impl<'a> Asker<'a> {
    pub(crate) fn of(who: &'a Principal) -> Asker<'a> {
        Asker { who, user: RefCell::default() }
    }

    pub(crate) fn who(&self) -> &'a Principal {
        self.who
    }

    fn user(&self, vocabulary: &Vocabulary, slice: &Slice) -> Result<Entity, BuildError> {
        let mut kept = self.user.borrow_mut();
        if let Some((_, user)) = kept.as_ref().filter(|(number, _)| *number == slice.number) {
            return Ok(user.clone());
        }
        let user = vocabulary.user(self.who, &slice.inputs)?;
        *kept = Some((slice.number, user.clone()));
        Ok(user)
    }
}

/// How a question is answered.
#[derive(Debug, Clone)]
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
    Depends(Arc<[PolicyId]>),
}

impl Verdict {
    /// The answer of two parts of the policies: an error wins over a forbid, and a forbid over a permit.
    fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Depends(ids), _) | (_, Verdict::Depends(ids)) => Verdict::Depends(ids),
            (Verdict::Failed(one), Verdict::Failed(other)) => Verdict::Failed(one.and(&other)),
            (Verdict::Failed(basis), _) | (_, Verdict::Failed(basis)) => Verdict::Failed(basis),
            (Verdict::Forbid(one), Verdict::Forbid(other)) => Verdict::Forbid(one.and(&other)),
            (Verdict::Forbid(basis), _) | (_, Verdict::Forbid(basis)) => Verdict::Forbid(basis),
            (Verdict::Permit(one), Verdict::Permit(other)) => Verdict::Permit(one.and(&other)),
            (Verdict::Permit(basis), Verdict::NoPermit) | (Verdict::NoPermit, Verdict::Permit(basis)) => {
                Verdict::Permit(basis)
            }
            (Verdict::NoPermit, Verdict::NoPermit) => Verdict::NoPermit,
        }
    }
}

impl Policy {
    /// The policies that can matter to a question about this object.
    pub(crate) fn slice(&self, action: &'static str, object: Object<'_>) -> Result<Arc<Slice>, BuildError> {
        self.slices.matching(&self.vocabulary, action, object)
    }

    /// Answers a question. What cannot even be asked is [`Verdict::Failed`].
    pub(crate) fn evaluate(&self, question: &Question<'_>) -> Verdict {
        let slice = self.slice(question.action, question.object);
        slice.map_or(Verdict::Failed(Basis::default()), |slice| self.evaluate_in(&slice, question))
    }

    /// The same by the slice that the question belongs to.
    pub(crate) fn evaluate_in(&self, slice: &Slice, question: &Question<'_>) -> Verdict {
        if let (Some(parts), Arguments::Known(_)) = (&slice.parts, question.arguments) {
            let [once, each_time] = parts.each_ref().map(|part| self.evaluate_in(part, question));
            return once.and(each_time);
        }
        let Question { asker, object, circumstances, arguments, .. } = question;
        let Some(key) = memory::key(slice, asker.who, *object, circumstances, arguments) else {
            return self.verdict(slice, question).unwrap_or(Verdict::Failed(Basis::default()));
        };
        if let Some(verdict) = self.memory.recall(&key) {
            return verdict;
        }
        match self.verdict(slice, question) {
            Ok(verdict) => {
                self.memory.keep(key, &verdict);
                verdict
            }
            // It may be the clock: the next one may fare better.
            Err(_) => Verdict::Failed(Basis::default()),
        }
    }

    fn verdict(&self, slice: &Slice, question: &Question<'_>) -> Result<Verdict, BuildError> {
        let &Question { asker, action, object, ref circumstances, arguments } = question;
        let principal = self.vocabulary.principal(asker.who)?;
        // What no policy reads need not be there.
        let mut entities = Vec::new();
        if slice.inputs.resource_is_read() {
            entities = self.vocabulary.object(object)?;
        }
        if slice.inputs.principal_is_read() {
            entities.push(asker.user(&self.vocabulary, slice)?);
        }
        let context = self.vocabulary.context(circumstances, Uses::of(action), &slice.inputs)?;
        match arguments {
            Arguments::Known(arguments) => {
                // An argument that no policy reads changes no decision.
                let read = arguments.iter().filter(|(name, _)| slice.reads_argument(name));
                entities.extend(self.vocabulary.arguments(slice.inputs.arguments, Tags::of(read))?);
                let store = self.vocabulary.store(action, &slice.inputs, entities)?;
                let request = self.request(principal, action, object, context)?;
                Ok(decided(&Authorizer::new().is_authorized(&request, &slice.policies, &store)))
            }
            Arguments::Unknown => {
                // What is not in a partial store is unknown; in a whole one it does not exist.
                let store: Entities = self.vocabulary.store(action, &slice.inputs, entities)?.partial();
                let request = self.request(principal, action, object, context)?;
                Ok(verdict(&Authorizer::new().is_authorized_partial(&request, &slice.policies, &store)))
            }
        }
    }

    fn request(
        &self,
        principal: EntityUid,
        action: &str,
        object: Object<'_>,
        context: Context,
    ) -> Result<Request, BuildError> {
        let action = self.vocabulary.action(action)?;
        match object {
            Object::Template { server } if self.names_resource_of(server.id.as_str()) => Ok(Request::builder()
                .principal(principal)
                .action(action)
                .unknown_resource_with_type(self.vocabulary.resource_type()?)
                .context(context)
                .build()),
            Object::Template { .. }
            | Object::Gateway
            | Object::Server(_)
            | Object::Tool { .. }
            | Object::Prompt { .. }
            | Object::Resource { .. } => {
                let resource = self.vocabulary.resource(object)?;
                // Not checked against the schema: it has only what is read of what the schema demands.
                Request::new(principal, action, resource, context, None).map_err(|e| BuildError::Request(Box::new(e)))
            }
        }
    }

    /// Whether a policy means a resource of this server by its exact URI. If none does, which resource it is
    /// makes no difference beyond its attributes, and those alone are unknown; else the resource is.
    fn names_resource_of(&self, server: &str) -> bool {
        self.resources.iter().any(|id| id.strip_prefix(server).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// The answer where everything is known.
fn decided(response: &Response) -> Verdict {
    let errored = Basis::of(
        response.diagnostics().errors().map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id()),
    );
    if !errored.policies.is_empty() {
        return Verdict::Failed(errored);
    }
    let basis = Basis::of(response.diagnostics().reason());
    match response.decision() {
        Decision::Allow => Verdict::Permit(basis),
        Decision::Deny if basis.policies.is_empty() => Verdict::NoPermit,
        Decision::Deny => Verdict::Forbid(basis),
    }
}

/// The answer where something is not.
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
    pub(crate) fn of<'a>(ids: impl Iterator<Item = &'a PolicyId>) -> Basis {
        Basis::sorted(ids.map(|id| AsRef::<str>::as_ref(id).into()).collect())
    }

    pub(crate) fn and(&self, other: &Basis) -> Basis {
        let mut both = Basis::sorted(self.policies.iter().chain(other.policies.iter()).cloned().collect());
        if both.policies.windows(2).any(|two| matches!(two, [one, other] if one == other)) {
            let mut once = both.policies.to_vec();
            once.dedup();
            both.policies = once.into();
        }
        both
    }

    fn sorted(mut policies: Vec<Box<str>>) -> Basis {
        policies.sort_unstable();
        Basis { policies: policies.into() }
    }
}
