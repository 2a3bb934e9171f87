use std::collections::BTreeSet;

use super::*;
use crate::model::{Bar, BarRevision, FeedGap, Judged};

fn names<R: Row>() -> Vec<&'static str> {
    R::columns().iter().map(|column| &*column.name).collect()
}

/// The columns that a table is created with.
fn created(definition: &str) -> BTreeSet<&str> {
    let body = definition.split_once("(\n").expect("a list").1;
    let lines = body.lines().map(str::trim).take_while(|line| !line.starts_with("PRIMARY KEY"));
    lines.filter_map(|line| line.split_whitespace().next()).collect()
}

fn compare<R: Row>(definition: &str, stores_own: &[&str], ours: &[&str]) {
    let own: BTreeSet<&str> = stores_own.iter().copied().collect();
    let created: BTreeSet<&str> = created(definition).difference(&own).copied().collect();
    let more: BTreeSet<&str> = ours.iter().copied().collect();
    let told: BTreeSet<&str> = names::<R>().into_iter().collect();
    assert_eq!(told.len(), R::columns().len(), "a column stands there twice");
    assert_eq!(told.difference(&more).copied().collect::<BTreeSet<_>>(), created);
}

#[test]
fn rows_have_the_columns_of_their_tables() {
    let bars = include_str!("../../../schemas/cassandra/trades_gold.cql");
    compare::<Bar>(bars, &[], &["interval"]);
    let trades = include_str!("../../../schemas/cassandra/trades.cql");
    compare::<Judged>(trades, &["bucket"], &[]);
    let gaps = include_str!("../../../schemas/cassandra/feed_gaps.cql");
    compare::<FeedGap>(gaps, &["bucket"], &[]);
    let revisions = include_str!("../../../schemas/cassandra/bar_revisions.cql");
    compare::<BarRevision>(revisions, &["bucket"], &[]);
}

#[test]
fn every_column_says_what_it_is() {
    fn sentences<R: Row>() {
        for column in R::columns() {
            assert!(column.meaning.ends_with('.'), "{}", column.name);
        }
    }
    sentences::<Bar>();
    sentences::<Judged>();
    sentences::<FeedGap>();
    sentences::<BarRevision>();
}

#[test]
fn what_no_format_can_hold_is_null() {
    assert_eq!(Cell::from(f64::NAN), Cell::Null);
    assert_eq!(Cell::from(Some(f64::INFINITY)), Cell::Null);
    assert_eq!(Cell::from(None::<i64>), Cell::Null);
    assert_eq!(serde_json::to_string(&Cell::from(1.5)).expect("json"), "1.5");
}
