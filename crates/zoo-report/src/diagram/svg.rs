//! The page as SVG, in light and dark.

use std::fmt::Write;

use super::{
    Theme,
    marks::{Anchor, Mark, Point, Style},
    page::Page,
};

/// Colours by class: fill and line in light, fill and line in dark.
const COLOURS: &[(&str, [&str; 4])] = &[
    ("conv", ["#e4edff", "#5b8def", "#1d2f52", "#6f9df5"]),
    ("depthwise", ["#dbf4f0", "#2fa393", "#12383a", "#49bfae"]),
    ("dense", ["#efe7ff", "#9068dd", "#33254f", "#a98bea"]),
    ("pool", ["#ffeadd", "#e8894a", "#472a19", "#ee9a63"]),
    ("norm", ["#fff4cf", "#cfa52a", "#3f3615", "#d9b648"]),
    ("act", ["#e8f6de", "#6fb14b", "#22381a", "#86c763"]),
    ("resize", ["#fde6f1", "#d8679d", "#47203a", "#e585b2"]),
    ("other", ["#eef0f4", "#8e98a8", "#2a313d", "#8994a6"]),
    ("merge", ["#eceff4", "#5d6878", "#2b323e", "#a3aebd"]),
    ("end", ["#2b3444", "#2b3444", "#d5dbe5", "#d5dbe5"]),
    ("frame", ["#f6f8fb", "#ccd4e0", "#161c26", "#394355"]),
    ("inner", ["#ffffff", "#d3dae5", "#1b222e", "#414c60"]),
    ("head", ["#e9edf4", "none", "#252e3d", "none"]),
    ("badge", ["#2b3444", "none", "#d5dbe5", "none"]),
    ("sum", ["#ffffff", "#5d6878", "#1b222e", "#a3aebd"]),
    ("page", ["#ffffff", "none", "#0f141c", "none"]),
];
/// Colours of lines and text: light, dark.
const LINE: [&str; 2] = ["#7b8696", "#8a95a6"];
const INK: [&str; 2] = ["#1d2430", "#e6eaf1"];
const MUTED: [&str; 2] = ["#566173", "#a4aebd"];
const ON_DARK: [&str; 2] = ["#ffffff", "#141a24"];

/// A drawing, for a page of HTML or a file of its own.
pub(crate) fn svg(page: &Page, name: &str, theme: Theme) -> String {
    let mut text = String::new();
    let (width, height) = (page.width.ceil(), page.height.ceil());
    let name = escaped(name);
    let _ = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} \
         {height}\" role=\"img\" aria-label=\"{name}\">\n<title>{name}</title>\n<style>\n{}</style>\n<defs><marker \
         id=\"point\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path class=\"point\" d=\"M0 1L10 5L0 9Z\"/></marker></defs>\n<rect class=\"page\" \
         width=\"100%\" height=\"100%\"/>",
        style(theme)
    );
    for mark in &page.marks {
        draw(&mut text, mark);
    }
    text += "</svg>\n";
    text
}

fn draw(text: &mut String, mark: &Mark) {
    let tipped = |shape: String, tip: &str| match tip.is_empty() {
        true => format!("{shape}/>"),
        false => {
            let name = shape.split([' ', '<']).nth(1).unwrap_or_default().to_string();
            format!("{shape}><title>{}</title></{name}>", escaped(tip))
        }
    };
    let _ = match mark {
        Mark::Box { at, size, radius, class, tip } => {
            let shape = format!(
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{}\"",
                number(at.0),
                number(at.1),
                number(size.0),
                number(size.1),
                number(*radius)
            );
            writeln!(text, "{}", tipped(shape, tip))
        }
        Mark::Circle { at, radius, class, tip } => {
            let shape = format!(
                "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"",
                number(at.0),
                number(at.1),
                number(*radius)
            );
            writeln!(text, "{}", tipped(shape, tip))
        }
        Mark::Line { points, arrow } => {
            let point = if *arrow { " marker-end=\"url(#point)\"" } else { "" };
            writeln!(text, "<path class=\"line\" d=\"{}\"{point}/>", rounded(points))
        }
        Mark::Text { at, anchor, style, text: words } => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let (x, y) = (number(at.0), number(at.1));
            let class = style.class();
            writeln!(text, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>{}</text>", escaped(words))
        }
    };
}

/// A path whose corners are round.
fn rounded(points: &[Point]) -> String {
    const RADIUS: f32 = 8.0;
    let told = |(x, y): Point| format!("{} {}", number(x), number(y));
    let mut path = points.first().map_or(String::new(), |first| format!("M{}", told(*first)));
    for corner in points.windows(3) {
        let [before, at, behind] = [corner[0], corner[1], corner[2]];
        let length = |(x, y): Point| (x - at.0).hypot(y - at.1);
        let radius = RADIUS.min(length(before) / 2.0).min(length(behind) / 2.0);
        let towards = |end: Point| {
            let share = if length(end) > 0.0 { radius / length(end) } else { 0.0 };
            (at.0 + (end.0 - at.0) * share, at.1 + (end.1 - at.1) * share)
        };
        let _ = write!(path, "L{}Q{} {}", told(towards(before)), told(at), told(towards(behind)));
    }
    if let [.., last] = points {
        let _ = write!(path, "L{}", told(*last));
    }
    path
}

fn style(theme: Theme) -> String {
    let mut text = String::from(
        "text{font-family:Inter,'Segoe UI','Helvetica Neue',Arial,'DejaVu Sans',sans-serif}\n\
         .line{fill:none;stroke-width:1.5}\n.box{stroke-width:1.3}\n.frame{stroke-width:1.1}\n.sum{stroke-width:1.5}\n",
    );
    for style in
        [Style::Heading, Style::Title, Style::Frame, Style::Small, Style::Shape, Style::End, Style::Badge]
    {
        let (size, bold) = style.font();
        let weight = if bold { ";font-weight:600" } else { "" };
        let _ = writeln!(text, ".{}{{font-size:{size}px{weight}}}", style.class());
    }
    match theme {
        Theme::Light => text += &colours(0),
        Theme::Dark => text += &colours(1),
        Theme::Auto => {
            text += &colours(0);
            let _ = write!(text, "@media (prefers-color-scheme:dark){{\n{}}}\n", colours(1));
        }
    }
    text
}

fn colours(theme: usize) -> String {
    let mut text = String::new();
    for (class, colours) in COLOURS {
        let (fill, line) = (colours[2 * theme], colours[2 * theme + 1]);
        let _ = writeln!(text, ".{class}{{fill:{fill};stroke:{line}}}");
    }
    let _ = writeln!(text, ".line{{stroke:{}}}\n.point{{fill:{}}}", LINE[theme], LINE[theme]);
    let _ = writeln!(text, ".heading,.title,.frame-name{{fill:{}}}", INK[theme]);
    let _ = writeln!(text, ".small,.shape{{fill:{}}}", MUTED[theme]);
    let _ = writeln!(text, ".badge-text,.end-name{{fill:{}}}", ON_DARK[theme]);
    text
}

/// A coordinate with a decimal at most.
fn number(value: f32) -> String {
    let told = format!("{value:.1}");
    told.strip_suffix(".0").map_or(told.clone(), Into::into)
}

/// Text as XML wants it. Control characters, which it has no words for, are left out.
pub(crate) fn escaped(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => told += "&amp;",
            '<' => told += "&lt;",
            '>' => told += "&gt;",
            '"' => told += "&quot;",
            '\n' => told += "&#10;",
            letter if letter.is_control() => {}
            letter => told.push(letter),
        }
    }
    told
}

/// Fill and line of a class, on white.
pub(crate) fn light(class: &str) -> (&'static str, &'static str) {
    let found = COLOURS.iter().find(|(name, _)| *name == class);
    found.map_or(("#ffffff", INK[0]), |(_, colours)| (colours[0], colours[1]))
}
