//! Patterns of file names that say what belongs together.
//!
//! `*` is any text, as short as it may be, `?` any one letter, and what stands in parentheses is the group; all else is
//! itself. `*-(*).png` makes one group of `google-1f600.png` and `twitter-1f600.png`, and `(*)_*` one of all that a
//! patient's number begins. A pattern with a `/` is compared with the whole path in the data, `*/(*)/*`; one without,
//! with the file's name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A pattern with a group in it.
///
/// ```
/// use zoo_data::Pattern;
///
/// let pattern: Pattern = "*-(*).*".parse()?;
/// assert_eq!(pattern.group("smileys/google-1f468-200d.png"), Some("1f468-200d"));
/// assert_eq!(pattern.group("smileys/readme.png"), None);
/// # Ok::<(), zoo_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    parts: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Letter(char),
    AnyLetter,
    AnyText,
    Open,
    Close,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`Error::Pattern`] unless it has one pair of parentheses, in order, with something in it.
    pub fn parse(text: &str) -> Result<Pattern> {
        let token = |letter| match letter {
            '*' => Token::AnyText,
            '?' => Token::AnyLetter,
            '(' => Token::Open,
            ')' => Token::Close,
            letter => Token::Letter(letter),
        };
        let parts: Vec<Token> = text.chars().map(token).collect();
        let places = |wanted| (0..parts.len()).filter(|&at| parts[at] == wanted).collect::<Vec<_>>();
        match (&places(Token::Open)[..], &places(Token::Close)[..]) {
            ([open], [close]) if open + 1 < *close => Ok(Pattern { text: text.into(), parts }),
            _ => Err(Error::Pattern { pattern: text.into() }),
        }
    }

    /// The group of a picture by its name in the data; nothing if the pattern doesn't match.
    pub fn group<'a>(&self, name: &'a str) -> Option<&'a str> {
        let text = match self.text.contains('/') {
            true => name,
            false => name.rsplit('/').next().unwrap_or(name),
        };
        let (mut part, mut at) = (0, 0);
        let (mut open, mut close) = (0, 0);
        // Where the last `*` stands, and how far its text goes. As each text is as short as it may be, only the last
        // one ever has to grow.
        let mut star = None;
        loop {
            let letter = text[at..].chars().next();
            match (self.parts.get(part), letter) {
                (Some(Token::Open), _) => (part, open) = (part + 1, at),
                (Some(Token::Close), _) => (part, close) = (part + 1, at),
                (Some(Token::AnyText), _) => {
                    star = Some((part, at));
                    part += 1;
                }
                (None, None) => return text.get(open..close),
                (Some(Token::AnyLetter), Some(letter)) => (part, at) = (part + 1, at + letter.len_utf8()),
                (Some(Token::Letter(wanted)), Some(letter)) if *wanted == letter => {
                    (part, at) = (part + 1, at + letter.len_utf8());
                }
                _ => {
                    let (before, from) = star?;
                    at = from + text[from..].chars().next()?.len_utf8();
                    star = Some((before, at));
                    part = before + 1;
                }
            }
        }
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Pattern> {
        Pattern::parse(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = Error;

    fn try_from(text: String) -> Result<Pattern> {
        Pattern::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group<'a>(pattern: &str, name: &'a str) -> Option<&'a str> {
        Pattern::parse(pattern).unwrap().group(name)
    }

    #[test]
    fn the_group_is_what_stands_in_parentheses() {
        assert_eq!(group("*-(*).png", "flags/google-1f1e6-1f1e8.png"), Some("1f1e6-1f1e8"));
        assert_eq!(group("(*)_*", "p12_left_2.png"), Some("p12"));
        assert_eq!(group("(*)", "a/b.png"), Some("b.png"));
        assert_eq!(group("*/(*)/*", "cats/tom/1.png"), Some("tom"));
        assert_eq!(group("(???)*", "äöüß.png"), Some("äöü"));
        assert_eq!(group("*(-*-).png", "a-b-c-.png"), Some("-b-c-"));
        assert_eq!(group("x(*)y", "xy"), Some(""));
        assert_eq!(group("*a(?)b*c", "aaxbaaybbc"), Some("x"));
    }

    #[test]
    fn what_does_not_match_has_no_group() {
        for (pattern, name) in [("*-(*).png", "1.png"), ("(*).png", "1.jpg"), ("(??)", "a"), ("(*)/b", "b")] {
            assert_eq!(group(pattern, name), None, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_needs_a_group() {
        for pattern in ["", "*-*", "()", "*-()", ")(", "(*)(*)", "((*))", "(*"] {
            let error = Pattern::parse(pattern).unwrap_err().to_string();
            assert!(error.contains(&format!("`{pattern}`")), "{error}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let name = "a".repeat(250);
        assert_eq!(group(&format!("({}b)", "*a".repeat(100)), &name), None);
    }
}
