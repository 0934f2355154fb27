//! What servers ask of clients. It is decided when a question goes out, again when its answer comes in, and once before: what would
//! be refused whatever it is, is not offered to the server.

use std::time::SystemTime;

use sekisho_catalog::{Addressed, Addressee, Server, Target};
use sekisho_flow::Labels;
use sekisho_guard::{Finding, Rule, host_of};
use sekisho_wire::{Askable, Era, Inbound, InputKind, InputRequest};

use crate::decide::{Asked, Refused, circumstances};
use crate::entities::{Asking, Circumstances, Object, Origin};
use crate::evaluate::{Arguments, Asker, Question, Verdict};
use crate::{Basis, Facts, ForbidReason, Listed, NotAsked, Policy, Shown, release};

impl Policy {
    /// Whether a server may ask this, and be told the answer.
    pub(crate) fn judge_ask(
        &self,
        asker: &Asker<'_>,
        server: &Origin,
        kind: &InputKind,
        under: Circumstances<'_>,
    ) -> Result<Basis, Refused> {
        let host = match kind {
            InputKind::Url { url } => {
                let nowhere = || (ForbidReason::NoPermit, Basis::default(), "the page is at no host".into());
                Some(host_of(url).ok_or_else(nowhere)?)
            }
            InputKind::Form | InputKind::Sampling { .. } | InputKind::Roots => None,
        };
        let asking = asking(kind, host.as_deref());
        self.judge_one(asker, (kind.method(), Object::Server(server), Circumstances { asking, ..under }), &[])
    }

    /// What a server may be told, when a client opens, that it can ask of what the client declares. It is decided anew for each
    /// question.
    #[must_use]
    pub fn may_be_asked(&self, opening: &Addressed, declared: Askable, server: &Server, now: SystemTime) -> Askable {
        let (asker, server) = (Asker::of(opening.message().principal()), Origin::of(server));
        self.askable(&asker, &server, declared, circumstances(opening, server.labels(), now))
    }

    /// What may be offered of what the client declares, for each server that a request goes to.
    pub(crate) fn offer(
        &self,
        addressed: &Addressed,
        asker: &Asker<'_>,
        listed: &mut [Listed],
        now: SystemTime,
    ) -> Askable {
        let declared = declared(addressed);
        if declared.is_empty() {
            return declared;
        }
        let under = |labels: Labels| circumstances(addressed, labels, now);
        for listed in listed.iter_mut().filter(|listed| listed.shown == Shown::Permitted) {
            listed.askable = self.askable(asker, &listed.server, declared, under(listed.server.labels()));
        }
        match (addressed.target(), &*listed) {
            (Target::One(route), _) => {
                let server = Origin::of(route.server());
                let under = under(server.labels());
                let asked = match route.addressee() {
                    Addressee::Tool(pinned) => {
                        let (name, impact) = (pinned.name(), pinned.impact());
                        Some(("tasks/get", Object::Tool { server: &server, name, impact }, under))
                    }
                    Addressee::Prompt(_) | Addressee::Resource { .. } | Addressee::Server => None,
                };
                let declares = declared.tasks && under.era == Era::Modern;
                let tasks = declares && asked.is_some_and(|asked| self.may_permit(asker, asked));
                Askable { tasks, ..self.askable(asker, &server, declared, under) }
            }
            (Target::Many { .. } | Target::Listen(_), [alone]) => alone.askable,
            (Target::Many { .. } | Target::Listen(_) | Target::Gateway | Target::Reply(_), _) => Askable::default(),
        }
    }

    fn askable(&self, asker: &Asker<'_>, server: &Origin, declared: Askable, under: Circumstances<'_>) -> Askable {
        let object = Object::Server(server);
        let permits = |method, asking| self.may_permit(asker, (method, object, Circumstances { asking, ..under }));
        let elicits = |asking| permits(InputKind::Form.method(), asking);
        let samples = |tools, context| {
            permits(InputKind::Sampling { tools, context }.method(), Asking::Sampling { tools, context })
        };
        Askable {
            form: declared.form && elicits(Asking::Form),
            url: declared.url && elicits(Asking::Url { host: None }),
            sampling: declared.sampling && samples(false, false),
            sampling_tools: declared.sampling_tools && samples(true, false),
            sampling_context: declared.sampling_context && samples(false, true),
            roots: declared.roots && permits(InputKind::Roots.method(), Asking::Nothing),
            // Only the call of a tool may become one.
            tasks: false,
        }
        .whole()
    }

    /// Whether it would be permitted, of whichever host and arguments it will be.
    fn may_permit(&self, asker: &Asker<'_>, (action, object, circumstances): Asked<'_>) -> bool {
        match self.evaluate(&Question { asker, action, object, circumstances, arguments: Arguments::Unknown }) {
            Verdict::Permit(_) | Verdict::Depends(_) => true,
            Verdict::NoPermit | Verdict::Forbid(_) | Verdict::Failed(_) | Verdict::Groups(..) => false,
        }
    }

    /// Decides about the questions of one message: all of them, or none.
    pub(crate) fn may_ask<'a>(
        &self,
        of: &Facts,
        requests: impl IntoIterator<Item = &'a InputRequest>,
        findings: Vec<Finding>,
        now: SystemTime,
    ) -> Result<Basis, ForbidReason> {
        let server = of.server.as_ref().ok_or(ForbidReason::NotOffered)?;
        let asker = Asker::of(&of.who);
        let mut basis = Basis::default();
        for request in requests {
            // BP-15, EL-03, MR-02: a server that asks what was not offered to it breaks the protocol.
            if !of.askable.covers(&request.kind) {
                return Err(ForbidReason::NotOffered);
            }
            let under = release::circumstances(of, server, now);
            let judged = self.judge_ask(&asker, server, &request.kind, under);
            let not_asked = |(reason, basis, needed)| {
                ForbidReason::Ask(Box::new(NotAsked { method: request.kind.method(), reason, basis, needed }))
            };
            basis = basis.and(&judged.map_err(not_asked)?);
        }
        let wrong: Vec<Finding> = findings.into_iter().filter(|finding| spoils(finding.rule)).collect();
        if wrong.is_empty() { Ok(basis) } else { Err(ForbidReason::Question(wrong)) }
    }
}

fn asking<'a>(kind: &InputKind, host: Option<&'a str>) -> Asking<'a> {
    match kind {
        InputKind::Form => Asking::Form,
        InputKind::Url { .. } => Asking::Url { host },
        InputKind::Sampling { tools, context } => Asking::Sampling { tools: *tools, context: *context },
        InputKind::Roots => Asking::Nothing,
    }
}

/// What the client says that it can be asked: with the request in the modern era, with `initialize` in the legacy one.
fn declared(addressed: &Addressed) -> Askable {
    let message = addressed.message();
    if let Some(session) = message.session() {
        return session.askable();
    }
    match message.message() {
        Inbound::Request(request) => request.meta().capabilities.as_ref().map(Askable::of).unwrap_or_default(),
        Inbound::Notice(_) | Inbound::Reply(_) => Askable::default(),
    }
}

/// What stands against a question whatever policies say.
fn spoils(rule: Rule) -> bool {
    match rule {
        Rule::AsksForSecret | Rule::Form | Rule::Link => true,
        // Nothing that a question has.
        Rule::InputSchema | Rule::OutputSchema | Rule::SchemaUnusable | Rule::HeaderMismatch => false,
        Rule::HiddenCharacters | Rule::Arguments | Rule::Answer => false,
    }
}
