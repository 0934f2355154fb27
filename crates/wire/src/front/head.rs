//! The headers that mirror a modern message (HT-21 to HT-24).

use http::HeaderMap;

use super::Why;
use crate::headers::{self, NAME, PARAM_PREFIX};
use crate::message::{Call, Mirrored};

/// The one value of `header`, without white space around it; nothing if it is not sent.
pub(super) fn single<'a>(headers: Option<&'a HeaderMap>, header: &'static str) -> Result<Option<&'a str>, Why> {
    let Some(headers) = headers else {
        return Ok(None);
    };
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Why::HeaderRepeated { header });
    }
    text(value).map(Some).ok_or(Why::HeaderMalformed { header })
}

/// Refuses a header that is missing or says anything but `body`, byte for byte.
pub(super) fn must_say(header: &'static str, said: Option<&str>, body: &str) -> Result<(), Why> {
    match said {
        None => Err(Why::HeaderMissing { header }),
        Some(said) if said == body => Ok(()),
        Some(_) => Err(Why::HeaderMismatch { header }),
    }
}

/// Checks `Mcp-Name` where `call` has a name, and collects the `Mcp-Param-*` of a tool call.
pub(super) fn mirrored(headers: &HeaderMap, call: &Call) -> Result<Vec<Mirrored>, Why> {
    if let Some(name) = headers::name(call) {
        let said = match single(Some(headers), NAME)? {
            Some(said) => Some(headers::decode_value(said).ok_or(Why::HeaderMalformed { header: NAME })?),
            None => None,
        };
        must_say(NAME, said.as_deref(), name)?;
    }
    match call {
        Call::CallTool { .. } => params(headers),
        Call::Initialize(_)
        | Call::Discover
        | Call::Ping
        | Call::List { .. }
        | Call::ReadResource { .. }
        | Call::GetPrompt { .. }
        | Call::Complete { .. }
        | Call::SetLogLevel { .. }
        | Call::Listen { .. }
        | Call::Subscribe { .. }
        | Call::Unsubscribe { .. }
        | Call::Task { .. } => Ok(Vec::new()),
    }
}

fn params(headers: &HeaderMap) -> Result<Vec<Mirrored>, Why> {
    let mut mirrored: Vec<Mirrored> = Vec::new();
    for header in headers.keys() {
        let Some(name) = header.as_str().strip_prefix(PARAM_PREFIX) else {
            continue;
        };
        let malformed = Why::HeaderMalformed { header: PARAM_PREFIX };
        let mut values = headers.get_all(header).iter();
        let value = values.next().and_then(text).and_then(headers::decode_value);
        if values.next().is_some() {
            return Err(Why::HeaderRepeated { header: PARAM_PREFIX });
        }
        let Some(value) = value.filter(|_| mirrored.len() < headers::PARAMS_MAX) else {
            return Err(malformed);
        };
        mirrored.push(Mirrored { name: name.into(), value: value.into() });
    }
    Ok(mirrored)
}

// Measured before anything is decoded (HT-31); `to_str` refuses control characters and non-ASCII.
fn text(value: &http::HeaderValue) -> Option<&str> {
    if value.len() > headers::VALUE_BYTES_MAX {
        return None;
    }
    Some(value.to_str().ok()?.trim_matches([' ', '\t']))
}
