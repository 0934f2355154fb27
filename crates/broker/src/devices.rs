//! Clients without a browser (RFC 8628): they show a code, a user types it in elsewhere and is asked for the same consent, and they ask until
//! there is an answer. Codes are short, so few tries are allowed, and a page says that only who holds the device should go on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use http::{Method, StatusCode};
use sekisho_wire::json::Object;

use crate::answers::{self, OauthError, Reply};
use crate::authorize::Stop;
use crate::broker::{Broker, Knock};
use crate::client::Client;
use crate::flows::Page;
use crate::grants::Grant;
use crate::id::Voucher;
use crate::pages::{self, Told};
use crate::parameters::Parameters;
use crate::problems::Problem;
use crate::request::{Scope, is_same_resource};
use crate::secrets::{NoRandomness, digest, random};
use crate::token::{self, Asked};
use crate::wanted::Wanted;
use crate::{consent, paths};

/// The devices that wait. They are forgotten with this process: they ask again.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By the digest of their own code.
    devices: HashMap<[u8; 32], Device>,
    /// When codes were typed in that there are not.
    missed: Vec<Duration>,
}

#[derive(Debug)]
struct Device {
    client: Box<str>,
    resource: Box<str>,
    scopes: BTreeSet<Scope>,
    /// What the user types, without its hyphen.
    code: Box<str>,
    until: Duration,
    polled: Option<Duration>,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Awaited,
    Denied,
    Granted(Box<Grant>),
}

/// What a device asks for, found by the code that a user has typed in.
#[derive(Debug)]
pub(crate) struct Typed {
    pub(crate) client: Arc<Client>,
    pub(crate) resource: Box<str>,
    pub(crate) scopes: BTreeSet<Scope>,
    pub(crate) code: Box<str>,
}

/// `POST /oauth/device_authorization`
pub(crate) async fn ask(broker: &Broker, knock: &Knock<'_>) -> Reply {
    const AT: &str = "oauth/device_authorization";
    let Some(devices) = &broker.devices else {
        return OauthError::new("invalid_request", "devices are not served here").reply(AT);
    };
    let parameters = match Parameters::of_form(knock) {
        Ok(parameters) => parameters,
        Err(error) => return OauthError::new("invalid_request", &error.to_string()).reply(AT),
    };
    let client = match broker.client_of(knock, &parameters).await {
        Ok(client) => client,
        Err(error) => return error.reply(AT),
    };
    // There is no redirect URI to prove by that it is this client: whoever names a known one would be taken for it (RFC 8628 section 5.6).
    if client.vouched_by() != Voucher::Administrator {
        return OauthError::new("unauthorized_client", "devices are for clients that an administrator has configured")
            .reply(AT);
    }
    let resources = broker.resources.load_full();
    let asked = parameters.get("resource").unwrap_or_default();
    let Some(resource) = resources.uris().into_iter().find(|known| is_same_resource(known, asked)) else {
        return OauthError::new("invalid_target", "`resource` must be an MCP endpoint of this server").reply(AT);
    };
    let Some(scopes) = parameters.get("scope").map_or(Some(BTreeSet::new()), Scope::list) else {
        return OauthError::new("invalid_scope", "`scope` is no list of scopes").reply(AT);
    };
    match devices.begin(client.id().as_str(), resource, scopes, broker.elapsed()) {
        Ok((device_code, code)) => {
            let at = format!("{}{}", broker.issuer, paths::DEVICE);
            let document = Object::new()
                .text("device_code", &device_code)
                .text("user_code", &code)
                .text("verification_uri", &at)
                .unsigned("expires_in", LIFE.as_secs())
                .unsigned("interval", INTERVAL.as_secs())
                .finish();
            answers::json(StatusCode::OK, &document).into()
        }
        Err(error) => token::unavailable(&error).reply(AT),
    }
}

/// `GET /oauth/device` and `POST /oauth/device`: the form for the code, and then the page that asks.
pub(crate) async fn page(broker: &Broker, knock: &Knock<'_>) -> Reply {
    let language = knock.language();
    let Some(devices) = &broker.devices else {
        return broker.problem(knock, AT, Problem::BadRequest, &"devices are not served here");
    };
    if knock.method == Method::GET {
        // The code is typed, and never taken from a link: whoever sends one sends their own code with it (RFC 8628 section 5.4).
        return Reply::from(answers::page(StatusCode::OK, pages::device(language)));
    }
    let form = match Parameters::of_form(knock) {
        Ok(form) => form,
        Err(error) => return broker.problem(knock, AT, Problem::BadRequest, &error),
    };
    let code = plain(form.get("user_code").unwrap_or_default());
    if !devices.knows(&code, broker.elapsed()) {
        return broker.problem(
            knock,
            AT,
            Problem::DeviceCode,
            &"no device waits with this code, or too many were tried",
        );
    }
    let wanted = match read(broker, knock, &code).await {
        Ok(wanted) => wanted,
        Err(stop) => return *stop,
    };
    let user = match broker.known(knock).await {
        Ok(user) => user,
        Err(down) => return broker.problem(knock, AT, Problem::NotKept, &down),
    };
    let page = Page {
        asked: "".into(),
        client_digest: wanted.client().digest().to_string().into(),
        user: user.as_ref().map(|user| user.subject.clone()),
        device: Some(code.into()),
    };
    consent::show(broker, knock, page, &wanted, user.as_ref()).await
}

/// What the device with this code asks for.
pub(crate) async fn read(broker: &Broker, knock: &Knock<'_>, code: &str) -> Result<Wanted, Stop> {
    let stop = |problem, why: &dyn std::fmt::Display| Box::new(broker.problem(knock, AT, problem, why));
    let found = broker.devices.as_ref().and_then(|devices| devices.find(code, broker.elapsed()));
    let (client, resource, scopes) =
        found.ok_or_else(|| stop(Problem::DeviceCode, &"no device waits with this code"))?;
    let client = broker.clients.find(&client, knock.now).await;
    let client = client.map_err(|error| stop(Problem::UnknownClient, &crate::chain(&error)))?;
    Ok(Wanted::Device(Box::new(Typed { client, resource, scopes, code: code.into() })))
}

/// The user agreed, and has logged in.
pub(crate) fn granted(broker: &Broker, knock: &Knock<'_>, asked: &Typed, grant: Grant) -> Result<Reply, Stop> {
    let is_told = broker
        .devices
        .as_ref()
        .is_some_and(|devices| devices.answer(&asked.code, Answer::Granted(Box::new(grant)), broker.elapsed()));
    match is_told {
        true => Ok(answers::page(StatusCode::OK, pages::told(Told::DeviceAccepted, knock.language())).into()),
        false => Err(Box::new(broker.problem(knock, AT, Problem::DeviceCode, &"the device has gone"))),
    }
}

/// The user said no.
pub(crate) fn denied(broker: &Broker, asked: &Typed) {
    if let Some(devices) = &broker.devices {
        devices.answer(&asked.code, Answer::Denied, broker.elapsed());
    }
}

/// The device asks whether there is an answer.
pub(crate) async fn poll(broker: &Broker, knock: &Knock<'_>, asked: Asked<'_>) -> Reply {
    const AT: &str = "oauth/token";
    let Asked { client, parameters, key } = asked;
    let device_code = parameters.get("device_code").unwrap_or_default();
    let polled =
        broker.devices.as_ref().map(|devices| devices.poll(device_code, client.id().as_str(), broker.elapsed()));
    match polled.unwrap_or(Polled::Unknown) {
        Polled::Granted(mut grant) => {
            grant.bound_to = key.map(Into::into);
            token::give(broker, knock, *grant, None).await
        }
        // Nothing happened that a record would have to tell.
        Polled::Awaited => OauthError::new("authorization_pending", "the user has not answered").quietly(),
        Polled::TooOften => OauthError::new("slow_down", "ask less often").quietly(),
        Polled::Denied => OauthError::new("access_denied", "the user said no").reply(AT),
        Polled::Expired => OauthError::new("expired_token", "the user did not answer in time").reply(AT),
        Polled::Unknown => OauthError::new("invalid_grant", "the device code is not known, or not any more").reply(AT),
    }
}

/// What a device hears.
enum Polled {
    Granted(Box<Grant>),
    Awaited,
    TooOften,
    Denied,
    Expired,
    Unknown,
}

/// Why no device may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BeginError {
    /// Too many do.
    #[error("{DEVICES_MAX} devices wait for their users")]
    Full,
    /// The system.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

impl Devices {
    /// A code for the device, and one for its user.
    fn begin(
        &self,
        client: &str,
        resource: &str,
        scopes: BTreeSet<Scope>,
        now: Duration,
    ) -> Result<(String, String), BeginError> {
        let device_code = random()?;
        let mut known = self.known();
        known.devices.retain(|_, device| now < device.until);
        if known.devices.len() >= DEVICES_MAX {
            return Err(BeginError::Full);
        }
        let mut code = typed_code()?;
        while known.devices.values().any(|device| *device.code == *code) {
            code = typed_code()?;
        }
        let device = Device {
            client: client.into(),
            resource: resource.into(),
            scopes,
            code: code.clone().into(),
            until: now.saturating_add(LIFE),
            polled: None,
            answer: Answer::Awaited,
        };
        known.devices.insert(digest("device", &device_code), device);
        let (start, end) = code.split_at_checked(CODE_CHARS / 2).unwrap_or((&code, ""));
        Ok((device_code, format!("{start}-{end}")))
    }

    /// Whether a device waits with this code. Past a number of misses within a time nobody's code is known: guessing must not pay.
    fn knows(&self, code: &str, now: Duration) -> bool {
        let mut known = self.known();
        known.missed.retain(|at| now.saturating_sub(*at) < MISSES_WITHIN);
        if known.missed.len() >= MISSES_MAX {
            return false;
        }
        let is_known = known.awaited(code, now).is_some();
        if !is_known {
            known.missed.push(now);
        }
        is_known
    }

    fn find(&self, code: &str, now: Duration) -> Option<(Box<str>, Box<str>, BTreeSet<Scope>)> {
        let mut known = self.known();
        let device = known.awaited(code, now)?;
        Some((device.client.clone(), device.resource.clone(), device.scopes.clone()))
    }

    /// Answers the device, once; whether there was one.
    fn answer(&self, code: &str, answer: Answer, now: Duration) -> bool {
        let mut known = self.known();
        let Some(device) = known.awaited(code, now) else { return false };
        device.answer = answer;
        true
    }

    fn poll(&self, device_code: &str, client: &str, now: Duration) -> Polled {
        let key = digest("device", device_code);
        let mut known = self.known();
        let Some(device) = known.devices.get_mut(&key).filter(|device| *device.client == *client) else {
            return Polled::Unknown;
        };
        if now >= device.until {
            return Polled::Expired;
        }
        let is_early = device.polled.is_some_and(|polled| now.saturating_sub(polled) < INTERVAL);
        device.polled = Some(now);
        match &device.answer {
            Answer::Awaited if is_early => return Polled::TooOften,
            Answer::Awaited => return Polled::Awaited,
            Answer::Denied | Answer::Granted(_) => {}
        }
        match known.devices.remove(&key).map(|device| device.answer) {
            Some(Answer::Granted(grant)) => Polled::Granted(grant),
            Some(Answer::Denied) => Polled::Denied,
            Some(Answer::Awaited) | None => Polled::Unknown,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing between lock and unlock panics.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn awaited(&mut self, code: &str, now: Duration) -> Option<&mut Device> {
        let is_it = |device: &&mut Device| {
            *device.code == *code && now < device.until && matches!(device.answer, Answer::Awaited)
        };
        self.devices.values_mut().find(is_it)
    }
}

/// Eight letters of twenty: no vowels, so no words, and none that looks like another (RFC 8628 section 6.1); 34 bits.
fn typed_code() -> Result<String, NoRandomness> {
    let mut code = String::with_capacity(CODE_CHARS);
    while code.len() < CODE_CHARS {
        let mut byte = [0_u8; 1];
        rand::fill(&mut byte).map_err(|_| NoRandomness)?;
        // Those that would favour some letters are thrown away.
        let [byte] = byte;
        if usize::from(byte) < LETTERS.len() * (256 / LETTERS.len()) {
            code.extend(LETTERS.get(usize::from(byte) % LETTERS.len()).map(|letter| char::from(*letter)));
        }
    }
    Ok(code)
}

/// As people type it.
fn plain(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_alphabetic).take(CODE_CHARS + 1).collect::<String>().to_ascii_uppercase()
}

/// `grant_type`
pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const AT: &str = "oauth/device";
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const CODE_CHARS: usize = 8;
/// How long a user may take.
const LIFE: Duration = Duration::from_secs(600);
const INTERVAL: Duration = Duration::from_secs(5);
/// LIMIT: devices that wait.
const DEVICES_MAX: usize = 1000;
/// LIMIT: codes that may be mistyped, by all together, within [`MISSES_WITHIN`]: against 20^8 codes a guess finds one of a thousand devices once
/// in 250,000 minutes.
const MISSES_MAX: usize = 100;
const MISSES_WITHIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(devices: &Devices, now: u64) -> (String, String) {
        let scopes = Scope::list("tools:read").unwrap();
        devices.begin("app", "https://mcp.example/mcp", scopes, Duration::from_secs(now)).unwrap()
    }

    fn poll(devices: &Devices, code: &str, client: &str, now: u64) -> &'static str {
        match devices.poll(code, client, Duration::from_secs(now)) {
            Polled::Granted(_) => "granted",
            Polled::Awaited => "awaited",
            Polled::TooOften => "too often",
            Polled::Denied => "denied",
            Polled::Expired => "expired",
            Polled::Unknown => "unknown",
        }
    }

    #[test]
    fn a_device_hears_what_its_user_said_once() {
        let devices = Devices::default();
        let (device, shown) = begin(&devices, 0);
        let code = plain(&shown.to_ascii_lowercase());
        assert_eq!((shown.len(), code.len()), (9, 8));
        assert_eq!(poll(&devices, &device, "app", 0), "awaited");
        assert_eq!(poll(&devices, &device, "app", 4), "too often");
        assert_eq!(poll(&devices, &device, "app", 9), "awaited");
        assert_eq!(poll(&devices, &device, "another", 20), "unknown");
        assert_eq!(poll(&devices, "guessed", "app", 20), "unknown");
        assert!(devices.answer(&code, Answer::Denied, Duration::from_secs(30)));
        assert!(!devices.answer(&code, Answer::Denied, Duration::from_secs(30)), "it was answered");
        assert_eq!(poll(&devices, &device, "app", 31), "denied");
        assert_eq!(poll(&devices, &device, "app", 40), "unknown");
        let (device, _) = begin(&devices, 0);
        assert_eq!(poll(&devices, &device, "app", LIFE.as_secs()), "expired");
    }

    #[test]
    fn guessing_does_not_pay() {
        let devices = Devices::default();
        let (_, shown) = begin(&devices, 0);
        let code = plain(&shown);
        assert!(devices.knows(&code, Duration::ZERO));
        for _ in 0..MISSES_MAX {
            assert!(!devices.knows("BBBBBBBB", Duration::ZERO));
        }
        assert!(!devices.knows(&code, Duration::from_secs(59)), "not even what is right");
        assert!(devices.knows(&code, Duration::from_secs(60)));
    }

    #[test]
    fn devices_that_wait_are_bounded() {
        let devices = Devices::default();
        for _ in 0..DEVICES_MAX {
            begin(&devices, 0);
        }
        let more = |now| devices.begin("app", "r", BTreeSet::new(), now).map(drop);
        assert_eq!(more(Duration::ZERO), Err(BeginError::Full));
        assert_eq!(more(LIFE), Ok(()));
    }
}
