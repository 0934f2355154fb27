//! What may be listened to, and what of it may be told: that a list has changed goes to whoever may list it, and that a resource
//! has changed to whoever may read it. Decided when it is asked for, and again for each thing that is told.

use std::time::SystemTime;

use sekisho_catalog::{Addressed, Ear, Target};
use sekisho_wire::{Filter, Listed as List, ServerId, Told};

use crate::decide::{Asked, circumstances};
use crate::entities::{Circumstances, Object, Origin};
use crate::evaluate::Asker;
use crate::{Basis, Facts, ForbidReason, Listed, Policy, Shown, release};

impl Policy {
    /// Of those servers that may be listened to, what was asked for and is permitted.
    pub(crate) fn listening(
        &self,
        addressed: &Addressed,
        asker: &Asker<'_>,
        listed: &[Listed],
        now: SystemTime,
    ) -> Vec<Ear> {
        let Target::Listen(ears) = addressed.target() else { return Vec::new() };
        let shown = |ear: &&Ear| {
            listed.iter().any(|listed| listed.server.id == *ear.server.id() && listed.shown == Shown::Permitted)
        };
        let permitted = |ear: &Ear| {
            let server = Origin::of(&ear.server);
            let under = circumstances(addressed, server.labels(), now);
            let lists = |list: List| ear.filter.wants(list) && self.may_list(asker, &server, list, under).is_ok();
            let reads = |uri: &str| self.may_read(asker, &server, uri, under).is_ok();
            let filter = Filter {
                tools: lists(List::Tools),
                prompts: lists(List::Prompts),
                resources: lists(List::Resources),
                uris: ear.filter.uris.iter().filter(|uri| reads(uri)).cloned().collect(),
                session: ear.filter.session,
                tasks: false,
            };
            Ear { server: ear.server.clone(), filter }
        };
        ears.iter().filter(shown).map(permitted).collect()
    }

    /// Whether the caller may hear this of a server.
    pub(crate) fn may_hear(
        &self,
        of: &Facts,
        server: &ServerId,
        told: &Told,
        now: SystemTime,
    ) -> Result<Basis, ForbidReason> {
        let wanted = of.listening.iter().find(|(listened, _)| listened == server).map(|(_, filter)| filter);
        let origin = of.listed.iter().find(|listed| listed.server.id == *server).map(|listed| &listed.server);
        let (Some(wanted), Some(origin)) = (wanted, origin) else { return Err(ForbidReason::NotTold) };
        let under = release::circumstances(of, origin, now);
        let asker = Asker::of(&of.who);
        match told {
            Told::Changed(list) if wanted.wants(*list) => self.may_list(&asker, origin, *list, under),
            // A part of what is subscribed to may have changed (MCP, Resources, "Subscriptions").
            Told::Updated { uri } if wanted.session || wanted.uris.iter().any(|whole| uri.starts_with(&**whole)) => {
                self.may_read(&asker, origin, uri, under)
            }
            // An acknowledgement comes first and once, and is told as what it acknowledges.
            Told::Changed(_) | Told::Updated { .. } | Told::Acknowledged(_) => Err(ForbidReason::NotTold),
        }
    }

    fn may_list(
        &self,
        asker: &Asker<'_>,
        server: &Origin,
        list: List,
        under: Circumstances<'_>,
    ) -> Result<Basis, ForbidReason> {
        self.may_know(asker, (list.method(), Object::Server(server), under))
    }

    fn may_read(
        &self,
        asker: &Asker<'_>,
        server: &Origin,
        uri: &str,
        under: Circumstances<'_>,
    ) -> Result<Basis, ForbidReason> {
        self.may_know(asker, ("resources/read", Object::Resource { server, uri }, under))
    }

    fn may_know(&self, asker: &Asker<'_>, of: Asked<'_>) -> Result<Basis, ForbidReason> {
        self.judge_one(asker, of, &[]).map_err(|_| ForbidReason::NotTold)
    }
}
