use sekisho_catalog::{Identity, Locked};
use sekisho_wire::ServerId;

use super::*;

fn file(folder: &Path) -> LockFile {
    LockFile { path: folder.join("sekisho.lock"), history: folder.join("data/locks") }
}

fn lock(url: &str) -> Lock {
    let mut lock = Lock::default();
    let identity = Identity::Http { url: url.into(), headers: Vec::new() };
    lock.put(ServerId::parse("web").unwrap(), Locked::new(identity));
    lock
}

#[test]
fn each_step_can_be_taken_back_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path());
    assert_eq!(file.read().unwrap(), None);
    let [one, two, three] = ["https://a/", "https://b/", "https://c/"].map(lock);
    file.write(&one, None).unwrap();
    file.write(&two, Some(&one)).unwrap();
    file.write(&three, Some(&two)).unwrap();
    assert_eq!(file.roll_back().unwrap(), two);
    assert_eq!(file.read().unwrap().as_ref(), Some(&two));
    assert_eq!(Lock::read(std::fs::read(dir.path().join("data/locks/undone.lock")).unwrap().into()), Ok(three));
    assert_eq!(file.roll_back().unwrap(), one);
    assert!(file.roll_back().unwrap_err().line().contains("no earlier lock file"));
    assert_eq!(file.read().unwrap(), Some(one));
}

#[test]
fn what_was_changed_meanwhile_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path());
    let [one, two] = ["https://a/", "https://b/"].map(lock);
    file.write(&one, None).unwrap();
    assert!(file.write(&two, None).unwrap_err().line().contains("was changed meanwhile"));
    assert_eq!(file.read().unwrap(), Some(one));
}

#[test]
fn earlier_ones_are_kept_up_to_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path());
    let locks: Vec<Lock> = (0..KEPT_MAX + 3).map(|n| lock(&format!("https://{n}/"))).collect();
    file.write(&locks[0], None).unwrap();
    for pair in locks.windows(2) {
        file.write(&pair[1], Some(&pair[0])).unwrap();
    }
    assert_eq!(file.kept().len(), KEPT_MAX);
    assert_eq!(file.roll_back().unwrap(), locks[KEPT_MAX + 1]);
}

#[test]
fn a_file_that_is_wrong_is_refused_at_its_place_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path());
    file.write(&lock("https://a/"), None).unwrap();
    let text = std::fs::read_to_string(file.path()).unwrap();
    std::fs::write(file.path(), text.replace("\"lockVersion\": 1", "\"lockVersion\": 9")).unwrap();
    let line = file.read().unwrap_err().line();
    assert!(line.contains("sekisho.lock:3:") && line.contains("version 9") && line.contains("SK0115"), "{line}");
    std::fs::write(file.path(), b"\xff\xfe").unwrap();
    assert!(file.read().unwrap_err().line().contains("invalid UTF-8"));
}

#[test]
fn a_step_is_taken_back_only_where_it_was_the_last_one_and_nothing_is_written_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path());
    let [one, two] = ["https://a/", "https://b/"].map(lock);
    file.write(&one, None).unwrap();
    file.write(&two, Some(&one)).unwrap();
    std::fs::write(file.path(), lock("https://c/").to_text()).unwrap();
    assert!(file.roll_back().unwrap_err().line().contains("was changed since by something else"));
    std::fs::write(file.path(), two.to_text()).unwrap();
    assert_eq!(file.roll_back().unwrap(), one);

    let precious = dir.path().join("precious");
    std::fs::write(&precious, "mine").unwrap();
    let beside = dir.path().join(format!("sekisho.lock.{}.next", std::process::id()));
    std::os::unix::fs::symlink(&precious, &beside).unwrap();
    assert!(file.write(&two, Some(&one)).is_err());
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine");
    assert_eq!(file.read().unwrap(), Some(one));
    assert!(file.kept().is_empty(), "what was not written takes no earlier one's place");
}
