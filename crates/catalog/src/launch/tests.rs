//! Every escape beside its benign twin.

use super::*;

fn words(command: &str) -> Vec<String> {
    // `·` stands for a space inside of a word.
    command.split(' ').map(|word| word.replace('·', " ")).collect()
}

fn found(command: &str, weight: Weight) -> Vec<String> {
    let escapes = escapes(&words(command), []);
    escapes.into_iter().filter(|escape| escape.weight == weight).map(|escape| escape.id.into()).collect()
}

/// Each command with what it does beyond starting its program.
const ESCAPES: &[(&str, &str)] = &[
    ("python -c code", "python -c"),
    ("python3 -c code", "python -c"),
    ("/usr/bin/python3.12 -Ic code", "python -c"),
    ("python3 -W ignore -c code", "python -c"),
    ("python3 -X utf8 -Bc code", "python -c"),
    ("python3 -ccode", "python -c"),
    ("python3 -i server.py", "python -i"),
    ("python3 -", "python -"),
    ("python3 /dev/stdin", "python -"),
    ("node /proc/self/fd/0", "node -"),
    ("bash /dev/fd/0", "bash -"),
    ("python3", "python -"),
    ("python3 -m timeit code", "python -m timeit"),
    ("python3 -mpip install x", "python -m pip"),
    ("pypy3 -c code", "pypy -c"),
    ("node -e code", "node -e"),
    ("node -p code", "node -p"),
    ("node -pe code", "node -p, node -e"),
    ("node --eval=code", "node --eval"),
    ("node --print code", "node --print"),
    ("node -r ./hook.js server.js", "node -r"),
    ("node --require ./hook.js server.js", "node --require"),
    ("node --import ./hook.mjs server.js", "node --import"),
    ("node --loader ./hook.mjs server.js", "node --loader"),
    ("node --experimental-loader ./hook.mjs server.js", "node --experimental-loader"),
    ("node --experimental_loader=./hook.mjs server.js", "node --experimental-loader"),
    ("node --env-file=.env server.js", "node --env-file"),
    ("node --inspect=0.0.0.0:9229 server.js", "node --inspect"),
    ("node --run start", "node --run"),
    ("node --title x -e code", "node -e"),
    ("node --no-warnings -e code", "node -e"),
    ("node20 -e code", "node -e"),
    ("NODE.EXE -e code", "node -e"),
    ("nodejs -e code", "nodejs -e"),
    ("node", "node -"),
    ("tsx -e code", "tsx -e"),
    ("bun -e code", "bun -e"),
    ("bun --preload ./x.ts server.ts", "bun --preload"),
    ("bun exec code", "bun exec"),
    ("bun run --preload=x server.ts", "bun --preload"),
    ("deno eval code", "deno eval"),
    ("deno task start", "deno task"),
    ("deno run -", "deno -"),
    ("deno", "deno -"),
    ("sh -c code", "sh -c"),
    ("bash -lc code", "bash -c"),
    ("bash -ic code", "bash -i, bash -c"),
    ("bash -o pipefail -ec code", "bash -c"),
    ("bash +x -c code", "bash -c"),
    ("bash --rcfile x server.sh", "bash --rcfile"),
    ("bash -s", "bash -s"),
    ("bash", "bash -"),
    ("/bin/dash -c code", "dash -c"),
    ("zsh -c code", "zsh -c"),
    ("busybox sh -c code", "sh -c"),
    ("busybox ash -ec code", "ash -c"),
    ("fish --command=code", "fish --command"),
    ("fish -C code", "fish -C"),
    ("cmd /c npx -y pkg", "cmd /c"),
    ("CMD.EXE /D/S/C code", "cmd /c"),
    ("cmd.exe /k code", "cmd /c"),
    ("powershell -Command code", "powershell -Command"),
    ("powershell.exe -enc AAAA", "powershell -EncodedCommand"),
    ("powershell code", "powershell -Command"),
    ("powershell -NoProfile -ExecutionPolicy Bypass code", "powershell -Command"),
    ("pwsh -NoProfile -c code", "pwsh -Command"),
    ("pwsh -ec AAAA", "pwsh -EncodedCommand"),
    ("pwsh", "pwsh -"),
    ("perl -e code", "perl -e"),
    ("perl -wle code", "perl -e"),
    ("perl -Mre=eval x.pl", "perl -M"),
    ("perl -I lib -e code", "perl -e"),
    ("ruby -e code", "ruby -e"),
    ("ruby -r./hook server.rb", "ruby -r"),
    ("php -r code", "php -r"),
    ("php -d auto_prepend_file=x server.php", "php -d"),
    ("lua -e code", "lua -e"),
    ("Rscript -e code", "rscript -e"),
    ("julia --eval code", "julia --eval"),
    ("osascript -e code", "osascript -e"),
    ("elixir --eval code", "elixir --eval"),
    ("gawk BEGIN{} x", "gawk PROGRAM"),
    ("java -javaagent:x.jar -jar server.jar", "java -javaagent"),
    ("java -XX:OnOutOfMemoryError=code -cp x Main", "java -XX:OnOutOfMemoryError"),
    ("java @arguments", "java @"),
    ("npx -c code", "npx -c"),
    ("npx --call=code", "npx --call"),
    ("npx --cal code", "npx --call"),
    ("npx -y -p pkg -c code", "npx -c"),
    ("npx --registry https://x.example pkg", "npx --registry"),
    ("npx --reg=https://x.example pkg", "npx --registry"),
    ("npx --script-shell ./x pkg", "npx --script-shell"),
    ("npm exec -c code", "npm -c"),
    ("npm exec pkg --call code", "npm --call"),
    ("npm x --userconfig=./npmrc pkg", "npm --userconfig"),
    ("pnpm exec -c code", "pnpm -c"),
    ("pnpm --shell-mode dlx pkg", "pnpm --shell-mode"),
    ("npx -y node@20 -e code", "node -e"),
    ("npx -y tsx -e code", "tsx -e"),
    ("npx -p node -- node -e code", "node -e"),
    ("bunx tsx -e code", "tsx -e"),
    ("yarn node -e code", "node -e"),
    ("uvx --index-url https://x.example pkg", "uvx --index-url"),
    ("uvx -i https://x.example pkg", "uvx -i"),
    ("uvx --default-index=https://x.example pkg", "uvx --default-index"),
    ("uvx --extra-index-url https://x.example pkg", "uvx --extra-index-url"),
    ("uvx --find-links ./x pkg", "uvx --find-links"),
    ("uvx python -c code", "python -c"),
    ("uv run python -c code", "python -c"),
    ("uv run --index https://x.example server.py", "uv --index"),
    ("uv --directory /x run python -c code", "python -c"),
    ("uv tool run --index-url=https://x.example pkg", "uv --index-url"),
    ("uv run -", "uv -"),
    ("pipx run --pip-args=--index-url=x pkg", "pipx --pip-args"),
    ("pip install --index-url https://x.example pkg", "pip --index-url"),
    ("env NAME=1 node server.js", "env NAME="),
    ("env -u X NODE_OPTIONS=--require=x node server.js", "env NAME="),
    ("/usr/bin/env node -e code", "node -e"),
    ("env -S node·-e·code", "env -S"),
    ("env -iS node·-e·code", "env -S"),
    ("env -u node bash -c code", "bash -c"),
    ("timeout 5 bash -c code", "bash -c"),
    ("nice -n 5 nohup python3 -c code", "python -c"),
    ("sudo -u x sh -c code", "sh -c"),
    ("su x -c code", "su -c"),
    ("script -qc code /dev/null", "script -c"),
    ("flock x -c code", "flock -c"),
    ("xargs node", "xargs, node -"),
    ("poetry run python -c code", "python -c"),
    ("conda run -n x python -c code", "python -c"),
    ("mise exec -- node -e code", "node -e"),
    ("cross-env NODE_OPTIONS=x node server.js", "cross-env NAME="),
    ("nix-shell --run code", "nix-shell --run"),
    ("npx http://x.example/pkg.tgz", "npx http:"),
    ("npx -y -p pkg@http://x.example/pkg.tgz server", "npx http:"),
    ("uvx --from git+http://x.example/a server", "uvx http:"),
    ("npx -y -- http://x.example/pkg.tgz", "npx http:"),
    ("uvx -- git+http://x.example/a", "uvx http:"),
    ("deno run -A http://x.example/server.ts", "deno http:"),
    ("find . -name x -exec ./server ;", "find -exec"),
    ("find . -execdir sh -c code ;", "find -execdir, sh -c"),
    ("git -c alias.x=!code x", "git -c"),
    ("git -C /srv -c core.pager=code log", "git -c"),
    ("git --exec-path=/tmp/x status", "git --exec-path"),
    ("env git --config-env=alias.x=X x", "git --config-env"),
    ("socat - EXEC:./server", "socat exec:"),
    ("npx -y supergateway --stdio code", "supergateway --stdio"),
    ("supergateway --stdio=code --port 8000", "supergateway --stdio"),
    ("mcp-proxy -- bash -c code", "bash -c"),
    ("tini -- sh -c code", "sh -c"),
    ("dumb-init bash -c code", "bash -c"),
    ("gosu nobody python3 -c code", "python -c"),
    ("vim -c code", "vim -c"),
    ("nvim --cmd code", "nvim --cmd"),
    ("emacs --batch --eval code", "emacs --eval"),
    ("make --eval=code", "make --eval"),
];

/// The same programs, as people start servers with them.
const BENIGN: &[&str] = &[
    "python server.py -c config.json",
    "python3 -m mcp_server_time -c x",
    "python3 -um mcp_server_git --repository .",
    "/srv/venv/bin/python3.12 -I -B -X utf8 -W ignore server.py -i",
    "python3 --version",
    "python3 -mmcp_server_fetch --index-url x",
    "node server.js -e production",
    "node --no-warnings server.js --eval x -r y",
    "node --max-old-space-size=4096 --enable-source-maps dist/index.js -p 8080",
    "node --experimental-strip-types server.ts --require x",
    "node -C development server.js",
    "node -- server.js -e x",
    "tsx src/index.ts -e x",
    "bun server.ts -e x",
    "bun run src/index.ts --preload x",
    "bun x cowsay",
    "deno run -A --allow-net server.ts eval",
    "deno run npm:@modelcontextprotocol/server-memory",
    "sh server.sh -c config",
    "bash -eu -o pipefail ./start.sh -c x",
    "bash -- start.sh -c",
    "pwsh -NoProfile -File server.ps1 -Command x",
    "powershell -ExecutionPolicy Bypass -File server.ps1 -c x",
    "cmd start.bat",
    "perl -w -I lib server.pl -e x",
    "perl -T server.pl",
    "ruby -W0 -I lib server.rb -e x",
    "php server.php -r x",
    "php -f server.php",
    "lua server.lua -e x",
    "Rscript server.R -e x",
    "java -Xmx512m -cp a.jar:b.jar Main -javaagent:x",
    "java -jar server.jar @x",
    "gawk -f server.awk",
    "npx -y @modelcontextprotocol/server-everything",
    "npx -y @modelcontextprotocol/server-filesystem@2026.1.14 /srv -c x",
    "npx --yes --prefer-offline pkg@1.2.3 --call x --registry y",
    "npx -y -p pkg@1.2.3 pkg-server -c x",
    "npm exec --yes pkg@1.2.3 -- -c x --registry y",
    "npm run start -- -c x",
    "npm --prefix /srv/app run start",
    "pnpm dlx pkg@1.2.3 -c x",
    "yarn dlx pkg --registry x",
    "bunx pkg -e x",
    "uvx mcp-server-git==1.2 --repository . -i x",
    "uvx --from mcp==1.0 mcp-server --index-url x",
    "uvx --python 3.12 mcp-server-time",
    "uv run server.py -c x",
    "uv run -m mcp_server_time",
    "uv --directory /srv/app run server.py",
    "uv run --project /srv/app python server.py -c x",
    "pipx run mcp-server-time --index-url x",
    "docker run -i --rm mcp/git",
    "env node server.js",
    "/usr/bin/env -i node server.js NAME=1",
    "timeout 5 node server.js",
    "nice -n 5 ./server --verbose",
    "poetry run python server.py",
    "./server -c code --eval x",
    "/opt/mcp/pythonic -c x",
    "/opt/nodes/server -e x",
    "shellcheck -c x",
    "npx -y @scope/pkg@1.2.3 https://api.example http://localhost",
    "npx ./server",
    "npx -y mcp-remote https://mcp.example/mcp",
    "deno run -A jsr:@scope/server https://x.example",
    "uv run src/server.py http://x",
    "npm run start http://x",
    "supergateway --sse https://mcp.example/sse",
    "mcp-proxy https://mcp.example/sse",
    "find-server . -exec x",
    "git-server -c x",
    "git -C /srv log -c",
    "git --exec-path",
    "tini -- node server.js",
    "make server",
    "npx --https-proxy http://proxy:3128 -y pkg@1.2.3",
    "npm --proxy=http://proxy:3128 exec pkg@1.2.3",
    "deno run --location http://localhost server.ts",
    "mcp-proxy https://mcp.example/mcp/python",
    "mcp-proxy https://mcp.example/watch",
    "vimdoc-server -c x",
];

#[test]
fn packages_from_an_address_are_told_unless_they_name_a_whole_commit() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (command, id) in [
        ("npx github:a/b", "npx ADDRESS"),
        ("npx -y a/b#main", "npx ADDRESS"),
        ("npx --package=git+ssh://git@x.example/a.git server", "npx ADDRESS"),
        ("npx -p https://x.example/a.tgz server", "npx ADDRESS"),
        ("bunx pkg@github:a/b", "bunx ADDRESS"),
        ("pnpm dlx gitlab:a/b", "pnpm ADDRESS"),
        ("pnpm dlx a/b", "pnpm ADDRESS"),
        ("npm exec a/b", "npm ADDRESS"),
        ("npm exec --yes -- a/b", "npm ADDRESS"),
        ("npx -- github:a/b", "npx ADDRESS"),
        ("npx https://x.example/a.tgz#0123456789abcdef0123456789abcdef01234567", "npx ADDRESS"),
        ("uvx --from git+https://x.example/a server", "uvx ADDRESS"),
        ("uvx --from a·@·git+https://x.example/a server", "uvx ADDRESS"),
        ("uv run https://x.example/server.py", "uv ADDRESS"),
        ("pipx run --spec=git+https://x.example/a server", "pipx ADDRESS"),
        ("deno run -A https://x.example/server.ts", "deno ADDRESS"),
    ] {
        assert_eq!(found(command, Weight::Told), [id], "{command}");
        assert_eq!(found(command, Weight::Refused), Vec::<String>::new(), "{command}");
    }
    for command in [
        format!("uvx --from git+https://x.example/a@{commit} server"),
        format!("npx github:a/b#{commit}"),
        format!("npx a/b#{commit}"),
        format!("uvx --from git+https://x.example/a@{commit}#subdirectory=b server"),
        "npm exec -- pkg a/b".to_owned(),
        "pnpm exec a/b".to_owned(),
        "npx -y pkg@1.2.3".to_owned(),
        "npx @scope/pkg".to_owned(),
        "npx ./a/b".to_owned(),
        "npm run a/b".to_owned(),
        "uvx mcp-server@1.0 https://x.example".to_owned(),
    ] {
        assert_eq!(found(&command, Weight::Told), Vec::<String>::new(), "{command}");
    }
    assert_eq!(found(&format!("uvx --from git+http://x.example/a@{commit} server"), Weight::Refused), ["uvx http:"]);
}

#[test]
fn each_escape_is_found_and_called_by_its_name() {
    let told = |(command, _): &(&str, &str)| format!("{command}: {}", found(command, Weight::Refused).join(", "));
    let expected = |(command, expected): &(&str, &str)| format!("{command}: {expected}");
    let differing: Vec<String> = ESCAPES.iter().filter(|one| told(one) != expected(one)).map(told).collect();
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn its_benign_twin_is_not() {
    let refused = BENIGN.iter().filter(|command| !found(command, Weight::Refused).is_empty());
    let refused: Vec<String> =
        refused.map(|command| format!("{command}: {:?}", found(command, Weight::Refused))).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn packages_that_are_brought_along_are_told_and_not_refused() {
    for (command, id) in [
        ("uv run --with mcp[cli] mcp run server.py", "uv --with"),
        ("uvx --with-requirements=x.txt pkg", "uvx --with-requirements"),
    ] {
        assert_eq!(found(command, Weight::Told), [id], "{command}");
        assert_eq!(found(command, Weight::Refused), Vec::<String>::new(), "{command}");
    }
    // What follows is looked at all the same.
    assert_eq!(found("uv run --with x python -c code", Weight::Refused), ["python -c"]);
}

#[test]
fn variables_that_steer_a_process_are_found_and_settings_are_not() {
    for name in [
        "NODE_OPTIONS",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "DYLD_INSERT_LIBRARIES",
        "DYLD_LIBRARY_PATH",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PYTHONHOME",
        "PERL5OPT",
        "RUBYOPT",
        "BASH_ENV",
        "ENV",
        "JAVA_TOOL_OPTIONS",
        "GIT_SSH_COMMAND",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_KEY_0",
        "npm_config_script_shell",
        "NPM_CONFIG_REGISTRY",
        "Npm_Config_Node_Options",
        "npm_config_userconfig",
        "UV_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "DOTNET_STARTUP_HOOKS",
        "BROWSER",
        "GOFLAGS",
        "GOPROXY",
        "RUSTC_WRAPPER",
        "NODE_TLS_REJECT_UNAUTHORIZED",
        "GIT_SSL_NO_VERIFY",
    ] {
        let found = escapes(&words("./server"), [name]);
        assert_eq!(found.iter().map(|escape| &*escape.id).collect::<Vec<_>>(), [name]);
    }
    for name in [
        "API_TOKEN",
        "PATH",
        "HOME",
        "LANG",
        "NODE_ENV",
        "NODE_EXTRA_CA_CERTS",
        "PYTHONUNBUFFERED",
        "PYTHONIOENCODING",
        "PYTHONDONTWRITEBYTECODE",
        "RUBY_VERSION",
        "JAVA_HOME",
        "GIT_AUTHOR_NAME",
        "npm_config_yes",
        "NPM_CONFIG_LOGLEVEL",
        "npm_config_update_notifier",
        "UV_CACHE_DIR",
        "UV_PYTHON",
        "MAKEFLAGS",
        "GOTOOLCHAIN",
        "GOPRIVATE",
        "ENVIRONMENT",
        "LDAP_URL",
        "node_options",
        "HTTP_PROXY",
    ] {
        assert_eq!(steers(name), None, "{name}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_the_words_are_they_are_read_and_what_is_found_can_be_spelled_out(
        command in proptest::collection::vec("(env|npx|uv|node|sh|cmd|pwsh|java|--?[a-zA-Z=]{0,8}|[+/@A-Z=]{0,5}|\\PC{0,4})", 0..24),
    ) {
        let found = escapes(&command, []);
        let names: BTreeSet<_> = found.iter().map(|escape| escape.id.clone()).collect();
        proptest::prop_assert_eq!(names.len(), found.len(), "each once");
    }
}

#[test]
fn a_command_of_many_words_is_read_in_time_and_one_of_more_is_refused() {
    let long = vec!["env".to_owned(); WORDS_MAX];
    assert!(escapes(&long, []).is_empty());
    let longer = vec!["env".to_owned(); WORDS_MAX + 1];
    assert_eq!(escapes(&longer, []).iter().map(|escape| &*escape.id).collect::<Vec<_>>(), ["words"]);
}
