//! The socket in the data folder where a running gateway is asked how it is, and told to revoke: one line of JSON each way. Only the owner
//! of the folder can connect; there is no other way to do this from outside of the process.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;
use sekisho_wire::Json;
use sekisho_wire::json::{Limits, Object};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::folder::Folder;
use crate::problem::{Code, Problem};
use crate::status::{REPORT_BYTES_MAX, Seen};

/// What a running gateway is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Tell how it is.
    Status,
    /// Tell which sessions are open.
    Sessions,
    /// Tell what is revoked.
    Revocations,
    /// Tell whether this credential is revoked.
    IsRevoked(String),
    /// Revoke: kind, issuer, name and reason.
    Revoke([String; 4]),
    /// End the sessions of this tag.
    EndSessions(String),
    /// Forget what this server was seen to offer under this name, and that it was withheld: somebody has looked at it. No name: all of it.
    LookAgain([String; 2]),
    /// Tell what users agreed to: this one, or all of them where it is empty.
    Consents(String),
    /// Take back the consent of this id.
    RevokeConsent(String),
}

/// The end of the gateway. The socket is removed with it.
pub(crate) struct Socket {
    listener: UnixListener,
    folder: Folder,
}

/// Somebody who wants something.
pub(crate) struct Caller(tokio::net::UnixStream);

impl Order {
    fn line(&self) -> String {
        let object = |ask: &str| Object::new().text("ask", ask);
        let json = match self {
            Order::Status => object("status"),
            Order::Sessions => object("sessions"),
            Order::Revocations => object("revocations"),
            Order::IsRevoked(credential) => object("is-revoked").text("credential", credential),
            Order::Revoke([kind, issuer, name, reason]) => {
                object("revoke").text("kind", kind).text("issuer", issuer).text("name", name).text("reason", reason)
            }
            Order::EndSessions(tag) => object("end-sessions").text("tag", tag),
            Order::LookAgain([server, name]) => object("look-again").text("server", server).text("name", name),
            Order::Consents(subject) => object("consents").text("subject", subject),
            Order::RevokeConsent(id) => object("revoke-consent").text("id", id),
        };
        format!("{}\n", json.finish().as_str())
    }

    fn read(line: Vec<u8>) -> Option<Order> {
        let json = Json::decode(Bytes::from(line), &ORDER).ok()?;
        let text = |name: &str| json.get(name)?.string().map(String::from);
        Some(match text("ask")?.as_str() {
            "status" => Order::Status,
            "sessions" => Order::Sessions,
            "revocations" => Order::Revocations,
            "is-revoked" => Order::IsRevoked(text("credential")?),
            "revoke" => Order::Revoke([text("kind")?, text("issuer")?, text("name")?, text("reason")?]),
            "end-sessions" => Order::EndSessions(text("tag")?),
            "look-again" => Order::LookAgain([text("server")?, text("name")?]),
            "consents" => Order::Consents(text("subject")?),
            "revoke-consent" => Order::RevokeConsent(text("id")?),
            _ => return None,
        })
    }
}

impl Socket {
    /// Offers the socket in `folder`, which this process has for itself: one that is there belongs to nobody any more.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(crate) fn offer(folder: &Folder) -> Result<Socket, Problem> {
        let path = folder.socket();
        let refused = |error: &io::Error| {
            Problem::new(
                Code::StatusUnavailable,
                format!("`sekisho status` and `sekisho revoke` will not work: `{}`: {error}", path.display()),
            )
            .help("a shorter path of the data folder helps where it is too long for a socket")
        };
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(&error)),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path).map_err(|error| refused(&error))?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).map_err(|error| refused(&error))?;
        Ok(Socket { listener, folder: folder.clone() })
    }

    /// The next caller; pending while nobody calls.
    pub(crate) async fn caller(&self) -> Caller {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return Caller(stream),
                // Out of file descriptors, most likely: not at once again.
                Err(_) => tokio::time::sleep(PATIENCE).await,
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Whoever comes next would remove it anyway.
        let _ = std::fs::remove_file(self.folder.socket());
    }
}

impl Caller {
    /// What is wanted; none if that takes too long or is nothing that is known.
    pub(crate) async fn order(&mut self) -> Option<Order> {
        let mut line = Vec::new();
        let read = async {
            let bound = u64::try_from(ORDER.bytes_max).unwrap_or(u64::MAX);
            let mut limited = (&mut self.0).take(bound);
            while line.last() != Some(&b'\n') {
                let mut chunk = [0; 1024];
                match limited.read(&mut chunk).await {
                    Ok(bytes) if bytes > 0 => line.extend(chunk.iter().take(bytes)),
                    Ok(_) | Err(_) => return,
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.ok()?;
        Order::read(line)
    }

    /// Tells, and hangs up; a caller who does not listen is left.
    pub(crate) async fn tell(mut self, line: &str) {
        let told = tokio::time::timeout(PATIENCE, self.0.write_all(line.as_bytes())).await;
        if !matches!(told, Ok(Ok(()))) {
            tracing::debug!(target: "app", "a caller of the control socket did not listen");
        }
    }
}

/// Whether a gateway runs that has `folder`.
#[must_use]
pub(crate) fn runs(folder: &Folder) -> bool {
    UnixStream::connect(folder.socket()).is_ok()
}

/// Asks the gateway that has `folder` how it is.
///
/// # Errors
/// None runs there, or it does not answer.
pub(crate) fn ask(folder: &Folder) -> Result<Seen, Problem> {
    tell(folder, &Order::Status).map(Seen::of)
}

/// Gives the gateway that has `folder` an order; its answer.
///
/// # Errors
/// None runs there ([`Code::NotRunning`]), it does not answer, or it refuses.
pub(crate) fn tell(folder: &Folder, order: &Order) -> Result<Json, Problem> {
    let path = folder.socket();
    let silent = |why: String| Problem::new(Code::StatusUnavailable, format!("the gateway does not answer: {why}"));
    let mut stream = UnixStream::connect(&path).map_err(|error| {
        if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
            let words = format!("no gateway runs with the data folder `{}`", folder.path().display());
            return Problem::new(Code::NotRunning, words).help(
                "start one with `sekisho up` or `sekisho serve`, or name another configuration with `--config FILE`",
            );
        }
        silent(format!("`{}`: {error}", path.display()))
    })?;
    let bound = u64::try_from(REPORT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    stream
        .set_read_timeout(Some(ANSWER_WITHIN))
        .and_then(|()| stream.write_all(order.line().as_bytes()))
        .and_then(|()| stream.take(bound).read_to_end(&mut line))
        .map_err(|error| silent(error.to_string()))?;
    let answer = Json::decode(Bytes::from(line), &ANSWER).map_err(|error| silent(error.to_string()))?;
    match answer.get("refused").and_then(|refused| refused.string().map(String::from)) {
        Some(refused) => Err(Problem::new(Code::Refused, refused)),
        None => Ok(answer),
    }
}

/// Gives every gateway that runs in one of these folders an order, all at once; their answers. One that does not answer or refuses is
/// told on standard error where another one does.
///
/// # Errors
/// None runs in any of them ([`Code::NotRunning`]), or none answers.
pub(crate) fn tell_all(folders: &[Folder], order: &Order) -> Result<Vec<(Folder, Json)>, Problem> {
    let told: Vec<Result<Json, Problem>> = std::thread::scope(|scope| {
        let telling: Vec<_> = folders.iter().map(|folder| scope.spawn(|| tell(folder, order))).collect();
        let lost = |_| Err(Problem::new(Code::System, "a thread ended before its time"));
        telling.into_iter().map(|one| one.join().unwrap_or_else(lost)).collect()
    });
    let (mut answers, mut problems) = (Vec::new(), Vec::new());
    for (folder, told) in folders.iter().zip(told) {
        match told {
            Ok(answer) => answers.push((folder.clone(), answer)),
            Err(problem) => problems.push(problem),
        }
    }
    if answers.is_empty() {
        let other = problems.into_iter().find(|problem| problem.code_of() != Code::NotRunning);
        return Err(other.unwrap_or_else(|| nothing_runs(folders)));
    }
    for problem in problems.iter().filter(|problem| problem.code_of() != Code::NotRunning) {
        eprintln!("{}", problem.line());
    }
    Ok(answers)
}

fn nothing_runs(folders: &[Folder]) -> Problem {
    let with = folders.first().map(|folder| format!(" with the data folder `{}`", folder.path().display()));
    let words = format!("nothing runs now{}: no gateway, and no server for a client", with.unwrap_or_default());
    Problem::new(Code::NotRunning, words).help(
        "start a gateway with `sekisho up` or `sekisho serve`; the servers that were imported are started by their clients, when \
         they need them; `--config FILE` names another configuration",
    )
}

const ORDER: Limits = Limits { bytes_max: 16 * 1024, depth_max: 2, nodes_max: 16 };
const ANSWER: Limits = Limits { bytes_max: REPORT_BYTES_MAX, depth_max: 8, nodes_max: 1_000_000 };
const PATIENCE: Duration = Duration::from_millis(500);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_given_and_nothing_else_is_one() {
        let revoke = Order::Revoke(["subject", "https://as.example", "a\"b\nc", ""].map(str::to_owned));
        let asked = Order::IsRevoked("1.AA".to_owned());
        let ends = Order::EndSessions("ab".to_owned());
        let consents = [Order::Consents(String::new()), Order::RevokeConsent("0a".to_owned())];
        for order in
            [Order::Status, Order::Sessions, Order::Revocations, asked, revoke, ends].into_iter().chain(consents)
        {
            let line = order.line();
            assert_eq!(line.matches('\n').count(), 1);
            assert_eq!(Order::read(line.into_bytes()), Some(order));
        }
        for bad in
            ["", "{}", "status", "{\"ask\":\"revoke\",\"kind\":\"subject\"}", "{\"ask\":\"stop\"}", "{\"ask\":1}"]
        {
            assert_eq!(Order::read(bad.as_bytes().to_vec()), None, "{bad}");
        }
    }
}
