//! Handles that travel through the client: sealed, bound, and never a credential (architecture, property 4; M4, MR-04).
//!
//! A sealed text is worth something to the principal that it was given to, for the purpose and the message that it was made for,
//! and as long as this process lives. It opens no door: whoever brings it has authenticated by a credential of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::PrincipalKey;

/// Seals and opens with a key of this process (AES-256-GCM): what was sealed ends with it.
#[derive(Debug)]
pub struct Seals {
    key: RandomizedNonceKey,
    used: Mutex<Used>,
}

/// What a sealed text is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Bond<'a> {
    /// What it is for; no two purposes open each other's.
    pub purpose: &'static str,
    /// Whom it was given to.
    pub who: PrincipalKey,
    /// The message that it belongs to, in parts.
    pub of: &'a [&'a [u8]],
}

/// A sealed text that was opened.
#[derive(Debug)]
pub struct Opened {
    /// What was sealed.
    pub text: Vec<u8>,
    who: PrincipalKey,
    /// Which sealed text it was.
    number: Number,
}

/// The right to use a sealed text that is good for one use. Given back when dropped, unless it was spent.
#[derive(Debug)]
pub struct Ticket {
    of: Arc<Seals>,
    who: PrincipalKey,
    number: Number,
    spent: std::sync::atomic::AtomicBool,
}

/// Why a sealed text cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It was used before, or is being used now.
    #[error("it was used before")]
    Used,
    /// Too many are remembered, so that one more could be used twice unseen.
    #[error("too many were used lately")]
    TooMany,
}

type Number = [u8; NONCE_LEN];

/// The sealed texts that were used, or are being used, until they expire by themselves.
#[derive(Debug, Default)]
struct Used {
    /// No empty ones.
    by_principal: HashMap<PrincipalKey, HashMap<Number, SystemTime>>,
    total: usize,
    /// When all was looked through last.
    swept: Option<SystemTime>,
}

impl Seals {
    /// With a fresh key.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub fn new() -> Result<Seals, Unspecified> {
        let mut key = [0; 32];
        rand::fill(&mut key)?;
        Ok(Seals { key: RandomizedNonceKey::new(&AES_256_GCM, &key)?, used: Mutex::default() })
    }

    /// Seals a text, as URL-safe Base64. None without randomness or past 2^32 seals.
    #[must_use]
    pub fn seal(&self, bond: Bond<'_>, text: &[u8]) -> Option<String> {
        let mut sealed = text.to_vec();
        let nonce = self.key.seal_in_place_append_tag(bond.aad(), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &sealed].concat()))
    }

    /// Opens what was sealed under this very bond; none for any other text, and for one of more than `chars_max` characters.
    #[must_use]
    pub fn open(&self, bond: Bond<'_>, sealed: &str, chars_max: usize) -> Option<Opened> {
        if sealed.len() > chars_max {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (number, sealed) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
        let text = self.key.open_in_place(Nonce::from(&*number), bond.aad(), sealed).ok()?;
        Some(Opened { text: text.to_vec(), who: bond.who, number: *number })
    }

    /// Takes the one use of a sealed text that expires at `until`.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn claim(self: &Arc<Self>, opened: &Opened, until: SystemTime, now: SystemTime) -> Result<Ticket, Unusable> {
        let mut used = self.used();
        if used.of(opened.who).is_some_and(|own| own.contains_key(&opened.number)) {
            return Err(Unusable::Used);
        }
        if used.is_full_for(opened.who) {
            used.forget_expired(opened.who, now);
        }
        if used.is_full_for(opened.who) {
            return Err(Unusable::TooMany);
        }
        used.by_principal.entry(opened.who).or_default().insert(opened.number, until);
        used.total += 1;
        Ok(Ticket { of: Arc::clone(self), who: opened.who, number: opened.number, spent: false.into() })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // Nothing between lock and unlock panics.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn of(&self, who: PrincipalKey) -> Option<&HashMap<Number, SystemTime>> {
        self.by_principal.get(&who)
    }

    fn is_full_for(&self, who: PrincipalKey) -> bool {
        // A few who use many leave room for all others.
        let share = if self.total < CROWDED { USED_BY_ONE_MAX } else { USED_BY_ONE_CROWDED_MAX };
        self.total >= USED_MAX || self.of(who).map_or(0, HashMap::len) >= share
    }

    /// Forgets what expired of this one, and now and then of all.
    fn forget_expired(&mut self, who: PrincipalKey, now: SystemTime) {
        if let Some(own) = self.by_principal.get_mut(&who) {
            let before = own.len();
            own.retain(|_, until| *until > now);
            self.total -= before - own.len();
        }
        let since = self.swept.map(|swept| now.duration_since(swept).unwrap_or_default());
        if self.total < CROWDED || since.is_some_and(|since| since < SWEPT_EVERY) {
            return;
        }
        self.swept = Some(now);
        self.by_principal.retain(|_, own| {
            own.retain(|_, until| *until > now);
            !own.is_empty()
        });
        self.total = self.by_principal.values().map(HashMap::len).sum();
    }

    fn give_back(&mut self, who: PrincipalKey, number: Number) {
        let Some(own) = self.by_principal.get_mut(&who) else { return };
        if own.remove(&number).is_some() {
            self.total -= 1;
        }
        if own.is_empty() {
            self.by_principal.remove(&who);
        }
    }
}

impl Ticket {
    /// The use is made: it is not given back.
    pub fn spend(&self) {
        self.spent.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// The use was not made after all.
    pub fn unspend(&self) {
        self.spent.store(false, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !*self.spent.get_mut() {
            self.of.used().give_back(self.who, self.number);
        }
    }
}

impl Bond<'_> {
    /// Every part with its length, so that no two bonds run into the same bytes.
    fn aad(&self) -> Aad<Vec<u8>> {
        let parts = [self.purpose.as_bytes(), self.who.as_bytes()];
        let mut bytes = Vec::new();
        for part in parts.iter().chain(self.of) {
            bytes.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend(*part);
        }
        Aad::from(bytes)
    }
}

/// LIMIT: used texts that are remembered until they expire, of all principals.
const USED_MAX: usize = 200_000;
/// LIMIT: and of one.
const USED_BY_ONE_MAX: usize = 10_000;
/// LIMIT: and of one, once half of the room is taken.
const USED_BY_ONE_CROWDED_MAX: usize = 500;
const CROWDED: usize = USED_MAX / 2;
const SWEPT_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn bond(of: &'static [&'static [u8]]) -> Bond<'static> {
        Bond { purpose: "test", who: one(), of }
    }

    fn one() -> PrincipalKey {
        PrincipalKey::of("i", "s", "c")
    }

    fn seals() -> Arc<Seals> {
        Arc::new(Seals::new().expect("randomness"))
    }

    const CHARS_MAX: usize = 1000;

    #[test]
    fn what_was_sealed_opens_under_its_own_bond_alone() {
        let seals = seals();
        let sealed = seals.seal(bond(&[b"ab", b"c"]), b"text").expect("sealed");
        let opens = |bond| seals.open(bond, &sealed, CHARS_MAX).map(|opened| opened.text);
        assert_eq!(opens(bond(&[b"ab", b"c"])).as_deref(), Some(&b"text"[..]));
        for other in [
            bond(&[b"a", b"bc"]),
            bond(&[b"ab"]),
            bond(&[b"ab", b"c", b""]),
            Bond { purpose: "another", ..bond(&[b"ab", b"c"]) },
            Bond { who: PrincipalKey::of("i", "s", "other"), ..bond(&[b"ab", b"c"]) },
        ] {
            assert_eq!(opens(other), None, "{other:?}");
        }
        let stranger = Seals::new().expect("randomness");
        assert!(stranger.open(bond(&[b"ab", b"c"]), &sealed, CHARS_MAX).is_none());
        assert_ne!(seals.seal(bond(&[b"ab", b"c"]), b"text").expect("sealed"), sealed);
    }

    #[test]
    fn what_was_changed_made_up_or_is_too_long_does_not_open() {
        let seals = seals();
        let sealed = seals.seal(bond(&[]), b"text").expect("sealed");
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).expect("Base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(seals.open(bond(&[]), &URL_SAFE_NO_PAD.encode(changed), CHARS_MAX).is_none(), "byte {at}");
        }
        for made_up in ["", "AAAA", "text", "{}", &format!("{sealed}="), &format!("{sealed}-TAMPERED")] {
            assert!(seals.open(bond(&[]), made_up, CHARS_MAX).is_none(), "{made_up}");
        }
        assert!(seals.open(bond(&[]), &sealed, sealed.len()).is_some());
        assert!(seals.open(bond(&[]), &sealed, sealed.len() - 1).is_none());
    }

    #[test]
    fn one_use_is_one_use_and_what_was_not_spent_is_given_back() {
        let (seals, now) = (seals(), SystemTime::now());
        let until = now + Duration::from_secs(1);
        let sealed = seals.seal(bond(&[]), b"text").expect("sealed");
        let opened = seals.open(bond(&[]), &sealed, CHARS_MAX).expect("opened");
        let ticket = seals.claim(&opened, until, now).expect("the first");
        assert_eq!(seals.claim(&opened, until, now).err(), Some(Unusable::Used), "meanwhile");
        drop(ticket);
        let ticket = seals.claim(&opened, until, now).expect("it was given back");
        ticket.spend();
        drop(ticket);
        assert_eq!(seals.claim(&opened, until, now).err(), Some(Unusable::Used));
        let other = seals.seal(bond(&[]), b"text").expect("sealed");
        let other = seals.open(bond(&[]), &other, CHARS_MAX).expect("opened");
        assert!(seals.claim(&other, until, now).is_ok());
    }

    #[test]
    fn when_too_many_are_remembered_none_is_used_until_some_have_expired() {
        let (seals, now) = (seals(), SystemTime::now());
        let until = now + Duration::from_secs(10);
        let opened = |number: u32, who| {
            let mut bytes = [0; NONCE_LEN];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            Opened { text: Vec::new(), who, number: bytes }
        };
        for number in 0..u32::try_from(USED_BY_ONE_MAX).expect("fits") {
            seals.claim(&opened(number, one()), until, now).expect("room").spend();
        }
        let next = opened(u32::MAX, one());
        assert_eq!(seals.claim(&next, until, now).err(), Some(Unusable::TooMany));
        let other = opened(u32::MAX, PrincipalKey::of("i", "s", "other"));
        assert!(seals.claim(&other, until, now).is_ok(), "another has room");
        assert!(seals.claim(&next, until + Duration::from_secs(10), until).is_ok());
        let left = seals.used();
        assert_eq!((left.total, left.by_principal.len()), (0, 0), "the expired are forgotten");
    }

    #[test]
    fn a_few_who_use_many_leave_room_for_the_others() {
        let (seals, now) = (seals(), SystemTime::now());
        let until = now + Duration::from_secs(10);
        let claim = |number: usize, who: usize| {
            let mut bytes = [0; NONCE_LEN];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            let opened = Opened { text: Vec::new(), who: PrincipalKey::of("i", &who.to_string(), "c"), number: bytes };
            seals.claim(&opened, until, now).map(|ticket| ticket.spend())
        };
        for number in 0..CROWDED {
            claim(number, number / USED_BY_ONE_MAX).expect("room");
        }
        assert_eq!(claim(0, usize::MAX), Ok(()), "another has room");
        let more = (1..USED_BY_ONE_CROWDED_MAX).map(|number| claim(number, usize::MAX));
        assert!(more.collect::<Result<Vec<_>, _>>().is_ok());
        assert_eq!(claim(USED_BY_ONE_CROWDED_MAX, usize::MAX), Err(Unusable::TooMany), "and no more than its share");
    }
}
