//! Servers that others wrote, in their cages: they do all that they do outside, and nobody is left of them.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects and stops where it is not so"
)]

mod ends;
mod reference;
mod runners;
mod yard;
