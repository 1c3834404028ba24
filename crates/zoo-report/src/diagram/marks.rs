//! What a drawing is made of, and how wide text is.

/// A point, x to the right and y down.
pub(crate) type Point = (f32, f32);

/// Something drawn.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    /// A rectangle with round corners.
    Box { at: Point, size: Point, radius: f32, class: String, tip: String },
    /// A circle.
    Circle { at: Point, radius: f32, class: &'static str, tip: String },
    /// Straight pieces with round corners.
    Line { points: Vec<Point>, arrow: bool },
    /// A line of text; `at` is where its foot stands.
    Text { at: Point, anchor: Anchor, style: Style, text: String },
}

/// On which side of its point a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// The network's name.
    Heading,
    /// What a box does.
    Title,
    /// A frame's name.
    Frame,
    /// Figures.
    Small,
    /// A shape on an arrow.
    Shape,
    /// Where the network begins or ends.
    End,
    /// A repeat count.
    Badge,
}

impl Style {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Heading => "heading",
            Self::Title => "title",
            Self::Frame => "frame-name",
            Self::Small => "small",
            Self::Shape => "shape",
            Self::End => "end-name",
            Self::Badge => "badge-text",
        }
    }

    /// Size in pixels, and whether it is bold.
    pub(crate) fn font(self) -> (f32, bool) {
        match self {
            Self::Heading => (24.0, true),
            Self::Title | Self::End => (13.0, true),
            Self::Frame => (13.0, true),
            Self::Small => (11.0, false),
            Self::Shape => (11.0, false),
            Self::Badge => (12.0, true),
        }
    }

    /// How wide a text is at most, in any of the fonts that are asked for.
    pub(crate) fn width(self, text: &str) -> f32 {
        let (size, bold) = self.font();
        let widths = if bold { &BOLD } else { &PLAIN };
        let hundredths: u32 = text
            .chars()
            .map(|letter| {
                let place = (letter as usize).checked_sub(32);
                let known = place.and_then(|place| widths.get(place)).copied();
                u32::from(known.unwrap_or(match letter {
                    '·' => 38,
                    '×' | '–' => 84,
                    _ => 105,
                }))
            })
            .sum();
        hundredths as f32 * size / 100.0
    }
}

/// Widths of the letters from the blank to the tilde, in hundredths of the size: DejaVu Sans, the widest of the fonts.
const PLAIN: [u8; 95] = [
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63,
    61, 73, 68, 99, 69, 61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97,
    63, 61, 63, 63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,
];
const BOLD: [u8; 95] = [
    35, 46, 52, 84, 70, 100, 87, 31, 46, 46, 52, 84, 38, 42, 38, 37, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70,
    40, 40, 84, 84, 84, 58, 100, 77, 76, 73, 83, 68, 68, 82, 84, 37, 37, 77, 64, 100, 84, 85, 73, 85, 77, 72,
    68, 81, 77, 110, 77, 72, 73, 46, 37, 46, 84, 50, 50, 67, 72, 59, 72, 68, 44, 72, 71, 34, 34, 67, 34, 104,
    71, 69, 72, 72, 49, 60, 48, 71, 65, 92, 65, 65, 58, 71, 37, 71, 84,
];

impl Mark {
    /// The same elsewhere.
    pub(crate) fn moved(mut self, by: Point) -> Self {
        let shift = |point: &mut Point| *point = (point.0 + by.0, point.1 + by.1);
        match &mut self {
            Self::Box { at, .. } | Self::Circle { at, .. } | Self::Text { at, .. } => shift(at),
            Self::Line { points, .. } => points.iter_mut().for_each(shift),
        }
        self
    }

    /// Left, top, right and bottom end.
    pub(crate) fn extent(&self) -> [f32; 4] {
        match self {
            Self::Box { at, size, .. } => [at.0, at.1, at.0 + size.0, at.1 + size.1],
            Self::Circle { at, radius, .. } => [at.0 - radius, at.1 - radius, at.0 + radius, at.1 + radius],
            Self::Line { points, .. } => {
                points.iter().fold([f32::MAX, f32::MAX, f32::MIN, f32::MIN], |e, p| {
                    [e[0].min(p.0), e[1].min(p.1), e[2].max(p.0), e[3].max(p.1)]
                })
            }
            Self::Text { at, anchor, style, text } => {
                let width = style.width(text);
                let left = match anchor {
                    Anchor::Start => at.0,
                    Anchor::Middle => at.0 - width / 2.0,
                    Anchor::End => at.0 - width,
                };
                let (size, _) = style.font();
                [left, at.1 - 0.8 * size, left + width, at.1 + 0.25 * size]
            }
        }
    }
}
