//! Results for people: JSON lines in, a Markdown table out.
//!
//! *Owns*: columns and units. *Promises*: every line that is a result becomes a row, with its errors shown.
//! *Assumes*: lines as [`crate::load::report`] writes them. *Never*: rounds a failure away.

use std::io::BufRead;

use serde_json::Value;

/// Octets of a line of results.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// The heading of the table.
const HEADING: &str = "\
| work | rate/s | MB/s | p50 µs | p99 µs | p99.9 µs | max µs | server CPU µs each | errors |
|---|--:|--:|--:|--:|--:|--:|--:|--:|
";

/// Turns lines of JSON into a table. The error names the line that is no result.
pub fn table(input: impl BufRead) -> Result<String, String> {
    let mut out = String::from(HEADING);
    for (index, line) in input.lines().enumerate() {
        let failed = |why: String| format!("line {}: {why}", index + 1);
        let line = line.map_err(|error| failed(error.to_string()))?;
        if line.len() > LINE_BYTES_MAX {
            return Err(failed(format!("longer than {LINE_BYTES_MAX} octets")));
        }
        if !line.trim().is_empty() {
            let result: Value = serde_json::from_str(&line).map_err(|error| failed(error.to_string()))?;
            out.push_str(&row(&result).ok_or_else(|| failed("no result of ringpost-bench".to_owned()))?);
        }
    }
    Ok(out)
}

fn row(result: &Value) -> Option<String> {
    let operations = result["operations"].as_f64()?;
    let latency = &result["latency_us"];
    let cpu = result["server"]["cpu_seconds"].as_f64();
    let each = match cpu {
        Some(cpu) if operations > 0.0 && result["memory_per_session"].is_null() => {
            format!("{:.0}", cpu * 1e6 / operations)
        }
        _ => "–".to_owned(),
    };
    Some(format!(
        "| {} | {:.0} | {:.0} | {} | {} | {} | {} | {each} | {} |\n",
        work(result)?,
        result["rate_per_s"].as_f64()?,
        result["mb_per_s"].as_f64()?,
        latency["p50"].as_u64()?,
        latency["p99"].as_u64()?,
        latency["p99_9"].as_u64()?,
        latency["max"].as_u64()?,
        result["errors"]["total"].as_u64()?,
    ))
}

/// What was done, in words.
fn work(result: &Value) -> Option<String> {
    let scenario = result["scenario"].as_str()?;
    let tls = if result["tls"].as_bool()? { ", TLS" } else { "" };
    let connections = result["connections"].as_u64()?;
    if let Some(sessions) = result["idle_sessions"].as_u64() {
        let memory = result["memory_per_session"]["anonymous_bytes_each"].as_f64();
        let memory = memory.map_or(String::new(), |bytes| format!(", {bytes:.0} octets of memory each"));
        return Some(format!("push to {sessions} idle sessions{tls}{memory}"));
    }
    let octets = result["message_bytes"].as_u64()?;
    Some(format!("{scenario} {octets} octets, {connections} connections{tls}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_become_rows_and_other_lines_are_told() {
        let line = r#"{"scenario":"lmtp","tls":false,"connections":64,"message_bytes":4096,"operations":100,
            "rate_per_s":50.4,"mb_per_s":0.2,"latency_us":{"p50":10,"p99":20,"p99_9":30,"max":40},
            "errors":{"total":2},"server":{"cpu_seconds":0.01}}"#
            .replace('\n', " ");
        let text = table(line.as_bytes()).unwrap();
        let row = "| lmtp 4096 octets, 64 connections | 50 | 0 | 10 | 20 | 30 | 40 | 100 | 2 |";
        assert_eq!(text.lines().last(), Some(row));
        assert!(table("{}\n".as_bytes()).unwrap_err().starts_with("line 1: no result"));
    }
}
