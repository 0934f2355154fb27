//! Decisions that were made already, kept by exactly what they depend on. What depends on arguments that are known is never kept, nor
//! what depends on a time otherwise than by which fixed times have come.

use std::time::SystemTime;

use moka::sync::Cache;
use sekisho_catalog::{Confidentiality, Trust};
use sekisho_identity::{Groups, Principal};
use sekisho_sandbox::Tier;
use sekisho_wire::{Endpoint, Era};

use crate::entities::{Asking, Circumstances, Object, Origin};
use crate::evaluate::{Arguments, Verdict};
use crate::inputs::{Inputs, Time};
use crate::reads::Forms;
use crate::slice::Slice;

/// The decisions of one set of policies. They are forgotten with it, so a new set starts from nothing.
pub(crate) struct Memory {
    known: Cache<Box<[u8]>, Verdict>,
}

impl Default for Memory {
    fn default() -> Memory {
        #[expect(clippy::borrowed_box, reason = "what the cache hands to its weigher")]
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

/// All that the answer to a question can depend on; none if that cannot be said.
pub(crate) fn key(
    slice: &Slice,
    who: &Principal,
    object: Object<'_>,
    circumstances: &Circumstances<'_>,
    arguments: &Arguments<'_>,
) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(KEY_BYTES);
    for_any_name(&mut key, slice, &About { who, server: object.server(), circumstances, arguments })?;
    let mut key = Key(key);
    if slice.inputs.name {
        key.text(&object.id());
        // One name may have several approved definitions.
        if let Object::Tool { impact, .. } = object {
            key.text(impact.as_str());
        }
    }
    Some(key.0)
}

/// A question that leaves open which object of a server it is about.
pub(crate) struct About<'a> {
    pub(crate) who: &'a Principal,
    pub(crate) server: Option<&'a Origin>,
    pub(crate) circumstances: &'a Circumstances<'a>,
    pub(crate) arguments: &'a Arguments<'a>,
}

/// The same for any object of that server, but for its name: appended to `out`, which means nothing if there is none.
pub(crate) fn for_any_name(out: &mut Vec<u8>, slice: &Slice, about: &About<'_>) -> Option<()> {
    let About { who, server, circumstances, arguments } = *about;
    let inputs = &slice.inputs;
    // Where none is known, none makes a difference.
    if inputs.arguments != Forms::NONE && matches!(arguments, Arguments::Known(_)) {
        return None;
    }
    let mut key = Key(std::mem::take(out));
    // The slice stands for the action, the type of the resource and the name of its server.
    key.0.extend(slice.number.to_be_bytes());
    key.0.push(match arguments {
        Arguments::Known(_) => 0,
        Arguments::Unknown => 1,
    });
    key.moment(&inputs.time, circumstances.now)?;
    if inputs.circumstances {
        key.circumstances(circumstances);
    }
    if inputs.asking {
        key.asking(circumstances.asking);
    }
    if let Some(server) = server
        && inputs.server
    {
        key.0.extend([trust(server.trust), confidentiality(server.confidentiality), tier(server.tier)]);
    }
    key.caller(inputs, who)?;
    *out = key.0;
    Some(())
}

/// What it can depend on beside that whether a proposal is anything for this caller.
pub(crate) fn for_proposals(out: &mut Vec<u8>, who: &Principal) {
    let mut key = Key(std::mem::take(out));
    key.list(who.scopes());
    key.list(&who.authentication().contexts);
    key.0.push(u8::from(who.takes_claims_challenges()));
    *out = key.0;
}

/// Every part goes in with its length, so that no two questions run into the same bytes.
struct Key(Vec<u8>);

impl Key {
    /// What is read of the caller.
    fn caller(&mut self, inputs: &Inputs, who: &Principal) -> Option<()> {
        if inputs.identity {
            self.text(who.issuer());
            self.text(who.subject());
        }
        if inputs.client {
            self.text(who.client());
        }
        if inputs.tenant {
            self.text(who.tenant());
        }
        if inputs.kind {
            self.text(who.kind().as_str());
        }
        if inputs.bound_by {
            self.length(who.bound_by().len());
            who.bound_by().iter().for_each(|binding| self.text(binding.as_str()));
        }
        if inputs.groups {
            match who.groups() {
                Groups::Known(groups) => self.list(groups),
                Groups::Unknown => self.length(usize::MAX),
            }
        }
        let login = who.authentication();
        for (read, list) in [
            (inputs.scopes, who.scopes()),
            (inputs.roles, who.roles()),
            (inputs.amr, &login.methods),
            (inputs.acrs, &login.contexts),
        ] {
            if read {
                self.list(list);
            }
        }
        if inputs.acr {
            self.text(&login.class);
        }
        if inputs.auth_time {
            self.login(login.at)?;
        }
        if inputs.every_claim {
            self.bytes(who.claims().bytes());
            self.length(who.attributes().len());
            for (name, value) in who.attributes() {
                self.text(name);
                self.text(value);
            }
        } else {
            for name in &inputs.claims {
                self.claim(who, name);
            }
        }
        Some(())
    }

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

    fn circumstances(&mut self, of: &Circumstances<'_>) {
        self.0.extend([era(of.era), trust(of.labels.trust), confidentiality(of.labels.confidentiality)]);
        self.text(match of.endpoint {
            Endpoint::All => "",
            Endpoint::One(server) => server.as_str(),
        });
        self.text(of.client);
    }

    fn asking(&mut self, asking: Asking<'_>) {
        match asking {
            Asking::Nothing => self.0.push(0),
            Asking::Form => self.0.push(1),
            Asking::Url { host: None } => self.0.push(2),
            Asking::Url { host: Some(host) } => {
                self.0.push(3);
                self.text(host);
            }
            Asking::Sampling { tools, context } => self.0.extend([4, u8::from(tools), u8::from(context)]),
        }
    }

    /// As policies see it, in whole milliseconds. None if it is none that they could.
    fn login(&mut self, at: Option<SystemTime>) -> Option<()> {
        match at {
            None => self.0.push(0),
            Some(at) => {
                self.0.push(1);
                self.0.extend(jiff::Timestamp::try_from(at).ok()?.as_millisecond().to_be_bytes());
            }
        }
        Some(())
    }

    /// As policies see it: a mapped attribute, or else a string or nothing.
    fn claim(&mut self, who: &Principal, name: &str) {
        if let Some((_, mapped)) = who.attributes().iter().find(|(mapped, _)| **mapped == *name) {
            self.0.push(1);
            return self.text(mapped);
        }
        match who.claims().get(name).as_ref().and_then(sekisho_wire::Json::string) {
            Some(text) => {
                self.0.push(1);
                self.text(&text);
            }
            None => self.0.push(0),
        }
    }

    /// Which of the fixed times have come. None if the time counts otherwise.
    fn moment(&mut self, time: &Time, now: SystemTime) -> Option<()> {
        let fixed = match time {
            Time::Unread => return Some(()),
            Time::Compared(fixed) => fixed,
            Time::Read => return None,
        };
        // As policies see it, in whole milliseconds; before 1970 they are rounded otherwise.
        let now = jiff::Timestamp::try_from(now).ok()?.as_millisecond();
        if now < 0 {
            return None;
        }
        self.length(fixed.range(..now).count());
        self.0.push(u8::from(fixed.contains(&now)));
        Some(())
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

fn tier(tier: Option<Tier>) -> u8 {
    match tier {
        None => 0,
        Some(Tier::None) => 1,
        Some(Tier::Partial) => 2,
        Some(Tier::Full) => 3,
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
/// Most keys are shorter.
const KEY_BYTES: usize = 512;
