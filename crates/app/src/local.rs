//! The socket in the data folder where a running gateway tells its status: one line of JSON to whoever connects. Only the owner
//! of the folder can.

use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;

use crate::folder::Folder;
use crate::problem::{Code, Problem};
use crate::status::{REPORT_BYTES_MAX, Seen};

/// The end of the gateway. The socket is removed with it.
pub(crate) struct Socket {
    listener: UnixListener,
    folder: Folder,
}

/// Somebody who wants to know.
pub(crate) struct Caller(tokio::net::UnixStream);

impl Socket {
    /// Offers the status in `folder`, which this process has for itself: a socket that is there belongs to nobody any more.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(crate) fn offer(folder: &Folder) -> Result<Socket, Problem> {
        let path = folder.socket();
        let refused = |error: &io::Error| {
            Problem::new(
                Code::StatusUnavailable,
                format!("`sekisho status` will not work: `{}`: {error}", path.display()),
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
    /// Tells, and hangs up; a caller who does not listen is left.
    pub(crate) async fn tell(mut self, line: &str) {
        let told = tokio::time::timeout(PATIENCE, self.0.write_all(line.as_bytes())).await;
        if !matches!(told, Ok(Ok(()))) {
            tracing::debug!(target: "app", "a caller of the status socket did not listen");
        }
    }
}

/// Asks the gateway that has `folder` how it is.
///
/// # Errors
/// None runs there, or it does not answer.
pub(crate) fn ask(folder: &Folder) -> Result<Seen, Problem> {
    let path = folder.socket();
    let silent =
        |why: String| Problem::new(Code::StatusUnavailable, format!("the gateway does not tell its status: {why}"));
    let stream = UnixStream::connect(&path).map_err(|error| {
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
        .and_then(|()| stream.take(bound).read_to_end(&mut line))
        .map_err(|error| silent(error.to_string()))?;
    Seen::read(line).map_err(|error| silent(error.to_string()))
}

const PATIENCE: Duration = Duration::from_millis(500);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
