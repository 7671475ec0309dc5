//! What large stores cost, as a table: the JSON lines of `bench/store.sh` in, Markdown out.
//!
//! *Owns*: one row a figure, one column a size of store. *Promises*: several lines of one figure become their median,
//! and say so. *Assumes*: a line names the store's accounts and messages, the figure, its value and unit; lines with
//! a `panel` are drawn there. *Never*: computes one figure from others; the script does, and says how.

use std::io::BufRead;

use serde_json::Value;

use crate::plot::{Sample, lines, median};

/// One figure of one store.
struct Figure {
    accounts: u64,
    messages: u64,
    work: String,
    unit: String,
    value: f64,
}

fn figure(line: &Value) -> Option<Figure> {
    (line["scenario"] == "store").then_some(())?;
    Some(Figure {
        accounts: line["accounts"].as_u64()?,
        messages: line["messages"].as_u64()?,
        work: line["work"].as_str()?.to_owned(),
        unit: line["unit"].as_str()?.to_owned(),
        value: line["value"].as_f64()?,
    })
}

/// The point of a line in a plot, if it is to be drawn.
pub fn sample(line: &Value) -> Option<Sample> {
    let figure = figure(line)?;
    Some(Sample {
        panel: line["panel"].as_str()?.to_owned(),
        across: "messages in the store",
        up: figure.unit,
        work: figure.work,
        server: "ringpost".to_owned(),
        point: (figure.messages, figure.value),
    })
}

/// All figures, a column each size.
pub fn table(input: impl BufRead) -> Result<String, String> {
    let figures: Vec<Figure> = lines(input)?.iter().filter_map(figure).collect();
    let mut sizes: Vec<(u64, u64)> =
        figures.iter().map(|figure| (figure.messages, figure.accounts)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    if sizes.is_empty() {
        return Err("no line is of a store".to_owned());
    }
    let heads: String =
        sizes.iter().map(|(messages, accounts)| format!(" {accounts} / {messages} |")).collect();
    let mut out = format!("| accounts / messages |{heads}\n|---|{}\n", "--:|".repeat(sizes.len()));
    for (order, row) in figures.iter().enumerate() {
        let same = |other: &&Figure| (&other.work, &other.unit) == (&row.work, &row.unit);
        if figures[..order].iter().any(|other| same(&other)) {
            continue;
        }
        out.push_str(&format!("| {}, {} |", row.work, row.unit));
        for size in &sizes {
            let here =
                figures.iter().filter(same).filter(|figure| (figure.messages, figure.accounts) == *size);
            let mut values: Vec<f64> = here.map(|figure| figure.value).collect();
            let shown = median(&mut values).map_or_else(|| "–".to_owned(), short);
            out.push_str(&format!(" {shown} |"));
        }
        out.push('\n');
    }
    Ok(out)
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"
{"scenario":"store","accounts":10,"messages":100,"work":"replay","value":0.5,"unit":"s","panel":"start"}
{"scenario":"store","accounts":10,"messages":100,"work":"p99","value":900,"unit":"µs"}
{"scenario":"store","accounts":10,"messages":100,"work":"p99","value":1234,"unit":"µs"}
{"scenario":"store","accounts":10,"messages":100,"work":"p99","value":1000,"unit":"µs"}
{"scenario":"store","accounts":20,"messages":1000,"work":"replay","value":12.34,"unit":"s","panel":"start"}
{"scenario":"lmtp","operations":5}
"#;

    #[test]
    fn a_row_each_figure_and_a_column_each_size() {
        let made = table(LINES.as_bytes()).unwrap();
        let rows: Vec<&str> = made.lines().collect();
        assert_eq!(rows[0], "| accounts / messages | 10 / 100 | 20 / 1000 |");
        assert_eq!(rows[2..], ["| replay, s | 0.50 | 12.3 |", "| p99, µs | 1000 | – |"]);
        assert!(table("".as_bytes()).is_err());
    }

    #[test]
    fn only_what_names_a_panel_is_drawn() {
        let drawn: Vec<Sample> = lines(LINES.as_bytes()).unwrap().iter().filter_map(sample).collect();
        let points: Vec<_> = drawn.iter().map(|sample| (sample.panel.as_str(), sample.point)).collect();
        assert_eq!(points, [("start", (100, 0.5)), ("start", (1000, 12.34))]);
    }
}
