//! What is measured, and the line that tells it.
//!
//! *Owns*: the latency histogram, the error counts, the JSON of a run. *Promises*: microseconds with three
//! digits; nothing is averaged away; the first text of every kind of error is shown.
//! *Assumes*: one tally per connection, merged at the end. *Never*: drops a sample: what lies beyond the
//! histogram's range counts as its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::failure::{Failure, Kind};
use super::process::Usage;

/// One hour in microseconds: the longest latency told apart.
const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// The counts of one connection, or of all.
#[derive(Clone, Debug)]
pub struct Tally {
    latencies_us: Histogram<u64>,
    /// Octets of messages that went over the wire.
    pub bytes: u64,
    /// Messages that went over the wire.
    pub messages: u64,
    errors: BTreeMap<Kind, (u64, String)>,
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> Tally {
        // The bounds are constants within the library's own, so this cannot fail.
        let latencies_us =
            Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS).expect("valid histogram bounds");
        Tally { latencies_us, bytes: 0, messages: 0, errors: BTreeMap::new() }
    }

    /// One more latency.
    pub fn latency(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies_us.saturating_record(us.clamp(1, LATENCY_US_MAX));
    }

    /// One more error.
    pub fn failure(&mut self, failure: Failure) {
        let entry = self.errors.entry(failure.kind).or_insert((0, failure.text));
        entry.0 += 1;
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: Tally) {
        self.latencies_us += &other.latencies_us;
        self.bytes += other.bytes;
        self.messages += other.messages;
        for (kind, (count, text)) in other.errors {
            let entry = self.errors.entry(kind).or_insert((0, text));
            entry.0 += count;
        }
    }

    /// Operations that ended well.
    pub fn done(&self) -> u64 {
        self.latencies_us.len()
    }

    /// How often something went wrong.
    pub fn errors(&self) -> u64 {
        self.errors.values().map(|(count, _)| count).sum()
    }

    fn percentile(&self, percentile: f64) -> u64 {
        self.latencies_us.value_at_percentile(percentile)
    }

    fn errors_json(&self) -> Value {
        let kinds: Vec<Value> = self
            .errors
            .iter()
            .map(|(kind, (count, first))| json!({"kind": kind, "count": count, "first": first}))
            .collect();
        json!({"total": self.errors(), "kinds": kinds})
    }
}

/// A process before and after the run.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// When the clock started.
    pub before: Usage,
    /// When it stopped.
    pub after: Usage,
}

impl Span {
    fn cpu_seconds(&self) -> f64 {
        self.after.cpu_seconds - self.before.cpu_seconds
    }
}

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// Subcommand.
    pub scenario: &'static str,
    /// Address and port.
    pub target: String,
    /// Whether TLS was on.
    pub tls: bool,
    /// Connections that were asked for.
    pub connections: usize,
    /// Octets of one message.
    pub message_bytes: usize,
    /// Operations a second that were asked for; none in the closed loop.
    pub rate: Option<f64>,
    /// How long the clock ran.
    pub elapsed: Duration,
    /// All counts.
    pub tally: Tally,
    /// This process; none when /proc could not be read.
    pub client: Option<Span>,
    /// The server's process id and usage, if one was given and could be read.
    pub server: Option<(u32, Span)>,
    /// What only this scenario knows.
    pub extra: Map<String, Value>,
}

impl Report {
    /// Whether there was not one error and at least one operation.
    pub fn is_clean(&self) -> bool {
        self.tally.errors() == 0 && self.tally.done() > 0
    }

    /// One line.
    pub fn json(&self) -> Value {
        let seconds = self.elapsed.as_secs_f64();
        let per_second = |count: f64| rounded(if seconds > 0.0 { count / seconds } else { 0.0 });
        let mut line = json!({
            "scenario": self.scenario,
            "target": self.target,
            "tls": self.tls,
            "loop": if self.rate.is_some() { "open" } else { "closed" },
            "rate_asked_per_s": self.rate,
            "connections": self.connections,
            "message_bytes": self.message_bytes,
            "seconds": rounded(seconds),
            "operations": self.tally.done(),
            "rate_per_s": per_second(self.tally.done() as f64),
            "messages": self.tally.messages,
            "messages_per_s": per_second(self.tally.messages as f64),
            "bytes": self.tally.bytes,
            "mb_per_s": per_second(self.tally.bytes as f64 / 1e6),
            "latency_us": {
                "p50": self.tally.percentile(50.0),
                "p99": self.tally.percentile(99.0),
                "p99_9": self.tally.percentile(99.9),
                "max": self.tally.latencies_us.max(),
                "mean": rounded(self.tally.latencies_us.mean()),
            },
            "errors": self.tally.errors_json(),
            "client_cpu_seconds": self.client.map(|span| rounded(span.cpu_seconds())),
            "server": self.server.map(|(pid, span)| json!({
                "pid": pid,
                "cpu_seconds": rounded(span.cpu_seconds()),
                "rss_before_bytes": span.before.rss_bytes,
                "rss_after_bytes": span.after.rss_bytes,
                "anonymous_before_bytes": span.before.anonymous_bytes,
                "anonymous_after_bytes": span.after.anonymous_bytes,
            })),
        });
        if let Value::Object(fields) = &mut line {
            fields.extend(self.extra.clone());
        }
        line
    }

    /// The distribution as HdrHistogram's plotters read it.
    pub fn distribution(&self) -> String {
        let histogram = &self.tally.latencies_us;
        let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
        let mut total = 0;
        for step in histogram.iter_quantiles(5) {
            total += step.count_since_last_iteration();
            let quantile = step.quantile_iterated_to();
            let inverse =
                if quantile < 1.0 { format!("{:.2}", 1.0 / (1.0 - quantile)) } else { "inf".to_owned() };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:12} {quantile:.12} {total:10} {inverse:>14}", step.value_iterated_to());
        }
        let _ = writeln!(
            text,
            "#[Mean = {:.3}, Max = {}, Total = {}]",
            histogram.mean(),
            histogram.max(),
            histogram.len()
        );
        text
    }
}

/// Three decimals are enough for people and for graphs.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(tally: Tally) -> Report {
        Report {
            scenario: "smtp",
            target: "127.0.0.1:25".to_owned(),
            tls: false,
            connections: 2,
            message_bytes: 1000,
            rate: None,
            elapsed: Duration::from_secs(2),
            tally,
            client: None,
            server: None,
            extra: Map::new(),
        }
    }

    #[test]
    fn counts_of_all_connections_add_up() {
        let mut all = Tally::new();
        for base in [0, 50] {
            let mut one = Tally::new();
            for ms in 1..=50 {
                one.latency(Duration::from_millis(base + ms));
            }
            one.bytes = 1_000_000;
            one.failure(Failure::new(Kind::Refused, format!("no {base}")));
            all.merge(one);
        }
        let report = report(all);
        let line = report.json();
        assert_eq!(line["operations"], 100);
        assert_eq!(line["rate_per_s"], 50.0);
        assert_eq!(line["mb_per_s"], 1.0);
        let near = |value: &Value, wanted: f64| (value.as_f64().unwrap() / wanted - 1.0).abs() < 0.002;
        assert!(near(&line["latency_us"]["p50"], 50_000.0));
        assert!(near(&line["latency_us"]["max"], 100_000.0));
        assert_eq!(line["errors"]["total"], 2);
        assert_eq!(line["errors"]["kinds"][0]["kind"], "refused");
        assert_eq!(line["errors"]["kinds"][0]["first"], "no 0");
        assert!(!report.is_clean());
    }

    #[test]
    fn a_run_without_an_operation_is_not_clean() {
        assert!(!report(Tally::new()).is_clean());
        let mut tally = Tally::new();
        tally.latency(Duration::from_secs(10_000));
        tally.latency(Duration::ZERO);
        let report = report(tally);
        assert!(report.is_clean());
        assert!(report.distribution().contains("Total = 2"));
    }
}
