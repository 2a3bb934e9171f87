#![no_main]

ticksmith_fuzz::target!("dot_env");
