//! Pages of lists that were read before: most servers say the same list to everybody, again and again.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crate::back::{BadMessage, ITEMS_MAX};
use crate::endpoint::ServerId;
use crate::json::{Json, Kind, Known};
use crate::message::ListKind;
use crate::server::Item;
use crate::text::is_plainly_visible;

/// The items of one page as a server wrote them, read once. Cheap to clone, and it never changes, so whatever follows from it alone
/// may be remembered by it.
///
/// Two are equal if they are the same reading: that takes no look at the bytes. Equal bytes may have been read twice.
#[derive(Debug, Clone)]
pub struct Sheet(Arc<Read>);

#[derive(Debug)]
struct Read {
    kind: ListKind,
    server: ServerId,
    array: Json,
    known: Option<Known>,
    items: Vec<Item>,
    plain: OnceLock<bool>,
}

impl Sheet {
    /// Reads the array of a page.
    ///
    /// # Errors
    /// [`BadMessage`] if it is none, or too long, or has an item without a name.
    pub(crate) fn read(kind: ListKind, server: &ServerId, array: Json) -> Result<Sheet, BadMessage> {
        let wrong = |what| BadMessage::List { what };
        if array.kind() != Kind::Array {
            return Err(wrong("the items are no array"));
        }
        let mut items = Vec::new();
        for definition in array.elements() {
            if items.len() == ITEMS_MAX {
                return Err(BadMessage::TooManyItems);
            }
            if definition.get(kind.key()).is_none_or(|key| key.string().is_none()) {
                return Err(wrong("an item has no name"));
            }
            items.push(Item { server: server.clone(), definition });
        }
        let known = array.known();
        Ok(Sheet(Arc::new(Read { kind, server: server.clone(), array, known, items, plain: OnceLock::new() })))
    }

    /// Who wrote it.
    #[must_use]
    pub fn server(&self) -> &ServerId {
        &self.0.server
    }

    /// All its items.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.0.items
    }

    /// The memory that it takes, about, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.array.bytes().len().saturating_add(size_of_val(self.items()))
    }

    /// Whether every string and name on it is plainly visible: [`is_plainly_visible`], looked at once.
    #[must_use]
    pub fn is_plainly_visible(&self) -> bool {
        *self.0.plain.get_or_init(|| is_plainly_visible(&self.0.array))
    }

    fn is_of(&self, kind: ListKind, server: &ServerId, array: &Json) -> bool {
        self.0.kind == kind && self.0.server == *server && self.0.array == *array
    }
}

impl PartialEq for Sheet {
    fn eq(&self, other: &Sheet) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Sheet {}

impl Hash for Sheet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// What is remembered of sheets, for as long as they are. Bounded in number and bytes; the oldest goes first.
#[derive(Debug)]
pub struct Remembered<T> {
    of: VecDeque<(Sheet, T)>,
    bytes: usize,
}

impl<T> Default for Remembered<T> {
    fn default() -> Remembered<T> {
        Remembered { of: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Remembered<T> {
    /// What is remembered of a sheet.
    #[must_use]
    pub fn of(&self, sheet: &Sheet) -> Option<&T> {
        self.of.iter().find(|(of, _)| of == sheet).map(|(_, what)| what)
    }

    /// Remembers something of a sheet, in the place of what was. A sheet that is longer than all may be is not remembered.
    pub fn put(&mut self, sheet: &Sheet, what: T) {
        self.of.retain(|(of, _)| of != sheet);
        self.bytes = self.of.iter().map(|(of, _)| of.bytes()).sum();
        while self.of.len() >= SHEETS_MAX || self.bytes.saturating_add(sheet.bytes()) > SHEETS_BYTES_MAX {
            let Some((oldest, _)) = self.of.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
        }
        self.bytes = self.bytes.saturating_add(sheet.bytes());
        self.of.push_back((sheet.clone(), what));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Remembered::default();
    }
}

/// The pages that one server gave, to be known again by their bytes: what was read of them need not be read again.
#[derive(Debug, Default)]
pub struct Sheets(RwLock<Remembered<()>>);

impl Sheets {
    /// The sheet of these very bytes: one that is known, or a new one.
    ///
    /// # Errors
    /// As for [`Sheet::read`]; such a page is not remembered.
    pub(crate) fn read(&self, kind: ListKind, server: &ServerId, array: &Json) -> Result<Sheet, BadMessage> {
        if let Some(known) = self.known(kind, server, array) {
            return Ok(known);
        }
        // Bytes of its own: a slice would keep the whole message in memory.
        let sheet = Sheet::read(kind, server, array.detached())?;
        self.0.write().unwrap_or_else(PoisonError::into_inner).put(&sheet, ());
        Ok(sheet)
    }

    /// The page that a text begins with, if one is known.
    pub(crate) fn begun(&self, text: &[u8]) -> Option<Known> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.of.iter().filter_map(|(sheet, ())| sheet.0.known.as_ref()).find(|known| known.begins(text)).cloned()
    }

    fn known(&self, kind: ListKind, server: &ServerId, array: &Json) -> Option<Sheet> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.of.iter().find(|(sheet, ())| sheet.is_of(kind, server, array)).map(|(sheet, ())| sheet.clone())
    }
}

/// LIMIT: sheets that are remembered in one place.
pub const SHEETS_MAX: usize = 256;
/// LIMIT: bytes that they have together.
pub const SHEETS_BYTES_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json::Limits;

    fn json(text: &str) -> Json {
        Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON")
    }

    fn server(name: &str) -> ServerId {
        ServerId::parse(name).expect("a name")
    }

    fn read(array: &str) -> Sheet {
        Sheet::read(ListKind::Tools, &server("files"), json(array)).expect("a sheet")
    }

    #[test]
    fn the_same_bytes_of_the_same_list_are_the_same_sheet_and_nothing_else_is() {
        let sheets = Sheets::default();
        let read = |kind, of: &str, array: &str| sheets.read(kind, &server(of), &json(array)).expect("a sheet");
        let first = read(ListKind::Tools, "files", r#"[{"name":"a"},{"name":"b"}]"#);
        assert_eq!(read(ListKind::Tools, "files", r#"[{"name":"a"},{"name":"b"}]"#), first);
        for other in [
            read(ListKind::Prompts, "files", r#"[{"name":"a"},{"name":"b"}]"#),
            read(ListKind::Tools, "notes", r#"[{"name":"a"},{"name":"b"}]"#),
            read(ListKind::Tools, "files", r#"[{"name":"b"},{"name":"a"}]"#),
            read(ListKind::Tools, "files", r#"[{"name":"a"},{"name":"b" }]"#),
            read(ListKind::Tools, "files", r#"[{"name":"a"}]"#),
        ] {
            assert_ne!(other, first);
        }
        assert_eq!(read(ListKind::Tools, "files", r#"[{"name":"a"},{"name":"b"}]"#), first);
    }

    #[test]
    fn a_page_that_is_wrong_is_wrong_each_time() {
        let sheets = Sheets::default();
        for _ in 0..2 {
            assert!(sheets.read(ListKind::Tools, &server("files"), &json(r#"[{"title":"a"}]"#)).is_err());
            assert!(sheets.read(ListKind::Tools, &server("files"), &json("{}")).is_err());
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_in_number_and_bytes_and_the_oldest_goes_first() {
        let sheets: Vec<Sheet> = (0..=SHEETS_MAX).map(|_| read("[]")).collect();
        let mut remembered = Remembered::default();
        sheets.iter().enumerate().for_each(|(number, sheet)| remembered.put(sheet, number));
        assert_eq!(remembered.of(&sheets[0]), None);
        assert_eq!((remembered.of(&sheets[1]), remembered.of(&sheets[SHEETS_MAX])), (Some(&1), Some(&SHEETS_MAX)));
        remembered.put(&sheets[1], 7);
        assert_eq!((remembered.of(&sheets[1]), remembered.of(&sheets[2])), (Some(&7), Some(&2)));

        let long = |bytes: usize| {
            let array = Json::text(&"x".repeat(bytes - 2));
            Sheet(Arc::new(Read {
                kind: ListKind::Tools,
                server: server("files"),
                array,
                known: None,
                items: Vec::new(),
                plain: OnceLock::new(),
            }))
        };
        let (half, rest, one) = (long(SHEETS_BYTES_MAX / 2), long(SHEETS_BYTES_MAX / 2), long(2));
        let mut remembered = Remembered::default();
        remembered.put(&half, ());
        remembered.put(&rest, ());
        assert!(remembered.of(&half).is_some() && remembered.of(&rest).is_some());
        remembered.put(&one, ());
        assert!(remembered.of(&half).is_none() && remembered.of(&rest).is_some() && remembered.of(&one).is_some());
        remembered.put(&long(SHEETS_BYTES_MAX + 1), ());
        assert_eq!((remembered.of.len(), remembered.bytes), (0, 0));
    }

    #[test]
    fn a_sheet_is_plainly_visible_if_all_of_it_is() {
        assert!(read(r#"[{"name":"a"}]"#).is_plainly_visible());
        assert!(!read("[{\"name\":\"a\u{200b}\"}]").is_plainly_visible());
    }
}
