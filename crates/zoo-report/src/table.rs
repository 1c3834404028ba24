//! Tables for people, spreadsheets and documents.

use std::fmt::Write;

/// How a table is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Columns for a terminal.
    #[default]
    Table,
    /// One JSON value.
    Json,
    /// Comma-separated values (RFC 4180).
    Csv,
    /// A Markdown table.
    Markdown,
}

/// On which side a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// What stands in a cell: for people, and in comma-separated values, where a number is a number.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    shown: String,
    plain: Option<String>,
}

impl Cell {
    /// A number, and what people read instead: `11,689,512`, `1.814 G` or `12 %`.
    pub fn number(number: impl ToString, shown: impl Into<String>) -> Self {
        Self { shown: shown.into(), plain: Some(number.to_string()) }
    }

    /// A number of which people read so many decimals.
    pub fn rounded(number: f64, decimals: usize) -> Self {
        Self::number(nine(number), format!("{number:.decimals$}"))
    }

    /// A share of 1, in percent with so many decimals for people.
    pub fn share(share: f64, decimals: usize) -> Self {
        Self::number(nine(share), format!("{:.decimals$} %", share * 100.0))
    }

    /// An amount of memory.
    pub fn bytes(number: u64) -> Self {
        Self::number(number, zoo_base::size::bytes(number))
    }
}

/// A number to nine digits: what lies beyond is a conversion's noise, as in 165.35888100000003 ms.
fn nine(number: f64) -> f64 {
    format!("{number:.8e}").parse().unwrap_or(number)
}

impl std::fmt::Display for Cell {
    /// As people read it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.shown)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(words: T) -> Self {
        Self { shown: words.into(), plain: None }
    }
}

/// Rows of cells under a header.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    /// What the columns are called in comma-separated values.
    keys: Vec<String>,
    rows: Vec<Vec<Cell>>,
    shrinks: usize,
    /// Columns that a narrow terminal is spared, the least needed first.
    spared: Vec<usize>,
}

impl Table {
    /// An empty table; column `shrinks` gives way where the terminal is narrow.
    pub fn new(columns: &[(&str, Align)], shrinks: usize) -> Self {
        let columns: Vec<(String, Align)> =
            columns.iter().map(|(name, align)| ((*name).into(), *align)).collect();
        let keys = columns.iter().map(|(name, _)| name.clone()).collect();
        Self { columns, keys, rows: Vec::new(), shrinks, spared: Vec::new() }
    }

    /// With names of the columns for programs, which comma-separated values have and JSON's objects: `median_ms`
    /// where people read `median ms`. Columns without one keep their own.
    #[must_use]
    pub fn keys(mut self, keys: &[&str]) -> Self {
        for (own, key) in self.keys.iter_mut().zip(keys) {
            *own = (*key).into();
        }
        self
    }

    /// A narrow terminal is spared these columns, by number, the first of them first.
    #[must_use]
    pub fn sparing(mut self, columns: &[usize]) -> Self {
        self.spared = columns.to_vec();
        self
    }

    /// Adds a row; missing cells are empty. Control characters are written as escapes (`\n`, `\u{1b}`): a cell is a
    /// part of one line, and no terminal shall obey it.
    pub fn push(&mut self, cells: impl IntoIterator<Item = impl Into<Cell>>) {
        let cells = cells.into_iter().map(Into::into);
        let safe = |cell: Cell| Cell { shown: visible(cell.shown), plain: cell.plain.map(visible) };
        let mut row: Vec<Cell> = cells.map(safe).collect();
        row.resize(self.columns.len(), Cell::default());
        self.rows.push(row);
    }

    /// Columns for a terminal `width` characters wide; nothing is cut if `width` is `None`.
    pub fn text(&self, width: Option<usize>) -> String {
        let mut widths: Vec<usize> = self.columns.iter().map(|(name, _)| length(name)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(length(&cell.shown));
            }
        }
        let total = |widths: &[usize]| {
            let shown = widths.iter().filter(|width| **width > 0).count();
            widths.iter().sum::<usize>() + 2 * shown.saturating_sub(1)
        };
        if let Some(limit) = width {
            for &column in &self.spared {
                if total(&widths) > limit {
                    widths[column] = 0;
                }
            }
            // The column that may shrink gives way first, then other words, and at last the first one: it holds names.
            let mut words: Vec<usize> =
                (1..widths.len()).filter(|i| self.columns[*i].1 == Align::Left).collect();
            words.sort_by_key(|i| std::cmp::Reverse(widths[*i]));
            for column in std::iter::once(self.shrinks).chain(words).chain([0]) {
                let excess = total(&widths).saturating_sub(limit);
                widths[column] = widths[column].saturating_sub(excess).max(8.min(widths[column]));
            }
        }
        let mut text = String::new();
        self.line(&mut text, self.columns.iter().map(|(name, _)| name), &widths);
        let _ = writeln!(text, "{}", "─".repeat(total(&widths)));
        for row in &self.rows {
            self.line(&mut text, row.iter().map(|cell| &cell.shown), &widths);
        }
        text
    }

    fn line<'a>(&self, text: &mut String, cells: impl Iterator<Item = &'a String>, widths: &[usize]) {
        let mut line = String::new();
        for (i, (cell, width)) in cells.zip(widths).enumerate().filter(|(_, (_, width))| **width > 0) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            let cell = shortened(cell, *width);
            let gap = " ".repeat(width - length(&cell));
            let _ = match self.columns[i].1 {
                Align::Left => write!(line, "{cell}{gap}"),
                Align::Right => write!(line, "{gap}{cell}"),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }

    /// Comma-separated values, keys first, numbers plain.
    pub fn csv(&self) -> String {
        let quoted = |cell: &String| match cell.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.clone(),
        };
        let header: Vec<String> = self.keys.iter().map(quoted).collect();
        let plain = |cell: &Cell| quoted(cell.plain.as_ref().unwrap_or(&cell.shown));
        let rows = self.rows.iter().map(|row| row.iter().map(plain).collect());
        std::iter::once(header).chain(rows).map(|row| row.join(",") + "\n").collect()
    }

    /// A Markdown table.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.columns.iter().map(|(name, _)| name.clone()).collect());
        let rule = |(_, align): &(String, Align)| match align {
            Align::Left => "---".to_string(),
            Align::Right => "---:".to_string(),
        };
        text += &line(self.columns.iter().map(rule).collect());
        for row in &self.rows {
            text += &line(row.iter().map(|cell| marked_down(&cell.shown)).collect());
        }
        text
    }
}

fn visible(cell: String) -> String {
    match cell.contains(char::is_control) {
        true => cell
            .chars()
            .flat_map(|letter| {
                let (escaped, plain) = match letter.is_control() {
                    true => (Some(letter.escape_default()), None),
                    false => (None, Some(letter)),
                };
                escaped.into_iter().flatten().chain(plain)
            })
            .collect(),
        false => cell,
    }
}

/// What ends a cell or begins a tag in Markdown, made to stand for itself.
fn marked_down(cell: &str) -> String {
    cell.replace('\\', "\\\\").replace('|', "\\|").replace('<', "\\<")
}

fn length(cell: &str) -> usize {
    cell.chars().count()
}

/// The cell, cut to `width` with an ellipsis if it is longer.
fn shortened(cell: &str, width: usize) -> String {
    match length(cell) <= width {
        true => cell.into(),
        false => cell.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// `25,557,032`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `4.089 G`: a count with three decimals and its power of a thousand.
pub fn count(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => format!("{:.3} k", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.3} M", number as f64 / 1e6),
        _ => format!("{:.3} G", number as f64 / 1e9),
    }
}

/// `36.9 k`: three digits that say something.
pub fn short(number: u64) -> String {
    let (value, unit) = match number {
        0..1_000 => return number.to_string(),
        1_000..999_500 => (number as f64 / 1e3, "k"),
        999_500..999_500_000 => (number as f64 / 1e6, "M"),
        _ => (number as f64 / 1e9, "G"),
    };
    match value {
        ..9.995 => format!("{value:.2} {unit}"),
        9.995..99.95 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        assert_eq!(thousands(25_557_032), "25,557,032");
        assert_eq!(thousands(128), "128");
        assert_eq!(count(4_089_184_256), "4.089 G");
        let told = [7, 999, 1_000, 36_864, 99_960, 999_499, 999_500, 25_557_032, 4_089_184_256].map(short);
        assert_eq!(told, ["7", "999", "1.00 k", "36.9 k", "100 k", "999 k", "1.00 M", "25.6 M", "4.09 G"]);
    }

    #[test]
    fn a_cell_breaks_no_table() {
        let mut table = Table::new(&[("name", Align::Left), ("class", Align::Left)], 1);
        table.push(["a\nb\u{1b}[2J\u{9b}1m", "c|d \\ <b>, \"e\""]);
        assert_eq!(
            table.markdown().lines().last().unwrap(),
            r#"| a\\nb\\u{1b}[2J\\u{9b}1m | c\|d \\ \<b>, "e" |"#
        );
        assert_eq!(table.csv().lines().last().unwrap(), r#"a\nb\u{1b}[2J\u{9b}1m,"c|d \ <b>, ""e""""#);
        assert_eq!(table.text(None).lines().count(), 3);
        assert!(!table.text(None).contains(|letter: char| letter.is_control() && letter != '\n'));
    }

    #[test]
    fn a_narrow_terminal_is_spared_some_columns_and_programs_have_names_of_their_own() {
        let columns = ["model", "median ms", "p90", "memory"].map(|name| (name, Align::Right));
        let mut table = Table::new(&columns, 0).keys(&["model", "median_ms", "p90_ms"]).sparing(&[2, 1]);
        table.push([
            Cell::from("resnet50"),
            Cell::rounded(20.0, 2),
            Cell::rounded(25.0, 2),
            Cell::bytes(1500),
        ]);
        let heads = |width| table.text(width).lines().next().map(str::to_string);
        assert_eq!(heads(Some(80)).as_deref(), Some("   model  median ms    p90  memory"));
        assert_eq!(heads(Some(30)).as_deref(), Some("   model  median ms  memory"));
        assert_eq!(heads(Some(20)).as_deref(), Some("   model  memory"));
        assert_eq!(table.text(Some(20)).lines().nth(1).map(|rule| rule.chars().count()), Some(16));
        assert_eq!(table.csv(), "model,median_ms,p90_ms,memory\nresnet50,20,25,1500\n");
    }

    #[test]
    fn a_narrow_terminal_shortens_one_column() {
        let mut table = Table::new(&[("name", Align::Left), ("detail", Align::Left), ("n", Align::Right)], 1);
        table.push(["conv1", "a very long description", "1,000"]);
        let text = table.text(Some(30));
        assert!(text.lines().all(|line| line.chars().count() <= 30), "{text}");
        assert!(text.contains('…') && text.contains("1,000"), "{text}");
        assert_eq!(table.csv(), "name,detail,n\nconv1,a very long description,\"1,000\"\n");
        table.push([Cell::from("conv2"), Cell::from("short"), Cell::number(2_000, "2,000")]);
        assert_eq!(table.csv().lines().last(), Some("conv2,short,2000"));
        assert!(table.markdown().ends_with("| conv2 | short | 2,000 |\n"));
        table.push([Cell::rounded(165.35888100000003, 2), Cell::share(2.0 / 3.0, 0), Cell::bytes(1500)]);
        assert_eq!(table.csv().lines().last(), Some("165.358881,0.666666667,1500"));
        assert!(table.markdown().ends_with("| 165.36 | 67 % | 1.5 kB |\n"), "{}", table.markdown());
    }
}
