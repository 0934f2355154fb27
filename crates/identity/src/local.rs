//! Who is at the other end of standard input and output: the operating system's user, proven from the process itself and never
//! from a message. Over stdio there are no tokens (MCP, Authorization: "should not follow this specification").

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Uid, User};
use sekisho_wire::{Endpoint, Json};

use crate::principal::{Authentication, Binding, Credential, Groups, Kind, Lease, Principal, PrincipalKey};
use crate::revocation::{CredentialFacts, Revocations};
use crate::token::{TokenError, Verified};

/// What stands for the issuer of this machine's own users. No token has it: an issuer of tokens is a URL.
pub const LOCAL_ISSUER: &str = "local";

/// The proof that whoever writes to this process is the user that it runs as.
#[derive(Debug, Clone)]
pub struct Local {
    who: Arc<Principal>,
    credential: Arc<Credential>,
}

/// Why the other end is nobody that can be named.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A program that changes its user on the way (set-user-ID): who started it is not whom it acts for.
    #[error("the process was started by user {started_by} and runs as user {runs_as}")]
    ChangedUser {
        /// The real user id.
        started_by: Uid,
        /// The effective user id.
        runs_as: Uid,
    },
    /// A socket whose other end another user has made.
    #[error("standard input or output is a socket of user {of}, and the process runs as user {runs_as}")]
    AnotherUser {
        /// Who made the other end.
        of: Uid,
        /// The effective user id.
        runs_as: Uid,
    },
    /// A network connection, such as `inetd` and `socat` hand over.
    #[error("standard input or output is a network connection, and whoever is at its other end is unknown")]
    Network,
    /// The stream cannot be looked at.
    #[error("standard input or output cannot be used")]
    Unusable(#[source] Errno),
}

impl Local {
    /// Looks at the process and at both of its streams. Pipes and terminals were handed over by whoever started the process; a socket
    /// says who made it (`SO_PEERCRED`).
    ///
    /// # Errors
    /// [`LocalError`]: the other end may be somebody else.
    pub fn of_process(input: &impl AsFd, output: &impl AsFd) -> Result<Local, LocalError> {
        let (started_by, runs_as) = (Uid::current(), Uid::effective());
        if started_by != runs_as {
            return Err(LocalError::ChangedUser { started_by, runs_as });
        }
        check_peer(input, runs_as)?;
        check_peer(output, runs_as)?;
        let name = match User::from_uid(runs_as) {
            Ok(Some(user)) => user.name,
            Ok(None) | Err(_) => format!("uid-{runs_as}"),
        };
        Ok(Local { who: Arc::new(principal(&name)), credential: Arc::new(credential(&name)) })
    }

    /// The user.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.who
    }

    /// The user at an endpoint. It holds for as long as the process does, and nobody revokes the user.
    ///
    /// # Errors
    /// [`TokenError::UserRevoked`], [`TokenError::RevocationsUnknown`].
    pub fn at(&self, endpoint: &Endpoint, revocations: &Revocations, now: SystemTime) -> Result<Verified, TokenError> {
        let in_words = |error| if error == TokenError::Revoked { TokenError::UserRevoked } else { error };
        revocations.check(&self.credential).map_err(in_words)?;
        let lease = Lease { ends_at: now + HOLDS, credential: Some(Arc::clone(&self.credential)) };
        Ok(Verified { who: Arc::clone(&self.who), lease, endpoint: endpoint.clone() })
    }
}

/// A user has no token that could be another one's successor: whoever is revoked stays so until that is taken back.
fn credential(name: &str) -> Credential {
    Credential::new(&CredentialFacts {
        issuer: LOCAL_ISSUER,
        subject: name,
        client: "",
        id: None,
        issuer_session: None,
        key_id: None,
        issued_from: SystemTime::UNIX_EPOCH,
    })
}

fn principal(name: &str) -> Principal {
    let mut principal = Principal {
        issuer: LOCAL_ISSUER.into(),
        subject: name.into(),
        client: Box::default(),
        scopes: Vec::new(),
        groups: Groups::Known(Vec::new()),
        roles: Vec::new(),
        kind: Kind::User,
        tenant: Box::default(),
        authentication: Authentication::default(),
        bound_by: vec![Binding::Process],
        attributes: Vec::new(),
        claims: Json::empty_object(),
        key: PrincipalKey::of(LOCAL_ISSUER, name, ""),
        privileges: [0; 32],
        implied: Arc::default(),
    };
    principal.privileges = principal.digest_of_privileges();
    principal
}

/// A socket's other end must be ours, or the superuser's, who may be anybody anyway.
fn check_peer(stream: &impl AsFd, runs_as: Uid) -> Result<(), LocalError> {
    let peer = match getsockopt(stream, PeerCredentials) {
        Ok(peer) => Uid::from_raw(peer.uid()),
        Err(Errno::ENOTSOCK) => return Ok(()),
        Err(errno) => return Err(LocalError::Unusable(errno)),
    };
    match peer {
        // What the kernel says of a connection that has no user.
        nobody if nobody.as_raw() == u32::MAX => Err(LocalError::Network),
        peer if peer == runs_as || peer.is_root() => Ok(()),
        of => Err(LocalError::AnotherUser { of, runs_as }),
    }
}

/// Longer than any process runs: a hundred years.
const HOLDS: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use std::io::pipe;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::revocation::{Revocation, Target};

    #[test]
    fn whoever_started_the_process_is_its_user_over_pipes_and_over_sockets() {
        let (reader, writer) = pipe().unwrap();
        let local = Local::of_process(&reader, &writer).unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let again = Local::of_process(&ours, &ours).unwrap();
        let verified = local.at(&Endpoint::All, &Revocations::passing(), SystemTime::now()).unwrap();
        assert_eq!(verified.principal().issuer(), "local");
        assert!(!verified.principal().subject().is_empty());
        assert_eq!(verified.principal().key(), again.principal().key());
        assert!(verified.lease().ends_at() > SystemTime::now() + Duration::from_secs(3600));
    }

    #[test]
    fn a_user_who_is_revoked_is_refused_until_that_is_taken_back_and_another_one_is_not() {
        let (reader, writer) = pipe().unwrap();
        let local = Local::of_process(&reader, &writer).unwrap();
        let revocations = Revocations::passing();
        let revoked = |target| Revocation { target, at: SystemTime::now(), reason: String::new(), by: "x".to_owned() };
        let (issuer, subject) = (LOCAL_ISSUER.to_owned(), local.principal().subject().to_owned());
        let at = || local.at(&Endpoint::All, &revocations, SystemTime::now()).map(|verified| verified.lease().clone());
        let lease = at().unwrap();
        for (target, refused) in [
            (Target::Subject { issuer: issuer.clone(), subject }, true),
            (Target::Issuer { issuer: issuer.clone() }, true),
            (Target::Subject { issuer: issuer.clone(), subject: "somebody-else".to_owned() }, false),
            (Target::Issuer { issuer: "https://as.example".to_owned() }, false),
        ] {
            revocations.replace(&[revoked(target.clone())]);
            // As it is looked at by whoever holds a stream, long after it was forgotten of a token.
            revocations.sweep(SystemTime::now() + HOLDS);
            assert_eq!(at().is_err(), refused, "{target:?}");
            assert_eq!(revocations.cover(lease.credential.as_ref().unwrap()), refused, "{target:?}");
        }
        revocations.lose();
        assert!(matches!(at(), Err(TokenError::RevocationsUnknown)));
        revocations.replace(&[]);
        at().unwrap();
    }

    #[test]
    fn network_connection_is_nobody_on_either_stream() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (reader, writer) = pipe().unwrap();
        assert!(matches!(Local::of_process(&connection, &writer), Err(LocalError::Network)));
        assert!(matches!(Local::of_process(&reader, &connection), Err(LocalError::Network)));
        Local::of_process(&reader, &writer).unwrap();
    }

    #[test]
    fn socket_of_another_user_is_refused_and_one_of_the_superuser_is_not() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let own = Uid::effective();
        check_peer(&ours, own).unwrap();
        let other = Uid::from_raw(own.as_raw() + 1);
        match check_peer(&ours, other) {
            Err(LocalError::AnotherUser { of, runs_as }) => assert_eq!((of, runs_as), (own, other)),
            outcome => assert!(own.is_root() && outcome.is_ok(), "{outcome:?}"),
        }
    }
}
