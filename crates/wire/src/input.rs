//! What servers ask of clients: by a request of their own (legacy), or by a result that is none yet (modern, MR-01).

use crate::json::{Json, Object};
use crate::sampling;
use crate::server::RpcError;
use crate::task;

/// A question of a server to the client, or to whoever sits in front of it.
#[derive(Debug, Clone)]
pub struct InputRequest {
    /// Which one, with all that a decision about it needs.
    pub kind: InputKind,
    /// Its parameters, an object, as the server wrote them.
    pub params: Json,
}

/// The questions that a server may ask (MR-02; MCP, Client Features).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// `elicitation/create` in form mode: the user fills in a form.
    Form,
    /// `elicitation/create` in URL mode: the user is sent to a page.
    Url {
        /// Where to, as written. Nothing here ever fetches it (EL-06).
        url: Box<str>,
    },
    /// `sampling/createMessage`: the client's model writes an answer.
    Sampling {
        /// With tools that the model may use (SA-02).
        tools: bool,
        /// With the context of other conversations (SA-02, deprecated).
        context: bool,
    },
    /// `roots/list`: which folders the client works in.
    Roots,
}

impl InputKind {
    /// Its method, which is also its Cedar action.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            InputKind::Form | InputKind::Url { .. } => ELICIT,
            InputKind::Sampling { .. } => SAMPLE,
            InputKind::Roots => ROOTS,
        }
    }
}

/// `input_required`: the server goes on once the client has answered (2026-07-28, MRTR).
#[derive(Debug, Clone)]
pub struct InputRequired {
    /// Each question under the server's key for it. At most [`REQUESTS_MAX`]; none if the client shall only come again.
    pub requests: Vec<(Box<str>, InputRequest)>,
    /// What the server wants back, to the byte (MR-03).
    pub state: Option<Box<str>>,
    /// `_meta` of the result.
    pub meta: Option<Json>,
}

/// What a client brings when it comes again (MR-03).
#[derive(Debug, Clone)]
pub struct Resumed {
    /// The state that it was given.
    pub state: Box<str>,
    /// Its answers, an object by key.
    pub responses: Json,
}

/// What a client says that it can be asked. Self-asserted, and no more than a bound: what is not declared is not asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Askable {
    /// `elicitation`, empty or with `form` (EL-03).
    pub form: bool,
    /// `elicitation.url`
    pub url: bool,
    /// `sampling`
    pub sampling: bool,
    /// `sampling.tools`
    pub sampling_tools: bool,
    /// `sampling.context`
    pub sampling_context: bool,
    /// `roots`
    pub roots: bool,
    /// The extension for tasks (modern): nothing that is asked, but declared in the same place.
    pub tasks: bool,
}

impl Askable {
    /// Reads `clientCapabilities`, or `capabilities` of `initialize`.
    #[must_use]
    pub fn of(capabilities: &Json) -> Askable {
        let object = |of: &Json, key: &str| of.get(key).filter(Json::is_object);
        let has = |of: &Option<Json>, key: &str| of.as_ref().is_some_and(|of| object(of, key).is_some());
        let (elicitation, sampling) = (object(capabilities, "elicitation"), object(capabilities, "sampling"));
        let url = has(&elicitation, "url");
        Askable {
            // Before there were modes there was the form, and an empty object still means it.
            form: elicitation.is_some() && (has(&elicitation, "form") || !url),
            url,
            sampling: sampling.is_some(),
            sampling_tools: has(&sampling, "tools"),
            sampling_context: has(&sampling, "context"),
            roots: object(capabilities, "roots").is_some(),
            tasks: has(&object(capabilities, "extensions"), task::EXTENSION),
        }
    }

    /// The same without what means nothing by itself: sampling with extras, and no sampling.
    #[must_use]
    pub fn whole(self) -> Askable {
        let Askable { sampling, .. } = self;
        Askable {
            sampling_tools: sampling && self.sampling_tools,
            sampling_context: sampling && self.sampling_context,
            ..self
        }
    }

    /// Whether nothing can be asked.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Askable::default()
    }

    /// Whether this question is among them.
    #[must_use]
    pub fn covers(self, kind: &InputKind) -> bool {
        match kind {
            InputKind::Form => self.form,
            InputKind::Url { .. } => self.url,
            InputKind::Sampling { tools, context } => {
                self.sampling && (self.sampling_tools || !tools) && (self.sampling_context || !context)
            }
            InputKind::Roots => self.roots,
        }
    }

    /// The capabilities that say so to a server.
    #[must_use]
    pub fn written(self) -> Json {
        let flags = |flags: &[(&str, bool)]| {
            let set = flags.iter().filter(|(_, set)| *set);
            set.fold(Object::new(), |object, (name, _)| object.json(name, &Json::empty_object())).finish()
        };
        let mut capabilities = Object::new();
        if self.form || self.url {
            // Servers that know no modes read an empty object.
            let modes = if self.url { flags(&[("form", self.form), ("url", true)]) } else { Json::empty_object() };
            capabilities = capabilities.json("elicitation", &modes);
        }
        if self.sampling {
            let extras = flags(&[("tools", self.sampling_tools), ("context", self.sampling_context)]);
            capabilities = capabilities.json("sampling", &extras);
        }
        if self.roots {
            capabilities = capabilities.json("roots", &Json::empty_object());
        }
        if self.tasks {
            let extensions = Object::new().json(task::EXTENSION, &Json::empty_object());
            capabilities = capabilities.json("extensions", &extensions.finish());
        }
        capabilities.finish()
    }
}

/// Why a question is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadInput {
    /// Servers may not ask for that (MR-02).
    #[error("the server asks for something that servers may not ask for")]
    Method,
    /// Of a known kind, but of the wrong shape.
    #[error("the server's question is wrong: {what}")]
    Params {
        /// One clause, without anything of the content.
        what: &'static str,
    },
    /// `input_required` that requires nothing, or too much.
    #[error("the server's result asks for input in the wrong way: {what}")]
    Required {
        /// One clause, without anything of the content.
        what: &'static str,
    },
}

/// Reads a question.
///
/// # Errors
/// [`BadInput`] for what is no question that a server may ask, or has not its shape.
pub fn request(method: &str, params: Option<Json>) -> Result<InputRequest, BadInput> {
    let wrong = |what| BadInput::Params { what };
    let params = params.unwrap_or_else(Json::empty_object);
    let known = [ELICIT, SAMPLE, ROOTS].contains(&method);
    if !known {
        return Err(BadInput::Method);
    }
    if !params.is_object() {
        return Err(wrong("`params` is not an object"));
    }
    let kind = match method {
        ELICIT => elicitation(&params)?,
        SAMPLE => sampling(&params)?,
        _ => InputKind::Roots,
    };
    Ok(InputRequest { kind, params })
}

fn elicitation(params: &Json) -> Result<InputKind, BadInput> {
    let wrong = |what| BadInput::Params { what };
    let text = |key: &str| params.get(key).and_then(|value| value.string().map(|text| Box::<str>::from(&*text)));
    text("message").ok_or(wrong("`message` is not a string"))?;
    let mode = params.get("mode");
    let mode = mode.as_ref().map(|mode| mode.string().ok_or(wrong("`mode` is not a string"))).transpose()?;
    match mode.as_deref() {
        None | Some("form") => {
            let schema = params.get("requestedSchema").filter(Json::is_object);
            let schema = schema.ok_or(wrong("`requestedSchema` is not an object"))?;
            let fits = schema.bytes().len() <= FORM_BYTES_MAX;
            fits.then_some(InputKind::Form).ok_or(wrong("`requestedSchema` is too long"))
        }
        Some("url") => {
            let url = text("url").ok_or(wrong("`url` is not a string"))?;
            let fits = url.len() <= URL_BYTES_MAX;
            fits.then_some(InputKind::Url { url }).ok_or(wrong("`url` is too long"))
        }
        Some(_) => Err(wrong("`mode` is neither `form` nor `url`")),
    }
}

fn sampling(params: &Json) -> Result<InputKind, BadInput> {
    let wrong = |what| BadInput::Params { what };
    let messages = params.get("messages").filter(|messages| messages.elements().all(|message| message.is_object()));
    let messages = messages.filter(|messages| messages.kind() == crate::json::Kind::Array);
    let messages = messages.ok_or(wrong("`messages` is no array"))?;
    let most = params.get("maxTokens").and_then(|most| most.number().and_then(|most| most.whole()));
    most.filter(|most| *most > 0).ok_or(wrong("`maxTokens` is no positive number"))?;
    let context = match params.get("includeContext") {
        None => false,
        Some(context) => match context.string().as_deref() {
            Some("none") => false,
            Some("thisServer" | "allServers") => true,
            Some(_) | None => return Err(wrong("`includeContext` is not known")),
        },
    };
    if !sampling::results_are_matched(&messages) {
        return Err(wrong("the results of tools in `messages` are not matched with their uses (SA-03)"));
    }
    let tools = ["tools", "toolChoice"].iter().any(|key| params.get(key).is_some());
    Ok(InputKind::Sampling { tools, context })
}

/// Writes questions, each under its key.
pub(crate) fn written(object: Object, requests: &[(Box<str>, InputRequest)]) -> Object {
    requests.iter().fold(object, |object, (key, request)| {
        object.object(key, |one| one.text("method", request.kind.method()).json("params", &request.params))
    })
}

/// The pages that an error of the legacy era asks the client to open (EL-10); none for any other error.
#[must_use]
pub fn asked_by(error: &RpcError) -> Option<Result<Vec<InputRequest>, BadInput>> {
    if error.code != URL_ELICITATION_REQUIRED {
        return None;
    }
    let wrong = |what| BadInput::Required { what };
    let asked = error.data.as_ref().and_then(|data| data.get("elicitations"));
    let Some(asked) = asked.filter(|asked| asked.kind() == crate::json::Kind::Array) else {
        return Some(Err(wrong("`elicitations` is not an array")));
    };
    let asked: Vec<Json> = asked.elements().take(REQUESTS_MAX + 1).collect();
    if asked.is_empty() || asked.len() > REQUESTS_MAX {
        return Some(Err(wrong("there are too many questions, or none")));
    }
    let page = |params| match request(ELICIT, Some(params))? {
        page @ InputRequest { kind: InputKind::Url { .. }, .. } => Ok(page),
        _ => Err(wrong("it asks for something else than to open a page")),
    };
    Some(asked.into_iter().map(page).collect())
}

/// Reads an `input_required` result.
///
/// # Errors
/// [`BadInput`]: one bad question spoils the others, as they are answered together.
pub fn required(result: &Json) -> Result<InputRequired, BadInput> {
    let wrong = |what| BadInput::Required { what };
    let mut requests = Vec::new();
    if let Some(asked) = result.get("inputRequests") {
        if !asked.is_object() {
            return Err(wrong("`inputRequests` is not an object"));
        }
        for (key, request) in asked.members() {
            if requests.len() == REQUESTS_MAX || key.len() > KEY_BYTES_MAX {
                return Err(wrong("there are too many questions, or a key is too long"));
            }
            let method = request.get("method");
            let method = method.as_ref().and_then(Json::string).ok_or(wrong("a question has no `method`"))?;
            requests.push((key.as_ref().into(), self::request(&method, request.get("params"))?));
        }
    }
    let state = match result.get("requestState") {
        None => None,
        Some(state) => {
            let text = state.string().ok_or(wrong("`requestState` is not a string"))?;
            if text.len() > STATE_BYTES_MAX {
                return Err(wrong("`requestState` is too long"));
            }
            Some(text.into())
        }
    };
    if requests.is_empty() && state.is_none() {
        return Err(wrong("neither `inputRequests` nor `requestState` is there"));
    }
    let meta = result.get("_meta");
    if meta.as_ref().is_some_and(|meta| !meta.is_object()) {
        return Err(wrong("`_meta` is not an object"));
    }
    Ok(InputRequired { requests, state, meta })
}

const ELICIT: &str = "elicitation/create";
const SAMPLE: &str = "sampling/createMessage";
const ROOTS: &str = "roots/list";

/// `URLElicitationRequiredError` (MCP 2025-11-25, Elicitation, "URL Elicitation Required Error").
const URL_ELICITATION_REQUIRED: i64 = -32042;
/// Most questions in one result.
pub const REQUESTS_MAX: usize = 16;
/// Longest key of a question, in bytes.
pub const KEY_BYTES_MAX: usize = 256;
/// Longest schema of a form, in bytes.
pub const FORM_BYTES_MAX: usize = 16 * 1024;
/// Longest URL that a user is sent to, in bytes.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// Longest state of a server, in bytes.
pub const STATE_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json::Limits;

    fn json(text: &str) -> Json {
        Json::decode(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).expect("strict JSON")
    }

    fn kind(method: &str, params: &str) -> Result<InputKind, BadInput> {
        request(method, Some(json(params))).map(|request| request.kind)
    }

    #[test]
    fn the_questions_of_a_server_are_read_with_what_decisions_need() {
        let form = r#"{"message":"m","requestedSchema":{"type":"object","properties":{}}}"#;
        assert_eq!(kind(ELICIT, form), Ok(InputKind::Form));
        assert_eq!(kind(ELICIT, &form.replace("{\"message", "{\"mode\":\"form\",\"message")), Ok(InputKind::Form));
        let url = r#"{"mode":"url","message":"m","url":"https://a.example/x","elicitationId":"1"}"#;
        assert_eq!(kind(ELICIT, url), Ok(InputKind::Url { url: "https://a.example/x".into() }));
        let sampling = |rest: &str| kind(SAMPLE, &format!(r#"{{"messages":[],"maxTokens":5{rest}}}"#));
        assert_eq!(sampling(""), Ok(InputKind::Sampling { tools: false, context: false }));
        assert_eq!(sampling(r#","includeContext":"none""#), Ok(InputKind::Sampling { tools: false, context: false }));
        assert_eq!(
            sampling(r#","tools":[],"includeContext":"allServers""#),
            Ok(InputKind::Sampling { tools: true, context: true })
        );
        assert_eq!(sampling(r#","toolChoice":{}"#), Ok(InputKind::Sampling { tools: true, context: false }));
        assert!(matches!(request(ROOTS, None), Ok(InputRequest { kind: InputKind::Roots, .. })));
    }

    #[test]
    fn a_question_of_the_wrong_shape_or_of_no_known_kind_is_refused() {
        assert_eq!(kind("tools/call", "{}").err(), Some(BadInput::Method));
        assert_eq!(
            request(ROOTS, Some(json("[]"))).err(),
            Some(BadInput::Params { what: "`params` is not an object" })
        );
        for (method, params) in [
            (ELICIT, r#"{"requestedSchema":{}}"#),
            (ELICIT, r#"{"message":1,"requestedSchema":{}}"#),
            (ELICIT, r#"{"message":"m","requestedSchema":[]}"#),
            (ELICIT, r#"{"message":"m"}"#),
            (ELICIT, r#"{"message":"m","mode":"window","requestedSchema":{}}"#),
            (ELICIT, r#"{"message":"m","mode":null,"requestedSchema":{}}"#),
            (ELICIT, r#"{"message":"m","mode":"url"}"#),
            (ELICIT, r#"{"message":"m","mode":"url","url":7}"#),
            (SAMPLE, r#"{"maxTokens":5}"#),
            (SAMPLE, r#"{"messages":{},"maxTokens":5}"#),
            (SAMPLE, r#"{"messages":["a"],"maxTokens":5}"#),
            (SAMPLE, r#"{"messages":[]}"#),
            (SAMPLE, r#"{"messages":[],"maxTokens":0}"#),
            (SAMPLE, r#"{"messages":[],"maxTokens":5,"includeContext":"mine"}"#),
        ] {
            assert!(matches!(kind(method, params), Err(BadInput::Params { .. })), "{params}");
        }
    }

    #[test]
    fn a_result_that_requires_input_says_what_or_brings_a_state() {
        let read = |text: &str| required(&json(text));
        let both = read(r#"{"inputRequests":{"r":{"method":"roots/list"}},"requestState":"\u0041 b"}"#).expect("both");
        assert_eq!((&*both.requests[0].0, both.state.as_deref()), ("r", Some("A b")));
        let state = read(r#"{"requestState":""}"#).expect("a state alone");
        assert_eq!((state.requests.len(), state.state.as_deref()), (0, Some("")));
        for bad in [
            "{}",
            r#"{"inputRequests":{}}"#,
            r#"{"inputRequests":[]}"#,
            r#"{"requestState":1}"#,
            r#"{"requestState":"s","_meta":1}"#,
            r#"{"inputRequests":{"r":{}}}"#,
            r#"{"inputRequests":{"r":"roots/list"}}"#,
        ] {
            assert!(matches!(read(bad), Err(BadInput::Required { .. })), "{bad}");
        }
        let other = read(r#"{"inputRequests":{"r":{"method":"roots/list"},"s":{"method":"ping"}}}"#);
        assert_eq!(other.err(), Some(BadInput::Method));
    }

    #[test]
    fn questions_keys_and_states_are_bounded() {
        let asks = |count: usize, key: usize| {
            let one = |n: usize| format!(r#""{n:0key$}":{{"method":"roots/list"}}"#);
            let all: Vec<String> = (0..count).map(one).collect();
            required(&json(&format!(r#"{{"inputRequests":{{{}}}}}"#, all.join(","))))
        };
        assert!(asks(REQUESTS_MAX, KEY_BYTES_MAX).is_ok());
        assert!(asks(REQUESTS_MAX + 1, 3).is_err());
        assert!(asks(1, KEY_BYTES_MAX + 1).is_err());
        let form = |bytes: usize| {
            let schema = format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - r#"{"a":""}"#.len()));
            kind(ELICIT, &format!(r#"{{"message":"m","requestedSchema":{schema}}}"#))
        };
        assert!(form(FORM_BYTES_MAX).is_ok() && form(FORM_BYTES_MAX + 1).is_err());
        let url =
            |bytes: usize| kind(ELICIT, &format!(r#"{{"mode":"url","message":"m","url":"{}"}}"#, "x".repeat(bytes)));
        assert!(url(URL_BYTES_MAX).is_ok() && url(URL_BYTES_MAX + 1).is_err());
        let state = |bytes: usize| required(&json(&format!(r#"{{"requestState":"{}"}}"#, "x".repeat(bytes))));
        assert!(state(STATE_BYTES_MAX).is_ok());
        assert!(state(STATE_BYTES_MAX + 1).is_err());
    }

    #[test]
    fn an_error_that_asks_is_read_like_a_question() {
        let error = |code, data: &str| RpcError { code, message: "m".into(), data: Some(json(data)) };
        let page = r#"{"mode":"url","message":"m","url":"https://a.example/","elicitationId":"1"}"#;
        let good = asked_by(&error(-32042, &format!(r#"{{"elicitations":[{page},{page}]}}"#)));
        assert!(good.is_some_and(|read| read.is_ok_and(|pages| pages.len() == 2)));
        assert!(asked_by(&error(-32602, "{}")).is_none());
        let many = format!(r#"{{"elicitations":[{}]}}"#, vec![page; REQUESTS_MAX + 1].join(","));
        let form = r#"{"elicitations":[{"message":"m","requestedSchema":{}}]}"#;
        for bad in ["{}", r#"{"elicitations":[]}"#, r#"{"elicitations":{}}"#, r#"{"elicitations":[1]}"#, form, &many] {
            assert!(asked_by(&error(-32042, bad)).is_some_and(|read| read.is_err()), "{bad}");
        }
    }

    #[test]
    fn what_can_be_asked_is_what_is_declared() {
        let of = |text: &str| Askable::of(&json(text));
        assert!(of(r#"{"elicitation":null,"sampling":true,"roots":[],"experimental":{}}"#).is_empty());
        let form = Askable { form: true, ..Askable::default() };
        assert_eq!(of(r#"{"elicitation":{}}"#), form);
        assert_eq!(of(r#"{"elicitation":{"form":{}}}"#), form);
        assert_eq!(of(r#"{"elicitation":{"url":{}}}"#), Askable { url: true, ..Askable::default() });
        let all = of(r#"{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{},"context":{}},"roots":{}}"#);
        assert!(all.form && all.url && all.sampling_tools && all.sampling_context && all.roots);
        let tools = InputKind::Sampling { tools: true, context: false };
        assert!(all.covers(&tools) && !of(r#"{"sampling":{}}"#).covers(&tools));
        assert!(!of(r#"{"sampling":{"tools":{}}}"#).covers(&InputKind::Sampling { tools: true, context: true }));
        assert!(of(r#"{"sampling":{}}"#).covers(&InputKind::Sampling { tools: false, context: false }));
        assert!(form.covers(&InputKind::Form) && !form.covers(&InputKind::Url { url: "".into() }));
        assert!(!form.covers(&InputKind::Roots) && all.covers(&InputKind::Roots));
    }

    #[test]
    fn what_is_written_is_read_alike() {
        for bits in 0..128_u8 {
            let bit = |n: u8| bits & (1 << n) != 0;
            let sampling = bit(2);
            let askable = Askable {
                form: bit(0),
                url: bit(1),
                sampling,
                sampling_tools: sampling && bit(3),
                sampling_context: sampling && bit(4),
                roots: bit(5),
                tasks: bit(6),
            };
            assert_eq!(Askable::of(&askable.written()), askable);
        }
        assert_eq!(Askable { form: true, ..Askable::default() }.written().as_str(), r#"{"elicitation":{}}"#);
    }
}
