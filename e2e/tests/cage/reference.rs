//! The servers that the protocol's makers publish do in a cage what they do outside, within what they are granted.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use sekisho_e2e::gateway::{granting, stdio_server};
use sekisho_e2e::{peers, servers};
use serde_json::json;

use crate::yard::{Yard, call, display};

#[test]
fn everything_does_everything() {
    let yard = Yard::new();
    yard.locked(&servers::everything_from_npm("everything").expect("the peers"));
    let mut line = yard.open("everything");
    assert_eq!(call(&mut line, "echo", json!({"message": "hi"})), Ok("Echo: hi".to_owned()));
    assert!(call(&mut line, "get-sum", json!({"a": 2, "b": 40})).is_ok_and(|text| text.contains("42")));
    let environment = call(&mut line, "get-env", json!({})).expect("its variables");
    assert!(environment.contains("\"HOME\"") && !environment.contains("CARGO"), "{environment}");
    let listed = line.request("resources/list", json!({})).expect("resources");
    assert!(listed["resources"].as_array().is_some_and(|listed| !listed.is_empty()), "{listed}");
}

#[test]
fn filesystem_reads_and_writes_in_its_folder_and_the_kernel_keeps_it_there() {
    let yard = Yard::new();
    yard.locked(&servers::filesystem("files", &yard.at("work")).expect("the peers"));
    let mut line = yard.open("files");
    let at = |file: &str| display(&yard.at(file));
    let read = |line: &mut _, file: &str| call(line, "read_text_file", json!({"path": at(file)}));
    assert_eq!(read(&mut line, "work/hello.txt"), Ok("hello".to_owned()));
    for (tool, arguments) in [
        ("write_file", json!({"path": at("work/new.txt"), "content": "new"})),
        ("create_directory", json!({"path": at("work/folder")})),
        ("move_file", json!({"source": at("work/new.txt"), "destination": at("work/folder/moved.txt")})),
        ("edit_file", json!({"path": at("work/hello.txt"), "edits": [{"oldText": "hello", "newText": "bye"}]})),
        ("list_directory", json!({"path": at("work")})),
        ("directory_tree", json!({"path": at("work")})),
        ("get_file_info", json!({"path": at("work/hello.txt")})),
        ("search_files", json!({"path": at("work"), "pattern": "*.txt"})),
    ] {
        assert!(call(&mut line, tool, arguments.clone()).is_ok(), "{tool} {arguments}");
    }
    assert_eq!((yard.text("work/folder/moved.txt"), yard.text("work/hello.txt")), ("new".to_owned(), "bye".to_owned()));
    assert!(read(&mut line, "outside/secret.txt").is_err(), "it says no itself");

    // The same server, told that all of it is its own: then the kernel says no.
    let command = peers::npm_server("@modelcontextprotocol/server-filesystem/dist/index.js").expect("the peers");
    let told = [command, vec![display(&yard.at(""))]].concat();
    let table = stdio_server("told", &told) + "sandbox.profile = \"node\"\n" + &granting(&[], &[&yard.at("work")]);
    yard.locked(&table);
    let mut line = yard.open("told");
    assert_eq!(read(&mut line, "work/hello.txt"), Ok("bye".to_owned()));
    for file in ["outside/secret.txt", "home/.ssh/id_ed25519", "sekisho.toml", "data/audit"] {
        let refused = read(&mut line, file).expect_err(file);
        assert!(refused.contains("ENOENT"), "{file}: {refused}");
    }
    let written = call(&mut line, "write_file", json!({"path": at("outside/new.txt"), "content": "x"}));
    assert!(written.is_err() && !yard.at("outside/new.txt").exists(), "{written:?}");
}

#[test]
fn memory_remembers_from_one_process_to_the_next() {
    let yard = Yard::new();
    yard.locked(&servers::memory("memory", &yard.at("work")).expect("the peers"));
    let entity = json!({"entities": [{"name": "Hakone", "entityType": "place", "observations": ["has a checkpoint"]}]});
    assert!(call(&mut yard.open("memory"), "create_entities", entity).is_ok());
    let graph = call(&mut yard.open("memory"), "read_graph", json!({})).expect("a graph");
    assert!(graph.contains("has a checkpoint"), "{graph}");
    assert!(yard.text("work/memory.jsonl").contains("Hakone"));
}

#[test]
fn git_commits_in_its_repository_and_knows_no_other() {
    let yard = Yard::new();
    let (repository, other) = (servers::repository().expect("git"), servers::repository().expect("git"));
    let root = repository.path().canonicalize().expect("a folder");
    yard.locked(&servers::git("git", &root).expect("the peers"));
    let mut line = yard.open("git");
    std::fs::write(root.join("new.txt"), "new").expect("a file");
    let path = display(&root);
    assert!(call(&mut line, "git_status", json!({"repo_path": path})).is_ok_and(|status| status.contains("new.txt")));
    assert!(call(&mut line, "git_add", json!({"repo_path": path, "files": ["new.txt"]})).is_ok());
    let committed = call(&mut line, "git_commit", json!({"repo_path": path, "message": "from the cage"}));
    assert!(committed.is_ok(), "{committed:?}");
    let log = call(&mut line, "git_log", json!({"repo_path": path})).expect("a log");
    assert!(log.contains("from the cage") && log.contains("first"), "{log}");
    assert!(call(&mut line, "git_create_branch", json!({"repo_path": path, "branch_name": "side"})).is_ok());
    assert!(call(&mut line, "git_status", json!({"repo_path": display(other.path())})).is_err());
}

#[test]
fn time_knows_the_time_zones() {
    let yard = Yard::new();
    yard.locked(&servers::time("time").expect("the peers"));
    let mut line = yard.open("time");
    let told = call(&mut line, "get_current_time", json!({"timezone": "Asia/Tokyo"})).expect("a time");
    assert!(told.contains("+09:00"), "{told}");
    let converted = json!({"source_timezone": "Europe/Berlin", "time": "12:00", "target_timezone": "Asia/Tokyo"});
    assert!(call(&mut line, "convert_time", converted).is_ok());
}

/// A page at a port of this machine, for as many as ask.
fn page(text: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _asked = stream.read(&mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                text.len()
            );
            let _written = stream.write_all(format!("{head}{text}").as_bytes());
        }
    });
    port
}

#[test]
fn fetch_reaches_the_host_that_it_was_granted_and_no_other() {
    let yard = Yard::new();
    let (granted, other) = (page("a page of this machine"), page("of another server"));
    yard.locked(&servers::fetch("fetch", &format!("http://127.0.0.1:{granted}")).expect("the peers"));
    let mut line = yard.open("fetch");
    let mut fetch = |port: u16| call(&mut line, "fetch", json!({"url": format!("http://127.0.0.1:{port}/page")}));
    let page = fetch(granted);
    assert!(page.as_ref().is_ok_and(|page| page.contains("a page of this machine")), "{page:?}");
    let refused = fetch(other);
    assert!(refused.as_ref().is_err_and(|words| !words.contains("of another server")), "{refused:?}");
}
