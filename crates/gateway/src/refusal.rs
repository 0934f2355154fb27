//! The one map from inner errors to what a client sees: a stable code, an HTTP status of its era, a JSON-RPC code, and words
//! that are ours. No inner text crosses it; the operator's side of a refusal goes into the record (`sekisho why`).

mod causes;

use std::sync::Arc;

use http::StatusCode;
use sekisho_identity::Scheme;
use sekisho_wire::json::{Array, Object};
use sekisho_wire::task::EXTENSION;
use sekisho_wire::{Era, Json, Version};

/// What a client sees instead of a result, and what the operator can read about it.
#[derive(Debug)]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// Words for the operator's record: which rule, which inputs.
    pub reason: Box<str>,
    /// Policies that decided.
    pub policies: Arc<[Box<str>]>,
    /// What would have permitted it, for the operator.
    pub needed: Option<Box<str>>,
    /// Words for the client beyond the code's own; safe to show.
    pub detail: Option<Box<str>>,
    /// Seconds after which another try makes sense.
    pub retry_after_s: Option<u32>,
    /// A member for the error's `data` that the specification asks for.
    pub data: Vec<(&'static str, Json)>,
    /// What would help a caller whose token is good, for the header of a response that has one.
    pub step_up: Option<Box<StepUp>>,
}

/// What a caller is told to do.
#[derive(Debug, PartialEq, Eq)]
pub struct StepUp {
    /// How its token is presented.
    pub scheme: Scheme,
    /// Who issued its token.
    pub issuer: Box<str>,
    /// Scopes to ask for, those that are granted among them. Empty: none are lacking.
    pub scopes: Vec<Box<str>>,
    /// Classes of a login (`acr`), the preferred one first.
    pub acr_values: Vec<Box<str>>,
    /// How old a login may be, in seconds.
    pub max_age_s: Option<u32>,
    /// An authentication context of Entra ID.
    pub context: Option<Box<str>>,
}

impl StepUp {
    /// Whether a new login is called for, and not only another token.
    #[must_use]
    pub fn asks_for_login(&self) -> bool {
        !self.acr_values.is_empty() || self.max_age_s.is_some() || self.context.is_some()
    }

    /// The same in words for people and models.
    fn words(&self) -> String {
        let mut words = Vec::new();
        if !self.scopes.is_empty() {
            words.push(format!("ask for the scopes `{}`", self.scopes.join(" ")));
        }
        if !self.acr_values.is_empty() {
            words.push(format!("log in with acr `{}`", self.acr_values.join("` or `")));
        }
        if let Some(seconds) = self.max_age_s {
            words.push(format!("the login may be {seconds} s old"));
        }
        if let Some(context) = &self.context {
            words.push(format!("satisfy the authentication context `{context}`"));
        }
        words.join("; ")
    }

    /// The same for `data`: clients over stdio have no headers.
    pub(crate) fn to_json(&self) -> Json {
        let mut challenge = Object::new();
        if !self.scopes.is_empty() {
            challenge = challenge.text("scope", &self.scopes.join(" "));
        }
        if !self.acr_values.is_empty() {
            challenge = challenge.text("acr_values", &self.acr_values.join(" "));
        }
        if let Some(seconds) = self.max_age_s {
            challenge = challenge.integer("max_age", i64::from(seconds));
        }
        if let Some(context) = &self.context {
            challenge = challenge.text("acrs", context);
        }
        challenge.finish()
    }
}

/// Stable codes of refusals. A code never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "`Code::row` documents each in words that users see")]
pub enum Code {
    Host,
    Origin,
    Unauthenticated,
    TokenMalformed,
    KeysUnavailable,
    ProofsExhausted,
    LogoutRefused,
    RevocationNotKept,
    SessionMissing,
    SessionUnknown,
    SessionVersion,
    SessionsExhausted,
    NoSuchPath,
    VerbNotAllowed,
    ContentType,
    NotAcceptable,
    BodyTooLarge,
    BodyTooSlow,
    NotJson,
    NotRequest,
    HeaderMismatch,
    VersionHeader,
    UnsupportedVersion,
    MissingMeta,
    UnknownMethod,
    BadParams,
    WrongEra,
    UnknownServer,
    UnknownName,
    UnknownResource,
    BadCursor,
    NeedsOneServer,
    NothingAsked,
    BadState,
    StreamGone,
    UnknownTask,
    TasksUndeclared,
    Withheld,
    RateLimited,
    TooManyAtOnce,
    Forbidden,
    EvaluationFailed,
    Undecidable,
    ToolUnusable,
    Arguments,
    InsufficientScope,
    StepUpNeeded,
    AnswerInvalid,
    NotOffered,
    AskForbidden,
    QuestionUnfit,
    LogDown,
    OutcomeUnrecorded,
    UpstreamUnreachable,
    UpstreamTimeout,
    UpstreamGarbled,
    UpstreamBusy,
    UpstreamDenied,
    Cancelled,
    CredentialEnded,
    ShuttingDown,
    NotTold,
    ListenAgain,
}

/// What stands behind a code: (code, HTTP status legacy, HTTP status modern, JSON-RPC code, words).
type Row = (&'static str, u16, u16, i64, &'static str);

impl Code {
    /// Every code.
    pub const ALL: [Code; 63] = [
        Code::Host,
        Code::Origin,
        Code::Unauthenticated,
        Code::TokenMalformed,
        Code::KeysUnavailable,
        Code::ProofsExhausted,
        Code::LogoutRefused,
        Code::RevocationNotKept,
        Code::SessionMissing,
        Code::SessionUnknown,
        Code::SessionVersion,
        Code::SessionsExhausted,
        Code::NoSuchPath,
        Code::VerbNotAllowed,
        Code::ContentType,
        Code::NotAcceptable,
        Code::BodyTooLarge,
        Code::BodyTooSlow,
        Code::NotJson,
        Code::NotRequest,
        Code::HeaderMismatch,
        Code::VersionHeader,
        Code::UnsupportedVersion,
        Code::MissingMeta,
        Code::UnknownMethod,
        Code::BadParams,
        Code::WrongEra,
        Code::UnknownServer,
        Code::UnknownName,
        Code::UnknownResource,
        Code::BadCursor,
        Code::NeedsOneServer,
        Code::NothingAsked,
        Code::BadState,
        Code::StreamGone,
        Code::UnknownTask,
        Code::TasksUndeclared,
        Code::Withheld,
        Code::RateLimited,
        Code::TooManyAtOnce,
        Code::Forbidden,
        Code::EvaluationFailed,
        Code::Undecidable,
        Code::ToolUnusable,
        Code::Arguments,
        Code::InsufficientScope,
        Code::StepUpNeeded,
        Code::AnswerInvalid,
        Code::NotOffered,
        Code::AskForbidden,
        Code::QuestionUnfit,
        Code::LogDown,
        Code::OutcomeUnrecorded,
        Code::UpstreamUnreachable,
        Code::UpstreamTimeout,
        Code::UpstreamGarbled,
        Code::UpstreamBusy,
        Code::UpstreamDenied,
        Code::Cancelled,
        Code::CredentialEnded,
        Code::ShuttingDown,
        Code::NotTold,
        Code::ListenAgain,
    ];

    /// JSON-RPC codes of our own lie outside -32768 … -32000 (BP-07).
    #[rustfmt::skip]
    fn row(self) -> Row {
        match self {
            Code::Host => ("SK1001", 403, 403, -31001, "this host is not served here"),
            Code::Origin => ("SK1002", 403, 403, -31001, "this origin may not call"),
            Code::Unauthenticated => ("SK1101", 401, 401, -31002, "a valid access token for this endpoint is needed"),
            Code::TokenMalformed => ("SK1102", 400, 400, -31002, "the Authorization header is malformed"),
            Code::KeysUnavailable => ("SK1103", 503, 503, -31003, "tokens cannot be verified at the moment"),
            Code::ProofsExhausted => ("SK1104", 503, 503, -31003, "too many proofs of possession came in a short time"),
            Code::LogoutRefused => ("SK1105", 400, 400, -31002, "this is no logout token for this gateway"),
            Code::RevocationNotKept => ("SK1106", 503, 503, -31003, "the revocation could not be kept"),
            Code::SessionMissing => ("SK1201", 400, 400, -31004, "the request names no session; send initialize first"),
            Code::SessionUnknown => ("SK1202", 404, 404, -31004, "the session is not known; send initialize again"),
            Code::SessionVersion => ("SK1203", 400, 400, -31004, "the version header differs from the session's version"),
            Code::SessionsExhausted => ("SK1204", 429, 429, -31005, "too many sessions are open; end one first"),
            Code::NoSuchPath => ("SK1301", 404, 404, -31006, "there is nothing at this path"),
            Code::VerbNotAllowed => ("SK1302", 405, 405, -31006, "this HTTP method is not offered here"),
            Code::ContentType => ("SK1303", 415, 415, -31006, "the body must be application/json without an encoding"),
            Code::NotAcceptable => ("SK1304", 406, 406, -31006, "Accept must list application/json and text/event-stream"),
            Code::BodyTooLarge => ("SK1305", 413, 413, -31006, "the body is too large"),
            Code::BodyTooSlow => ("SK1306", 408, 408, -31006, "the body did not arrive in time"),
            Code::NotJson => ("SK1401", 400, 400, -32700, "the body is not strict JSON"),
            Code::NotRequest => ("SK1402", 400, 400, -32600, "the body is not one JSON-RPC message"),
            Code::HeaderMismatch => ("SK1403", 400, 400, -32020, "a header is missing, malformed or differs from the body"),
            Code::VersionHeader => ("SK1404", 400, 400, -32600, "MCP-Protocol-Version names no supported version"),
            Code::UnsupportedVersion => ("SK1405", 400, 400, -32022, "the protocol version is not supported"),
            Code::MissingMeta => ("SK1406", 400, 400, -32602, "_meta lacks a member that this revision requires, or it has the wrong shape"),
            Code::UnknownMethod => ("SK1407", 200, 404, -32601, "the method is not known here"),
            Code::BadParams => ("SK1408", 200, 400, -32602, "the parameters are wrong"),
            Code::WrongEra => ("SK1409", 400, 400, -31007, "the server behind this endpoint does not speak this revision of the protocol"),
            Code::UnknownServer => ("SK1501", 404, 404, -31006, "no server is offered at this path"),
            Code::UnknownName => ("SK1502", 200, 200, -32602, "nothing of that name is offered"),
            Code::UnknownResource => ("SK1503", 200, 200, -32002, "no such resource is offered"),
            Code::BadCursor => ("SK1504", 200, 200, -32602, "the cursor is not valid for this list"),
            Code::NeedsOneServer => ("SK1505", 200, 404, -32601, "the method is offered at the endpoint of one server only"),
            Code::NothingAsked => ("SK1506", 400, 400, -32600, "no server asked that, or it was answered already"),
            Code::BadState => ("SK1507", 200, 400, -32602, "the request state is not valid for this call, has expired, or was used before; send the call again without it"),
            Code::StreamGone => ("SK1508", 400, 400, -32600, "the stream cannot be taken up again: its time is over, or it is not this session's; if it was a call's, the call may have been done, do not just repeat it"),
            Code::UnknownTask => ("SK1509", 200, 200, -32602, "no task of this name was begun here, or it is too long ago"),
            Code::TasksUndeclared => ("SK1510", 400, 400, -32021, "the request does not declare the extension io.modelcontextprotocol/tasks"),
            Code::Withheld => ("SK1511", 200, 200, -31010, "what the server offers under this name is withheld: its definition is not the one that was approved, or nobody has approved it yet"),
            Code::RateLimited => ("SK1601", 429, 429, -31008, "too many requests"),
            Code::TooManyAtOnce => ("SK1602", 429, 429, -31008, "too many requests at once"),
            Code::Forbidden => ("SK1701", 200, 200, -31009, "the policy does not permit this"),
            Code::EvaluationFailed => ("SK1702", 200, 200, -31009, "the policy could not be evaluated, so nothing is permitted"),
            Code::Undecidable => ("SK1703", 200, 200, -32602, "an argument that the policy reads is not in a form it can be decided by"),
            Code::ToolUnusable => ("SK1704", 200, 200, -31010, "the definition of this tool cannot be checked, so it is withheld"),
            Code::Arguments => ("SK1705", 200, 200, -32602, "the arguments do not fit"),
            Code::InsufficientScope => ("SK1706", 403, 403, -31016, "the access token lacks a scope that this needs"),
            Code::StepUpNeeded => ("SK1707", 401, 401, -31016, "this needs a stronger or newer login than the access token's"),
            Code::AnswerInvalid => ("SK1801", 200, 200, -31011, "the server's answer broke its own promise and is withheld"),
            Code::NotOffered => ("SK1802", 200, 200, -31011, "the server asked for something that is not offered to it"),
            Code::AskForbidden => ("SK1803", 200, 200, -31009, "the policy does not permit what the server asks the client for"),
            Code::QuestionUnfit => ("SK1804", 200, 200, -31011, "the server asked for a secret by a form, or sends the user to a page that is not safe to open"),
            Code::LogDown => ("SK1901", 503, 503, -31012, "the audit log cannot be written, so nothing is done"),
            Code::OutcomeUnrecorded => ("SK1902", 200, 200, -31012, "the request may have been done, but its outcome could not be recorded, so the answer is withheld; do not just repeat it"),
            Code::UpstreamUnreachable => ("SK2001", 200, 200, -31013, "the server cannot be reached at the moment"),
            Code::UpstreamTimeout => ("SK2002", 200, 200, -31013, "the server did not answer in time"),
            Code::UpstreamGarbled => ("SK2003", 200, 200, -31013, "the server did not answer in the protocol's form"),
            Code::UpstreamBusy => ("SK2004", 200, 200, -31013, "too many connections to the server are open"),
            Code::UpstreamDenied => ("SK2005", 200, 200, -31013, "the server refused the gateway's own credential"),
            Code::Cancelled => ("SK2101", 200, 200, -31014, "the request was cancelled"),
            Code::CredentialEnded => ("SK2102", 200, 200, -31002, "the access token expired while the request was under way; it may have been done, do not just repeat it"),
            Code::ShuttingDown => ("SK2201", 503, 503, -31015, "the gateway is shutting down"),
            Code::NotTold => ("SK1805", 200, 200, -31009, "the caller may not hear of it"),
            Code::ListenAgain => ("SK2202", 200, 200, -31015, "what may be heard has to be decided again; listen again"),
        }
    }

    /// The code as users see it, such as `SK1701`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status for a client of `era`.
    #[must_use]
    pub fn status(self, era: Era) -> StatusCode {
        let (_, legacy, modern, _, _) = self.row();
        let number = match era {
            Era::Legacy => legacy,
            Era::Modern => modern,
        };
        StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The JSON-RPC code. A missing resource has one in each era (RE-02).
    #[must_use]
    pub fn rpc(self, era: Era) -> i64 {
        match (self, era) {
            (Code::UnknownResource, Era::Modern) => -32602,
            _ => self.row().3,
        }
    }

    /// Its place in [`Code::ALL`].
    pub(crate) fn place(self) -> usize {
        Code::ALL.iter().position(|code| *code == self).unwrap_or(usize::MAX)
    }

    /// Whether it says what was decided.
    pub(crate) fn is_decision(self) -> bool {
        matches!(
            self,
            Code::Forbidden
                | Code::EvaluationFailed
                | Code::Undecidable
                | Code::ToolUnusable
                | Code::Arguments
                | Code::InsufficientScope
                | Code::StepUpNeeded
                | Code::AskForbidden
                | Code::NotTold
        )
    }

    /// Whether it tells a caller with a good token what to do.
    pub(crate) fn is_challenge(self) -> bool {
        matches!(self, Code::InsufficientScope | Code::StepUpNeeded)
    }

    /// Whether it says how an attempt ended that was permitted.
    pub(crate) fn is_after_the_attempt(self) -> bool {
        matches!(
            self,
            Code::UpstreamUnreachable
                | Code::UpstreamTimeout
                | Code::UpstreamGarbled
                | Code::UpstreamBusy
                | Code::UpstreamDenied
                | Code::AnswerInvalid
                | Code::NotOffered
                | Code::QuestionUnfit
                | Code::OutcomeUnrecorded
                | Code::CredentialEnded
                | Code::Cancelled
                | Code::ListenAgain
        )
    }

    /// The words for the client.
    #[must_use]
    pub fn words(self) -> &'static str {
        self.row().4
    }
}

impl Refusal {
    /// The same, naming the capability that is required (BP-15).
    fn requiring_tasks(mut self) -> Refusal {
        let extensions = Object::new().json(EXTENSION, &Json::empty_object()).finish();
        let required = Object::new().json("extensions", &extensions).finish();
        self.data.push(("requiredCapabilities", required));
        self
    }

    /// A refusal with the operator's words.
    #[must_use]
    pub fn new(code: Code, reason: impl Into<Box<str>>) -> Refusal {
        Refusal {
            code,
            reason: reason.into(),
            policies: Arc::default(),
            needed: None,
            detail: None,
            retry_after_s: None,
            data: Vec::new(),
            step_up: None,
        }
    }

    /// The whole sentence for the client.
    #[must_use]
    pub fn message(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{}: {detail} [{}]", self.code.words(), self.code.as_str()),
            None => format!("{} [{}]", self.code.words(), self.code.as_str()),
        }
    }

    /// The same, of a request that is past recall: a log that is down then means something else.
    #[must_use]
    pub(crate) fn after_the_effect(mut self) -> Refusal {
        if self.code == Code::LogDown {
            self.code = Code::OutcomeUnrecorded;
            self.retry_after_s = None;
        }
        self
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<Box<str>>) -> Refusal {
        self.detail = Some(detail.into());
        self
    }

    /// Names the revisions that are spoken instead (BP-18, BP-20, BP-23).
    pub(crate) fn naming_versions(mut self, supported: &[Version], requested: &str) -> Refusal {
        let mut list = Array::new();
        supported.iter().for_each(|version| list.push(&Json::text(version.as_str())));
        self.data.push(("supported", list.finish()));
        self.data.push(("requested", Json::text(requested)));
        self
    }

    /// The same, telling what would help.
    pub(crate) fn telling(mut self, step: StepUp) -> Refusal {
        self.data.push(("challenge", step.to_json()));
        self.step_up = Some(Box::new(step));
        self
    }

    /// `data` of the error: code and request id always, so that `sekisho why` can be asked.
    pub(crate) fn data(&self, request: &str) -> Json {
        let mut data = Object::new();
        for (key, value) in &self.data {
            data = data.json(key, value);
        }
        data.text("code", self.code.as_str()).text("requestId", request).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the protocol defines, and may therefore be said by us too (JSON-RPC 2.0 section 5.1; BP-07; RE-02).
    const DEFINED: [i64; 8] = [-32700, -32600, -32601, -32602, -32020, -32021, -32022, -32002];

    #[test]
    fn own_codes_lie_outside_the_reserved_range() {
        for code in Code::ALL {
            for era in [Era::Legacy, Era::Modern] {
                let number = code.rpc(era);
                let reserved = (-32768..=-32000).contains(&number);
                assert!(!reserved || DEFINED.contains(&number), "{} has {number}", code.as_str());
            }
            assert_ne!(code.rpc(Era::Modern), -32002, "the modern era has another code for a missing resource");
        }
    }

    #[test]
    fn a_challenge_stands_in_data_for_clients_that_see_no_headers() {
        let words = |words: &[&str]| words.iter().map(|word| Box::from(*word)).collect::<Vec<Box<str>>>();
        let step = StepUp {
            scheme: Scheme::Bearer,
            issuer: "https://issuer.example".into(),
            scopes: words(&["notes:read", "notes:write"]),
            acr_values: words(&["urn:a", "urn:b"]),
            max_age_s: Some(900),
            context: Some("c1".into()),
        };
        assert!(step.asks_for_login());
        let refusal = Refusal::new(Code::StepUpNeeded, "inner").telling(step);
        let data = r#"{"challenge":{"scope":"notes:read notes:write","acr_values":"urn:a urn:b","max_age":900,"acrs":"c1"},"code":"SK1707","requestId":"r"}"#;
        assert_eq!(refusal.data("r").as_str(), data);
        assert!(!refusal.message().contains("inner"));
    }

    #[test]
    fn a_challenge_is_a_decision_with_its_status_in_both_eras() {
        for (code, status) in [(Code::InsufficientScope, 403), (Code::StepUpNeeded, 401)] {
            assert!(code.is_challenge() && code.is_decision() && !code.is_after_the_attempt());
            assert_eq!([Era::Legacy, Era::Modern].map(|era| code.status(era).as_u16()), [status; 2]);
        }
        assert!(!Code::Forbidden.is_challenge() && !Code::Unauthenticated.is_challenge());
    }

    #[test]
    fn every_variant_is_listed() {
        let source = include_str!("refusal.rs");
        let variants = source.split("pub enum Code {\n").nth(1).unwrap().split('}').next().unwrap();
        let variants: Vec<&str> = variants.lines().map(|line| line.trim().trim_end_matches(',')).collect();
        let listed: Vec<String> = Code::ALL.iter().map(|code| format!("{code:?}")).collect();
        assert_eq!(variants.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>(), listed);
    }

    #[test]
    fn every_code_is_named_once_and_has_an_http_status() {
        let mut names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            for era in [Era::Legacy, Era::Modern] {
                assert!(code.status(era).as_u16() < 504 && code.status(era) != StatusCode::INTERNAL_SERVER_ERROR);
            }
        }
    }
}
