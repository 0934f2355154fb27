//! The way back: what of an answer may be seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use sekisho_catalog::{Addressee, Target};
use sekisho_flow::Carried;
use sekisho_guard::{Finding, Obligation, Rule, Subject};
use sekisho_wire::server::{Item, ServerNoticeKind};
use sekisho_wire::{Answer, Call, Filter, FromServer, Items, ListKind, RpcError, Sanitized, ServerId, TaskVerb, input};

use crate::entities::{Asking, Circumstances, Object, Origin, name_of};
use crate::evaluate::{Arguments, Asker, Hangs, Question, Verdict};
use crate::memory::About;
use crate::pages::{Page, Refused, SLICES_MAX};
use crate::slice::Slice;
use crate::{Authorized, Basis, Facts, ForbidReason, Listed, Policy, Releasable, Shown, memory};

pub(crate) fn facts(of: &Authorized) -> Facts {
    let addressed = of.addressed();
    let message = addressed.message();
    let era = message.message().spoken().era();
    let pinned = match addressed.target() {
        Target::One(route) => match route.addressee() {
            // These are answered by no result of the tool.
            Addressee::Tool(_)
                if matches!(route.call(), Call::Task { verb: TaskVerb::Update | TaskVerb::Cancel, .. }) =>
            {
                None
            }
            Addressee::Tool(pinned) | Addressee::Prompt(pinned) => Some(pinned.clone()),
            Addressee::Resource { definition, .. } => definition.clone(),
            Addressee::Server => None,
        },
        Target::Gateway | Target::Many { .. } | Target::Listen(_) | Target::Reply(_) => None,
    };
    let server = match (addressed.target(), &*of.listed) {
        (Target::One(route), _) => Some(Origin::of(route.server())),
        (Target::Many { .. } | Target::Listen(_), [alone]) => Some(alone.server.clone()),
        (Target::Many { .. } | Target::Listen(_) | Target::Gateway | Target::Reply(_), _) => None,
    };
    Facts {
        who: message.principal().clone(),
        endpoint: message.endpoint().clone(),
        era,
        subject: Subject { era, pinned },
        labels: of.message.labels(),
        method: message.message().method(),
        server,
        listed: of.listed.clone(),
        listening: of.listening.iter().map(|ear| (ear.server.id().clone(), ear.filter.clone())).collect(),
        askable: of.askable,
    }
}

impl Policy {
    /// Decides what of an answer goes back. Items of a list that are forbidden whatever their arguments are, are
    /// withheld; so are those whose schemas cannot be used.
    ///
    /// # Errors
    /// [`ForbidReason`] if nothing of it may go back.
    pub fn release(&self, of: &Facts, m: Carried, now: SystemTime) -> Result<Releasable, ForbidReason> {
        let (message, findings) = m.into_message().into_parts();
        let mut basis = Basis::default();
        let (message, withheld) = match message {
            FromServer::Page(items) => {
                let (items, withheld) = self.page(of, items, &findings, now);
                (FromServer::Page(items), withheld)
            }
            FromServer::End(Answer::Result(result)) => {
                fits(&findings)?;
                (FromServer::End(Answer::Result(result)), Vec::new())
            }
            FromServer::End(Answer::Error(error)) => {
                basis = self.may_send(of, &error, findings, now)?;
                (FromServer::End(Answer::Error(error)), Vec::new())
            }
            FromServer::Task(task) => {
                fits(&findings)?;
                match &task.outcome {
                    Some(Answer::Error(error)) => basis = self.may_send(of, error, findings, now)?,
                    Some(Answer::Result(_)) | None => {
                        let requests = task.requests.iter().map(|(_, request)| request);
                        basis = self.may_ask(of, requests, findings, now)?;
                    }
                }
                (FromServer::Task(task), Vec::new())
            }
            // EL-10: it is about a page that this client was sent to.
            FromServer::Notice { notice, .. } if notice.kind == ServerNoticeKind::Elicited && !of.askable.url => {
                return Err(ForbidReason::NotTold);
            }
            // Permitted with the exchange, or the question, that it belongs to.
            said @ (FromServer::Notice { .. } | FromServer::Withdrawn { .. }) => (said, Vec::new()),
            FromServer::Listening(filters) => {
                let met = |(server, filter): (ServerId, Filter)| {
                    let met = of.listening.iter().find(|(listened, _)| *listened == server)?.1.and(&filter);
                    Some((server, met))
                };
                (FromServer::Listening(filters.into_iter().filter_map(met).collect()), Vec::new())
            }
            FromServer::Told { server, told } => {
                basis = self.may_hear(of, &server, &told, now)?;
                (FromServer::Told { server, told }, Vec::new())
            }
            FromServer::Ask(asked) => {
                basis = self.may_ask(of, [&asked.request], findings, now)?;
                (FromServer::Ask(asked), Vec::new())
            }
            // MR-01: nothing else waits for input.
            FromServer::Park(_) if !WAITING.contains(&of.method) => return Err(ForbidReason::NotOffered),
            FromServer::Park(required) => {
                let requests = required.requests.iter().map(|(_, request)| request);
                basis = self.may_ask(of, requests, findings, now)?;
                (FromServer::Park(required), Vec::new())
            }
        };
        Ok(Releasable { message, withheld, obligations: vec![Obligation::MakeVisible], basis })
    }

    /// EL-10: a client opens the URLs in an error, so it is a question in the clothes of an error.
    fn may_send(
        &self,
        of: &Facts,
        error: &RpcError,
        findings: Vec<Finding>,
        now: SystemTime,
    ) -> Result<Basis, ForbidReason> {
        match input::asked_by(error) {
            Some(pages) => self.may_ask(of, &pages.map_err(|_| ForbidReason::NotOffered)?, findings, now),
            None => Ok(Basis::default()),
        }
    }

    fn page(&self, of: &Facts, items: Items, findings: &[Finding], now: SystemTime) -> (Items, Vec<Withheld>) {
        let refused = self.refused(of, &items, now);
        let unusable = unusable(findings);
        if refused.is_empty() && unusable.is_empty() {
            return (items, Vec::new());
        }
        let mut refused = refused.iter().peekable();
        let mut kept = Vec::with_capacity(items.entries.len());
        let mut withheld = Vec::new();
        let Items { kind, entries, next, missing, ttl_ms, meta, sheet } = items;
        for (index, item) in entries.into_iter().enumerate() {
            let at = format!("{}/{}", item.server, name_of(kind, &item.definition));
            let forbidden = refused.next_if(|(refused, _)| *refused == index).map(|(_, reason)| reason.clone());
            let unusable = unusable.get(at.as_str()).map(|words| ForbidReason::ToolUnusable((*words).into()));
            match unusable.or(forbidden) {
                None => kept.push(item),
                Some(reason) => withheld.push((Sanitized::new(&at).as_str().into(), reason)),
            }
        }
        (Items { kind, entries: kept, next, missing, ttl_ms, meta, sheet }, withheld)
    }

    /// The items that may not be seen. What was decided of the whole page is remembered by all that it depended on.
    fn refused(&self, of: &Facts, items: &Items, now: SystemTime) -> Refused {
        let Some((page, key)) = self.page_key(of, items, now) else { return self.decided(of, items, now) };
        if let Some(refused) = page.recall(&key) {
            return refused;
        }
        let refused = self.decided(of, items, now);
        // It may be the clock: the next one may fare better.
        if refused.iter().all(|(_, reason)| *reason != ForbidReason::EvaluationFailed) {
            page.keep(key, &refused);
        }
        refused
    }

    /// The page, and all that decisions about its items depend on beside it; none if that cannot be said.
    fn page_key(&self, of: &Facts, items: &Items, now: SystemTime) -> Option<(Arc<Page>, Vec<u8>)> {
        let sheet = items.whole()?;
        let listed = of.listed.iter().find(|listed| listed.server.id == *sheet.server())?;
        let Listed { server, shown: Shown::Permitted, .. } = listed else { return None };
        let page = self.pages.of(sheet, || self.slices_of(items, server))?;
        let circumstances = &circumstances(of, server, now);
        let about = About { who: &of.who, server: Some(server), circumstances, arguments: &Arguments::Unknown };
        let mut key = Vec::new();
        for slice in &page.slices {
            // Whether a login would help may depend on when it would be.
            if slice.inputs.auth_time && slice.proposals.iter().any(|proposal| proposal.asks_for_login()) {
                return None;
            }
            memory::for_any_name(&mut key, slice, &about)?;
            if !slice.proposals.is_empty() {
                memory::for_proposals(&mut key, &of.who);
            }
        }
        Some((page, key))
    }

    fn slices_of(&self, items: &Items, server: &Origin) -> Option<Vec<Arc<Slice>>> {
        let mut slices: Vec<Arc<Slice>> = Vec::new();
        for item in &items.entries {
            let name = name_of(items.kind, &item.definition);
            let slice =
                self.slice(used_by(items.kind), Object::item(items.kind, server, &name, &item.definition)).ok()?;
            if slices.iter().all(|known| known.number != slice.number) {
                slices.push(slice);
            }
            if slices.len() > SLICES_MAX {
                return None;
            }
        }
        Some(slices)
    }

    fn decided(&self, of: &Facts, items: &Items, now: SystemTime) -> Refused {
        let asker = Asker::of(&of.who);
        let refused = |(index, item): (usize, &Item)| {
            let name = name_of(items.kind, &item.definition);
            Some((index, self.item((of, &asker, now), items.kind, item, &name).err()?))
        };
        items.entries.iter().enumerate().filter_map(refused).collect()
    }

    /// An item is listed unless using it is forbidden whatever the arguments are, and whatever its caller could be told to do about it.
    fn item(
        &self,
        (of, asker, now): (&Facts, &Asker<'_>, SystemTime),
        kind: ListKind,
        item: &Item,
        name: &str,
    ) -> Result<(), ForbidReason> {
        let listed = of.listed.iter().find(|listed| listed.server.id == item.server);
        let server = match listed {
            Some(Listed { server, shown: Shown::Permitted, .. }) => server,
            Some(Listed { shown: Shown::Withheld, .. }) => return Err(ForbidReason::Forbidden),
            // Nobody asked for this server's list.
            None => return Err(ForbidReason::NoPermit),
        };
        let circumstances = circumstances(of, server, now);
        let object = Object::item(kind, server, name, &item.definition);
        let arguments = Arguments::Unknown;
        let question = Question { asker, action: used_by(kind), object, circumstances, arguments };
        match self.evaluate(&question) {
            Verdict::Permit(_) | Verdict::Depends(_) => Ok(()),
            Verdict::NoPermit | Verdict::Forbid(_) | Verdict::Groups(_, Hangs::Sometimes)
                if self.is_within_reach(&question) =>
            {
                Ok(())
            }
            Verdict::NoPermit => Err(ForbidReason::NoPermit),
            Verdict::Forbid(_) => Err(ForbidReason::Forbidden),
            Verdict::Failed(_) => Err(ForbidReason::EvaluationFailed),
            Verdict::Groups(..) => Err(ForbidReason::GroupsUnknown),
        }
    }
}

/// Those of a call to an item of `server`.
pub(crate) fn circumstances<'a>(of: &'a Facts, server: &Origin, now: SystemTime) -> Circumstances<'a> {
    let (labels, asking) = (server.labels(), Asking::Nothing);
    Circumstances { era: of.era, endpoint: &of.endpoint, client: of.who.client(), labels, now, asking }
}

/// The items whose schemas cannot be used, and the first reason for each.
fn unusable(findings: &[Finding]) -> HashMap<&str, &str> {
    let mut unusable = HashMap::new();
    for found in findings.iter().filter(|found| found.rule == Rule::SchemaUnusable) {
        unusable.entry(&*found.at).or_insert(&*found.words);
    }
    unusable
}

type Withheld = (Box<str>, ForbidReason);

/// The action that uses what a list shows.
fn used_by(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Tools => "tools/call",
        ListKind::Prompts => "prompts/get",
        ListKind::Resources | ListKind::Templates => "resources/read",
    }
}

/// JS-06: a client is promised an answer of that shape, so another one does not reach it.
fn fits(findings: &[Finding]) -> Result<(), ForbidReason> {
    let of = |finding: &&Finding| finding.rule == Rule::OutputSchema;
    let wrong: Vec<Finding> = findings.iter().filter(of).cloned().collect();
    if wrong.is_empty() { Ok(()) } else { Err(ForbidReason::Answer(wrong)) }
}

/// The methods whose calls may wait for input (MR-01).
const WAITING: [&str; 3] = ["tools/call", "prompts/get", "resources/read"];
