//! Draws a run as one HTML page that needs nothing else. It has a lane for each node in virtual time, and shows the
//! messages between nodes, the faults, and the outcome of each registration at each node.
//!
//! `picture` turns a trace into data, and the scripts next to it show the data: `scale.js` the virtual time, `lanes.js`
//! and `marks.js` the canvas, `words.js` the tables, `page.js` the controls.

use crate::plan::Plan;
use crate::run::{Report, run_traced};

mod picture;
mod reader;
mod registrations;
mod rows;

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
const JS: [&str; 5] = [
    include_str!("scale.js"),
    include_str!("lanes.js"),
    include_str!("marks.js"),
    include_str!("words.js"),
    include_str!("page.js"),
];

/// Runs a plan and returns the run as an HTML page.
#[must_use]
pub fn page(plan: &Plan) -> (Report, String) {
    let (report, run) = run_traced(plan, true);
    let picture = picture::of(&run, &report);
    // A `<` could end the element that holds the data. In JSON it can only be inside a string.
    let data = match serde_json::to_string(&picture) {
        Ok(data) => data.replace('<', "\\u003c"),
        Err(error) => panic!("a picture is plain data: {error}"),
    };
    let title = report.failure.as_ref().map_or("well", |failure| failure.violation().check);
    let mut html = String::with_capacity(data.len() + 100_000);
    let parts = [
        ("{{title}}", format!("seed {}: {title}", plan.seed)),
        ("{{css}}", CSS.to_owned()),
        ("{{data}}", data),
        ("{{js}}", JS.concat()),
    ];
    // The parts are put in in order and once each, so text that was put in is not searched for further marks.
    let mut rest = HTML;
    for (mark, text) in parts {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        html.push_str(before);
        html.push_str(&text);
        rest = after;
    }
    html.push_str(rest);
    (report, html)
}
