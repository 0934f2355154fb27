//! **Run it confined.** [`Cage::start`] starts a server and returns [`Confined`]: a process that the kernel keeps to what was granted.
//!
//! The room never starts a server with less than was asked for: a step that fails ends the launch. It grants nothing that nobody
//! named, in a profile (`profiles/`) or in the configuration, and never the whole home, another server's home, or what permits the
//! server. What the server does is the kernel's to stop; what it tells of itself is believed by nobody.
//!
//! How it works: the product executes itself once more, as a small program with one thread ([`launch()`]), hands it the [`Plan`] and
//! the environment over a socket, and hears over the same socket how far it came and how the server ended. The socket is the life
//! line, too: once its other end is closed, however that came about, nothing of the server is left.
//!
//! *Depth still missing*: other systems than Linux; containers as a fourth tier; a filter per profile learnt from what a server does.

mod cage;
mod config;
mod disk;
mod grants;
mod groups;
#[cfg(target_os = "linux")]
mod launch;
mod order;
mod plan;
mod probe;
mod profile;
mod tier;
mod usage;

pub use cage::{Cage, Confined, Launcher, Said, Speech, StartError};
pub use config::{Config, ConfigError};
pub use disk::{HeldError, free_bytes, held_bytes};
pub use groups::Groups;
#[cfg(target_os = "linux")]
pub use launch::{is_launcher, launch};
pub use plan::{Access, Bounds, Link, Plan, PlanError, Subject, View};
pub use probe::{Ability, Found, Machine};
pub use profile::{Profile, ProfileName};
pub use tier::Tier;
pub use usage::{Root, Usage};
