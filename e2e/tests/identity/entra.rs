//! Tokens as Microsoft Entra ID makes them, by a stand-in that MSAL, Microsoft's own client, takes for it.

use sekisho_e2e::idp::{self, Entra};
use sekisho_e2e::issuer::now;
use sekisho_e2e::tls::Authority;
use tempfile::TempDir;

use super::*;

const TENANT: &str = "11111111-2222-4333-8444-555555555555";
const FOREIGN: &str = "99999999-2222-4333-8444-555555555555";
const GATEWAY: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const ROBOT: &str = "aaaaaaaa-0000-4000-8000-000000000002";
const DESKTOP: &str = "aaaaaaaa-0000-4000-8000-000000000003";
const ALICE: &str = "bbbbbbbb-0000-4000-8000-000000000001";
const SECRET: &str = "secret-of-robot";

/// Two tenants alike: our application, a robot with a secret, a desktop client of people, and three of those.
struct Directory {
    entra: Entra,
    folder: TempDir,
}

impl Directory {
    fn start() -> Directory {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new().expect("an authority");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
        let files = authority.issue().expect("a certificate").write(folder.path(), "entra").expect("written");
        let tenant = |id: &str, domain: &str| {
            let granted = json!([{"resource": GATEWAY, "scopes": ["mcp"], "roles": ["reader"]}]);
            let user = |name: &str, more: Value| {
                let mut user = json!({"username": format!("{name}@{domain}"), "password": "correct"});
                for (key, value) in more.as_object().expect("an object") {
                    user[key] = value.clone();
                }
                user
            };
            json!({"tid": id, "domains": [domain],
            "apps": [
                {"client_id": GATEWAY, "name": "gateway", "identifier_uris": [format!("api://{GATEWAY}")], "scopes": ["mcp"],
                 "groups": true, "mfa": true},
                {"client_id": ROBOT, "name": "robot", "secret": SECRET, "granted": granted},
                {"client_id": DESKTOP, "name": "desktop", "granted": granted},
            ],
            "users": [
                user("alice", json!({"object_id": ALICE, "groups": ["cccccccc-0000-4000-8000-000000000001"]})),
                user("carol", json!({"overage": "names"})),
                user("mallory", json!({"mfa": "required"})),
            ]})
        };
        let options = json!({"tls": {"cert": files.certificate, "key": files.key},
            "tenants": [tenant(TENANT, "home.example"), tenant(FOREIGN, "foreign.example")]});
        Directory { entra: Entra::start(&options, &authority).expect("the directory"), folder }
    }

    /// A gateway that believes the first tenant's tokens, with these lines in the table.
    fn gateway(&self, lines: &str) -> (Gateway, Recorder) {
        let (ca, origin) = (self.folder.path().join("ca.pem"), self.entra.origin());
        stand(&format!(
            "[egress]\nca_file = {ca:?}\n\n[[identity.entra]]\napplication = \"{GATEWAY}\"\ntenants = [\"{TENANT}\"]\n\
             authority = \"{origin}\"\n{lines}\n"
        ))
    }

    /// What MSAL makes of these steps, as an application with or without a secret.
    fn msal(&self, tenant: &str, (client, secret): (&str, Option<&str>), steps: &Value) -> Vec<Value> {
        let authority = format!("{}/{tenant}", self.entra.origin());
        let plan = json!({"authority": authority, "ca": self.folder.path().join("ca.pem"), "client_id": client,
            "secret": secret, "steps": steps});
        let report = idp::msal(&plan).expect("a report");
        report["done"].as_array().unwrap_or_else(|| panic!("{report}")).clone()
    }

    /// The tokens of a user of a tenant, and of the robot there.
    fn tokens(&self, tenant: &str, username: &str) -> (String, String) {
        let user = self.msal(tenant, (DESKTOP, None), &json!([password(username, "correct")]));
        let robot = self.msal(tenant, (ROBOT, Some(SECRET)), &json!([client()]));
        (text(&user[0], "access_token").to_owned(), text(&robot[0], "access_token").to_owned())
    }

    /// A token with the claims of alice's, but for these; `null` takes one away.
    fn mint(&self, tenant: &str, changes: &Value, header: &Value) -> String {
        let mut claims = json!({"iss": self.entra.issuer(TENANT), "aud": GATEWAY, "tid": TENANT, "oid": ALICE, "azp": DESKTOP,
            "scp": "mcp",
            "ver": "2.0", "sub": "pairwise", "uti": "u1", "iat": now() - 300, "nbf": now() - 300, "exp": now() + 3600});
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        self.entra.mint(tenant, &claims, header).expect("a token")
    }
}

fn password(username: &str, password: &str) -> Value {
    json!({"do": "password", "username": username, "password": password, "scopes": [format!("api://{GATEWAY}/mcp")]})
}

fn client() -> Value {
    json!({"do": "client", "scopes": [format!("api://{GATEWAY}/.default")]})
}

#[test]
fn a_users_token_opens_and_an_applications_own_only_where_it_may() {
    let directory = Directory::start();
    let (user, robot) = directory.tokens(TENANT, "alice@home.example");
    let (foreign_user, foreign_robot) = directory.tokens(FOREIGN, "alice@foreign.example");
    for (lines, robots) in [("", 401), ("applications = \"permitted\"", 200)] {
        let (gateway, recorder) = directory.gateway(lines);
        assert_eq!((status(&gateway, &user), status(&gateway, &robot)), (200, robots), "{lines}");
        let calls = recorder.calls().len();
        let foreign = call(&gateway, &foreign_user);
        assert_eq!((foreign.status, code(&foreign).as_str()), (401, "SK1101"), "another tenant: {lines}");
        assert_eq!(status(&gateway, &foreign_robot), 401, "another tenant: {lines}");
        assert_eq!(recorder.calls().len(), calls);
        let record =
            records(&gateway).into_iter().find(|record| record["principal"]["subject"] == ALICE).expect("a record");
        assert_eq!(
            (&record["principal"]["client"], &record["principal"]["issuer"]),
            (&json!(DESKTOP), &json!(directory.entra.issuer(TENANT)))
        );
    }
}

#[test]
fn where_clients_are_listed_no_other_client_of_the_tenant_opens() {
    let directory = Directory::start();
    let (user, robot) = directory.tokens(TENANT, "alice@home.example");
    for (listed, wanted) in [(DESKTOP, (200, 401)), (ROBOT, (401, 200))] {
        let (gateway, _recorder) =
            directory.gateway(&format!("applications = \"permitted\"\nclients = [\"{listed}\"]"));
        assert_eq!((status(&gateway, &user), status(&gateway, &robot)), wanted, "{listed}");
    }
}

#[test]
fn whatever_else_a_tenant_signs_opens_nothing() {
    let directory = Directory::start();
    let (gateway, recorder) = directory.gateway("applications = \"permitted\"");
    let issuer = |tenant: &str| directory.entra.issuer(tenant);
    let good = || directory.mint(TENANT, &json!({}), &json!({}));
    assert_eq!(status(&gateway, &good()), 200);
    let bad = [
        ("version 1.0", json!({"ver": "1.0", "azp": null, "appid": DESKTOP, "aud": format!("api://{GATEWAY}")})),
        ("another version", json!({"ver": "1.0"})),
        ("a newer version", json!({"ver": "3.0"})),
        ("no version", json!({"ver": null})),
        ("the application's URI as audience", json!({"aud": format!("api://{GATEWAY}")})),
        ("several audiences", json!({"aud": [GATEWAY, ROBOT]})),
        ("another application", json!({"aud": ROBOT})),
        ("our own endpoint as audience", json!({"aud": gateway.endpoint("up")})),
        ("another tenant's issuer", json!({"iss": issuer(FOREIGN)})),
        ("another tenant in `tid`", json!({"tid": FOREIGN})),
        ("another tenant in both", json!({"tid": FOREIGN, "iss": issuer(FOREIGN)})),
        ("the issuer of many", json!({"iss": issuer("{tenantid}")})),
        ("the issuer of version 1.0", json!({"iss": format!("https://sts.windows.net/{TENANT}/")})),
        ("no tenant", json!({"tid": null})),
        ("no person", json!({"oid": null})),
        ("an empty person", json!({"oid": ""})),
        ("no client", json!({"azp": null})),
        (
            "an identity token",
            json!({"scp": null, "azp": null, "nonce": "n", "preferred_username": "alice@home.example"}),
        ),
        ("an identity token with a client", json!({"scp": null})),
        ("an identity token with `idtyp`", json!({"scp": null, "idtyp": "user"})),
        ("both a user's and an application's", json!({"idtyp": "app"})),
        ("no permission", json!({"scp": " "})),
        ("expired", json!({"exp": now() - 60})),
        ("not yet", json!({"nbf": now() + 600})),
        ("for longer than any", json!({"exp": now() + 200_000})),
    ];
    for (what, changes) in bad {
        let refused = call(&gateway, &directory.mint(TENANT, &changes, &json!({})));
        assert_eq!((refused.status, code(&refused).as_str()), (401, "SK1101"), "{what}");
    }
    let foreign = directory.mint(FOREIGN, &json!({}), &json!({}));
    assert_eq!(status(&gateway, &foreign), 401, "another tenant's key");
    for header in [
        json!({"typ": "at+jwt"}),
        json!({"typ": null}),
        json!({"alg": "PS256"}),
        json!({"alg": "none"}),
        json!({"kid": null}),
        json!({"kid": "other"}),
    ] {
        let refused = status(&gateway, &directory.mint(TENANT, &json!({}), &header));
        assert_eq!(refused, 401, "{header}");
    }
    assert_eq!(recorder.calls().len(), 1);
    assert_eq!(status(&gateway, &good()), 200);
    let counts = directory.entra.counts().expect("counts");
    // Once at first need, and once for the key that nobody knows.
    assert_eq!((&counts["keys"], &counts["metadata"]), (&json!(2), &json!(0)), "{counts}");
}

#[test]
fn who_is_in_more_groups_than_a_token_holds_is_a_caller_all_the_same() {
    let directory = Directory::start();
    let (gateway, recorder) = directory.gateway("");
    let (carol, _) = directory.tokens(TENANT, "carol@home.example");
    assert_eq!((status(&gateway, &carol), recorder.calls().len()), (200, 1));
}

#[test]
fn who_lacks_a_secret_or_a_second_factor_gets_no_token_at_all() {
    let directory = Directory::start();
    let wrong = directory.msal(TENANT, (ROBOT, Some("guessed")), &json!([client()]));
    assert_eq!(
        (&wrong[0]["error"], &wrong[0]["error_codes"]),
        (&json!("invalid_client"), &json!([7_000_215])),
        "{wrong:?}"
    );
    let steps = json!([password("mallory@home.example", "correct"), password("alice@home.example", "wrong")]);
    let refused = directory.msal(TENANT, (DESKTOP, None), &steps);
    assert_eq!(
        (&refused[0]["error"], &refused[0]["error_codes"]),
        (&json!("invalid_grant"), &json!([50_076])),
        "{refused:?}"
    );
    assert!(refused[0]["claims"].is_string(), "{refused:?}");
    assert_eq!(refused[1]["error_codes"], json!([50_126]), "{refused:?}");
}

#[test]
fn the_command_that_holds_real_tenants_against_expectations_is_content_with_this_one() {
    let directory = Directory::start();
    let (gateway, recorder) = directory.gateway("");
    let held = |token: &str| {
        let mut command = std::process::Command::new(place::binary("sekisho").expect("the binary"));
        command
            .args(["conformance", "entra", "--live", "--token", "--config"])
            .arg(gateway.folder().join("sekisho.toml"));
        process::run(&mut command, token, LIMIT).expect("an end")
    };
    let (alice, _) = directory.tokens(TENANT, "alice@home.example");
    let content = held(&alice);
    assert!(content.status.success() && !content.out.contains("OTHERWISE"), "{content:?}");
    for asked in ["its issuer is the tenant's", "no metadata of RFC 8414", "it is accepted", "refused: unsigned"] {
        assert!(content.out.contains(asked), "{asked}: {}", content.out);
    }
    let (foreign, _) = directory.tokens(FOREIGN, "alice@foreign.example");
    let otherwise = held(&foreign);
    assert!(!otherwise.status.success() && otherwise.out.contains("OTHERWISE  it is accepted"), "{otherwise:?}");
    assert!(!otherwise.out.contains(&foreign) && recorder.calls().is_empty());
    let unasked = sekisho(&gateway, &["conformance", "entra"]);
    assert_eq!(unasked.status.code(), Some(2), "nothing is asked without --live: {unasked:?}");
}
