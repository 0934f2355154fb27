//! Changes that the server announces: to subscriptions of the modern era, and to the sessions of
//! the legacy one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::SubscriptionContext;
use rmcp::{ErrorData, Peer, RoleServer};
use tokio::sync::{broadcast, watch};

/// Something that changed.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The content of the resource with this URI.
    Resource(String),
}

/// Where changes are announced: one for the whole process.
#[derive(Debug, Clone)]
pub(crate) struct Changes(broadcast::Sender<Change>);

impl Changes {
    /// Nobody listens yet.
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(QUEUE_MAX))
    }

    /// Announces a change to whoever listens.
    ///
    /// The acknowledgment of a subscription is on its way before its listener is in place; a
    /// change that a client causes the moment it sees the acknowledgment must not be lost.
    pub(crate) async fn announce(&self, change: Change) {
        tokio::time::sleep(SETTLE).await;
        // Nobody listening is no error.
        let _ = self.0.send(change);
    }

    /// Feeds one modern subscription until the client ends it.
    pub(crate) async fn feed(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.0.subscribe();
        loop {
            let change = tokio::select! {
                () = subscription.cancelled() => return Ok(()),
                change = changes.recv() => change,
            };
            let sink = subscription.sink();
            // The sink refuses what the client did not ask for, which is as intended.
            let _ = match change {
                Ok(Change::Tools) => sink.notify_tool_list_changed().await,
                Ok(Change::Prompts) => sink.notify_prompt_list_changed().await,
                Ok(Change::Resource(uri)) => sink.notify_resource_updated(uri).await,
                Err(broadcast::error::RecvError::Lagged(_)) => Ok(()),
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            };
        }
    }

    /// Feeds one legacy session until its peer is gone.
    pub(crate) fn feed_session(&self, peer: Peer<RoleServer>, watched: Watched) {
        let mut changes = self.0.subscribe();
        tokio::spawn(async move {
            loop {
                let sent = match changes.recv().await {
                    Ok(Change::Tools) => peer.notify_tool_list_changed().await,
                    Ok(Change::Prompts) => peer.notify_prompt_list_changed().await,
                    Ok(Change::Resource(uri)) if watched.contains(&uri) => {
                        peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await
                    }
                    Ok(Change::Resource(_)) | Err(broadcast::error::RecvError::Lagged(_)) => Ok(()),
                    Err(broadcast::error::RecvError::Closed) => return,
                };
                if sent.is_err() {
                    return;
                }
            }
        });
    }
}

/// The resources that one legacy session subscribed to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched(Arc<Mutex<BTreeSet<String>>>);

impl Watched {
    /// Adds a URI.
    pub(crate) fn add(&self, uri: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uri);
    }

    /// Takes a URI out.
    pub(crate) fn remove(&self, uri: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uri);
    }

    fn contains(&self, uri: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(uri)
    }
}

/// The waits that were cancelled, by name: one for the whole process.
#[derive(Debug, Clone)]
pub(crate) struct Cancelled(Arc<watch::Sender<BTreeSet<String>>>);

impl Cancelled {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(BTreeSet::new())))
    }

    /// Remembers one.
    pub(crate) fn note(&self, name: &str) {
        self.0.send_modify(|names| {
            names.insert(name.to_owned());
        });
    }

    /// Returns as soon as this one is known.
    pub(crate) async fn wait_for(&self, name: &str) {
        // The sender lives as long as this value.
        let _ = self.0.subscribe().wait_for(|names| names.contains(name)).await;
    }
}

/// How many changes a slow listener may be behind.
const QUEUE_MAX: usize = 64;

/// How long an announcement waits for listeners that have just been acknowledged.
const SETTLE: Duration = Duration::from_millis(30);
