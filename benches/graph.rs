//! How long it takes to describe a network, to plan it, and to read its summary.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use zoo_layers::{Frozen, Mode, Plan, Route, Shape};
use zoo_report::{Options, Summary};

fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build");
    for name in ["lenet5", "resnet50", "resnet152", "inception_v3"] {
        let Ok(architecture) = zoo::find(name) else { continue };
        group.bench_function(name, |bencher| bencher.iter(|| black_box(architecture).graph()));
    }
    group.finish();
}

/// At another size than the nominal one, so that every shape is inferred again.
fn plan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    for name in ["lenet5", "resnet50", "resnet152", "inception_v3"] {
        let Ok(graph) = zoo::find(name).and_then(|architecture| Ok(architecture.graph()?)) else { continue };
        let [height, width] = graph.input().size();
        let larger = Shape::map(graph.input().channels(), height + 32, width + 32);
        let routes = [("answer", Route::outputs(&graph, Mode::Eval)), ("training", Route::training(&graph))];
        for (what, route) in routes {
            let size = if name == "lenet5" { graph.input() } else { larger };
            group.bench_function(format!("{what}/{name}"), |bencher| {
                bencher.iter(|| Plan::at(black_box(&graph), &route, &Frozen::nothing(), &[size]).is_ok());
            });
        }
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

criterion_group!(benches, build, plan, summary);
criterion_main!(benches);
