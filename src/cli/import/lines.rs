//! The lines of a file to import, and its format: a table or lines of JSON.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::super::export::Lines as Format;
use super::super::failure::Failure;

/// Greatest number of bytes in a line. A guess: a node accepts 64 KiB, so a file with a longer line is no file of rows.
const MAX_LINE: usize = 16 << 20;

/// The error for a file in UTF-16.
const UTF_16: &str = "the file is UTF-16, as spreadsheets save \"Unicode text\"; nothing was registered. Save it as UTF-8, or \
                      run 'iconv -f UTF-16 -t UTF-8'";

/// A line of the file, without its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    /// Its number, from 1.
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
}

impl Line {
    pub(super) fn is_blank(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }
}

/// Reads the lines of a file. A line ends in `\n`, `\r\n` or `\r`. A byte order mark of UTF-8 at the beginning is skipped.
pub(super) struct Lines {
    input: BufReader<Box<dyn Read + Send>>,
    number: u64,
    /// Lines that were given back, to be returned first.
    back: VecDeque<Line>,
}

impl Lines {
    pub(super) fn new(source: impl Read + Send + 'static) -> Self {
        let source: Box<dyn Read + Send> = Box::new(source);
        Self { input: BufReader::with_capacity(1 << 16, source), number: 0, back: VecDeque::new() }
    }

    /// Returns the next line; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Failure> {
        if let Some(line) = self.back.pop_front() {
            return Ok(Some(line));
        }
        let failed = |number: u64, why: &str| Failure::failed(format!("cannot read on after line {number}: {why}"));
        let mut bytes = Vec::new();
        let ended = self.read(&mut bytes).map_err(|error| failed(self.number, &error.to_string()))?;
        if !ended && bytes.is_empty() {
            return Ok(None);
        }
        if bytes.len() > MAX_LINE {
            return Err(failed(self.number, "the next line is longer than 16 MiB, so this is no file of rows"));
        }
        self.number += 1;
        if self.number == 1 {
            if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.contains(&0) {
                return Err(Failure::usage(UTF_16));
            }
            if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
                bytes = rest.to_vec();
            }
        }
        Ok(Some(Line { number: self.number, bytes }))
    }

    /// Returns the next line that is not blank.
    pub(super) fn next_filled(&mut self) -> Result<Option<Line>, Failure> {
        loop {
            match self.next()? {
                Some(line) if line.is_blank() => {}
                line => return Ok(line),
            }
        }
    }

    /// Puts lines back, so that they are returned next.
    pub(super) fn give_back(&mut self, lines: impl DoubleEndedIterator<Item = Line>) {
        lines.rev().for_each(|line| self.back.push_front(line));
    }

    /// Reads up to the end of a line. Returns false where the file ended first.
    fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() || bytes.len() > MAX_LINE {
                return Ok(false);
            }
            let Some(end) = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                bytes.extend_from_slice(buffer);
                let read = buffer.len();
                self.input.consume(read);
                continue;
            };
            bytes.extend_from_slice(&buffer[..end]);
            let last = buffer[end];
            self.input.consume(end + 1);
            if last == b'\r' && self.input.fill_buf()?.first() == Some(&b'\n') {
                self.input.consume(1);
            }
            return Ok(true);
        }
    }

    /// Returns the format of the rows, by the file's name or else by its first line.
    pub(super) fn format(&mut self, file: &Path) -> Result<Format, Failure> {
        let extension = file.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        let first = self.next_filled()?;
        let byte = first.as_ref().and_then(|line| line.bytes.trim_ascii_start().first().copied());
        self.give_back(first.into_iter());
        match (extension.as_deref(), byte) {
            (Some("csv" | "tsv"), _) => Ok(Format::Csv),
            (_, Some(b'[')) => Err(Failure::usage(
                "the file is a JSON array; nothing was registered. Write an object a line: jq -c '.[]'",
            )),
            (Some("ndjson" | "jsonl"), _) | (_, Some(b'{')) => Ok(Format::Ndjson),
            _ => Ok(Format::Csv),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &'static [u8]) -> Vec<(u64, String)> {
        let mut lines = Lines::new(bytes);
        let all = std::iter::from_fn(|| lines.next().unwrap());
        all.map(|line| (line.number, String::from_utf8(line.bytes).unwrap())).collect()
    }

    #[test]
    fn lines_end_in_any_way() {
        let wanted: Vec<_> = (1..).zip(["a", "b", "", "c", "d"].map(str::to_owned)).collect();
        assert_eq!(lines(b"\xef\xbb\xbfa\nb\r\n\rc\nd"), wanted);
        assert_eq!(lines(b"a\nb\n\nc\rd\r"), wanted);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn what_is_no_utf_8_is_said_plainly() {
        for bytes in [b"\xff\xfeo\0w\0".as_slice(), b"\xfe\xff\0o", b"o\0w\0n\0"] {
            let error = Lines::new(bytes).next().unwrap_err();
            assert!(error.message.contains("UTF-16"), "{}", error.message);
        }
    }

    #[test]
    fn the_format_is_that_of_the_name_or_else_of_the_content() {
        let format = |name: &str, text: &'static str| Lines::new(text.as_bytes()).format(Path::new(name));
        for (name, text, wanted) in [
            ("a.csv", "{", Format::Csv),
            ("a.TSV", "x", Format::Csv),
            ("a.jsonl", "owner", Format::Ndjson),
            ("a.txt", "\n \n {\"owner\"", Format::Ndjson),
            ("-", "owner,name", Format::Csv),
            ("-", "", Format::Csv),
        ] {
            assert_eq!(format(name, text).unwrap(), wanted, "{name}");
        }
        assert!(format("a.json", "[{").unwrap_err().message.contains("JSON array"));
    }
}
