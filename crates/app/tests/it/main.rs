//! The real binary, as its users meet it.

mod config;
mod demo;
mod running;
mod support;
mod up;
