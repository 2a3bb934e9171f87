//! The columns of doubles that have an exact text beside them, read together.

use scylla::DeserializeRow;
use scylla::value::CqlTimestamp;

use crate::codec::row;
use crate::port::Contradiction;

macro_rules! twin_row {
    ($($double:ident / $exact:ident),+ $(,)?) => {
        /// Both columns of each pair.
        #[derive(DeserializeRow)]
        pub struct TwinRow { ts: CqlTimestamp, $($double: Option<f64>, $exact: Option<String>),+ }
        impl TwinRow {
            pub const COLUMNS: &'static [&'static str] =
                &["ts", $(stringify!($double), stringify!($exact)),+];

            /// The pairs that do not agree.
            pub fn contradictions(self) -> Vec<Contradiction> {
                let pairs = [$((stringify!($double), self.$double, self.$exact)),+];
                pairs
                    .into_iter()
                    .filter(|(_, value, exact)| !row::agree(*value, exact.as_deref()))
                    .map(|(column, value, exact)| Contradiction {
                        start_ms: self.ts.0,
                        column: column.to_owned(),
                        value,
                        exact,
                    })
                    .collect()
            }
        }
    };
}

twin_row! {
    volume / volume_exact,
    excluded_odd_lot_volume / excluded_odd_lot_volume_exact,
    excluded_extended_volume / excluded_extended_volume_exact,
    excluded_out_of_sequence_volume / excluded_out_of_sequence_volume_exact,
    excluded_average_price_volume / excluded_average_price_volume_exact,
    excluded_unknown_volume / excluded_unknown_volume_exact,
    excluded_other_volume / excluded_other_volume_exact,
}
