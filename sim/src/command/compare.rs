//! Compares two texts line by line as they arrive, and finds the first line that differs and the lines around it.

use std::collections::VecDeque;
use std::io::{self, BufRead};

/// The number of lines that are shown before and after the first difference.
const CONTEXT: usize = 4;

/// The result of a comparison.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Compared {
    /// All lines are the same: their number, and the last of them.
    Same { lines: u64, last: Vec<String> },
    /// The number of the first line that differs, counted from 1; the lines before it; both sides from it on.
    Differs { line: u64, before: Vec<String>, left: Vec<String>, right: Vec<String> },
}

/// Compares until the first difference. It keeps no more in memory than what is shown.
///
/// # Errors
/// A side cannot be read.
pub(crate) fn compare(left: impl BufRead, right: impl BufRead) -> io::Result<Compared> {
    let (mut left, mut right) = (left.lines(), right.lines());
    let mut before = VecDeque::new();
    let mut line = 0;
    loop {
        line += 1;
        match (left.next().transpose()?, right.next().transpose()?) {
            (None, None) => return Ok(Compared::Same { lines: line - 1, last: before.into() }),
            (Some(same), Some(other)) if same == other => {
                before.push_back(same);
                if before.len() > CONTEXT {
                    before.pop_front();
                }
            }
            (here, there) => {
                let after = |first: Option<String>, rest: &mut dyn Iterator<Item = io::Result<String>>| {
                    first.into_iter().map(Ok).chain(rest.take(CONTEXT)).collect::<io::Result<Vec<_>>>()
                };
                let (left, right) = (after(here, &mut left)?, after(there, &mut right)?);
                return Ok(Compared::Differs { line, before: before.into(), left, right });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Compared, compare};

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn the_same_text_is_the_same() {
        let text = "a\nb\nc\nd\ne\nf\n";
        let last = lines(&["c", "d", "e", "f"]);
        assert_eq!(compare(text.as_bytes(), text.as_bytes()).unwrap(), Compared::Same { lines: 6, last });
        assert_eq!(compare(&b""[..], &b""[..]).unwrap(), Compared::Same { lines: 0, last: Vec::new() });
    }

    #[test]
    fn the_first_difference_is_shown_with_what_stands_around_it() {
        let left = "1\n2\n3\n4\n5\nleft\n7\n8\n9\n10\n11\n";
        let right = "1\n2\n3\n4\n5\nright\n7\n";
        let wanted = Compared::Differs {
            line: 6,
            before: lines(&["2", "3", "4", "5"]),
            left: lines(&["left", "7", "8", "9", "10"]),
            right: lines(&["right", "7"]),
        };
        assert_eq!(compare(left.as_bytes(), right.as_bytes()).unwrap(), wanted);
    }

    #[test]
    fn a_text_that_ends_early_differs_there() {
        let wanted = Compared::Differs { line: 2, before: lines(&["1"]), left: lines(&["2", "3"]), right: Vec::new() };
        assert_eq!(compare(&b"1\n2\n3\n"[..], &b"1\n"[..]).unwrap(), wanted);
    }
}
