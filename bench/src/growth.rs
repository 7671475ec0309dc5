//! Growth as tables: JSON lines of surveys and of the neighbour in, Markdown out.
//!
//! *Owns*: one row a command, one column a size; one row a huge thing. *Promises*: medians in milliseconds, the
//! very first time apart. *Assumes*: the lines of one server. *Never*: hides what was skipped.

use std::io::BufRead;

use serde_json::Value;

use crate::plot::{Figure, lines, of_survey};

/// Both tables, as far as there are lines for them.
pub fn tables(input: impl BufRead) -> Result<String, String> {
    let lines = lines(input)?;
    let figures: Vec<Figure> = lines.iter().filter_map(of_survey).collect();
    let mut out = survey(&figures);
    let waits: String = lines.iter().filter_map(wait).collect();
    if !waits.is_empty() {
        out.push_str(
            "\n| while another session does this | it takes ms | NOOPs | p50 µs | p99 µs | worst µs |\n\
             |---|--:|--:|--:|--:|--:|\n",
        );
        out.push_str(&waits);
    }
    if out.is_empty() { Err("no line is a result".to_owned()) } else { Ok(out) }
}

fn survey(figures: &[Figure]) -> String {
    let mut sizes: Vec<u64> = figures.iter().map(|figure| figure.messages).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let Some(_) = sizes.first() else { return String::new() };
    let heads: String = sizes.iter().map(|size| format!(" {size} messages, ms | first |")).collect();
    let mut out = format!("| work |{heads}\n|---|{}\n", "--:|--:|".repeat(sizes.len()));
    let mut works: Vec<&str> = Vec::new();
    for Figure { work, .. } in figures {
        if works.contains(&work.as_str()) {
            continue;
        }
        works.push(work);
        out.push_str(&format!("| {work} |"));
        for size in &sizes {
            let same = |figure: &&Figure| &figure.work == work && figure.messages == *size;
            out.push_str(&figures.iter().find(same).map_or_else(|| " – | – |".to_owned(), cells));
        }
        out.push('\n');
    }
    out
}

fn cells(figure: &Figure) -> String {
    let ms = |us: Option<f64>| us.map_or_else(|| "–".to_owned(), |us| format!("{:.3}", us / 1e3));
    match &figure.skipped {
        Some(why) => format!(" {why} | – |"),
        None => format!(" {} | {} |", ms(figure.median_us), ms(figure.first_us)),
    }
}

fn wait(line: &Value) -> Option<String> {
    let noop = &line["noop_us"];
    Some(format!(
        "| {} | {:.1} | {} | {} | {} | {} |\n",
        line["work"].as_str()?,
        line["seconds"].as_f64()? * 1e3,
        line["noops"].as_u64()?,
        noop["p50"].as_u64()?,
        noop["p99"].as_u64()?,
        noop["max"].as_u64()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_are_made() {
        let text = r#"
{"scenario":"s","work":"W","server":"a","messages":10,"median_us":1000.0,"first_us":2000.0}
{"scenario":"s","work":"W","server":"a","messages":100,"median_us":3000.0,"first_us":4000.0}
{"scenario":"s","work":"X","server":"a","messages":100,"median_us":null,"skipped":"SORT is not announced"}
{"scenario":"imap-neighbour","work":"COPY","messages":9,"seconds":0.5,"noops":7,"noop_us":{"p50":1,"p99":2,"max":3}}
"#;
        let made = tables(text.as_bytes()).unwrap();
        for row in [
            "| W | 1.000 | 2.000 | 3.000 | 4.000 |",
            "| X | – | – | SORT is not announced | – |",
            "| COPY | 500.0 | 7 | 1 | 2 | 3 |",
        ] {
            assert!(made.lines().any(|line| line == row), "{made}");
        }
        assert!(tables("".as_bytes()).is_err());
    }
}
