#![no_main]

ticksmith_fuzz::target!("http_query");
