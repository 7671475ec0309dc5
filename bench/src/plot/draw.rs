//! Draws panels of curves on log-log axes.
//!
//! *Owns*: sizes, colours, fonts, axes. *Promises*: the same picture as vectors and as pixels; a font comes with
//! the program, so that a machine without fonts draws too. *Assumes*: some panel has a point. *Never*: reads
//! results.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Once;

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::{Curve, Panel};

/// Pixels of one panel.
const PANEL: (u32, u32) = (760, 560);
/// Panels beside each other.
const COLUMNS: u32 = 2;
/// Colours of commands: told apart also by those who see no red or green (after Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

fn size(panels: &[Panel]) -> (u32, u32) {
    let count = panels.len() as u32;
    (PANEL.0 * count.min(COLUMNS), PANEL.1 * count.div_ceil(COLUMNS))
}

/// As vectors.
pub fn svg(panels: &[Panel], path: &Path) -> Result<(), String> {
    use_own_font()?;
    draw(SVGBackend::new(path, size(panels)).into_drawing_area(), panels)
}

/// As pixels.
pub fn png(panels: &[Panel], path: &Path) -> Result<(), String> {
    use_own_font()?;
    let (width, height) = size(panels);
    let mut pixels = vec![0; (width * height * 3) as usize];
    draw(BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area(), panels)?;
    let file = File::create(path).map_err(|error| error.to_string())?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    written.map_err(|error| error.to_string())
}

fn use_own_font() -> Result<(), String> {
    static REGISTERED: Once = Once::new();
    let mut registered = Ok(());
    REGISTERED.call_once(|| {
        let font = epaint_default_fonts::UBUNTU_LIGHT;
        registered = register_font("sans-serif", FontStyle::Normal, font)
            .map_err(|_| "the font that comes with the program is broken".to_owned());
    });
    registered
}

fn draw<B: DrawingBackend>(area: DrawingArea<B, Shift>, panels: &[Panel]) -> Result<(), String> {
    let failed = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
    area.fill(&WHITE).map_err(failed)?;
    let rows = (panels.len() as u32).div_ceil(COLUMNS) as usize;
    let mut servers: Vec<&str> = Vec::new();
    for curve in panels.iter().flat_map(|panel| &panel.curves) {
        place(&mut servers, &curve.server);
    }
    let cells = area.split_evenly((rows, panels.len().min(COLUMNS as usize)));
    for (cell, panel) in cells.iter().zip(panels) {
        draw_panel(cell, panel, &servers).map_err(failed)?;
    }
    area.present().map_err(failed)
}

/// The axes' ends: from the decade below the least to the one above the greatest.
fn decades(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (least, most) = values
        .fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value.max(1e-3)), most.max(value)));
    let most = 10f64.powf(most.log10().ceil());
    10f64.powf(least.log10().floor())..most.max(least * 10.0)
}

fn draw_panel<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    panel: &Panel,
    servers: &[&str],
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let all = || panel.curves.iter().flat_map(|curve| &curve.points);
    let (across, mut up) = (decades(all().map(|point| point.0)), decades(all().map(|point| point.1)));
    // Room for the names.
    up.end *= 10.0;
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.name, ("sans-serif", 26))
        .margin(14)
        .margin_right(36)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(across.log_scale(), up.log_scale())?;
    chart
        .configure_mesh()
        .x_desc(&panel.across)
        .y_desc(&panel.up)
        .x_label_formatter(&|size| short(*size))
        .y_label_formatter(&|value| short(*value))
        .label_style(("sans-serif", 15))
        .light_line_style(BLACK.mix(0.06))
        .bold_line_style(BLACK.mix(0.18))
        .draw()?;
    let mut works: Vec<&str> = Vec::new();
    for curve in &panel.curves {
        let colour = COLOURS[place(&mut works, &curve.work) % COLOURS.len()];
        let server = servers.iter().position(|name| *name == curve.server).unwrap_or_default();
        let points = || curve.points.iter().copied();
        let style = colour.stroke_width(2);
        let sample = move |(x, y)| [(x, y), (x + 30, y)];
        // The peers: the longer the gaps, the later named.
        let gap = 4 * server as i32;
        if gap == 0 {
            let drawn = chart.draw_series(LineSeries::new(points(), style))?;
            drawn.label(label(curve)).legend(move |at| PathElement::new(sample(at), style));
        } else {
            let drawn = chart.draw_series(DashedLineSeries::new(points(), 7, gap, style))?;
            drawn.label(label(curve)).legend(move |at| DashedPathElement::new(sample(at), 7, gap, style));
        }
        chart.draw_series(points().map(|point| Circle::new(point, 3 + server as i32, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .legend_area_size(40)
        .label_font(("sans-serif", 14))
        .draw()
}

fn label(curve: &Curve) -> String {
    format!("{}, {}", curve.work, curve.server)
}

/// Where a name stands in the list; it is added if it is new.
fn place<'a>(names: &mut Vec<&'a str>, name: &'a str) -> usize {
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}

/// `1k`, `100`, `0.01`: powers of ten stay short.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => format!("{}", (value * 1e6).round() / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_begin_and_end_with_decades() {
        assert_eq!(decades([3.0, 250.0].into_iter()), 1.0..1000.0);
        assert_eq!(decades([10.0].into_iter()), 10.0..100.0);
        assert_eq!(["1k", "5", "0.01", "1M"], [1e3, 5.0, 0.01, 1e6].map(short)[..]);
    }
}
