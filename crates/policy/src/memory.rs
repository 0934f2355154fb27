//! Decisions that were made already, kept by exactly what they depend on. What depends on a time or on arguments is never kept.

use moka::sync::Cache;
use sekisho_catalog::{Confidentiality, Trust};
use sekisho_identity::Principal;
use sekisho_wire::{Endpoint, Era};

use crate::entities::{Circumstances, Object};
use crate::evaluate::{Arguments, Verdict};
use crate::slice::Slice;

/// The decisions of one set of policies. They are forgotten with it, so a new set starts from nothing.
pub(crate) struct Memory {
    known: Cache<Box<[u8]>, Verdict>,
}

impl Default for Memory {
    #[expect(clippy::borrowed_box, reason = "moka hands the key over as it is kept")]
    fn default() -> Memory {
        let weight =
            |key: &Box<[u8]>, _: &Verdict| u32::try_from(key.len()).unwrap_or(u32::MAX).saturating_add(OVERHEAD);
        Memory { known: Cache::builder().weigher(weight).max_capacity(BYTES_MAX).build() }
    }
}

impl Memory {
    pub(crate) fn recall(&self, key: &[u8]) -> Option<Verdict> {
        self.known.get(key)
    }

    pub(crate) fn keep(&self, key: Vec<u8>, verdict: &Verdict) {
        self.known.insert(key.into(), verdict.clone());
    }
}

/// All that the answer to a question can depend on; none if that includes a time or arguments.
pub(crate) fn key(
    slice: &Slice,
    who: &Principal,
    object: Object<'_>,
    circumstances: &Circumstances<'_>,
    arguments: &Arguments<'_>,
) -> Option<Vec<u8>> {
    let inputs = &slice.inputs;
    if inputs.time || inputs.arguments {
        return None;
    }
    let mut key = Key(Vec::with_capacity(KEY_BYTES));
    // The slice stands for the action, the type of the resource and the name of its server.
    key.0.extend(slice.number.to_be_bytes());
    let labels = circumstances.labels;
    key.0.extend([era(circumstances.era), trust(labels.trust), confidentiality(labels.confidentiality)]);
    key.0.push(match arguments {
        Arguments::Known(_) => 0,
        Arguments::Unknown => 1,
    });
    if let Some(server) = object.server() {
        key.0.extend([trust(server.trust), confidentiality(server.confidentiality)]);
    }
    key.text(match circumstances.endpoint {
        Endpoint::All => "",
        Endpoint::One(server) => server.as_str(),
    });
    key.text(circumstances.client);
    key.text(who.client());
    if inputs.identity {
        key.text(who.issuer());
        key.text(who.subject());
    }
    for (read, list) in [(inputs.scopes, who.scopes()), (inputs.groups, who.groups()), (inputs.roles, who.roles())] {
        if read {
            key.list(list);
        }
    }
    if inputs.every_claim {
        key.bytes(who.claims().bytes());
    } else {
        for name in &inputs.claims {
            key.claim(who, name);
        }
    }
    if inputs.name {
        key.text(&object.id());
    }
    Some(key.0)
}

/// Every part goes in with its length, so that no two questions run into the same bytes.
struct Key(Vec<u8>);

impl Key {
    fn bytes(&mut self, part: &[u8]) {
        self.length(part.len());
        self.0.extend(part);
    }

    fn text(&mut self, part: &str) {
        self.bytes(part.as_bytes());
    }

    fn list(&mut self, parts: &[Box<str>]) {
        self.length(parts.len());
        for part in parts {
            self.text(part);
        }
    }

    /// As policies see it: a string or nothing.
    fn claim(&mut self, who: &Principal, name: &str) {
        match who.claims().get(name).as_ref().and_then(sekisho_wire::Json::string) {
            Some(text) => {
                self.0.push(1);
                self.text(&text);
            }
            None => self.0.push(0),
        }
    }

    fn length(&mut self, length: usize) {
        self.0.extend(u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
    }
}

fn era(era: Era) -> u8 {
    match era {
        Era::Legacy => 0,
        Era::Modern => 1,
    }
}

fn trust(trust: Trust) -> u8 {
    match trust {
        Trust::Untrusted => 0,
        Trust::Trusted => 1,
    }
}

fn confidentiality(confidentiality: Confidentiality) -> u8 {
    match confidentiality {
        Confidentiality::Public => 0,
        Confidentiality::Internal => 1,
        Confidentiality::Confidential => 2,
        Confidentiality::Restricted => 3,
    }
}

/// LIMIT: what remembered decisions may take, in bytes.
const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// What a remembered decision takes beside its key, about.
const OVERHEAD: u32 = 256;
const KEY_BYTES: usize = 192;
