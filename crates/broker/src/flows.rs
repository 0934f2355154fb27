//! What is between a request and its answer: the page that asks for consent, and then the way to the provider and back.
//!
//! Until somebody agrees, nothing is kept: the page carries what was asked, sealed, and is worth something in the browser that it was shown
//! in alone. The state that goes to the provider is made once somebody has agreed, is good once and for ten minutes, and comes back in that
//! browser or not at all (SB-07, SB-08).

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sekisho_keys::Sealer;
use sekisho_store::Table;
use sekisho_wire::Json;
use sekisho_wire::json::{Limits, Object};

use crate::kept::{Kept, NotKept, Row};
use crate::people::{seconds, text, texts, time};
use crate::secrets::{NoRandomness, are_same, digest, digest_text, random};

/// What a consent page asks about, as it travels in the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// The parameters of the request, as they came; they are read anew when the answer comes.
    pub(crate) asked: Box<str>,
    /// What the client said of itself when the page was made.
    pub(crate) client_digest: Box<str>,
    /// Whom the page named as the one who acts.
    pub(crate) user: Option<Box<str>>,
    /// The code of the device that asked, where one did.
    pub(crate) device: Option<Box<str>>,
}

/// What was agreed to, while the provider is asked who agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) page: Page,
    pub(crate) scopes: Vec<Box<str>>,
    /// How long the consent holds; none where it is one that is remembered.
    pub(crate) days: Option<u32>,
    /// Ours, for the provider.
    pub(crate) nonce: Box<str>,
    pub(crate) verifier: Box<str>,
}

/// A flow that has begun: what goes to the provider, and what stays in the browser.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) state: String,
    /// The value of this flow in the browser's cookie.
    pub(crate) browser: String,
}

/// Why an answer of a provider is taken by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoFlow {
    /// It was never begun here, has been answered, or it is too long ago.
    #[error("nobody waits for this answer: it was used before, or it is more than {} minutes ago", LIFE.as_secs() / 60)]
    Unknown,
    /// It was begun in another browser.
    #[error("this was begun in another browser")]
    AnotherBrowser,
    /// Nobody can say.
    #[error(transparent)]
    NotKept(#[from] NotKept),
}

impl Page {
    /// Seals it for the browser with this cookie.
    pub(crate) fn sealed(&self, sealer: &Sealer, browser: &str, now: SystemTime) -> Option<String> {
        let value = self
            .write(Object::new())
            .text("browser", &digest_text("page", browser))
            .unsigned("until", seconds(now.checked_add(LIFE)?))
            .finish();
        sealer.seal(PAGE, value.bytes()).ok().map(|sealed| URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens what this browser was shown; none for whatever else comes.
    pub(crate) fn opened(sealer: &Sealer, sealed: &str, browser: &str, now: SystemTime) -> Option<Page> {
        if sealed.len() > SEALED_BYTES_MAX {
            return None;
        }
        let text_of = sealer.unseal(PAGE, &URL_SAFE_NO_PAD.decode(sealed).ok()?).ok()?;
        let value = Json::decode(Bytes::copy_from_slice(&text_of), &LIMITS).ok()?;
        let is_its = are_same(&text(&value, "browser")?, &digest_text("page", browser));
        (is_its && now < time(&value, "until")?).then(|| Page::read(&value))?
    }

    fn write(&self, object: Object) -> Object {
        object
            .text("asked", &self.asked)
            .text("client_digest", &self.client_digest)
            .maybe_text("user", self.user.as_deref())
            .maybe_text("device", self.device.as_deref())
    }

    fn read(from: &Json) -> Option<Page> {
        Some(Page {
            asked: text(from, "asked")?,
            client_digest: text(from, "client_digest")?,
            user: text(from, "user"),
            device: text(from, "device"),
        })
    }
}

impl Flow {
    fn write(&self, browser: &str) -> Json {
        let page = self.page.write(Object::new());
        let page = match self.days {
            Some(days) => page.unsigned("days", u64::from(days)),
            None => page,
        };
        page.texts("scopes", self.scopes.iter().map(AsRef::as_ref))
            .text("nonce", &self.nonce)
            .text("verifier", &self.verifier)
            .text("browser", &digest_text("flow", browser))
            .finish()
    }

    fn read(from: &Json) -> Option<(Flow, Box<str>)> {
        let days = match from.get("days") {
            None => None,
            Some(days) => Some(u32::try_from(days.number()?.integer()?).ok()?),
        };
        let (nonce, verifier) = (text(from, "nonce")?, text(from, "verifier")?);
        let flow = Flow { page: Page::read(from)?, scopes: texts(from, "scopes")?, days, nonce, verifier };
        Some((flow, text(from, "browser")?))
    }
}

/// Keeps a flow that somebody agreed to.
pub(crate) async fn begin(kept: &Kept, flow: &Flow, now: SystemTime) -> Result<Begun, BeginError> {
    let (state, browser) = (random()?, random()?);
    let until = now.checked_add(LIFE).unwrap_or(now);
    let row = Row { key: key_of(&state), value: flow.write(&browser), until };
    kept.with(move |rows| match rows.count(Table::Flows)? {
        count if count < FLOWS_MAX => rows.set(Table::Flows, &row),
        _ => Ok(Err(NotKept::NoRoom)),
    })
    .await?;
    Ok(Begun { state, browser })
}

/// Why no flow begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BeginError {
    /// The store.
    #[error(transparent)]
    NotKept(#[from] NotKept),
    /// The system.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// Takes the flow of this state, whoever brings it: a second time there is none. It is theirs if their browser has its value in the cookie.
pub(crate) async fn end(kept: &Kept, state: &str, cookie: Option<&str>, now: SystemTime) -> Result<Flow, NoFlow> {
    let key = key_of(state);
    let row = kept.with(move |rows| rows.take(Table::Flows, &key, now).map(Ok)).await?;
    let (flow, browser) = row.and_then(|row| Flow::read(&row.value)).ok_or(NoFlow::Unknown)?;
    let mut own = cookie.into_iter().flat_map(|cookie| cookie.split('.'));
    // Several tabs may be under way.
    let is_its = own.any(|own| are_same(&digest_text("flow", own), &browser));
    if is_its { Ok(flow) } else { Err(NoFlow::AnotherBrowser) }
}

/// The cookie with one more flow in it, and the oldest left out.
pub(crate) fn with_one_more(cookie: Option<&str>, browser: &str) -> String {
    let known: Vec<&str> = cookie.into_iter().flat_map(|cookie| cookie.split('.')).collect();
    let kept = known.len().saturating_sub(TABS_MAX.saturating_sub(1));
    known.into_iter().skip(kept).chain([browser]).collect::<Vec<_>>().join(".")
}

fn key_of(state: &str) -> Vec<u8> {
    digest("state", state).to_vec()
}

/// How long somebody may take to agree, and again to log in.
pub(crate) const LIFE: Duration = Duration::from_secs(600);
const PAGE: &str = "consent page";
/// LIMIT: flows that are under way. Anybody can begin one, so the disk must not be theirs.
const FLOWS_MAX: u64 = 50_000;
/// LIMIT: flows that one browser has under way.
const TABS_MAX: usize = 8;
/// LIMIT: of what a page carries.
const SEALED_BYTES_MAX: usize = 64 * 1024;
const LIMITS: Limits = Limits { bytes_max: 64 * 1024, depth_max: 8, nodes_max: 1024 };
