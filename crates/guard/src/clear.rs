//! Obligations, and the proof that they were met.

use sekisho_wire::server::ServerNotice;
use sekisho_wire::server::{Item, ServerRequest};
use sekisho_wire::text::{is_plainly_visible, visible};
use sekisho_wire::{Answer, FromServer, InputRequest, InputRequired, Items, Json, RpcError, Sheet, Task};

/// What policy obliges the gateway to do with a message before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obligation {
    /// Hidden characters are made visible in every string value.
    MakeVisible,
}

/// A thing that carries obligations: implemented by policy's proofs.
pub trait Obliged {
    /// What is to be done before it goes on.
    fn obligations(&self) -> &[Obligation];
}

/// An answer on its way back that may be masked.
pub trait Maskable: Obliged {
    /// The message as it is.
    fn content(&self) -> &FromServer;
    /// The same answer with the masked message in place of its own.
    #[must_use]
    fn masked(self, by: Masked) -> Self;
}

/// A message after masking: only this room makes it, so nobody else can change an answer.
pub struct Masked(FromServer);

impl Masked {
    /// The message.
    #[must_use]
    pub fn into_message(self) -> FromServer {
        self.0
    }
}

/// The proof that the obligations of `A` were met.
pub struct Cleared<A> {
    of: A,
}

impl<A> Cleared<A> {
    /// What was cleared.
    #[must_use]
    pub fn of(&self) -> &A {
        &self.of
    }

    /// What was cleared; the proof ends here.
    #[must_use]
    pub fn into_inner(self) -> A {
        self.of
    }
}

/// An obligation that cannot be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// A request is never changed here.
    #[error("an obligation cannot be met on the way in")]
    OnTheWayIn,
}

pub(crate) fn request<A: Obliged>(m: A) -> Result<Cleared<A>, Unmet> {
    if m.obligations().is_empty() { Ok(Cleared { of: m }) } else { Err(Unmet::OnTheWayIn) }
}

pub(crate) fn answer<A: Maskable>(mut m: A) -> Result<Cleared<A>, Unmet> {
    for obligation in m.obligations().to_vec() {
        m = match obligation {
            Obligation::MakeVisible => {
                if is_plain(m.content()) {
                    continue;
                }
                let masked = Masked(made_visible(m.content()));
                m.masked(masked)
            }
        };
    }
    Ok(Cleared { of: m })
}

/// Whether a message is known to have nothing to make visible: a page that was looked at as a whole.
fn is_plain(message: &FromServer) -> bool {
    match message {
        FromServer::Page(items) => {
            items.sheet.as_ref().is_some_and(Sheet::is_plainly_visible)
                && items.meta.as_ref().is_none_or(is_plainly_visible)
        }
        FromServer::Listening(_) | FromServer::Told { .. } | FromServer::Withdrawn { .. } => true,
        FromServer::Notice { .. }
        | FromServer::Ask(_)
        | FromServer::Park(_)
        | FromServer::Task(_)
        | FromServer::End(_) => false,
    }
}

/// Every string value is mapped, binary members too: Base64 text has no character that changes.
fn made_visible(message: &FromServer) -> FromServer {
    match message {
        FromServer::Notice { server, notice } => {
            let notice = ServerNotice { kind: notice.kind, params: shown(&notice.params) };
            FromServer::Notice { server: server.clone(), notice }
        }
        FromServer::Withdrawn { id, connection } => FromServer::Withdrawn { id: id.clone(), connection: *connection },
        // URIs are what the client asked for, or asks for next: they are kept to the byte.
        FromServer::Listening(filters) => FromServer::Listening(filters.clone()),
        FromServer::Told { server, told } => FromServer::Told { server: server.clone(), told: told.clone() },
        FromServer::Ask(asked) => {
            let (id, request) = (asked.id.clone(), question(&asked.request));
            FromServer::Ask(ServerRequest { id, request, on: asked.on })
        }
        FromServer::Page(items) => FromServer::Page(page(items)),
        FromServer::Park(required) => {
            FromServer::Park(InputRequired {
                requests: questions(&required.requests),
                // Opaque: it goes back to the server that wrote it, and nobody reads it.
                state: required.state.clone(),
                meta: required.meta.as_ref().map(shown),
            })
        }
        FromServer::End(end) => FromServer::End(ended(end)),
        FromServer::Task(task) => FromServer::Task(Box::new(Task {
            // The client has another name for it.
            id: task.id.clone(),
            begins: task.begins,
            said: shown(&task.said),
            requests: questions(&task.requests),
            outcome: task.outcome.as_ref().map(ended),
            meta: task.meta.as_ref().map(shown),
        })),
    }
}

fn ended(end: &Answer) -> Answer {
    match end {
        Answer::Result(result) => Answer::Result(shown(result)),
        Answer::Error(error) => Answer::Error(RpcError {
            code: error.code,
            message: visible(&error.message).into(),
            data: error.data.as_ref().map(shown),
        }),
    }
}

fn questions(requests: &[(Box<str>, InputRequest)]) -> Vec<(Box<str>, InputRequest)> {
    requests.iter().map(|(key, request)| (key.clone(), question(request))).collect()
}

fn question(request: &InputRequest) -> InputRequest {
    InputRequest { kind: request.kind.clone(), params: shown(&request.params) }
}

fn page(items: &Items) -> Items {
    let entry = |item: &Item| Item { server: item.server.clone(), definition: shown(&item.definition) };
    Items {
        kind: items.kind,
        entries: items.entries.iter().map(entry).collect(),
        // Cursors are opaque and go back to the server that wrote them; nobody reads them.
        next: items.next.clone(),
        missing: items.missing.clone(),
        ttl_ms: items.ttl_ms,
        meta: items.meta.as_ref().map(shown),
        // What was changed is no longer what was read.
        sheet: None,
    }
}

fn shown(json: &Json) -> Json {
    if is_plainly_visible(json) {
        return json.clone();
    }
    json.map_strings(&mut |text| {
        let shown = visible(text);
        (shown != text).then(|| shown.into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sekisho_wire::json::Limits;
    use sekisho_wire::{ListKind, ServerId, Sheets, back};

    struct Answered(FromServer, Vec<Obligation>);

    impl Obliged for Answered {
        fn obligations(&self) -> &[Obligation] {
            &self.1
        }
    }

    impl Maskable for Answered {
        fn content(&self) -> &FromServer {
            &self.0
        }
        fn masked(mut self, by: Masked) -> Answered {
            self.0 = by.into_message();
            self
        }
    }

    fn json(text: &str) -> Json {
        Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
    }

    #[test]
    fn hidden_characters_in_results_and_definitions_are_made_visible() {
        let result = json("{\"content\":[{\"type\":\"text\",\"text\":\"a\u{202e}b\"}],\"isError\":false}");
        let cleared = answer(Answered(FromServer::End(Answer::Result(result)), vec![Obligation::MakeVisible])).unwrap();
        let FromServer::End(Answer::Result(shown)) = &cleared.of().0 else { panic!("a result") };
        assert_eq!(shown.as_str(), r#"{"content":[{"type":"text","text":"a\\u{202e}b"}],"isError":false}"#);

        let server = ServerId::parse("notes").unwrap();
        let definition = json("{\"name\":\"add\",\"description\":\"adds\u{200b}\"}");
        let items = Items {
            kind: ListKind::Tools,
            entries: vec![Item { server, definition }],
            next: Vec::new(),
            missing: Vec::new(),
            ttl_ms: None,
            meta: None,
            sheet: None,
        };
        let cleared = answer(Answered(FromServer::Page(items), vec![Obligation::MakeVisible])).unwrap();
        let FromServer::Page(items) = &cleared.of().0 else { panic!("a page") };
        assert_eq!(items.entries[0].definition.as_str(), r#"{"name":"add","description":"adds\\u{200b}"}"#);
    }

    #[test]
    fn a_page_that_was_read_before_is_shown_as_any_other_and_stays_whole_only_unchanged() {
        for (text, shown) in [("adds", "adds"), ("adds\u{200b}", "adds\\\\u{200b}")] {
            let result = |text: &str| format!(r#"{{"tools":[{{"name":"add","description":"{text}"}}]}}"#);
            let items = |result: &Json| {
                back::items(&Sheets::default(), ListKind::Tools, &ServerId::parse("notes").unwrap(), result).unwrap()
            };
            let page = items(&json(&result(text)));
            let cleared = answer(Answered(FromServer::Page(page), vec![Obligation::MakeVisible])).unwrap();
            let FromServer::Page(page) = &cleared.of().0 else { panic!("a page") };
            assert_eq!(page.entries[0].definition, items(&json(&result(shown))).entries[0].definition);
            assert_eq!(page.whole().is_some(), text == shown);
        }
        let mut page = back::items(
            &Sheets::default(),
            ListKind::Tools,
            &ServerId::parse("notes").unwrap(),
            &json("{\"tools\":[],\"_meta\":{\"a\":\"b\u{200b}\"}}"),
        )
        .unwrap();
        page.ttl_ms = Some(1);
        let cleared = answer(Answered(FromServer::Page(page), vec![Obligation::MakeVisible])).unwrap();
        let FromServer::Page(page) = &cleared.of().0 else { panic!("a page") };
        assert_eq!(page.meta.as_ref().map(Json::as_str), Some(r#"{"a":"b\\u{200b}"}"#));
    }

    #[test]
    fn base64_and_ordinary_text_keep_their_bytes() {
        let text = r#"{"content":[{"type":"image","data":"iVBORw0KGgo=","mimeType":"image/png"}]}"#;
        let cleared =
            answer(Answered(FromServer::End(Answer::Result(json(text))), vec![Obligation::MakeVisible])).unwrap();
        let FromServer::End(Answer::Result(shown)) = &cleared.of().0 else { panic!("a result") };
        assert_eq!(shown.as_str(), text);
    }

    fn parked() -> FromServer {
        let params = json("{\"message\":\"a\u{202e}b\",\"requestedSchema\":{}}");
        let asked = sekisho_wire::input::request("elicitation/create", Some(params)).unwrap();
        let requests = vec![("k".into(), asked)];
        FromServer::Park(InputRequired { requests, state: Some("a\u{202e}b".into()), meta: None })
    }

    #[test]
    fn questions_are_made_visible_and_a_servers_state_keeps_its_bytes() {
        let cleared = answer(Answered(parked(), vec![Obligation::MakeVisible])).unwrap();
        let FromServer::Park(shown) = &cleared.of().0 else { panic!("a question") };
        assert_eq!(shown.requests[0].1.params.get("message").unwrap().as_str(), r#""a\\u{202e}b""#);
        assert_eq!(shown.state.as_deref(), Some("a\u{202e}b"));
    }

    #[test]
    fn an_obligation_on_the_way_in_is_refused_and_none_is_cleared() {
        let nothing = Answered(parked(), Vec::new());
        assert!(request(nothing).is_ok());
        let something = Answered(parked(), vec![Obligation::MakeVisible]);
        assert_eq!(request(something).err(), Some(Unmet::OnTheWayIn));
    }
}
