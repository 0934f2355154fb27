//! The one decision function: for calls with what is known, for lists with what is not (architecture, property 3).

use std::cell::RefCell;
use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Effect, Entities, Entity, EntityUid, PartialResponse, PolicyId,
    Request, Response,
};
use sekisho_identity::{Groups, Principal};
use sekisho_wire::Json;

use crate::arguments::Tags;
use crate::caller::Login;
use crate::entities::{BuildError, Circumstances, Object, Uses, Vocabulary};
use crate::proposal::Proposal;
use crate::residual::Residual;
use crate::slice::Slice;
use crate::{Basis, Policy, memory};

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

/// Whether the groups of whoever asks are known, as far as anybody reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    Known,
    Unknown,
}

/// Who asks. Cedar's form of it is kept from one question of a message to the next one.
pub(crate) struct Asker<'a> {
    who: &'a Principal,
    footing: Footing,
    /// As the policies of the slice with this number see it.
    user: RefCell<Option<(u64, Entity)>>,
}

/// Whether somebody asks, or is only supposed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Footing {
    Verified,
    Supposed,
}

impl<'a> Asker<'a> {
    pub(crate) fn of(who: &'a Principal) -> Asker<'a> {
        Asker { who, footing: Footing::Verified, user: RefCell::default() }
    }

    /// A caller who logged in this very moment, if it did. What is answered is not remembered: it hardly comes twice, and would crowd out
    /// what does.
    pub(crate) fn supposed(who: &'a Principal) -> Asker<'a> {
        Asker { who, footing: Footing::Supposed, user: RefCell::default() }
    }

    pub(crate) fn who(&self) -> &'a Principal {
        self.who
    }

    fn user(&self, vocabulary: &Vocabulary, slice: &Slice) -> Result<Entity, BuildError> {
        let mut kept = self.user.borrow_mut();
        if let Some((_, user)) = kept.as_ref().filter(|(number, _)| *number == slice.number) {
            return Ok(user.clone());
        }
        let user = vocabulary.user(self.who, &slice.inputs, Login::AsIs)?;
        *kept = Some((slice.number, user.clone()));
        Ok(user)
    }

    fn membership(&self, slice: &Slice) -> Membership {
        match self.who.groups() {
            Groups::Unknown if slice.inputs.groups => Membership::Unknown,
            Groups::Unknown | Groups::Known(_) => Membership::Known,
        }
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
    /// It depends on arguments that are not known yet, by these policies.
    Depends(Arc<[PolicyId]>),
    /// It is permitted for no arguments unless the caller's groups are known, which they are not; by these policies.
    Groups(Basis, Hangs),
}

/// For which arguments an answer hangs on groups that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangs {
    /// For all of them.
    Always,
    /// For some; others may be refused in any case.
    Sometimes,
}

impl Verdict {
    /// The answer of two parts of the policies: an error wins over a forbid, and a forbid over a permit.
    fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            // Where something is unknown, policies are not asked in parts.
            (Verdict::Groups(basis, hangs), _) | (_, Verdict::Groups(basis, hangs)) => Verdict::Groups(basis, hangs),
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
        let membership = question.asker.membership(slice);
        // A part that forbids nothing for certain may still forbid what the other one permits, so they are told apart only where all
        // is known.
        if let (Some(parts), Arguments::Known(_), Membership::Known) = (&slice.parts, question.arguments, membership) {
            let [once, each_time] = parts.each_ref().map(|part| self.evaluate_in(part, question));
            return once.and(each_time);
        }
        let Question { asker, object, circumstances, arguments, .. } = question;
        let key = || memory::key(slice, asker.who, *object, circumstances, arguments);
        let Some(key) = (asker.footing == Footing::Verified).then(key).flatten() else {
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
        let user = match slice.inputs.principal_is_read() {
            true => Some(question.asker.user(&self.vocabulary, slice)?),
            false => None,
        };
        let (request, store) = self.put(slice, question, user)?;
        let partly = || Authorizer::new().is_authorized_partial(&request, &slice.policies, &store);
        Ok(match (question.arguments, question.asker.membership(slice)) {
            (Arguments::Known(_), Membership::Known) => {
                decided(&Authorizer::new().is_authorized(&request, &slice.policies, &store))
            }
            (Arguments::Unknown, Membership::Known) => verdict(&partly()),
            (arguments, Membership::Unknown) => without_groups(&partly(), arguments),
        })
    }

    /// What would help a caller who is refused: the proposals of those policies that could come out otherwise after a step-up, whatever
    /// that brings. None where nothing of the kind could help.
    pub(crate) fn helpful(&self, slice: &Slice, question: &Question<'_>) -> Result<Vec<Arc<Proposal>>, BuildError> {
        let user = self.vocabulary.user(question.asker.who, &slice.inputs, Login::Open)?;
        let (request, store) = self.put(slice, question, Some(user))?;
        let response = Authorizer::new().is_authorized_partial(&request, &slice.policies, &store);
        let is = |effect: Effect| move |policy: &cedar_policy::Policy| policy.effect() == effect;
        let residuals: Vec<_> = response.nontrivial_residuals().map(|policy| Residual::of(&policy)).collect();
        let stands = response.definitely_satisfied().any(|policy| is(Effect::Forbid)(&policy))
            || residuals.iter().any(|left| left.effect == Effect::Forbid && !left.may_be(false))
            || response.definitely_errored().next().is_some();
        let permits = response.definitely_satisfied().any(|policy| is(Effect::Permit)(&policy))
            || residuals.iter().any(|left| left.effect == Effect::Permit && left.may_be(true));
        if stands || !permits {
            return Ok(Vec::new());
        }
        let matters = |of: &&Arc<Proposal>| residuals.iter().any(|left| left.id == of.policy && left.may_be(true));
        Ok(slice.proposals.iter().filter(matters).cloned().collect())
    }

    /// A question as Cedar takes it.
    fn put(
        &self,
        slice: &Slice,
        question: &Question<'_>,
        user: Option<Entity>,
    ) -> Result<(Request, Entities), BuildError> {
        let &Question { asker, action, object, ref circumstances, arguments } = question;
        let principal = self.vocabulary.principal(asker.who)?;
        // What no policy reads need not be there.
        let mut entities = Vec::new();
        if slice.inputs.resource_is_read() {
            entities = self.vocabulary.object(object)?;
        }
        entities.extend(user);
        let context = self.vocabulary.context(circumstances, Uses::of(action), &slice.inputs)?;
        let store = match arguments {
            Arguments::Known(arguments) => {
                // An argument that no policy reads changes no decision.
                let read = arguments.iter().filter(|(name, _)| slice.reads_argument(name));
                entities.extend(self.vocabulary.arguments(slice.inputs.arguments, Tags::of(read))?);
                self.vocabulary.store(action, &slice.inputs, entities)?
            }
            // What is not in a partial store is unknown; in a whole one it does not exist.
            Arguments::Unknown => self.vocabulary.store(action, &slice.inputs, entities)?.partial(),
        };
        Ok((self.request(principal, action, object, context)?, store))
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
    let residuals: Vec<_> = response.nontrivial_residuals().map(|policy| Residual::of(&policy)).collect();
    let certain = certain_forbids(&residuals);
    if !certain.policies.is_empty() {
        return Verdict::Forbid(certain);
    }
    let permits = response.definitely_satisfied().any(|policy| policy.effect() == Effect::Permit)
        || residuals.iter().any(|left| left.effect == Effect::Permit && left.may_be(true));
    if permits { Verdict::Depends(ids(&residuals)) } else { Verdict::NoPermit }
}

/// The answer where nobody knows the caller's groups: what no group changes, or that it hangs on them. A policy that may err for some
/// groups is not skipped, whatever it would have said.
fn without_groups(response: &PartialResponse, arguments: Arguments<'_>) -> Verdict {
    let open = match verdict(response) {
        settled @ (Verdict::NoPermit | Verdict::Forbid(_) | Verdict::Failed(_) | Verdict::Groups(..)) => {
            return settled;
        }
        Verdict::Permit(_) | Verdict::Depends(_) => response.nontrivial_residuals(),
    };
    let residuals: Vec<_> = open.map(|policy| Residual::of(&policy)).collect();
    let is_certain = |left: &&Residual| left.effect == Effect::Permit && !left.may_be(false) && !left.may_err();
    let satisfied = response.definitely_satisfied().map(|policy| policy.id().clone());
    let permits: Vec<_> = satisfied.chain(residuals.iter().filter(is_certain).map(|left| left.id.clone())).collect();
    let matters = |left: &&Residual| match left.effect {
        Effect::Forbid => left.may_be(true) || left.may_err(),
        Effect::Permit => left.may_be(true) && permits.is_empty() || left.may_err(),
    };
    let open: Vec<_> = residuals.iter().filter(matters).collect();
    if open.is_empty() {
        return Verdict::Permit(Basis::of(permits.iter()));
    }
    let may_permit = |left: &Residual| left.effect == Effect::Permit && left.may_be(true) && left.may_settle(true);
    let may_forbear = |left: &Residual| left.effect == Effect::Permit || left.may_settle(false);
    let by_arguments = (!permits.is_empty() || residuals.iter().any(may_permit)) && residuals.iter().all(may_forbear);
    match arguments {
        Arguments::Unknown if by_arguments => Verdict::Depends(ids(&residuals)),
        Arguments::Unknown | Arguments::Known(_) => {
            let may_be_refused = |left: &Residual| left.effect == Effect::Forbid && left.may_settle(true);
            let may_be_none = |left: &Residual| left.effect == Effect::Forbid || left.may_settle(false);
            let refused =
                residuals.iter().any(may_be_refused) || permits.is_empty() && residuals.iter().all(may_be_none);
            let hangs = if refused { Hangs::Sometimes } else { Hangs::Always };
            Verdict::Groups(Basis::of(open.iter().map(|left| &left.id)), hangs)
        }
    }
}

fn certain_forbids(residuals: &[Residual]) -> Basis {
    let certain = residuals.iter().filter(|left| left.effect == Effect::Forbid && !left.may_be(false));
    Basis::of(certain.map(|left| &left.id))
}

fn ids(residuals: &[Residual]) -> Arc<[PolicyId]> {
    residuals.iter().map(|left| left.id.clone()).collect()
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
