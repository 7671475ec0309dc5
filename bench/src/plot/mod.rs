//! Growth for people: JSON lines of the surveys in, log-log plots out.
//!
//! *Owns*: which lines become which curves. *Promises*: several lines of the same figure become their median;
//! what was skipped or failed has no point. *Assumes*: lines as [`crate::survey`] and `bench/store.sh` write them.
//! *Never*: smooths or extrapolates.

mod draw;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

use serde_json::Value;

/// Octets of a line of results.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// One command on one server.
pub struct Curve {
    /// The command.
    pub work: String,
    /// The server's name.
    pub server: String,
    /// Size and median, ascending.
    pub points: Vec<(f64, f64)>,
}

/// The curves that share a plot.
pub struct Panel {
    /// The scenario.
    pub name: String,
    /// What the sizes are of.
    pub across: String,
    /// The unit of what was measured.
    pub up: String,
    /// In the order of their first line.
    pub curves: Vec<Curve>,
}

/// One figure of a survey.
pub struct Figure {
    /// The scenario.
    pub scenario: String,
    /// The command.
    pub work: String,
    /// The server's name.
    pub server: String,
    /// Messages of the mailbox.
    pub messages: u64,
    /// The median of the rounds in this line; none where the command was skipped.
    pub median_us: Option<f64>,
    /// The first round; none where the command was skipped.
    pub first_us: Option<f64>,
    /// Why it was skipped.
    pub skipped: Option<String>,
}

/// The results, a JSON line each.
pub fn lines(input: impl BufRead) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    for (index, line) in input.lines().enumerate() {
        let failed = |why: String| format!("line {}: {why}", index + 1);
        let line = line.map_err(|error| failed(error.to_string()))?;
        if line.len() > LINE_BYTES_MAX {
            return Err(failed(format!("longer than {LINE_BYTES_MAX} octets")));
        }
        if !line.trim().is_empty() {
            values.push(serde_json::from_str(&line).map_err(|error| failed(error.to_string()))?);
        }
    }
    Ok(values)
}

/// The figure of a survey, if the line is one.
pub fn of_survey(line: &Value) -> Option<Figure> {
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    line.get("median_us")?;
    Some(Figure {
        scenario: text("scenario")?,
        work: text("work")?,
        server: text("server")?,
        messages: line["messages"].as_u64()?,
        median_us: line["median_us"].as_f64(),
        first_us: line["first_us"].as_f64(),
        skipped: text("skipped"),
    })
}

/// The middle one; of an even number, the upper.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// One point to be: several of one place become their median.
pub struct Sample {
    /// Which plot.
    pub panel: String,
    /// What the sizes are of.
    pub across: &'static str,
    /// The unit.
    pub up: String,
    /// Which curve.
    pub work: String,
    /// The server's name.
    pub server: String,
    /// Size and figure.
    pub point: (u64, f64),
}

/// A line of a survey or of `store`, if it has a point.
fn sample(line: &Value) -> Option<Sample> {
    if let Some(sample) = crate::store::sample(line) {
        return Some(sample);
    }
    let figure = of_survey(line)?;
    Some(Sample {
        panel: figure.scenario,
        across: "messages in the mailbox",
        up: "milliseconds, median".to_owned(),
        work: figure.work,
        server: figure.server,
        point: (figure.messages, figure.median_us? / 1e3),
    })
}

/// Sorts samples into panels and curves, in the order in which they come.
pub fn panels(samples: &[Sample]) -> Vec<Panel> {
    let mut panels: Vec<Panel> = Vec::new();
    for (order, sample) in samples.iter().enumerate() {
        let same = |other: &Sample| {
            (&other.panel, &other.work, &other.server) == (&sample.panel, &sample.work, &sample.server)
        };
        if samples[..order].iter().any(same) {
            continue;
        }
        let mut found: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for other in samples.iter().filter(|other| same(other)) {
            found.entry(other.point.0).or_default().push(other.point.1);
        }
        let points: Vec<(f64, f64)> = found
            .into_iter()
            .filter_map(|(size, mut values)| Some((size as f64, median(&mut values)?)))
            .collect();
        let curve = Curve { work: sample.work.clone(), server: sample.server.clone(), points };
        match panels.iter_mut().find(|panel| panel.name == sample.panel) {
            Some(panel) => panel.curves.push(curve),
            None => panels.push(Panel {
                name: sample.panel.clone(),
                across: sample.across.to_owned(),
                up: sample.up.clone(),
                curves: vec![curve],
            }),
        }
    }
    panels
}

/// Writes the plots of all lines to each file; `.svg` or `.png` says how.
pub fn plot(input: impl BufRead, files: &[impl AsRef<Path>]) -> Result<(), String> {
    let samples: Vec<Sample> = lines(input)?.iter().filter_map(sample).collect();
    let panels = panels(&samples);
    if panels.is_empty() {
        return Err("no line has a point".to_owned());
    }
    for file in files {
        let path = file.as_ref();
        let drawn = match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => draw::svg(&panels, path),
            Some("png") => draw::png(&panels, path),
            _ => Err("files end with .svg or .png".to_owned()),
        };
        drawn.map_err(|why| format!("{}: {why}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"
{"scenario":"imap-list","work":"FLAGS","server":"a","messages":1000,"median_us":10.0,"first_us":90.0}
{"scenario":"imap-list","work":"FLAGS","server":"a","messages":1000,"median_us":30.0,"first_us":90.0}
{"scenario":"imap-list","work":"FLAGS","server":"a","messages":1000,"median_us":20.0,"first_us":90.0}
{"scenario":"imap-list","work":"FLAGS","server":"a","messages":100000,"median_us":2000.0,"first_us":90.0}
{"scenario":"imap-list","work":"FLAGS","server":"b","messages":1000,"median_us":40.0,"first_us":90.0}
{"scenario":"imap-sort","work":"SORT","server":"b","messages":1000,"median_us":null,"skipped":"no SORT"}
{"scenario":"lmtp","operations":5}
"#;

    #[test]
    fn lines_of_the_same_figure_become_their_median_and_skipped_ones_nothing() {
        let samples: Vec<Sample> = lines(LINES.as_bytes()).unwrap().iter().filter_map(sample).collect();
        let panels = panels(&samples);
        assert_eq!(panels.len(), 1);
        let points: Vec<_> = panels[0].curves.iter().map(|curve| curve.points.clone()).collect();
        assert_eq!(points, [vec![(1000.0, 0.02), (100_000.0, 2.0)], vec![(1000.0, 0.04)]]);
        assert!(lines("nonsense".as_bytes()).is_err());
    }

    #[test]
    fn both_kinds_of_files_are_written() {
        let folder = std::env::temp_dir().join(format!("ringpost-plot-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let files = [folder.join("growth.svg"), folder.join("growth.png")];
        plot(LINES.as_bytes(), &files).unwrap();
        let svg = std::fs::read_to_string(&files[0]).unwrap();
        assert!(svg.contains("imap-list") && svg.contains("FLAGS"));
        assert!(std::fs::read(&files[1]).unwrap().starts_with(b"\x89PNG"));
        assert!(plot(LINES.as_bytes(), &[folder.join("growth.txt")]).is_err());
        assert!(plot("".as_bytes(), &files).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
