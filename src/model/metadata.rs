//! The metadata of a registration: a JSON object of the application's own.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;

/// The number of levels of nested objects and arrays. A guess: readers of JSON commonly stop at 100 or more.
const MAX_LEVELS: usize = 64;

/// An application's JSON object, on one line without spaces. It is read once, where it comes in, so that all readers after
/// that read the same: numbers keep their digits, and each string is written in one way.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Metadata(Box<RawValue>);

/// The text is not valid as metadata.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The text is not JSON.
    #[error("metadata is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The JSON value is not an object.
    #[error("metadata must be a JSON object, like {{\"form\": \"sign-up\"}}")]
    NotAnObject,
    /// The nesting is too deep. Readers of JSON differ in how many levels they accept.
    #[error("metadata has more than {MAX_LEVELS} levels of objects and arrays")]
    TooDeep,
    /// An object has a key twice. Readers of JSON differ in which of the two values they take.
    #[error("metadata has the key {0:?} twice in one object")]
    KeyTwice(String),
    /// A string has half of a surrogate pair, which stands for no character.
    #[error("metadata has a string that is no text: {0}")]
    NoText(serde_json::Error),
    /// A number is too great. Readers of JSON treat numbers as 64-bit floating point.
    #[error("metadata has the number {0}, which is greater than readers of JSON can take (about 1.8e308)")]
    NoNumber(String),
}

impl Metadata {
    /// Checks this text.
    ///
    /// # Errors
    /// The text is not a JSON object, or readers of JSON would not agree on its value.
    pub fn new(text: String) -> Result<Self, MetadataError> {
        Self::of(&RawValue::from_string(text)?)
    }

    fn of(value: &RawValue) -> Result<Self, MetadataError> {
        if !value.get().starts_with('{') {
            return Err(MetadataError::NotAnObject);
        }
        let compact = Compactor::default().compact(value.get())?;
        Ok(Self(RawValue::from_string(compact)?))
    }

    /// Returns the JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(&Box::<RawValue>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Writes JSON without spaces. The syntax of its input has been checked already.
#[derive(Default)]
struct Compactor {
    written: String,
    /// The objects and arrays that enclose the present place, each with the keys that it has so far.
    around: Vec<BTreeSet<String>>,
}

impl Compactor {
    fn compact(mut self, text: &str) -> Result<String, MetadataError> {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let token = &rest[..token_len(rest, first)];
            rest = &rest[token.len()..];
            self.token(first, token, rest)?;
        }
        Ok(self.written)
    }

    fn token(&mut self, first: char, token: &str, rest: &str) -> Result<(), MetadataError> {
        match first {
            ' ' | '\t' | '\r' | '\n' => return Ok(()),
            '{' | '[' => {
                if self.around.len() == MAX_LEVELS {
                    return Err(MetadataError::TooDeep);
                }
                self.around.push(BTreeSet::new());
            }
            '}' | ']' => drop(self.around.pop()),
            '"' => {
                let string: String = serde_json::from_str(token).map_err(MetadataError::NoText)?;
                self.written += &serde_json::to_string(&string)?;
                return if rest.trim_start().starts_with(':') { self.key(string) } else { Ok(()) };
            }
            '-' | '0'..='9' if !token.parse::<f64>().is_ok_and(f64::is_finite) => {
                return Err(MetadataError::NoNumber(token.chars().take(40).collect()));
            }
            _ => {}
        }
        self.written += token;
        Ok(())
    }

    fn key(&mut self, key: String) -> Result<(), MetadataError> {
        match self.around.last_mut() {
            Some(keys) if keys.contains(&key) => Err(MetadataError::KeyTwice(key)),
            Some(keys) => {
                keys.insert(key);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Returns the length in bytes of the token at the beginning of a text.
fn token_len(text: &str, first: char) -> usize {
    match first {
        '"' => {
            let mut escaped = false;
            let end = text.bytes().skip(1).position(|byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            end.map_or(text.len(), |end| end + 2)
        }
        '-' | '0'..='9' => {
            let of_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
            text.find(|c| !of_number(c)).unwrap_or(text.len())
        }
        _ => first.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn compact(text: &str) -> Result<String, String> {
        Metadata::new(text.to_owned()).map(|metadata| metadata.as_str().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn it_is_one_line_whatever_was_typed() {
        for (text, wanted) in [
            (" {\"a\":1} ", "{\"a\":1}"),
            ("{\n \"a\" : [ 1 , true,\tnull ],\r\n\"b\":{ } }", "{\"a\":[1,true,null],\"b\":{}}"),
            ("{\"a\": \"x, \\\" { y\", \"\\u0061b\": 1}", "{\"a\":\"x, \\\" { y\",\"ab\":1}"),
            ("{\"a\\\\\": \"\\\\\"}", "{\"a\\\\\":\"\\\\\"}"),
            ("{\"n\": [1.50, -0, 1E2, 12345678901234567890123]}", "{\"n\":[1.50,-0,1E2,12345678901234567890123]}"),
            ("{\"a\": \"\\ud83d\\ude00 \\n\"}", "{\"a\":\"😀 \\n\"}"),
            ("{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":1}]}", "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":1}]}"),
        ] {
            assert_eq!(compact(text), Ok(wanted.to_owned()));
        }
    }

    #[test]
    fn what_readers_would_not_agree_on_is_refused() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(compact(&nested(64)).is_ok());
        for (text, why) in [
            ("[1]", "must be a JSON object"),
            ("{", "is not JSON"),
            ("{\"a\":\"\\ud800\"}", "no text"),
            ("{\"\\udc00\":1}", "no text"),
            ("{\"a\":1,\"\\u0061\":2}", "the key \"a\" twice"),
            ("{\"a\":[{\"b\":1,\"b\":1}]}", "the key \"b\" twice"),
            ("{\"a\":1e400}", "1e400"),
            ("{\"a\":-1e400}", "-1e400"),
            (&nested(65), "more than 64 levels"),
        ] {
            let error = compact(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_says_what_was_typed(value in json()) {
            let value = serde_json::json!({ "value": value });
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(compact(&pretty), Ok(serde_json::to_string(&value).unwrap()));
        }
    }
}
