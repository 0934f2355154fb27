//! Where things are.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The repository and its build folder.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    target: PathBuf,
}

impl Place {
    /// The repository that this program was built from, and the folder that it was built in: that is where cargo puts the rest, too,
    /// whatever `CARGO_TARGET_DIR` or a configuration file says.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask …`")?;
        let root = Path::new(&manifest).parent().context("xtask lies in no folder")?.to_path_buf();
        let running = std::env::current_exe().context("the running binary has no path")?;
        let profile =
            running.parent().filter(|folder| !folder.ends_with("deps")).or_else(|| running.parent()?.parent());
        let target =
            profile.and_then(Path::parent).context("the running binary lies in no build folder")?.to_path_buf();
        Ok(Self { root, target })
    }

    /// The root of the repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the real clients and servers.
    pub(crate) fn peers(&self) -> PathBuf {
        self.target.join("peers")
    }

    /// A binary of the release build.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.binary_of("release", name)
    }

    /// A binary of a build with this profile.
    pub(crate) fn binary_of(&self, profile: &str, name: &str) -> PathBuf {
        self.target.join(profile).join(name)
    }
}
