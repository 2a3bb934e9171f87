#![no_main]

ticksmith_fuzz::target!("frames_file");
