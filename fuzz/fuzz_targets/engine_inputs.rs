#![no_main]

ticksmith_fuzz::target!("engine_inputs");
