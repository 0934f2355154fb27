//! Where symbolic links lie on the way to a path: whoever may change such a place decides where the path leads.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The folders, canonical, that hold the links which are followed to where `path` leads, one for each link.
pub(crate) fn crossings(path: &Path) -> Vec<PathBuf> {
    let mut rest = parts(path);
    let mut here = PathBuf::from("/");
    let mut found = Vec::new();
    while let Some(part) = rest.pop() {
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        match fs::read_link(&next) {
            Ok(target) if found.len() < LINKS_MAX => {
                found.push(here.clone());
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                rest.extend(parts(&target));
            }
            Ok(_) => return found,
            Err(_) => here = next,
        }
    }
    found
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.rev().collect()
}

/// LIMIT: links on the way to a path, as the kernel has it.
const LINKS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_is_found_where_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for folder in ["a/b", "c", "d"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        symlink(root.join("c/on"), root.join("a/b/link")).unwrap();
        symlink("../d", root.join("c/on")).unwrap();
        assert_eq!(crossings(&root.join("a/b/link/file")), [root.join("a/b"), root.join("c")]);
        assert_eq!(crossings(&root.join("a/b")), Vec::<PathBuf>::new());
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(crossings(&root.join("loop")).len(), LINKS_MAX);
    }
}
