//! The fuzz corpus replayed through the function that libFuzzer calls, and what chance makes of it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    unreachable_pub,
    reason = "a test; clippy.toml permits this only within test functions"
)]

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[path = "../../../fuzz/src/gate.rs"]
mod targets;

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/gate");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder is part of the repository")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            (path.display().to_string(), fs::read(&path).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_gate_corpus_is_replayed() {
    let corpus = corpus();
    assert!(corpus.len() > 10);
    for (name, data) in corpus {
        eprintln!("{name}");
        targets::gate(&data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// One of the corpus with a stretch of it replaced, or a part of another behind it.
    #[test]
    fn what_holds_of_the_gate_corpus_holds_when_chance_has_changed_it(
        first in any::<prop::sample::Index>(),
        second in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        length in 0..8_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..8),
        splice in any::<bool>(),
    ) {
        let corpus = corpus();
        let mut data = corpus[first.index(corpus.len())].1.clone();
        let at = at.index(data.len());
        data.splice(at..(at + length).min(data.len()), bytes);
        if splice {
            data.truncate(at.max(1));
            data.extend_from_slice(&corpus[second.index(corpus.len())].1[1..]);
        }
        targets::gate(&data);
    }
}
