//! Bars that a rebuild takes away, and whose bars there are.

use ticksmith::error::{Error, Result};
use ticksmith::model::{Bar, Interval};
use ticksmith::port::{BarRemoval, Store};

use super::{NOW_MS, World, all_bars, bar, five_minutes, of_bars, written};

fn removal(symbol: &str, generation: i64) -> BarRemoval {
    BarRemoval { symbol: symbol.into(), interval: five_minutes(), start_ms: NOW_MS, generation }
}

fn of_generation(symbol: &str, generation: i64, revision: i64) -> Bar {
    let mut bar = bar(symbol, NOW_MS, revision);
    bar.generation = generation;
    bar
}

fn removed(world: &dyn World, store: &mut dyn Store, bar: &BarRemoval) -> Result<Vec<Bar>> {
    store.remove(std::slice::from_ref(bar))?;
    store.flush()?;
    world.reader()?.bars(&all_bars(&bar.symbol))
}

/// What is removed goes, once and for all: no older generation brings it back. Its neighbours stay,
/// and a newer generation may write it anew.
pub fn a_removed_bar_stays_away_from_older_generations(world: &dyn World) -> Result<()> {
    let mut store = world.store()?;
    // The highest revision that there can be.
    let old = of_generation("REMOVED", 0, 999_999_999);
    let next = bar("REMOVED", NOW_MS + 300_000, 7);
    store.write(&of_bars(vec![old.clone(), next.clone()]))?;
    store.flush()?;
    let neighbour = std::slice::from_ref(&next);
    for _ in 0..2 {
        let bars = removed(world, &mut *store, &removal("REMOVED", 1))?;
        assert_eq!(bars, neighbour, "idempotent");
        store.write(&of_bars(vec![old.clone()]))?;
        store.flush()?;
        assert_eq!(world.reader()?.bars(&all_bars("REMOVED"))?, neighbour);
    }
    let new = of_generation("REMOVED", 1, 3);
    store.write(&of_bars(vec![new.clone()]))?;
    store.flush()?;
    assert_eq!(world.reader()?.bars(&all_bars("REMOVED"))?, [new, next]);
    Ok(())
}

/// A removal of the same generation, or of an older one, takes nothing away.
pub fn a_removal_leaves_its_own_generation_and_later_ones(world: &dyn World) -> Result<()> {
    let mut store = world.store()?;
    for revision in [0, 4] {
        let kept = of_generation("KEPT", 2, revision);
        store.write(&of_bars(vec![kept.clone()]))?;
        store.flush()?;
        for generation in [0, 1, 2] {
            let bars = removed(world, &mut *store, &removal("KEPT", generation))?;
            assert_eq!(bars, std::slice::from_ref(&kept), "removal of generation {generation}");
        }
    }
    assert_eq!(removed(world, &mut *store, &removal("KEPT", 3))?, []);
    Ok(())
}

/// An interval that is not stored is the user's mistake, here too.
pub fn a_removal_without_table_is_refused(world: &dyn World) -> Result<()> {
    let interval = Interval::parse("7m").expect("an interval");
    let refused = world.store()?.remove(&[BarRemoval { interval, ..removal("REMOVED", 1) }]);
    let Err(Error::Config(sentence)) = refused else { panic!("7m is not stored") };
    assert!(sentence.contains("7m") && sentence.contains("5m"), "{sentence}");
    Ok(())
}

/// A bar may be there without any trade ever seen; one that was removed is not.
pub fn symbols_of_bars_need_no_trade(world: &dyn World) -> Result<()> {
    let names = ["BARS-B", "BARS-A", "BARS-GONE"];
    let rows = of_bars(names.map(|symbol| of_generation(symbol, 0, 1)).into());
    let reader = written(world, &rows)?;
    let of_case = |interval: Interval| -> Result<Vec<String>> {
        let symbols = reader.bar_symbols(interval)?;
        assert!(symbols.is_sorted(), "{symbols:?}");
        Ok(symbols.into_iter().filter(|symbol| symbol.starts_with("BARS-")).collect())
    };
    assert_eq!(of_case(five_minutes())?, ["BARS-A", "BARS-B", "BARS-GONE"]);
    assert_eq!(of_case(Interval::parse("1h").expect("an interval"))?, [""; 0]);
    let mut store = world.store()?;
    store.remove(&[removal("BARS-GONE", 1)])?;
    store.flush()?;
    assert_eq!(of_case(five_minutes())?, ["BARS-A", "BARS-B"]);
    let unknown = Interval::parse("7m").expect("an interval");
    assert!(matches!(reader.bar_symbols(unknown), Err(Error::Config(_))));
    Ok(())
}
