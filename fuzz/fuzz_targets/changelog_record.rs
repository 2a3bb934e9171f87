#![no_main]

ticksmith_fuzz::target!("changelog_record");
