#![no_main]

ticksmith_fuzz::target!("jsonl_trades");
