//! How often a caller is told of the same step-up. A client that comes back without it is told again, but not forever: its user would be
//! sent to log in each time (RFC 9470 section 4 leaves loops to the two sides).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sekisho_identity::PrincipalKey;
use sekisho_policy::Challenge;

use crate::refusal::{Code, Refusal};

/// The challenges of the last minutes. They are forgotten with the policies that they came from.
#[derive(Default)]
pub(crate) struct Challenges {
    told: Mutex<HashMap<Told, Vec<SystemTime>>>,
}

/// Who was told, and by which policies.
type Told = (PrincipalKey, Arc<[Box<str>]>);

/// Whether a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    Told,
    OftenEnough,
}

impl Challenges {
    /// The refusal that tells a caller what to do; or that does not any more.
    pub(crate) fn refusal(&self, challenge: Challenge, now: SystemTime) -> Refusal {
        let who = challenge.principal().key();
        match self.tell((who, Arc::clone(&challenge.basis.policies)), now) {
            Telling::Told => challenge.into(),
            Telling::OftenEnough => {
                let words = format!(
                    "{}; the caller was told {TIMES_MAX} times within {} s what would help, and came without it",
                    challenge.reason,
                    WITHIN.as_secs()
                );
                let refusal = Refusal::new(Code::Forbidden, words);
                Refusal { policies: challenge.basis.policies, needed: Some(challenge.needed), ..refusal }
            }
        }
    }

    fn tell(&self, whom: Told, now: SystemTime) -> Telling {
        let is_recent = |then: &SystemTime| now.duration_since(*then).is_ok_and(|ago| ago < WITHIN);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= CALLERS_MAX && !told.contains_key(&whom) {
            told.retain(|_, times| times.iter().any(is_recent));
            // So many at once: it starts anew, and some are told a few times more.
            if told.len() >= CALLERS_MAX {
                told.clear();
            }
        }
        let times = told.entry(whom).or_default();
        times.retain(is_recent);
        if times.len() >= TIMES_MAX {
            return Telling::OftenEnough;
        }
        times.push(now);
        Telling::Told
    }
}

/// LIMIT: how often a caller is told of the same policies within [`WITHIN`].
const TIMES_MAX: usize = 3;
const WITHIN: Duration = Duration::from_secs(300);
/// LIMIT: callers, each with its policies, that are remembered.
const CALLERS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn whom(subject: &str, policies: &[&str]) -> Told {
        (PrincipalKey::of("i", subject, "c"), policies.iter().map(|id| Box::from(*id)).collect())
    }

    #[test]
    fn a_caller_is_told_three_times_in_five_minutes_and_then_no_more_until_one_is_past() {
        let challenges = Challenges::default();
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let tell = |seconds: u64| challenges.tell(whom("ann", &["p"]), start + Duration::from_secs(seconds));
        assert_eq!(
            [0, 100, 200, 201, 299].map(tell),
            [Telling::Told, Telling::Told, Telling::Told, Telling::OftenEnough, Telling::OftenEnough]
        );
        // The first one is past, and what was not told does not count.
        assert_eq!(
            [300, 301, 399, 400].map(tell),
            [Telling::Told, Telling::OftenEnough, Telling::OftenEnough, Telling::Told]
        );
    }

    #[test]
    fn another_caller_and_other_policies_count_for_themselves() {
        let (challenges, now) = (Challenges::default(), SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        for _ in 0..TIMES_MAX {
            assert_eq!(challenges.tell(whom("ann", &["p", "q"]), now), Telling::Told);
        }
        assert_eq!(challenges.tell(whom("ann", &["p", "q"]), now), Telling::OftenEnough);
        assert_eq!(challenges.tell(whom("ann", &["p"]), now), Telling::Told);
        assert_eq!(challenges.tell(whom("bob", &["p", "q"]), now), Telling::Told);
    }

    #[test]
    fn a_clock_that_goes_back_locks_nobody_out() {
        let (challenges, now) = (Challenges::default(), SystemTime::UNIX_EPOCH + Duration::from_secs(10_000));
        for _ in 0..=TIMES_MAX {
            challenges.tell(whom("ann", &["p"]), now);
        }
        assert_eq!(challenges.tell(whom("ann", &["p"]), now - Duration::from_secs(5000)), Telling::Told);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (challenges, start) = (Challenges::default(), SystemTime::UNIX_EPOCH);
        let count = || challenges.told.lock().unwrap().len();
        for number in 0..CALLERS_MAX {
            challenges.tell(whom(&number.to_string(), &["p"]), start);
        }
        assert_eq!(count(), CALLERS_MAX);
        challenges.tell(whom("0", &["p"]), start);
        assert_eq!(count(), CALLERS_MAX, "who is known takes no place");
        challenges.tell(whom("one more", &["p"]), start + WITHIN);
        assert_eq!(count(), 1, "what is past makes room");
        for number in 1..CALLERS_MAX {
            challenges.tell(whom(&number.to_string(), &["p"]), start + WITHIN);
        }
        challenges.tell(whom("yet one more", &["p"]), start + WITHIN);
        assert_eq!(count(), 1, "and where nothing is, all of it does");
    }
}
