//! The forgeries, each beside the token that is accepted.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use sekisho_identity::{Presented, TokenError};
use sekisho_wire::{Endpoint, ServerId};
use serde_json::{Value, json};

use crate::support::*;

/// What becomes of a token: accepted, or refused for that reason.
async fn outcome(room: &Room, token: &str) -> Result<(), TokenError> {
    room.verify(token).await.map(drop)
}

async fn outcome_of(change: Value) -> Result<(), TokenError> {
    outcome(&Room::new(), &token(&claims_with(change))).await
}

async fn outcome_of_header(change: Value) -> Result<(), TokenError> {
    let mut header = header("ES256", "ec");
    for (key, value) in change.as_object().unwrap() {
        header[key] = value.clone();
    }
    outcome(&Room::new(), &signed_text("ES256", &header.to_string(), &claims().to_string())).await
}

#[tokio::test]
async fn a_good_token_of_each_algorithm_is_accepted() {
    let room = Room::new();
    for (algorithm, key) in [("ES256", "ec"), ("RS256", "rsa"), ("PS256", "rsa"), ("EdDSA", "ed"), ("Ed25519", "ed")] {
        let verified = room.verify(&signed(&header(algorithm, key), &claims())).await.unwrap();
        let who = verified.principal();
        assert_eq!((who.issuer(), who.subject(), who.client()), (ISSUER, "alice", "app"));
        assert_eq!(who.scopes().iter().map(|scope| &**scope).collect::<Vec<_>>(), ["mcp:tools", "mcp:prompts"]);
        assert_eq!(verified.lease().ends_at(), at(NOW + 300 + 30));
        assert_eq!(verified.endpoint(), &Endpoint::All);
    }
}

#[tokio::test]
async fn longer_curves_are_spoken_where_that_is_configured_and_each_key_is_for_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let set = json!({ "keys": keys().long_jwks() });
    std::fs::write(dir.path().join("jwks.json"), set.to_string()).unwrap();
    let room = |algorithms: &str| {
        let text =
            format!("[[issuers]]\nissuer = \"{ISSUER}\"\njwks_file = \"jwks.json\"\nalgorithms = [{algorithms}]");
        let url = url::Url::parse(PUBLIC_URL).unwrap();
        sekisho_identity::Identity::new(&config(&text), dir.path(), &url, client(), passing()).unwrap()
    };
    let both = room("\"ES384\", \"ES512\"");
    let verify = async |identity: &sekisho_identity::Identity, token: String| {
        identity.verify(&present(&token).unwrap(), &Endpoint::All, now()).await.map(drop)
    };
    let token = |algorithm: &str, key: &str| signed(&header(algorithm, key), &claims());
    for (algorithm, key, other) in [("ES384", "P-384", "P-521"), ("ES512", "P-521", "P-384")] {
        assert_eq!(verify(&both, token(algorithm, key)).await, Ok(()), "{algorithm}");
        assert_eq!(verify(&both, token(algorithm, other)).await, Err(TokenError::UnknownKey), "{algorithm}");
        let narrow = room(if algorithm == "ES384" { "\"ES512\"" } else { "\"ES384\"" });
        assert_eq!(verify(&narrow, token(algorithm, key)).await, Err(TokenError::AlgorithmRefused), "{algorithm}");
    }
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    for algorithm in ["none", "None", "NONE", ""] {
        let header = json!({ "alg": algorithm, "typ": "at+jwt", "kid": "ec" });
        let token = format!("{}.{}.", b64(header.to_string()), b64(claims().to_string()));
        assert_eq!(outcome(&Room::new(), &token).await, Err(TokenError::AlgorithmRefused));
    }
}

#[tokio::test]
async fn a_public_key_is_no_hmac_secret() {
    use aws_lc_rs::hmac;
    let secrets = [keys().ec_jwk().to_string(), keys().key_set().to_string()];
    for secret in secrets {
        let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": "ec" });
        let text = format!("{}.{}", b64(header.to_string()), b64(claims().to_string()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text.as_bytes());
        assert_eq!(outcome(&Room::new(), &format!("{text}.{}", b64(tag))).await, Err(TokenError::AlgorithmRefused));
    }
}

#[tokio::test]
async fn the_token_does_not_choose_how_a_key_is_read() {
    // The key is for ES256, the token says otherwise; and the other way round.
    for (algorithm, key) in [("RS256", "ec"), ("EdDSA", "ec"), ("ES256", "rsa"), ("ES256", "ed"), ("PS256", "ed")] {
        let token = signed(&header(algorithm, key), &claims());
        assert_eq!(outcome(&Room::new(), &token).await, Err(TokenError::UnknownKey), "{algorithm} with {key}");
    }
}

#[tokio::test]
async fn a_signature_of_one_rsa_scheme_is_none_of_the_other() {
    let text = header("PS256", "rsa").to_string();
    let token = signed_text("RS256", &text, &claims().to_string());
    assert_eq!(outcome(&Room::new(), &token).await, Err(TokenError::BadSignature));
}

#[tokio::test]
async fn an_algorithm_that_the_issuer_may_not_use_is_refused() {
    let room = Room::with("algorithms = [\"ES256\"]");
    assert_eq!(outcome(&room, &signed(&header("RS256", "rsa"), &claims())).await, Err(TokenError::AlgorithmRefused));
    assert_eq!(outcome(&room, &token(&claims())).await, Ok(()));
}

#[tokio::test]
async fn a_key_id_is_compared_and_nothing_else() {
    for id in ["../../../../dev/null", "file:///etc/passwd", "ec' OR 1=1 --", "EC", "ec ", "ec\u{0}", ""] {
        assert_eq!(outcome_of_header(json!({ "kid": id })).await, Err(TokenError::UnknownKey), "{id:?}");
    }
    assert_eq!(outcome_of_header(json!({ "kid": 7 })).await, Err(TokenError::Garbled));
    assert_eq!(outcome_of_header(json!({ "kid": "x".repeat(513) })).await, Err(TokenError::Garbled));
    assert_eq!(outcome_of_header(json!({ "kid": "ec" })).await, Ok(()));
}

#[tokio::test]
async fn without_key_id_only_an_unambiguous_key_is_used() {
    let nameless = |algorithm: &str| json!({ "alg": algorithm, "typ": "at+jwt" });
    assert_eq!(outcome(&Room::new(), &signed(&nameless("ES256"), &claims())).await, Ok(()));
    let room = Room::new();
    let mut twin = Keys::generate().ec_jwk();
    twin["kid"] = json!("twin");
    let set = json!({ "keys": [keys().ec_jwk(), twin] });
    std::fs::write(room.dir.path().join("jwks.json"), set.to_string()).unwrap();
    let config = config(&format!("[[issuers]]\nissuer = \"{ISSUER}\"\njwks_file = \"jwks.json\""));
    let url = url::Url::parse(PUBLIC_URL).unwrap();
    let identity = sekisho_identity::Identity::new(&config, room.dir.path(), &url, client(), passing()).unwrap();
    let room = Room { identity, dir: room.dir };
    assert_eq!(outcome(&room, &signed(&nameless("ES256"), &claims())).await, Err(TokenError::UnknownKey));
    assert_eq!(outcome(&room, &token(&claims())).await, Ok(()));
}

#[tokio::test]
async fn a_token_does_not_bring_its_own_key() {
    let stranger = Keys::generate();
    for (member, value) in [
        ("jwk", stranger.ec_jwk()),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("x5u", json!("https://attacker.example/chain.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut header = header("ES256", "ec");
        header[member] = value;
        let text = format!("{}.{}", b64(header.to_string()), b64(claims().to_string()));
        let token = format!("{text}.{}", b64(stranger.sign("ES256", text.as_bytes())));
        assert_eq!(outcome(&Room::new(), &token).await, Err(TokenError::KeyInHeader), "{member}");
    }
}

#[tokio::test]
async fn an_extension_that_is_not_spoken_is_refused() {
    assert_eq!(outcome_of_header(json!({ "crit": ["exp"] })).await, Err(TokenError::CriticalHeader));
    assert_eq!(outcome_of_header(json!({ "b64": false })).await, Err(TokenError::CriticalHeader));
    assert_eq!(outcome_of_header(json!({ "cty": "x" })).await, Ok(()));
}

#[tokio::test]
async fn another_type_of_token_is_refused() {
    for kind in ["JWT", "id+jwt", "logout+jwt", "at+jwt2", "at", ""] {
        assert_eq!(outcome_of_header(json!({ "typ": kind })).await, Err(TokenError::WrongType), "{kind}");
    }
    for kind in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        assert_eq!(outcome_of_header(json!({ "typ": kind })).await, Ok(()), "{kind}");
    }
    let plain = signed(&json!({ "alg": "ES256", "typ": "JWT", "kid": "ec" }), &claims());
    assert_eq!(outcome(&Room::with("token_types = [\"JWT\"]"), &plain).await, Ok(()));
    let none = signed(&json!({ "alg": "ES256", "kid": "ec" }), &claims());
    assert_eq!(outcome(&Room::with("token_types = [\"JWT\"]"), &none).await, Err(TokenError::WrongType));
}

#[tokio::test]
async fn a_member_that_stands_twice_is_refused() {
    let text = claims().to_string();
    let good = header("ES256", "ec").to_string();
    for (header, claims) in [
        (good.clone(), text.replacen('{', r#"{"sub":"mallory","#, 1)),
        (good.clone(), text.replacen('{', r#"{"\u0061ud":"https://gate.example/mcp","#, 1)),
        (good.replacen('{', r#"{"alg":"none","#, 1), text.clone()),
        (good.clone(), format!("{text} {{}}")),
        (good.clone(), format!("[{text}]")),
    ] {
        let token = signed_text("ES256", &header, &claims);
        assert_eq!(outcome(&Room::new(), &token).await, Err(TokenError::Garbled), "{claims}");
    }
    assert_eq!(outcome(&Room::new(), &signed_text("ES256", &good, &text)).await, Ok(()));
}

#[tokio::test]
async fn only_this_endpoint_is_an_audience() {
    for look_alike in [
        "https://gate.example/mcp/",
        "https://gate.example/MCP",
        "https://GATE.example/mcp",
        "HTTPS://gate.example/mcp",
        "https://gate.example",
        "https://gate.example/",
        "https://gate.example:443/mcp",
        "https://gate.example/mcp?x",
        "https://gate.example/mcp#x",
        "https://gate.example/mcp ",
        "https://gate.example/s/../mcp",
        "https://gate.example.attacker.example/mcp",
        "https://gate.example@attacker.example/mcp",
        "https://gаte.example/mcp",
        "http://gate.example/mcp",
        "gate.example/mcp",
    ] {
        assert_eq!(outcome_of(json!({ "aud": look_alike })).await, Err(TokenError::WrongAudience), "{look_alike}");
    }
    let other = "https://other.example/mcp";
    assert_eq!(outcome_of(json!({ "aud": [other] })).await, Err(TokenError::WrongAudience));
    assert_eq!(outcome_of(json!({ "aud": [] })).await, Err(TokenError::WrongAudience));
    assert_eq!(outcome_of(json!({ "aud": [other, AUDIENCE] })).await, Ok(()));
    assert_eq!(outcome_of(json!({ "aud": null })).await, Err(TokenError::MissingClaim("aud")));
    for shape in [json!([AUDIENCE, 7]), json!({ "0": AUDIENCE }), json!(7), json!(""), json!([[AUDIENCE]])] {
        assert_eq!(outcome_of(json!({ "aud": shape })).await, Err(TokenError::Garbled));
    }
}

#[tokio::test]
async fn configured_audiences_take_the_place_of_the_canonical_uri() {
    let room = Room::with("audiences = [\"api://gate\"]");
    assert_eq!(outcome(&room, &token(&claims_with(json!({ "aud": "api://gate" })))).await, Ok(()));
    assert_eq!(outcome(&room, &token(&claims())).await, Err(TokenError::WrongAudience));
}

#[tokio::test]
async fn a_token_for_one_endpoint_does_not_open_another() {
    let room = Room::new();
    let files = Endpoint::One(ServerId::parse("files").unwrap());
    let for_files = token(&claims_with(json!({ "aud": "https://gate.example/s/files/mcp" })));
    assert!(room.verify_at(&for_files, &files, now()).await.is_ok());
    // Known by now at one endpoint, which is not to be remembered at the other.
    assert_eq!(outcome(&room, &for_files).await, Err(TokenError::WrongAudience));
    let notes = Endpoint::One(ServerId::parse("notes").unwrap());
    assert_eq!(room.verify_at(&for_files, &notes, now()).await.map(drop), Err(TokenError::WrongAudience));
}

#[tokio::test]
async fn another_issuer_is_not_believed() {
    for name in ["https://as.example/", "https://AS.example", "https://evil.example", "http://as.example", "as.example"]
    {
        assert_eq!(outcome_of(json!({ "iss": name })).await, Err(TokenError::UnknownIssuer), "{name}");
    }
    assert_eq!(outcome_of(json!({ "iss": null })).await, Err(TokenError::MissingClaim("iss")));
    assert_eq!(outcome_of(json!({ "iss": [ISSUER] })).await, Err(TokenError::Garbled));
}

#[tokio::test]
async fn time_is_kept_to_the_second_and_the_skew() {
    assert_eq!(outcome_of(json!({ "exp": NOW - 29, "iat": NOW - 60 })).await, Ok(()));
    assert_eq!(outcome_of(json!({ "iat": NOW - 60, "exp": NOW - 30 })).await, Err(TokenError::Expired));
    assert_eq!(outcome_of(json!({ "nbf": NOW + 31 })).await, Err(TokenError::NotYet));
    assert_eq!(outcome_of(json!({ "nbf": NOW + 30 })).await, Ok(()));
    assert_eq!(outcome_of(json!({ "iat": NOW + 31 })).await, Err(TokenError::NotYet));
    assert_eq!(outcome_of(json!({ "iat": NOW + 30 })).await, Ok(()));
    assert_eq!(outcome_of(json!({ "iat": NOW, "exp": NOW + 86_400 })).await, Ok(()));
    assert_eq!(outcome_of(json!({ "iat": NOW, "exp": NOW + 86_401 })).await, Err(TokenError::TooLongLived));
    assert_eq!(outcome_of(json!({ "exp": null })).await, Err(TokenError::MissingClaim("exp")));
    assert_eq!(outcome_of(json!({ "iat": null })).await, Err(TokenError::MissingClaim("iat")));
}

#[tokio::test]
async fn a_time_that_is_no_whole_number_is_refused() {
    for time in [json!("1800000300"), json!(1.8e9), json!(-1), json!(u64::MAX), json!(253_402_300_800_u64), json!(true)]
    {
        assert_eq!(outcome_of(json!({ "exp": time })).await, Err(TokenError::Garbled), "{time}");
    }
    assert_eq!(outcome_of(json!({ "iat": NOW, "exp": NOW - 1 })).await, Err(TokenError::Garbled));
}

#[tokio::test]
async fn somebody_must_be_named() {
    assert_eq!(outcome_of(json!({ "sub": null })).await, Err(TokenError::MissingClaim("sub")));
    assert_eq!(outcome_of(json!({ "sub": "" })).await, Err(TokenError::MissingClaim("sub")));
    assert_eq!(outcome_of(json!({ "sub": 7 })).await, Err(TokenError::Garbled));
    assert_eq!(outcome_of(json!({ "sub": "x".repeat(1025) })).await, Err(TokenError::Garbled));
    assert_eq!(outcome_of(json!({ "sub": "x".repeat(1024) })).await, Ok(()));
    assert_eq!(outcome_of(json!({ "client_id": 7 })).await, Err(TokenError::Garbled));
}

#[tokio::test]
async fn client_scopes_roles_and_groups_are_read_where_they_are_configured() {
    let room = Room::with("roles_claim = \"roles\"\ngroups_claim = \"https://as.example/groups\"");
    let change = json!({ "client_id": null, "azp": "portal", "scope": null, "scp": ["a", "b"],
                         "roles": "admin", "https://as.example/groups": ["g1", "g2"] });
    let verified = room.verify(&token(&claims_with(change))).await.unwrap();
    let who = verified.principal();
    let words = |list: &[Box<str>]| list.join(",");
    assert_eq!(
        (who.client(), words(who.scopes()), words(who.roles()), words(who.groups().known())),
        ("portal", "a,b".to_owned(), "admin".to_owned(), "g1,g2".to_owned())
    );
    let wrong = json!({ "roles": { "admin": true } });
    assert_eq!(outcome(&room, &token(&claims_with(wrong))).await, Err(TokenError::Garbled));
    let unread = Room::new().verify(&token(&claims_with(json!({ "roles": "admin" })))).await.unwrap();
    assert!(unread.principal().roles().is_empty());
}

#[tokio::test]
async fn principals_differ_by_issuer_subject_and_client() {
    let room = Room::new();
    let key = async |change| room.verify(&token(&claims_with(change))).await.unwrap().principal().key();
    let alice = key(json!({})).await;
    assert_eq!(alice, key(json!({ "jti": "2", "scope": "other" })).await);
    assert_ne!(alice, key(json!({ "sub": "bob" })).await);
    assert_ne!(alice, key(json!({ "client_id": "app2" })).await);
    assert_ne!(
        key(json!({ "sub": "ab", "client_id": "c" })).await,
        key(json!({ "sub": "a", "client_id": "bc" })).await
    );
}

#[tokio::test]
async fn a_token_that_is_not_whole_is_refused() {
    let good = token(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (head, body) = signed.split_once('.').unwrap();
    for broken in [
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{head}..{body}.{signature}"),
        format!("{good}="),
        format!("{good}=="),
        format!("{head}+.{body}.{signature}"),
        signed.to_owned(),
        head.to_owned(),
        "...".to_owned(),
        ".".to_owned(),
        format!("{}.{body}.{signature}", b64("null")),
        format!("{}.{body}.{signature}", b64([0xff, 0xfe])),
        // 64 bytes end in a character with four free bits; a set one is another spelling of the same signature.
        format!("{}{}", &good[..good.len() - 1], if good.ends_with('A') { 'B' } else { '_' }),
    ] {
        assert_eq!(outcome(&Room::new(), &broken).await, Err(TokenError::Garbled), "{broken}");
    }
    // Padding within the token does not even make a `b64token`.
    let padded = format!("{head}=.{body}.{signature}");
    assert_eq!(outcome(&Room::new(), &padded).await, Err(TokenError::Malformed));
    let empty = outcome(&Room::new(), &format!("{signed}.")).await;
    let short = outcome(&Room::new(), &format!("{signed}.{}", b64([1; 63]))).await;
    let other = outcome(&Room::new(), &format!("{signed}.{}", b64([1; 64]))).await;
    assert_eq!([empty, short, other], [Err(TokenError::BadSignature); 3]);
    assert_eq!(outcome(&Room::new(), &good).await, Ok(()));
}

#[tokio::test]
async fn a_remembered_token_is_checked_against_time_at_each_use() {
    let room = Room::new();
    let token = token(&claims());
    let verify = async |seconds| room.verify_at(&token, &Endpoint::All, at(seconds)).await.map(drop);
    assert_eq!(verify(NOW).await, Ok(()));
    assert_eq!(verify(NOW + 329).await, Ok(()));
    assert_eq!(verify(NOW - 41).await, Err(TokenError::NotYet));
    assert_eq!(verify(NOW).await, Ok(()));
    assert_eq!(verify(NOW + 330).await, Err(TokenError::Expired));
    assert_eq!(verify(NOW + 331).await, Err(TokenError::Expired));
}

#[test]
fn one_bearer_header_is_taken_and_nothing_else() {
    let from = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("authorization", HeaderValue::from_str(value).unwrap());
        }
        Presented::from_request(&http::Method::POST, &headers, sekisho_identity::Channel::default()).map(drop)
    };
    assert_eq!(from(&["Bearer abc"]), Ok(()));
    assert_eq!(from(&["bEaReR  abc=="]), Ok(()));
    assert_eq!(from(&[]), Err(TokenError::Missing));
    assert_eq!(from(&["Basic YTpi"]), Err(TokenError::Missing));
    assert_eq!(from(&["Bearerabc"]), Err(TokenError::Missing));
    for values in [
        &["Bearer abc", "Bearer abc"][..],
        &["Bearer abc", "Basic YTpi"],
        &["Bearer"],
        &["Bearer "],
        &["Bearer ="],
        &["Bearer a b"],
        &["Bearer a,b"],
        &["Bearer a=b"],
        &["Bearer \"abc\""],
        &["Bearer\tabc"],
    ] {
        assert!(matches!(from(values), Err(TokenError::Malformed | TokenError::Missing)), "{values:?}");
    }
    let huge = |bytes: usize| from(&[&format!("Bearer {}", "a".repeat(bytes))]);
    assert_eq!(huge(16 * 1024), Ok(()));
    assert_eq!(huge(16 * 1024 + 1), Err(TokenError::Malformed));
}

#[test]
fn a_presented_token_is_not_printed() {
    assert!(!format!("{:?}", present("abcdef")).contains("abcdef"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn nothing_that_is_presented_panics_or_is_believed(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..5),
        json in "\\{(\"(alg|typ|kid|iss|aud|exp)\":(\"[A-Za-z0-9+]{0,6}\"|[0-9]{1,20}|null|\\[\\]),?){0,4}\\}",
        raw in "[A-Za-z0-9._~+/=-]{0,200}",
    ) {
        let room = shared_room();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let encoded = parts.iter().map(b64).collect::<Vec<_>>().join(".");
        let mixed = format!("{}.{}.{}", b64(&json), b64(&json), b64(parts.concat()));
        for token in [encoded, mixed, raw] {
            prop_assert!(runtime.block_on(room.verify(&token)).is_err());
        }
    }

    #[test]
    fn a_good_token_with_one_byte_changed_is_refused(at in 0_usize..400, to in "[A-Za-z0-9_.-]") {
        let room = shared_room();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut token = token(&claims());
        let at = at % token.len();
        prop_assume!(token[at..=at] != to);
        token.replace_range(at..=at, &to);
        prop_assert!(runtime.block_on(room.verify(&token)).is_err());
    }
}

fn shared_room() -> &'static Room {
    static ROOM: std::sync::OnceLock<Room> = std::sync::OnceLock::new();
    ROOM.get_or_init(Room::new)
}
