//! The run as a picture: claims a second, and the latencies of each second, as an SVG that a browser shows.

use std::fmt::Write;
use std::time::Duration;

use super::slices::Slice;

/// Pixels: of the picture, of the space around each of its two panels, and of a panel's height.
const WIDTH: f64 = 960.0;
const MARGIN: f64 = 60.0;
const PANEL: f64 = 200.0;

/// A line: its name, its colour, and its points as seconds and values.
struct Line {
    name: &'static str,
    colour: &'static str,
    points: Vec<(f64, f64)>,
}

/// Draws the slices of a run.
pub(crate) fn draw(slices: &[Slice]) -> String {
    let height = 2.0 * (PANEL + MARGIN) + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let end = slices.last().map_or(1.0, |slice| slice.until.as_secs_f64());
    let rates: Vec<_> = slices.iter().map(|slice| (slice.until.as_secs_f64(), slice.rate())).collect();
    let millis = |which: usize| -> Vec<_> {
        let of = |slice: &Slice| slice.quantiles.get(which).copied().unwrap_or(Duration::ZERO).as_secs_f64() * 1e3;
        slices.iter().map(|slice| (slice.until.as_secs_f64(), of(slice))).collect()
    };
    let line = |name, colour, points| Line { name, colour, points };
    let lines = [line("longest", "#c33", millis(3)), line("p99.9", "#d80", millis(2)), line("p50", "#06c", millis(0))];
    panel(&mut svg, MARGIN, "claims a second", end, &[line("claims", "#080", rates)]);
    panel(&mut svg, 2.0 * MARGIN + PANEL, "milliseconds from request to answer", end, &lines);
    svg.push_str("</svg>\n");
    svg
}

/// Draws lines over one pair of axes.
fn panel(svg: &mut String, top: f64, title: &str, end: f64, lines: &[Line]) {
    let most = lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value).fold(1e-9, f64::max);
    let (left, right, bottom) = (MARGIN, WIDTH - MARGIN, top + PANEL);
    let x = |seconds: f64| left + (right - left) * seconds / end.max(1e-9);
    let y = |value: f64| bottom - PANEL * value / most;
    // Writing to a string cannot fail.
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"{}\">{title}</text>", top - 10.0);
    for part in 0..=4 {
        let (value, seconds) = (most * f64::from(part) / 4.0, end * f64::from(part) / 4.0);
        let at = y(value);
        let _ = writeln!(svg, "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#ddd\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{at:.1}\" text-anchor=\"end\">{value:.0}</text>", left - 6.0);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{seconds:.0} s</text>",
            x(seconds),
            bottom + 18.0
        );
    }
    for (number, Line { name, colour, points }) in lines.iter().enumerate() {
        let points: Vec<_> = points.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", points.join(" "));
        let at = right - 70.0 * number as f64;
        let _ =
            writeln!(svg, "<text x=\"{at}\" y=\"{}\" fill=\"{colour}\" text-anchor=\"end\">{name}</text>", top - 10.0);
    }
}
