//! What a connection needs to know of the caller: nothing that could be forwarded as a credential.

use sekisho_identity::{Authenticated, PrincipalKey, SessionKey};
use sekisho_wire::message::{Meta, Spoken};
use sekisho_wire::{Askable, Era, Inbound, Version};

use crate::trail::Trail;

/// Whom a connection belongs to. It serves nobody else: a server may keep state per connection, and what one principal
/// left there is not for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// Legacy: one downstream session.
    Session(SessionKey),
    /// Modern: all requests of one principal.
    Principal(PrincipalKey),
    /// Whoever looks at what the server offers before anybody may use it.
    Surveyor,
}

/// Plain facts about who asks.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) owner: Owner,
    pub(crate) principal: PrincipalKey,
    pub(crate) version: Version,
    pub(crate) meta: Meta,
    pub(crate) trail: Trail,
    /// What the server may ask of the client.
    pub(crate) askable: Askable,
}

impl Caller {
    /// The facts of an authenticated message; none for a legacy message that belongs to no session, since it has no connection.
    pub(crate) fn of(message: &Authenticated<Inbound>) -> Option<Caller> {
        let principal = message.principal().key();
        let (owner, version) = match message.message().spoken() {
            Spoken::Modern(version) => (Owner::Principal(principal), version),
            Spoken::Legacy(_) | Spoken::LegacyUnsaid => {
                let session = message.session()?;
                (Owner::Session(session.key()), session.version())
            }
        };
        let meta = match message.message() {
            Inbound::Request(request) => request.meta().clone(),
            Inbound::Notice(_) | Inbound::Reply(_) => Meta::default(),
        };
        Some(Caller { owner, principal, version, meta, trail: Trail::default(), askable: Askable::default() })
    }

    /// Nobody's: of whoever looks at what the server offers.
    pub(crate) fn surveying(version: Version) -> Caller {
        Caller {
            owner: Owner::Surveyor,
            principal: PrincipalKey::of("", "", ""),
            version,
            meta: Meta::default(),
            trail: Trail::default(),
            // Some servers offer more to clients that can do more.
            askable: Askable {
                form: true,
                url: true,
                sampling: true,
                sampling_tools: true,
                sampling_context: true,
                roots: true,
                tasks: true,
            },
        }
    }

    /// The same with what goes along.
    pub(crate) fn along(self, trail: Trail) -> Caller {
        Caller { trail, ..self }
    }

    /// The same, for a server that may ask so much.
    pub(crate) fn offering(self, askable: Askable) -> Caller {
        Caller { askable, ..self }
    }

    pub(crate) fn era(&self) -> Era {
        self.version.era()
    }
}
