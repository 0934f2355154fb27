//! The incident museum: public incidents, played by a scripted agent that obeys whatever it reads, against scripted servers. Each has
//! to succeed without the gateway and to be stopped by it, and its benign twin has to pass unharmed.
//!
//! An exhibit is a folder of `museum/`; `museum/README.md` tells how one is made.

mod agent;
mod audit;
mod manifest;
mod play;
mod row;
mod stage;

pub use manifest::{Confidence, Exhibit, Manifest};
pub use play::{play, succeeds_alone};
pub use row::{Row, json, table};

use std::path::PathBuf;

use anyhow::Context as _;

use crate::place;

/// Every exhibit, in the order of their ids.
///
/// # Errors
/// When one is not as it should be; with its file and the reason.
pub fn exhibits() -> anyhow::Result<Vec<Exhibit>> {
    let folder = folder();
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    folders.iter().map(|folder| Exhibit::read(folder)).collect()
}

/// Where the exhibits are.
#[must_use]
pub fn folder() -> PathBuf {
    place::source("../museum")
}
