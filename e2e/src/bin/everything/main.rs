//! An MCP server that offers one of everything: the upstream of the conformance run and of the
//! end-to-end tests.
//!
//! It is written on `rmcp`, speaks both eras, and can be told to be careless (`--lax`), so that a
//! test can show what the gateway adds in front of a careless server.

mod catalog;
mod changes;
mod front;
mod rounds;
mod server;
mod state;
mod tasks;
mod tools;

use std::borrow::Cow;

use clap::{Parser, ValueEnum};
use rmcp::ServiceExt;
use rmcp::model::ProtocolVersion;

use crate::server::Everything;

/// One of everything that MCP can offer, for tests.
#[derive(Debug, Parser)]
struct Arguments {
    /// Speak over standard input and output.
    #[arg(long, conflicts_with = "listen", required_unless_present = "listen")]
    stdio: bool,
    /// Speak Streamable HTTP on this address; the bound URL is the first line of output.
    #[arg(long)]
    listen: Option<std::net::SocketAddr>,
    /// Take any Host and Origin, and believe the body where a header disagrees with it.
    #[arg(long)]
    lax: bool,
    /// Which revisions to speak.
    #[arg(long, value_enum, default_value_t = Era::Both)]
    era: Era,
}

/// Which revisions of the protocol the server admits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Era {
    /// Every revision.
    Both,
    /// Revisions that open with `initialize`.
    Legacy,
    /// Revisions in which every request describes itself.
    Modern,
}

impl Era {
    /// The revisions of this era, oldest first.
    pub(crate) fn versions(self) -> Cow<'static, [ProtocolVersion]> {
        match self {
            Self::Both => Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS),
            Self::Legacy => Cow::Borrowed(ProtocolVersion::known_up_to(&ProtocolVersion::LATEST_WITH_INITIALIZE)),
            Self::Modern => Cow::Borrowed(&[ProtocolVersion::V_2026_07_28]),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let server = Everything::new(arguments.era)?;
    match arguments.listen {
        Some(address) => {
            let checks = if arguments.lax { front::Checks::Lax } else { front::Checks::Strict };
            front::serve(server, address, checks).await
        }
        None => {
            server.serve(rmcp::transport::stdio()).await?.waiting().await?;
            Ok(())
        }
    }
}
