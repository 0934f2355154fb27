//! What legacy sessions have set at a server: it is set again where the server's process or session is replaced (ST-08).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sekisho_wire::Call;
use sekisho_wire::message::Sets;

use crate::caller::Owner;

/// The settings of all sessions with one server.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<HashMap<Owner, Settings>>);

#[derive(Debug, Default)]
struct Settings {
    level: Option<Box<str>>,
    uris: Vec<Box<str>>,
}

/// A setting that counts once its server has agreed.
pub(crate) struct Setting {
    kept: Arc<Kept>,
    owner: Owner,
    call: Call,
}

impl Kept {
    /// The setting that a call is, if it is one.
    pub(crate) fn setting(self: &Arc<Self>, owner: Owner, call: &Call) -> Option<Setting> {
        let sets = call.sets().is_some() && matches!(owner, Owner::Session(_));
        sets.then(|| Setting { kept: Arc::clone(self), owner, call: call.clone() })
    }

    /// The calls that set it all again.
    pub(crate) fn calls(&self, owner: Owner) -> Vec<Call> {
        let kept = self.kept();
        let Some(Settings { level, uris }) = kept.get(&owner) else { return Vec::new() };
        let level = level.iter().map(|level| Call::SetLogLevel { level: level.clone() });
        level.chain(uris.iter().map(|uri| Call::Subscribe { uri: uri.clone() })).collect()
    }

    /// What a session subscribes to.
    pub(crate) fn uris(&self, owner: Owner) -> Vec<Box<str>> {
        self.kept().get(&owner).map(|settings| settings.uris.clone()).unwrap_or_default()
    }

    pub(crate) fn clear(&self) {
        self.kept().clear();
    }

    pub(crate) fn forget(&self, owner: Owner) {
        self.kept().remove(&owner);
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Owner, Settings>> {
        // Nothing between lock and unlock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Setting {
    /// The server has agreed. What there is no room for is not set again.
    pub(crate) fn agreed(self) {
        let Some(sets) = self.call.sets() else { return };
        let mut kept = self.kept.kept();
        if kept.len() >= SESSIONS_MAX && !kept.contains_key(&self.owner) {
            return;
        }
        let settings = kept.entry(self.owner).or_default();
        match sets {
            Sets::LogLevel(level) => settings.level = Some(level.into()),
            Sets::Subscription(uri) => {
                let bytes: usize = settings.uris.iter().map(|uri| uri.len()).sum();
                let room = settings.uris.len() < URIS_MAX && bytes + uri.len() <= URI_BYTES_MAX;
                if room && !settings.uris.iter().any(|known| **known == *uri) {
                    settings.uris.push(uri.into());
                }
            }
            Sets::NoSubscription(uri) => settings.uris.retain(|known| **known != *uri),
        }
        if settings.level.is_none() && settings.uris.is_empty() {
            kept.remove(&self.owner);
        }
    }
}

/// LIMIT: sessions whose settings are kept, for one server.
const SESSIONS_MAX: usize = 4096;
/// LIMIT: URIs of one session, in number and in bytes.
const URIS_MAX: usize = 256;
const URI_BYTES_MAX: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho_identity::PrincipalKey;

    fn kept(calls: &[Call], owner: Owner) -> Vec<Call> {
        let kept = Arc::new(Kept::default());
        for call in calls {
            kept.0.lock().unwrap().entry(owner).or_default();
            Setting { kept: Arc::clone(&kept), owner, call: call.clone() }.agreed();
        }
        kept.calls(owner)
    }

    #[test]
    fn what_was_set_last_is_set_again_within_the_bounds() {
        let owner = Owner::Principal(PrincipalKey::of("i", "s", "c"));
        let level = |level: &str| Call::SetLogLevel { level: level.into() };
        let on = |uri: &str| Call::Subscribe { uri: uri.into() };
        let off = |uri: &str| Call::Unsubscribe { uri: uri.into() };
        let calls = [level("info"), on("a:1"), on("a:2"), on("a:1"), off("a:2"), off("a:3"), level("debug")];
        let again: Vec<String> = kept(&calls, owner).iter().map(|call| format!("{call:?}")).collect();
        assert_eq!(again, [level("debug"), on("a:1")].map(|call| format!("{call:?}")));
        assert!(kept(&[on("a:1"), off("a:1")], owner).is_empty());
        let many: Vec<Call> = (0..=URIS_MAX).map(|number| on(&format!("a:{number}"))).collect();
        assert_eq!(kept(&many, owner).len(), URIS_MAX);
        let long: Vec<Call> = (0..9).map(|number| on(&format!("{number}{}", "a".repeat(4095)))).collect();
        assert_eq!(kept(&long, owner).len(), URI_BYTES_MAX / 4096);
        let none = Arc::new(Kept::default());
        assert!(none.setting(owner, &on("a:1")).is_none(), "a modern one listens anew by itself");
    }
}
