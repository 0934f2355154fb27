//! Installs the real MCP clients and servers, at the versions that `e2e/peers` pins, and what they are compared with.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::place::Place;
use crate::run::{exists, run};

/// Installs what is missing or outdated. A folder counts as installed once its stamp holds the manifests it was made from.
///
/// # Errors
/// When a tool is missing, or an installation fails.
pub(crate) fn install(place: &Place) -> anyhow::Result<()> {
    check_tools()?;
    let peers = place.peers();
    fs::create_dir_all(&peers).with_context(|| format!("{} cannot be made", peers.display()))?;
    // Two runs at once must not install into each other.
    let lock = File::create(peers.join("lock"))?;
    lock.lock().context("the lock of the peers folder cannot be taken")?;
    npm(&place.root().join("e2e/peers/npm"), &peers.join("npm"))?;
    python(&place.root().join("e2e/peers/requirements.txt"), &peers.join("py"))?;
    apt(&place.root().join("e2e/peers/apt.txt"), &peers.join("apt"))
}

/// Says what is missing before anything fails halfway.
fn check_tools() -> anyhow::Result<()> {
    let tools = [
        ("node", &["--version"][..], "Node.js 18 or newer (any package manager has it)"),
        ("npm", &["--version"], "npm, which comes with Node.js"),
        ("python3", &["-c", "import venv, ensurepip"], "Python 3.10 or newer with venv (Debian: python3-venv)"),
        ("apt-get", &["--version"], "apt-get, as Debian and Ubuntu have it: nginx is taken from their packages"),
        ("dpkg", &["--version"], "dpkg, which comes with apt-get"),
    ];
    let missing: Vec<_> = tools.iter().filter(|(program, arguments, _)| !exists(program, arguments)).collect();
    let list: Vec<_> = missing.iter().map(|(program, _, what)| format!("  {program}: {what}")).collect();
    anyhow::ensure!(
        missing.is_empty(),
        "the tests run against real MCP clients and servers, and need:\n{}",
        list.join("\n")
    );
    Ok(())
}

fn npm(manifests: &Path, folder: &Path) -> anyhow::Result<()> {
    let names = ["package.json", "package-lock.json", ".npmrc"];
    let stamp = stamp(&names.map(|name| manifests.join(name)))?;
    if is_installed(folder, &stamp) {
        return Ok(());
    }
    start_afresh(folder)?;
    for name in names {
        fs::copy(manifests.join(name), folder.join(name))?;
    }
    run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder), LIMIT)?;
    let node = folder.join("node_modules/node/bin/node");
    anyhow::ensure!(node.is_file(), "npm did not install {}: does it run install scripts?", node.display());
    seal(folder, &stamp)
}

fn python(requirements: &Path, folder: &Path) -> anyhow::Result<()> {
    let stamp = stamp(&[requirements.to_path_buf()])?;
    if is_installed(folder, &stamp) {
        return Ok(());
    }
    start_afresh(folder)?;
    run(Command::new("python3").args(["-m", "venv"]).arg(folder), LIMIT)?;
    let mut pip = Command::new(folder.join("bin/python"));
    // Every package is pinned, so nothing is left to resolve.
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "-r"])
        .arg(requirements);
    run(&mut pip, LIMIT)?;
    run(Command::new(folder.join("bin/python")).args(["-m", "pip", "check"]), LIMIT)?;
    seal(folder, &stamp)
}

/// Unpacks Debian packages without installing them, so that nobody has to be root. Their versions are not pinned: mirrors keep the
/// newest only. `versions` says which ones came.
fn apt(list: &Path, folder: &Path) -> anyhow::Result<()> {
    let stamp = stamp(&[list.to_path_buf()])?;
    if is_installed(folder, &stamp) {
        return Ok(());
    }
    start_afresh(folder)?;
    let names = stamp.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    download(folder, &names.collect::<Vec<_>>())?;
    let packages = packages(folder)?;
    for package in &packages {
        run(Command::new("dpkg").arg("-x").arg(package).arg(folder), LIMIT)?;
        fs::remove_file(package)?;
    }
    let nginx = folder.join("usr/sbin/nginx");
    run(Command::new(&nginx).arg("-v"), LIMIT).context("nginx came, but does not run: does a library miss?")?;
    let versions = packages.iter().filter_map(|package| package.file_stem()?.to_str());
    fs::write(folder.join("versions"), versions.collect::<Vec<_>>().join("\n"))?;
    seal(folder, &stamp)
}

/// With the machine's lists of packages, or where these are missing or too old, with lists of our own.
fn download(folder: &Path, names: &[&str]) -> anyhow::Result<()> {
    // Whoever downloads as root drops to a user who may not write here; apt then says so, and goes on.
    let known = run(Command::new("apt-get").args(["--quiet=2", "download"]).args(names).current_dir(folder), LIMIT);
    if known.is_ok() {
        return known;
    }
    let state = tempfile::Builder::new().prefix("apt-").tempdir_in(folder)?;
    fs::create_dir_all(state.path().join("lists/partial"))?;
    fs::create_dir_all(state.path().join("archives/partial"))?;
    let apt = |verb: &str| {
        let option = |name: &str, value: &Path| format!("{name}={}", value.display());
        let mut command = Command::new("apt-get");
        command.args(["--quiet=2", "-o", &option("Dir::State::lists", &state.path().join("lists"))]);
        command.args(["-o", &option("Dir::Cache", state.path())]);
        // What is installed says nothing about what can be had.
        command.args(["-o", "Dir::State::status=/dev/null", verb]);
        command
    };
    run(&mut apt("update"), LIMIT).context("the lists of packages cannot be fetched")?;
    run(apt("download").args(names).current_dir(folder), LIMIT)
}

fn packages(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "deb")).collect())
}

fn stamp(manifests: &[PathBuf]) -> anyhow::Result<String> {
    let read = |path: &PathBuf| fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()));
    manifests.iter().map(read).collect()
}

fn is_installed(folder: &Path, stamp: &str) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == stamp)
}

fn start_afresh(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))
}

/// The last step, and a single one: an installation that was cut off has no stamp.
fn seal(folder: &Path, stamp: &str) -> anyhow::Result<()> {
    let draft = folder.join("stamp.draft");
    fs::write(&draft, stamp)?;
    Ok(fs::rename(draft, folder.join(STAMP))?)
}

const STAMP: &str = "stamp";

/// How long one installation may take.
const LIMIT: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_installed_only_with_the_stamp_of_these_manifests() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_installed(folder.path(), "a"));
        seal(folder.path(), "a").unwrap();
        assert!(is_installed(folder.path(), "a"));
        assert!(!is_installed(folder.path(), "b"));
        start_afresh(folder.path()).unwrap();
        assert!(!is_installed(folder.path(), "a"));
    }
}
