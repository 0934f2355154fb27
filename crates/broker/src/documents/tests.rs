use std::time::UNIX_EPOCH;

use tokio::task::JoinSet;

use super::*;
use crate::id::DocumentUrl;
use crate::redirect::RedirectUri;
use crate::testing::Site;
use crate::trust::{ClientsConfig, DocumentsFrom, Trust};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn trusted(id: &str) -> Trusted {
    let url = DocumentUrl::parse(id).unwrap();
    let document_hosts = vec![url.host().to_owned()];
    let config = ClientsConfig { documents: DocumentsFrom::Listed, document_hosts, ..ClientsConfig::default() };
    Trust::of(&config).unwrap().check(url).unwrap()
}

fn documents(site: &Site) -> Documents {
    Documents::new(Arc::clone(&site.egress), AppSchemes::default())
}

async fn find(documents: &Documents, site: &Site, path: &str, seconds: u64) -> Outcome {
    documents.find(&trusted(&site.id(path)), at(seconds)).await
}

#[tokio::test]
async fn a_document_is_fetched_from_its_address_and_from_nowhere_else() {
    let site = Site::open().await;
    let documents = documents(&site);
    for path in ["/plain", "/charset", "/suffix", "/padded/5120"] {
        let client = find(&documents, &site, path, 0).await.unwrap();
        assert_eq!((client.id().as_str(), client.name()), (&*site.id(path), "App"), "{path}");
        assert_eq!(
            client.redirects().iter().map(RedirectUri::as_str).collect::<Vec<_>>(),
            ["https://localhost.example/cb"]
        );
    }
    let error = async |path: &str| find(&documents, &site, path, 0).await.unwrap_err();
    for path in ["/html", "/text", "/untyped", "/typed-twice"] {
        assert!(matches!(*error(path).await, FetchDocumentError::Type), "{path}");
    }
    assert!(matches!(*error("/redirect").await, FetchDocumentError::Redirect { status: 302 }));
    assert!(matches!(*error("/permanent").await, FetchDocumentError::Redirect { status: 308 }));
    assert!(matches!(*error("/missing").await, FetchDocumentError::Status { status: 404 }));
    assert!(matches!(*error("/created").await, FetchDocumentError::Status { status: 201 }));
    assert!(matches!(*error("/other").await, FetchDocumentError::Document(DocumentError::AnotherClient)));
    assert!(matches!(*error("/padded/5121").await, FetchDocumentError::Body(BodyError::TooLong { .. })));
    assert!(matches!(*error("/endless").await, FetchDocumentError::Body(BodyError::TooLong { .. })));
    assert_eq!(site.times("/plain"), 1, "no redirect led there");
}

#[tokio::test]
async fn a_host_that_takes_its_time_is_not_waited_for() {
    let site = Site::open().await;
    let documents = Documents { timeout: Duration::from_secs(1), ..documents(&site) };
    let head = find(&documents, &site, "/slow-head", 0).await.unwrap_err();
    assert!(matches!(*head, FetchDocumentError::Send(SendError::Late)), "{head:?}");
    let body = find(&documents, &site, "/slow-body", 0).await.unwrap_err();
    assert!(matches!(*body, FetchDocumentError::Body(BodyError::Late)), "{body:?}");
    assert!(find(&documents, &site, "/plain", 0).await.is_ok());
}

#[tokio::test]
async fn a_name_that_leads_to_an_internal_address_is_not_asked() {
    let site = Site::open().await;
    let documents = documents(&site);
    // Most machines have a name of their own that leads to themselves; where one has none, the tests of `egress` hold the rule.
    let mut names = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    names += &std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    for name in names.split_whitespace().filter(|name| *name != "localhost" && !name.starts_with('#')) {
        let (Ok(id), Ok(found)) =
            (DocumentUrl::parse(&format!("https://{name}/c")), tokio::net::lookup_host((name, 443)).await)
        else {
            continue;
        };
        if found.map(|address| address.ip()).all(|ip| ip.is_loopback()) {
            let refused = documents.find(&trusted(id.as_str()), at(0)).await.unwrap_err();
            assert!(matches!(*refused, FetchDocumentError::Send(SendError::Refused(_))), "{name}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn a_document_is_kept_as_long_as_its_server_says() {
    let site = Site::open().await;
    let documents = documents(&site);
    for (path, seconds, times) in [
        ("/minutes", 0, 1),
        ("/minutes", 599, 1),
        ("/minutes", 600, 2),
        ("/plain", 0, 1),
        ("/plain", 3599, 1),
        ("/plain", 3600, 2),
        ("/no-store", 0, 1),
        ("/no-store", 0, 2),
    ] {
        assert!(find(&documents, &site, path, seconds).await.is_ok());
        assert_eq!(site.times(path), times, "{path} at {seconds}");
    }
    // A clock that was put back by days.
    let before = at(0) - 2 * KEPT_MAX;
    assert!(documents.find(&trusted(&site.id("/minutes")), before).await.is_ok());
    assert_eq!(site.times("/minutes"), 3);
}

#[tokio::test]
async fn that_a_document_is_not_there_is_known_for_half_a_minute() {
    let site = Site::open().await;
    let documents = documents(&site);
    for (seconds, times) in [(0, 1), (29, 1), (30, 2)] {
        assert!(find(&documents, &site, "/missing", seconds).await.is_err());
        assert_eq!(site.times("/missing"), times, "at {seconds}");
    }
}

#[tokio::test]
async fn a_document_that_changes_has_another_digest() {
    let site = Site::open().await;
    let documents = documents(&site);
    let digest = async |seconds: u64| find(&documents, &site, "/changing", seconds).await.unwrap().digest();
    let first = digest(0).await;
    assert_eq!(digest(599).await, first);
    assert_ne!(digest(600).await, first);
}

#[tokio::test]
async fn of_all_who_ask_for_one_document_one_fetches_it_and_a_host_is_asked_by_two_at_once() {
    let site = Arc::new(Site::open().await);
    let documents = Arc::new(documents(&site));
    let ask = |paths: Vec<String>| {
        let mut asking = JoinSet::new();
        for path in paths {
            let (documents, site) = (Arc::clone(&documents), Arc::clone(&site));
            asking.spawn(async move { find(&documents, &site, &path, 0).await.map(drop).unwrap() });
        }
        asking.join_all()
    };
    // Their server will have nobody keep it; those who wait for it take it all the same.
    ask(vec!["/held".into(); 20]).await;
    assert_eq!(site.times("/held"), 1);
    ask(vec!["/held".into()]).await;
    assert_eq!(site.times("/held"), 2);
    ask((0..10).map(|n| format!("/held/{n}")).collect()).await;
    assert!((1..=FETCHES_PER_HOST_MAX).contains(&site.most_at_once()), "{}", site.most_at_once());
    assert_eq!(documents.flights.0.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn where_too_many_are_fetched_one_more_is_refused_and_not_remembered_as_missing() {
    let site = Site::open().await;
    let documents = Documents { timeout: Duration::from_secs(1), ..documents(&site) };
    let all = documents.places.acquire_many(u32::try_from(FETCHES_MAX).unwrap()).await.unwrap();
    let busy = find(&documents, &site, "/plain", 0).await.unwrap_err();
    assert!(matches!(*busy, FetchDocumentError::Busy), "{busy:?}");
    drop(all);
    assert!(find(&documents, &site, "/plain", 0).await.is_ok());
    assert_eq!(site.times("/plain"), 1);
}

#[tokio::test]
async fn who_gives_up_leaves_the_fetch_to_the_next() {
    let site = Site::open().await;
    let documents = documents(&site);
    let given_up = tokio::time::timeout(Duration::from_millis(5), find(&documents, &site, "/held", 0)).await;
    assert!(given_up.is_err());
    assert!(find(&documents, &site, "/held", 0).await.is_ok());
}

#[tokio::test]
async fn no_more_is_kept_than_there_is_room_for() {
    let site = Site::open().await;
    let documents = documents(&site);
    let client = find(&documents, &site, "/plain", 0).await.unwrap();
    for n in 0..3 * KEPT_COUNT_MAX {
        documents.kept.insert(n.to_string().into(), Kept { it: Arc::clone(&client), until: at(60) });
    }
    documents.kept.run_pending_tasks();
    assert!(documents.kept.entry_count() <= KEPT_COUNT_MAX);
    let shared = Shared::default();
    let all: Vec<_> = (0..SHARED_MAX).map(|n| shared.of(&n.to_string(), || n).unwrap()).collect();
    assert!(shared.of("more", || 0).is_none());
    assert_eq!(shared.of("7", || 0).as_deref(), Some(&7));
    drop(all);
    assert!(shared.of("more", || 0).is_some());
}
