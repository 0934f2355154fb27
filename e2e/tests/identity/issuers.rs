//! Issuers that lie, stall and point elsewhere: their own tokens are not believed, and nobody else's suffer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

use std::sync::Mutex;
use std::time::Instant;

use sekisho_e2e::issuer::Issuer;

use super::*;

/// What comes for one path.
#[derive(Clone)]
enum Answer {
    Json(String),
    Redirect(String),
    Status(u16),
    /// White space without end within a document.
    Trickle,
    /// Nothing, and the connection stays open.
    Silence,
}

/// What is answered, by origin and path.
type Answers = dyn Fn(&str, &str) -> Answer + Send + Sync;

/// A server of documents on loopback, all of whose paths begin with the name of one issuer or have it behind the well-known part.
#[derive(Clone)]
struct Server {
    origin: String,
    answers: Arc<Answers>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let server = Server { origin, answers: Arc::new(answers), asked: Arc::default() };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                // Whoever hangs up ends it.
                thread::spawn(move || drop(server.serve(stream)));
            }
        });
        server
    }

    fn serve(&self, mut to: TcpStream) -> std::io::Result<()> {
        let mut from = BufReader::new(to.try_clone()?);
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut field = String::new();
            while from.read_line(&mut field)? > 2 {
                field.clear();
            }
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let answer = (self.answers)(&self.origin, &path);
            self.asked.lock().expect("no panic").push(path);
            let head = |status: u16, more: &str, length: usize| {
                format!(
                    "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n"
                )
            };
            match answer {
                Answer::Json(document) => to.write_all((head(200, "", document.len()) + &document).as_bytes())?,
                Answer::Redirect(location) => {
                    to.write_all(head(302, &format!("Location: {location}\r\n"), 0).as_bytes())?;
                }
                Answer::Status(status) => to.write_all(head(status, "", 0).as_bytes())?,
                Answer::Trickle => {
                    to.write_all((head(200, "", 10_000) + "{").as_bytes())?;
                    loop {
                        to.write_all(b" ")?;
                        thread::sleep(Duration::from_millis(50));
                    }
                }
                Answer::Silence => {
                    from.read_line(&mut line)?;
                    return Ok(());
                }
            }
        }
    }

    fn issuer(&self, name: &str) -> String {
        format!("{}/{name}", self.origin)
    }
}

/// The issuer that a path belongs to, and which of its documents that is.
fn parted(path: &str) -> (&str, &str) {
    let well_known = ["/.well-known/oauth-authorization-server/", "/.well-known/openid-configuration/"];
    if let Some(name) = well_known.iter().find_map(|prefix| path.strip_prefix(prefix)) {
        return (name, "metadata");
    }
    let (name, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    (name, if rest.starts_with(".well-known/") { "metadata" } else { rest })
}

/// A token like any other that `issuer` would give.
fn token(gateway: &Gateway, signer: &Issuer, issuer: &str) -> String {
    let mut claims = gateway.issuer().claims("alice", &gateway.endpoint("up"));
    claims["iss"] = json!(issuer);
    signer.mint(&claims).expect("a token")
}

fn believed(issuer: &str) -> String {
    format!("[[identity.issuers]]\nissuer = \"{issuer}\"\n")
}

/// Names of issuers, each with what is wrong with it: their metadata where it is that, else their key set.
const LIARS: [&str; 34] = [
    "foreign-issuer",
    "issuer-with-slash",
    "no-issuer",
    "no-jwks-uri",
    "jwks-uri-number",
    "jwks-uri-file",
    "jwks-uri-data",
    "jwks-uri-ftp",
    "jwks-uri-with-user",
    "jwks-uri-plain-elsewhere",
    "jwks-uri-private",
    "jwks-uri-private-v6",
    "jwks-uri-mapped",
    "jwks-uri-cloud",
    "jwks-uri-shell",
    "jwks-uri-missing",
    "redirect-to-another-port",
    "redirect-to-private",
    "redirect-to-cloud",
    "redirect-to-file",
    "redirect-nowhere",
    "redirect-chain",
    "keys-redirect-to-another-port",
    "server-error",
    "not-json",
    "twice",
    "deep",
    "megabyte",
    "keys-megabyte",
    "keys-private",
    "keys-symmetric",
    "keys-empty",
    "keys-many",
    "keys-not-for-signatures",
];
/// These answer, but not in time.
const STALLERS: [&str; 4] = ["trickle", "silence", "keys-trickle", "keys-silence"];
/// Odd, and within the rules.
const HONEST: [&str; 2] = ["honest", "honest-after-redirects"];

struct Plan {
    key_set: String,
    private_key_set: String,
    elsewhere: String,
    marker: String,
}

impl Plan {
    fn answer(&self, origin: &str, path: &str) -> Answer {
        let (name, document) = parted(path);
        match document {
            "metadata" => self.metadata(origin, name, path),
            "keys" => self.keys(name),
            hop => match (name, hop.strip_prefix("hop-").and_then(|hop| hop.parse::<u8>().ok())) {
                ("redirect-chain", Some(hop)) => Answer::Redirect(format!("/{name}/hop-{}", hop.wrapping_add(1))),
                ("honest-after-redirects", Some(0 | 1)) => Answer::Redirect(format!("/{name}/hop-2")),
                ("honest-after-redirects", Some(_)) => {
                    Answer::Json(metadata(origin, name, &json!(format!("{origin}/{name}/keys"))))
                }
                _ => Answer::Status(404),
            },
        }
    }

    fn metadata(&self, origin: &str, name: &str, path: &str) -> Answer {
        let good = json!(format!("{origin}/{name}/keys"));
        let pointing = |uri: &str| Answer::Json(metadata(origin, name, &json!(uri)));
        let named = |issuer: Value| Answer::Json(json!({"issuer": issuer, "jwks_uri": good}).to_string());
        match name {
            "foreign-issuer" => named(json!(format!("{origin}/honest"))),
            "issuer-with-slash" => named(json!(format!("{origin}/{name}/"))),
            "no-issuer" => Answer::Json(json!({"jwks_uri": good}).to_string()),
            "no-jwks-uri" => Answer::Json(json!({"issuer": format!("{origin}/{name}")}).to_string()),
            "jwks-uri-number" => Answer::Json(metadata(origin, name, &json!(7))),
            "jwks-uri-file" => pointing("file:///etc/passwd"),
            "jwks-uri-data" => pointing("data:application/json,{\"keys\":[]}"),
            "jwks-uri-ftp" => pointing(&self.elsewhere.replace("http:", "ftp:")),
            "jwks-uri-with-user" => pointing(&self.elsewhere.replace("http://", "http://user:password@")),
            "jwks-uri-plain-elsewhere" => pointing("http://192.0.2.1/keys"),
            "jwks-uri-private" => pointing("https://10.0.0.1/keys"),
            "jwks-uri-private-v6" => pointing("https://[fc00::1]/keys"),
            "jwks-uri-mapped" => pointing("https://[::ffff:127.0.0.1]/keys"),
            "jwks-uri-cloud" => pointing("https://169.254.169.254/latest/meta-data"),
            "jwks-uri-shell" => pointing(&format!("{origin}/{name}/$(touch {0});`touch {0}`|touch {0}", self.marker)),
            "jwks-uri-missing" => pointing(&format!("{origin}/{name}/nothing")),
            "redirect-to-another-port" => Answer::Redirect(format!("{}/{name}", self.elsewhere)),
            "redirect-to-private" => Answer::Redirect("https://192.168.0.1/".to_owned()),
            "redirect-to-cloud" => Answer::Redirect("http://169.254.169.254/".to_owned()),
            "redirect-to-file" => Answer::Redirect("file:///etc/passwd".to_owned()),
            "redirect-nowhere" => Answer::Redirect(String::new()),
            "redirect-chain" | "honest-after-redirects" => Answer::Redirect(format!("/{name}/hop-0")),
            "server-error" => Answer::Status(500),
            "not-json" => Answer::Json("<html>hello</html>".to_owned()),
            "twice" => Answer::Json(metadata(origin, name, &good).replacen('{', "{\"issuer\":\"x\",", 1)),
            "deep" => Answer::Json(metadata(origin, name, &good).replacen(
                '{',
                &format!("{{\"x\":{}{},", "[".repeat(500), "]".repeat(500)),
                1,
            )),
            "megabyte" => Answer::Json(metadata(origin, name, &good).replacen(
                '{',
                &format!("{{\"x\":\"{}\",", "x".repeat(1 << 20)),
                1,
            )),
            "trickle" => Answer::Trickle,
            "silence" => Answer::Silence,
            _ if path.contains("openid-configuration") && name == "honest" => Answer::Status(404),
            _ => Answer::Json(metadata(origin, name, &good)),
        }
    }

    fn keys(&self, name: &str) -> Answer {
        let with_more = |more: &str| Answer::Json(self.key_set.replacen('[', &format!("[{more},"), 1));
        match name {
            "keys-redirect-to-another-port" => Answer::Redirect(format!("{}/keys", self.elsewhere)),
            "keys-megabyte" => with_more(&format!("{{\"kty\":\"RSA\",\"n\":\"{}\"}}", "A".repeat(1 << 20))),
            "keys-private" => Answer::Json(self.private_key_set.clone()),
            "keys-symmetric" => with_more(r#"{"kty":"oct","k":"AAAA","kid":"symmetric"}"#),
            "keys-empty" => Answer::Json(r#"{"keys":[]}"#.to_owned()),
            "keys-many" => with_more(&vec![r#"{"kty":"unknown"}"#; 64].join(",")),
            "keys-not-for-signatures" => {
                Answer::Json(self.key_set.replacen('{', "{\"x\":{},", 1).replace("\"kty\"", "\"use\":\"enc\",\"kty\""))
            }
            "keys-trickle" => Answer::Trickle,
            "keys-silence" => Answer::Silence,
            _ => Answer::Json(self.key_set.clone()),
        }
    }
}

fn metadata(origin: &str, name: &str, jwks_uri: &Value) -> String {
    json!({"issuer": format!("{origin}/{name}"), "jwks_uri": jwks_uri}).to_string()
}

#[test]
fn an_issuer_that_lies_or_stalls_is_not_believed_in_time_and_other_issuers_are() {
    let signer = Issuer::es256("any").expect("keys");
    let (elsewhere, called) = trap();
    let folder = tempfile::tempdir().expect("a folder");
    let marker = folder.path().join("marker");
    let private = signer.key_set().expect("a key set").replacen("\"kty\"", "\"d\":\"AAAA\",\"kty\"", 1);
    let plan = Plan {
        key_set: signer.key_set().expect("a key set"),
        private_key_set: private,
        elsewhere,
        marker: marker.display().to_string(),
    };
    let server = Server::start(move |origin, path| plan.answer(origin, path));
    let all = || LIARS.iter().chain(&STALLERS).chain(&HONEST).copied();
    let tables: String = all().map(|name| believed(&server.issuer(name))).collect();
    let (gateway, recorder) = stand(&tables);
    let token_of = |name: &str| token(&gateway, &signer, &server.issuer(name));
    let timed = |token: &str| {
        let start = Instant::now();
        (call(&gateway, token), start.elapsed())
    };
    let good = gateway.token("alice", &gateway.endpoint("up")).expect("a token");
    for name in HONEST {
        let answer = call(&gateway, &token_of(name));
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    let calls = recorder.calls().len();
    let lies = |(answer, took): (Response, Duration), name: &str, bound: u64| {
        assert_eq!((answer.status, code(&answer).as_str()), (503, "SK1103"), "{name}: {}", gateway.log());
        assert!(answer.header("www-authenticate").is_none(), "{name}: another token would not help");
        assert!(took < Duration::from_secs(bound), "{name}: {took:?}");
    };
    let mut others = 0;
    thread::scope(|scope| {
        // Ten seconds for metadata and keys together, whatever comes; and a little for a busy machine.
        let (timed, token_of, lies) = (&timed, &token_of, &lies);
        let stallers: Vec<_> =
            STALLERS.map(|name| scope.spawn(move || lies(timed(&token_of(name)), name, 13))).into_iter().collect();
        for name in LIARS {
            lies(timed(&token_of(name)), name, 4);
        }
        while stallers.iter().any(|staller| !staller.is_finished()) {
            for (name, token) in [("file", &good), ("honest", &token_of("honest"))] {
                let (answer, took) = timed(token);
                assert!(answer.status == 200 && took < Duration::from_secs(4), "{name}: {} in {took:?}", answer.status);
                others += 1;
            }
            thread::sleep(Duration::from_millis(100));
        }
        stallers.into_iter().for_each(|staller| staller.join().expect("no panic"));
    });
    assert!(others > 20, "{others} calls of others while some stalled");
    assert_eq!(recorder.calls().len(), calls + others);
    assert_eq!(called.load(Ordering::Relaxed), 0, "nobody was led elsewhere");
    assert!(
        !marker.exists() && std::fs::read_dir(folder.path()).expect("a folder").next().is_none(),
        "no shell was near"
    );
    let asked = server.asked.lock().expect("no panic").clone();
    let hops = asked.iter().filter(|path| path.starts_with("/redirect-chain/hop-")).count();
    assert_eq!(hops, 9, "three redirects of each of three documents: {asked:?}");

    // None speaks for another: not by metadata that names it, and not by keys of its own.
    let stranger = Issuer::es256("any").expect("keys");
    let refused = call(&gateway, &token(&gateway, &stranger, &server.issuer("honest")));
    assert_eq!((refused.status, code(&refused).as_str()), (401, "SK1101"));
    let named_by_liar = call(&gateway, &token(&gateway, &signer, gateway.issuer().name()));
    assert_eq!(named_by_liar.status, 401, "a key of one issuer is none of another's");
}

#[test]
fn keys_that_are_known_serve_when_their_issuer_is_gone_and_ones_that_are_not_are_asked_for_seldom() {
    let signer = Issuer::es256("any").expect("keys");
    let (key_set, gone) = (signer.key_set().expect("a key set"), Arc::new(AtomicUsize::new(0)));
    let is_gone = Arc::clone(&gone);
    let server = Server::start(move |origin, path| match (is_gone.load(Ordering::Relaxed), parted(path)) {
        (0, (name, "metadata")) => Answer::Json(metadata(origin, name, &json!(format!("{origin}/{name}/keys")))),
        (0, (_, "keys")) => Answer::Json(key_set.clone()),
        _ => Answer::Status(503),
    });
    let (gateway, _recorder) = stand(&(believed(&server.issuer("one")) + &believed(&server.issuer("never-seen"))));
    let good = token(&gateway, &signer, &server.issuer("one"));
    assert_eq!(status(&gateway, &good), 200);
    gone.store(1, Ordering::Relaxed);
    let asked = || server.asked.lock().expect("no panic").len();
    let before = asked();
    assert_eq!(
        status(&gateway, &token(&gateway, &signer, &server.issuer("one"))),
        200,
        "a token that was not seen before"
    );
    assert_eq!(asked(), before);
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
    (header.typ, header.kid) = (Some("at+jwt".to_owned()), Some("unknown".to_owned()));
    let mut claims = gateway.issuer().claims("alice", &gateway.endpoint("up"));
    claims["iss"] = json!(server.issuer("one"));
    for _ in 0..20 {
        let unknown = signer.mint_with(&header, &claims).expect("a token");
        assert_eq!(status(&gateway, &unknown), 401);
        assert_eq!(status(&gateway, &good), 200);
    }
    let metadata_places = 3;
    assert_eq!(asked() - before, metadata_places, "one look for the unknown key");
    let unseen = token(&gateway, &signer, &server.issuer("never-seen"));
    for _ in 0..5 {
        let refused = call(&gateway, &unseen);
        assert_eq!((refused.status, code(&refused).as_str()), (503, "SK1103"));
    }
    assert_eq!(asked() - before, 2 * metadata_places, "and one for the issuer whose keys never came");
}
