//! **What does it carry?** [`Labelled`] is a request with the labels of the server it goes to; [`Carried`] an answer with the
//! labels of the server it came from.
//!
//! The room never looks at content itself.
//!
//! *Depth still missing*: propagation across calls, value handles, declassifiers.
#![forbid(unsafe_code)]

use sekisho_catalog::{Confidentiality, Server, Target, Trust};
use sekisho_guard::{Examined, Inspected};

/// The room. It has no state: labels follow from what is addressed.
#[derive(Debug, Clone, Copy)]
pub struct Flow;

/// Integrity and confidentiality of what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labels {
    /// How far what the server says may be believed.
    pub trust: Trust,
    /// Who may learn it.
    pub confidentiality: Confidentiality,
}

/// The proof that a request was labelled.
pub struct Labelled {
    message: Inspected,
    labels: Labels,
}

/// The proof that an answer was labelled.
pub struct Carried {
    message: Examined,
    labels: Labels,
}

impl Flow {
    /// Labels a request with those of the servers it addresses.
    #[must_use]
    pub fn label(&self, m: Inspected) -> Labelled {
        let labels = Labels::of(m.message().message().target());
        Labelled { message: m, labels }
    }

    /// Labels an answer with those of the request it answers: it came from the same servers.
    #[must_use]
    pub fn carry(&self, of: Labels, m: Examined) -> Carried {
        Carried { message: m, labels: of }
    }
}

impl Labels {
    /// What the gateway itself says: it is believed, and is no more secret than a server of which nothing is said.
    pub const OF_GATEWAY: Labels = Labels { trust: Trust::Trusted, confidentiality: Confidentiality::Internal };

    /// The labels of what is addressed. Of several servers, the least trusted and the most confidential one counts.
    #[must_use]
    pub fn of(target: &Target) -> Labels {
        match target {
            Target::Gateway => Labels::OF_GATEWAY,
            Target::One(route) => Labels::of_server(route.server()),
            Target::Reply(reply) => Labels::of_server(reply.server()),
            Target::Listen(ears) => {
                let labels = ears.iter().map(|ear| Labels::of_server(&ear.server));
                labels.reduce(Labels::joined).unwrap_or(Labels::OF_GATEWAY)
            }
            Target::Many { routes, .. } => routes
                .iter()
                .map(|(server, _)| Labels::of_server(server))
                .reduce(Labels::joined)
                // No server, so that the gateway alone answers.
                .unwrap_or(Labels::OF_GATEWAY),
        }
    }

    /// The labels of one server, as configured.
    #[must_use]
    pub fn of_server(server: &Server) -> Labels {
        Labels { trust: server.config().trust, confidentiality: server.config().confidentiality }
    }

    /// The labels of two things put together: the lower trust, the higher confidentiality.
    #[must_use]
    pub fn joined(self, other: Labels) -> Labels {
        Labels { trust: self.trust.min(other.trust), confidentiality: self.confidentiality.max(other.confidentiality) }
    }
}

impl Labelled {
    /// The request.
    #[must_use]
    pub fn message(&self) -> &Inspected {
        &self.message
    }

    /// What it carries.
    #[must_use]
    pub fn labels(&self) -> Labels {
        self.labels
    }
}

impl Carried {
    /// The answer.
    #[must_use]
    pub fn message(&self) -> &Examined {
        &self.message
    }

    /// What it carries.
    #[must_use]
    pub fn labels(&self) -> Labels {
        self.labels
    }

    /// The answer alone.
    #[must_use]
    pub fn into_message(self) -> Examined {
        self.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUSTED_PUBLIC: Labels = Labels { trust: Trust::Trusted, confidentiality: Confidentiality::Public };
    const UNTRUSTED_RESTRICTED: Labels =
        Labels { trust: Trust::Untrusted, confidentiality: Confidentiality::Restricted };

    #[test]
    fn what_is_put_together_is_as_untrusted_and_as_confidential_as_its_worst_part() {
        assert_eq!(TRUSTED_PUBLIC.joined(UNTRUSTED_RESTRICTED), UNTRUSTED_RESTRICTED);
        assert_eq!(UNTRUSTED_RESTRICTED.joined(TRUSTED_PUBLIC), UNTRUSTED_RESTRICTED);
        assert_eq!(TRUSTED_PUBLIC.joined(TRUSTED_PUBLIC), TRUSTED_PUBLIC);
    }

    #[test]
    fn confidentiality_rises_from_public_to_restricted() {
        use Confidentiality::{Confidential, Internal, Public, Restricted};
        assert!(Public < Internal && Internal < Confidential && Confidential < Restricted);
    }

    #[test]
    fn the_gateway_and_a_list_of_no_server_are_labelled_alike() {
        let kind = sekisho_wire::ListKind::Tools;
        assert_eq!(Labels::of(&Target::Many { kind, routes: Vec::new() }), Labels::OF_GATEWAY);
        assert_eq!(Labels::of(&Target::Gateway), Labels::OF_GATEWAY);
    }
}
