//! The losses against their definitions.

use crate::common::{assert_close, assert_gradient, numbers, on_every_isa, unwritten};
use zoo_kernels::loss::Loss;

const NOTHING: Loss<'static> = Loss { cross_entropy: 0.0, ..Loss::CROSS_ENTROPY };
const IGNORED: Option<i64> = Some(255);

/// A loss by its definition, position by position.
fn defined(loss: &Loss<'_>, shape: [usize; 4], logits: &[f64], labels: &[i64]) -> f64 {
    let [_, classes, h, w] = shape;
    let pixels = h * w;
    let counted = || labels.iter().enumerate().filter(|(_, label)| loss.ignored != Some(**label));
    let at = |i: usize, class: usize| logits[(i / pixels * classes + class) * pixels + i % pixels];
    let log_p =
        |i: usize, class: usize| at(i, class) - (0..classes).map(|c| at(i, c).exp()).sum::<f64>().ln();
    let weight = |class: i64| loss.weights.get(class as usize).copied().unwrap_or(1.0);
    let all: f64 = counted().map(|(_, &label)| weight(label)).sum();
    let mean = |of: &dyn Fn(usize, usize) -> f64| {
        counted().map(|(i, &label)| weight(label) * of(i, label as usize)).sum::<f64>() / all
    };
    let cross_entropy = mean(&|i, label| {
        let even = (0..classes).map(|class| log_p(i, class)).sum::<f64>() / classes as f64;
        -(1.0 - loss.smoothing) * log_p(i, label) - loss.smoothing * even
    });
    let focal = mean(&|i, label| -(1.0 - log_p(i, label).exp()).powf(loss.gamma) * log_p(i, label));
    let (mut coefficients, mut shares) = (0.0, 0.0);
    for class in (0..classes as i64).filter(|class| labels.contains(class)) {
        let given: f64 = counted().map(|(i, _)| log_p(i, class as usize).exp()).sum();
        let of = || counted().filter(|(_, label)| **label == class);
        let both: f64 = of().map(|(i, _)| log_p(i, class as usize).exp()).sum();
        coefficients += weight(class) * (2.0 * both + 1.0) / (given + of().count() as f64 + 1.0);
        shares += weight(class);
    }
    let dice = 1.0 - coefficients / shares;
    loss.cross_entropy * cross_entropy + loss.focal * focal + loss.dice * dice
}

#[test]
fn cross_entropy_agrees_with_its_definition() {
    let uneven = [2.0, 0.5, 1.0, 0.0, 3.0];
    let cases: [([usize; 4], f64, &[f64]); 5] = [
        ([7, 10, 1, 1], 0.0, &[]),
        ([2, 5, 9, 31], 0.0, &[]),
        ([2, 5, 9, 31], 0.1, &[]),
        ([2, 5, 9, 31], 0.0, &uneven),
        ([2, 5, 9, 31], 0.1, &uneven),
    ];
    for (shape, smoothing, weights) in cases {
        let [n, classes, h, w] = shape;
        let pixels = h * w;
        let logits: Vec<f64> = numbers::<f64>(1, n * classes * pixels).iter().map(|x| x * 30.0).collect();
        let labels: Vec<i64> =
            (0..n * pixels).map(|i| if i % 5 == 3 { 255 } else { (i * 7 % classes) as i64 }).collect();
        let loss = Loss { ignored: IGNORED, smoothing, weights, ..Loss::CROSS_ENTROPY };
        let weight = |label: i64| weights.get(label as usize).copied().unwrap_or(1.0);
        let mut want = 0.0;
        for (i, &label) in labels.iter().enumerate().filter(|(_, label)| **label != 255) {
            let at = |class: usize| logits[(i / pixels * classes + class) * pixels + i % pixels];
            let sum = (0..classes).map(|c| at(c).exp()).sum::<f64>().ln();
            let even = (0..classes).map(|c| sum - at(c)).sum::<f64>() / classes as f64;
            want += weight(label) * ((1.0 - smoothing) * (sum - at(label as usize)) + smoothing * even);
        }
        want /= labels.iter().filter(|label| **label != 255).map(|&label| weight(label)).sum::<f64>();
        let got = loss.value(shape, &logits, &labels).unwrap();
        assert!((got - want).abs() < 1e-12 * want, "{got} {want}");
        let narrow: Vec<f32> = logits.iter().map(|&x| x as f32).collect();
        let got = loss.value(shape, &narrow, &labels).unwrap();
        assert!((got - want).abs() < 1e-5 * want, "{got} {want}");
        let mut grad = unwritten(logits.len());
        let twice = Loss { cross_entropy: 2.0, ..loss };
        twice.gradient(shape, &logits, &labels, &mut grad).unwrap();
        assert_gradient("cross entropy", &logits, &grad, |x| 2.0 * loss.value(shape, x, &labels).unwrap());
    }
}

#[test]
fn losses_and_their_gradients_agree_with_their_definitions() {
    let uneven = [2.0, 0.5, 1.0, 0.0, 3.0, 1.0, 1.0];
    let plain = Loss { ignored: IGNORED, ..Loss::CROSS_ENTROPY };
    let losses = [
        plain,
        Loss { smoothing: 0.1, cross_entropy: -2.0, ..plain },
        Loss { ignored: IGNORED, dice: 1.0, ..NOTHING },
        Loss { ignored: IGNORED, focal: 1.0, ..NOTHING },
        Loss { ignored: IGNORED, focal: 1.0, gamma: 0.0, ..NOTHING },
        Loss { cross_entropy: 0.5, smoothing: 0.2, dice: 2.0, focal: 0.25, gamma: 1.0, ..plain },
    ];
    for shape in [[7, 10, 1, 1], [2, 5, 9, 31]] {
        let [n, classes, h, w] = shape;
        let numbers: Vec<f64> = numbers(1, n * classes * h * w);
        // Class 2 of the maps doesn't occur.
        let label = |i: usize| match i * 7 % classes {
            2 if h > 1 => 255,
            label => label as i64,
        };
        let labels: Vec<i64> = (0..n * h * w).map(|i| if i % 5 == 3 { 255 } else { label(i) }).collect();
        let weights = if classes == 5 { &uneven[..5] } else { &[] };
        for (loss, spread) in losses.iter().flat_map(|loss| [(loss, 6.0), (loss, 30.0)]) {
            for loss in [*loss, Loss { weights, ..*loss }] {
                let logits: Vec<f64> = numbers.iter().map(|x| x * spread).collect();
                let narrow: Vec<f32> = logits.iter().map(|&x| x as f32).collect();
                let want = defined(&loss, shape, &logits, &labels);
                let near = |got: f64, by: f64| {
                    assert!((got - want).abs() < by * want.abs().max(0.1), "{loss:?}: {got} {want}");
                };
                let mut wanted = unwritten(logits.len());
                near(loss.gradient(shape, &logits, &labels, &mut wanted).unwrap(), 1e-11);
                assert_gradient("loss", &logits, &wanted, |x| loss.value(shape, x, &labels).unwrap());
                on_every_isa(|isa| {
                    near(loss.value(shape, &logits, &labels).unwrap(), 1e-11);
                    near(loss.value(shape, &narrow, &labels).unwrap(), 1e-5);
                    let mut grad = unwritten::<f32>(logits.len());
                    near(loss.gradient(shape, &narrow, &labels, &mut grad).unwrap(), 1e-5);
                    assert_close(&format!("{loss:?} on {isa:?}"), &grad, &wanted, 1e-6);
                });
            }
        }
    }
}

#[test]
fn what_is_sure_and_what_is_ignored_has_gradients_that_are_numbers() {
    // Sure and right, sure and wrong, and not a number where nothing counts.
    let logits = [1000f32, -1000.0, f32::NAN, -1000.0, 1000.0, f32::INFINITY];
    let all = Loss { ignored: IGNORED, dice: 1.0, focal: 1.0, ..Loss::CROSS_ENTROPY };
    let mut grad = unwritten(6);
    for gamma in [0.0, 1.0, 2.0] {
        let loss = Loss { gamma, dice: 0.0, ..all };
        let value = loss.gradient([1, 2, 1, 3], &logits, &[0, 0, 255], &mut grad).unwrap();
        assert_eq!(value, 2000.0, "{gamma}"); // Half of 2000 each.
        assert_eq!(grad[..2], [0.0, -1.0]);
        assert_eq!(grad[2].abs() + grad[5].abs(), 0.0);
    }
    let finite = [1000f32, -1000.0, 0.0, -1000.0, 1000.0, 0.0];
    let value = all.gradient([1, 2, 1, 3], &finite, &[0, 0, 255], &mut grad).unwrap();
    assert!(value.is_finite() && grad.iter().all(|slope| slope.is_finite()), "{value} {grad:?}");
}

#[test]
fn what_cannot_be_is_refused() {
    let loss = Loss::CROSS_ENTROPY;
    let refuse = |labels: &[i64]| loss.value([2, 3, 1, 1], &[0f32; 6], labels).unwrap_err().to_string();
    assert_eq!(refuse(&[0, 3]), "loss: label 3 at position 1 is neither below 3 nor the ignored label");
    assert!(refuse(&[0, -1]).contains("label -1"));
    assert!(refuse(&[0]).contains("`labels` has 1 elements"));
    let refuse = |loss: Loss<'_>| loss.value([2, 3, 1, 1], &[0f32; 6], &[0, 1]).unwrap_err().to_string();
    assert!(refuse(Loss { weights: &[1.0], ..loss }).contains("`weights` has 1 elements"));
    let negative = refuse(Loss { weights: &[1.0, -1.0, 1.0], ..loss });
    assert!(negative.contains("a class's weight"), "{negative}");
    assert!(refuse(Loss { smoothing: 1.5, ..loss }).contains("smoothing"));
    assert!(refuse(Loss { gamma: 0.5, ..loss }).contains("gamma"));
    // A mean over nothing is no number.
    let ignore = Loss { ignored: Some(-100), ..loss };
    assert!(ignore.value([1, 3, 1, 1], &[0f32; 3], &[-100]).unwrap().is_nan());
    assert_eq!(loss.value([1, 2, 1, 1], &[1000f32, -1000.0], &[1]).unwrap(), 2000.0);
}
