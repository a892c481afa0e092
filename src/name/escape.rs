//! Escaping of untrusted text for terminals and logs.

use std::borrow::Cow;

/// Returns text that is safe to show on a terminal or in a log. Characters that are invisible or that control a
/// terminal are escaped, so that a name or metadata from a stranger cannot move the cursor, change the direction of a
/// line, or begin a new line.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

/// Returns true for characters that control a terminal or the layout of a line: control characters, separators of lines
/// and paragraphs, the controls of direction (UAX #9), the byte order mark, and tags.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_on_the_terminal_any_more() {
        for (text, wanted) in [
            ("Zoë @ 東京 'x' \\n", "Zoë @ 東京 'x' \\n"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u{1b}[31mred\u{9b}2J\u{7f}", "\\u{1b}[31mred\\u{9b}2J\\u{7f}"),
            ("\u{202e}evil\u{2066}", "\\u{202e}evil\\u{2066}"),
        ] {
            assert_eq!(escaped(text), wanted);
            assert_eq!(escaped(&escaped(text)), wanted);
        }
    }
}
