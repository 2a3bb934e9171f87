//! A trade to and from bytes of our own schema without the vendor's general reader and writer,
//! which take a third of all the work on a trade. Whatever is unusual is left to them: they know
//! what to say of it. A test holds both to the same bytes and the same trades.
//!
//! The encoding is that of the Avro specification, "Binary Encoding"; the order is that of
//! `trade.avsc`.

use compact_str::CompactString;

use crate::model::{Conditions, Trade};

/// Bytes of the longest `long`.
const LONG_BYTES_MAX: usize = 10;
/// Of eight bytes of a `long`, the bits that say that another follows.
const CONTINUED: u64 = 0x8080_8080_8080_8080;
/// Branches of the union of `conditions`.
const NULL: i64 = 0;
const ARRAY: i64 = 1;

/// Appends the datum.
pub(super) fn write(trade: &Trade, out: &mut Vec<u8>) {
    write_text(&trade.symbol, out);
    out.extend_from_slice(&trade.price.to_le_bytes());
    out.extend_from_slice(&trade.volume.to_le_bytes());
    write_long(trade.trade_time_ms, out);
    match &trade.conditions {
        None => write_long(NULL, out),
        Some(codes) => {
            write_long(ARRAY, out);
            if !codes.is_empty() {
                write_long(codes.len() as i64, out);
                codes.iter().for_each(|code| write_text(code, out));
            }
            // The end of the blocks.
            write_long(0, out);
        }
    }
    [trade.connection, trade.seq, trade.received_at_us]
        .iter()
        .for_each(|one| write_long(*one, out));
    write_text(&trade.feed, out);
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    write_long(text.len() as i64, out);
    out.extend_from_slice(text.as_bytes());
}

/// Zigzag, then seven bits a byte, the lowest first.
fn write_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Reads the whole of a datum; `None`: it is damaged, or written in a way that we do not.
pub(super) fn read(datum: &[u8]) -> Option<Trade> {
    let mut rest = Datum(datum);
    let trade = Trade {
        symbol: rest.text()?,
        price: rest.double()?,
        volume: rest.double()?,
        trade_time_ms: rest.long()?,
        conditions: rest.conditions()?,
        connection: rest.long()?,
        seq: rest.long()?,
        received_at_us: rest.long()?,
        feed: rest.text()?,
    };
    rest.0.is_empty().then_some(trade)
}

fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// What is left to read.
struct Datum<'a>(&'a [u8]);

impl Datum<'_> {
    fn long(&mut self) -> Option<i64> {
        // Lengths, counts and branches.
        if let [byte @ 0..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return Some(zigzag(u64::from(*byte)));
        }
        self.long_at_once().or_else(|| self.long_by_byte())
    }

    /// Times and identities: seven or eight bytes, where there are eight left to look at.
    fn long_at_once(&mut self) -> Option<i64> {
        let word = u64::from_le_bytes(*self.0.first_chunk()?);
        let last_bytes = !word & CONTINUED;
        if last_bytes == 0 {
            return None;
        }
        let bits = last_bytes.trailing_zeros() + 1;
        self.0 = &self.0[bits as usize / 8..];
        // Groups of seven bits move together: to pairs, to fours, to one of eight.
        let groups = word & (u64::MAX >> (u64::BITS - bits)) & !CONTINUED;
        let pairs = groups & 0x007f_007f_007f_007f | (groups & 0x7f00_7f00_7f00_7f00) >> 1;
        let fours = pairs & 0x0000_3fff_0000_3fff | (pairs & 0x3fff_0000_3fff_0000) >> 2;
        Some(zigzag(fours & 0x0fff_ffff | (fours & 0x0fff_ffff_0000_0000) >> 4))
    }

    fn long_by_byte(&mut self) -> Option<i64> {
        let (mut value, mut shift) = (0_u64, 0);
        for (index, byte) in self.0.iter().take(LONG_BYTES_MAX).enumerate() {
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                // The tenth byte has one bit that counts.
                let fits = index + 1 < LONG_BYTES_MAX || *byte <= 1;
                self.0 = &self.0[index + 1..];
                return fits.then(|| zigzag(value));
            }
        }
        None
    }

    fn double(&mut self) -> Option<f64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*bytes))
    }

    fn text(&mut self) -> Option<CompactString> {
        let length = usize::try_from(self.long()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        CompactString::from_utf8(bytes).ok()
    }

    /// An array of one block, as we write it.
    fn conditions(&mut self) -> Option<Option<Conditions>> {
        match self.long()? {
            NULL => return Some(None),
            ARRAY => {}
            _ => return None,
        }
        let count = usize::try_from(self.long()?).ok()?;
        // Each code has a byte at least, so a wrong count asks for no more than the datum has.
        if count > self.0.len() {
            return None;
        }
        let codes = (0..count).map(|_| self.text()).collect::<Option<Conditions>>()?;
        (count == 0 || self.long()? == 0).then_some(Some(codes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::avro::tests::any_trade;
    use crate::codec::avro::{schema, trade};

    /// Bits of the doubles, so that what is not a number is compared as well.
    fn shown(trade: &Trade) -> String {
        format!("{:x} {:x} {trade:?}", trade.price.to_bits(), trade.volume.to_bits())
    }

    proptest! {
        #[test]
        fn both_ways_write_and_read_the_same(
            trade in any_trade(),
            cut in any::<prop::sample::Index>(),
        ) {
            let (mut direct, mut general) = (Vec::new(), Vec::new());
            write(&trade, &mut direct);
            schema::trade().write(&trade::Reference(&trade), &mut general).expect("encodes");
            prop_assert_eq!(&direct, &general);
            let found = read(&general).map(|trade| shown(&trade));
            prop_assert_eq!(found, Some(shown(&trade)));
            prop_assert_eq!(read(&direct[..cut.index(direct.len())]).map(|one| shown(&one)), None);
            direct.push(0);
            prop_assert_eq!(read(&direct).map(|one| shown(&one)), None);
        }

        /// What is read directly is what the vendor's reader reads, whatever the bytes are.
        #[test]
        fn garbage_is_never_read_otherwise(
            mut datum in prop::collection::vec(any::<u8>(), 0..80),
            trade in any_trade(),
            at in any::<prop::sample::Index>(),
            bits in any::<u8>(),
        ) {
            let general = |datum: &[u8]| schema::trade().read(datum);
            if let Some(found) = read(&datum) {
                let trade::Owned(expected) = general(&datum).expect("the vendor reads it too");
                prop_assert_eq!(shown(&found), shown(&expected));
            }
            datum.clear();
            write(&trade, &mut datum);
            let index = at.index(datum.len());
            datum[index] ^= bits;
            if let Some(found) = read(&datum) {
                let trade::Owned(expected) = general(&datum).expect("the vendor reads it too");
                prop_assert_eq!(shown(&found), shown(&expected));
            }
        }
    }
}
