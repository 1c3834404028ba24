//! The names of the classes that published weights tell apart, in the order of their outputs.
//!
//! ```
//! use zoo_data::classes;
//!
//! assert_eq!((classes::imagenet().len(), classes::imagenet()[285]), (1000, "Egyptian cat"));
//! assert_eq!((classes::voc().len(), classes::voc()[15]), (21, "person"));
//! assert_eq!(classes::DIGITS[7], "7");
//! ```

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::{Error, Result};

/// The digits, for the networks of MNIST.
pub const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

static IMAGENET: LazyLock<Vec<&str>> =
    LazyLock::new(|| lines(include_str!("../assets/classes/imagenet.txt")));

static VOC: LazyLock<Vec<&str>> = LazyLock::new(|| lines(include_str!("../assets/classes/voc.txt")));

/// The 1,000 classes of ImageNet (ILSVRC 2012), named as in torchvision's metadata. No name occurs twice.
pub fn imagenet() -> &'static [&'static str] {
    &IMAGENET
}

/// The 20 classes of PASCAL VOC after the background, which comes first: those of the networks for
/// segmentation.
pub fn voc() -> &'static [&'static str] {
    &VOC
}

static SYNSETS: LazyLock<Vec<&str>> = LazyLock::new(|| lines(include_str!("../assets/classes/synsets.txt")));

/// Which of ImageNet's classes a synset is, as its folders are called: 0 for `n01440764`, the tench.
pub fn synset(name: &str) -> Option<usize> {
    SYNSETS.binary_search(&name).ok()
}

/// Names of classes in their order: numbers by their value, other names by their letters. `source` is what errors call
/// the data.
///
/// # Errors
/// [`Error::CaseTwins`] for two names that differ in case alone.
pub(crate) fn ordered(mut names: Vec<String>, source: &str) -> Result<Vec<String>> {
    let numbers: Option<Vec<u64>> = names.iter().map(|name| name.parse().ok()).collect();
    names.sort();
    if numbers.is_some() {
        names.sort_by_key(|name| name.parse::<u64>().unwrap_or_default());
    }
    let mut seen = BTreeMap::new();
    for name in &names {
        if let Some(first) = seen.insert(name.to_lowercase(), name) {
            let (first, second) = (first.clone(), name.clone());
            return Err(Error::CaseTwins { name: source.into(), first, second });
        }
    }
    Ok(names)
}

/// ImageNet's names for its synsets, if all of these are some.
pub(crate) fn of_synsets(names: &[String]) -> Option<Vec<String>> {
    names.iter().map(|name| Some(imagenet().get(synset(name)?)?.to_string())).collect()
}

fn lines(text: &'static str) -> Vec<&'static str> {
    text.lines().collect()
}

/// Reads a file of names, one on each line: in the order of the classes, or each with its class's number before it.
/// `name` is what errors call the file.
///
/// Numbers count from 0 or 1 and end with a colon, comma, tab or blank; around the names may be quotes, and around it
/// all the braces of a Python dictionary. A byte-order mark (of UTF-16 too) and the line ends of other systems are no
/// part of names. A JSON list of names is read too, and a JSON dictionary of names by number (ImageNet's with a synset
/// before each) or of numbers by name; and a list below a heading, as YAML has it.
///
/// ```
/// use zoo_data::classes::parse;
///
/// assert_eq!(parse("\u{feff}cat\r\ndog\r\n".as_bytes(), "names.txt")?, ["cat", "dog"]);
/// assert_eq!(parse(b"1: dog\n0: cat\n", "names.txt")?, ["cat", "dog"]);
/// assert_eq!(parse(b"{0: 'tench, Tinca tinca',\n 1: \"goldfish\"}", "names.txt")?, ["tench, Tinca tinca", "goldfish"]);
/// # Ok::<(), zoo_data::Error>(())
/// ```
///
/// # Errors
/// Bytes that are no text, no name at all, an empty line between names, a number twice or left out.
pub fn parse(bytes: &[u8], name: &str) -> Result<Vec<String>> {
    let odd = |why: String| Error::ClassNames { name: name.into(), why };
    let text = decoded(bytes).ok_or_else(|| odd("it is no UTF-8 text".into()))?;
    if let Some(entries) = json(&text) {
        return in_order(entries.ok_or_else(|| odd("it is JSON, and no list of names".into()))?, odd);
    }
    let mut lines: Vec<&str> = text.trim_end().lines().map(str::trim).collect();
    // `names:` above numbers, which no name is.
    if let [heading, rest @ ..] = lines.as_slice()
        && heading.ends_with(':')
        && numbered(rest).is_some()
    {
        lines.remove(0);
    }
    if let Some(empty) = lines.iter().position(|line| line.is_empty()) {
        return Err(odd(match lines.len() {
            0 | 1 => "there is none in it".into(),
            _ => format!("line {} is empty", empty + 1),
        }));
    }
    if lines.is_empty() {
        return Err(odd("there is none in it".into()));
    }
    match numbered(&lines) {
        Some(numbered) => in_order(numbered, odd),
        None => Ok(lines.into_iter().map(String::from).collect()),
    }
}

/// The names in the order of their numbers, which must be all from 0 or 1 on.
fn in_order(mut numbered: Vec<(usize, String)>, odd: impl Fn(String) -> Error) -> Result<Vec<String>> {
    if numbered.is_empty() {
        return Err(odd("there is none in it".into()));
    }
    numbered.sort_by_key(|(number, _)| *number);
    let first = numbered[0].0;
    let gap = numbered.iter().enumerate().find(|(index, (number, _))| *number != first + index);
    match gap {
        _ if first > 1 => Err(odd(format!("its numbers begin with {first}, where 0 or 1 is expected"))),
        Some((index, (number, _))) if *number < first + index => {
            Err(odd(format!("the number {number} is given twice")))
        }
        Some((index, _)) => Err(odd(format!("the number {} is left out", first + index))),
        None => Ok(numbered.into_iter().map(|(_, name)| name).collect()),
    }
}

/// What a JSON text says of names and their numbers; nothing if it is no JSON, nothing inside if it is of something else.
fn json(text: &str) -> Option<Option<Vec<(usize, String)>>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let number = |text: &str| text.parse::<usize>().ok();
    // Of ImageNet's `["n01440764", "tench"]` the name is the last.
    let name = |value: &Value| {
        let text = value.as_array().and_then(|parts| parts.last()).unwrap_or(value).as_str()?;
        Some(text.to_string())
    };
    let entry = |key: &String, value: &Value| match value.as_u64() {
        Some(class) => Some((usize::try_from(class).ok()?, key.clone())),
        None => Some((number(key)?, name(value)?)),
    };
    match &value {
        Value::Array(names) => Some(
            names
                .iter()
                .map(Value::as_str)
                .enumerate()
                .map(|(at, name)| Some((at, name?.to_string())))
                .collect(),
        ),
        Value::Object(entries) => Some(entries.iter().map(|(key, value)| entry(key, value)).collect()),
        // A lone word or number is a name as any other.
        _ => None,
    }
}

/// The names that stand for more than one class, each with its classes.
///
/// ```
/// let names = ["crane", "kite", "crane"].map(String::from);
/// assert_eq!(zoo_data::classes::repeated(&names), [("crane", vec![0, 2])]);
/// ```
pub fn repeated(names: &[String]) -> Vec<(&str, Vec<usize>)> {
    let mut classes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (class, name) in names.iter().enumerate() {
        classes.entry(name).or_default().push(class);
    }
    classes.into_iter().filter(|(_, classes)| classes.len() > 1).collect()
}

/// UTF-8, or what a byte-order mark says.
fn decoded(bytes: &[u8]) -> Option<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        rest.is_empty()
            .then(|| String::from_utf16(&units.iter().map(|&pair| unit(pair)).collect::<Vec<_>>()).ok())?
    };
    match bytes {
        [0xef, 0xbb, 0xbf, text @ ..] => String::from_utf8(text.to_vec()).ok(),
        [0xff, 0xfe, text @ ..] => utf16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => utf16(text, u16::from_be_bytes),
        text => String::from_utf8(text.to_vec()).ok(),
    }
}

/// Each line's number and name, if every line has both.
fn numbered(lines: &[&str]) -> Option<Vec<(usize, String)>> {
    let (first, last) = (lines.first()?, lines.last()?);
    let is_dictionary = first.starts_with('{') && last.ends_with('}');
    let mut found = Vec::with_capacity(lines.len());
    for line in lines {
        let line = match is_dictionary {
            true => line.trim_start_matches('{').trim_end_matches('}').trim(),
            false => line,
        };
        if line.is_empty() && is_dictionary {
            continue;
        }
        let digits = line.find(|letter: char| !letter.is_ascii_digit())?;
        let number = line[..digits].parse().ok()?;
        let name = line[digits..].strip_prefix([':', ',', '\t', ' '])?.trim();
        let bare = name.strip_suffix(',').unwrap_or(name);
        let inside = |quote: char| bare.strip_prefix(quote)?.strip_suffix(quote);
        let name = inside('\'').or_else(|| inside('"')).unwrap_or(name);
        if name.is_empty() {
            return None;
        }
        found.push((number, name.to_string()));
    }
    // `3 series` and `5 series` are names; of a blank behind the number only whole sequences are believed.
    let blanks = lines
        .iter()
        .any(|line| line.trim_start_matches(|letter: char| letter.is_ascii_digit()).starts_with(' '));
    let mut numbers: Vec<usize> = found.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    let first = *numbers.first()?;
    let whole = first <= 1 && numbers.iter().enumerate().all(|(index, number)| *number == first + index);
    (whole || !blanks).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_many_forms() {
        let names = |text: &str| parse(text.as_bytes(), "x").unwrap();
        for text in [
            "cat\ndog",
            "cat\r\ndog\r\n\r\n",
            "\u{feff}cat\n dog \n",
            "0: cat\n1: dog",
            "0:cat\n1:dog\n",
            "2\tdog\n1\tcat",
            "0,cat\n1,dog",
            "0 cat\n1 dog",
            "{0: 'cat',\n 1: 'dog'}",
            "{\n0: \"cat\",\n1: \"dog\",\n}\n",
            "names:\n  0: cat\n  1: dog\n",
            "[\"cat\", \"dog\"]",
            "{\"1\": \"dog\", \"0\": \"cat\"}",
            "{\"0\": [\"n01\", \"cat\"], \"1\": [\"n02\", \"dog\"]}",
            "{\"dog\": 1, \"cat\": 0}",
        ] {
            assert_eq!(names(text), ["cat", "dog"], "{text:?}");
        }
        let wide: Vec<u8> = "\u{feff}cat\r\ndog".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse(&wide, "x").unwrap(), ["cat", "dog"]);
        // Numbers that are names, or parts of them.
        assert_eq!(names("0\n1\n2"), ["0", "1", "2"]);
        assert_eq!(names("3 series\n5 series"), ["3 series", "5 series"]);
        assert_eq!(names("0: cat\ndog"), ["0: cat", "dog"]);
        assert_eq!(names("'cat'\n{dog}"), ["'cat'", "{dog}"]);
    }

    #[test]
    fn what_is_no_list_of_names_is_refused() {
        for (bytes, why) in [
            (&b""[..], "none in it"),
            (b"\n \n", "none in it"),
            (b"cat\n\ndog", "line 2 is empty"),
            (b"caf\xe9\n", "UTF-8"),
            (b"[]", "none in it"),
            (b"{\"cat\": \"dog\"}", "no list of names"),
            (b"[1, 2]", "no list of names"),
            (b"\xff\xfec", "UTF-8"),
            (b"0: cat\n2: dog", "1 is left out"),
            (b"0: cat\n0: dog", "0 is given twice"),
            (b"7: cat\n8: dog", "begin with 7"),
        ] {
            let error = parse(bytes, "names.txt").unwrap_err().to_string();
            assert!(error.starts_with("names.txt: ") && error.contains(why), "{error}");
        }
    }
}
