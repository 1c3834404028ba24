//! Pictures of a run, as SVG: how it went, and what it takes for what.

use std::fmt::Write;

use crate::Epoch;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 28.0;
const BELOW: f64 = 36.0;

/// Classes whose numbers still fit into their fields.
const NUMBERED: usize = 24;

/// The curves of a run: losses above, accuracy below.
pub fn curves(history: &[Epoch]) -> String {
    let of = |value: fn(&Epoch) -> Option<f64>| history.iter().map(value).collect::<Vec<_>>();
    let losses = [
        ("loss", "#1f77b4", of(|epoch| Some(epoch.loss))),
        ("validation loss", "#d62728", of(|epoch| epoch.validation_loss)),
    ];
    let accuracy = [
        ("accuracy, %", "#1f77b4", of(|epoch| epoch.top1.map(|share| share * 100.0))),
        ("validation accuracy, %", "#d62728", of(|epoch| epoch.validation_top1.map(|share| share * 100.0))),
    ];
    let mut svg = open(WIDTH, 2.0 * HEIGHT);
    panel(&mut svg, 0.0, &losses);
    panel(&mut svg, HEIGHT, &accuracy);
    svg + "</svg>\n"
}

type Line = (&'static str, &'static str, Vec<Option<f64>>);

fn panel(svg: &mut String, top: f64, lines: &[Line]) {
    let values = || lines.iter().flat_map(|(.., values)| values.iter().flatten()).copied();
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    let (low, high) = if low > high { (0.0, 1.0) } else { (low, high.max(low + 1e-9)) };
    let epochs = lines.iter().map(|(.., values)| values.len()).max().unwrap_or(0);
    let (right, bottom) = (WIDTH - 16.0, top + HEIGHT - BELOW);
    let x = |epoch: usize| LEFT + (right - LEFT) * epoch as f64 / epochs.saturating_sub(1).max(1) as f64;
    let y = |value: f64| bottom - (bottom - top - TOP) * (value - low) / (high - low);
    for part in 0..=4 {
        let value = low + (high - low) * f64::from(part) / 4.0;
        let at = y(value);
        line(svg, (LEFT, at), (right, at), "#ddd");
        text(svg, (LEFT - 6.0, at + 4.0), "end", &short(value));
    }
    for part in 0..=epochs.saturating_sub(1).min(5) {
        let epoch = epochs.saturating_sub(1) * part / epochs.saturating_sub(1).clamp(1, 5);
        text(svg, (x(epoch), bottom + 16.0), "middle", &(epoch + 1).to_string());
    }
    for (place, (name, colour, values)) in lines.iter().enumerate() {
        let points = values.iter().enumerate().filter_map(|(epoch, value)| Some((x(epoch), y((*value)?))));
        let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            r#"<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{}"/>"#,
            points.join(" ")
        );
        let at = LEFT + 8.0 + 150.0 * place as f64;
        line(svg, (at, top + 14.0), (at + 16.0, top + 14.0), colour);
        text(svg, (at + 22.0, top + 18.0), "start", name);
    }
    text(svg, ((LEFT + right) / 2.0, bottom + 31.0), "middle", "epoch");
}

/// What a network takes for what: a row for each true class, shaded by the share of its pictures.
pub fn confusion(classes: &[String], counts: &[Vec<usize>]) -> String {
    let field = if counts.len() > NUMBERED { 8.0 } else { 34.0 };
    let longest = classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).min(24) as f64;
    let (left, top) = (longest * 7.0 + 20.0, longest * 7.0 + 24.0);
    let side = field * counts.len() as f64;
    let mut svg = open(left + side + 16.0, top + side + 16.0);
    text(&mut svg, (left, 14.0), "start", "taken for");
    for (row, counted) in counts.iter().enumerate() {
        let all: usize = counted.iter().sum();
        let y = top + field * row as f64;
        // What never happened is paper: of a thousand classes nearly everything.
        for (column, &count) in counted.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (x, share) = (left + field * column as f64, count as f64 / all.max(1) as f64);
            let shade = (255.0 * (1.0 - share)).round() as u8;
            let fill = if row == column {
                format!("rgb({shade},255,{shade})")
            } else {
                format!("rgb(255,{shade},{shade})")
            };
            let _ = writeln!(
                svg,
                r##"<rect x="{x}" y="{y}" width="{field}" height="{field}" fill="{fill}" stroke="#eee"><title>{}: {count} of {all} as {}</title></rect>"##,
                escaped(&name(classes, row)),
                escaped(&name(classes, column))
            );
            if counts.len() <= NUMBERED {
                text(&mut svg, (x + field / 2.0, y + field / 2.0 + 4.0), "middle", &count.to_string());
            }
        }
        if counts.len() <= NUMBERED {
            text(&mut svg, (left - 6.0, y + field / 2.0 + 4.0), "end", &name(classes, row));
            let x = left + field * row as f64 + field / 2.0 + 4.0;
            let _ = writeln!(
                svg,
                r#"<text x="{x}" y="{}" transform="rotate(-90 {x} {})">{}</text>"#,
                top - 6.0,
                top - 6.0,
                escaped(&name(classes, row))
            );
        }
    }
    svg + "</svg>\n"
}

fn name(classes: &[String], index: usize) -> String {
    classes.get(index).map_or_else(|| index.to_string(), |class| class.chars().take(24).collect())
}

fn open(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    )
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let _ = writeln!(
        svg,
        r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}"/>"#,
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_are_drawn_of_nothing_too() {
        assert!(curves(&[]).ends_with("</svg>\n"));
        let epoch = |epoch, loss, top1| Epoch {
            stage: "all".into(),
            epoch,
            loss,
            top1: None,
            rate: 0.1,
            validation_loss: None,
            validation_top1: top1,
            validation_iou: None,
        };
        let drawn = curves(&[epoch(1, 2.0, None), epoch(2, 1.0, Some(0.5))]);
        assert!(drawn.contains("points=\"56.0,28.0 624.0,224.0\"") && !drawn.contains("NaN"), "{drawn}");
        let classes = ["a<b".to_string(), "c".to_string()];
        let drawn = confusion(&classes, &[vec![3, 1], vec![0, 0]]);
        assert!(drawn.contains("a&lt;b") && drawn.contains("3 of 4"), "{drawn}");
    }
}
