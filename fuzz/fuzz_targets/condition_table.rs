#![no_main]

ticksmith_fuzz::target!("condition_table");
