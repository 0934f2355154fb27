use std::time::UNIX_EPOCH;

use super::*;
use crate::id::Voucher;
use crate::testing::{Site, store};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
}

/// Clients of a configuration, and the folder of their store.
struct Room {
    clients: Clients,
    site: Site,
    home: tempfile::TempDir,
    store: Arc<Store>,
    config: ClientsConfig,
}

impl Room {
    async fn open(config: &str) -> Room {
        let (site, home) = (Site::open().await, tempfile::tempdir().unwrap());
        let (store, config) = (store(home.path()), toml::from_str(config).unwrap());
        let clients = build(&config, &site, &store).unwrap();
        Room { clients, site, home, store, config }
    }

    /// The same after a restart.
    fn reopened(self, change: impl FnOnce(&mut ClientsConfig)) -> Room {
        let Room { clients, site, home, store: old, mut config } = self;
        drop((clients, old));
        change(&mut config);
        let store = store(home.path());
        let clients = build(&config, &site, &store).unwrap();
        Room { clients, site, home, store, config }
    }

    async fn register(&self, seconds: u64) -> Result<Box<str>, RegistrationError> {
        let body = Bytes::from_static(br#"{"client_name":"App","redirect_uris":["http://127.0.0.1/cb"]}"#);
        self.clients.register(body, None, at(seconds)).await.map(|registered| registered.client().id().as_str().into())
    }

    async fn is_known(&self, id: &str, seconds: u64) -> bool {
        self.clients.find(id, at(seconds)).await.is_ok()
    }
}

fn build(config: &ClientsConfig, site: &Site, store: &Arc<Store>) -> Result<Clients, ClientsConfigError> {
    let env = |name: &str| (name == "SECRET").then(|| "hunter2".into());
    let secret = |id: &str, place: &SecretRef| {
        place.resolve(sekisho_keys::Purpose::Collector { name: id }, std::path::Path::new("/"), &env)
    };
    Clients::new(config, secret, Arc::clone(&site.egress), Arc::clone(store))
}

const CONFIGURED: &str = r#"
[[configured]]
id = "desk"
name = "Desk"
redirect_uris = ["https://desk.example/cb"]
secret = "env:SECRET"
"#;

#[tokio::test]
async fn a_client_is_found_by_whichever_kind_of_id_it_has() {
    let listed = "registration = true\ndocuments = 'listed'\ndocument_hosts = ['localhost']\n";
    let room = Room::open(&format!("{listed}{CONFIGURED}")).await;
    let find = async |id: &str| room.clients.find(id, at(0)).await;
    let document = find(&room.site.id("/plain")).await.unwrap();
    assert_eq!(document.vouched_by(), Voucher::Host("localhost"));
    let desk = find("desk").await.unwrap();
    assert_eq!((desk.vouched_by(), desk.authenticated_by(Some("hunter2"))), (Voucher::Administrator, Ok(())));
    assert!(desk.authenticated_by(None).is_err());
    let id = room.register(0).await.unwrap();
    let registered = find(&id).await.unwrap();
    assert_eq!((registered.vouched_by(), registered.authenticated_by(None)), (Voucher::Nobody, Ok(())));

    assert!(matches!(find("desk2").await, Err(UnknownClient::NotKnown)));
    assert!(matches!(find("").await, Err(UnknownClient::NotKnown)));
    assert!(matches!(find("https://localhost/").await, Err(UnknownClient::Id(ClientIdError::NoPath))));
    assert!(matches!(find(&room.site.id("/missing")).await, Err(UnknownClient::Document(_))));
    assert!(matches!(find("https://evil.example/c").await, Err(UnknownClient::Untrusted(Untrusted::NotListed))));
    assert!(matches!(find("http://localhost/c").await, Err(UnknownClient::NotKnown)));
}

#[tokio::test]
async fn an_id_at_a_host_that_is_not_trusted_is_refused_before_anything_is_fetched() {
    for (config, why) in [
        ("", Untrusted::Local),
        ("documents = 'off'", Untrusted::Off),
        ("documents = 'listed'\ndocument_hosts = ['claude.ai']", Untrusted::NotListed),
    ] {
        let room = Room::open(config).await;
        let refused = room.clients.find(&room.site.id("/plain"), at(0)).await;
        assert!(matches!(refused, Err(UnknownClient::Untrusted(told)) if told == why), "{config}");
        assert_eq!(room.site.times("/plain"), 0, "{config}");
        assert_eq!(room.clients.read_documents(), why != Untrusted::Off);
    }
}

#[tokio::test]
async fn nobody_registers_where_that_is_off_and_nobody_who_did_before_is_known() {
    let room = Room::open("").await;
    assert!(matches!(room.register(0).await, Err(RegistrationError::Off)));
    assert!(!room.clients.take_registrations());
    let room = room.reopened(|config| config.registration = true);
    let id = room.register(0).await.unwrap();
    assert!(room.clients.take_registrations() && room.is_known(&id, 0).await);
    let room = room.reopened(|config| config.registration = false);
    assert!(!room.is_known(&id, 0).await && room.clients.registered(at(0)).is_empty());
}

#[tokio::test]
async fn registrations_outlive_a_restart_and_end_when_nobody_used_them() {
    let room = Room::open("registration = true\nregistration_days = 2").await;
    let (idle, used) = (room.register(0).await.unwrap(), room.register(0).await.unwrap());
    assert_eq!(idle.len(), 22);
    assert_ne!(idle, used);
    let client = room.clients.find(&used, at(DAY)).await.unwrap();
    room.clients.note_use(&client, at(DAY)).await.unwrap();
    let room = room.reopened(|_| {});
    for (seconds, idle_known, used_known) in
        [(2 * DAY - 1, true, true), (2 * DAY, false, true), (3 * DAY - 1, false, true), (3 * DAY, false, false)]
    {
        assert_eq!(room.is_known(&idle, seconds).await, idle_known, "{seconds}");
        assert_eq!(room.is_known(&used, seconds).await, used_known, "{seconds}");
    }
    let listed = room.clients.registered(at(2 * DAY));
    assert_eq!(listed.iter().map(|one| (&one.id, one.used)).collect::<Vec<_>>(), [(&used, Some(at(DAY)))]);
    // The store agrees: neither is swept before its time.
    assert_eq!(room.store.sweep(at(2 * DAY)).unwrap(), 0);
    assert_eq!(room.store.sweep(at(2 * DAY + 1)).unwrap(), 1);
    assert!(matches!(room.clients.note_use(&client, at(3 * DAY)).await, Err(ChangeError::Unknown)));
    // A life that was made shorter counts for those who are there.
    let room = room.reopened(|config| config.registration_days = 1);
    assert!(room.is_known(&used, 2 * DAY - 1).await && !room.is_known(&used, 2 * DAY).await);
}

#[tokio::test]
async fn a_use_is_written_once_a_day() {
    let room = Room::open("registration = true").await;
    let id = room.register(0).await.unwrap();
    let client = room.clients.find(&id, at(0)).await.unwrap();
    for (seconds, noted) in [(10, 10), (DAY + 9, 10), (DAY + 10, DAY + 10)] {
        room.clients.note_use(&client, at(seconds)).await.unwrap();
        assert_eq!(room.clients.registered(at(seconds))[0].used, Some(at(noted)), "{seconds}");
    }
}

#[tokio::test]
async fn a_registration_that_was_removed_is_gone_for_good() {
    let room = Room::open("registration = true").await;
    let (gone, stays) = (room.register(0).await.unwrap(), room.register(0).await.unwrap());
    room.clients.remove(&gone).await.unwrap();
    assert!(matches!(room.clients.remove(&gone).await, Err(ChangeError::Unknown)));
    assert!(!room.is_known(&gone, 0).await && room.is_known(&stays, 0).await);
    let room = room.reopened(|_| {});
    assert!(!room.is_known(&gone, 0).await && room.is_known(&stays, 0).await);
}

#[tokio::test]
async fn a_flood_has_an_end_and_pushes_out_nobody_who_is_used() {
    let room = Room::open("registration = true\nregistrations_max = 3\nregistrations_per_minute = 1000").await;
    let used = room.register(0).await.unwrap();
    let client = room.clients.find(&used, at(1)).await.unwrap();
    room.clients.note_use(&client, at(1)).await.unwrap();
    let (first, second) = (room.register(2).await.unwrap(), room.register(3).await.unwrap());
    // Those may be about to be let in.
    assert!(matches!(room.register(HOUR + 1).await, Err(RegistrationError::Full)));
    let third = room.register(HOUR + 2).await.unwrap();
    for (id, known) in [(&used, true), (&first, false), (&second, true), (&third, true)] {
        assert_eq!(room.is_known(id, HOUR + 2).await, known);
    }
    let room = room.reopened(|_| {});
    assert!(!room.is_known(&first, HOUR + 2).await && room.is_known(&third, HOUR + 2).await);
    // Those whose time is over make room for all that come.
    for _ in 0..3 {
        room.register(32 * DAY).await.unwrap();
    }
    assert!(matches!(room.register(32 * DAY).await, Err(RegistrationError::Full)));
    assert_eq!(room.clients.registered(at(32 * DAY)).len(), 3);
}

#[tokio::test]
async fn past_the_rate_nothing_is_read_and_nothing_is_kept() {
    let room = Room::open("registration = true\nregistrations_per_minute = 2").await;
    assert!(room.register(0).await.is_ok());
    let bad = room.clients.register(Bytes::from_static(b"{"), None, at(0)).await;
    assert!(matches!(bad, Err(RegistrationError::NotObject)), "what is wrong counts, too");
    for _ in 0..50 {
        assert!(matches!(room.register(0).await, Err(RegistrationError::Rate { .. })));
    }
    assert_eq!(room.clients.registered(at(0)).len(), 1);
}

#[tokio::test]
async fn a_scheme_that_is_permitted_no_more_ends_its_registrations() {
    let room = Room::open("registration = true\napp_schemes = ['cursor']").await;
    let body = Bytes::from_static(br#"{"redirect_uris":["cursor://x/cb"]}"#);
    let registered = room.clients.register(body, None, at(0)).await.unwrap();
    let id = registered.client().id().as_str();
    assert!(room.is_known(id, 0).await);
    let room = room.reopened(|config| config.app_schemes.clear());
    let refused = room.clients.find(id, at(0)).await;
    assert!(matches!(refused, Err(UnknownClient::Redirect(RedirectError::Scheme(_)))));
}

#[tokio::test]
async fn a_section_that_cannot_be_kept_is_refused() {
    let room = Room::open("").await;
    let refused = |text: &str| build(&toml::from_str(text).unwrap(), &room.site, &room.store).unwrap_err();
    let twice = refused(&format!("{CONFIGURED}{CONFIGURED}"));
    assert!(
        matches!(twice, ClientsConfigError::Configured { source, .. } if matches!(*source, ConfiguredError::Twice))
    );
    let secret = refused(&CONFIGURED.replace("SECRET", "OTHER"));
    assert!(
        matches!(secret, ClientsConfigError::Configured { source, .. } if matches!(*source, ConfiguredError::Secret(_)))
    );
    assert!(matches!(refused("app_schemes = ['javascript']"), ClientsConfigError::Scheme(_)));
    assert!(matches!(refused("registration_days = 0"), ClientsConfigError::Range { .. }));
    // A row that nobody here wrote.
    room.store.put(sekisho_store::Table::Clients, b"x", b"{}", at(DAY)).unwrap();
    assert!(matches!(refused("registration = true"), ClientsConfigError::Garbled));
    assert!(build(&toml::from_str("").unwrap(), &room.site, &room.store).is_ok());
}
