//! Numbers in the text form of OpenMetrics 1.0.

use std::fmt;

use http::HeaderMap;
use http::header::ACCEPT;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit as Written};
use sekisho_gateway::{Distribution, Family, Point, Points, Unit};

/// What it is.
pub(crate) const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the client takes it: it is the only form there is.
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    let takes = |range: &str| {
        let media = range.split(';').next().unwrap_or_default().trim();
        ["application/openmetrics-text", "application/*", "*/*"].iter().any(|known| media.eq_ignore_ascii_case(known))
    };
    said.peek().is_none() || said.flat_map(|value| value.split(',')).any(takes)
}

/// The text.
pub(crate) fn written(families: Vec<Family>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(families)));
    let mut written = String::new();
    match text::encode(&mut written, &registry) {
        Ok(()) => written,
        // Writing into a String cannot fail; a text without its end is refused by whoever reads it.
        Err(fmt::Error) => String::new(),
    }
}

/// What one scrape sees.
#[derive(Debug)]
struct Scrape(Vec<Family>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        self.0.iter().try_for_each(|family| encode(family, &mut encoder))
    }
}

fn encode(family: &Family, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let name = underscored(family.name);
    let unit = match family.unit {
        Unit::Seconds => Some(Written::Seconds),
        Unit::Of(_) => None,
    };
    let kind = match family.points {
        Points::Counter(_) => MetricType::Counter,
        Points::Gauge(_) => MetricType::Gauge,
        Points::Histogram(_) => MetricType::Histogram,
    };
    let mut metric = encoder.encode_descriptor(&name, family.help, unit.as_ref(), kind)?;
    match &family.points {
        Points::Counter(points) => {
            each(points, &mut metric, |value, encoder| encoder.encode_counter::<NoLabelSet, _, f64>(value, None))
        }
        Points::Gauge(points) => {
            each(points, &mut metric, |value, encoder| encoder.encode_gauge(&i64::try_from(*value).unwrap_or(i64::MAX)))
        }
        Points::Histogram(points) => each(points, &mut metric, distribution),
    }
}

fn each<T>(
    points: &[Point<T>],
    metric: &mut MetricEncoder,
    write: impl Fn(&T, &mut MetricEncoder) -> fmt::Result,
) -> fmt::Result {
    for point in points {
        let labels: Vec<(String, &str)> =
            point.labels.iter().map(|(key, value)| (underscored(key), &**value)).collect();
        if labels.is_empty() {
            write(&point.value, metric)?;
        } else {
            write(&point.value, &mut metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn distribution(value: &Distribution, encoder: &mut MetricEncoder) -> fmt::Result {
    let bounds = value.bounds.iter().map(|bound| bound.as_secs_f64()).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(value.counts.iter().copied()).collect();
    encoder.encode_histogram::<NoLabelSet>(value.sum.as_secs_f64(), value.count(), &buckets, None)
}

/// Prometheus has no dots in names.
fn underscored(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BOUNDS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(500)];

    #[test]
    fn numbers_are_written_as_openmetrics_has_them() {
        let value = Distribution { bounds: &BOUNDS, counts: vec![1, 2, 3], sum: Duration::from_millis(1500) };
        let labels: Vec<(&'static str, Box<str>)> = vec![("error.type", "a\"b\\c\n".into())];
        let text = written(vec![
            Family {
                name: "mcp.server.operation.duration",
                help: "Calls",
                unit: Unit::Seconds,
                points: Points::Histogram(vec![Point { labels: labels.clone(), value }]),
            },
            Family {
                name: "sekisho.calls",
                help: "Calls",
                unit: Unit::Of("{call}"),
                points: Points::Counter(vec![Point { labels: Vec::new(), value: 7 }]),
            },
        ]);
        for line in [
            "# TYPE mcp_server_operation_duration_seconds histogram",
            "# UNIT mcp_server_operation_duration_seconds seconds",
            r#"mcp_server_operation_duration_seconds_bucket{le="0.001",error_type="a\"b\\c\n"} 1"#,
            r#"mcp_server_operation_duration_seconds_bucket{le="+Inf",error_type="a\"b\\c\n"} 6"#,
            r#"mcp_server_operation_duration_seconds_count{error_type="a\"b\\c\n"} 6"#,
            r#"mcp_server_operation_duration_seconds_sum{error_type="a\"b\\c\n"} 1.5"#,
            "# TYPE sekisho_calls counter",
            "sekisho_calls_total 7",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn whoever_takes_openmetrics_or_anything_gets_it_and_others_do_not() {
        let accepts = |value: Option<&str>| {
            let mut headers = HeaderMap::new();
            value.map(|value| headers.insert(ACCEPT, value.parse().unwrap()));
            is_accepted(&headers)
        };
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert!(accepts(None) && accepts(Some("*/*")) && accepts(Some(prometheus)));
        assert!(!accepts(Some("text/html")) && !accepts(Some("application/json, text/plain")));
    }
}
