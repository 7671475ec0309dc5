//! Servers side by side: JSON lines of the same surveys of several servers in, a Markdown table out.
//!
//! *Owns*: columns, medians and ratios. *Promises*: the ratio is against the best of the others in the same row;
//! what a server does not offer is said, not left out. *Assumes*: every server did the same work. *Never*:
//! chooses rows.

use std::io::BufRead;

use crate::plot::{Figure, figures, median};

/// One row's times of one server, microseconds.
struct Times {
    first: Option<f64>,
    again: Option<f64>,
    skipped: bool,
}

/// The table; the first server named in the lines is compared with the others.
pub fn table(input: impl BufRead) -> Result<String, String> {
    let figures = figures(input)?;
    let mut servers: Vec<&str> = Vec::new();
    let mut rows: Vec<(&str, u64)> = Vec::new();
    for figure in &figures {
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
        let times: Vec<Times> =
            servers.iter().map(|server| times(&figures, work, messages, server)).collect();
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
    let middle = |mut values: Vec<f64>| median(&mut values);
    Times {
        first: middle(same().filter_map(|figure| figure.first_us).collect()),
        again: middle(same().filter_map(|figure| figure.median_us).collect()),
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
        let made = table(text.as_bytes()).unwrap();
        let row = "| W | 10 | 3.00 | 2.00 | 9.00 | 5.00 | 8.00 | 6.00 | 2.7 × | 2.5 × |";
        assert_eq!(made.lines().last(), Some(row));
        let skipped = line("f", "null", "null").replace('}', ",\"skipped\":\"no\"}");
        let made = table((text + &skipped).as_bytes()).unwrap();
        assert!(made.contains("| not offered | not offered | 2.7 × |"), "{made}");
        assert!(table(line("us", "1", "1").as_bytes()).is_err());
    }
}
