//! The words of one command, up to where its program's own begin.

use super::table::{ALONG, Alone, CARRIERS, FLAGS, FLAGS_BEGIN, INTERPRETERS, Interpreter, MODULES, NPM, Then};
use super::{Escape, is_named, name_of};

/// What the words of a command say.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) escapes: Vec<Escape>,
    /// Where other commands begin in the words.
    pub(super) inner: Vec<usize>,
}

/// Reads the arguments of a program of this name.
pub(super) fn read(name: &str, arguments: &[String]) -> Reading {
    let mut reading = match name {
        "cmd" => cmd(arguments),
        "powershell" | "pwsh" => powershell(name, arguments),
        "awk" | "gawk" | "mawk" | "nawk" => awk(name, arguments),
        _ if is_named(name, "java") => java(arguments),
        "git" => git(arguments),
        "find" | "socat" | "supergateway" | "mcp-proxy" => runs_words(name, arguments),
        _ => match known(name) {
            Some((name, interpreter)) => {
                let takes_package = matches!(name, "npx" | "bunx" | "pnpx");
                let (option, reading) = (String::new(), Reading::default());
                Words { name, interpreter, has_file: false, option, takes_package, reading }.read(arguments)
            }
            None => Reading::default(),
        },
    };
    if CARRIERS.contains(&name) {
        carried(name, arguments, &mut reading);
    }
    reading
}

fn known(program: &str) -> Option<(&'static str, &'static Interpreter)> {
    INTERPRETERS.iter().find_map(|known| {
        let name = known.names.iter().find(|name| is_named(program, name))?;
        Some((*name, known))
    })
}

/// The words of an interpreter or launcher.
struct Words {
    name: &'static str,
    interpreter: &'static Interpreter,
    /// Whether an option names the program.
    has_file: bool,
    /// Its last option, by name.
    option: String,
    /// Whether its program is a package, of which `somebody/something` is a repository.
    takes_package: bool,
    reading: Reading,
}

/// What a word is.
enum Word {
    /// An option; the next word is its value.
    Valued,
    /// An option; the next word may be its value, or the program.
    Unknown,
    /// An option without a value, or with one in the same word.
    Whole,
    /// The next word is a module of Python, and all else its own.
    Module,
    /// All else is its module's own.
    End,
}

impl Words {
    fn read(mut self, arguments: &[String]) -> Reading {
        let (mut has_program, mut is_first, mut before) = (false, true, Word::Whole);
        for (at, word) in arguments.iter().enumerate() {
            if !has_program {
                self.package(word);
            }
            match std::mem::replace(&mut before, Word::Whole) {
                Word::Valued => continue,
                Word::End => return self.reading,
                Word::Module => {
                    self.module(word);
                    return self.reading;
                }
                _ if word == "--" => {
                    self.option.clear();
                    arguments.get(at.saturating_add(1)).into_iter().for_each(|next| self.package(next));
                    self.program(arguments, at.saturating_add(1));
                    has_program = at.saturating_add(1) < arguments.len();
                    break;
                }
                _ if word == "-" || is_an_open_file(word) => {
                    self.refuse(format!("{} -", self.name), INPUT);
                    has_program = true;
                    break;
                }
                _ if word.starts_with('-') || (word.starts_with('+') && self.is_shell()) => {
                    before = self.option(word);
                    continue;
                }
                Word::Unknown => {
                    has_program = true;
                    self.program(arguments, at);
                }
                Word::Whole if is_first && self.interpreter.verbs.contains(&word.as_str()) => {
                    self.refuse(format!("{} {word}", self.name), CODE);
                    has_program = true;
                    break;
                }
                Word::Whole if self.interpreter.through.contains(&word.as_str()) => {
                    is_first = false;
                    self.takes_package |= match self.name {
                        "npm" | "bun" => matches!(word.as_str(), "exec" | "x"),
                        _ => word == "dlx",
                    };
                }
                Word::Whole => {
                    has_program = true;
                    self.program(arguments, at);
                    // Some take their own options behind it, too, up to `--`.
                    if !READ_ON.contains(&self.name) {
                        break;
                    }
                }
            }
        }
        let is_module = matches!(before, Word::Module | Word::End);
        if !(has_program || self.has_file || is_module)
            && self.reading.escapes.is_empty()
            && self.interpreter.alone == Alone::ReadsInput
            && !is_asked_about(arguments)
        {
            self.refuse(format!("{} -", self.name), INPUT);
        }
        self.reading
    }

    fn option(&mut self, word: &str) -> Word {
        match word.strip_prefix("--") {
            Some(long) => self.long(long),
            None => self.letters(word.get(1..).unwrap_or_default()),
        }
    }

    fn long(&mut self, long: &str) -> Word {
        let (name, is_whole) = long.split_once('=').map_or((long, false), |(name, _)| (name, true));
        let name = name.replace('_', "-").to_ascii_lowercase();
        let known = self.interpreter.words.iter().find(|known| **known == name || self.abbreviates(&name, known));
        if let Some(known) = known {
            self.refuse(format!("{} --{known}", self.name), CODE);
        } else if matches!(self.name, "uv" | "uvx" | "pipx") && ALONG.contains(&name.as_str()) {
            self.reading.escapes.push(Escape::told(format!("{} --{name}", self.name), "brings more packages along"));
            return if is_whole { Word::Whole } else { Word::Valued };
        }
        let is_flag = FLAGS.contains(&name.as_str()) || FLAGS_BEGIN.iter().any(|begin| name.starts_with(begin));
        if is_whole || is_flag { Word::Whole } else { Word::Unknown }
    }

    /// `--reg` is `--registry`.
    fn abbreviates(&self, name: &str, known: &str) -> bool {
        std::ptr::eq(self.interpreter.words, NPM) && name.len() >= ABBREVIATION_MIN && known.starts_with(name)
    }

    fn letters(&mut self, letters: &str) -> Word {
        for (at, letter) in letters.char_indices() {
            let rest = letters.get(at.saturating_add(letter.len_utf8())..).unwrap_or_default();
            if letter == 'm' && self.has_modules() {
                if rest.is_empty() {
                    return Word::Module;
                }
                self.module(rest);
                return Word::End;
            }
            if self.interpreter.letters.contains(letter) {
                self.refuse(format!("{} -{letter}", self.name), CODE);
                // `sh -ic`, `node -pe`: letters after it are options, too. Others take the rest, or the next word, as its value.
                if self.is_shell() || self.name.contains("node") || matches!(letter, 'i' | 'a' | 's' | 'n') {
                    continue;
                }
                return if rest.is_empty() { Word::Valued } else { Word::Whole };
            }
            if self.interpreter.valued.contains(letter) {
                // `php -f`: the value is the program.
                self.has_file |= matches!(letter, 'f' | 'F');
                return if rest.is_empty() { Word::Valued } else { Word::Whole };
            }
            if self.interpreter.attached.contains(letter) {
                return Word::Whole;
            }
        }
        Word::Whole
    }

    /// A package, or script, that comes from an address: no registry keeps it as it was.
    fn package(&mut self, word: &str) {
        if !PACKAGES.contains(&self.name) {
            return;
        }
        let (option, spec) = match word.strip_prefix('-') {
            None => (std::mem::take(&mut self.option), word),
            Some(option) => {
                let option = option.trim_start_matches('-');
                let (option, value) = option.split_once('=').unwrap_or((option, ""));
                option.clone_into(&mut self.option);
                (option.to_owned(), value)
            }
        };
        if ADDRESS_OPTIONS.contains(&option.as_str()) {
            return;
        }
        let is_short = self.takes_package && is_repository(spec);
        match source(spec) {
            Some(Source::Clear) => {
                let id = format!("{} http:", self.name);
                self.refuse(id, "takes its program from an address that anybody on the way can change");
            }
            Some(Source::Address) => self.tell_address(),
            None if is_short => self.tell_address(),
            None => {}
        }
    }

    fn tell_address(&mut self) {
        let id = format!("{} ADDRESS", self.name);
        let why = "takes its program from an address, and whoever has that can change it at any time";
        self.reading.escapes.push(Escape::told(id, why));
    }

    fn module(&mut self, module: &str) {
        if MODULES.contains(&module.split('.').next().unwrap_or(module)) {
            let id = format!("{} -m {module}", self.name);
            self.refuse(id, "runs what it is given, or installs something");
        }
    }

    fn is_shell(&self) -> bool {
        self.interpreter.names.contains(&"sh")
    }

    fn has_modules(&self) -> bool {
        self.interpreter.names.contains(&"python")
    }

    /// The word at `at` may be the program.
    fn program(&mut self, arguments: &[String], at: usize) {
        if self.interpreter.then == Then::Program && at < arguments.len() {
            self.reading.inner.push(at);
        }
    }

    fn refuse(&mut self, id: String, why: &'static str) {
        let why = if INDEX_WORDS.iter().any(|word| id.ends_with(word)) { INDEX } else { why };
        self.reading.escapes.push(Escape::refused(id, why));
    }
}

/// Where a package comes from that no registry has.
enum Source {
    /// An address without TLS.
    Clear,
    Address,
}

/// `git+https://…`, `github:a/b`, `name@https://…`, `name @ git+ssh://…`. A repository at a whole commit does not change.
fn source(spec: &str) -> Option<Source> {
    let lower = spec.to_ascii_lowercase();
    let lower = lower.split_once("#subdirectory=").map_or(lower.as_str(), |(before, _)| before);
    let starts =
        lower.match_indices('@').map(|(at, _)| lower.get(at.saturating_add(1)..).unwrap_or_default().trim_start());
    let mut starts = std::iter::once(lower).chain(starts);
    if starts.clone().any(|start| CLEAR.iter().any(|begin| start.starts_with(begin))) {
        return Some(Source::Clear);
    }
    let address = starts.find_map(|start| ADDRESSES.iter().find(|begin| start.starts_with(**begin)))?;
    (*address == "https:" || !is_commit(lower)).then_some(Source::Address)
}

/// Ends with `@` or `#` and a whole commit.
fn is_commit(spec: &str) -> bool {
    let commit = spec.rsplit(['@', '#']).next().filter(|commit| commit.len() < spec.len()).unwrap_or_default();
    commit.len() == COMMIT_DIGITS && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `somebody/something` is a repository on GitHub, as a scope begins with `@` and a folder with `.` or `/`.
fn is_repository(spec: &str) -> bool {
    let name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(['@', '.', '~'])
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let (repository, _) = spec.split_once('#').unwrap_or((spec, ""));
    !is_commit(spec) && repository.split_once('/').is_some_and(|(owner, repository)| name(owner) && name(repository))
}

/// `--help` and `--version` run nothing.
fn is_asked_about(arguments: &[String]) -> bool {
    arguments.iter().any(|word| matches!(word.as_str(), "--help" | "--version" | "-h" | "-V" | "-v"))
}

/// Whatever follows a program that starts others: each word that names one that is known here.
fn carried(name: &str, arguments: &[String], reading: &mut Reading) {
    let (mut is_before_program, mut after_option) = (true, false);
    for (at, word) in arguments.iter().enumerate() {
        let is_setting = word.split_once('=').is_some_and(|(name, _)| is_variable(name));
        if matches!(name, "env" | "cross-env" | "cross-env-shell") && is_before_program {
            if is_setting {
                let id = format!("{name} NAME=");
                reading.escapes.push(Escape::refused(id, "sets variables that stand in no `env`"));
            } else if name == "env" && (word.starts_with("-S") || word.starts_with("--split-string") || is_split(word))
            {
                reading.escapes.push(Escape::refused("env -S", "makes a command of one word"));
            }
            // The value of an option may stand between.
            is_before_program = is_setting || word.starts_with('-') || after_option;
            after_option = word.starts_with('-');
        }
        let named = name_of(word);
        if is_known(&named) {
            reading.inner.push(at);
        }
    }
    if matches!(name, "watch" | "parallel" | "xargs" | "eval" | "cross-env-shell") {
        reading.escapes.push(Escape::refused(name, "gives its words to a shell, or takes them from standard input"));
    }
}

/// Whether anything is known of a program of this name.
fn is_known(program: &str) -> bool {
    known(program).is_some() || CARRIERS.contains(&program) || OTHERS.contains(&program)
}

/// `env -iS …`, `env -vS…`
fn is_split(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|letters| !letters.starts_with('-') && letters.contains('S'))
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `cmd /c …`, in whatever case and order: `/D/S/C`.
fn cmd(arguments: &[String]) -> Reading {
    let switches = arguments.iter().map(|word| word.to_ascii_lowercase());
    let runs = |word: &String| word.starts_with('/') && ["/c", "/k", "/r"].iter().any(|switch| word.contains(switch));
    let mut reading = Reading::default();
    if arguments.is_empty() {
        reading.escapes.push(Escape::refused("cmd -", INPUT));
    } else if switches.into_iter().any(|word| runs(&word)) {
        reading.escapes.push(Escape::refused("cmd /c", CODE));
    }
    // What it runs is a command like any other.
    reading
        .inner
        .extend(arguments.iter().enumerate().filter(|(_, word)| known(&name_of(word)).is_some()).map(|(at, _)| at));
    reading
}

/// PowerShell takes the beginning of a parameter for the whole, with `-` or `/`, in any case.
fn powershell(name: &str, arguments: &[String]) -> Reading {
    let mut reading = Reading::default();
    let mut refuse = |id: &str, why| reading.escapes.push(Escape::refused(format!("{name} {id}"), why));
    let mut is_value = false;
    for word in arguments {
        let lower = word.to_ascii_lowercase();
        let Some(parameter) = lower.strip_prefix(['-', '/', '–', '—', '―']) else {
            match (std::mem::take(&mut is_value), name) {
                (true, _) => continue,
                // A word alone is a command there, and a file elsewhere.
                (false, "powershell") => refuse("-Command", CODE),
                (false, _) => {}
            }
            return reading;
        };
        let begins = |whole: &str| whole.starts_with(parameter);
        if parameter.is_empty() {
            refuse("-", INPUT);
            return reading;
        }
        if begins("encodedcommand") || parameter == "ec" || begins("encodedarguments") {
            refuse("-EncodedCommand", CODE);
            return reading;
        }
        if begins("command") || begins("commandwithargs") || parameter == "cwa" {
            refuse("-Command", CODE);
            return reading;
        }
        if begins("file") {
            return reading;
        }
        is_value =
            POWERSHELL_VALUED.iter().any(|known| begins(known)) || matches!(parameter, "ep" | "wd" | "if" | "of");
    }
    refuse("-", INPUT);
    reading
}

/// Its settings can name commands, and so can the place where its own are.
fn git(arguments: &[String]) -> Reading {
    let mut reading = Reading::default();
    let mut is_value = false;
    for word in arguments {
        if std::mem::take(&mut is_value) {
            continue;
        }
        if !word.starts_with('-') {
            break;
        }
        let (name, is_whole) = word.split_once('=').map_or((word.as_str(), false), |(name, _)| (name, true));
        // Alone it only tells the place.
        if matches!(name, "-c" | "--config-env") || (name == "--exec-path" && is_whole) {
            reading.escapes.push(Escape::refused(format!("git {name}"), "names commands that git runs"));
        }
        is_value = !is_whole && GIT_VALUED.contains(&name);
    }
    reading
}

/// Programs of which an argument is a command, for a shell or for themselves.
fn runs_words(name: &str, arguments: &[String]) -> Reading {
    let mut reading = Reading::default();
    for (at, word) in arguments.iter().enumerate() {
        let lower = word.to_ascii_lowercase();
        let found = match name {
            "find" => ["-exec", "-execdir", "-ok", "-okdir"].into_iter().find(|option| lower == *option),
            "socat" => ["exec:", "system:", "shell:"].into_iter().find(|kind| lower.starts_with(kind)),
            "supergateway" => Some("--stdio").filter(|option| lower.split('=').next() == Some(option)),
            _ => None,
        };
        if let Some(found) = found {
            reading.escapes.push(Escape::refused(format!("{name} {found}"), CODE));
        }
        if !word.contains("://") && is_known(&name_of(word)) {
            reading.inner.push(at);
        }
    }
    reading
}

/// Its program is an argument, unless it comes from a file.
fn awk(name: &str, arguments: &[String]) -> Reading {
    let mut reading = Reading::default();
    let is_file = |word: &String| word.starts_with("-f") || word.starts_with("--file") || word.starts_with("--exec");
    if !arguments.iter().any(is_file) || arguments.iter().any(|word| word == "-e" || word.starts_with("--source")) {
        reading.escapes.push(Escape::refused(format!("{name} PROGRAM"), CODE));
    }
    reading
}

fn java(arguments: &[String]) -> Reading {
    let mut reading = Reading::default();
    let mut is_value = false;
    for word in arguments {
        if std::mem::take(&mut is_value) {
            continue;
        }
        if let Some(hook) = JAVA_HOOKS.iter().find(|hook| word.starts_with(**hook)) {
            reading.escapes.push(Escape::refused(format!("java {hook}"), "loads other code, or runs a command"));
        } else if !word.starts_with('-') || word == "-jar" {
            return reading;
        }
        is_value = JAVA_VALUED.contains(&word.as_str());
    }
    reading
}

const GIT_VALUED: &[&str] = &["-c", "-C", "--config-env", "--git-dir", "--work-tree", "--namespace", "--super-prefix"];
/// Launchers of packages.
const PACKAGES: &[&str] = &["npx", "npm", "pnpm", "pnpx", "yarn", "bun", "bunx", "deno", "uv", "uvx", "pipx", "pip"];
/// Options whose value is an address, and no package.
const ADDRESS_OPTIONS: &[&str] = &[
    "proxy",
    "https-proxy",
    "http-proxy",
    "noproxy",
    "location",
    "registry",
    "index",
    "index-url",
    "default-index",
    "extra-index-url",
    "find-links",
    "cache",
    "cert",
    "cafile",
    "user-agent",
    "i",
    "f",
];
const CLEAR: &[&str] = &["http:", "git:", "git+http:", "git+git:"];
const ADDRESSES: &[&str] =
    &["https:", "git+", "git@", "ssh:", "github:", "gitlab:", "bitbucket:", "gist:", "codeberg:", "sourcehut:"];
/// Of SHA-1 in hexadecimal.
const COMMIT_DIGITS: usize = 40;
const READ_ON: &[&str] = &["npm", "pip", "su", "runuser", "flock", "script"];
const CODE: &str = "runs or loads what stands in an argument, or another file";
/// A name of what is open already, its standard input among it.
fn is_an_open_file(word: &str) -> bool {
    word == "/dev/stdin"
        || ["/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"].iter().any(|at| word.starts_with(at))
}

const INPUT: &str = "runs what comes on its standard input, which is what clients say";
const INDEX: &str = "changes where packages come from";
const INDEX_WORDS: &[&str] = &[
    "registry",
    "uv -i",
    "uvx -i",
    "pip -i",
    "pipx -i",
    "uv -f",
    "uvx -f",
    "pip -f",
    "--index",
    "default-index",
    "index-url",
    "find-links",
    "trusted-host",
    "insecure-host",
];
/// Programs that are read here without standing in the table.
const OTHERS: &[&str] = &[
    "git",
    "find",
    "socat",
    "supergateway",
    "mcp-proxy",
    "cmd",
    "powershell",
    "pwsh",
    "awk",
    "gawk",
    "mawk",
    "nawk",
    "java",
];
const JAVA_HOOKS: &[&str] = &[
    "-javaagent",
    "-agentlib",
    "-agentpath",
    "-Xrun",
    "-Xbootclasspath",
    "-XX:OnError",
    "-XX:OnOutOfMemoryError",
    "-XX:Flags",
    "-XX:VMOptionsFile",
    "@",
];
const POWERSHELL_VALUED: &[&str] = &[
    "executionpolicy",
    "version",
    "psconsolefile",
    "inputformat",
    "outputformat",
    "windowstyle",
    "configurationname",
    "workingdirectory",
    "settingsfile",
    "custompipename",
];
const JAVA_VALUED: &[&str] = &["-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules"];
/// Shortest beginning of an option that is taken for the whole.
const ABBREVIATION_MIN: usize = 3;
