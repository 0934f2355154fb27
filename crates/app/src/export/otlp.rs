//! Spans and numbers as messages of OTLP 1.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Written, Status, span, status};
use sekisho_gateway::{Distribution, Family, Kind, Parent, Point, Points, Span, Unit, Value};

/// Who sends.
pub(super) fn resource(service: &str) -> Resource {
    let said = [("service.name", service), ("service.version", env!("CARGO_PKG_VERSION"))];
    let mut attributes: Vec<KeyValue> = said.into_iter().map(|(key, value)| key_value(key, text(value))).collect();
    attributes.push(key_value("process.pid", any_value::Value::IntValue(i64::from(std::process::id()))));
    Resource { attributes, ..Resource::default() }
}

/// Spans of ours.
pub(super) fn traces(spans: Vec<Span>, resource: &Resource) -> ExportTraceServiceRequest {
    let scope_spans =
        ScopeSpans { scope: Some(scope()), spans: spans.into_iter().map(written).collect(), ..ScopeSpans::default() };
    let spans =
        ResourceSpans { resource: Some(resource.clone()), scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![spans] }
}

/// Every number, counted since `began`.
pub(super) fn metrics(
    families: &[Family],
    began: SystemTime,
    now: SystemTime,
    resource: &Resource,
) -> ExportMetricsServiceRequest {
    let span = (nanoseconds(began), nanoseconds(now));
    let scope_metrics = ScopeMetrics {
        scope: Some(scope()),
        metrics: families.iter().map(|family| metric(family, span)).collect(),
        ..ScopeMetrics::default()
    };
    let metrics = ResourceMetrics {
        resource: Some(resource.clone()),
        scope_metrics: vec![scope_metrics],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![metrics] }
}

fn written(from: Span) -> Written {
    let (parent, remote) = match from.parent {
        None => (Vec::new(), 0),
        Some(Parent::Here(id)) => (id.to_vec(), 0),
        Some(Parent::Remote(id)) => (id.to_vec(), IS_REMOTE),
    };
    Written {
        trace_id: from.trace.id.to_vec(),
        span_id: from.trace.span.to_vec(),
        trace_state: from.state,
        parent_span_id: parent,
        flags: SAMPLED | HAS_IS_REMOTE | remote,
        name: from.name,
        kind: i32::from(match from.kind {
            Kind::Server => span::SpanKind::Server,
            Kind::Client => span::SpanKind::Client,
        }),
        start_time_unix_nano: nanoseconds(from.began),
        end_time_unix_nano: nanoseconds(from.ended),
        attributes: from.attributes.into_iter().map(attribute).collect(),
        events: from
            .moments
            .into_iter()
            .map(|moment| span::Event {
                time_unix_nano: nanoseconds(moment.at),
                name: moment.name.to_owned(),
                attributes: moment.attributes.into_iter().map(attribute).collect(),
                ..span::Event::default()
            })
            .collect(),
        links: from
            .link
            .into_iter()
            .map(|link| span::Link {
                trace_id: link.id.to_vec(),
                span_id: link.span.to_vec(),
                flags: u32::from(link.sampled) | HAS_IS_REMOTE | IS_REMOTE,
                ..span::Link::default()
            })
            .collect(),
        // Without an error it stays unset: "ok" is for whoever knows better than the instrumentation.
        status: from.error.map(|message| Status { message, code: i32::from(status::StatusCode::Error) }),
        ..Written::default()
    }
}

fn metric(family: &Family, span: (u64, u64)) -> Metric {
    let cumulative = i32::from(AggregationTemporality::Cumulative);
    let data = match &family.points {
        Points::Counter(points) => metric::Data::Sum(Sum {
            data_points: points.iter().map(|point| number(point, span)).collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        Points::Gauge(points) => {
            metric::Data::Gauge(Gauge { data_points: points.iter().map(|point| number(point, span)).collect() })
        }
        Points::Histogram(points) => metric::Data::Histogram(Histogram {
            data_points: points.iter().map(|point| distribution(point, span)).collect(),
            aggregation_temporality: cumulative,
        }),
    };
    let unit = match family.unit {
        Unit::Seconds => "s",
        Unit::Of(what) => what,
    };
    Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(point: &Point<u64>, (began, now): (u64, u64)) -> NumberDataPoint {
    NumberDataPoint {
        attributes: labels(point),
        start_time_unix_nano: began,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsInt(i64::try_from(point.value).unwrap_or(i64::MAX))),
        ..NumberDataPoint::default()
    }
}

fn distribution(point: &Point<Distribution>, (began, now): (u64, u64)) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: labels(point),
        start_time_unix_nano: began,
        time_unix_nano: now,
        count: point.value.count(),
        sum: Some(point.value.sum.as_secs_f64()),
        bucket_counts: point.value.counts.clone(),
        explicit_bounds: point.value.bounds.iter().map(Duration::as_secs_f64).collect(),
        ..HistogramDataPoint::default()
    }
}

fn labels<T>(point: &Point<T>) -> Vec<KeyValue> {
    point.labels.iter().map(|(key, value)| key_value(key, text(value))).collect()
}

fn attribute((key, value): (&'static str, Value)) -> KeyValue {
    let value = match value {
        Value::Text(words) => any_value::Value::StringValue(words),
        Value::Number(number) => any_value::Value::IntValue(number),
        Value::Time(time) => any_value::Value::DoubleValue(time.as_secs_f64()),
    };
    key_value(key, value)
}

fn key_value(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(words: &str) -> any_value::Value {
    any_value::Value::StringValue(words.to_owned())
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "sekisho".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// OTLP, `SpanFlags`.
const SAMPLED: u32 = 1;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

#[cfg(test)]
mod tests {
    use super::*;
    use sekisho_wire::Trace;

    #[test]
    fn a_span_keeps_its_ids_parent_link_and_error() {
        let trace = Trace { id: [1; 16], span: [2; 8], sampled: true };
        let span = Span {
            trace,
            parent: Some(Parent::Remote([3; 8])),
            state: "a=1".to_owned(),
            name: "tools/call add".to_owned(),
            kind: Kind::Server,
            began: UNIX_EPOCH + Duration::from_secs(1),
            ended: UNIX_EPOCH + Duration::from_secs(2),
            attributes: vec![("a", Value::Number(7)), ("b", Value::Time(Duration::from_millis(500)))],
            moments: Vec::new(),
            link: Some(Trace { id: [4; 16], span: [5; 8], sampled: false }),
            error: Some("no".to_owned()),
        };
        let written = written(span.clone());
        assert_eq!((written.trace_id, written.span_id, written.parent_span_id), (vec![1; 16], vec![2; 8], vec![3; 8]));
        assert_eq!((written.kind, written.flags, &*written.trace_state), (2, 0x301, "a=1"));
        assert_eq!((written.start_time_unix_nano, written.end_time_unix_nano), (1_000_000_000, 2_000_000_000));
        assert_eq!(written.links.first().map(|link| (link.span_id.clone(), link.flags)), Some((vec![5; 8], 0x300)));
        assert_eq!(written.status.map(|status| status.code), Some(2));
        let local = self::written(Span { parent: Some(Parent::Here([3; 8])), error: None, ..span });
        assert_eq!((local.flags, local.status), (0x101, None));
    }

    #[test]
    fn a_distribution_is_cumulative_in_time_and_not_in_its_buckets() {
        const BOUNDS: [Duration; 1] = [Duration::from_millis(250)];
        let value = Distribution { bounds: &BOUNDS, counts: vec![2, 1], sum: Duration::from_secs(3) };
        let family = Family {
            name: "x",
            help: "",
            unit: Unit::Seconds,
            points: Points::Histogram(vec![Point { labels: vec![("k", "v".into())], value }]),
        };
        let now = UNIX_EPOCH + Duration::from_secs(9);
        let request = metrics(&[family], UNIX_EPOCH, now, &resource("sekisho"));
        let metric = &request.resource_metrics[0].scope_metrics[0].metrics[0];
        let Some(metric::Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
        let point = &histogram.data_points[0];
        assert_eq!((&*metric.unit, histogram.aggregation_temporality), ("s", 2));
        assert_eq!((&point.bucket_counts, &point.explicit_bounds), (&vec![2, 1], &vec![0.25]));
        assert_eq!((point.count, point.sum, point.time_unix_nano), (3, Some(3.0), 9_000_000_000));
    }
}
