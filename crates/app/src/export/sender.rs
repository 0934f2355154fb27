//! The way to the collector: out through `egress` like everything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use secrecy::ExposeSecret as _;
use sekisho_egress::{BadDestination, BodyError, Client, Destination, SendError};
use sekisho_keys::ResolveError;
use url::Url;

use super::Config;
use crate::problem::{Code, chain};

/// Sends to one collector.
pub(crate) struct Sender {
    egress: Arc<Client>,
    traces: Destination,
    metrics: Destination,
    headers: HeaderMap,
    /// Whether the last message did not arrive: said once, and once that one did again.
    down: AtomicBool,
}

/// Why nothing can be sent to a collector. No variant repeats the URL or a header's value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SenderError {
    /// It is no URL.
    #[error("`otlp_endpoint` is no URL")]
    Url(#[source] url::ParseError),
    /// It has more than a path.
    #[error("`otlp_endpoint` must not have a query")]
    Query,
    /// Nothing may be sent there.
    #[error("`otlp_endpoint` is refused")]
    Destination(#[source] BadDestination),
    /// A header that HTTP does not permit, or that is not the operator's to set.
    #[error("header `{0}` cannot be sent")]
    Header(String),
    /// A secret leads nowhere.
    #[error("header `{0}` cannot be resolved")]
    Secret(String, #[source] ResolveError),
}

/// Why a message did not arrive.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the collector was not reached")]
    Send(#[source] SendError),
    #[error("the collector answered {0}")]
    Status(StatusCode),
    #[error("the collector's answer did not come in whole")]
    Body(#[source] BodyError),
    #[error("the collector's answer is no OTLP")]
    Answer(#[source] prost::DecodeError),
}

impl Sender {
    /// None: no endpoint is configured.
    ///
    /// # Errors
    /// The endpoint or a header cannot be used.
    pub(crate) fn new(
        config: &Config,
        egress: &Arc<Client>,
        resolve: impl Fn(&str, &sekisho_keys::SecretRef) -> Result<secrecy::SecretString, ResolveError>,
    ) -> Result<Option<Sender>, SenderError> {
        let mut headers = HeaderMap::new();
        for (name, place) in &config.otlp_headers {
            let unusable = || SenderError::Header(name.clone());
            let key =
                HeaderName::try_from(name).ok().filter(|key| !OURS.contains(&key.as_str())).ok_or_else(unusable)?;
            let secret = resolve(name, place).map_err(|source| SenderError::Secret(name.clone(), source))?;
            let mut value = HeaderValue::try_from(secret.expose_secret()).map_err(|_| unusable())?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
        let url = Url::parse(endpoint).map_err(SenderError::Url)?;
        if url.query().is_some() {
            return Err(SenderError::Query);
        }
        let to = |signal: &str| {
            let mut url = url.clone();
            url.set_path(&format!("{}/v1/{signal}", url.path().trim_end_matches('/')));
            egress.destination(&url).map_err(SenderError::Destination)
        };
        let (traces, metrics) = (to("traces")?, to("metrics")?);
        Ok(Some(Sender { egress: Arc::clone(egress), traces, metrics, headers, down: AtomicBool::new(false) }))
    }

    /// Sends spans. Answers how many of them the collector refused; none if it took no word of it.
    pub(super) async fn traces(&self, request: &ExportTraceServiceRequest) -> Option<usize> {
        let answer = self.noted(self.post(&self.traces, request.encode_to_vec()).await)?;
        let answer = ExportTraceServiceResponse::decode(answer).map_err(Lost::Answer);
        let refused = self.noted(answer)?.partial_success.map_or(0, |partial| partial.rejected_spans);
        Some(usize::try_from(refused).unwrap_or_default())
    }

    /// Sends numbers.
    pub(super) async fn metrics(&self, request: &ExportMetricsServiceRequest) {
        self.noted(self.post(&self.metrics, request.encode_to_vec()).await);
    }

    async fn post(&self, to: &Destination, message: Vec<u8>) -> Result<Bytes, Lost> {
        let deadline = Instant::now().checked_add(ANSWER_WITHIN).unwrap_or_else(Instant::now);
        let mut request = Request::new(Full::from(message));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let answer = self.egress.send(to, request, deadline).await.map_err(Lost::Send)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(Lost::Status(status));
        }
        let body = answer.into_body().bounded(ANSWER_BYTES_MAX, ANSWER_WITHIN);
        body.collect_by(deadline).await.map_err(Lost::Body)
    }

    /// Says it once when the collector is gone, and once when it is back.
    fn noted<T>(&self, result: Result<T, Lost>) -> Option<T> {
        let code = Code::CollectorDown.as_str();
        match &result {
            Err(lost) if !self.down.swap(true, Ordering::Relaxed) => {
                let why = chain(lost);
                tracing::warn!(target: "app", code, "the collector takes no traces and metrics; calls go on: {why}");
            }
            Ok(_) if self.down.swap(false, Ordering::Relaxed) => {
                tracing::info!(target: "app", code, "the collector takes traces and metrics again");
            }
            Err(_) | Ok(_) => {}
        }
        result.ok()
    }
}

/// Headers that are not the operator's to set.
const OURS: [&str; 6] =
    ["content-type", "content-length", "content-encoding", "host", "user-agent", "transfer-encoding"];
const AGENT: &str = concat!("sekisho/", env!("CARGO_PKG_VERSION"));
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sekisho_keys::Purpose;

    use super::*;

    fn sender(text: &str) -> Result<Option<Sender>, SenderError> {
        let config: Config = toml::from_str(text).unwrap();
        let egress = Client::new(&sekisho_egress::Config::default(), Path::new("/")).unwrap();
        sender_with(&config, &Arc::new(egress))
    }

    fn sender_with(config: &Config, egress: &Arc<Client>) -> Result<Option<Sender>, SenderError> {
        let env = |name: &str| (name == "TOKEN").then(|| "s3cret".into());
        Sender::new(config, egress, |name, place| place.resolve(Purpose::Collector { name }, Path::new("/"), &env))
    }

    #[test]
    fn collector_on_loopback_or_by_https_is_accepted() {
        for (endpoint, traces) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("https://otel.example.com/a/", "https://otel.example.com/a/v1/traces"),
        ] {
            let sender = sender(&format!("otlp_endpoint = '{endpoint}'")).unwrap().unwrap();
            assert_eq!(sender.traces.uri().to_string(), traces);
        }
        assert!(sender("").unwrap().is_none());
    }

    #[test]
    fn collector_elsewhere_by_plain_http_or_at_a_private_address_is_refused() {
        for endpoint in
            ["http://otel.example.com", "https://10.0.0.1", "https://169.254.169.254", "https://u:p@a.example"]
        {
            let refused = sender(&format!("otlp_endpoint = '{endpoint}'")).err();
            assert!(matches!(refused, Some(SenderError::Destination(_))), "{endpoint}: {refused:?}");
        }
        assert!(matches!(sender("otlp_endpoint = 'otel'").err(), Some(SenderError::Url(_))));
        assert!(matches!(sender("otlp_endpoint = 'https://a.example/?k=v'").err(), Some(SenderError::Query)));
    }

    #[test]
    fn header_comes_from_a_secret_and_is_not_shown() {
        let text = "otlp_endpoint = 'http://127.0.0.1:1'\notlp_headers = { Api-Key = 'env:TOKEN' }";
        let sender = sender(text).unwrap().unwrap();
        assert_eq!(sender.headers.get("api-key").unwrap(), "s3cret");
        assert!(!format!("{:?}", sender.headers).contains("s3cret"));
        for (bad, is_secret) in
            [("Api-Key = 'env:GONE'", true), ("Host = 'env:TOKEN'", false), ("'a b' = 'env:TOKEN'", false)]
        {
            let refused = self::sender(&format!("otlp_headers = {{ {bad} }}")).err();
            assert_eq!(matches!(refused, Some(SenderError::Secret(..))), is_secret, "{bad}: {refused:?}");
            assert!(refused.is_some(), "{bad}");
        }
    }
}
