//! What a command runs: its package, its script, and whether it runs something else than it names.

use std::path::Path;

use super::Roots;

/// Refuses what would run something else than what is approved, or outside of the cage.
///
/// # Errors
/// What to write instead.
pub(crate) fn check(command: &[String]) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Err("its command is empty".to_owned()) };
    let name = base(program);
    if let Some((_, why)) = ELSEWHERE.iter().find(|(names, _)| names.contains(&&*name)) {
        return Err(format!("`{name}` {why}"));
    }
    let flags: Vec<&str> =
        arguments.iter().map(String::as_str).take_while(|flag| flag.starts_with('-') && *flag != "-m").collect();
    let is_shell = SHELLS.contains(&&*name);
    let short = |letter: char| move |flag: &&&str| !flag.starts_with("--") && flag.contains(letter);
    let inline = if is_shell {
        flags.iter().find(short('c')).copied()
    } else {
        let (_, inline) = INLINE.iter().find(|(start, _)| is_version_of(&name, start)).unwrap_or(&("", &[]));
        flags.iter().find(|flag| inline.iter().any(|known| is_flag(flag, known))).copied()
    };
    let is_eval = ["deno", "bun"].contains(&&*name) && arguments.first().is_some_and(|verb| verb == "eval");
    match inline {
        Some(flag) => Err(format!(
            "`{name} {flag}` runs whatever its argument says: make the program itself the command, its arguments the arguments"
        )),
        None if is_eval => Err(format!("`{name} eval` runs whatever its argument says: put it into a file")),
        None => Ok(()),
    }
}

/// The package or program that is run, without its version.
pub(super) fn package(command: &[String]) -> Option<String> {
    let (program, arguments) = command.split_first()?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let name = base(program);
    let named = match (&*name, arguments.as_slice()) {
        ("npx" | "bunx" | "pnpx", rest) => first(rest, &["-p", "--package"]),
        ("npm", ["exec" | "x", rest @ ..])
        | ("pnpm" | "yarn", ["dlx" | "exec", rest @ ..])
        | ("bun", ["x", rest @ ..]) => first(rest, &["-p", "--package"]),
        ("uvx", rest) | ("uv", ["tool", "run", rest @ ..]) => first(rest, &["--from"]),
        ("pipx", ["run", rest @ ..]) => first(rest, &["--spec"]),
        (python, ["-m", module, ..]) if is_version_of(python, "python") => Some(module.replace('_', "-")),
        _ => Some(name),
    };
    named.map(|named| without_version(&named).to_owned())
}

/// What an unknown server does with what an option or variable of this name leads to, as far as the name tells: one that says where
/// things are kept names a place to write to.
pub(super) fn roots(name: &str) -> Roots {
    let lower = name.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let has = |known: &[&str]| words.iter().any(|word| known.contains(word));
    // `--dir` alone names the folder that the server is for.
    let is_kept = has(&KEPT) || matches!(words.as_slice(), ["dir" | "directory" | "folder" | "workdir"]);
    if is_kept && !has(&LOOKED_AT) { Roots::Write } else { Roots::Read }
}

/// Whether the command is an interpreter that runs the file at `path`.
pub(super) fn runs_script(command: &[String], path: &Path) -> bool {
    let is_interpreter = command.first().is_some_and(|program| {
        let name = base(program);
        SHELLS.contains(&&*name) || SCRIPTED.iter().any(|known| is_version_of(&name, known))
    });
    let is_script = path
        .extension()
        .and_then(|end| end.to_str())
        .is_some_and(|end| ["js", "mjs", "cjs", "ts", "mts", "py", "rb", "sh", "php", "pl"].contains(&end));
    let by_itself = command.first().is_some_and(|program| Path::new(program) == path);
    is_script && (is_interpreter || by_itself)
}

/// What `named` says, or the first argument that is no option. Options with a value of their own are followed by it.
fn first(arguments: &[&str], named: &[&str]) -> Option<String> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if named.contains(argument) {
            return rest.next().map(|value| (*value).to_owned());
        }
        if let Some(value) = named.iter().find_map(|name| argument.strip_prefix(name)?.strip_prefix('=')) {
            return Some(value.to_owned());
        }
        if WITH_VALUE.contains(argument) {
            rest.next();
        } else if !argument.starts_with('-') {
            return Some((*argument).to_owned());
        }
    }
    None
}

fn without_version(package: &str) -> &str {
    let end = package.char_indices().skip(1).find(|(_, c)| "@=[<>~!".contains(*c)).map_or(package.len(), |(at, _)| at);
    package.get(..end).unwrap_or(package)
}

/// The name of a program, without folder and ending.
fn base(program: &str) -> String {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program).to_ascii_lowercase();
    let bare = [".exe", ".cmd", ".bat"].iter().find_map(|end| name.strip_suffix(end));
    bare.unwrap_or(&name).to_owned()
}

/// `python3.11` is a version of `python`.
fn is_version_of(name: &str, known: &str) -> bool {
    name.strip_prefix(known).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

/// `-c`, `-cimport`, `-Ic`, `--eval=…`.
fn is_flag(flag: &str, known: &str) -> bool {
    match known.strip_prefix("--") {
        Some(_) => flag.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')),
        None => !flag.starts_with("--") && known.strip_prefix('-').is_some_and(|letter| flag.contains(letter)),
    }
}

/// In names of options and variables: what a server writes to.
const KEPT: [&str; 18] = [
    "cache",
    "data",
    "database",
    "db",
    "export",
    "log",
    "logs",
    "memory",
    "notes",
    "out",
    "output",
    "persist",
    "save",
    "state",
    "storage",
    "store",
    "vault",
    "workspace",
];
/// What it only reads, whatever else the name says.
const LOOKED_AT: [&str; 14] = [
    "ca",
    "cert",
    "config",
    "in",
    "input",
    "key",
    "open",
    "read",
    "readonly",
    "schema",
    "source",
    "src",
    "template",
    "templates",
];
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "zsh", "ksh", "fish", "busybox"];
const SCRIPTED: [&str; 8] = ["node", "nodejs", "python", "deno", "bun", "ruby", "perl", "php"];
const WITH_VALUE: [&str; 8] =
    ["--python", "--with", "--registry", "--index", "--index-url", "--cache", "--prefix", "-w"];
/// Options by which an interpreter or a starter runs its argument.
const INLINE: [(&str, &[&str]); 9] = [
    ("python", &["-c"]),
    ("node", &["-e", "-p", "--eval", "--print"]),
    ("nodejs", &["-e", "-p", "--eval", "--print"]),
    ("bun", &["-e", "--eval"]),
    ("ruby", &["-e"]),
    ("perl", &["-e", "-E"]),
    ("php", &["-r"]),
    ("npx", &["-c", "--call"]),
    ("npm", &["-c", "--call"]),
];
/// Programs that start the server where no cage is.
const ELSEWHERE: [(&[&str], &str); 4] = [
    (
        &["docker", "podman", "nerdctl", "flatpak", "snap", "wsl", "ssh", "toolbox", "distrobox", "kubectl"],
        "starts the server somewhere else, where this cage does not reach: it is left as it is",
    ),
    (&["sudo", "doas", "su", "pkexec", "runuser"], "changes the user, which nothing in a cage can: take it out"),
    (
        &["env", "nohup", "nice", "timeout", "xargs", "setsid", "exec"],
        "starts another program: make that one the command, its variables variables",
    ),
    (&["cmd", "powershell", "pwsh"], "is a shell of Windows: make the program itself the command"),
];
