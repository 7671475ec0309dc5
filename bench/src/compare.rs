//! Servers side by side: JSON lines of the same surveys of several servers in, a Markdown table out.
//!
//! *Owns*: columns, medians and ratios. *Promises*: the ratio is against the best of the others in the same row;
//! what a server does not offer is said, not left out. *Assumes*: every server did the same work, in interleaved
//! rounds; "first" is the very first time. *Never*: chooses rows.

use std::io::BufRead;

use serde_json::Value;

use crate::plot::{Figure, lines, median, of_survey};

/// One row's times of one server, microseconds.
struct Times {
    first: Option<f64>,
    again: Option<f64>,
    skipped: bool,
}

/// Median rates of what is counted by operations, by work and server.
type Rates = Vec<(String, Vec<(String, Vec<f64>)>)>;

/// The tables; the first server named in the lines is compared with the others.
pub fn tables(input: impl BufRead) -> Result<String, String> {
    let (mut figures, mut rates) = (Vec::new(), Rates::new());
    for line in lines(input)? {
        figures.extend(of_survey(&line));
        add_rate(&mut rates, &line);
    }
    let mut out = if figures.is_empty() { String::new() } else { survey_table(&figures)? };
    if !rates.is_empty() {
        out.push_str(&rate_table(rates)?);
    }
    if out.is_empty() { Err("no line is a result".to_owned()) } else { Ok(out) }
}

fn add_rate(rates: &mut Rates, line: &Value) {
    let (Some(scenario), Some(server), Some(rate)) =
        (line["scenario"].as_str(), line["label"].as_str(), line["rate_per_s"].as_f64())
    else {
        return;
    };
    let connections = line["connections"].as_u64().unwrap_or(1);
    let octets = line["message_bytes"].as_u64().unwrap_or(0);
    let work = format!("{scenario} {octets} octets, {connections} connections");
    let servers = entry(rates, work);
    entry(servers, server.to_owned()).push(rate);
}

/// The value of a key; a new one at the end.
fn entry<T: Default>(list: &mut Vec<(String, T)>, key: String) -> &mut T {
    let found = list.iter().position(|(known, _)| *known == key);
    let place = found.unwrap_or_else(|| {
        list.push((key, T::default()));
        list.len() - 1
    });
    &mut list[place].1
}

fn rate_table(rates: Rates) -> Result<String, String> {
    let mut out = String::new();
    for (work, servers) in rates {
        let medians: Vec<(String, f64)> = servers
            .into_iter()
            .filter_map(|(server, mut rates)| Some((server, median(&mut rates)?)))
            .collect();
        if out.is_empty() {
            let names = medians.iter().map(|(server, _)| format!(" {server}, a second |"));
            out = format!("\n| work |{} against the best other |\n|---|", names.collect::<String>());
            out.push_str(&"--:|".repeat(medians.len() + 1));
            out.push('\n');
        }
        let Some(((_, ours), others)) = medians.split_first() else { continue };
        let best = others.iter().map(|(_, rate)| *rate).max_by(f64::total_cmp);
        let best = best.ok_or("a comparison needs results of two servers")?;
        let cells = medians.iter().map(|(_, rate)| format!(" {rate:.0} |"));
        out.push_str(&format!("| {work} |{} {:.1} × |\n", cells.collect::<String>(), ours / best));
    }
    Ok(out)
}

fn survey_table(figures: &[Figure]) -> Result<String, String> {
    let mut servers: Vec<&str> = Vec::new();
    let mut rows: Vec<(&str, u64)> = Vec::new();
    for figure in figures {
        if !servers.contains(&figure.server.as_str()) {
            servers.push(&figure.server);
        }
        let row = (figure.work.as_str(), figure.messages);
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let [ours, _, ..] = servers[..] else {
        return Err("a comparison needs figures of two servers".to_owned());
    };
    let mut out = String::from("| work | messages |");
    for server in &servers {
        out.push_str(&format!(" {server}, first ms | again ms |"));
    }
    out.push_str(&format!(" best other / {ours}, first | again |\n|---|--:|"));
    out.push_str(&"--:|--:|".repeat(servers.len() + 1));
    out.push('\n');
    for (work, messages) in rows {
        let times: Vec<Times> = servers.iter().map(|server| times(figures, work, messages, server)).collect();
        out.push_str(&format!("| {work} | {messages} |"));
        for times in &times {
            out.push_str(&format!(" {} | {} |", cell(times.first, times), cell(times.again, times)));
        }
        for part in [|times: &Times| times.first, |times: &Times| times.again] {
            out.push_str(&format!(" {} |", ratio(&times, part)));
        }
        out.push('\n');
    }
    Ok(out)
}

fn times(figures: &[Figure], work: &str, messages: u64, server: &str) -> Times {
    let same = || {
        figures.iter().filter(|figure| {
            (figure.work.as_str(), figure.messages, figure.server.as_str()) == (work, messages, server)
        })
    };
    let mut again: Vec<f64> = same().filter_map(|figure| figure.median_us).collect();
    Times {
        first: same().find_map(|figure| figure.first_us),
        again: median(&mut again),
        skipped: same().any(|figure| figure.skipped.is_some()),
    }
}

fn cell(us: Option<f64>, times: &Times) -> String {
    match us {
        Some(us) if us >= 100_000.0 => format!("{:.0}", us / 1e3),
        Some(us) => format!("{:.2}", us / 1e3),
        None if times.skipped => "not offered".to_owned(),
        None => "–".to_owned(),
    }
}

/// The best of the others over the first.
fn ratio(times: &[Times], part: impl Fn(&Times) -> Option<f64>) -> String {
    let Some((ours, others)) = times.split_first() else { return "–".to_owned() };
    let best = others.iter().filter_map(&part).min_by(f64::total_cmp);
    match (part(ours), best) {
        (Some(ours), Some(best)) if ours > 0.0 => format!("{:.1} ×", best / ours),
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_hold_medians_and_the_ratio_against_the_best_other() {
        let line = |server: &str, first: &str, again: &str| {
            format!(
                "{{\"scenario\":\"s\",\"work\":\"W\",\"server\":\"{server}\",\"messages\":10,\
                 \"first_us\":{first},\"median_us\":{again}}}\n"
            )
        };
        let mut text = line("us", "2000", "1000") + &line("us", "4000", "3000") + &line("us", "3000", "2000");
        text += &line("d", "9000", "5000");
        text += &line("e", "8000", "6000");
        let made = tables(text.as_bytes()).unwrap();
        let row = "| W | 10 | 2.00 | 2.00 | 9.00 | 5.00 | 8.00 | 6.00 | 4.0 × | 2.5 × |";
        assert_eq!(made.lines().last(), Some(row));
        let skipped = line("f", "null", "null").replace('}', ",\"skipped\":\"no\"}");
        let made = tables((text + &skipped).as_bytes()).unwrap();
        assert!(made.contains("| not offered | not offered | 4.0 × |"), "{made}");
        assert!(tables(line("us", "1", "1").as_bytes()).is_err());
        assert!(tables("".as_bytes()).is_err());
    }

    #[test]
    fn rates_are_compared_by_their_medians() {
        let line = |server: &str, rate: u32| {
            format!(
                "{{\"scenario\":\"lmtp\",\"label\":\"{server}\",\"rate_per_s\":{rate},\"connections\":4,\
                 \"message_bytes\":100}}\n"
            )
        };
        let text = [line("us", 100), line("d", 10), line("us", 300), line("us", 200), line("d", 20)].concat();
        let made = tables(text.as_bytes()).unwrap();
        let row = "| lmtp 100 octets, 4 connections | 200 | 20 | 10.0 × |";
        assert_eq!(made.lines().last(), Some(row));
    }
}
