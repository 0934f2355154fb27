//! The store against a map that does the same obvious things.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use sekisho_store::{Entry, PutError, Store, Table};

const TABLE: Table = Table::Revocations;
const ENTRIES_MAX: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<(u8, u8, u64)>),
    Remove(u8),
    Sweep(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec((0..7_u8, 0..3_u8, 0..9_u64), 0..4).prop_map(Step::Put),
        2 => (0..7_u8).prop_map(Step::Remove),
        2 => (0..9_u64).prop_map(Step::Sweep),
        1 => Just(Step::Reopen),
    ]
}

fn at(moment: u64) -> SystemTime {
    UNIX_EPOCH + Duration::new(moment / 3, u32::try_from(moment % 3).unwrap())
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Model(BTreeMap<Vec<u8>, (Vec<u8>, u64)>);

impl Model {
    /// All of them, or none where one finds no room.
    fn put(&mut self, rows: &[(u8, u8, u64)]) -> bool {
        let mut after = self.0.clone();
        for (key, value, until) in rows {
            let key = key_of(*key);
            if !after.contains_key(&key) && after.len() == ENTRIES_MAX {
                return false;
            }
            let kept = after.get(&key).map_or(0, |(_, until)| *until);
            after.insert(key, (value_of(*value), kept.max(*until)));
        }
        self.0 = after;
        true
    }

    fn sweep(&mut self, now: u64) -> usize {
        let before = self.0.len();
        self.0.retain(|_, (_, until)| *until >= now);
        before - self.0.len()
    }

    fn entries(&self) -> Vec<Entry> {
        let entry = |(key, (value, until)): (&Vec<u8>, &(Vec<u8>, u64))| Entry {
            key: key.clone(),
            value: value.clone(),
            until: at(*until),
        };
        self.0.iter().map(entry).collect()
    }
}

/// Of several lengths, one of them none.
fn key_of(key: u8) -> Vec<u8> {
    vec![key; usize::from(key)]
}

fn value_of(value: u8) -> Vec<u8> {
    vec![value; usize::from(value) * 5000]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn store_does_what_a_map_does(steps in prop::collection::vec(step(), 1..24)) {
        let home = tempfile::tempdir().unwrap();
        let open = || Store::open(&home.path().join("store.redb"), NonZeroU64::new(4).unwrap()).unwrap();
        let (mut store, mut model) = (open(), Model::default());
        for step in steps {
            match step {
                Step::Put(rows) => {
                    let entries: Vec<_> = rows
                        .iter()
                        .map(|(key, value, until)| Entry { key: key_of(*key), value: value_of(*value), until: at(*until) })
                        .collect();
                    match store.put_all(TABLE, &entries) {
                        Ok(()) => prop_assert!(model.put(&rows)),
                        Err(PutError::Full { .. }) => prop_assert!(!model.put(&rows)),
                        Err(error) => return Err(TestCaseError::fail(format!("{error:?}"))),
                    }
                }
                Step::Remove(key) => {
                    store.remove(TABLE, &key_of(key)).unwrap();
                    model.0.remove(&key_of(key));
                }
                Step::Sweep(now) => prop_assert_eq!(store.sweep(at(now)).unwrap(), model.sweep(now)),
                Step::Reopen => {
                    drop(store);
                    store = open();
                }
            }
            prop_assert!(store.all(TABLE).unwrap() == model.entries());
        }
    }
}
