//! What a program is, and where what it needs lies.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The program that a script names in its first line. None: it is no script.
pub(crate) fn interpreter(program: &Path, search: Option<&str>) -> Option<PathBuf> {
    let mut head = Vec::new();
    File::open(program).ok()?.take(HEAD_BYTES_MAX).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_whitespace();
    let named = Path::new(words.next()?);
    if named.file_name()? != "env" {
        return Some(named.to_owned());
    }
    let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    let folders = search.unwrap_or_default().split(':').map(Path::new).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The folders that a program's own parts lie in: above its `bin`, as it is called and as it is; and of a virtual environment, the
/// interpreter's that it stands on. None where it is the system's.
pub(crate) fn prefixes(program: &Path, is_changed: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let canonical = program.canonicalize().ok();
    let mut prefixes: Vec<PathBuf> =
        [Some(program.to_owned()), canonical].iter().flatten().filter_map(|path| prefix(path)).collect();
    // What a server may write tells nothing about what it may read.
    let told = prefixes.iter().filter(|prefix| !is_changed(prefix));
    let environments: Vec<PathBuf> = told.filter_map(|prefix| beneath(prefix)).collect();
    prefixes.extend(environments);
    prefixes.sort();
    prefixes.dedup();
    prefixes
}

fn prefix(program: &Path) -> Option<PathBuf> {
    let bin = program.parent().filter(|folder| folder.ends_with("bin") || folder.ends_with("Scripts"))?;
    let prefix = bin.parent()?;
    let is_shared = SHARED.iter().any(|shared| Path::new(shared) == prefix) || prefix.ends_with(".local");
    // Else it is a folder of the user's, of which `bin` is but one.
    let is_installed = PARTS.iter().any(|part| prefix.join(part).exists());
    (is_installed && !is_shared).then(|| prefix.to_owned())
}

/// What a virtual environment stands on: `home = …/bin` in its `pyvenv.cfg` (PEP 405).
fn beneath(environment: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(environment.join("pyvenv.cfg")).ok()?;
    let home = text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "home").then(|| PathBuf::from(value.trim()))
    })?;
    let canonical = home.join("python3").canonicalize().ok();
    canonical.and_then(|program| prefix(&program)).or_else(|| prefix(&home.join("python3")))
}

/// The project that a script belongs to: the modules beside it, or the nearest folder that says it is one. A script of no project is
/// shown with its folder, unless that is where people keep everything.
pub(crate) fn projects(script: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let canonical = script.canonicalize().ok();
    let both = [Some(script.to_owned()), canonical];
    let mut projects: Vec<PathBuf> = both.iter().flatten().filter_map(|script| project(script, home)).collect();
    projects.sort();
    projects.dedup();
    projects
}

fn project(script: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let is_home = |folder: &Path| home.is_some_and(|home| home.starts_with(folder));
    let folders = || script.ancestors().skip(1).take_while(|folder| !is_home(folder)).take(DEPTH_MAX);
    // The outermost: what a module uses is often kept beside it.
    if let Some(modules) = folders().filter(|folder| folder.ends_with("node_modules")).last() {
        return Some(modules.to_owned());
    }
    if let Some(prefix) = prefix(script).filter(|prefix| prefix.join("pyvenv.cfg").is_file()) {
        return Some(prefix);
    }
    let is_project = |folder: &&Path| MARKS.iter().any(|mark| folder.join(mark).is_file());
    if let Some(project) = folders().find(is_project) {
        return Some(project.to_owned());
    }
    let folder = script.parent()?;
    let is_heap = is_home(folder) || home.is_some_and(|home| folder.parent() == Some(home)) || folder.ends_with("bin");
    Some(if is_heap { script.to_owned() } else { folder.to_owned() })
}

/// Prefixes that many programs share.
const SHARED: [&str; 4] = ["/", "/usr", "/usr/local", "/opt"];
/// Files that stand at the root of a project.
const MARKS: [&str; 5] = ["package.json", "pyproject.toml", "setup.py", "deno.json", "requirements.txt"];
/// What lies beside the `bin` of a program that was installed: libraries, the mark of a virtual environment, that of a package.
const PARTS: [&str; 4] = ["lib", "lib64", "pyvenv.cfg", "package.json"];
const HEAD_BYTES_MAX: u64 = 256;
/// LIMIT: folders above a script that are looked at.
const DEPTH_MAX: usize = 32;
