//! The demo server `files`: a folder of text files as tools and resources.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use sekisho_wire::json::{Array, Json, Object};
use sekisho_wire::{ListKind, Reference, RpcError};

use super::protocol::{NoSuchResource, Offer, constant, failed, invalid, text, told};
use super::shelf::Shelf;

/// One folder.
pub(super) struct Files {
    shelf: Shelf,
}

impl Files {
    /// Serves the folder `root`, made where it is missing.
    pub(super) fn open(root: &Path) -> io::Result<Files> {
        Ok(Files { shelf: Shelf::open(root)? })
    }

    fn listing(&self) -> Json {
        let found = match self.shelf.list() {
            Ok(found) => found,
            Err(refused) => return failed(&refused.to_string()),
        };
        let mut files = Array::new();
        let mut words = String::new();
        for file in &found {
            files.push(&Object::new().text("path", &file.path).unsigned("bytes", file.bytes).finish());
            // Writing into a String cannot fail.
            let _ = writeln!(words, "{} ({} bytes)", file.path, file.bytes);
        }
        let words = if found.is_empty() { "The folder is empty." } else { words.trim_end() };
        told(words, Some(&Object::new().json("files", &files.finish()).finish()))
    }

    fn resources(&self) -> Array {
        let mut resources = Array::new();
        for file in self.shelf.list().unwrap_or_default() {
            let resource = Object::new()
                .text("uri", &uri_of(&file.path))
                .text("name", &file.path)
                .text("mimeType", "text/plain")
                .unsigned("size", file.bytes);
            resources.push(&resource.finish());
        }
        resources
    }
}

impl Offer for Files {
    const NAME: &'static str = "sekisho-demo-files";
    const TITLE: &'static str = "Demo: files";
    const INSTRUCTIONS: &'static str = "Text files of one folder. Paths are relative to it.";
    const CAPABILITIES: &'static str = r#"{"tools":{},"resources":{},"completions":{}}"#;

    fn list(&self, kind: ListKind) -> Result<Array, RpcError> {
        let mut items = Array::new();
        match kind {
            ListKind::Tools => constant(TOOLS).elements().for_each(|tool| items.push(&tool)),
            ListKind::Resources => return Ok(self.resources()),
            ListKind::Templates => items.push(&constant(TEMPLATE)),
            ListKind::Prompts => {}
        }
        Ok(items)
    }

    fn call(&self, tool: &str, arguments: &Json) -> Result<Json, RpcError> {
        let argument = |name: &str| text(arguments, name).ok_or_else(|| invalid(&format!("`{name}` must be a string")));
        match tool {
            "list_files" => Ok(self.listing()),
            "read_file" => Ok(match self.shelf.read(&argument("path")?) {
                Ok(text) => told(&text, None),
                Err(refused) => failed(&refused.to_string()),
            }),
            "write_file" => {
                let (path, text) = (argument("path")?, argument("text")?);
                Ok(match self.shelf.write(&path, &text) {
                    Ok(()) => told(&format!("Wrote {} bytes to {path}.", text.len()), None),
                    Err(refused) => failed(&refused.to_string()),
                })
            }
            _ => Err(invalid("no such tool")),
        }
    }

    fn read(&self, uri: &str) -> Result<Array, NoSuchResource> {
        let path = path_of(uri).ok_or(NoSuchResource)?;
        let text = self.shelf.read(&path).map_err(|_| NoSuchResource)?;
        let mut contents = Array::new();
        contents.push(&Object::new().text("uri", uri).text("mimeType", "text/plain").text("text", &text).finish());
        Ok(contents)
    }

    fn prompt(&self, _: &str, _: &Json) -> Result<Json, RpcError> {
        Err(invalid("no such prompt"))
    }

    fn values(&self, reference: &Reference, argument: &str) -> Result<Vec<String>, RpcError> {
        match (reference, argument) {
            (Reference::Resource { uri }, "path") if **uri == *TEMPLATE_URI => {
                let found = self.shelf.list().unwrap_or_default();
                Ok(found.into_iter().map(|file| file.path).collect())
            }
            (Reference::Resource { .. } | Reference::Prompt { .. }, _) => Err(invalid("no such argument")),
        }
    }
}

/// RFC 3986, section 3.3: what a path segment may hold stays, all else is escaped.
fn uri_of(path: &str) -> String {
    let mut uri = SCHEME.to_owned();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

/// The path in a URI that [`uri_of`] writes, and in no other spelling of it.
fn path_of(uri: &str) -> Option<String> {
    let escaped = uri.strip_prefix(SCHEME)?;
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            plain => bytes.push(plain),
        }
    }
    String::from_utf8(bytes).ok().filter(|path| uri_of(path) == uri)
}

const SCHEME: &str = "demo-files:///";
const TEMPLATE_URI: &str = "demo-files:///{+path}";
const TEMPLATE: &str =
    r#"{"uriTemplate":"demo-files:///{+path}","name":"file","title":"A file","mimeType":"text/plain"}"#;
const TOOLS: &str = r#"[
{"name":"list_files","title":"List files","description":"Lists the files of the folder with their sizes.",
 "inputSchema":{"type":"object","properties":{},"additionalProperties":false},
 "outputSchema":{"type":"object","properties":{"files":{"type":"array","items":{"type":"object",
   "properties":{"path":{"type":"string"},"bytes":{"type":"integer","minimum":0}},
   "required":["path","bytes"],"additionalProperties":false}}},"required":["files"],"additionalProperties":false},
 "annotations":{"readOnlyHint":true,"openWorldHint":false}},
{"name":"read_file","title":"Read a file","description":"Returns the text of a file.",
 "inputSchema":{"type":"object","properties":{"path":{"type":"string","maxLength":1024,
   "description":"Relative to the folder, such as letters/first.txt"}},"required":["path"],"additionalProperties":false},
 "annotations":{"readOnlyHint":true,"openWorldHint":false}},
{"name":"write_file","title":"Write a file","description":"Replaces the text of a file, or makes the file.",
 "inputSchema":{"type":"object","properties":{"path":{"type":"string","maxLength":1024,
   "description":"Relative to the folder, such as letters/first.txt"},"text":{"type":"string"}},
   "required":["path","text"],"additionalProperties":false},
 "annotations":{"readOnlyHint":false,"destructiveHint":true,"idempotentHint":true,"openWorldHint":false}}
]"#;

#[cfg(test)]
mod tests {
    use super::super::protocol::tests::{INITIALIZE, at, modern, talk};
    use super::*;

    fn files() -> (tempfile::TempDir, Files) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a b.txt"), "hello").unwrap();
        let files = Files::open(dir.path()).unwrap();
        (dir, files)
    }

    #[test]
    fn constants_are_json() {
        assert_eq!(constant(TOOLS).elements().count(), 3);
        assert!(constant(TEMPLATE).get("uriTemplate").unwrap().string().unwrap() == TEMPLATE_URI);
        assert!(constant(Files::CAPABILITIES).is_object());
    }

    #[test]
    fn uri_of_a_file_has_one_spelling() {
        for path in ["a b.txt", "é/ü.txt", "plain", "100%"] {
            assert_eq!(path_of(&uri_of(path)).as_deref(), Some(path));
        }
        for uri in [
            "demo-files:///%61",
            "demo-files:///a%2fb",
            "demo-files:///%",
            "demo-files:///%c3",
            "file:///etc/passwd",
            "demo-files://a",
        ] {
            assert_eq!(path_of(uri), None, "{uri}");
        }
    }

    #[test]
    fn both_eras_get_the_same_answer_each_in_its_form() {
        let (_dir, server) = files();
        let legacy = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"demo-files:///a%20b.txt"}}"#;
        let said =
            talk(server, &[INITIALIZE, legacy, &modern(2, "resources/read", r#"{"uri":"demo-files:///a%20b.txt"}"#)]);
        let (old, new) = (at(&said[1], &["result"]), at(&said[2], &["result"]));
        assert_eq!(old.get("contents").unwrap(), new.get("contents").unwrap());
        assert!(old.get("resultType").is_none() && old.get("ttlMs").is_none() && old.get("_meta").is_none());
        assert_eq!(at(&new, &["resultType"]), Json::text("complete"));
        assert_eq!(at(&new, &["cacheScope"]), Json::text("private"));
        assert_eq!(at(&new, &["_meta", "io.modelcontextprotocol/serverInfo", "name"]), Json::text(Files::NAME));
    }

    #[test]
    fn file_outside_the_folder_is_a_tool_error_and_no_resource() {
        let (_dir, server) = files();
        let call = modern(1, "tools/call", r#"{"name":"read_file","arguments":{"path":"../x"}}"#);
        let read = modern(2, "resources/read", r#"{"uri":"demo-files:///../x"}"#);
        let said = talk(server, &[&call, &read]);
        assert_eq!(at(&said[0], &["result", "isError"]), Json::bool(true));
        assert_eq!(at(&said[1], &["error", "code"]), Json::integer(-32602));
    }

    #[test]
    fn listing_has_text_and_the_declared_data() {
        let (_dir, server) = files();
        let said = talk(server, &[&modern(1, "tools/call", r#"{"name":"list_files"}"#)]);
        let listed = at(&said[0], &["result", "structuredContent"]);
        assert_eq!(listed.as_str(), r#"{"files":[{"path":"a b.txt","bytes":5}]}"#);
    }
}
