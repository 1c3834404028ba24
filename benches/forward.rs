//! Answers and training steps of whole networks, on fresh weights.

use candle_core::{DType, Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use zoo_layers::Net;

/// A network with fresh weights and a batch of black pictures.
fn network(name: &str, batch: usize) -> Option<(Net, Tensor)> {
    let graph = zoo::find(name).ok()?.graph().ok()?;
    let pictures = Tensor::zeros(graph.input().with_batch(batch), DType::F32, &Device::Cpu).ok()?;
    Some((graph.init(1).ok()?, pictures))
}

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    for (name, batch) in [("lenet5", 1), ("lenet5", 64), ("resnet18", 1)] {
        let Some((net, pictures)) = network(name, batch) else { continue };
        group.bench_function(format!("{name}_b{batch}"), |bencher| {
            bencher.iter(|| net.answer(&pictures));
        });
    }
    group.finish();
}

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for (name, batch) in [("lenet5", 64), ("resnet18", 4)] {
        let Some((net, pictures)) = network(name, batch) else { continue };
        group.sample_size(10).bench_function(format!("{name}_b{batch}"), |bencher| {
            bencher.iter(|| {
                let pass = net.train_pass(&pictures)?;
                let loss = pass.outputs()["logits"].sqr()?.mean_all()?;
                pass.backward(&loss.backward()?)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, forward, step);
criterion_main!(benches);
