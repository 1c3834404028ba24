//! What is measured of pixels is what scikit-learn measures.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use serde_json::Value;
use zoo_train::Confusion;

fn bytes(values: &Value) -> Vec<u8> {
    values.as_array().unwrap().iter().map(|value| u8::try_from(value.as_u64().unwrap()).unwrap()).collect()
}

/// Quotients of the same whole numbers, added up in the same order: the same bits.
fn equal(ours: Option<f64>, theirs: &Value, what: &str) {
    let theirs = theirs.as_str().map(|digits| f64::from_bits(u64::from_str_radix(digits, 16).unwrap()));
    assert_eq!(ours.map(f64::to_bits), theirs.map(f64::to_bits), "{what}: {ours:?} {theirs:?}");
}

#[test]
fn figures_are_scikit_learns() {
    let cases: Value = serde_json::from_str(include_str!("goldens/iou.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let classes = usize::try_from(case["classes"].as_u64().unwrap()).unwrap();
        let mut confusion = Confusion::new(classes);
        let (truth, given) = (bytes(&case["truth"]), bytes(&case["given"]));
        // In two parts: pictures come one after the other.
        let (first, second) = (truth.len() / 3, truth.len());
        for range in [0..first, first..second] {
            confusion.add(&truth[range.clone()], &given[range]).unwrap();
        }
        assert_eq!(confusion.pixels(), case["pixels"].as_u64().unwrap());
        equal(confusion.pixel_accuracy(), &case["pixel_accuracy"], "pixel accuracy");
        equal(confusion.mean_accuracy(), &case["mean_accuracy"], "mean accuracy");
        equal(confusion.mean_iou(), &case["mean_iou"], "mean IoU");
        equal(confusion.frequency_weighted_iou(), &case["frequency_weighted_iou"], "frequency weighted IoU");
        for class in 0..classes {
            equal(confusion.iou(class), &case["iou"][class], "IoU");
        }
        let rows = confusion.rows();
        let all: usize = rows.iter().flatten().sum();
        assert_eq!((rows.len(), all as u64), (classes, confusion.pixels()));
    }
}
