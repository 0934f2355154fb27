//! Names that are not what they seem, and names that others have.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZero;
use std::sync::LazyLock;

use sekisho_wire::text::suspect;
use sekisho_wire::{ListKind, ServerId};
use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

use super::Checks;
use super::data::{Check, Found};
use super::reading::{disguises, looks_latin};

/// What is known to be offered, by the server that a definition belongs to and by others.
///
/// Built in time linear in the length of all names, and asked in time linear in the length of one.
#[derive(Debug)]
pub struct Neighbours {
    known: Vec<Known>,
    /// Which names have a form, by the digest of the form.
    forms: HashMap<u64, Holders>,
    /// Others' names by the digest of themselves and of all that is left without one of their characters.
    near: HashMap<u64, u32>,
    digests: RandomState,
}

#[derive(Debug)]
struct Known {
    kind: ListKind,
    name: Box<str>,
}

/// Two different names of the server itself, and two of others: one of two is not the name that is asked about.
#[derive(Debug, Default, Clone, Copy)]
struct Holders {
    own: [Option<NonZero<u32>>; 2],
    others: [Option<NonZero<u32>>; 2],
}

/// In what respect two names are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// Every byte.
    Exact,
    /// Without case, hidden characters and forms of letters.
    Spelling,
    /// As it looks: the skeleton of UTS 39.
    Look,
    /// Letters and digits alone: `readFile`, `read_file_`.
    Letters,
    /// With the server's name before it: `files/read`.
    Qualified,
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Own,
    Other,
}

impl Neighbours {
    /// Nobody, and nothing of the server itself.
    #[must_use]
    pub fn none() -> Neighbours {
        let digests = RandomState::new();
        Neighbours { known: Vec::new(), forms: HashMap::new(), near: HashMap::new(), digests }
    }

    /// Reads what is known. Names of `own` are those of the server whose definitions are looked at.
    #[must_use]
    pub fn new<'a>(own: &ServerId, names: impl Iterator<Item = (&'a ServerId, ListKind, &'a str)>) -> Neighbours {
        let mut neighbours = Neighbours::none();
        for (server, kind, name) in names {
            let side = if server == own { Side::Own } else { Side::Other };
            neighbours.add(side, server, kind, name);
        }
        neighbours
    }

    fn add(&mut self, side: Side, server: &ServerId, kind: ListKind, name: &str) {
        self.known.push(Known { kind, name: name.into() });
        self.hold(Form::Exact, kind, name, side);
        self.hold(Form::Spelling, kind, &spelling(name), side);
        self.hold(Form::Look, kind, &look_of(name), side);
        if matches!(side, Side::Own) || !is_callable(kind) {
            return;
        }
        self.hold(Form::Qualified, kind, &format!("{server}/{}", name.to_ascii_lowercase()), side);
        self.hold(Form::Letters, kind, &letters(name), side);
        let Some(number) = self.last() else { return };
        for digest in near_digests(name) {
            self.near.entry(digest).or_insert(number.get());
        }
    }

    /// The number of the name that was read last, counted from one.
    fn last(&self) -> Option<NonZero<u32>> {
        u32::try_from(self.known.len()).ok().and_then(NonZero::new)
    }

    fn numbered(&self, number: u32) -> Option<&Known> {
        self.known.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// Notes that the name that was read last has that form.
    fn hold(&mut self, form: Form, kind: ListKind, text: &str, side: Side) {
        let Some(number) = self.last() else { return };
        let digest = self.digests.hash_one((form, kind, text));
        let holders = self.forms.get(&digest).copied().unwrap_or_default();
        let mut slots = match side {
            Side::Own => holders.own,
            Side::Other => holders.others,
        };
        let name = self.known.last().map(|known| &known.name);
        let is_there = |slot: &NonZero<u32>| self.numbered(slot.get()).map(|known| &known.name) == name;
        if slots.iter().flatten().any(is_there) {
            return;
        }
        if let Some(free) = slots.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(number);
        }
        let held = match side {
            Side::Own => Holders { own: slots, ..holders },
            Side::Other => Holders { others: slots, ..holders },
        };
        self.forms.insert(digest, held);
    }

    /// Names of that form, other than `name` itself.
    fn alike(&self, form: Form, kind: ListKind, text: &str, name: &str) -> Vec<&str> {
        let Some(holders) = self.forms.get(&self.digests.hash_one((form, kind, text))) else { return Vec::new() };
        let numbers = holders.own.iter().chain(&holders.others).flatten();
        let known = numbers.filter_map(|number| self.numbered(number.get())).filter(|known| known.kind == kind);
        known.map(|known| &*known.name).filter(|known| *known != name).collect()
    }

    fn has(&self, form: Form, kind: ListKind, text: &str, side: Side) -> bool {
        let holders = self.forms.get(&self.digests.hash_one((form, kind, text)));
        holders.is_some_and(|holders| match side {
            Side::Own => holders.own.iter().any(Option::is_some),
            Side::Other => holders.others.iter().any(Option::is_some),
        })
    }

    /// Whether others offer a tool or prompt of that name, and the server itself offers none.
    pub(crate) fn has_elsewhere_alone(&self, name: &str) -> bool {
        let own = CALLABLE.iter().any(|kind| self.has(Form::Exact, *kind, name, Side::Own));
        !own && CALLABLE.iter().any(|kind| self.has(Form::Exact, *kind, name, Side::Other))
    }

    /// Whether that is the name of another server's tool or prompt with the server's before it.
    pub(crate) fn has_qualified(&self, name: &str) -> bool {
        if !name.bytes().any(|byte| matches!(byte, b'/' | b'.' | b':' | b'_')) {
            return false;
        }
        let qualified = |separator: &str| {
            let (server, name) = name.split_once(separator)?;
            let name = format!("{server}/{name}").to_ascii_lowercase();
            CALLABLE.iter().any(|kind| self.has(Form::Qualified, *kind, &name, Side::Other)).then_some(())
        };
        ["/", ".", ":", "__"].into_iter().find_map(qualified).is_some()
    }
}

/// What is wrong about a name. The gravest of what it has in common with others is told.
pub(crate) fn look(checks: &Checks, kind: ListKind, name: &str, neighbours: &Neighbours) -> Vec<Found> {
    let disguised = is_disguised(name).then_some(Check::NameDisguised);
    let common = alike(kind, name, neighbours);
    disguised.into_iter().chain(common).filter_map(|check| checks.found(check, 0..name.len())).collect()
}

fn alike(kind: ListKind, name: &str, neighbours: &Neighbours) -> Option<Check> {
    if !neighbours.alike(Form::Spelling, kind, &spelling(name), name).is_empty() {
        return Some(Check::NameSpelling);
    }
    if !neighbours.alike(Form::Look, kind, &look_of(name), name).is_empty() {
        return Some(Check::NameConfusable);
    }
    if neighbours.has(Form::Exact, kind, name, Side::Other) {
        return Some(Check::NameEqual);
    }
    (is_callable(kind) && is_near(kind, name, neighbours)).then_some(Check::NameNear)
}

fn is_near(kind: ListKind, name: &str, neighbours: &Neighbours) -> bool {
    // A neighbour that the server has as well says nothing: it has both, as honest servers do.
    let others_own = |known: &&str| !neighbours.has(Form::Exact, kind, known, Side::Own);
    if neighbours.alike(Form::Letters, kind, &letters(name), name).iter().any(others_own) {
        return true;
    }
    let known = near_digests(name).into_iter().filter_map(|digest| neighbours.numbered(*neighbours.near.get(&digest)?));
    let mut names = known.filter(|known| known.kind == kind).map(|known| &*known.name);
    names.any(|known| known != name && others_own(&known) && differs_by_one(known, name))
}

/// Whether a word of the name mixes Latin letters with others that look like them, or has only such, beside Latin words.
fn is_disguised(name: &str) -> bool {
    let words = || name.split(|char: char| !char.is_alphanumeric());
    let is_latin = |word: &str| word.chars().any(|char| char.is_ascii_alphabetic());
    let mixed = |word: &str| is_latin(word) && word.chars().any(disguises);
    words().any(mixed) || words().any(is_latin) && words().any(looks_latin)
}

fn spelling(name: &str) -> String {
    if name.is_ascii() {
        return name.chars().filter(|char| !suspect(*char)).map(|char| char.to_ascii_lowercase()).collect();
    }
    name.nfkc().filter(|char| !suspect(*char)).flat_map(char::to_lowercase).collect()
}

fn look_of(name: &str) -> String {
    /// The skeletons of ASCII: `1`, `I` and `l` look alike, and so do `m` and `rn`.
    static ASCII: LazyLock<Vec<String>> =
        LazyLock::new(|| ('\0'..='\x7f').map(|char| skeleton(char.encode_utf8(&mut [0; 4])).collect()).collect());
    if !name.is_ascii() {
        return skeleton(name).collect();
    }
    name.bytes().filter_map(|byte| ASCII.get(usize::from(byte))).map(String::as_str).collect()
}

fn letters(name: &str) -> String {
    spelling(name).chars().filter(|char| char.is_alphanumeric()).collect()
}

/// Digests of a name, and of what is left of it without each of its characters: two names that differ by one have one of these in
/// common. Linear in its length. Others that have one in common as well are told apart by comparing them.
fn near_digests(name: &str) -> Vec<u64> {
    let chars: Vec<u64> = name.chars().take(NEAR_CHARS_MAX + 1).map(|char| u64::from(u32::from(char))).collect();
    if !(NEAR_CHARS_MIN..=NEAR_CHARS_MAX).contains(&chars.len()) {
        return Vec::new();
    }
    // A polynomial in `FACTOR`: of the characters behind each place, and what the first of them is multiplied with.
    let mut tails = vec![(0_u64, 1_u64)];
    for char in chars.iter().rev() {
        let (tail, power) = tails.last().copied().unwrap_or((0, 1));
        tails.push((char.wrapping_mul(power).wrapping_add(tail), power.wrapping_mul(FACTOR)));
    }
    let mut digests = Vec::with_capacity(tails.len());
    let mut head = 0_u64;
    digests.extend(tails.last().map(|(whole, _)| *whole));
    for (char, (tail, power)) in chars.iter().zip(tails.iter().rev().skip(1)) {
        digests.push(head.wrapping_mul(*power).wrapping_add(*tail));
        head = head.wrapping_mul(FACTOR).wrapping_add(*char);
    }
    digests
}

/// Whether one character makes the difference: one more, one fewer, or another one.
fn differs_by_one(one: &str, other: &str) -> bool {
    let head = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let rest = |name: &str, skipped: usize| name.chars().skip(head + skipped).collect::<String>();
    rest(one, 1) == rest(other, 1) || rest(one, 1) == rest(other, 0) || rest(one, 0) == rest(other, 1)
}

fn is_callable(kind: ListKind) -> bool {
    CALLABLE.contains(&kind)
}

/// What models call by name.
const CALLABLE: [ListKind; 2] = [ListKind::Tools, ListKind::Prompts];
/// An odd number without a pattern.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// Shorter names are near to many.
const NEAR_CHARS_MIN: usize = 6;
/// Longer ones are no names that a model can call.
const NEAR_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests;
