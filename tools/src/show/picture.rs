//! How much of each file is alive, as a picture.
//!
//! *Owns*: the SVG of `segments --plot`. *Promises*: well-formed; oldest file on the left; a bounded number of bars.
//! *Assumes*: texts of its own only. *Never*: needs a font or a script.

/// A file.
#[derive(Clone, Debug, Default)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// The first position in it.
    pub from: u64,
    /// Its bytes.
    pub bytes: u64,
    /// How many of them some mailbox shows.
    pub live: u64,
}

const WIDTH: f64 = 1040.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 24.0;
const TOP: f64 = 40.0;
/// More files than this share bars.
const BARS_MAX: usize = 800;

/// A row of bars for each shard, under its name.
pub fn draw(rows: &[(String, Vec<Bar>)]) -> String {
    let height = HEIGHT * rows.len().max(1) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (at, (name, bars)) in rows.iter().enumerate() {
        svg += &format!("<g transform=\"translate(0 {})\">\n{}</g>\n", HEIGHT * at as f64, row(name, bars));
    }
    svg + "</svg>\n"
}

fn row(name: &str, bars: &[Bar]) -> String {
    let mut bars = bars.to_vec();
    bars.sort_by_key(|bar| bar.from);
    let bars: Vec<Bar> = bars.chunks(bars.len().div_ceil(BARS_MAX).max(1)).map(joined).collect();
    let (all, live) = bars.iter().fold((0, 0), |(all, live), bar| (all + bar.bytes, live + bar.live));
    let most = bars.iter().map(|bar| bar.bytes).max().unwrap_or(1).max(1);
    let (floor, step) = (HEIGHT - 34.0, (WIDTH - 2.0 * LEFT) / bars.len().max(1) as f64);
    let scale = (floor - TOP) / most as f64;
    let percent = live as f64 * 100.0 / all.max(1) as f64;
    let mut svg = format!(
        "<text x=\"{LEFT}\" y=\"22\" font-size=\"13\">{name}: {percent:.0} % of {all} bytes are of messages that \
         are shown</text>\n"
    );
    for (at, bar) in bars.iter().enumerate() {
        let x = LEFT + step * at as f64;
        for (bytes, colour) in [(bar.bytes, "#d9c9b0"), (bar.live, "#4a7fb5")] {
            let high = bytes as f64 * scale;
            svg += &format!(
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{high:.1}\" fill=\"{colour}\">\
                 <title>{}: {} of {} bytes</title></rect>\n",
                floor - high,
                (step * 0.9).max(0.5),
                bar.name,
                bar.live,
                bar.bytes
            );
        }
    }
    svg + &format!(
        "<text x=\"{LEFT}\" y=\"{0:.1}\">oldest</text>\
         <text x=\"{1:.1}\" y=\"{0:.1}\" text-anchor=\"end\">newest</text>\n",
        floor + 18.0,
        WIDTH - LEFT
    )
}

/// Several files as one bar.
fn joined(bars: &[Bar]) -> Bar {
    let mut all = bars.first().cloned().unwrap_or_default();
    for bar in bars.iter().skip(1) {
        (all.bytes, all.live) = (all.bytes + bar.bytes, all.live + bar.live);
    }
    if let [_, .., last] = bars {
        all.name = format!("{} to {}", all.name, last.name);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_files_makes_a_picture() {
        for count in [0, 1, BARS_MAX, 5 * BARS_MAX] {
            let bar = |nth: usize| Bar {
                name: nth.to_string(),
                from: nth as u64,
                bytes: 10,
                live: nth as u64 % 11,
            };
            let svg = draw(&[("shard 0".to_owned(), (0..count).rev().map(bar).collect())]);
            assert!(svg.matches("<rect ").count() <= 1 + 2 * BARS_MAX, "{count}");
            assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.ends_with("</svg>\n"));
        }
    }
}
