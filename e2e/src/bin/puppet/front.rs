//! The same over HTTP. Only the body of a request counts, whatever its headers say: that is how a careless server is.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::play::Play;

/// Serves until the process is ended.
///
/// # Errors
/// When the address cannot be had.
pub(crate) fn serve(address: SocketAddr, play: &Arc<Mutex<Play>>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("http://{}/mcp", listener.local_addr()?);
    for stream in listener.incoming().flatten() {
        let play = Arc::clone(play);
        // A connection that breaks is its client's affair.
        thread::spawn(move || drop(converse(stream, &play)));
    }
    Ok(())
}

fn converse(stream: TcpStream, play: &Mutex<Play>) -> anyhow::Result<()> {
    let mut out = stream.try_clone()?;
    let mut from = BufReader::new(stream);
    while let Some((line, body)) = read(&mut from)? {
        let said = if line.starts_with("POST ") {
            let mut play = play.lock().unwrap_or_else(PoisonError::into_inner);
            // What is told beside an answer has no way to the client here.
            play.hear(&body)?.pop().map_or(("202 Accepted", String::new()), |said| ("200 OK", said))
        } else if line.starts_with("DELETE ") {
            ("204 No Content", String::new())
        } else {
            ("405 Method Not Allowed", String::new())
        };
        let (status, body) = said;
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nMcp-Session-Id: {SESSION}\r\nContent-Length: {length}\r\n\r\n"
        );
        out.write_all((head + &body).as_bytes())?;
    }
    Ok(())
}

/// The next request: its first line and its content.
fn read(from: &mut BufReader<TcpStream>) -> anyhow::Result<Option<(String, Vec<u8>)>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        let mut field = String::new();
        from.read_line(&mut field)?;
        let Some((name, value)) = field.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some((line, body)))
}

const SESSION: &str = "puppet-session";
