//! A root of its own: empty, then what the plan shows, then nothing of what it hides.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, symlinkat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::kernel::set_attributes;
use super::names::INSIDE;
use crate::plan::{Access, Link, Plan};

/// Builds it and makes it the root.
pub(crate) fn build(plan: &Plan) -> io::Result<()> {
    at("make mounts private", mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC))?;
    // Before anything is covered.
    let views = plan.views.iter().map(|view| Ok((view, tree(&view.path)?))).collect::<io::Result<Vec<_>>>()?;
    let devices = DEVICES.iter().filter_map(|name| Some((name, tree(&format!("/dev/{name}")).ok()?)));
    let devices: BTreeMap<_, _> = devices.collect();
    let own_home = tree(&plan.own_home)?;
    let root =
        at("make the root", memory(plan, "755", MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV))?;
    let cover = COVERED
        .iter()
        .find(|path| Path::new(path).is_dir())
        .ok_or_else(|| io::Error::other("no folder to build in"))?;
    at("attach the root", attach(&root, &open_folder(cover)?))?;

    skeleton(plan, root.as_fd())?;
    let home = place(root.as_fd(), &plan.home, Kind::Folder)?;
    attach_with(&own_home, &home, WRITABLE)?;
    let shown = views.iter().map(|(view, tree)| (view.path.as_str(), Some((view.access, tree))));
    let mut all: Vec<_> = shown.chain(plan.hidden.iter().map(|path| (path.as_str(), None))).collect();
    // Parents before what lies in them; what is hidden covers what is shown at the same place.
    all.sort_by_key(|(path, shown)| (*path, shown.is_none()));
    let mut empty = Vec::new();
    for (number, (path, shown)) in all.into_iter().enumerate() {
        let what = |error: io::Error| io::Error::new(error.kind(), format!("`{path}`: {error}"));
        match shown {
            Some((access, tree)) => {
                show(root.as_fd(), path, tree, access, || copy(root.as_fd(), cover, number, path)).map_err(what)?
            }
            None => empty.extend(hide(root.as_fd(), path).map_err(what)?),
        }
    }
    for Link { from, to } in &plan.links {
        link(root.as_fd(), from, to)?;
    }
    for (name, tree) in devices {
        let target = place(root.as_fd(), &format!("/dev/{name}"), Kind::File)?;
        attach_with(
            &tree,
            &target,
            u64::from(MountAttrFlags::MOUNT_ATTR_NOSUID.bits() | MountAttrFlags::MOUNT_ATTR_NOEXEC.bits()),
        )?;
    }
    let processes = at("make /proc", processes())?;
    attach(&processes, &place(root.as_fd(), "/proc", Kind::Folder)?)?;
    for folder in &empty {
        at("lock what hides", set_attributes_of_one(folder))?;
    }
    at("lock the root", set_attributes_of_one(&root))?;

    at("enter the root", fchdir(&root))?;
    at("pivot", pivot_root(".", "."))?;
    at("let go of the machine's root", unmount(".", UnmountFlags::DETACH))?;
    at("go to the root", chdir("/"))
}

/// Folders and files that every program expects.
fn skeleton(plan: &Plan, root: BorrowedFd<'_>) -> io::Result<()> {
    let loose = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    for (path, mode) in [("/tmp", "1777"), ("/dev/shm", "1777"), ("/run", "755"), ("/var/tmp", "1777")] {
        let folder = at("make a temporary folder", memory(plan, mode, loose | MountAttrFlags::MOUNT_ATTR_NOEXEC))?;
        attach(&folder, &place(root, path, Kind::Folder)?)?;
    }
    for (path, text) in [
        (
            "/etc/passwd",
            format!(
                "server:x:{INSIDE}:{INSIDE}:MCP server:{}:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
                plan.home
            ),
        ),
        ("/etc/group", format!("server:x:{INSIDE}:\nnogroup:x:65534:\n")),
        ("/etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n".to_owned()),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n".to_owned()),
        ("/etc/resolv.conf", String::new()),
        ("/etc/hostname", "sandbox\n".to_owned()),
    ] {
        write(root, path, &text)?;
    }
    for (from, to) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        link(root, from, to)?;
    }
    Ok(())
}

fn show(
    root: BorrowedFd<'_>,
    path: &str,
    tree: &OwnedFd,
    access: Access,
    copy: impl FnOnce() -> io::Result<OwnedFd>,
) -> io::Result<()> {
    let is_folder = FileType::from_raw_mode(rustix::fs::fstat(tree)?.st_mode) == FileType::Directory;
    let target = place(root, path, if is_folder { Kind::Folder } else { Kind::File })?;
    match access {
        Access::Read => attach_with(tree, &target, READABLE),
        Access::Write => attach_with(tree, &target, WRITABLE),
        // Where the kernel gives no copies, it is shown as it is and cannot be changed.
        Access::Copy => match copy() {
            Ok(copy) => attach(&copy, &target),
            Err(_) => attach_with(tree, &target, READABLE),
        },
    }
}

/// A view that can be changed without a change of what lies beneath: an overlay whose upper half is memory.
fn copy(root: BorrowedFd<'_>, cover: &str, number: usize, path: &str) -> io::Result<OwnedFd> {
    let (upper, work) = (format!("/.copies/{number}/upper"), format!("/.copies/{number}/work"));
    place(root, &upper, Kind::Folder)?;
    place(root, &work, Kind::Folder)?;
    let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    // A colon would end the path, and a backslash shields what follows it.
    let escaped = path.replace('\\', "\\\\").replace(':', "\\:");
    fsconfig_set_string(&overlay, "lowerdir", escaped)?;
    fsconfig_set_string(&overlay, "upperdir", format!("{cover}{upper}"))?;
    fsconfig_set_string(&overlay, "workdir", format!("{cover}{work}"))?;
    rustix::mount::fsconfig_set_flag(&overlay, "userxattr")?;
    fsconfig_create(&overlay)?;
    let loose = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, loose)?)
}

/// Covers a file or folder with nothing. A folder is locked once what is shown in it is there.
fn hide(root: BorrowedFd<'_>, path: &str) -> io::Result<Option<OwnedFd>> {
    // What is not there needs no cover: it lies in something that is hidden itself.
    let target = match walk(root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        target => target?,
    };
    let is_folder = FileType::from_raw_mode(rustix::fs::fstat(&target)?.st_mode) == FileType::Directory;
    if is_folder {
        let empty = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&empty, "size", "64k")?;
        fsconfig_set_string(&empty, "mode", "755")?;
        fsconfig_create(&empty)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let empty = fsmount(&empty, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        attach(&empty, &target)?;
        return Ok(Some(empty));
    }
    let nothing = place(root, "/.nothing", Kind::File)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    attach_with(&open_tree(&nothing, "", flags)?, &target, READABLE)?;
    Ok(None)
}

/// The processes of the namespace. Read only: who was the superuser outside could otherwise set what is the machine's.
fn processes() -> io::Result<OwnedFd> {
    let processes = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&processes)?;
    let strict = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(&processes, FsMountFlags::FSMOUNT_CLOEXEC, strict)?)
}

fn memory(plan: &Plan, mode: &str, attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let memory = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let bytes = plan.bounds.file_bytes_max.min(plan.bounds.memory_bytes_max / 2).min(TEMPORARY_BYTES_MAX);
    fsconfig_set_string(&memory, "size", bytes.to_string())?;
    fsconfig_set_string(&memory, "nr_inodes", TEMPORARY_FILES_MAX)?;
    fsconfig_set_string(&memory, "mode", mode)?;
    fsconfig_create(&memory)?;
    Ok(fsmount(&memory, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// What is at a path. It has no link in it since the plan was made, or is not shown: nobody else decides where it leads.
fn tree(path: &str) -> io::Result<OwnedFd> {
    let found = || {
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let place = openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_EMPTY_PATH;
        open_tree(&place, "", flags)
    };
    found().map_err(|error| io::Error::new(io::Error::from(error).kind(), format!("`{path}`: {error}")))
}

fn attach(mount: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", target, "", flags)?)
}

fn attach_with(mount: &OwnedFd, target: &OwnedFd, attributes: u64) -> io::Result<()> {
    set_attributes(mount, attributes)?;
    attach(mount, target)
}

/// The root alone: what lies in it has its own attributes.
fn set_attributes_of_one(root: &OwnedFd) -> io::Result<()> {
    super::kernel::set_attributes_of_one(root, READ_ONLY)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
}

/// The place of a path under the root, made where it is missing. No symbolic link is followed: what lies in a server's own home may
/// have been put there by the server, to lead the next start astray.
fn place(root: BorrowedFd<'_>, path: &str, kind: Kind) -> io::Result<OwnedFd> {
    let mut here = open_beneath(root, ".")?;
    let mut parts = names(path).peekable();
    while let Some(name) = parts.next() {
        let is_file = kind == Kind::File && parts.peek().is_none();
        here = match open_beneath(here.as_fd(), name) {
            Err(Errno::NOENT) if is_file => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                by_now(openat(&here, name, flags, Mode::from_raw_mode(0o644)).map(drop))?;
                open_beneath(here.as_fd(), name)?
            }
            Err(Errno::NOENT) => {
                by_now(mkdirat(&here, name, Mode::from_raw_mode(0o755)))?;
                open_beneath(here.as_fd(), name)?
            }
            opened => opened?,
        };
    }
    Ok(here)
}

/// Made, by this process or by another that starts the same server.
fn by_now(made: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match made {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

/// The place of a path that is there.
fn walk(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let here = open_beneath(root, ".")?;
    names(path).try_fold(here, |here, name| Ok(open_beneath(here.as_fd(), name)?))
}

fn open_beneath(folder: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(folder, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

fn open_folder(path: &str) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    Path::new(path).components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        Component::RootDir | Component::CurDir | Component::ParentDir | Component::Prefix(_) => None,
    })
}

fn write(root: BorrowedFd<'_>, path: &str, text: &str) -> io::Result<()> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = place(root, folder, Kind::Folder)?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(&folder, name, flags, Mode::from_raw_mode(0o644))?;
    io::Write::write_all(&mut std::fs::File::from(file), text.as_bytes())
}

/// A symbolic link, unless something of this name is shown already.
fn link(root: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
    let (folder, name) = from.rsplit_once('/').unwrap_or(("", from));
    let folder = match place(root, folder, Kind::Folder) {
        Ok(folder) => folder,
        // Its folder is itself behind a link, or nothing can be made there: then it is there anyway, or cannot be.
        Err(_) => return Ok(()),
    };
    match symlinkat(to, &folder, name) {
        Ok(()) | Err(Errno::EXIST | Errno::ROFS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Says what failed.
fn at<T>(what: &str, done: Result<T, impl Into<io::Error>>) -> io::Result<T> {
    done.map_err(|error| {
        let error: io::Error = error.into();
        io::Error::new(error.kind(), format!("{what}: {error}"))
    })
}

/// Where the root is built, over something that nothing is shown of.
const COVERED: [&str; 3] = ["/sys", "/proc", "/mnt"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const READ_ONLY: u64 = 0x1;
const NO_SET_USER: u64 = 0x2;
const NO_DEVICES: u64 = 0x4;
const READABLE: u64 = READ_ONLY | NO_SET_USER | NO_DEVICES;
const WRITABLE: u64 = NO_SET_USER | NO_DEVICES;
/// LIMIT: of a folder in memory.
const TEMPORARY_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// LIMIT: of files in a folder in memory.
const TEMPORARY_FILES_MAX: &str = "100000";
