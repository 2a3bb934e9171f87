//! `cargo bench --bench micro`: how long each step of a trade's way takes, by criterion.

#[path = "market/frame.rs"]
mod frame;
#[path = "market/generator.rs"]
mod generator;
#[path = "hot_path/steps.rs"]
mod steps;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use steps::{Material, STEPS};

const TRADES: usize = 50_000;

fn hot_path(criterion: &mut Criterion) {
    for symbols in [500, 10_000] {
        let material = Material::of(TRADES, symbols);
        let mut group = criterion.benchmark_group(format!("{symbols} symbols"));
        group.throughput(Throughput::Elements(material.len() as u64)).sample_size(20);
        for (name, work) in STEPS {
            group.bench_function(name, |bencher| bencher.iter(|| work(&material)));
        }
        group.finish();
    }
}

criterion_group!(benches, hot_path);
criterion_main!(benches);
