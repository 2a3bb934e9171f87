//! What every code may update, by hand: the consolidated tape's matrix, not ticksmith's table.

use ticksmith::engine::Policy;
use ticksmith::model::ExclusionReason;

use Rights::{Conditional, Full, Nothing, VolumeOnly};

/// What a trade with one code may update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Open, high, low, close and volume.
    Full,
    /// Open and close only where nothing else sets them; high, low and volume always.
    Conditional,
    /// Volume, listed under the reason.
    VolumeOnly(ExclusionReason),
    Nothing,
}

const E: Rights = Full;
const C: Rights = Conditional;
const N: Rights = Nothing;
const ODD: Rights = VolumeOnly(ExclusionReason::OddLot);
const EXT: Rights = VolumeOnly(ExclusionReason::Extended);
const SEQ: Rights = VolumeOnly(ExclusionReason::OutOfSequence);
const AVG: Rights = VolumeOnly(ExclusionReason::AveragePrice);
const UNK: Rights = VolumeOnly(ExclusionReason::UnknownCode);
const V: Rights = VolumeOnly(ExclusionReason::Other);

/// One code, each policy in New York's regular hours and outside of them.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub code: &'static str,
    pub sip: [Rights; 2],
    pub conservative: [Rights; 2],
    pub all: [Rights; 2],
}

impl Row {
    pub fn rights(&self, policy: Policy, in_regular_hours: bool) -> Rights {
        let [regular, outside] = match policy {
            Policy::Sip => self.sip,
            Policy::Conservative => self.conservative,
            Policy::All => self.all,
        };
        if in_regular_hours { regular } else { outside }
    }
}

macro_rules! matrix {
    ($($name:ident $code:literal: sip $a:ident $b:ident, brokers $c:ident $d:ident,
       all $e:ident $f:ident;)+) => {
        pub const MATRIX: &[Row] = &[$(Row {
            code: $code,
            sip: [$a, $b],
            conservative: [$c, $d],
            all: [$e, $f],
        }),+];
        mod each {
            $(#[test] fn $name() { crate::codes::check($code); })+
        }
    };
}

// Each pair: in regular hours, outside of them.
matrix! {
    code_01_regular                 "1": sip E E, brokers E E, all E E;
    code_02_acquisition             "2": sip E E, brokers E E, all E E;
    code_03_average_price           "3": sip AVG AVG, brokers AVG AVG, all E E;
    code_04_bunched                 "4": sip E E, brokers E E, all E E;
    code_05_cash                    "5": sip V V, brokers V V, all E E;
    code_06_distribution            "6": sip E E, brokers E E, all E E;
    code_07_automatic_execution     "7": sip E E, brokers E E, all E E;
    code_08_intermarket_sweep       "8": sip E E, brokers E E, all E E;
    code_09_bunched_sold            "9": sip C C, brokers SEQ SEQ, all E E;
    code_10_price_variation        "10": sip V V, brokers V V, all E E;
    code_11_cap_election           "11": sip V V, brokers UNK UNK, all E E;
    code_12_odd_lot                "12": sip ODD ODD, brokers ODD ODD, all E E;
    code_13_rule_127               "13": sip E E, brokers E E, all E E;
    code_14_rule_155               "14": sip E E, brokers E E, all E E;
    code_15_sold_last              "15": sip E E, brokers E E, all E E;
    code_16_official_close         "16": sip N N, brokers N N, all E E;
    code_17_next_day               "17": sip V V, brokers V V, all E E;
    code_18_opening_trade          "18": sip E E, brokers E E, all E E;
    code_19_opening_prints         "19": sip E E, brokers E E, all E E;
    code_20_official_open          "20": sip N N, brokers N N, all E E;
    code_21_prior_reference        "21": sip C C, brokers SEQ SEQ, all E E;
    code_22_seller                 "22": sip V V, brokers V V, all E E;
    code_23_split                  "23": sip E E, brokers E E, all E E;
    code_24_form_t                 "24": sip EXT E, brokers EXT EXT, all E E;
    code_25_extended_out_of_sequence "25": sip SEQ SEQ, brokers SEQ SEQ, all E E;
    code_26_contingent             "26": sip V V, brokers V V, all E E;
    code_27_stock_option           "27": sip V V, brokers V V, all E E;
    code_28_cross                  "28": sip E E, brokers E E, all E E;
    code_29_yellow_flag            "29": sip E E, brokers E E, all E E;
    code_30_sold_out_of_sequence   "30": sip C C, brokers SEQ SEQ, all E E;
    code_31_stopped                "31": sip E E, brokers E E, all E E;
    code_32_derivatively_priced    "32": sip C C, brokers V V, all E E;
    code_33_reopening_trade        "33": sip E E, brokers E E, all E E;
    code_34_reopening_prints       "34": sip E E, brokers E E, all E E;
    code_35_closing_trade          "35": sip E E, brokers E E, all E E;
    code_36_closing_prints         "36": sip E E, brokers E E, all E E;
    code_37_qualified_contingent   "37": sip V V, brokers V V, all E E;
    code_38_placeholder_611        "38": sip UNK UNK, brokers UNK UNK, all E E;
    code_39_corrected_close        "39": sip N N, brokers N N, all E E;
    code_40_opened                 "40": sip UNK UNK, brokers UNK UNK, all E E;
    code_41_trade_through_exempt   "41": sip E E, brokers E E, all E E;
    unlisted_42                    "42": sip UNK UNK, brokers UNK UNK, all E E;
    unlisted_99                    "99": sip UNK UNK, brokers UNK UNK, all E E;
    a_letter                        "x": sip UNK UNK, brokers UNK UNK, all E E;
    nothing                          "": sip UNK UNK, brokers UNK UNK, all E E;
    a_negative_number              "-1": sip UNK UNK, brokers UNK UNK, all E E;
    a_leading_zero                "012": sip UNK UNK, brokers UNK UNK, all E E;
}

/// What a trade with all of `codes` may update: the least of what each of them lets it.
pub fn rights_of(codes: &[impl AsRef<str>], policy: Policy, in_regular_hours: bool) -> Rights {
    let each = codes.iter().map(|code| {
        let row =
            MATRIX.iter().find(|row| row.code == code.as_ref()).expect("the matrix has the code");
        row.rights(policy, in_regular_hours)
    });
    each.fold(Full, |so_far, one| match (so_far, one) {
        (Nothing, _) | (_, Nothing) => Nothing,
        (VolumeOnly(a), VolumeOnly(b)) => VolumeOnly(a.min(b)),
        (VolumeOnly(a), _) | (_, VolumeOnly(a)) => VolumeOnly(a),
        (Conditional, _) | (_, Conditional) => Conditional,
        (Full, Full) => Full,
    })
}

#[test]
fn the_matrix_has_each_of_the_41_codes_once() {
    let codes: Vec<&str> = MATRIX.iter().take(41).map(|row| row.code).collect();
    assert_eq!(codes, (1..=41).map(|code| code.to_string()).collect::<Vec<_>>());
}
