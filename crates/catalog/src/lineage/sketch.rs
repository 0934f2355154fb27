//! Sets of words in little memory.

/// The `N` smallest of a set of hashes: the same ones of two sets that are the same, and of two that are alike most of them (a
/// bottom-k sketch: Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007).
#[derive(Debug, Clone)]
pub(super) struct Sketch<const N: usize> {
    /// In ascending order; [`NONE`] behind them.
    hashes: [u32; N],
}

impl<const N: usize> FromIterator<u64> for Sketch<N> {
    fn from_iter<I: IntoIterator<Item = u64>>(all: I) -> Sketch<N> {
        let mut hashes = [NONE; N];
        for hash in all {
            insert(&mut hashes, short(hash));
        }
        Sketch { hashes }
    }
}

impl<const N: usize> Sketch<N> {
    /// How many hashes it has: of a larger set, `N`.
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.hashes.iter().copied().take_while(|hash| *hash != NONE)
    }

    /// Whether it has a hash.
    pub(super) fn has(&self, hash: u32) -> bool {
        self.hashes.contains(&hash)
    }
}

/// How many hashes are in both, of how many in either: of those that are among the smallest of the union, so that what a sketch
/// has left out does not count as missing.
pub(super) fn shared<const N: usize>(one: &Sketch<N>, other: &Sketch<N>) -> (usize, usize) {
    let (mut ones, mut others) = (one.iter().peekable(), other.iter().peekable());
    let (mut both, mut all) = (0_usize, 0_usize);
    while all < N {
        match (ones.peek().copied(), others.peek().copied()) {
            (None, None) => break,
            (Some(hash), Some(same)) if hash == same => {
                both = both.saturating_add(1);
                ones.next();
                others.next();
            }
            (Some(hash), Some(other)) if hash > other => {
                others.next();
            }
            (Some(_), _) => {
                ones.next();
            }
            (None, Some(_)) => {
                others.next();
            }
        }
        all = all.saturating_add(1);
    }
    (both, all)
}

/// FNV-1a, its bits mixed once more: small hashes are compared, and FNV's high bits hardly depend on the last letters.
///
/// Whoever chooses words can make two of them collide: that makes things look alike, and nothing is permitted for that.
pub(super) fn hash(text: &str) -> u64 {
    let fnv = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

/// Half of a hash.
pub(super) fn short(hash: u64) -> u32 {
    // INVARIANT: fits after the shift; the default is never taken.
    u32::try_from(hash >> 32).unwrap_or_default().min(NONE - 1)
}

/// Puts a hash in its place, if it is small enough and not there.
fn insert(hashes: &mut [u32], hash: u32) {
    let at = hashes.partition_point(|known| *known < hash);
    let Some(behind) = hashes.get_mut(at..).filter(|behind| behind.first().is_some_and(|known| *known != hash)) else {
        return;
    };
    behind.rotate_right(1);
    behind.first_mut().into_iter().for_each(|first| *first = hash);
}

const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_smallest_are_kept_each_once_and_in_order() {
        let of = |all: &[u64]| all.iter().map(|hash| hash << 32).collect::<Sketch<3>>();
        assert_eq!(of(&[5, 1, 5, 9, 3, 1]).iter().collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(of(&[7]).iter().collect::<Vec<_>>(), [7]);
        assert!(of(&[]).is_empty() && of(&[2]).has(2) && !of(&[2]).has(3));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn small_sets_are_compared_exactly(
            one in proptest::collection::btree_set(0_u64..12, 0..6),
            other in proptest::collection::btree_set(0_u64..12, 0..6),
        ) {
            let of = |set: &BTreeSet<u64>| set.iter().map(|hash| hash << 32).collect::<Sketch<12>>();
            let exact = (one.intersection(&other).count(), one.union(&other).count());
            prop_assert_eq!(shared(&of(&one), &of(&other)), exact);
        }

        #[test]
        fn large_sets_are_estimated(part in 0_u32..=100) {
            let word = |at: u32| hash(&format!("word {at}"));
            let one: Sketch<64> = (0..1000).map(word).collect();
            let other: Sketch<64> = (part * 10..1000 + part * 10).map(word).collect();
            let (both, all) = shared(&one, &other);
            let exact = f64::from(1000 - part * 10) / f64::from(1000 + part * 10);
            let number = |count: usize| f64::from(u32::try_from(count).expect("a small one"));
            prop_assert!((number(both) / number(all) - exact).abs() < 0.25, "{both} of {all}, not {exact}");
        }
    }
}
