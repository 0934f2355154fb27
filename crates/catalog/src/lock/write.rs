//! Writing the lock file: sorted, over lines, so that two of them can be compared and merged.

use sekisho_wire::json::{Array, Object};
use sekisho_wire::{Json, ListKind};

use super::{Identity, Lock, Locked, Pin};
use crate::canonical::pretty;

impl Lock {
    /// The text of the file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let servers =
            self.servers.iter().fold(Object::new(), |servers, (id, locked)| servers.json(id.as_str(), &server(locked)));
        let lock = Object::new()
            .text("about", ABOUT)
            .unsigned("lockVersion", super::read::VERSION)
            .json("servers", &servers.finish())
            .finish();
        pretty(&lock, 0) + "\n"
    }
}

fn server(locked: &Locked) -> Json {
    let object = Object::new().json("identity", &identity(locked.identity()));
    let mut introductions = Array::new();
    for one in locked.introductions() {
        introductions.push(&with_digest(&one.digest().to_string(), one.accepted()).json("says", one.said()).finish());
    }
    let object =
        if locked.introductions().is_empty() { object } else { object.json("introduces", &introductions.finish()) };
    let with = |object: Object, kind: ListKind| {
        let mut pins = Array::new();
        locked.pins(kind).for_each(|one| pins.push(&pin(one)));
        let pins = pins.finish();
        if pins.as_str() == "[]" { object } else { object.json(kind.member(), &pins) }
    };
    ListKind::ALL.into_iter().fold(object, with).finish()
}

fn pin(pin: &Pin) -> Json {
    with_digest(&pin.pinned.digest().to_string(), pin.accepted()).json("definition", pin.pinned.json()).finish()
}

fn with_digest(digest: &str, accepted: &[Box<str>]) -> Object {
    let object = Object::new().text("sha256", digest);
    match accepted {
        [] => object,
        accepted => object.texts("accepted", accepted.iter().map(|rule| &**rule)),
    }
}

fn identity(identity: &Identity) -> Json {
    let texts = |object: Object, key: &str, values: &[Box<str>]| match values {
        [] => object,
        values => object.texts(key, values.iter().map(|value| &**value)),
    };
    match identity {
        Identity::Http { url, headers } => {
            let tls = if url.starts_with("https:") { "1.3" } else { "none" };
            texts(Object::new().text("url", url).text("tls", tls), "headers", headers).finish()
        }
        Identity::Stdio { command, cwd, env, program } => {
            let object = texts(Object::new(), "command", command).maybe_text("cwd", cwd.as_deref());
            let object = texts(object, "env", env);
            let program = program.map(|digest| digest.to_string());
            object.maybe_text("programSha256", program.as_deref()).maybe("package", package(identity).as_ref()).finish()
        }
    }
}

fn package(identity: &Identity) -> Option<Json> {
    let package = identity.package()?;
    let object = Object::new().text("registry", package.registry).text("name", &package.name);
    Some(object.maybe_text("version", package.version.as_deref()).finish())
}

const ABOUT: &str = "What these MCP servers may offer. Written by `sekisho lock` and `sekisho approve`; commit it, and do not edit it by hand.";
