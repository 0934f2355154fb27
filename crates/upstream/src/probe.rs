//! What a server speaks: asked in both eras, since a server of both offers both.

use std::time::Duration;

use sekisho_wire::back;
use sekisho_wire::message::Meta;
use sekisho_wire::{Answer, Askable, Call, Era, Json, RpcError, Version};
use tokio::time::{Instant, timeout};

use crate::ask::{Ask, Question};
use crate::error::{Fault, chain, words};
use crate::link::{Asked, Link, Way};
use crate::offer::{Offer, Spoken};

/// Which eras are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eras {
    Both,
    Only(Era),
}

/// Asks a server what it speaks: `server/discover` for the modern era, `initialize` for the legacy one (BP-22, ST-09, HT-35). Each
/// era is asked on a connection of its own, because `initialize` binds a process to its era (BP-24).
///
/// # Errors
/// It speaks none of them; why, in words for the operator.
pub(crate) async fn probe(way: &Way, eras: Eras, at_most: Duration) -> Result<Offer, Box<str>> {
    let deadline = Instant::now() + at_most;
    let (modern, legacy) = match eras {
        Eras::Only(Era::Modern) => (Some(modern(way, deadline).await), None),
        Eras::Only(Era::Legacy) => (None, Some(legacy(way, deadline).await)),
        Eras::Both => {
            let (modern, legacy) = both(way, deadline).await;
            (Some(modern), Some(legacy))
        }
    };
    let (mut troubles, mut unsure) = (Vec::new(), false);
    let mut spoken = |asked: Option<Result<Spoken, Fault>>, how: &str| match asked? {
        Ok(spoken) => Some(spoken),
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
    Ok(Offer { legacy, modern, unsure })
}

/// Both at once. A legacy server may leave `server/discover` without an answer; once it has answered `initialize`, it does not get
/// all the time there is for the other one.
async fn both(way: &Way, deadline: Instant) -> (Result<Spoken, Fault>, Result<Spoken, Fault>) {
    let modern = modern(way, deadline);
    let legacy = legacy(way, deadline);
    tokio::pin!(modern, legacy);
    tokio::select! {
        modern = &mut modern => (modern, legacy.await),
        legacy = &mut legacy => {
            let silent = |_| Err(Fault::TimedOut("no answer came".into()));
            (timeout(GRACE, modern).await.unwrap_or_else(silent), legacy)
        }
    }
}

async fn modern(way: &Way, deadline: Instant) -> Result<Spoken, Fault> {
    let link = Link::modern(way, Version::LATEST_MODERN, None)?;
    let meta = Meta::default();
    let ask = Ask::call(Question::of(&Call::Discover), &meta, Askable::default(), link.version());
    let mut flight = link.ask(&ask, deadline).await?;
    match flight.answer().await? {
        Answer::Result(result) => discovered(&result),
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

async fn legacy(way: &Way, deadline: Instant) -> Result<Spoken, Fault> {
    // The link is closed when it is dropped: the process stopped, the session ended by DELETE.
    let asked = Asked { version: Version::LATEST_LEGACY, askable: Askable::default() };
    let (link, said) = Link::legacy(way, asked, None, deadline).await?;
    Ok(Spoken {
        version: link.version(),
        capabilities: said.capabilities,
        server: said.server,
        instructions: said.instructions,
    })
}

/// Header mismatch, missing capability, unsupported version (2026-07-28).
const MODERN_ERRORS: std::ops::RangeInclusive<i64> = -32022..=-32020;
/// How much longer a server that speaks the legacy era may take to show that it speaks the modern one, too.
const GRACE: Duration = Duration::from_secs(3);
