//! Which options of which programs run code, and which take a value that is no program.

/// A program that runs others' code.
pub(super) struct Interpreter {
    /// What it is called; a version may follow.
    pub(super) names: &'static [&'static str],
    /// Letters that take code, or load some first.
    pub(super) letters: &'static str,
    /// The same as words, with `-` for `_`.
    pub(super) words: &'static [&'static str],
    /// Letters whose value is the next word.
    pub(super) valued: &'static str,
    /// Letters whose value is the rest of their word, if there is any.
    pub(super) attached: &'static str,
    /// First words that take code.
    pub(super) verbs: &'static [&'static str],
    /// First words after which the program is still to come.
    pub(super) through: &'static [&'static str],
    /// What it does without a program.
    pub(super) alone: Alone,
    /// What its program is.
    pub(super) then: Then,
}

/// What an interpreter without a program does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    /// It runs what comes on standard input, which is what clients say.
    ReadsInput,
    /// Nothing, or nothing that matters here.
    Ends,
}

/// What the first word is that is no option.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// A script: what follows is its own.
    Script,
    /// Another program: what follows is a command.
    Program,
}

const NONE: Interpreter = Interpreter {
    names: &[],
    letters: "",
    words: &[],
    valued: "",
    attached: "",
    verbs: &[],
    through: &[],
    alone: Alone::Ends,
    then: Then::Script,
};

pub(super) const INTERPRETERS: &[Interpreter] = &[
    Interpreter {
        names: &["python", "pypy", "ipython", "micropython", "py"],
        letters: "ci",
        valued: "WX",
        alone: Alone::ReadsInput,
        ..NONE
    },
    Interpreter {
        names: &["node", "nodejs", "tsx", "ts-node", "ts-node-esm", "electron"],
        letters: "epri",
        words: &[
            "eval",
            "print",
            "require",
            "import",
            "loader",
            "experimental-loader",
            "interactive",
            "env-file",
            "env-file-if-exists",
            "experimental-config-file",
            "experimental-default-config-file",
            "snapshot-blob",
            "inspect",
            "inspect-brk",
            "inspect-wait",
            "inspect-port",
            "debug-port",
            "openssl-config",
            "run",
        ],
        valued: "C",
        alone: Alone::ReadsInput,
        ..NONE
    },
    Interpreter {
        names: &["bun"],
        letters: "epr",
        words: &["eval", "print", "preload", "require", "import", "env-file", "inspect", "inspect-brk", "inspect-wait"],
        verbs: &["exec", "repl"],
        through: &["run", "x"],
        then: Then::Program,
        ..NONE
    },
    Interpreter {
        names: &["deno"],
        words: &["preload", "require", "import", "env-file", "inspect", "inspect-brk", "inspect-wait"],
        valued: "cLS",
        verbs: &["eval", "repl", "task"],
        through: &["run"],
        alone: Alone::ReadsInput,
        ..NONE
    },
    Interpreter {
        names: &[
            "sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash", "yash", "osh", "fish", "csh", "tcsh", "nu",
            "elvish", "xonsh",
        ],
        letters: "cCis",
        words: &["command", "commands", "init-command", "init-file", "rcfile", "interactive", "execute"],
        valued: "oO",
        alone: Alone::ReadsInput,
        ..NONE
    },
    Interpreter {
        names: &["perl"],
        letters: "eEMmd",
        valued: "I",
        attached: "CDFVix",
        alone: Alone::ReadsInput,
        ..NONE
    },
    Interpreter {
        names: &["ruby", "jruby", "irb", "pry"],
        letters: "er",
        words: &["require", "debug"],
        valued: "CEI",
        attached: "FKTWix",
        alone: Alone::ReadsInput,
        ..NONE
    },
    Interpreter {
        names: &["php"],
        letters: "rBREaczdS",
        words: &[
            "run",
            "process-begin",
            "process-code",
            "process-end",
            "interactive",
            "php-ini",
            "define",
            "zend-extension",
        ],
        valued: "fFt",
        alone: Alone::ReadsInput,
        ..NONE
    },
    Interpreter { names: &["lua", "luajit"], letters: "eli", alone: Alone::ReadsInput, ..NONE },
    Interpreter { names: &["rscript", "r"], letters: "e", valued: "f", alone: Alone::ReadsInput, ..NONE },
    Interpreter {
        names: &["julia"],
        letters: "eELi",
        words: &["eval", "print", "load"],
        valued: "pt",
        alone: Alone::ReadsInput,
        ..NONE
    },
    Interpreter { names: &["osascript"], letters: "e", valued: "ls", alone: Alone::ReadsInput, ..NONE },
    Interpreter { names: &["elixir", "iex"], letters: "er", words: &["eval", "rpc-eval", "require"], ..NONE },
    Interpreter { names: &["groovy", "scala", "kotlin"], letters: "e", ..NONE },
    Interpreter { names: &["vim", "vi", "nvim", "ex", "view"], letters: "cSsul", words: &["cmd"], ..NONE },
    Interpreter { names: &["emacs"], letters: "lf", words: &["eval", "execute", "load", "funcall", "script"], ..NONE },
    Interpreter { names: &["make", "gmake", "just"], letters: "", words: &["eval", "shell"], ..NONE },
    Interpreter {
        names: &["su", "runuser", "flock", "script"],
        letters: "c",
        words: &["command", "session-command"],
        ..NONE
    },
    Interpreter {
        names: &["nix-shell", "nix"],
        letters: "c",
        words: &["run", "command", "expr"],
        valued: "pIA",
        ..NONE
    },
    Interpreter {
        names: &["npx", "npm"],
        letters: "cn",
        words: NPM,
        valued: "pw",
        through: &["exec", "x", "run", "run-script"],
        then: Then::Program,
        ..NONE
    },
    Interpreter {
        names: &["pnpm", "pnpx", "yarn", "bunx"],
        letters: "c",
        words: &[
            "shell-mode",
            "script-shell",
            "config.script-shell",
            "registry",
            "config.registry",
            "node-options",
            "use-node-version",
        ],
        valued: "pC",
        through: &["exec", "dlx", "x", "run"],
        then: Then::Program,
        ..NONE
    },
    Interpreter {
        names: &["uvx", "uv"],
        letters: "if",
        words: INDEXES,
        valued: "cpwCms",
        through: &["run", "tool"],
        then: Then::Program,
        ..NONE
    },
    Interpreter {
        names: &["pipx", "pip"],
        letters: "if",
        words: INDEXES,
        valued: "cr",
        through: &["run"],
        then: Then::Program,
        ..NONE
    },
];

/// npm takes the beginning of an option for the whole.
pub(super) const NPM: &[&str] = &[
    "call",
    "node-arg",
    "node-options",
    "shell",
    "script-shell",
    "shell-auto-fallback",
    "registry",
    "userconfig",
    "globalconfig",
    "init-module",
];

/// Where packages come from, other than from where everybody's do.
const INDEXES: &[&str] = &[
    "index",
    "default-index",
    "index-url",
    "extra-index-url",
    "find-links",
    "trusted-host",
    "allow-insecure-host",
    "config-file",
    "env-file",
    "override",
    "overrides",
    "pip-args",
];

/// More packages than the one that is named: told, since each has a name.
pub(super) const ALONG: &[&str] = &["with", "with-editable", "with-requirements", "preinstall"];

/// Long options of the programs above without a value. After any other one the next word may be its value, or the program.
pub(super) const FLAGS: &[&str] = &[
    "active",
    "all",
    "all-extras",
    "allow-all",
    "audit",
    "bun",
    "cached-only",
    "exact",
    "expose-gc",
    "frozen",
    "fund",
    "help",
    "hot",
    "ignore-existing",
    "ignore-scripts",
    "isolated",
    "locked",
    "login",
    "module",
    "native-tls",
    "norc",
    "noprofile",
    "offline",
    "permission",
    "posix",
    "prefer-offline",
    "preserve-symlinks",
    "preserve-symlinks-main",
    "progress",
    "quiet",
    "refresh",
    "reinstall",
    "restricted",
    "script",
    "silent",
    "smol",
    "test",
    "throw-deprecation",
    "unstable",
    "upgrade",
    "verbose",
    "version",
    "watch",
    "yes",
];

/// The same by how they begin.
pub(super) const FLAGS_BEGIN: &[&str] =
    &["no-", "experimental-", "trace-", "enable-", "allow-", "use-", "harmony", "unstable-"];

/// Programs that start another one, whose words stand somewhere behind their own.
pub(super) const CARRIERS: &[&str] = &[
    "env",
    "nice",
    "nohup",
    "timeout",
    "gtimeout",
    "stdbuf",
    "setsid",
    "ionice",
    "chrt",
    "taskset",
    "numactl",
    "prlimit",
    "time",
    "sudo",
    "doas",
    "su",
    "runuser",
    "xargs",
    "parallel",
    "command",
    "exec",
    "eval",
    "busybox",
    "toybox",
    "flock",
    "script",
    "watch",
    "strace",
    "ltrace",
    "gdb",
    "unshare",
    "nsenter",
    "chroot",
    "systemd-run",
    "firejail",
    "bwrap",
    "proot",
    "setarch",
    "linux32",
    "linux64",
    "tini",
    "dumb-init",
    "catatonit",
    "gosu",
    "su-exec",
    "setpriv",
    "capsh",
    "choom",
    "faketime",
    "tmux",
    "screen",
    "entr",
    "watchexec",
    "cross-env",
    "cross-env-shell",
    "dotenv",
    "dotenvx",
    "direnv",
    "nodemon",
    "pm2",
    "concurrently",
    "poetry",
    "pipenv",
    "hatch",
    "pdm",
    "rye",
    "conda",
    "mamba",
    "micromamba",
    "mise",
    "asdf",
    "volta",
    "fnm",
    "bundle",
    "op",
    "doppler",
    "nix",
    "nix-shell",
    "ssh",
];

/// Modules of Python that run what comes on standard input or in an argument, or install something.
pub(super) const MODULES: &[&str] = &["asyncio", "code", "ensurepip", "idlelib", "pdb", "pip", "runpy", "timeit"];
