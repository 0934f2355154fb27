//! Variables that steer a process before its program has a say.

/// What a variable of this name does to a process, if it does more than to be there.
#[must_use]
pub fn steers(name: &str) -> Option<&'static str> {
    // npm and pip read theirs in any case.
    let lower = name.to_ascii_lowercase();
    if let Some(setting) = lower.strip_prefix("npm_config_") {
        let is_harmless = NPM_HARMLESS.contains(&setting.replace('-', "_").as_str());
        return (!is_harmless).then_some(REGISTRY);
    }
    let begins = BEGINNINGS.iter().find(|(begin, _)| name.starts_with(begin)).map(|(_, why)| *why);
    begins.or_else(|| VARIABLES.iter().find(|(names, _)| names.contains(&name)).map(|(_, why)| *why))
}

const LOADS: &str = "loads other code into the program";
const OPTIONS: &str = "gives the interpreter more options, such as code to run";
const FINDS: &str = "says where else modules are looked for";
const SHELL: &str = "names a file or code that shells run first";
const COMMAND: &str = "names a command that programs run";
const REGISTRY: &str = "changes where packages come from, or what is run with them";
const TRUST: &str = "lets anybody pose as the hosts that it talks to";
const SETTINGS: &str = "names settings that can name commands";

const BEGINNINGS: &[(&str, &str)] = &[
    ("LD_", LOADS),
    ("DYLD_", LOADS),
    ("GIT_CONFIG", SETTINGS),
    ("BASH_FUNC_", SHELL),
    ("CORECLR_", LOADS),
    ("COR_", LOADS),
];

const VARIABLES: &[(&[&str], &str)] = &[
    (
        &[
            "NODE_OPTIONS",
            "NODE_REPL_EXTERNAL_MODULE",
            "BUN_OPTIONS",
            "BUN_INSPECT_PRELOAD",
            "PERL5OPT",
            "PERL5DB",
            "RUBYOPT",
            "JAVA_TOOL_OPTIONS",
            "_JAVA_OPTIONS",
            "JDK_JAVA_OPTIONS",
            "LUA_INIT",
            "ERL_FLAGS",
            "ERL_AFLAGS",
            "ERL_ZFLAGS",
            "ELIXIR_ERL_OPTIONS",
            "PHP_INI_SCAN_DIR",
            "PHPRC",
            "ELECTRON_RUN_AS_NODE",
            "GOFLAGS",
            "RUSTFLAGS",
        ],
        OPTIONS,
    ),
    (
        &[
            "NODE_PATH",
            "PYTHONPATH",
            "PYTHONHOME",
            "PYTHONUSERBASE",
            "PYTHONPLATLIBDIR",
            "PERL5LIB",
            "PERLLIB",
            "RUBYLIB",
            "GEM_PATH",
            "GEM_HOME",
            "BUNDLE_GEMFILE",
            "BUNDLE_PATH",
            "CLASSPATH",
            "LUA_PATH",
            "LUA_CPATH",
            "DOTNET_ADDITIONAL_DEPS",
            "DOTNET_SHARED_STORE",
        ],
        FINDS,
    ),
    (
        &[
            "DOTNET_STARTUP_HOOKS",
            "GCONV_PATH",
            "GLIBC_TUNABLES",
            "GTK_MODULES",
            "GIO_EXTRA_MODULES",
            "QT_PLUGIN_PATH",
            "OPENSSL_CONF",
            "OPENSSL_ENGINES",
            "OPENSSL_MODULES",
        ],
        LOADS,
    ),
    (&["NODE_TLS_REJECT_UNAUTHORIZED", "PYTHONHTTPSVERIFY", "GIT_SSL_NO_VERIFY"], TRUST),
    (&["PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONBREAKPOINT"], "has Python run a file, a module or what is typed"),
    (&["BASH_ENV", "ENV", "ZDOTDIR", "SHELLOPTS", "BASHOPTS", "PROMPT_COMMAND", "PS4", "IFS", "CDPATH"], SHELL),
    (
        &[
            "GIT_SSH",
            "GIT_SSH_COMMAND",
            "GIT_EXEC_PATH",
            "GIT_ASKPASS",
            "GIT_EDITOR",
            "GIT_SEQUENCE_EDITOR",
            "GIT_PAGER",
            "GIT_EXTERNAL_DIFF",
            "GIT_PROXY_COMMAND",
            "GIT_TEMPLATE_DIR",
            "SSH_ASKPASS",
            "SUDO_ASKPASS",
            "EDITOR",
            "VISUAL",
            "PAGER",
            "MANPAGER",
            "LESSOPEN",
            "LESSCLOSE",
            "BROWSER",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
        ],
        COMMAND,
    ),
    (
        &[
            "UV_INDEX",
            "UV_INDEX_URL",
            "UV_DEFAULT_INDEX",
            "UV_EXTRA_INDEX_URL",
            "UV_FIND_LINKS",
            "UV_INSECURE_HOST",
            "UV_CONFIG_FILE",
            "UV_ENV_FILE",
            "UV_OVERRIDE",
            "UV_PYTHON_INSTALL_MIRROR",
            "UV_PYPY_INSTALL_MIRROR",
            "UV_INDEX_STRATEGY",
            "UV_NO_VERIFY_HASHES",
            "UV_CONSTRAINT",
            "PIP_REQUIREMENT",
            "PIP_CONSTRAINT",
            "GOPROXY",
            "GOSUMDB",
            "GONOSUMDB",
            "GONOPROXY",
            "GOINSECURE",
            "PIP_INDEX_URL",
            "PIP_EXTRA_INDEX_URL",
            "PIP_FIND_LINKS",
            "PIP_TRUSTED_HOST",
            "PIP_CONFIG_FILE",
            "PIPX_DEFAULT_PYTHON",
            "YARN_REGISTRY",
            "YARN_NPM_REGISTRY_SERVER",
            "YARN_RC_FILENAME",
            "BUN_CONFIG_REGISTRY",
            "COREPACK_NPM_REGISTRY",
        ],
        REGISTRY,
    ),
];

/// Settings of npm that change neither what is run nor where it comes from.
const NPM_HARMLESS: &[&str] = &[
    "audit",
    "cache",
    "color",
    "fetch_retries",
    "fetch_timeout",
    "fund",
    "ignore_scripts",
    "loglevel",
    "offline",
    "prefer_offline",
    "progress",
    "update_notifier",
    "yes",
];
