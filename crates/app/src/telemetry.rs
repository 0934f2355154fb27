//! Logs for the people who run it: on standard error, without arguments, results or tokens.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// One short line each, for people.
    Text,
    /// One JSON object each, for machines.
    Json,
}

/// What is logged and how.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How log lines look
    #[arg(long = "log", value_enum, default_value_t = Form::Text, value_name = "FORM")]
    form: Form,
    /// What is logged: a level, or levels by room such as `info,upstream=debug`
    #[arg(long = "log-level", default_value = "info", value_name = "FILTER", value_parser = filter)]
    level: String,
}

/// Begins to log. Later calls change nothing.
pub(crate) fn start(options: &Options) {
    let stderr = std::io::stderr();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&options.level))
        .with_ansi(stderr.is_terminal() && !plain)
        .with_writer(std::io::stderr);
    // Only a second subscriber is an error, and then the first one goes on.
    let _ = match options.form {
        Form::Text => builder.compact().try_init(),
        Form::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Checks a filter where it is written, so that a wrong one is an error of usage.
fn filter(text: &str) -> Result<String, String> {
    // A word alone would be taken for the name of a room, all of whose lines are wanted.
    if let Some(word) = text.split(',').find(|part| !part.contains('=') && part.parse::<LevelFilter>().is_err()) {
        return Err(format!("`{word}` is no level: off, error, warn, info, debug or trace"));
    }
    EnvFilter::builder().parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_is_a_level_or_levels_by_room() {
        for good in ["info", "warn,upstream=debug", "off"] {
            filter(good).unwrap();
        }
        for bad in ["loud", "info,upstream=loud"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
