//! Which code each room's error has, and what of it the operator reads.

use sekisho_audit::LogDown;
use sekisho_catalog::{Flaw, Unknown, noun};
use sekisho_guard::{Finding, Unmet};
use sekisho_identity::{Binding, Scheme, SessionError, TokenError};
use sekisho_limits::OverLimit;
use sekisho_policy::{Basis, Challenge, ForbidReason, Forbidden, NotAsked};
use sekisho_upstream::SendError;
use sekisho_wire::{ListKind, ServerId, Version, front};

use super::{Code, Refusal, StepUp};

/// A cause with its sources, for the record.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        words.push_str(": ");
        words.push_str(&source.to_string());
        next = source.source();
    }
    words
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Refusal {
        let code = match &error {
            TokenError::Malformed => Code::TokenMalformed,
            TokenError::KeysUnavailable => Code::KeysUnavailable,
            TokenError::ProofsExhausted => Code::ProofsExhausted,
            // Whatever else is wrong with a token, the client hears one thing (RFC 6750 section 3.1).
            TokenError::Missing
            | TokenError::Garbled
            | TokenError::AlgorithmRefused
            | TokenError::WrongType
            | TokenError::KeyInHeader
            | TokenError::CriticalHeader
            | TokenError::UnknownIssuer
            | TokenError::UnknownKey
            | TokenError::BadSignature
            | TokenError::WrongAudience
            | TokenError::Expired
            | TokenError::NotYet
            | TokenError::TooLongLived
            | TokenError::MissingClaim(_)
            | TokenError::WrongTenant
            | TokenError::ClaimRefused
            | TokenError::Entra(_)
            | TokenError::Revoked
            | TokenError::UserRevoked
            | TokenError::RevocationsUnknown
            | TokenError::ConfirmationUnknown
            | TokenError::Unbound
            | TokenError::WrongScheme
            | TokenError::AnotherCertificate
            | TokenError::Proof(_)
            | TokenError::NonceWanted => Code::Unauthenticated,
        };
        // By then there is room again.
        let retry_after_s = (code == Code::ProofsExhausted).then_some(PROOFS_RETRY_S);
        Refusal { retry_after_s, ..Refusal::new(code, chain(&error)) }
    }
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Refusal {
        let code = match error {
            SessionError::Missing => Code::SessionMissing,
            SessionError::Unknown => Code::SessionUnknown,
            SessionError::VersionMismatch => Code::SessionVersion,
            SessionError::TooMany => Code::SessionsExhausted,
        };
        Refusal::new(code, chain(&error))
    }
}

impl From<front::Why> for Refusal {
    fn from(why: front::Why) -> Refusal {
        use front::Why;
        let reason = chain(&why);
        match why {
            Why::Json(error) => Refusal::new(Code::NotJson, reason).with_detail(error.to_string()),
            Why::Batch
            | Why::NotAnObject
            | Why::EnvelopeCase { .. }
            | Why::UnknownMember
            | Why::Version
            | Why::BadId
            | Why::NoMethod
            | Why::ResultAndError
            | Why::BadReply
            | Why::ReplyInModern => Refusal::new(Code::NotRequest, reason.clone()).with_detail(reason),
            Why::MissingMeta { .. } | Why::BadMeta { .. } => {
                Refusal::new(Code::MissingMeta, reason.clone()).with_detail(reason)
            }
            Why::HeaderMissing { .. }
            | Why::HeaderRepeated { .. }
            | Why::HeaderMismatch { .. }
            | Why::HeaderMalformed { .. } => Refusal::new(Code::HeaderMismatch, reason.clone()).with_detail(reason),
            Why::UnsupportedVersion { requested } => {
                // The same as `server/discover` says: what can be asked for in this form.
                Refusal::new(Code::UnsupportedVersion, reason).naming_versions(&[Version::LATEST_MODERN], &requested)
            }
            Why::BadVersionHeader => Refusal::new(Code::VersionHeader, reason),
            Why::UnknownMethod | Why::UnknownNotice => Refusal::new(Code::UnknownMethod, reason),
            Why::BadParams { what } => Refusal::new(Code::BadParams, reason).with_detail(what),
        }
    }
}

impl From<&Unknown> for Refusal {
    fn from(unknown: &Unknown) -> Refusal {
        let code = match unknown {
            Unknown::Server(_) => Code::UnknownServer,
            Unknown::NotSeen { kind, .. } => unknown_of(*kind),
            Unknown::Withheld { server, kind, name, why } => return withheld(unknown, (server, *kind, name), why),
            Unknown::Name(_) => Code::UnknownName,
            Unknown::Uri | Unknown::BadUri => Code::UnknownResource,
            Unknown::Cursor => Code::BadCursor,
            Unknown::NeedsOneServer => Code::NeedsOneServer,
            Unknown::NothingAsked => Code::NothingAsked,
            Unknown::State | Unknown::StateExpired | Unknown::StateUsed => Code::BadState,
            Unknown::Task => Code::UnknownTask,
            Unknown::TasksUndeclared => return Refusal::new(Code::TasksUndeclared, chain(unknown)).requiring_tasks(),
            Unknown::StatesBusy => Code::TooManyAtOnce,
        };
        Refusal::new(code, chain(unknown))
    }
}

/// What is withheld: the operator hears why, and how it can be looked at and approved.
fn withheld(unknown: &Unknown, (server, kind, name): (&ServerId, ListKind, &str), why: &Flaw) -> Refusal {
    let refusal = Refusal::new(Code::Withheld, chain(unknown));
    if why.waits_for_approval() {
        // At the door of all servers its own name stands behind that of the server.
        let name = name.strip_prefix(&format!("{server}__")).unwrap_or(name);
        // What a server calls a thing is nobody's command line.
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./:-".contains(&byte));
        let name = if is_plain { name } else { "<name>" };
        let needed = format!(
            "an approval of the {} as it is now: look at it with `sekisho lock diff {server}`, then `sekisho approve {server}/{name}`",
            noun(kind)
        );
        Refusal { needed: Some(needed.into()), ..refusal }
    } else {
        refusal
    }
}

fn unknown_of(kind: ListKind) -> Code {
    match kind {
        ListKind::Tools | ListKind::Prompts => Code::UnknownName,
        ListKind::Resources | ListKind::Templates => Code::UnknownResource,
    }
}

impl From<OverLimit> for Refusal {
    fn from(over: OverLimit) -> Refusal {
        let reason = chain(&over);
        match over {
            OverLimit::Rate { retry_after_s } => {
                let mut refusal = Refusal::new(Code::RateLimited, reason);
                refusal.retry_after_s = Some(retry_after_s);
                refusal.with_detail(format!("try again in {retry_after_s} s"))
            }
            OverLimit::Concurrency { .. } | OverLimit::Streams { .. } => {
                let mut refusal = Refusal::new(Code::TooManyAtOnce, reason);
                refusal.retry_after_s = Some(1);
                refusal
            }
        }
    }
}

impl From<Forbidden> for Refusal {
    fn from(forbidden: Forbidden) -> Refusal {
        let mut refusal = Refusal::from(forbidden.reason);
        let Basis { policies, .. } = forbidden.basis;
        refusal.policies = policies;
        refusal.needed = Some(forbidden.needed);
        refusal
    }
}

impl From<Challenge> for Refusal {
    fn from(challenge: Challenge) -> Refusal {
        let who = challenge.principal();
        let scheme = if who.bound_by().contains(&Binding::Dpop) { Scheme::Dpop } else { Scheme::Bearer };
        let issuer = who.issuer().into();
        let Challenge { reason, scopes, acr_values, max_age_s, context, basis, needed, methods: _, message: _ } =
            challenge;
        let step = StepUp { scheme, issuer, scopes, acr_values, max_age_s, context };
        // RFC 9470 has one answer for both: whoever logs in anew asks for scopes anew.
        let code = if step.asks_for_login() { Code::StepUpNeeded } else { Code::InsufficientScope };
        let refusal = Refusal::new(code, format!("{reason}, and it would be permitted after a step-up"));
        let refusal = refusal.with_detail(step.words()).telling(step);
        Refusal { policies: basis.policies, needed: Some(needed), ..refusal }
    }
}

impl From<ForbidReason> for Refusal {
    fn from(reason: ForbidReason) -> Refusal {
        let words = format!("{reason}");
        match reason {
            ForbidReason::NoPermit | ForbidReason::Forbidden | ForbidReason::GroupsUnknown => {
                Refusal::new(Code::Forbidden, words)
            }
            ForbidReason::EvaluationFailed => Refusal::new(Code::EvaluationFailed, words),
            ForbidReason::Undecidable(argument) => {
                Refusal::new(Code::Undecidable, words).with_detail(format!("`{argument}`"))
            }
            // What is wrong quotes the server: for the operator alone.
            ForbidReason::ToolUnusable(_) => Refusal::new(Code::ToolUnusable, words),
            ForbidReason::Arguments(findings) => Refusal::new(Code::Arguments, words).with_detail(listed(&findings)),
            ForbidReason::HeaderMismatch(finding) => {
                Refusal::new(Code::HeaderMismatch, words).with_detail(finding.words)
            }
            ForbidReason::Answer(findings) => Refusal::new(Code::AnswerInvalid, listed(&findings)),
            ForbidReason::NotOffered => Refusal::new(Code::NotOffered, words),
            ForbidReason::NotTold => Refusal::new(Code::NotTold, words),
            ForbidReason::Ask(not_asked) => {
                let NotAsked { method, reason, basis, needed } = *not_asked;
                let mut refusal = Refusal::new(Code::AskForbidden, format!("{method}: {reason}"));
                refusal.policies = basis.policies;
                refusal.needed = Some(needed);
                refusal.with_detail(method)
            }
            // What is wrong quotes the server.
            ForbidReason::Question(findings) => Refusal::new(Code::QuestionUnfit, listed(&findings)),
        }
    }
}

/// Findings in words that a model can repair its arguments from (TL-08).
fn listed(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings
        .iter()
        .map(
            |found| {
                if found.at.is_empty() { found.words.to_string() } else { format!("{}: {}", found.at, found.words) }
            },
        )
        .collect();
    lines.join("; ")
}

impl From<LogDown> for Refusal {
    fn from(down: LogDown) -> Refusal {
        let mut refusal = Refusal::new(Code::LogDown, chain(&down));
        refusal.retry_after_s = Some(LOG_RETRY_S);
        refusal
    }
}

impl From<Unmet> for Refusal {
    fn from(unmet: Unmet) -> Refusal {
        Refusal::new(Code::EvaluationFailed, chain(&unmet))
    }
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Refusal {
        let code = match &error {
            SendError::Unreachable(_) | SendError::Ended(_) => Code::UpstreamUnreachable,
            SendError::TimedOut(_) => Code::UpstreamTimeout,
            SendError::Garbled(_) => Code::UpstreamGarbled,
            SendError::WrongEra(_) => Code::WrongEra,
            SendError::Busy(_) => Code::UpstreamBusy,
            SendError::Denied(_) => Code::UpstreamDenied,
        };
        Refusal::new(code, chain(&error))
    }
}

const LOG_RETRY_S: u32 = 2;

/// After so many seconds proofs of possession may be taken again.
const PROOFS_RETRY_S: u32 = 30;
