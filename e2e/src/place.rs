//! Where the build put things.

use std::path::PathBuf;

use anyhow::Context as _;

/// A binary of this workspace, next to the one that runs.
///
/// # Errors
/// When it was not built.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let path = profile_folder()?.join(name);
    anyhow::ensure!(
        path.is_file(),
        "{} is missing: run `cargo xtask test`, or `cargo build --release --workspace --bins`",
        path.display()
    );
    Ok(path)
}

/// The folder with the real clients and servers that `cargo xtask peers` installs.
///
/// # Errors
/// When the running binary lies in no build folder.
pub fn peers() -> anyhow::Result<PathBuf> {
    let profile = profile_folder()?;
    let target = profile.parent().context("the build folder has no parent")?;
    Ok(target.join("peers"))
}

/// A file of this package's sources.
#[must_use]
pub fn source(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// `target/release`: tests run from its `deps`, binaries from itself.
fn profile_folder() -> anyhow::Result<PathBuf> {
    let running = std::env::current_exe().context("the running binary has no path")?;
    let folder = running.parent().context("the running binary lies in no folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().context("deps has no parent")? } else { folder };
    Ok(folder.to_path_buf())
}
