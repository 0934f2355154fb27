//! Where the members of the outer objects lie, noted while a text is scanned: whoever asks for one later walks no more.

use std::ops::Range;
use std::sync::Arc;

/// The members of a text's outermost object and of the objects that stand right in it, by the order of their keys.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    notes: Arc<[Note]>,
    /// Where the object begins whose members are meant.
    object: usize,
}

/// Where a member lies, in the text that was scanned. Its key has no escapes.
#[derive(Debug, Clone)]
pub(super) struct Note {
    /// Where its object begins.
    object: usize,
    /// The key without its quotation marks.
    key: Range<usize>,
    value: Range<usize>,
    /// Whether the value is an object whose own members are noted.
    is_outlined: bool,
}

/// What is noted of a member, each place counted from where its object begins.
pub(super) struct Noted {
    /// The key without its quotation marks.
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
    /// Of the value.
    pub(super) outline: Option<Outline>,
}

impl Outline {
    /// The members of the object, in order.
    pub(super) fn members(&self) -> impl Iterator<Item = Noted> + '_ {
        self.of_object().map(|note| self.noted(note))
    }

    /// The member of this name. `text` is the object.
    pub(super) fn find(&self, text: &[u8], key: &[u8]) -> Option<Noted> {
        let is_it = |note: &&Note| text.get(relative(&note.key, self.object)) == Some(key);
        self.of_object().find(is_it).map(|note| self.noted(note))
    }

    fn of_object(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter().filter(|note| note.object == self.object)
    }

    fn noted(&self, note: &Note) -> Noted {
        let outline = || Outline { notes: Arc::clone(&self.notes), object: note.value.start };
        Noted {
            key: relative(&note.key, self.object),
            value: relative(&note.value, self.object),
            outline: note.is_outlined.then(outline),
        }
    }
}

fn relative(range: &Range<usize>, from: usize) -> Range<usize> {
    // INVARIANT: a member lies within its object; nothing is saturated.
    let back = |at: usize| at.saturating_sub(from);
    back(range.start)..back(range.end)
}

/// Takes the notes, while a text is scanned from its beginning to its end.
#[derive(Default)]
pub(super) struct Notebook {
    notes: Vec<Note>,
    /// By depth: the object that is open there, and the note of its member that has no end yet.
    open: [(usize, usize); DEPTH],
    /// There is too much to note, or a key that cannot be compared as it is written: then nothing is noted.
    is_given_up: bool,
}

impl Notebook {
    /// An object begins at `at`, within `depth` others. What lies deeper than is noted costs this comparison.
    #[inline]
    pub(super) fn object(&mut self, depth: usize, at: usize) {
        if let Some(open) = self.open.get_mut(depth) {
            open.0 = at;
        }
    }

    /// A member of the object within `depth` others has this key, and a value that begins with `first` at `value`.
    #[inline]
    pub(super) fn member(&mut self, depth: usize, key: Key, value: usize, first: Option<u8>) {
        if depth < DEPTH && !self.is_given_up {
            self.note(depth, key, value, first);
        }
    }

    fn note(&mut self, depth: usize, key: Key, value: usize, first: Option<u8>) {
        if key.is_escaped || self.notes.len() == NOTES_MAX {
            self.is_given_up = true;
            return;
        }
        if self.notes.is_empty() {
            self.notes.reserve(NOTES_USUAL);
        }
        let is_outlined = first == Some(b'{') && depth + 1 < DEPTH;
        if let Some((object, pending)) = self.open.get_mut(depth) {
            *pending = self.notes.len();
            self.notes.push(Note { object: *object, key: key.inner, value: value..value, is_outlined });
        }
    }

    /// The last member of the object within `depth` others ends at `at`.
    #[inline]
    pub(super) fn end(&mut self, depth: usize, at: usize) {
        if let Some((_, pending)) = self.open.get(depth)
            && let Some(note) = self.notes.get_mut(*pending)
        {
            note.value.end = at;
        }
    }

    /// What was noted of the object that begins at `object`; nothing if not all of it was.
    pub(super) fn finish(&mut self, object: usize) -> Option<Outline> {
        if self.is_given_up || self.notes.is_empty() {
            return None;
        }
        Some(Outline { notes: std::mem::take(&mut self.notes).into(), object })
    }
}

/// A key as it is written.
pub(super) struct Key {
    /// Without its quotation marks.
    pub(super) inner: Range<usize>,
    pub(super) is_escaped: bool,
}

/// The members of a message and those of its parameters or result are noted.
const DEPTH: usize = 2;
/// LIMIT: a text with more members at these depths is walked.
const NOTES_MAX: usize = 48;
const NOTES_USUAL: usize = 8;
