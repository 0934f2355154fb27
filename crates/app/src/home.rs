//! The home configuration: `sekisho.toml` of the servers that a user's own clients start.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::problem::{Code, Problem};

/// Where it is, whether it is there or not: `$XDG_CONFIG_HOME/sekisho/sekisho.toml`, or else `~/.config/sekisho/sekisho.toml`.
///
/// # Errors
/// The environment tells neither folder.
pub(crate) fn config_path(env: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, Problem> {
    // A relative one counts as none (XDG Base Directory Specification 0.8).
    let folder = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")));
    config.map(|config| config.join("sekisho").join("sekisho.toml")).ok_or_else(|| {
        Problem::new(Code::ConfigUnreadable, "neither `XDG_CONFIG_HOME` nor `HOME` is an absolute path")
            .help("set one of them, or name a configuration with `--config FILE`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_configuration_is_where_the_xdg_base_directories_have_it() {
        let path = |set: &[(&str, &str)]| {
            let env = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
            config_path(&env).map(|path| path.display().to_string()).map_err(|problem| problem.line())
        };
        assert_eq!(path(&[("HOME", "/home/me")]).unwrap(), "/home/me/.config/sekisho/sekisho.toml");
        let both = [("HOME", "/home/me"), ("XDG_CONFIG_HOME", "/etc/me")];
        assert_eq!(path(&both).unwrap(), "/etc/me/sekisho/sekisho.toml");
        let relative = [("HOME", "/home/me"), ("XDG_CONFIG_HOME", "me")];
        assert_eq!(path(&relative).unwrap(), "/home/me/.config/sekisho/sekisho.toml");
        for none in [&[][..], &[("HOME", "")], &[("HOME", "me")]] {
            assert!(path(none).unwrap_err().contains("--config FILE"));
        }
    }
}
