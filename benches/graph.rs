//! How long it takes to describe a network and to read its summary.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use zoo_report::{Options, Summary};

fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build");
    for name in ["lenet5", "resnet50", "resnet152", "inception_v3"] {
        let Ok(architecture) = zoo::find(name) else { continue };
        group.bench_function(name, |bencher| bencher.iter(|| black_box(architecture).graph()));
    }
    group.finish();
}

fn summary(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("summary");
    for name in ["lenet5", "resnet50", "resnet152"] {
        let Ok(graph) = zoo::find(name).and_then(|architecture| Ok(architecture.graph()?)) else { continue };
        group.bench_function(name, |bencher| {
            bencher.iter(|| Summary::of(black_box(&graph), &Options::default()));
        });
    }
    group.finish();
}

criterion_group!(benches, build, summary);
criterion_main!(benches);
