//! What a server speaks: asked in both eras, since a server of both offers both.

use std::time::Duration;

use sekisho_wire::back::{self, Initialized};
use sekisho_wire::message::Meta;
use sekisho_wire::{Answer, Askable, Call, Era, Json, RpcError, Version};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use crate::ask::{Ask, Question};
use crate::error::{Fault, chain, words};
use crate::hello::Hello;
use crate::link::{self, Link, Way};
use crate::offer::{Offer, Spoken};

/// Which eras are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eras {
    Both,
    Only(Era),
}

/// What a server answered in one era, and the connection that it answered on.
type Asked = Result<(Spoken, Link), Fault>;

/// Asks a server what it speaks: `server/discover` for the modern era, `initialize` for the legacy one (BP-22, ST-09, HT-35). Each
/// era is asked on a connection of its own, because `initialize` binds a process to its era (BP-24). What is found in one era while
/// the other is still awaited is `told` at once.
///
/// # Errors
/// It speaks none of them; why, in words for the operator.
pub(crate) async fn probe(way: &Way, eras: Eras, at_most: Duration, told: impl Fn(Offer)) -> Result<Offer, Box<str>> {
    let deadline = Instant::now() + at_most;
    // Links are closed when they are dropped: the process stopped, the session ended by DELETE.
    let (modern, legacy) = match eras {
        Eras::Only(Era::Modern) => (Some(modern(way, deadline).await), None),
        Eras::Only(Era::Legacy) => (None, Some(legacy(way, deadline).await)),
        Eras::Both => {
            let (modern, legacy) = both(modern(way, deadline), legacy(way, deadline), told).await;
            (Some(modern), Some(legacy))
        }
    };
    offer(modern.as_ref(), legacy.as_ref())
}

/// Asks a server in the era of one client, and in the other one where it does not answer in that. The connection on which the client's
/// era was answered is still open, for that client.
///
/// # Errors
/// As for [`probe`].
pub(crate) async fn greet(way: &Way, hello: Hello, at_most: Duration) -> Result<(Offer, Option<Link>), Box<str>> {
    let deadline = Instant::now() + at_most;
    let (modern, legacy) = match hello {
        Hello::Legacy { version, askable } => match initialize(way, link::Asked { version, askable }, deadline).await {
            Ok((spoken, link)) => return Ok((Offer::of_one(Era::Legacy, spoken), Some(link))),
            // There is no time left for another question, and none that this client needs the answer of.
            Err(fault @ Fault::TimedOut(_)) => return Err(words(&format!("initialize: {fault}"))),
            Err(fault) => (modern(way, deadline).await, Err(fault)),
        },
        Hello::Modern => {
            let mut modern = std::pin::pin!(modern(way, deadline));
            match timeout(HEAD_START, &mut modern).await {
                Ok(Ok((spoken, link))) => return Ok((Offer::of_one(Era::Modern, spoken), Some(link))),
                Ok(Err(fault)) => (Err(fault), legacy(way, deadline).await),
                Err(_) => {
                    let mut legacy = std::pin::pin!(legacy(way, deadline));
                    tokio::select! {
                        modern = &mut modern => match modern {
                            Ok((spoken, link)) => return Ok((Offer::of_one(Era::Modern, spoken), Some(link))),
                            Err(fault) => (Err(fault), legacy.await),
                        },
                        legacy = &mut legacy => (timeout(GRACE, modern).await.unwrap_or_else(silent), legacy),
                    }
                }
            }
        }
    };
    let found = offer(Some(&modern), Some(&legacy))?;
    let kept = modern.ok().filter(|_| hello.era() == Era::Modern).map(|(_, link)| link);
    Ok((found, kept))
}

fn offer(modern: Option<&Asked>, legacy: Option<&Asked>) -> Result<Offer, Box<str>> {
    let (mut troubles, mut unsure) = (Vec::new(), false);
    let mut spoken = |asked: Option<&Asked>, how: &str| match asked? {
        Ok((spoken, _)) => Some(spoken.clone()),
        Err(fault) => {
            troubles.push(format!("{how}: {fault}"));
            unsure |= matches!(fault, Fault::TimedOut(_));
            None
        }
    };
    let modern = spoken(modern, "server/discover");
    let legacy = spoken(legacy, "initialize");
    if modern.is_none() && legacy.is_none() {
        return Err(words(&troubles.join("; ")));
    }
    Ok(Offer { legacy, modern, unsure, awaited: None })
}

/// Both at once. A legacy server may leave `server/discover` without an answer; once it has answered `initialize`, it does not get
/// all the time there is for the other one.
async fn both(
    modern: impl Future<Output = Asked>,
    legacy: impl Future<Output = Asked>,
    told: impl Fn(Offer),
) -> (Asked, Asked) {
    let tell = |era, asked: &Asked| {
        if let Ok((spoken, _)) = asked {
            told(Offer::of_one(era, spoken.clone()));
        }
    };
    tokio::pin!(modern, legacy);
    tokio::select! {
        modern = &mut modern => {
            tell(Era::Modern, &modern);
            (modern, legacy.await)
        }
        legacy = &mut legacy => {
            tell(Era::Legacy, &legacy);
            (timeout(GRACE, modern).await.unwrap_or_else(silent), legacy)
        }
    }
}

fn silent(_: Elapsed) -> Asked {
    Err(Fault::TimedOut("no answer came".into()))
}

async fn modern(way: &Way, deadline: Instant) -> Asked {
    let link = Link::modern(way, Version::LATEST_MODERN, None)?;
    let meta = Meta::default();
    let ask = Ask::call(Question::of(&Call::Discover), &meta, Askable::default(), link.version());
    let answer = link.ask(&ask, deadline).await?.answer().await?;
    match answer {
        Answer::Result(result) => Ok((discovered(&result)?, link)),
        Answer::Error(error) => Err(refused(&error)),
    }
}

fn discovered(result: &Json) -> Result<Spoken, Fault> {
    let said = back::discovered(result).map_err(|error| Fault::Garbled(chain(&error).into()))?;
    let version = newest(said.versions.iter().map(AsRef::as_ref)).ok_or_else(|| {
        Fault::WrongEra(
            format!("it speaks none of our modern versions but {}", words(&said.versions.join(", "))).into(),
        )
    })?;
    let server = said.server.unwrap_or_else(Json::empty_object);
    Ok(Spoken { version, capabilities: said.capabilities, server, instructions: said.instructions })
}

/// The newest modern version that both sides speak.
fn newest<'a>(versions: impl Iterator<Item = &'a str>) -> Option<Version> {
    versions.filter_map(Version::parse).filter(|version| version.era() == Era::Modern).max()
}

/// A recognised modern error proves a modern server that will not talk to us; any other one a server of another era (HT-35, ST-10).
fn refused(error: &RpcError) -> Fault {
    let said = words(&error.message);
    let code = error.code;
    if MODERN_ERRORS.contains(&code) {
        Fault::WrongEra(format!("it is modern and refuses with error {code}: {said}").into())
    } else {
        Fault::WrongEra(format!("error {code}: {said}").into())
    }
}

async fn legacy(way: &Way, deadline: Instant) -> Asked {
    let any = link::Asked { version: Version::LATEST_LEGACY, askable: Askable::default() };
    let (spoken, link) = initialize(way, any, deadline).await?;
    link.begin(deadline).await?;
    Ok((spoken, link))
}

/// The session does not begin yet.
async fn initialize(way: &Way, asked: link::Asked, deadline: Instant) -> Asked {
    let (link, said) = Link::initialize(way, asked, None, deadline).await?;
    let Initialized { capabilities, server, instructions, .. } = said;
    Ok((Spoken { version: link.version(), capabilities, server, instructions }, link))
}

/// Header mismatch, missing capability, unsupported version (2026-07-28).
const MODERN_ERRORS: std::ops::RangeInclusive<i64> = -32022..=-32020;
/// How much longer a server that speaks the legacy era may take to show that it speaks the modern one, too.
const GRACE: Duration = Duration::from_secs(3);
/// How long a server is asked in the modern era alone, for a modern client.
const HEAD_START: Duration = Duration::from_millis(500);
