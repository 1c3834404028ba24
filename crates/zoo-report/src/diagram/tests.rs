//! Every network's drawing: nothing lies over anything else, nothing is cut, nothing is forgotten.

use zoo_layers::{Activation, Conv2d, Graph, Linear, Shape};

use super::{
    Drawing, Theme,
    marks::{Mark, Style},
    page::{Page, page},
};

/// By so many pixels things may touch.
const SLACK: f32 = 0.6;

fn meets(a: [f32; 4], b: [f32; 4]) -> bool {
    a[0] + SLACK < b[2] && b[0] + SLACK < a[2] && a[1] + SLACK < b[3] && b[1] + SLACK < a[3]
}

/// What lies over what, in words.
fn faults(page: &Page) -> Vec<String> {
    let mut faults = Vec::new();
    let told = |mark: &Mark| match mark {
        Mark::Text { text, .. } => format!("`{text}`"),
        other => format!("{:?}", other.extent()),
    };
    for (place, mark) in page.marks.iter().enumerate() {
        let at = mark.extent();
        if at[0] < 0.0 || at[1] < 0.0 || at[2] > page.width || at[3] > page.height {
            faults.push(format!("{} is cut", told(mark)));
        }
        for other in &page.marks[place + 1..] {
            let over = match (mark, other) {
                (Mark::Text { .. }, Mark::Text { .. }) => meets(at, other.extent()),
                (Mark::Text { .. }, Mark::Line { points, .. })
                | (Mark::Line { points, .. }, Mark::Text { .. }) => {
                    let text = if matches!(mark, Mark::Text { .. }) { at } else { other.extent() };
                    points.windows(2).any(|ends| {
                        let [a, b] = [ends[0], ends[1]];
                        let line =
                            [a.0.min(b.0) - 0.7, a.1.min(b.1) - 0.7, a.0.max(b.0) + 0.7, a.1.max(b.1) + 0.7];
                        meets(text, line)
                    })
                }
                // A frame's own boxes are within it; a text begins before the box it does not belong to or behind it.
                (Mark::Text { style, .. }, Mark::Box { class, .. })
                | (Mark::Box { class, .. }, Mark::Text { style, .. }) => {
                    let (text, around) = match mark {
                        Mark::Text { .. } => (at, other.extent()),
                        _ => (other.extent(), at),
                    };
                    let within = around[0] <= text[0]
                        && around[1] <= text[1]
                        && text[2] <= around[2]
                        && text[3] <= around[3];
                    let is_allowed = within
                        || class.ends_with("sheet")
                        || (*style == Style::Small && class.starts_with("frame"));
                    meets(text, around) && !is_allowed
                }
                _ => false,
            };
            if over {
                faults.push(format!("{} meets {}", told(mark), told(other)));
            }
        }
    }
    faults
}

#[test]
fn every_network_is_drawn_without_overlap() {
    for architecture in zoo::ARCHITECTURES {
        let graph = architecture.graph().unwrap();
        let drawing = Drawing::of(&graph);
        let page = page(&drawing);
        let faults = faults(&page);
        assert!(faults.is_empty(), "{}: {faults:#?}", architecture.name);
        let ratio = page.width / page.height;
        // What a shortcut spans stays in one column: of `fcn_digits` all between the first block and the last.
        assert!((0.25..2.5).contains(&ratio), "{} is {} by {}", architecture.name, page.width, page.height);
    }
}

#[test]
fn all_layers_are_told_for() {
    // What the parts add up to, repeats counted, is what the network has.
    for architecture in zoo::ARCHITECTURES {
        let drawing = Drawing::of(&architecture.graph().unwrap());
        let asides = drawing.asides.iter().flat_map(|aside| &aside.units);
        let counted = drawing.units.iter().chain(asides).flat_map(|unit| super::layout::counted(unit, 1));
        let (params, macs) = counted.fold((0, 0), |(params, macs), (cell, times)| {
            (params + times * drawing.cells[cell].params, macs + times * drawing.cells[cell].macs)
        });
        let all = |figure: fn(&super::Cell) -> u64| drawing.cells.iter().map(figure).sum::<u64>();
        assert_eq!((params, macs), (all(|cell| cell.params), all(|cell| cell.macs)), "{}", architecture.name);
    }
}

#[test]
fn equal_blocks_are_drawn_once() {
    let svg = Drawing::of(&zoo::find("resnet152").unwrap().graph().unwrap()).svg(Theme::Light);
    for told in [
        "layer3.1–35",
        "×35",
        "layer2.1–7",
        "×7",
        "3×3 conv, 256",
        "40.6 M params · 8.02 G MACs",
        "512×28×28",
    ] {
        assert!(svg.contains(&format!(">{told}<")), "{told}");
    }
    assert_eq!(svg.matches(">7×7 conv, 64, /2<").count(), 1);
    assert!(!svg.contains("prefers-color-scheme"));
}

/// Lines that cross, several results, a network that is one unit, names that a markup would stumble over.
#[test]
fn odd_networks_are_drawn_too() {
    let crossed = Graph::build("a<b>&\"c\"", Shape::map(3, 16, 16), |net, x| {
        let a = net.conv(x, Conv2d::k3(4), "a")?;
        let b = net.conv(x, Conv2d::k3(4), "b")?;
        let c = net.add(a, b)?;
        let d = net.conv(a, Conv2d::k3(4), "d")?;
        let e = net.add(c, d)?;
        let f = net.concat(&[e, b])?;
        net.output("map", c)?;
        net.output("last", f)
    });
    let unit = Graph::build("unit", Shape::map(4, 8, 8), |net, x| {
        let y = net.conv_norm_act(x, Conv2d::k3(4), "conv", "bn")?;
        let sum = net.add(y, x)?;
        net.output("sum", sum)
    });
    let plain = Graph::build("nothing", Shape::map(1, 4, 4), |net, x| net.output("same", x));
    let double = Graph::build("double", Shape::map(1, 4, 4), |net, x| {
        let x = net.add(x, x)?;
        let x = net.activation(x, Activation::Sigmoid)?;
        net.output("y", x)
    });
    let dense = Graph::build("dense", Shape::map(2, 4, 4), |net, x| {
        let a = net.conv(x, Conv2d::k3(2), "a")?;
        let b = net.concat(&[x, a])?;
        let c = net.conv(b, Conv2d::k3(2), "c")?;
        let d = net.concat(&[x, a, c])?;
        let e = net.global_avg_pool(d)?;
        let f = net.linear(e, Linear::new(3), "f")?;
        net.output("logits", f)
    });
    for graph in [crossed, unit, plain, double, dense] {
        let drawing = Drawing::of(&graph.unwrap());
        let faults = faults(&page(&drawing));
        assert!(faults.is_empty(), "{}: {faults:#?}", drawing.name);
        assert!(drawing.svg(Theme::Auto).ends_with("</svg>\n"));
        assert!(!drawing.svg(Theme::Auto).contains("<b>"));
        assert!(drawing.dot().matches('{').count() == drawing.dot().matches('}').count());
        assert!(drawing.mermaid().lines().count() > 1);
    }
}
