//! Networks as bubbles: what they cost, how good they are, how large they are.

use std::fmt::Write;

use crate::{
    Theme,
    diagram::{marks::Style, svg::escaped},
};

/// One network in a [`Plot`].
#[derive(Clone, Debug)]
pub struct Bubble {
    /// What is written beside it.
    pub name: String,
    /// What it is coloured by.
    pub group: String,
    /// Cost; above 0, the axis is logarithmic.
    pub x: f64,
    /// Height.
    pub y: f64,
    /// What its area stands for.
    pub size: f64,
}

/// Bubbles over two axes.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// What the lower axis counts.
    pub x_label: String,
    /// How a number is written on the lower axis.
    pub x_tick: fn(f64) -> String,
    /// What the left axis counts.
    pub y_label: String,
    /// What the areas stand for.
    pub size_label: String,
    /// The networks.
    pub bubbles: Vec<Bubble>,
}

/// A rectangle: left, top, right, bottom.
type Area = [f32; 4];

const WIDTH: f32 = 1180.0;
const HEIGHT: f32 = 900.0;
/// Where the bubbles are.
const FIELD: Area = [76.0, 76.0, 980.0, 830.0];
/// The radius of the largest bubble.
const LARGEST: f32 = 24.0;
const SMALLEST: f32 = 3.0;
/// Distances from a bubble at which a label is tried.
const RINGS: [f32; 10] = [3.0, 10.0, 20.0, 34.0, 50.0, 70.0, 95.0, 125.0, 160.0, 220.0];

/// Colours of groups: in light and in dark.
const GROUPS: [[&str; 2]; 12] = [
    ["#3b6fd8", "#7ba5f7"],
    ["#d9622b", "#f2935f"],
    ["#2a9d74", "#53c79b"],
    ["#b0479c", "#dc7dca"],
    ["#b08a13", "#dcb945"],
    ["#c43f4f", "#ee7684"],
    ["#1d93b0", "#52c0dc"],
    ["#7a58c9", "#a98ff0"],
    ["#6d8a1f", "#a3c24b"],
    ["#94623a", "#c9946a"],
    ["#5d6b80", "#9dabc0"],
    ["#d04a8a", "#f284b6"],
];

/// A bubble where it is drawn.
struct Placed<'a> {
    bubble: &'a Bubble,
    at: (f32, f32),
    radius: f32,
    group: usize,
}

impl Plot {
    /// The plot as SVG. Labels lie over no bubble, no other label and no line that leads to one.
    pub fn svg(&self, theme: Theme) -> String {
        let mut groups: Vec<&str> = Vec::new();
        for bubble in &self.bubbles {
            if !groups.contains(&bubble.group.as_str()) {
                groups.push(&bubble.group);
            }
        }
        let (low, high) = range(self.bubbles.iter().map(|bubble| bubble.x.max(f64::MIN_POSITIVE).log10()));
        let (low, high) = (low - 0.07 * (high - low) - 0.02, high + 0.07 * (high - low) + 0.02);
        let (least, most) = range(self.bubbles.iter().map(|bubble| bubble.y));
        let (least, most) = (least - 0.08 * (most - least) - 0.1, most + 0.08 * (most - least) + 0.1);
        let x = |value: f64| FIELD[0] + (FIELD[2] - FIELD[0]) * ((value.log10() - low) / (high - low)) as f32;
        let y = |value: f64| FIELD[3] - (FIELD[3] - FIELD[1]) * ((value - least) / (most - least)) as f32;
        let largest = self.bubbles.iter().map(|bubble| bubble.size).fold(f64::MIN_POSITIVE, f64::max);
        let radius = |size: f64| (LARGEST * (size / largest).max(0.0).sqrt() as f32).max(SMALLEST);
        let mut placed: Vec<Placed<'_>> = self
            .bubbles
            .iter()
            .map(|bubble| Placed {
                bubble,
                at: (x(bubble.x.max(f64::MIN_POSITIVE)), y(bubble.y)),
                radius: radius(bubble.size),
                group: groups.iter().position(|group| *group == bubble.group).unwrap_or(0) % GROUPS.len(),
            })
            .collect();
        // Small ones are drawn over large ones.
        placed.sort_by(|a, b| b.radius.total_cmp(&a.radius).then(a.bubble.name.cmp(&b.bubble.name)));
        let mut text = self.open(theme, groups.len());
        for tick in ticks_of_ten(low, high) {
            let at = x(tick);
            line(&mut text, "grid", (at, FIELD[1]), (at, FIELD[3]));
            words(&mut text, "small", (at, FIELD[3] + 20.0), "middle", &(self.x_tick)(tick));
        }
        let step = step(least, most);
        let mut tick = (least / step).ceil() * step;
        while tick <= most {
            line(&mut text, "grid", (FIELD[0], y(tick)), (FIELD[2], y(tick)));
            words(&mut text, "small", (FIELD[0] - 8.0, y(tick) + 4.0), "end", &plain(tick));
            tick += step;
        }
        for Placed { bubble, at, radius, group } in &placed {
            let _ = writeln!(
                text,
                "<circle class=\"bubble g{group}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\"><title>{}</title></circle>",
                at.0,
                at.1,
                escaped(&format!("{}: {}, {} %", bubble.name, (self.x_tick)(bubble.x), plain(bubble.y)))
            );
        }
        for (label, place) in labels(&placed) {
            if let Some((from, to)) = label.line {
                line(&mut text, "leader", from, to);
            }
            let foot = (label.area[0], label.area[3] - 3.5);
            words(&mut text, "name", foot, "start", &placed[place].bubble.name);
        }
        self.legend(&mut text, &groups, largest, radius);
        text + "</svg>\n"
    }

    fn open(&self, theme: Theme, groups: usize) -> String {
        let mut style = String::from(
            "text{font-family:Inter,'Segoe UI','Helvetica Neue',Arial,'DejaVu Sans',sans-serif;font-size:11px}\n\
             .heading{font-size:20px;font-weight:600}\n.axis{font-size:12.5px}\n.bubble{fill-opacity:.32;stroke-width:1.4}\n\
             .grid,.leader{stroke-width:1}\n",
        );
        let colours = |dark: usize| {
            let [page, ink, muted, grid] =
                [["#ffffff", "#1d2430", "#566173", "#e4e8ee"], ["#0f141c", "#e6eaf1", "#a4aebd", "#28313e"]]
                    [dark];
            let mut told = format!(
                ".page{{fill:{page}}}\n.heading,.name{{fill:{ink}}}\n.small,.axis{{fill:{muted}}}\n.grid{{stroke:{grid}}}\n\
                 .leader{{stroke:{muted};stroke-opacity:.6}}\n.ring{{fill:none;stroke:{muted}}}\n"
            );
            for (group, colour) in GROUPS.iter().enumerate().take(groups) {
                let _ = writeln!(told, ".g{group}{{fill:{0};stroke:{0}}}", colour[dark]);
            }
            told
        };
        match theme {
            Theme::Light => style += &colours(0),
            Theme::Dark => style += &colours(1),
            Theme::Auto => {
                style += &colours(0);
                let _ = write!(style, "@media (prefers-color-scheme:dark){{\n{}}}\n", colours(1));
            }
        }
        let title = escaped(&self.title);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} \
             {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<style>\n{style}</style>\n<rect \
             class=\"page\" width=\"100%\" height=\"100%\"/>\n"
        );
        words(&mut text, "heading", (FIELD[0] - 44.0, 42.0), "start", &self.title);
        words(&mut text, "axis", ((FIELD[0] + FIELD[2]) / 2.0, FIELD[3] + 46.0), "middle", &self.x_label);
        let (x, y) = (26.0, (FIELD[1] + FIELD[3]) / 2.0);
        let _ = writeln!(
            text,
            "<text class=\"axis\" x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" transform=\"rotate(-90 {x} {y})\">{}</text>",
            escaped(&self.y_label)
        );
        text
    }

    /// What colours and areas mean, at the right.
    fn legend(&self, text: &mut String, groups: &[&str], largest: f64, radius: impl Fn(f64) -> f32) {
        let (x, mut y) = (FIELD[2] + 34.0, FIELD[1] + 10.0);
        for (place, group) in groups.iter().enumerate() {
            let class = place % GROUPS.len();
            let _ = writeln!(text, "<circle class=\"bubble g{class}\" cx=\"{x}\" cy=\"{y}\" r=\"6\"/>");
            words(text, "small", (x + 14.0, y + 4.0), "start", group);
            y += 22.0;
        }
        words(text, "small", (x - 8.0, y + 26.0), "start", &self.size_label);
        // The largest, and a third and a tenth of it, rounded to a digit; circles within each other on one foot.
        let foot = y + 44.0 + 2.0 * LARGEST;
        let middle = x + LARGEST - 8.0;
        let mut above = f32::MIN;
        for size in [largest, rounded(largest / 3.0), rounded(largest / 10.0)] {
            let r = radius(size);
            let _ = writeln!(
                text,
                "<circle class=\"ring\" cx=\"{middle:.1}\" cy=\"{:.1}\" r=\"{r:.1}\"/>",
                foot - r
            );
            let at = (foot - 2.0 * r + 4.0).max(above + 15.0);
            line(text, "leader", (middle, foot - 2.0 * r), (middle + LARGEST + 6.0, at - 4.0));
            words(text, "small", (middle + LARGEST + 10.0, at), "start", &crate::short(size as u64));
            above = at;
        }
    }
}

/// One digit and zeros.
fn rounded(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    (value / power).round() * power
}

/// Where a name is written, and the line that leads there from a bubble that is further off.
struct Label {
    area: Area,
    line: Option<((f32, f32), (f32, f32))>,
}

/// A free place for each name, those in the densest company first.
fn labels(placed: &[Placed<'_>]) -> Vec<(Label, usize)> {
    let near = |place: usize| {
        let at = placed[place].at;
        placed.iter().filter(|other| (other.at.0 - at.0).hypot((other.at.1 - at.1) * 2.0) < 90.0).count()
    };
    let mut order: Vec<usize> = (0..placed.len()).collect();
    order.sort_by_key(|place| (std::cmp::Reverse(near(*place)), *place));
    let mut labels: Vec<(Label, usize)> = Vec::new();
    for place in order {
        let mine = &placed[place];
        let width = Style::Shape.width(&mine.bubble.name);
        let candidates = RINGS
            .iter()
            .flat_map(|ring| (0..24).map(move |turn| (*ring, turn as f32 * std::f32::consts::TAU / 24.0)));
        let candidates = candidates.map(|(ring, angle)| {
            let (dx, dy) = (angle.cos(), angle.sin());
            let reach = mine.radius + ring;
            let end = (mine.at.0 + reach * dx, mine.at.1 - reach * dy);
            // The name stands on the far side of the point.
            let left = end.0 - width * (1.0 - dx) / 2.0;
            let middle = end.1 - 7.0 * dy;
            let area = [left, middle - 7.0, left + width, middle + 7.0];
            let start = (mine.at.0 + mine.radius * dx, mine.at.1 - mine.radius * dy);
            Label { area, line: (ring > 12.0).then_some((start, end)) }
        });
        let cost = |label: &Label| {
            let mut cost = 0.0;
            let [left, top, right, bottom] = label.area;
            if left < FIELD[0] + 2.0 || top < FIELD[1] || right > FIELD[2] + 20.0 || bottom > FIELD[3] - 2.0 {
                cost += 8.0;
            }
            for other in placed {
                let (x, y) = (other.at.0.clamp(left, right), other.at.1.clamp(top, bottom));
                if (x - other.at.0).hypot(y - other.at.1) < other.radius + 1.0 {
                    cost += 2.0;
                }
            }
            for (other, _) in &labels {
                let apart = label.area[0] > other.area[2] + 3.0
                    || other.area[0] > label.area[2] + 3.0
                    || label.area[1] > other.area[3] + 0.5
                    || other.area[1] > label.area[3] + 0.5;
                if !apart {
                    cost += 20.0;
                }
                if label.line.is_some_and(|line| crosses(line, other.area))
                    || other.line.is_some_and(|line| crosses(line, label.area))
                {
                    cost += 6.0;
                }
            }
            if let Some(line) = label.line {
                let over = placed.iter().filter(|other| !std::ptr::eq(*other, mine)).filter(|other| {
                    let (at, r) = (other.at, 0.7 * other.radius);
                    crosses(line, [at.0 - r, at.1 - r, at.0 + r, at.1 + r])
                });
                cost += 0.4 * over.count() as f32;
            }
            cost
        };
        let mut best: Option<(f32, Label)> = None;
        for label in candidates {
            let cost = cost(&label);
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, label));
            }
            if cost == 0.0 {
                break; // Those that follow are further off.
            }
        }
        labels.extend(best.map(|(_, label)| (label, place)));
    }
    labels
}

/// Whether a line passes through an area.
fn crosses((from, to): ((f32, f32), (f32, f32)), area: Area) -> bool {
    (1..20).any(|part| {
        let share = part as f32 / 20.0;
        let (x, y) = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
        area[0] < x && x < area[2] && area[1] < y && y < area[3]
    })
}

/// Least and greatest; some room where they are the same.
fn range(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    match low > high {
        true => (0.0, 1.0),
        false if low == high => (low - 0.5, high + 0.5),
        false => (low, high),
    }
}

/// 1, 2 and 5 times powers of ten between two exponents.
fn ticks_of_ten(low: f64, high: f64) -> Vec<f64> {
    let powers = low.floor() as i32..=high.ceil() as i32;
    let ticks = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|times| times * 10_f64.powi(power)));
    ticks.filter(|tick| (low..=high).contains(&tick.log10())).collect()
}

/// A distance between ticks that gives about eight of them.
fn step(low: f64, high: f64) -> f64 {
    let rough = (high - low) / 8.0;
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= rough).unwrap_or(power)
}

/// A number without zeros that say nothing.
fn plain(value: f64) -> String {
    let told = format!("{value:.3}");
    told.trim_end_matches('0').trim_end_matches('.').into()
}

fn line(text: &mut String, class: &str, from: (f32, f32), to: (f32, f32)) {
    let _ = writeln!(
        text,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn words(text: &mut String, class: &str, (x, y): (f32, f32), anchor: &str, told: &str) {
    let _ = writeln!(
        text,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escaped(told)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lie_over_nothing() {
        let bubble = |place: usize| Bubble {
            name: format!("network_number_{place}"),
            group: (place % 3).to_string(),
            x: 1e9 * (1.0 + (place * 7 % 20) as f64 / 10.0),
            y: 70.0 + (place * 5 % 9) as f64 / 3.0,
            size: 1e6 * (1 + place % 30) as f64,
        };
        let bubbles: Vec<Bubble> = (0..40).map(bubble).collect();
        let placed: Vec<Placed<'_>> = bubbles
            .iter()
            .enumerate()
            .map(|(place, bubble)| {
                let at = (200.0 + (place * 7 % 20) as f32 * 30.0, 300.0 + (place * 5 % 9) as f32 * 25.0);
                Placed { bubble, at, radius: 10.0, group: 0 }
            })
            .collect();
        let labels = labels(&placed);
        assert_eq!(labels.len(), 40);
        for (place, (label, _)) in labels.iter().enumerate() {
            for (other, _) in &labels[place + 1..] {
                let [a, b] = [label.area, other.area];
                assert!(a[0] >= b[2] || b[0] >= a[2] || a[1] >= b[3] || b[1] >= a[3], "{a:?} {b:?}");
            }
        }
        let plot = Plot {
            title: "a < b".into(),
            x_label: "x".into(),
            x_tick: |x| crate::short(x as u64),
            y_label: "y".into(),
            size_label: "size".into(),
            bubbles,
        };
        let svg = plot.svg(Theme::Auto);
        assert!(svg.contains("a &lt; b") && svg.contains(">2.00 G<") && !svg.contains("NaN"));
        let lonely = Plot { bubbles: plot.bubbles[..1].to_vec(), ..plot.clone() }.svg(Theme::Light);
        assert!(lonely.contains("network_number_0") && !lonely.contains("NaN"));
        assert!(!Plot { bubbles: Vec::new(), ..plot }.svg(Theme::Dark).contains("NaN"));
    }
}
