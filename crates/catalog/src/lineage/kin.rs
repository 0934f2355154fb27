//! The definitions of one server and kind, by what they may be recognised by.

use std::collections::HashSet;

use super::sketch::short;
use super::{Face, Likeness};

/// An index over known definitions. It holds their faces and some 80 bytes more for each.
#[derive(Debug, Default)]
pub struct Kin {
    known: Vec<(Box<str>, Face)>,
    /// Traits, and the numbers of those who have them: sorted.
    traits: Vec<(u32, u32)>,
}

impl Kin {
    /// Of definitions by name. Put in what may have been renamed: what the server still offers under its name was not.
    #[must_use]
    pub fn of(known: impl IntoIterator<Item = (Box<str>, Face)>) -> Kin {
        let known: Vec<(Box<str>, Face)> = known.into_iter().collect();
        let numbered = (0_u32..).zip(&known);
        let mut traits: Vec<(u32, u32)> =
            numbered.flat_map(|(number, (_, face))| traits(face).map(move |one| (one, number))).collect();
        traits.sort_unstable();
        traits.dedup();
        traits.shrink_to_fit();
        Kin { known, traits }
    }

    /// The one that is most like it, if that is kin.
    ///
    /// Compares at most 256 that share a trait, those with the rarest traits first: of thousands that are all alike, one of many.
    #[must_use]
    pub fn nearest(&self, face: &Face) -> Option<(&str, Likeness)> {
        let mut shared: Vec<&[(u32, u32)]> = traits(face).map(|one| self.with_trait(one)).collect();
        shared.sort_by_key(|these| these.len());
        let mut seen = HashSet::with_capacity(COMPARED_MAX);
        let mut nearest: Option<(&str, Likeness)> = None;
        for (_, number) in shared.into_iter().flatten() {
            if seen.len() >= COMPARED_MAX {
                break;
            }
            let known = usize::try_from(*number).ok().and_then(|number| self.known.get(number));
            let Some((name, known)) = known.filter(|_| seen.insert(*number)) else { continue };
            let likeness = known.likeness(face);
            let is_nearer = nearest.is_none_or(|(_, best)| best.rank() < likeness.rank());
            if likeness.is_kin() && is_nearer {
                nearest = Some((name, likeness));
            }
        }
        nearest
    }

    fn with_trait(&self, one: u32) -> &[(u32, u32)] {
        let from = self.traits.partition_point(|(known, _)| *known < one);
        let rest = self.traits.get(from..).unwrap_or_default();
        rest.get(..rest.partition_point(|(known, _)| *known == one)).unwrap_or_default()
    }
}

/// What kin have in common, most likely: the same text, the same schema, both, or some words.
///
/// Of two descriptions of which seven in ten words are the same, one at least of the smallest few hashes is.
fn traits(face: &Face) -> impl Iterator<Item = u32> {
    let texts = [face.description, face.schema, face.description.rotate_left(1) ^ face.schema].map(short);
    texts.into_iter().chain(face.words.iter().take(WORD_TRAITS)).chain(face.pairs.iter().take(PAIR_TRAITS))
}

/// Most definitions that are compared in one look-up.
const COMPARED_MAX: usize = 256;
/// Words, and words that follow each other, by which one is found.
const WORD_TRAITS: usize = 3;
const PAIR_TRAITS: usize = 5;
