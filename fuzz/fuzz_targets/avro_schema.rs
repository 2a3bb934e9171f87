#![no_main]

ticksmith_fuzz::target!("avro_schema");
