//! Reading the lock file: strictly, and with the place of whatever is wrong.

use std::ops::Range;

use bytes::Bytes;
use sekisho_wire::json::{DecodeError, Kind, Limits};
use sekisho_wire::{Json, ListKind, ServerId};

use super::{FACES_MAX, Identity, Introduction, Lock, Locked, Pin, ProgramDigest};
use crate::change::{Flaw, noun};
use crate::definition::DefinitionDigest;

/// Why a lock file is refused, and where. Nothing of it is used then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct LockError {
    words: String,
    help: &'static str,
    at: Range<usize>,
}

impl LockError {
    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        self.help
    }

    /// The bytes of the file that it is about.
    #[must_use]
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }
}

impl Lock {
    /// Reads a lock file. Every definition must have the digest that stands beside it.
    ///
    /// # Errors
    /// [`LockError`], the first thing that is wrong.
    pub fn read(text: Bytes) -> Result<Lock, LockError> {
        let file = File { text: text.clone() };
        let lock = Json::decode(text.clone(), &LIMITS).map_err(|error| file.undecoded(&error))?;
        let version = file.member(&lock, "lockVersion")?;
        match version.number().and_then(|number| number.integer()) {
            Some(VERSION_NUMBER) => {}
            Some(newer) if newer > VERSION_NUMBER => {
                let words = format!("it is of version {newer}; this program reads version {VERSION_NUMBER}");
                return Err(file.wrong(&version, words, UPDATE));
            }
            Some(_) | None => return Err(file.wrong(&version, "it has no version that there ever was", BRING_BACK)),
        }
        file.only(&lock, &["about", "lockVersion", "servers"])?;
        let mut read = Lock::default();
        for (name, server) in file.object(&file.member(&lock, "servers")?)? {
            let id = ServerId::parse(&name).map_err(|error| file.wrong(&server, error.to_string(), BRING_BACK))?;
            let locked = file.server(&id, &server)?;
            read.servers.insert(id, locked);
        }
        Ok(read)
    }
}

/// The text that is read, for places in it.
struct File {
    text: Bytes,
}

impl File {
    fn server(&self, id: &ServerId, server: &Json) -> Result<Locked, LockError> {
        self.only(server, &["identity", "introduces", "tools", "prompts", "resources", "resourceTemplates"])?;
        let mut locked = Locked::new(self.identity(&self.member(server, "identity")?)?);
        if let Some(introductions) = server.get("introduces") {
            let read = self.array(&introductions)?;
            if read.len() > FACES_MAX {
                return Err(self.wrong(&introductions, format!("`{id}` introduces itself too often"), MERGED));
            }
            locked.introduce(read.iter().map(|written| self.introduction(id, written)).collect::<Result<_, _>>()?);
        }
        for kind in ListKind::ALL {
            let Some(pins) = server.get(kind.member()) else { continue };
            for written in self.array(&pins)? {
                let pin = self.pin(id, kind, &written)?;
                let (name, digest) = (pin.pinned.name().to_owned(), pin.pinned.digest());
                let faces = locked.of_mut(kind).entry(name.as_str().into()).or_default();
                if faces.len() >= FACES_MAX || faces.iter().any(|face| face.pinned.digest() == digest) {
                    let words = format!("the {} `{name}` of `{id}` stands too often", noun(kind));
                    return Err(self.wrong(&written, words, MERGED));
                }
                faces.push(pin);
            }
        }
        Ok(locked)
    }

    fn introduction(&self, id: &ServerId, written: &Json) -> Result<Introduction, LockError> {
        self.only(written, &["sha256", "accepted", "says"])?;
        let (digest, says) = (self.member(written, "sha256")?, self.member(written, "says")?);
        let accepted = written.get("accepted").map_or_else(|| Ok(Vec::new()), |accepted| self.texts(&accepted))?;
        let introduction = Introduction::read(&says, accepted);
        if digest.string().and_then(|digest| DefinitionDigest::parse(&digest)) == Some(introduction.digest()) {
            return Ok(introduction);
        }
        let words = format!("what `{id}` says of itself is not what was approved: its text does not have this digest");
        Err(self.wrong(&digest, words, EDITED))
    }

    fn pin(&self, id: &ServerId, kind: ListKind, written: &Json) -> Result<Pin, LockError> {
        self.only(written, &["sha256", "accepted", "definition"])?;
        let (digest, definition) = (self.member(written, "sha256")?, self.member(written, "definition")?);
        let accepted = match written.get("accepted") {
            Some(accepted) => self.texts(&accepted)?,
            None => Vec::new(),
        };
        let pin = Pin::of(id, kind, &definition, accepted).map_err(|flaw: Flaw| {
            let words = format!("a {} of `{id}` cannot be used: {flaw}", noun(kind));
            self.wrong(&definition, words, EDITED)
        })?;
        let is_this = |digest: &str| DefinitionDigest::parse(digest) == Some(pin.pinned.digest());
        if digest.string().is_some_and(|digest| is_this(&digest)) {
            return Ok(pin);
        }
        let words = format!(
            "the {} `{}` of `{id}` is not the one that was approved: its text does not have this digest",
            noun(kind),
            pin.pinned.name()
        );
        Err(self.wrong(&digest, words, EDITED))
    }

    fn identity(&self, identity: &Json) -> Result<Identity, LockError> {
        let listed = |key: &str| identity.get(key).map_or_else(|| Ok(Vec::new()), |list| self.texts(&list));
        if let Some(url) = identity.get("url") {
            self.only(identity, &["url", "tls", "headers"])?;
            let (url, tls) = (self.text(&url)?, self.member(identity, "tls")?);
            let expected = if url.starts_with("https:") { "1.3" } else { "none" };
            if self.text(&tls)?.as_ref() != expected {
                return Err(self.wrong(&tls, "there is no such expectation of TLS for this URL", EDITED));
            }
            return Ok(Identity::Http { url, headers: listed("headers")? });
        }
        self.only(identity, &["command", "cwd", "env", "programSha256", "package"])?;
        let program = match identity.get("programSha256") {
            Some(written) => {
                let digest = DefinitionDigest::parse(&self.text(&written)?);
                let digest = digest.ok_or_else(|| self.wrong(&written, "that is no SHA-256", EDITED))?;
                Some(ProgramDigest(*digest.as_bytes()))
            }
            None => None,
        };
        let cwd = identity.get("cwd").map(|cwd| self.text(&cwd)).transpose()?;
        // The package follows from the command, and is there for people.
        Ok(Identity::Stdio {
            command: self.texts(&self.member(identity, "command")?)?,
            cwd,
            env: listed("env")?,
            program,
        })
    }

    fn member(&self, of: &Json, key: &str) -> Result<Json, LockError> {
        of.get(key).ok_or_else(|| self.wrong(of, format!("`{key}` is missing here"), BRING_BACK))
    }

    fn only(&self, of: &Json, keys: &[&str]) -> Result<(), LockError> {
        for (key, value) in self.object(of)? {
            if !keys.contains(&&*key) {
                return Err(self.wrong(&value, format!("nothing is known here that is called `{key}`"), EDITED));
            }
        }
        Ok(())
    }

    fn object(&self, of: &Json) -> Result<Vec<(Box<str>, Json)>, LockError> {
        if !of.is_object() {
            return Err(self.wrong(of, "an object should stand here", BRING_BACK));
        }
        Ok(of.members().map(|(key, value)| (key.into(), value)).collect())
    }

    fn array(&self, of: &Json) -> Result<Vec<Json>, LockError> {
        if of.kind() == Kind::Array {
            Ok(of.elements().collect())
        } else {
            Err(self.wrong(of, "an array should stand here", BRING_BACK))
        }
    }

    fn text(&self, of: &Json) -> Result<Box<str>, LockError> {
        of.string().map(Box::from).ok_or_else(|| self.wrong(of, "a text should stand here", BRING_BACK))
    }

    fn texts(&self, of: &Json) -> Result<Vec<Box<str>>, LockError> {
        self.array(of)?.iter().map(|text| self.text(text)).collect()
    }

    fn wrong(&self, part: &Json, words: impl Into<String>, help: &'static str) -> LockError {
        let start = part.bytes().as_ptr().addr().saturating_sub(self.text.as_ptr().addr()).min(self.text.len());
        // The line is what people look for, not all of a definition.
        let line = part.bytes().iter().position(|byte| *byte == b'\n').unwrap_or(part.bytes().len());
        LockError { words: words.into(), help, at: start..start.saturating_add(line).min(self.text.len()) }
    }

    fn undecoded(&self, error: &DecodeError) -> LockError {
        let at = error.at().unwrap_or(0).min(self.text.len());
        let start = self
            .text
            .get(..at)
            .and_then(|before| before.iter().rposition(|byte| *byte == b'\n'))
            .map_or(0, |line| line.saturating_add(1));
        let line = self.text.get(start..).unwrap_or_default();
        let is_conflict =
            ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].iter().any(|mark| line.starts_with(mark.as_bytes()));
        if is_conflict {
            let words = "a merge left a conflict here".to_owned();
            return LockError { words, help: MERGED, at: start..start.saturating_add(7) };
        }
        let rest = self.text.get(at..).unwrap_or_default();
        let is_short = rest.iter().all(u8::is_ascii_whitespace) && matches!(error, DecodeError::Syntax { .. });
        if is_short {
            return LockError { words: "it ends too early".to_owned(), help: BRING_BACK, at: at..at };
        }
        LockError { words: error.to_string(), help: BRING_BACK, at: at..at.saturating_add(1).min(self.text.len()) }
    }
}

/// The version of the file that is written.
pub(super) const VERSION: u64 = 1;
const VERSION_NUMBER: i64 = 1;
/// LIMIT: of the file. 10,000 tools have some 20 MiB.
pub(super) const LIMITS: Limits = Limits { bytes_max: 128 * 1024 * 1024, depth_max: 280, nodes_max: 20_000_000 };

const UPDATE: &str = "update this program, or bring back the lock file that it wrote";
const BRING_BACK: &str = "bring the file back from version control, or take the step before back: `sekisho rollback`";
const EDITED: &str =
    "it was edited by hand; bring the file back, and approve what servers offer with `sekisho approve`";
const MERGED: &str = "take one side whole, then `sekisho lock --check` tells what is left to `sekisho approve`";
