//! The way back: what of an answer may be seen.

use std::time::SystemTime;

use sekisho_catalog::{Addressee, Target};
use sekisho_flow::Carried;
use sekisho_guard::{Finding, Obligation, Rule, Subject};
use sekisho_wire::server::Item;
use sekisho_wire::{Answer, FromServer, Items, ListKind, Sanitized};

use crate::entities::{Circumstances, Object, name_of};
use crate::evaluate::{Arguments, Asker, Question, Verdict};
use crate::{Authorized, Facts, ForbidReason, Listed, Policy, Releasable, Shown};

pub(crate) fn facts(of: &Authorized) -> Facts {
    let addressed = of.addressed();
    let message = addressed.message();
    let era = message.message().spoken().era();
    let pinned = match addressed.target() {
        Target::One(route) => match route.addressee() {
            Addressee::Tool(pinned) | Addressee::Prompt(pinned) => Some(pinned.clone()),
            Addressee::Resource { definition, .. } => definition.clone(),
            Addressee::Server => None,
        },
        Target::Gateway | Target::Many { .. } => None,
    };
    Facts {
        who: message.principal().clone(),
        endpoint: message.endpoint().clone(),
        era,
        subject: Subject { era, pinned },
        labels: of.message.labels(),
        method: message.message().method(),
        listed: of.listed.clone(),
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
        let (message, withheld) = match message {
            FromServer::Page(items) => {
                let (items, withheld) = self.page(of, items, &findings, now);
                (FromServer::Page(items), withheld)
            }
            FromServer::End(Answer::Result(result)) => {
                fits(findings)?;
                (FromServer::End(Answer::Result(result)), Vec::new())
            }
            // EL-10: a client opens the URLs in it, so it is a question in the clothes of an error.
            FromServer::End(Answer::Error(error)) if error.code == URL_ELICITATION_REQUIRED => {
                return Err(ForbidReason::NotOffered);
            }
            // Permitted with the exchange that it belongs to.
            FromServer::Notice(notice) => (FromServer::Notice(notice), Vec::new()),
            FromServer::End(Answer::Error(error)) => (FromServer::End(Answer::Error(error)), Vec::new()),
            FromServer::Ask(_) | FromServer::Park => return Err(ForbidReason::NotOffered),
        };
        Ok(Releasable { message, withheld, obligations: vec![Obligation::MakeVisible] })
    }

    fn page(&self, of: &Facts, items: Items, findings: &[Finding], now: SystemTime) -> (Items, Vec<Withheld>) {
        let asker = Asker::of(&of.who);
        let mut kept = Vec::new();
        let mut withheld = Vec::new();
        let Items { kind, entries, next, missing, ttl_ms, meta } = items;
        for item in entries {
            let name = name_of(kind, &item.definition);
            let at = format!("{}/{name}", item.server);
            let unusable = findings.iter().find(|found| found.rule == Rule::SchemaUnusable && *found.at == *at);
            let seen = match unusable {
                Some(found) => Err(ForbidReason::ToolUnusable(found.words.clone())),
                None => self.item((of, &asker, now), kind, &item, &name),
            };
            match seen {
                Ok(()) => kept.push(item),
                Err(reason) => withheld.push((Sanitized::new(&at).as_str().into(), reason)),
            }
        }
        (Items { kind, entries: kept, next, missing, ttl_ms, meta }, withheld)
    }

    /// An item is listed unless using it is forbidden whatever the arguments are.
    fn item(
        &self,
        (of, asker, now): (&Facts, &Asker<'_>, SystemTime),
        kind: ListKind,
        item: &Item,
        name: &str,
    ) -> Result<(), ForbidReason> {
        let listed = of.listed.iter().find(|listed| listed.server.id == item.server);
        let server = match listed {
            Some(Listed { server, shown: Shown::Permitted }) => server,
            Some(Listed { shown: Shown::Withheld, .. }) => return Err(ForbidReason::Forbidden),
            // Nobody asked for this server's list.
            None => return Err(ForbidReason::NoPermit),
        };
        let circumstances = Circumstances {
            era: of.era,
            endpoint: &of.endpoint,
            client: of.who.client(),
            // Those that a call to it would have.
            labels: server.labels(),
            now,
        };
        let object = Object::item(kind, server, name);
        let arguments = Arguments::Unknown;
        match self.evaluate(&Question { asker, action: used_by(kind), object, circumstances, arguments }) {
            Verdict::Permit(_) | Verdict::Depends(_) => Ok(()),
            Verdict::NoPermit => Err(ForbidReason::NoPermit),
            Verdict::Forbid(_) => Err(ForbidReason::Forbidden),
            Verdict::Failed(_) => Err(ForbidReason::EvaluationFailed),
        }
    }
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
fn fits(findings: Vec<Finding>) -> Result<(), ForbidReason> {
    let wrong: Vec<Finding> = findings.into_iter().filter(|finding| finding.rule == Rule::OutputSchema).collect();
    if wrong.is_empty() { Ok(()) } else { Err(ForbidReason::Answer(wrong)) }
}

/// `URLElicitationRequiredError` (MCP 2025-11-25, Elicitation, "URL Elicitation Required Error").
const URL_ELICITATION_REQUIRED: i64 = -32042;
