//! The demo server `notes`: notes in one file, with a resource each, a prompt and its completion.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sekisho_wire::json::{Array, Json, Limits, Object};
use sekisho_wire::{ListKind, Reference, RpcError};

use super::protocol::{NoSuchResource, Offer, constant, failed, invalid, text, told};

/// A folder of notes.
pub(super) struct Notes {
    dir: PathBuf,
}

struct Note {
    id: u64,
    title: String,
    text: String,
}

impl Notes {
    /// Keeps notes in `dir`, made where it is missing.
    pub(super) fn open(dir: &Path) -> io::Result<Notes> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(Notes { dir: dir.canonicalize()? })
    }

    /// Reads the notes, lets `change` change them, and writes them if it says so. One process at a time: there may be one for
    /// each session.
    fn with<T>(&self, change: impl FnOnce(&mut Vec<Note>) -> (T, Then)) -> io::Result<T> {
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(self.dir.join("notes.lock"))?;
        lock.lock()?;
        let mut notes = self.load()?;
        let (value, then) = change(&mut notes);
        match then {
            Then::Keep => {}
            Then::Save => self.save(&notes)?,
        }
        Ok(value)
    }

    fn load(&self) -> io::Result<Vec<Note>> {
        let file = match File::open(self.dir.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        let limits = Limits { bytes_max: bytes.len(), depth_max: 3, nodes_max: NOTES_MAX.saturating_mul(8) };
        let notes = Json::decode(Bytes::from(bytes), &limits).map_err(io::Error::other)?;
        let read = |note: Json| {
            let id = note.get("id")?.number()?.integer()?;
            Some(Note { id: u64::try_from(id).ok()?, title: text(&note, "title")?, text: text(&note, "text")? })
        };
        notes.elements().map(|note| read(note).ok_or_else(|| io::Error::other("the notes are damaged"))).collect()
    }

    /// Written beside and renamed, so that there is never half a file.
    fn save(&self, notes: &[Note]) -> io::Result<()> {
        let beside = self.dir.join("notes.json.next");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
        let mut list = Array::new();
        for note in notes {
            list.push(&note.data().text("text", &note.text).finish());
        }
        file.write_all(list.finish().bytes())?;
        std::fs::rename(beside, self.dir.join(FILE))
    }

    fn add(&self, title: &str, text: &str) -> Json {
        if title.is_empty() || title.len() > TITLE_BYTES_MAX || text.len() > TEXT_BYTES_MAX {
            return failed("a title has 1 to 200 bytes, a text at most 20000");
        }
        let added = self.with(|notes| {
            if notes.len() >= NOTES_MAX {
                return (None, Then::Keep);
            }
            let id = notes.iter().map(|note| note.id).max().unwrap_or(0).saturating_add(1);
            notes.push(Note { id, title: title.to_owned(), text: text.to_owned() });
            (Some(id), Then::Save)
        });
        match added {
            Ok(Some(id)) => told(&format!("Added note {id}."), Some(&Object::new().unsigned("id", id).finish())),
            Ok(None) => failed("there is no room for another note; delete one first"),
            Err(_) => failed(BROKEN),
        }
    }

    fn delete(&self, id: i64) -> Json {
        let deleted = self.with(|notes| {
            let before = notes.len();
            notes.retain(|note| u64::try_from(id) != Ok(note.id));
            if notes.len() == before { (false, Then::Keep) } else { (true, Then::Save) }
        });
        match deleted {
            Ok(true) => told(&format!("Deleted note {id}."), None),
            Ok(false) => failed("there is no such note"),
            Err(_) => failed(BROKEN),
        }
    }

    fn listing(&self) -> Json {
        let Ok(notes) = self.all() else { return failed(BROKEN) };
        let mut data = Array::new();
        let mut words = Vec::new();
        for note in &notes {
            data.push(&note.data().finish());
            words.push(format!("{}: {}", note.id, note.title));
        }
        let words = if words.is_empty() { "There are no notes.".to_owned() } else { words.join("\n") };
        told(&words, Some(&Object::new().json("notes", &data.finish()).finish()))
    }

    fn all(&self) -> io::Result<Vec<Note>> {
        self.with(|notes| (std::mem::take(notes), Then::Keep))
    }
}

impl Note {
    fn data(&self) -> Object {
        Object::new().unsigned("id", self.id).text("title", &self.title)
    }

    fn uri(&self) -> String {
        format!("note://{}", self.id)
    }
}

/// Whether a change is written.
enum Then {
    Keep,
    Save,
}

impl Offer for Notes {
    const NAME: &'static str = "sekisho-demo-notes";
    const TITLE: &'static str = "Demo: notes";
    const INSTRUCTIONS: &'static str = "Short notes that stay between conversations.";
    const CAPABILITIES: &'static str = r#"{"tools":{},"resources":{},"prompts":{},"completions":{}}"#;

    fn list(&self, kind: ListKind) -> Result<Array, RpcError> {
        let mut items = Array::new();
        match kind {
            ListKind::Tools => constant(TOOLS).elements().for_each(|tool| items.push(&tool)),
            ListKind::Prompts => items.push(&constant(PROMPT)),
            ListKind::Templates => items.push(&constant(TEMPLATE)),
            ListKind::Resources => {
                for note in self.all().unwrap_or_default() {
                    let resource = Object::new().text("uri", &note.uri()).text("name", &note.title);
                    items.push(&resource.text("mimeType", "text/plain").finish());
                }
            }
        }
        Ok(items)
    }

    fn call(&self, tool: &str, arguments: &Json) -> Result<Json, RpcError> {
        let argument = |name: &str| text(arguments, name).ok_or_else(|| invalid(&format!("`{name}` must be a string")));
        match tool {
            "add_note" => Ok(self.add(&argument("title")?, &argument("text")?)),
            "list_notes" => Ok(self.listing()),
            "delete_note" => {
                let id = arguments.get("id").and_then(|id| id.number()?.integer());
                Ok(self.delete(id.ok_or_else(|| invalid("`id` must be an integer"))?))
            }
            _ => Err(invalid("no such tool")),
        }
    }

    fn read(&self, uri: &str) -> Result<Array, NoSuchResource> {
        let notes = self.all().map_err(|_| NoSuchResource)?;
        let note = notes.into_iter().find(|note| note.uri() == uri).ok_or(NoSuchResource)?;
        let mut contents = Array::new();
        contents.push(&Object::new().text("uri", uri).text("mimeType", "text/plain").text("text", &note.text).finish());
        Ok(contents)
    }

    fn prompt(&self, name: &str, arguments: &Json) -> Result<Json, RpcError> {
        if name != "summarize_notes" {
            return Err(invalid("no such prompt"));
        }
        let style = text(arguments, "style").filter(|style| STYLES.contains(&style.as_str()));
        let style = style.ok_or_else(|| invalid("`style` must be one of brief, bullets and detailed"))?;
        let notes = self.all().map_err(|_| invalid(BROKEN))?;
        let listed: Vec<String> = notes.iter().map(|note| format!("## {}\n{}", note.title, note.text)).collect();
        let words = format!("Summarize these notes. Style: {style}.\n\n{}", listed.join("\n\n"));
        let content = Object::new().text("type", "text").text("text", &words).finish();
        let mut messages = Array::new();
        messages.push(&Object::new().text("role", "user").json("content", &content).finish());
        Ok(Object::new().text("description", "A summary of all notes").json("messages", &messages.finish()).finish())
    }

    fn values(&self, reference: &Reference, argument: &str) -> Result<Vec<String>, RpcError> {
        match (reference, argument) {
            (Reference::Prompt { name }, "style") if **name == *"summarize_notes" => {
                Ok(STYLES.map(str::to_owned).to_vec())
            }
            (Reference::Resource { uri }, "id") if **uri == *"note://{id}" => {
                Ok(self.all().unwrap_or_default().iter().map(|note| note.id.to_string()).collect())
            }
            (Reference::Resource { .. } | Reference::Prompt { .. }, _) => Err(invalid("no such argument")),
        }
    }
}

const FILE: &str = "notes.json";
const BROKEN: &str = "the notes cannot be read or written";
const STYLES: [&str; 3] = ["brief", "bullets", "detailed"];
const NOTES_MAX: usize = 500;
const TITLE_BYTES_MAX: usize = 200;
const TEXT_BYTES_MAX: usize = 20_000;
/// All notes at their longest, escaped.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const TEMPLATE: &str = r#"{"uriTemplate":"note://{id}","name":"note","title":"A note","mimeType":"text/plain"}"#;
const PROMPT: &str = r#"{"name":"summarize_notes","title":"Summarize the notes","description":"Asks for a summary of all notes.",
 "arguments":[{"name":"style","description":"brief, bullets or detailed","required":true}]}"#;
const TOOLS: &str = r#"[
{"name":"add_note","title":"Add a note","description":"Keeps a note.",
 "inputSchema":{"type":"object","properties":{"title":{"type":"string","minLength":1,"maxLength":200},
   "text":{"type":"string","maxLength":20000}},"required":["title","text"],"additionalProperties":false},
 "outputSchema":{"type":"object","properties":{"id":{"type":"integer","minimum":1}},"required":["id"],"additionalProperties":false},
 "annotations":{"readOnlyHint":false,"destructiveHint":false,"openWorldHint":false}},
{"name":"list_notes","title":"List notes","description":"Lists the notes by number and title.",
 "inputSchema":{"type":"object","properties":{},"additionalProperties":false},
 "outputSchema":{"type":"object","properties":{"notes":{"type":"array","items":{"type":"object",
   "properties":{"id":{"type":"integer"},"title":{"type":"string"}},"required":["id","title"],"additionalProperties":false}}},
   "required":["notes"],"additionalProperties":false},
 "annotations":{"readOnlyHint":true,"openWorldHint":false}},
{"name":"delete_note","title":"Delete a note","description":"Deletes a note for good.",
 "inputSchema":{"type":"object","properties":{"id":{"type":"integer","minimum":1}},"required":["id"],"additionalProperties":false},
 "annotations":{"readOnlyHint":false,"destructiveHint":true,"idempotentHint":true,"openWorldHint":false}}
]"#;

#[cfg(test)]
mod tests {
    use super::super::protocol::tests::{INITIALIZE, at, modern, talk};
    use super::*;

    #[test]
    fn constants_are_json() {
        assert_eq!(constant(TOOLS).elements().count(), 3);
        assert!(constant(TEMPLATE).is_object() && constant(PROMPT).is_object());
        assert!(constant(Notes::CAPABILITIES).is_object());
    }

    #[test]
    fn notes_stay_for_the_next_process_until_they_are_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let add = modern(1, "tools/call", r#"{"name":"add_note","arguments":{"title":"T","text":"a \"b\"\n"}}"#);
        let said = talk(Notes::open(dir.path()).unwrap(), &[&add]);
        assert_eq!(at(&said[0], &["result", "structuredContent", "id"]), Json::integer(1));
        let read = modern(2, "resources/read", r#"{"uri":"note://1"}"#);
        let list = modern(3, "tools/call", r#"{"name":"list_notes","arguments":{}}"#);
        let delete = modern(4, "tools/call", r#"{"name":"delete_note","arguments":{"id":1}}"#);
        let said = talk(Notes::open(dir.path()).unwrap(), &[&read, &list, &delete, &delete, &read]);
        assert!(said[0].as_str().contains(r#""text":"a \"b\"\n""#), "{}", said[0].as_str());
        assert_eq!(at(&said[1], &["result", "structuredContent"]).as_str(), r#"{"notes":[{"id":1,"title":"T"}]}"#);
        assert!(at(&said[2], &["result"]).get("isError").is_none());
        assert_eq!(at(&said[3], &["result", "isError"]), Json::bool(true));
        assert_eq!(at(&said[4], &["error", "code"]), Json::integer(-32602));
    }

    #[test]
    fn prompt_wants_a_known_style_and_completes_it() {
        let dir = tempfile::tempdir().unwrap();
        let prompt = |style: &str| {
            modern(1, "prompts/get", &format!(r#"{{"name":"summarize_notes","arguments":{{"style":"{style}"}}}}"#))
        };
        let complete = modern(
            3,
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"summarize_notes"},"argument":{"name":"style","value":"b"}}"#,
        );
        let said = talk(Notes::open(dir.path()).unwrap(), &[&prompt("brief"), &prompt("loud"), &complete]);
        assert!(at(&said[0], &["result", "messages"]).as_str().contains("brief"));
        assert_eq!(at(&said[1], &["error", "code"]), Json::integer(-32602));
        assert_eq!(at(&said[2], &["result", "completion", "values"]).as_str(), r#"["brief","bullets"]"#);
    }

    #[test]
    fn legacy_client_must_shake_hands_first() {
        let dir = tempfile::tempdir().unwrap();
        let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let said = talk(Notes::open(dir.path()).unwrap(), &[list, INITIALIZE, list]);
        assert_eq!(at(&said[0], &["error", "code"]), Json::integer(-32600));
        assert_eq!(at(&said[1], &["result", "protocolVersion"]), Json::text("2025-11-25"));
        assert_eq!(at(&said[2], &["result", "tools"]).elements().count(), 3);
    }

    #[test]
    fn unknown_method_version_and_notification_are_answered_as_the_protocol_says() {
        let dir = tempfile::tempdir().unwrap();
        let old = modern(2, "tools/list", "{}").replace("2026-07-28", "2027-01-01");
        let lines = [
            modern(1, "tools/none", "{}"),
            old,
            r#"{"jsonrpc":"2.0","method":"notifications/none"}"#.to_owned(),
            "{".to_owned(),
        ];
        let said = talk(Notes::open(dir.path()).unwrap(), &lines.each_ref().map(String::as_str));
        assert_eq!(said.len(), 2);
        assert_eq!(at(&said[0], &["error", "code"]), Json::integer(-32601));
        assert_eq!(at(&said[1], &["error", "code"]), Json::integer(-32022));
        assert_eq!(at(&said[1], &["error", "data", "requested"]), Json::text("2027-01-01"));
    }
}
