//! What was decided of whole pages, kept by all that the decisions depend on: the page itself, and for each slice of policies that its
//! items meet what that slice reads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sekisho_wire::{Remembered, Sheet};

use crate::ForbidReason;
use crate::slice::Slice;

/// The items of a page that are withheld: where each stands, and why.
pub(crate) type Refused = Arc<[(usize, ForbidReason)]>;

/// The pages that one set of policies met. They are forgotten with it.
#[derive(Default)]
pub(crate) struct Pages(RwLock<Remembered<Arc<Page>>>);

/// One page.
pub(crate) struct Page {
    /// The slices that its items meet, each once.
    pub(crate) slices: Vec<Arc<Slice>>,
    bytes_max: usize,
    decided: Mutex<Decided>,
}

/// By all that they depend on beside the page.
#[derive(Default)]
struct Decided {
    by_key: HashMap<Vec<u8>, Refused>,
    bytes: usize,
}

impl Pages {
    /// The page of a sheet; `slices` finds those of its items. None if they are too many, or not to be had.
    pub(crate) fn of(&self, sheet: &Sheet, slices: impl FnOnce() -> Option<Vec<Arc<Slice>>>) -> Option<Arc<Page>> {
        if let Some(page) = self.0.read().unwrap_or_else(PoisonError::into_inner).of(sheet) {
            return Some(Arc::clone(page));
        }
        let page = Arc::new(Page::new(slices()?, sheet.bytes()));
        self.0.write().unwrap_or_else(PoisonError::into_inner).put(sheet, Arc::clone(&page));
        Some(page)
    }
}

impl Page {
    fn new(slices: Vec<Arc<Slice>>, sheet_bytes: usize) -> Page {
        let bytes_max = BYTES_LEAST.saturating_add(sheet_bytes.saturating_mul(BYTES_PER_BYTE));
        Page { slices, bytes_max, decided: Mutex::default() }
    }

    pub(crate) fn recall(&self, key: &[u8]) -> Option<Refused> {
        self.decided.lock().unwrap_or_else(PoisonError::into_inner).by_key.get(key).map(Arc::clone)
    }

    /// Keeps what was decided. When there is no room for more, all goes: what is still asked comes back.
    pub(crate) fn keep(&self, key: Vec<u8>, refused: &Refused) {
        let bytes = key.len().saturating_add(size_of_val::<[_]>(refused)).saturating_add(OVERHEAD);
        if bytes > self.bytes_max {
            return;
        }
        let mut decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
        // Two may have decided the same at once.
        if decided.by_key.contains_key(&key) {
            return;
        }
        if decided.bytes.saturating_add(bytes) > self.bytes_max {
            *decided = Decided::default();
        }
        decided.bytes = decided.bytes.saturating_add(bytes);
        decided.by_key.insert(key, Arc::clone(refused));
    }
}

/// LIMIT: slices that the items of one page meet.
pub(crate) const SLICES_MAX: usize = 16;
/// LIMIT: what the decisions about one page may take in any case, in bytes.
const BYTES_LEAST: usize = 64 * 1024;
/// LIMIT: what they may take more, for each byte of the page.
const BYTES_PER_BYTE: usize = 4;
/// What one takes beside its key and what it withholds, about.
const OVERHEAD: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_of_a_page_is_bounded() {
        let page = Page::new(Vec::new(), 0);
        let none: Refused = Vec::new().into();
        let key = |number: usize| number.to_be_bytes().to_vec();
        let fit = BYTES_LEAST / (OVERHEAD + size_of::<usize>());
        for number in 0..fit {
            page.keep(key(number), &none);
            page.keep(key(number), &none);
        }
        assert!(page.recall(&key(0)).is_some() && page.recall(&key(fit)).is_none());
        page.keep(key(fit), &none);
        assert!(page.recall(&key(0)).is_none() && page.recall(&key(fit)).is_some(), "all goes, and room is made");
        page.keep(vec![0; BYTES_LEAST - OVERHEAD], &none);
        assert!(page.recall(&vec![0; BYTES_LEAST - OVERHEAD]).is_some());
        page.keep(vec![0; BYTES_LEAST - OVERHEAD + 1], &none);
        assert!(page.recall(&vec![0; BYTES_LEAST - OVERHEAD + 1]).is_none());
    }
}
