#![no_main]

ticksmith_fuzz::target!("csv_bars");
