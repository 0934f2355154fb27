//! Honest servers notice nothing: those that the protocol's makers publish.

use sekisho_e2e::servers;

use crate::house::Folder;

#[test]
fn what_the_reference_servers_offer_is_approved_whole_and_stays_approved() {
    let (root, repository) = (servers::folder().expect("a folder"), servers::repository().expect("a repository"));
    let tables = [
        servers::everything_from_npm("everything"),
        servers::filesystem("filesystem", root.path()),
        servers::memory("memory", root.path()),
        servers::git("git", repository.path()),
        servers::time("time"),
        servers::fetch("fetch", "http://127.0.0.1:9"),
    ];
    let tables: Vec<String> = tables.into_iter().map(|table| table.expect("the peers")).collect();
    let folder = Folder::new(&tables.join("\n"));
    let locked = folder.sekisho(&["lock", "--yes"]);
    assert!(locked.status.success(), "{} {}", locked.out, locked.err);
    assert!(!locked.out.contains("WITHHELD"), "no rule withholds an honest definition: {}", locked.out);
    let checked = folder.sekisho(&["lock", "--check"]);
    assert!(checked.status.success(), "{} {}", checked.out, checked.err);
}
