//! The checks can fail: each is shown a small sample of what it must find, and of what it must not.

use crate::habits;
use crate::repository::{File, Source};
use crate::{scan, walls};

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn comments_and_literals_are_blanked_and_lines_stay() {
    let source =
        "a(\"// } \\\" \"); // b\n/* c\n/* d */ e */ f('\\'', '{', 'x') <'a> r#\"g\" }\"# h";
    let blanked = scan::blank(source);
    assert_eq!(blanked.split_whitespace().collect::<String>(), "a();f(,,)<'a>h");
    assert_eq!(blanked.matches('\n').count(), 2);
}

#[test]
fn tests_are_no_part_of_what_ships() {
    let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { x.unwrap() }\n}\nfn c() {}";
    let shipped = scan::without_tests(source);
    assert!(shipped.contains("fn c()") && !shipped.contains("fn b()"), "{shipped}");
    let apart = scan::without_tests("#[cfg(test)]\nmod tests;\nfn c() {}");
    assert!(apart.contains("fn c()") && !apart.contains("mod tests"), "{apart}");
}

#[test]
fn arrows_are_found_however_they_are_written() {
    let broken = |path: &str, text: &str| walls::broken_arrows(&Source::new(path, text)).len();
    assert_eq!(broken("src/model/bar.rs", "use crate::error::Error;"), 1);
    assert_eq!(broken("src/engine/rules.rs", "use crate::{model::Bar, kafka::{a, b}, http};"), 2);
    assert_eq!(broken("src/kafka/session.rs", "fn f() { crate::cassandra::open() }"), 1);
    assert_eq!(broken("src/kafka/mod.rs", "use super::embedded::Database;"), 1);
    assert_eq!(broken("src/kafka/session.rs", "use super::super::embedded::Database;"), 1);
    assert_eq!(broken("src/kafka/session.rs", "use super::embedded;"), 0);
    assert_eq!(broken("src/engine/rules.rs", "use crate::model::Bar; // crate::kafka::x"), 0);
    assert_eq!(broken("src/role/up.rs", "use crate::{kafka, cassandra, engine};"), 0);
    assert_eq!(broken("src/attic/mod.rs", ""), 1);
}

#[test]
fn vendor_crates_are_found_away_from_home() {
    let found = |path: &str, text: &str| walls::strangers(&Source::new(path, text)).len();
    assert_eq!(found("src/engine/rules.rs", "use rdkafka::Message;"), 1);
    assert_eq!(found("src/model/bar.rs", "#[derive(thiserror::Error)] enum A {}"), 1);
    assert_eq!(found("src/kafka/mod.rs", "use rdkafka::Message;"), 0);
    assert_eq!(found("src/http/mod.rs", "use crate::rdkafka::x; my_rdkafka::y()"), 0);
    assert_eq!(
        found("src/http/mod.rs", "#[cfg(test)]\nmod tests { use rusqlite::Connection; }"),
        0
    );
    assert!(!walls::unlisted_crates("[dependencies]\nnewcomer = \"1\"\n").is_empty());
}

#[test]
fn size_is_measured() {
    assert!(habits::long_file("a.rs", &"x\n".repeat(501)).is_some());
    assert!(habits::long_file("a.rs", &"x\n".repeat(500)).is_none());
    let of = |lines: usize| format!("fn f<'a>() {{\n{}}}\n", "x;\n".repeat(lines - 2));
    assert_eq!(habits::long_functions("a.rs", &of(71)).len(), 1);
    assert_eq!(habits::long_functions("a.rs", &of(70)).len(), 0);
    assert_eq!(habits::long_lines("a.rs", &"é".repeat(101)).len(), 1);
    assert_eq!(habits::long_lines("a.rs", &"é".repeat(100)).len(), 0);
}

#[test]
fn unfinished_work_is_found() {
    let source =
        Source::new("src/a.rs", "fn f() { x.unwrap(); todo!(); y.unwrap_or(1); \"dbg!\" }");
    assert_eq!(habits::forbidden_calls(&source).len(), 2);
    assert_eq!(habits::marks("a", concat!("// TO", "DO later\n#[ig", "nore]\n")).len(), 2);
    assert!(habits::unopened(&Source::new("src/a.rs", "use std::fs;\n")).is_some());
    assert!(habits::vague_name("src/kafka/utils.rs").is_some());
    assert!(habits::vague_name("src/kafka/session.rs").is_none());
}

#[test]
fn lost_pages_and_dead_links_are_found() {
    let readme = file("README.md", "[a](docs/A.md) [web](https://example.com/x.md) [s](src/)");
    let pages = [
        readme,
        file("docs/A.md", "[gone](GONE.md) [back](../README.md#top)"),
        file("docs/B.md", "[self](B.md)"),
        file("src/lib.rs", ""),
    ];
    let problems = habits::lost_pages(&pages);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("GONE.md") && problems[1].contains("docs/B.md"), "{problems:?}");
}

#[test]
fn idle_keys_are_found() {
    let defaults = "# Head.\n\n[a]\n# Sentence.\nread = 1\nbare = 2\n# Sentence.\nidle = 3\n";
    let reader = Source::new("src/http/mod.rs", "fn f(c: C) { c.a.read + c.a.bare + c.a.idle_ms }");
    let problems = habits::idle_keys(defaults, &[reader]);
    assert_eq!(problems, ["a.bare: no sentence above it", "a.idle: nobody reads it"]);
}

#[test]
fn private_paths_are_found() {
    let text = concat!("see /ho", "me/me/x and /checkout/y");
    assert_eq!(habits::private_paths(&file("a", text), "/checkout").len(), 2);
    assert_eq!(habits::private_paths(&file("a", "/usr/lib and /var/lib"), "/checkout").len(), 0);
}
