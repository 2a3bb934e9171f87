#![no_main]

ticksmith_fuzz::target!("finnhub_frame");
