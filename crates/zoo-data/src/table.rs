//! A table of pictures: CSV or TSV, a line for each, with the path of its file and its label.
//!
//! ```text
//! path,label,split,group
//! photos/1.jpg,cat,train,tom
//! photos/2.jpg,dog,test,rex
//! ```
//!
//! The first line names the columns, in any order: of paths (`path`, `file`, `filename`, `image`, `image_path`), of labels
//! (`label`, `class`, `category`, `target`), and, where they are wanted, of parts (`split`, `part`, `set`) and of groups
//! that stay together (`group`). Others are passed over. Columns are separated by commas, semicolons or tabs, whichever
//! the first line has most of. Paths are relative to the table's folder and stay in it.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::folder::{name_within, of_files};
use crate::{
    Dataset, Error, Finding, Fingerprint, LeftOut, Part, Result, Stored, Why, classes, picture, shown,
};

const PATHS: [&str; 6] = ["path", "file", "filename", "image", "image_path", "filepath"];
const LABELS: [&str; 4] = ["label", "class", "category", "target"];
const PARTS: [&str; 3] = ["split", "part", "set"];
const GROUPS: [&str; 1] = ["group"];

/// Pictures that a table lists.
#[derive(Debug, Clone)]
pub struct Table {
    root: PathBuf,
    classes: Vec<String>,
    rows: Vec<Row>,
    findings: Vec<Finding>,
}

#[derive(Debug, Clone)]
struct Row {
    path: PathBuf,
    label: usize,
    part: Option<Part>,
    group: Option<String>,
}

impl Table {
    /// Reads a table. A file that isn't there is left out, by name.
    ///
    /// # Errors
    /// A table that can't be read, has no column of paths or labels, a line without one of both, a path that leads out of
    /// the table's folder or occurs twice, a part that is none; no class, or two that differ in case alone.
    pub fn read(path: &Path) -> Result<Table> {
        let name = shown(path);
        let bytes = fs::read(path).map_err(|source| Error::Io { name: name.clone(), source })?;
        let root = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter(text)).trim(csv::Trim::All).from_reader(text);
        let broken = |source: csv::Error| Error::Table { name: name.clone(), source: source.into() };
        let columns = Columns::find(reader.headers().map_err(broken)?, &name)?;

        let mut lines: Vec<(Line, u64)> = Vec::new();
        let mut findings = Vec::new();
        let mut seen: HashMap<PathBuf, u64> = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(broken)?;
            let number = record.position().map_or(0, csv::Position::line);
            let fault = |why: String| Error::TableLine { name: name.clone(), line: number, why };
            let line = columns.line(&record, &root).map_err(fault)?;
            if let Some(first) = seen.insert(line.path.clone(), number) {
                let picture = name_within(&root, &line.path);
                return Err(fault(format!("{picture} stands in line {first} already; leave one of both")));
            }
            match fs::metadata(&line.path) {
                Ok(kind) if kind.is_file() => lines.push((line, number)),
                Ok(_) => findings.push(Finding::LeftOut(LeftOut { path: line.path, why: Why::Irregular })),
                Err(source) => {
                    let why = Why::Unreadable(source.to_string());
                    findings.push(Finding::LeftOut(LeftOut { path: line.path, why }));
                }
            }
        }
        let names: BTreeSet<&str> = lines.iter().map(|(line, _)| line.label.as_str()).collect();
        if names.is_empty() {
            return Err(Error::TooFewClasses {
                folder: path.into(),
                found: names.len(),
                why: crate::finding::told(&findings),
            });
        }
        let names = classes::ordered(names.into_iter().map(String::from).collect(), &name)?;
        let places: HashMap<&str, usize> =
            names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        let row = |(line, _): (Line, u64)| Row {
            label: places.get(line.label.as_str()).copied().unwrap_or_default(),
            path: line.path,
            part: line.part,
            group: line.group,
        };
        let rows = lines.into_iter().map(row).collect();
        let classes = classes::of_synsets(&names).unwrap_or(names);
        Ok(Table { root, classes, rows, findings })
    }
}

/// A line, before the classes have numbers.
struct Line {
    path: PathBuf,
    label: String,
    part: Option<Part>,
    group: Option<String>,
}

/// Where in a line everything stands.
struct Columns {
    path: usize,
    label: usize,
    part: Option<usize>,
    group: Option<usize>,
}

impl Columns {
    fn find(head: &csv::StringRecord, name: &str) -> Result<Columns> {
        let place = |wanted: &[&str]| {
            let is = |name: &str, column: &str| column.eq_ignore_ascii_case(name);
            wanted.iter().find_map(|name| head.iter().position(|column| is(name, column)))
        };
        let needed = |wanted: &[&str], what| {
            place(wanted).ok_or_else(|| {
                let quoted = |names: &mut dyn Iterator<Item = &str>| {
                    let names: Vec<String> = names.map(|name| format!("`{}`", name.escape_debug())).collect();
                    if names.is_empty() { "nothing".into() } else { names.join(", ") }
                };
                Error::MissingColumn {
                    name: name.into(),
                    what,
                    found: quoted(&mut head.iter()),
                    wanted: quoted(&mut wanted.iter().copied()),
                }
            })
        };
        Ok(Columns {
            path: needed(&PATHS, "paths")?,
            label: needed(&LABELS, "labels")?,
            part: place(&PARTS),
            group: place(&GROUPS),
        })
    }

    fn line(&self, record: &csv::StringRecord, root: &Path) -> std::result::Result<Line, String> {
        let cell = |column: usize| record.get(column).filter(|cell| !cell.is_empty());
        let optional = |column: Option<usize>| column.and_then(cell);
        let path = cell(self.path).ok_or("has no path; write one, or take the line out")?;
        let label = cell(self.label).ok_or("has no label; write one, or take the line out")?;
        let part = optional(self.part)
            .map(|part| Part::named(part).ok_or(format!("`{part}` is no part; write train, val or test")));
        Ok(Line {
            path: root.join(inside(path).ok_or_else(|| {
                format!("the path `{path}` leads out of the table's folder; put the table above its pictures")
            })?),
            label: label.into(),
            part: part.transpose()?,
            group: optional(self.group).map(String::from),
        })
    }
}

/// A path without `.` and `..`; nothing if it leads out of where it begins.
fn inside(path: &str) -> Option<PathBuf> {
    let mut inner = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => inner.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !inner.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (inner != Path::new("")).then_some(inner)
}

/// What the first line has most of, of the three that separate columns.
fn delimiter(text: &[u8]) -> u8 {
    let head = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| head.iter().filter(|&&byte| byte == wanted).count();
    [b'\t', b';', b','].into_iter().max_by_key(|&byte| count(byte)).unwrap_or(b',')
}

impl Dataset for Table {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        self.rows[index].label
    }

    fn name(&self, index: usize) -> String {
        name_within(&self.root, &self.rows[index].path)
    }

    fn part(&self, index: usize) -> Option<Part> {
        self.rows[index].part
    }

    fn group(&self, index: usize) -> Option<String> {
        self.rows[index].group.clone()
    }

    fn stored(&self, index: usize) -> Result<Stored> {
        Ok(Stored::File(picture::read(&self.rows[index].path)?))
    }

    fn fingerprint(&self) -> Result<Fingerprint> {
        of_files(self, |index| &self.rows[index].path)
    }

    fn findings(&self) -> &[Finding] {
        &self.findings
    }
}
