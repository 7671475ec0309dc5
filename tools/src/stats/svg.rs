//! Histograms as a picture.
//!
//! *Owns*: the SVG. *Promises*: well-formed, with labelled axes, readable in light and dark surroundings (it brings
//! its own ground). *Assumes*: texts of its own only. *Never*: needs a font or a script.

use super::histogram::Histogram;

const WIDTH: usize = 520;
const HEIGHT: usize = 300;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 58.0;

/// One picture of a histogram.
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What the x axis counts.
    pub x: &'a str,
    /// What the y axis counts.
    pub y: &'a str,
    /// The values.
    pub histogram: &'a Histogram,
    /// How a value is written on the x axis.
    pub value: fn(u64) -> String,
}

/// All charts, two in a row, under a heading.
pub fn draw(heading: &str, charts: &[Chart<'_>]) -> String {
    let rows = charts.len().div_ceil(2);
    let (width, height) = (WIDTH * 2, 40 + rows * HEIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\">{}</text>\n",
        escaped(heading)
    );
    for (at, one) in charts.iter().enumerate() {
        let (x, y) = (at % 2 * WIDTH, 40 + at / 2 * HEIGHT);
        svg += &format!("<g transform=\"translate({x} {y})\">\n{}</g>\n", chart(one));
    }
    svg + "</svg>\n"
}

fn chart(chart: &Chart<'_>) -> String {
    let (width, height) = (WIDTH as f64, HEIGHT as f64);
    let (inner_width, floor) = (width - LEFT - RIGHT, height - BOTTOM);
    let buckets = chart.histogram.buckets();
    let top = round_up(buckets.iter().map(|bucket| bucket.count).max().unwrap_or(1));
    let scale = (floor - TOP) / top as f64;
    let mut svg = format!("<text x=\"{LEFT}\" y=\"24\" font-size=\"13\">{}</text>\n", escaped(chart.title));
    for quarter in 0..=4u64 {
        let (count, y) = (top * quarter / 4, floor - (top * quarter / 4) as f64 * scale);
        svg += &format!(
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            width - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            short(count)
        );
    }
    let step = inner_width / buckets.len().max(1) as f64;
    let every = buckets.len().div_ceil(12).max(1);
    for (at, bucket) in buckets.iter().enumerate() {
        let (x, bar) = (LEFT + step * at as f64, bucket.count as f64 * scale);
        svg += &format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{bar:.1}\" fill=\"#4a7fb5\">\
             <title>{} to {}: {}</title></rect>\n",
            x + step * 0.08,
            floor - bar,
            step * 0.84,
            escaped(&(chart.value)(bucket.from)),
            escaped(&(chart.value)(bucket.to)),
            bucket.count
        );
        if at % every == 0 {
            let label = escaped(&(chart.value)(bucket.from));
            svg += &format!(
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>\n",
                floor + 16.0
            );
        }
    }
    let middle = (TOP + floor) / 2.0;
    svg + &format!(
        "<line x1=\"{LEFT}\" x2=\"{LEFT}\" y1=\"{TOP}\" y2=\"{floor}\" stroke=\"#222\"/>\
         <line x1=\"{LEFT}\" x2=\"{}\" y1=\"{floor}\" y2=\"{floor}\" stroke=\"#222\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
         <text transform=\"translate(14 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
        width - RIGHT,
        LEFT + inner_width / 2.0,
        floor + 38.0,
        escaped(chart.x),
        escaped(chart.y)
    )
}

/// The next number that four equal steps lead to and that reads well.
fn round_up(count: u64) -> u64 {
    let mut unit = 4u64;
    loop {
        for step in [1, 2, 5] {
            if let Some(top) = unit.checked_mul(step).filter(|&top| top >= count) {
                return top;
            }
        }
        match unit.checked_mul(10) {
            Some(larger) => unit = larger,
            None => return count.max(1),
        }
    }
}

/// A count in few letters.
pub fn short(count: u64) -> String {
    let units = [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")];
    let unit = units.iter().find(|&&(from, _)| count >= from);
    match unit {
        Some(&(10_000, letter)) => format!("{}{letter}", tenths(count, 1_000)),
        Some(&(one, letter)) => format!("{}{letter}", tenths(count, one)),
        None => count.to_string(),
    }
}

/// With one decimal unless it is 0.
fn tenths(count: u64, unit: u64) -> String {
    let tenths = count / (unit / 10);
    if tenths.is_multiple_of(10) {
        (tenths / 10).to_string()
    } else {
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_well_formed_and_has_its_labels() {
        let mut histogram = Histogram::default();
        (0..50).for_each(|at| histogram.add(1 << at, at + 1));
        let empty = Histogram::default();
        let chart = |histogram| Chart {
            title: "Sizes <1>",
            x: "octets",
            y: "messages",
            histogram,
            value: |value| value.to_string(),
        };
        let svg = draw("a & b", &[chart(&histogram), chart(&empty), chart(&histogram)]);
        for part in ["a &amp; b", "Sizes &lt;1&gt;", ">octets<", ">messages<"] {
            assert!(svg.contains(part), "{part}");
        }
        for tag in ["svg", "g", "text", "title"] {
            let opened = svg.matches(&format!("<{tag} ")).count() + svg.matches(&format!("<{tag}>")).count();
            assert_eq!(opened, svg.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn axes_end_on_numbers_that_read_well() {
        let tops: Vec<u64> = [0, 1, 5, 9, 17, 400, 401].map(round_up).into();
        assert_eq!(tops, [4, 4, 8, 20, 20, 400, 800]);
        let words: Vec<String> = [999, 9_999, 10_000, 12_345, 2_000_000, 1 << 40].map(short).into();
        assert_eq!(words, ["999", "9999", "10k", "12.3k", "2M", "1T"]);
    }
}
