//! What reached the server, line by line, for whoever judges by it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

/// A file that several processes append to.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    server: String,
}

impl Journal {
    /// Opens it for a server.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn open(path: &Path, server: &str) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, server: server.to_owned() })
    }

    /// A call arrived.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn call(&mut self, face: &str, (method, name): (&str, &str), arguments: &Value) -> anyhow::Result<()> {
        let server = &self.server;
        self.write(&json!({"server": server, "face": face, "method": method, "name": name, "arguments": arguments}))
    }

    /// The server does something of its own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn effect(&mut self, effect: &Value) -> anyhow::Result<()> {
        self.write(&json!({"server": self.server, "effect": effect}))
    }

    /// One write for each line: those of other processes do not come between.
    fn write(&mut self, line: &Value) -> anyhow::Result<()> {
        Ok(self.file.write_all(format!("{line}\n").as_bytes())?)
    }
}
