//! Printing results.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use super::args::{ClientArgs, Format};
use super::failure::Failure;
use crate::clock::Millis;
use crate::model::{
    EndReason, Event, History, Name, NameStatus, NewNamespace, Registration, Status, Time, WaitReason, Waiting,
    event_type_text,
};
use crate::name::{acts, escaped, shown};

/// Prints `value` as JSON, or the text that `render` makes of it.
pub(super) fn print<T: Serialize>(
    args: &ClientArgs,
    value: &T,
    render: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    print_as(args.output, value, render)
}

/// The same for commands without a node to ask.
pub(super) fn print_as<T: Serialize>(
    format: Format,
    value: &T,
    render: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    match format {
        Format::Text => line(&render(value)),
        Format::Json => {
            let text = serde_json::to_string(value);
            line(&plain_json(&text.map_err(|error| Failure::failed(format!("cannot print: {error}")))?))
        }
    }
}

/// Makes a failure of an error in writing a table.
pub(super) fn csv_failure(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => Failure::failed(format!("cannot print: {other:?}")),
    }
}

/// Prints lines and flushes them, so that a pipe gets them at once.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", lines(text.trim_end()))?;
    Ok(out.flush()?)
}

/// Prints lines. Prints nothing where the text is blank.
pub(super) fn part(text: &str) -> Result<(), Failure> {
    if text.trim_end().is_empty() { Ok(()) } else { line(text) }
}

/// Returns a cell that no spreadsheet takes for a formula (OWASP, *CSV Injection*): a cell that begins with such a
/// character gets an apostrophe in front, which marks it as text.
pub(super) fn harmless(cell: &str) -> Cow<'_, str> {
    const FORMULAS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if cell.starts_with(FORMULAS) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// Returns lines in which no character controls the terminal. Text from others must be escaped before it is put into a
/// line, since its line breaks cannot be told from those of the program here.
pub(super) fn lines(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

/// Returns equivalent JSON in which no character controls the terminal. Such characters can occur only in strings.
fn plain_json(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            plain.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            plain.push(c);
        }
    }
    plain
}

pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Contested => "contested",
        Status::Confirmed => "confirmed",
        Status::Rejected => "rejected",
    }
}

pub(super) fn reason(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Released => "released",
        EndReason::Expired => "expired",
        EndReason::Replaced => "replaced",
        EndReason::Rejected => "rejected",
    }
}

/// Describes a registration on some lines: its content, and what it waits for or lost to.
pub(super) fn registration(registration: &Registration) -> String {
    let whose =
        if registration.erased { "erased".to_owned() } else { format!("owner {}", escaped(&registration.owner)) };
    let mut text = format!("{} {} {whose}\n", registration.id, status(registration.status));
    for name in &registration.names {
        let ended = match name.ended {
            Some(ended) => format!(" ({})", reason(ended)),
            None if name.released => " (given up, which is not final yet)".to_owned(),
            None => String::new(),
        };
        text += &format!("  {}/{}{ended}\n", name.namespace, shown(&name.name));
    }
    text += &format!("  accepted {} by node {}\n", registration.accepted_at, registration.node);
    if let Some(again) = registration.reissued_at {
        text += &format!("  registered again {again}: an eviction had made it void\n");
    }
    if let Some(expires) = registration.expires_at {
        text += &format!("  a reservation until {expires}\n");
    }
    for made in &registration.new_namespaces {
        let NewNamespace { namespace, profile } = made;
        let profile: &str = (*profile).into();
        text += &format!("  the first name in {namespace}, which has profile {profile} now\n");
    }
    if let Some(replaced) = &registration.replaces {
        let name = format!("{}/{}", replaced.namespace, shown(&replaced.name));
        text += &format!("  in place of {name} of registration {}\n", replaced.registration);
    }
    if registration.activated {
        text += "  a reservation made permanent\n";
    }
    if let Some(by) = &registration.rejected_by {
        let claim = format!("registration {}, accepted {}", by.registration, by.accepted_at);
        text += &format!("  {}/{} was claimed earlier by {claim}\n", by.namespace, shown(&by.name));
    }
    for waiting in &registration.waiting_for {
        text += &format!("  {}\n", waits(waiting, None));
    }
    if let Some(metadata) = &registration.metadata {
        text += &format!("  metadata {}\n", escaped(metadata.as_str()));
    }
    text
}

/// Describes a member that is waited for, and the reason. With the node's time also how long it has been silent.
pub(super) fn waits(waiting: &Waiting, now: Option<Time>) -> String {
    let who = match waiting.label.as_str() {
        "" => waiting.node.to_string(),
        label => format!("{} ({})", escaped(label), waiting.node),
    };
    let why = match (waiting.reason, waiting.since) {
        (WaitReason::RoundTrip, _) => "which is in contact: a round trip more".to_owned(),
        (WaitReason::ClockAhead, _) => "whose clock is ahead, so that its ops are not taken for now".to_owned(),
        (WaitReason::BeingEvicted, _) => "which is being evicted".to_owned(),
        (_, None) => "not heard of since this node started".to_owned(),
        (_, Some(since)) => match now {
            Some(now) => format!("not heard of since {since} ({} ago)", ago(now, Some(since))),
            None => format!("not heard of since {since}"),
        },
    };
    format!("waits for {who}, {why}")
}

/// Returns a name with its namespace, for people.
pub(super) fn shown_name(namespace: &str, name: &str) -> String {
    format!("{namespace}/{}", shown(name))
}

/// Describes a name on one line, and free alternatives on another.
pub(super) fn name(name: &Name) -> String {
    let status = match name.status {
        NameStatus::Available => "available",
        NameStatus::Pending => "pending",
        NameStatus::Held => "held",
        NameStatus::Ending => "ending",
    };
    let mut text = format!("{}/{} {status}", name.namespace, escaped(&name.name));
    if name.key != name.name {
        text += &format!(" key {}", escaped(&name.key));
    }
    if let Some(registration) = name.registration {
        text += &format!(" registration {registration}");
    }
    if let Some(since) = name.since {
        text += &format!(" since {since}");
    }
    if !name.suggestions.is_empty() {
        let free: Vec<_> = name.suggestions.iter().map(|name| escaped(name)).collect();
        text += &format!("\n  free: {}", free.join(", "));
    }
    text
}

/// Describes a name's tenures, earliest first, each with its losers.
pub(super) fn history(history: &History) -> String {
    if history.tenures.is_empty() {
        return "  nobody has ever claimed it".to_owned();
    }
    let mut text = String::new();
    for tenure in &history.tenures {
        let until = match (tenure.until, tenure.holder.ended) {
            (Some(until), _) => format!("until {until}"),
            (None, Some(_)) => "until an unknown time".to_owned(),
            (None, None) => "until now".to_owned(),
        };
        let how = tenure.holder.ended.map_or_else(|| status(tenure.holder.status), reason);
        text += &format!(
            "  {} {until} owner {} ({how}), registration {}\n",
            tenure.since,
            escaped(&tenure.holder.owner),
            tenure.holder.registration
        );
        for loser in &tenure.losers {
            let outcome = if loser.twin { "a retry" } else { status(loser.status) };
            text += &format!(
                "    {} also owner {} ({outcome}), registration {}\n",
                loser.accepted_at,
                escaped(&loser.owner),
                loser.registration
            );
        }
    }
    text
}

/// Describes an event on one line.
pub(super) fn event(event: &Event) -> String {
    let cursor = event.cursor.unwrap_or_default();
    let short = event_type_text(event.event_type).trim_start_matches("forename.").trim_start_matches("registration.");
    let registration = &event.data.registration;
    let names: Vec<_> = match &event.data.name {
        Some(name) => vec![format!("{}/{}", name.namespace, shown(&name.name))],
        None => registration.names.iter().map(|name| format!("{}/{}", name.namespace, shown(&name.name))).collect(),
    };
    let whose = if registration.erased {
        "erased".to_owned()
    } else {
        format!("{} owner {}", names.join(" "), escaped(&registration.owner))
    };
    let mut text = format!("{cursor} {} {short} {whose} registration {}", event.time, registration.id);
    if let Some(by) = &event.data.rejected_by {
        text += &format!(" lost {}/{} to registration {}", by.namespace, shown(&by.name), by.registration);
    }
    if let Some(ended) = event.data.reason {
        text += &format!(" ({})", reason(ended));
    }
    text
}

/// Returns how long ago a time was, in a suitable unit.
pub(super) fn ago(now: Time, then: Option<Time>) -> String {
    let Some(Time(Millis(then))) = then else { return "never".to_owned() };
    let ms = now.0.0.saturating_sub(then);
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..600_000 => format!("{} s", ms / 1000),
        600_000..36_000_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// Aligns columns to the width of their widest cell.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| escaped(cell).into_owned()).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_makes_a_line() {
        assert_eq!(lines("a\u{1b}[2J\nb\u{202e}"), "a\\u{1b}[2J\nb\\u{202e}");
        let rows = [vec!["x\ny".to_owned(), "z".to_owned()]];
        assert_eq!(table(&rows), "x\\ny  z\n");
    }

    #[test]
    fn a_member_in_contact_is_not_called_silent() {
        let waiting = |reason: &str, since: Option<&str>| {
            let json =
                serde_json::json!({"node": "00000000000000ab", "label": "a\nb", "reason": reason, "since": since});
            waits(&serde_json::from_value(json).unwrap(), None)
        };
        let at = Some("2026-03-01T12:00:00Z");
        let text = waiting("round-trip", at);
        assert_eq!(text, "waits for a\\nb (00000000000000ab), which is in contact: a round trip more");
        assert!(waiting("out-of-reach", at).ends_with("not heard of since 2026-03-01T12:00:00.000Z"));
        assert!(waiting("some-later-reason", None).ends_with("not heard of since this node started"));
    }

    #[test]
    fn json_says_the_same_in_other_characters() {
        let text = serde_json::to_string("a\n\u{202e}\u{7f}\u{e0041}é").unwrap();
        let plain = plain_json(&text);
        assert_eq!(plain, "\"a\\n\\u202e\\u007f\\udb40\\udc41é\"");
        assert_eq!(serde_json::from_str::<String>(&plain).unwrap(), serde_json::from_str::<String>(&text).unwrap());
    }
}
