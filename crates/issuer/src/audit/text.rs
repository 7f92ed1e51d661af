//! Texts of strangers, fit for one line of JSON.

use std::borrow::Cow;
use std::fmt::Display;

use serde::{Serialize, Serializer};

/// Put where a text was cut.
const CUT: char = '…';

/// Put in the place of something that looks like a token.
const REDACTED: &str = "[redacted]";

/// A token begins like this, as `{"` does in base64url, and goes on for at least that many
/// characters.
const TOKEN_START: &str = "eyJ";
const TOKEN_CHARS: usize = 32;

/// A text that takes at most `N` bytes once it is written as a JSON string, quotes not counted.
///
/// What would not stand in one line of a terminal is replaced: control characters, line and
/// paragraph separators, and marks that turn the direction of writing. What looks like a token is
/// left out: a caller may put one into a purpose by mistake.
#[derive(Clone, Copy)]
pub(super) struct Text<'a, const N: usize>(pub(super) &'a str);

impl<const N: usize> Serialize for Text<'_, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&fitted(self.0, N))
    }
}

/// An owned [`Text`], put together from parts.
pub(super) struct Joined<const N: usize>(String);

impl<const N: usize> Joined<N> {
    pub(super) fn of_display(value: &impl Display) -> Self {
        Self(value.to_string())
    }

    pub(super) fn of_words<'a>(words: impl Iterator<Item = &'a String>) -> Self {
        let mut joined = String::new();
        for word in words {
            if !joined.is_empty() {
                joined.push(' ');
            }
            joined.push_str(word);
            if joined.len() > N {
                break;
            }
        }
        Self(joined)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<const N: usize> Serialize for Joined<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Text::<N>(&self.0).serialize(serializer)
    }
}

fn fitted(text: &str, most: usize) -> Cow<'_, str> {
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if text.len() <= most && text.bytes().all(plain) && !text.contains(TOKEN_START) {
        return Cow::Borrowed(text);
    }
    let text = without_tokens(text);
    let mut fitted = String::with_capacity(most.min(text.len()));
    let mut written = 0;
    for mut character in text.chars() {
        if breaks_a_line(character) {
            character = char::REPLACEMENT_CHARACTER;
        }
        written += escaped_length(character);
        if written + CUT.len_utf8() > most {
            fitted.push(CUT);
            break;
        }
        fitted.push(character);
    }
    Cow::Owned(fitted)
}

fn without_tokens(text: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(TOKEN_START) {
        let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let length = after.find(|c| !belongs(c)).unwrap_or(after.len());
        kept.push_str(before);
        if length >= TOKEN_CHARS {
            kept.push_str(REDACTED);
            rest = after.get(length..).unwrap_or_default();
        } else {
            kept.push_str(TOKEN_START);
            rest = after;
        }
    }
    if kept.is_empty() {
        return Cow::Borrowed(text);
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

fn breaks_a_line(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// How many bytes serde_json writes.
const fn escaped_length(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        other => other.len_utf8(),
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written<const N: usize>(text: &str) -> String {
        serde_json::to_string(&Text::<N>(text)).unwrap()
    }

    #[test]
    fn short_plain_texts_stand_as_they_are() {
        assert_eq!(written::<8>("payments"), "\"payments\"");
        assert_eq!(written::<64>("a \"b\" \\ é"), "\"a \\\"b\\\" \\\\ é\"");
    }

    #[test]
    fn hexadecimal() {
        assert_eq!(hex(&[0, 1, 0xab, 0xff]), "0001abff");
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        assert_eq!(written::<8>("paymentss"), "\"payme…\"");
        assert_eq!(written::<8>("\"\"\"\"\""), "\"\\\"\\\"…\"");
    }

    #[test]
    fn nothing_leaves_the_line() {
        assert_eq!(
            written::<64>("a\r\n\u{1b}[2Jb\0\u{2028}\u{202e}\u{85}"),
            "\"a\u{fffd}\u{fffd}\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}\u{fffd}\""
        );
    }

    #[test]
    fn tokens_are_left_out() {
        let token = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ4In0.AAAA";
        assert_eq!(written::<200>(token), "\"[redacted]\"");
        assert_eq!(
            written::<200>(&format!("a {token} b {token}")),
            "\"a [redacted] b [redacted]\""
        );
        assert_eq!(written::<200>("eyJ short eyJ"), "\"eyJ short eyJ\"");
    }

    proptest! {
        #[test]
        fn whatever_comes_fits(text in "\\PC{0,200}|[\\x00-\\x7f\"\\\\]{0,200}|[\u{80}-\u{a0}\u{2020}-\u{2070}]{0,80}") {
            let json = written::<96>(&text);
            prop_assert!(json.len() <= 98, "{}", json.len());
            let back: String = serde_json::from_str(&json).unwrap();
            prop_assert!(!back.chars().any(breaks_a_line));
        }
    }
}
