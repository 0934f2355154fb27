//! What a caller who is refused could do to be permitted. Policies propose it (`proposal.rs`); each proposal is tried on a caller who is
//! only supposed, and told if the policies would then permit the very same request. Nobody is let in by a supposition: it ends in words.

use std::sync::Arc;
use std::time::SystemTime;

use sekisho_catalog::Target;
use sekisho_flow::{Labelled, Labels};
use sekisho_identity::{Principal, Supposed};

use crate::decide::{Refused, circumstances, object, question};
use crate::entities::{Object, Origin};
use crate::evaluate::{Arguments, Asker, Question, Verdict};
use crate::proposal::{Proposal, VALUES_MAX, is_plain};
use crate::{Basis, Challenge, ForbidReason, Policy, arguments, explain};

/// What a caller could be asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    /// Scopes that are not granted yet.
    pub(crate) scopes: Vec<Box<str>>,
    pub(crate) acr_values: Vec<Box<str>>,
    pub(crate) max_age_s: Option<u32>,
    pub(crate) amr: Vec<Box<str>>,
    pub(crate) context: Option<Box<str>>,
    /// Whose proposals these are.
    policies: Vec<Box<str>>,
}

impl Policy {
    /// What the sender of a refused message could do, so that policies would permit it as it is. What nobody could decide, what errs, and
    /// what inspection found stand against everybody: they end in no challenge.
    pub(crate) fn step_up(&self, m: &Labelled, refused: &Refused, now: SystemTime) -> Option<Step> {
        match refused.0 {
            ForbidReason::NoPermit | ForbidReason::Forbidden => {}
            ForbidReason::GroupsUnknown
            | ForbidReason::EvaluationFailed
            | ForbidReason::Arguments(_)
            | ForbidReason::HeaderMismatch(_)
            | ForbidReason::Undecidable(_)
            | ForbidReason::ToolUnusable(_)
            | ForbidReason::Answer(_)
            | ForbidReason::NotOffered
            | ForbidReason::NotTold
            | ForbidReason::Ask(_)
            | ForbidReason::Question(_) => return None,
        }
        let who = principal_of(m);
        let proposals = self.proposals_for(m, &Asker::of(who), now);
        found(steps(&proposals, who), now, |supposed| {
            let supposed = who.supposing(supposed);
            self.judge(m, &Asker::supposed(&supposed), now).is_ok()
        })
    }

    /// Whether some call that is refused now could be permitted after a step-up. No call is told of a step-up if this is false.
    pub(crate) fn is_within_reach(&self, question: &Question<'_>) -> bool {
        let who = question.asker.who();
        let permits = |supposed: &Supposed| {
            let supposed = who.supposing(supposed);
            match self.evaluate(&Question { asker: &Asker::supposed(&supposed), ..*question }) {
                Verdict::Permit(_) | Verdict::Depends(_) => true,
                Verdict::NoPermit | Verdict::Forbid(_) | Verdict::Failed(_) | Verdict::Groups(..) => false,
            }
        };
        let proposals = self.proposals(question);
        match &*proposals {
            [] => false,
            [_] => found(steps(&proposals, who), question.circumstances.now, permits).is_some(),
            // Which of them belong together depends on the arguments.
            [_, _, ..] => true,
        }
    }

    /// The proposals that could matter to any question that a message puts.
    fn proposals_for(&self, m: &Labelled, asker: &Asker<'_>, now: SystemTime) -> Vec<Arc<Proposal>> {
        let addressed = m.message().message().message();
        let under = |labels: Labels| circumstances(addressed, labels, now);
        let method = addressed.message().message().method();
        let of_servers = |servers: Vec<Origin>| {
            let of_server = |server: &Origin| {
                let asked = (method, Object::Server(server), under(server.labels()));
                self.proposals(&question(asker, &asked, Arguments::Known(&[])))
            };
            servers.iter().flat_map(of_server).collect()
        };
        let mut proposals: Vec<Arc<Proposal>> = match addressed.target() {
            Target::Gateway => {
                let asked = (method, Object::Gateway, under(m.labels()));
                self.proposals(&question(asker, &asked, Arguments::Known(&[])))
            }
            Target::One(route) => {
                let server = Origin::of(route.server());
                let (object, under) = (object(route, &server), under(m.labels()));
                let slice = self.slice(method, object).ok();
                let named = slice.and_then(|slice| arguments::named(route.call(), &slice).ok()).unwrap_or_default();
                let asked = question(asker, &(method, object, under), Arguments::Known(&named));
                let mut proposals = self.proposals(&asked);
                if route.task().is_some() {
                    let asked = question(asker, &("tasks/result", object, under), Arguments::Known(&[]));
                    proposals.extend(self.proposals(&asked));
                }
                proposals
            }
            Target::Many { routes, .. } => of_servers(routes.iter().map(|(server, _)| Origin::of(server)).collect()),
            Target::Listen(ears) => of_servers(ears.iter().map(|ear| Origin::of(&ear.server)).collect()),
            // Who answers a server's question cannot be told anything by it.
            Target::Reply(_) => Vec::new(),
        };
        proposals.sort_by(|one, other| one.policy.cmp(&other.policy));
        proposals.dedup_by(|one, other| one.policy == other.policy);
        proposals
    }

    /// The proposals that could matter to a question, and that the asker can be told of.
    fn proposals(&self, question: &Question<'_>) -> Vec<Arc<Proposal>> {
        let Ok(slice) = self.slice(question.action, question.object) else { return Vec::new() };
        let who = question.asker.who();
        let is_for = |proposal: &Arc<Proposal>| parts(proposal, who).iter().any(|part| !part.is_nothing());
        if !slice.proposals.iter().any(is_for) {
            return Vec::new();
        }
        // What cannot be asked is no challenge.
        let mut helpful = self.helpful(&slice, question).unwrap_or_default();
        helpful.retain(is_for);
        helpful
    }
}

/// The first step that helps, with those of its `acr_values` that do.
fn found(steps: Vec<Step>, now: SystemTime, mut permits: impl FnMut(&Supposed) -> bool) -> Option<Step> {
    steps.into_iter().find_map(|step| {
        if step.acr_values.is_empty() {
            return permits(&step.supposed(None, now)).then_some(step);
        }
        let values = step.acr_values.iter().take(VALUES_MAX);
        let helps: Vec<_> =
            values.filter(|value| permits(&step.supposed(Some((*value).clone()), now))).cloned().collect();
        (!helps.is_empty()).then_some(Step { acr_values: helps, ..step })
    })
}

/// What could be asked of a caller, the least first: scopes alone, a login alone, both; at last everything at once.
fn steps(proposals: &[Arc<Proposal>], who: &Principal) -> Vec<Step> {
    let parts: Vec<[Step; 3]> = proposals.iter().map(|proposal| parts(proposal, who)).collect();
    let everything = parts.iter().flatten().fold(Step::default(), |all, step| all.and(step));
    let mut steps: Vec<Step> = Vec::new();
    for asked in COMBINATIONS {
        for parts in &parts {
            let step = parts.iter().zip(asked).filter(|(_, asked)| *asked);
            let step = step.fold(Step::default(), |all, (step, _)| all.and(step));
            if !step.is_nothing() && steps.iter().all(|known| !known.asks_as(&step)) {
                steps.push(step);
            }
        }
    }
    steps.truncate(STEPS_MAX - 1);
    if !everything.is_nothing() && steps.iter().all(|known| !known.asks_as(&everything)) {
        steps.push(everything);
    }
    steps
}

/// Scopes, a context of Entra ID, and a login: what a proposal consists of, as far as this caller lacks it and can be told of it.
fn parts(proposal: &Proposal, who: &Principal) -> [Step; 3] {
    let policies: Vec<Box<str>> = vec![AsRef::<str>::as_ref(&proposal.policy).into()];
    let scopes: Vec<Box<str>> = proposal.scopes.iter().filter(|scope| !who.scopes().contains(scope)).cloned().collect();
    let context = proposal.context.clone().filter(|context| !who.authentication().contexts.contains(context));
    let context = context.filter(|_| who.takes_claims_challenges());
    let by = |asks: bool| if asks { policies.clone() } else { Vec::new() };
    let amr = |asks: bool| if asks { proposal.amr.clone() } else { Vec::new() };
    [
        Step { policies: by(!scopes.is_empty()), scopes, ..Step::default() },
        Step { policies: by(context.is_some()), amr: amr(context.is_some()), context, ..Step::default() },
        Step {
            acr_values: proposal.acr_values.clone(),
            max_age_s: proposal.max_age_s,
            amr: amr(proposal.asks_for_login()),
            policies: by(proposal.asks_for_login()),
            ..Step::default()
        },
    ]
}

impl Step {
    /// Both at once.
    fn and(mut self, other: &Step) -> Step {
        let all = [
            (&mut self.scopes, &other.scopes),
            (&mut self.acr_values, &other.acr_values),
            (&mut self.amr, &other.amr),
            (&mut self.policies, &other.policies),
        ];
        for (have, more) in all {
            for one in more {
                if !have.contains(one) {
                    have.push(one.clone());
                }
            }
        }
        let max_age_s = match (self.max_age_s, other.max_age_s) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        // A token can be asked to have one context.
        let context = self.context.take().or_else(|| other.context.clone());
        Step { max_age_s, context, ..self }
    }

    fn is_nothing(&self) -> bool {
        self.scopes.is_empty() && self.acr_values.is_empty() && self.max_age_s.is_none() && self.context.is_none()
    }

    /// Whether it asks for the same, whoever proposes it.
    fn asks_as(&self, other: &Step) -> bool {
        let Step { scopes, acr_values, max_age_s, amr, context, policies: _ } = other;
        let logins = (&self.acr_values, &self.max_age_s, &self.context, &self.amr);
        self.scopes == *scopes && logins == (acr_values, max_age_s, context, amr)
    }

    /// What a token would say after it.
    fn supposed(&self, class: Option<Box<str>>, now: SystemTime) -> Supposed {
        let logs_in = class.is_some() || self.max_age_s.is_some();
        Supposed {
            scopes: self.scopes.clone(),
            class,
            methods: self.amr.clone(),
            contexts: self.context.clone().into_iter().collect(),
            at: logs_in.then_some(now),
        }
    }
}

fn principal_of(message: &Labelled) -> &Principal {
    message.message().message().message().message().principal()
}

impl Challenge {
    pub(crate) fn new(step: Step, (reason, against, _): Refused, message: Labelled) -> Challenge {
        let needed = explain::step_up(&step, &step.policies, &against);
        let Step { scopes: lacked, acr_values, max_age_s, context, mut policies, amr: methods } = step;
        policies.sort_unstable();
        let who = principal_of(&message);
        // RS-10: a token for the lacking scopes alone would lack the others. RS-12: one of them is for no resource.
        let is_scope = |scope: &str| scope.bytes().all(is_plain) && scope != "offline_access";
        let granted = who.scopes().iter().filter(|scope| !lacked.is_empty() && is_scope(scope)).cloned();
        let scopes = granted.chain(lacked.iter().cloned()).collect();
        let basis = Basis { policies: policies.into() };
        Challenge { reason, scopes, acr_values, max_age_s, context, methods, basis, needed, message }
    }
}

/// Which of scopes, context and login are asked for together, the least first.
const COMBINATIONS: [[bool; 3]; 6] = [
    [true, false, false],
    [false, true, false],
    [false, false, true],
    [true, true, false],
    [true, false, true],
    [true, true, true],
];
/// LIMIT: what is tried on a request that is refused; each with at most [`VALUES_MAX`] values of `acr`.
const STEPS_MAX: usize = 8;
