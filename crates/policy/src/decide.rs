//! The way in.

use std::collections::BTreeSet;
use std::time::SystemTime;

use sekisho_catalog::{Addressed, Addressee, Answered, Route, Target};
use sekisho_flow::{Labelled, Labels};
use sekisho_guard::{Finding, Rule};
use sekisho_wire::{Askable, Json};

use crate::arguments;
use crate::entities::{Asking, BuildError, Circumstances, Object};
use crate::evaluate::{Arguments, Asker, Question, Verdict};
use crate::slice::Slice;
use crate::{Authorized, Basis, Challenge, Decision, ForbidReason, Forbidden, Listed, Origin, Policy, Shown, explain};

/// Why not, by which policies, and what would have permitted it.
pub(crate) type Refused = (ForbidReason, Basis, Box<str>);
/// Method, resource and circumstances of one question.
pub(crate) type Asked<'a> = (&'static str, Object<'a>, Circumstances<'a>);

impl Policy {
    /// Decides a request: permitted only if a policy permits it, none forbids it, none errs, and inspection found
    /// nothing that would make the decision one about another request than the server sees.
    pub fn decide(&self, m: Labelled, now: SystemTime) -> Decision {
        let asker = Asker::of(m.message().message().message().message().principal());
        match self.judge(&m, &asker, now) {
            Ok((basis, mut listed)) => {
                let askable = self.offer(m.message().message().message(), &asker, &mut listed, now);
                let listening = self.listening(m.message().message().message(), &asker, &listed, now);
                Decision::Permit(Authorized { message: m, basis, obligations: Vec::new(), listed, askable, listening })
            }
            Err(refused) => self.refuse(m, refused, now),
        }
    }

    /// Refused; but a caller who could do something about it is told what.
    fn refuse(&self, m: Labelled, refused: Refused, now: SystemTime) -> Decision {
        if let Some(step) = self.step_up(&m, &refused, now) {
            return Decision::Challenge(Box::new(Challenge::new(step, refused, m)));
        }
        let (reason, basis, needed) = refused;
        Decision::Forbid(Box::new(Forbidden { reason, basis, needed, message: m }))
    }

    pub(crate) fn judge(
        &self,
        m: &Labelled,
        asker: &Asker<'_>,
        now: SystemTime,
    ) -> Result<(Basis, Vec<Listed>), Refused> {
        let addressed = m.message().message().message();
        let under = |labels: Labels| circumstances(addressed, labels, now);
        let method = addressed.message().message().method();
        match addressed.target() {
            Target::Gateway => {
                let circumstances = under(m.labels());
                let basis = self.judge_one(asker, (method, Object::Gateway, circumstances), &[])?;
                Ok((basis, Vec::new()))
            }
            Target::One(route) => {
                let server = Origin::of(route.server());
                let object = object(route, &server);
                let slice = self.slice(method, object).map_err(|e| failed(&e))?;
                let named = arguments::named(route.call(), &slice)
                    .map_err(|name| (ForbidReason::Undecidable(name), Basis::default(), explain::ambiguous()))?;
                let asked = (method, object, under(m.labels()));
                let verdict = self.evaluate_in(&slice, &question(asker, &asked, Arguments::Known(&named)));
                let basis = self.told(asker, &asked, verdict)?;
                let stands_against = |reason| (reason, basis.clone(), explain::content());
                found(m.message().findings()).map_err(stands_against)?;
                self.undecidable(&slice, asker, asked, &named).map_err(stands_against)?;
                // Whoever may not ask for the result later, may not begin what can be asked for only later.
                let basis = match route.task() {
                    Some(_) => basis.and(&self.judge_one(asker, ("tasks/result", object, under(m.labels())), &[])?),
                    None => basis,
                };
                // What the server asked for before goes to it if it may ask for it still.
                let answered = route.input().map_or(&[][..], Answered::answers).iter();
                let asked =
                    answered.map(|(_, asked, _)| self.judge_ask(asker, &server, &asked.kind, under(m.labels())));
                let basis = asked.into_iter().try_fold(basis, |basis, asked| Ok(basis.and(&asked?)))?;
                Ok((basis, Vec::new()))
            }
            Target::Listen(ears) => {
                let servers = ears.iter().map(|ear| Origin::of(&ear.server));
                self.judge_many(asker, method, servers.collect(), under)
            }
            Target::Reply(reply) => {
                let server = Origin::of(reply.server());
                let kind = &reply.question().asked().kind;
                let basis = self.judge_ask(asker, &server, kind, under(m.labels()))?;
                found(m.message().findings()).map_err(|reason| (reason, basis.clone(), explain::content()))?;
                Ok((basis, Vec::new()))
            }
            Target::Many { routes, .. } => {
                let servers = routes.iter().map(|(server, _)| Origin::of(server));
                self.judge_many(asker, method, servers.collect(), under)
            }
        }
    }

    pub(crate) fn judge_one(
        &self,
        asker: &Asker<'_>,
        of: Asked<'_>,
        named: &[(String, Json)],
    ) -> Result<Basis, Refused> {
        let verdict = self.evaluate(&question(asker, &of, Arguments::Known(named)));
        self.told(asker, &of, verdict)
    }

    /// What follows from the answer where everything is known.
    fn told(&self, asker: &Asker<'_>, (method, object, _): &Asked<'_>, verdict: Verdict) -> Result<Basis, Refused> {
        let needed = |basis: &Basis| explain::needed(&self.vocabulary, asker, method, *object, basis);
        match verdict {
            Verdict::Permit(basis) => Ok(basis),
            Verdict::NoPermit => Err((ForbidReason::NoPermit, Basis::default(), needed(&Basis::default()))),
            Verdict::Forbid(basis) => {
                let needed = needed(&basis);
                Err((ForbidReason::Forbidden, basis, needed))
            }
            Verdict::Failed(basis) => {
                let needed = explain::failed(&basis);
                Err((ForbidReason::EvaluationFailed, basis, needed))
            }
            Verdict::Groups(basis, _) => {
                let needed = explain::groups(&basis);
                Err((ForbidReason::GroupsUnknown, basis, needed))
            }
            // All arguments are known here, so nothing may depend on them.
            Verdict::Depends(ids) => {
                let basis = Basis::of(ids.iter());
                let needed = explain::failed(&basis);
                Err((ForbidReason::EvaluationFailed, basis, needed))
            }
        }
    }

    /// A list of many servers is permitted if that of one is; the others' items are withheld on the way back.
    fn judge_many<'a>(
        &self,
        asker: &Asker<'_>,
        method: &'static str,
        servers: Vec<Origin>,
        under: impl Fn(Labels) -> Circumstances<'a>,
    ) -> Result<(Basis, Vec<Listed>), Refused> {
        let mut listed = Vec::new();
        let mut policies = BTreeSet::new();
        let mut refused = None;
        for server in servers {
            let shown = match self.judge_one(asker, (method, Object::Server(&server), under(server.labels())), &[]) {
                Ok(by) => {
                    policies.extend(by.policies.iter().cloned());
                    Shown::Permitted
                }
                // A policy that errs is not skipped by asking about another server.
                Err(erred @ (ForbidReason::EvaluationFailed, _, _)) => return Err(erred),
                Err(other) => {
                    refused.get_or_insert(other);
                    Shown::Withheld
                }
            };
            listed.push(Listed { server, shown, askable: Askable::default() });
        }
        if listed.iter().any(|listed| listed.shown == Shown::Permitted) {
            Ok((Basis { policies: policies.into_iter().collect() }, listed))
        } else {
            Err(refused.unwrap_or_else(|| (ForbidReason::NoPermit, Basis::default(), "no server is addressed".into())))
        }
    }

    /// Refuses what a policy reads in a form that does not hold it. A permit would be about another call: the
    /// policy would see no such argument, and the server one.
    fn undecidable(
        &self,
        slice: &Slice,
        asker: &Asker<'_>,
        of: Asked<'_>,
        named: &[(String, Json)],
    ) -> Result<(), ForbidReason> {
        let missed: Vec<_> = slice
            .reads
            .iter()
            .filter_map(|(id, reads)| Some((id, named.iter().find(|(name, value)| reads.misses(name, value))?)))
            .collect();
        if missed.is_empty() {
            return Ok(());
        }
        // Only policies that depend on arguments here matter: the others would decide alike whatever they are.
        match self.evaluate_in(slice, &question(asker, &of, Arguments::Unknown)) {
            Verdict::Depends(ids) => match missed.iter().find(|(id, _)| ids.contains(id)) {
                Some((_, (name, _))) => Err(ForbidReason::Undecidable(name.as_str().into())),
                None => Ok(()),
            },
            Verdict::Permit(_) => Ok(()),
            // It was permitted with the arguments known, so it cannot be forbidden whatever they are.
            Verdict::NoPermit | Verdict::Forbid(_) | Verdict::Failed(_) | Verdict::Groups(..) => {
                Err(ForbidReason::EvaluationFailed)
            }
        }
    }
}

pub(crate) fn question<'a>(asker: &'a Asker<'a>, asked: &Asked<'a>, arguments: Arguments<'a>) -> Question<'a> {
    let (action, object, circumstances) = *asked;
    Question { asker, action, object, circumstances, arguments }
}

pub(crate) fn circumstances(addressed: &Addressed, labels: Labels, now: SystemTime) -> Circumstances<'_> {
    let message = addressed.message();
    Circumstances {
        era: message.message().spoken().era(),
        endpoint: message.endpoint(),
        client: message.principal().client(),
        labels,
        now,
        asking: Asking::Nothing,
    }
}

pub(crate) fn object<'a>(route: &'a Route, server: &'a Origin) -> Object<'a> {
    match route.addressee() {
        Addressee::Tool(pinned) => Object::Tool { server, name: pinned.name(), impact: pinned.impact() },
        Addressee::Prompt(pinned) => Object::Prompt { server, name: pinned.name() },
        Addressee::Resource { uri, .. } => Object::Resource { server, uri },
        Addressee::Server => Object::Server(server),
    }
}

/// What inspection found and a permit does not help against.
fn found(findings: &[Finding]) -> Result<(), ForbidReason> {
    let of = |rule: Rule| findings.iter().find(|finding| finding.rule == rule);
    if let Some(mismatch) = of(Rule::HeaderMismatch) {
        return Err(ForbidReason::HeaderMismatch(mismatch.clone()));
    }
    if let Some(unusable) = of(Rule::SchemaUnusable) {
        return Err(ForbidReason::ToolUnusable(unusable.words.clone()));
    }
    let wrong: Vec<Finding> = findings.iter().filter(|finding| spoils(finding.rule)).cloned().collect();
    if wrong.is_empty() { Ok(()) } else { Err(ForbidReason::Arguments(wrong)) }
}

fn spoils(rule: Rule) -> bool {
    match rule {
        Rule::InputSchema | Rule::Arguments | Rule::Answer => true,
        // Nothing that a request has.
        Rule::OutputSchema | Rule::AsksForSecret | Rule::Form | Rule::Link => true,
        // Named above.
        Rule::SchemaUnusable | Rule::HeaderMismatch => true,
        // Ordinary text of some scripts may look alike; what goes on is what was decided about.
        Rule::HiddenCharacters => false,
    }
}

fn failed(error: &BuildError) -> Refused {
    (ForbidReason::EvaluationFailed, Basis::default(), error.to_string().into())
}
