//! `instructions STEP`: does one step of the hot path for every trade of the material, inside of
//! `measured`, which is where callgrind counts. scripts/instructions.sh runs it.

#[path = "../../market/frame.rs"]
mod frame;
#[path = "../../market/generator.rs"]
mod generator;
#[path = "../../hot_path/steps.rs"]
mod steps;

use std::process::ExitCode;

use steps::{Material, STEPS, Step};

const SYMBOLS: usize = 500;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, trades] = arguments.as_slice() else { return usage() };
    let step = STEPS.iter().find(|(known, _)| known == name);
    let (Some(step), Ok(trades)) = (step, trades.parse()) else { return usage() };
    let material = Material::of(trades, SYMBOLS);
    println!("{} {} {}", step.0, material.len(), measured(*step, &material));
    ExitCode::SUCCESS
}

#[inline(never)]
fn measured((_, work): Step, material: &Material) -> usize {
    work(material)
}

fn usage() -> ExitCode {
    let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
    eprintln!("usage: instructions STEP TRADES; a step is one of {}", names.join(", "));
    ExitCode::from(2)
}
