//! What it costs to look at a definition, on one core: `cargo bench -p sekisho-catalog`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench ends where something is not as it should be")]

use divan::Bencher;
use sekisho_catalog::{Neighbours, Rules};
use sekisho_wire::{Json, ListKind, ServerId};

fn main() {
    divan::main();
}

fn server(name: &str) -> ServerId {
    ServerId::parse(name).expect("a server's name")
}

/// What an honest tool says, in words that the rules know.
const ENGLISH: &str = "Search the files of the workspace and return the lines that match. You must pass the path as an absolute one; \
    use `list_files` first if you do not know it. Results include the content of each line, so that no other tool is needed.\n";
const JAPANESE: &str = "作業フォルダのファイルを検索し、一致した行を返します。パスは絶対パスで指定してください。結果には各行の内容が含まれます。\n";

fn definition(sentences: &str, kib: usize) -> Json {
    let text: String =
        sentences.chars().cycle().take(kib * 1024 * sentences.chars().count() / sentences.len()).collect();
    let definition = Json::empty_object().with("name", &Json::text("search_files"));
    definition.with("description", &Json::text(&text))
}

fn neighbours(count: usize) -> Neighbours {
    let (own, other) = (server("own"), server("other"));
    let names: Vec<String> = (0..count).map(|number| format!("fetch_record_of_{number}")).collect();
    Neighbours::new(&own, names.iter().map(|name| (&other, ListKind::Tools, &**name)))
}

/// A description, in KiB.
#[divan::bench(args = [4, 64, 256])]
fn english(bencher: Bencher<'_, '_>, kib: usize) {
    let (definition, neighbours) = (definition(ENGLISH, kib), neighbours(1_000));
    bencher.bench_local(|| Rules::standard().look(ListKind::Tools, &definition, &neighbours));
}

/// The same in a script without blanks.
#[divan::bench(args = [4, 64, 256])]
fn japanese(bencher: Bencher<'_, '_>, kib: usize) {
    let (definition, neighbours) = (definition(JAPANESE, kib), neighbours(1_000));
    bencher.bench_local(|| Rules::standard().look(ListKind::Tools, &definition, &neighbours));
}

/// What others offer, made ready to be compared with.
#[divan::bench(args = [100, 10_000])]
fn known_names(bencher: Bencher<'_, '_>, count: usize) {
    bencher.bench_local(|| neighbours(count));
}
