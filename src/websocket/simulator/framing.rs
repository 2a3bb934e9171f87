//! Trades to frames as the feed sends them: at most ten elements, sometimes the same frame again,
//! sometimes a group of trades again in the feed's second encoding. Pure and seeded.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::print::Print;
use crate::codec::finnhub;

/// Elements of one frame, as in every recorded one.
const MAX_ELEMENTS: usize = 10;
/// A repeat of fewer elements could not be told from genuine trades by anyone.
const LEAST_REPEATED: usize = 3;

/// How often the feed repeats itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RepeatRates {
    /// Share of frames of three or more elements that are sent twice.
    pub frames: f64,
    /// Share of frames with two or more stock trades that carry a group of them in both encodings.
    pub second_encodings: f64,
}

impl Default for RepeatRates {
    /// As on an ordinary day.
    fn default() -> Self {
        Self { frames: 0.005, second_encodings: 0.002 }
    }
}

/// Makes the frames of one connection.
#[derive(Debug)]
pub struct Framer {
    /// Every symbol of the market as JSON text.
    symbols: Vec<String>,
    rates: RepeatRates,
    random: ChaCha8Rng,
}

impl Framer {
    pub fn new(symbols: &[String], rates: RepeatRates, seed: u64) -> Self {
        Self {
            symbols: symbols.iter().map(|symbol| finnhub::quoted(symbol)).collect(),
            rates,
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Appends the frames of `prints`, each with the number of its elements.
    pub fn frames(&mut self, prints: &[Print], out: &mut Vec<(String, usize)>) {
        let mut rest = prints;
        while !rest.is_empty() {
            let (frame, used) = self.frame(rest);
            rest = &rest[used..];
            let repeats = frame.1 >= LEAST_REPEATED && self.random.random_bool(self.rates.frames);
            if repeats {
                out.push(frame.clone());
            }
            out.push(frame);
        }
    }

    /// One frame, and how many prints it used up.
    fn frame(&mut self, prints: &[Print]) -> ((String, usize), usize) {
        let group = leading_stock_trades(prints);
        if group >= 2 && self.random.random_bool(self.rates.second_encodings) {
            let mut elements = prints[..group].to_vec();
            elements.extend(prints[..group].iter().map(|print| Print {
                codes: print.codes.map(|codes| codes.other_encoding()),
                ..*print
            }));
            return ((self.text(&elements), elements.len()), group);
        }
        let used = prints.len().min(MAX_ELEMENTS);
        ((self.text(&prints[..used]), used), used)
    }

    fn text(&self, elements: &[Print]) -> String {
        let mut text = String::with_capacity(32 + 80 * elements.len());
        text.push_str("{\"data\":[");
        for (index, print) in elements.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            print.write_json(&self.symbols[print.symbol], &mut text);
        }
        text.push_str("],\"type\":\"trade\"}");
        text
    }
}

/// Up to half a frame of stock trades at the beginning, since the group is to be written twice.
fn leading_stock_trades(prints: &[Print]) -> usize {
    let is_stock = |print: &&Print| print.codes.is_some();
    prints.iter().take(MAX_ELEMENTS / 2).take_while(is_stock).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Frame;
    use crate::websocket::simulator::market::{Market, MarketOptions};

    fn frames(rates: RepeatRates) -> (usize, Vec<(String, usize)>) {
        let symbols: Vec<String> = vec!["AAPL".into(), "IC MARKETS:1".into()];
        let options = MarketOptions::new(symbols.clone(), 500.0, 1);
        let (mut prints, mut frames) = (Vec::new(), Vec::new());
        Market::new(options, 0).advance(10_000, &mut prints);
        Framer::new(&symbols, rates, 1).frames(&prints, &mut frames);
        (prints.len(), frames)
    }

    #[test]
    fn a_frame_has_at_most_ten_elements_and_is_what_the_codec_reads() {
        let (prints, frames) = frames(RepeatRates { frames: 0.0, second_encodings: 0.0 });
        let elements: usize = frames.iter().map(|(_, elements)| elements).sum();
        assert_eq!(prints, elements);
        for (text, elements) in &frames {
            let Frame::Trades(read) = finnhub::decode(text) else { panic!("{text}") };
            assert!(*elements <= 10 && read.len() == *elements);
        }
    }

    #[test]
    fn repeats_come_at_the_asked_rate() {
        let (_, frames) = frames(RepeatRates { frames: 0.2, second_encodings: 0.0 });
        let repeats = frames.windows(2).filter(|pair| pair[0].0 == pair[1].0).count();
        let share = repeats as f64 / (frames.len() - repeats) as f64;
        assert!((0.15..0.25).contains(&share), "{share}");
    }
}
