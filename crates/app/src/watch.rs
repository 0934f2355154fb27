//! Whether anything that the configuration rests on has changed: the file itself, policies, key sets, certificates, secrets.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;
use sekisho_audit::Digest;
use sekisho_keys::{Purpose, SecretRef};

use crate::assemble::{references, variable};
use crate::config::Loaded;

/// Digests of everything that is looked at.
pub(crate) struct Watch {
    base: PathBuf,
    files: Vec<PathBuf>,
    /// With the server and the name that each is for.
    secrets: Vec<(String, String, SecretRef)>,
    seen: Vec<Digest>,
}

impl Watch {
    /// Looks at what `loaded` names, before the rooms do: what changes in between is a change.
    #[must_use]
    pub(crate) fn of(loaded: &Loaded) -> Watch {
        let of = |(server, config)| {
            references(config).map(move |([_, name], place)| (String::clone(server), name.to_owned(), place.clone()))
        };
        let secrets = loaded.config.servers.iter().flat_map(of).collect();
        let mut watch = Watch { base: loaded.base.clone(), files: loaded.files(), secrets, seen: Vec::new() };
        watch.seen = watch.look();
        // Of the configuration itself counts what was read.
        if let Some(first) = watch.seen.first_mut() {
            *first = Digest::of(loaded.document.text().as_bytes());
        }
        watch
    }

    /// Whether something is not as it was at the last look.
    pub(crate) fn changed(&mut self) -> bool {
        let now = self.look();
        if now == self.seen {
            return false;
        }
        self.seen = now;
        true
    }

    fn look(&self) -> Vec<Digest> {
        let files = self.files.iter().map(|file| of_file(file));
        // Of a secret only its digest is kept. Errors have digests too: from readable to not is a change.
        let secrets = self.secrets.iter().map(|(server, name, place)| {
            match place.resolve(Purpose::Server { server, name }, &self.base, &variable) {
                Ok(secret) => Digest::of(secret.expose_secret().as_bytes()),
                Err(error) => Digest::of(crate::problem::chain(&error).as_bytes()),
            }
        });
        files.chain(secrets).collect()
    }
}

fn of_file(path: &Path) -> Digest {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        let about = file.metadata()?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        // A lock file may be longer: of what is not read, its length and time tell.
        if about.len() > FILE_BYTES_MAX {
            bytes.extend(format!("{} {:?}", about.len(), about.modified()).into_bytes());
        }
        Ok(())
    });
    match read {
        Ok(()) => Digest::of(&bytes),
        Err(error) => Digest::of(error.to_string().as_bytes()),
    }
}

/// Beyond, a file is known by its length and the time of its change.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_of_any_file_or_secret_is_noticed_once() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let config = r#"
            [gateway]
            listen = "127.0.0.1:8700"
            public_url = "http://127.0.0.1:8700"
            [[identity.issuers]]
            issuer = "https://login.example.com"
            jwks_file = "jwks.json"
            [policy]
            files = ["policy.cedar"]
            [servers.notes]
            command = ["notes-server"]
            env = { NOTES_TOKEN = "file:token" }
        "#;
        for (name, text) in [("sekisho.toml", config), ("jwks.json", "{}"), ("policy.cedar", "a"), ("token", "t")] {
            write(name, text);
        }
        std::fs::set_permissions(dir.path().join("token"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let mut watch = Watch::of(&crate::config::load(&dir.path().join("sekisho.toml")).unwrap());
        assert!(!watch.changed());
        for name in ["policy.cedar", "jwks.json", "token", "sekisho.toml"] {
            write(name, "other");
            assert!(watch.changed(), "{name}");
            assert!(!watch.changed(), "{name}");
        }
        let bytes = usize::try_from(FILE_BYTES_MAX).unwrap();
        write("sekisho.lock", &"a".repeat(bytes + 1));
        assert!(watch.changed() && !watch.changed());
        write("sekisho.lock", &("a".repeat(bytes + 1) + "b"));
        assert!(watch.changed() && !watch.changed(), "behind what is read");
        std::fs::remove_file(dir.path().join("policy.cedar")).unwrap();
        assert!(watch.changed());
    }
}
