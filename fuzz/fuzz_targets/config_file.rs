#![no_main]

ticksmith_fuzz::target!("config_file");
