//! The bytes of a chunk: the records of one write to one partition, one after the other.
//!
//! A record is key, value, number of headers, and name and value of each; every text is preceded by
//! its length + 1 as a varint, 0 standing for "none".

use crate::port::OutRecord;

/// A record read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// One record within a chunk, borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) struct View<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    headers: &'a [u8],
    header_count: u64,
}

impl<'a> View<'a> {
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.headers;
        (0..self.header_count).map_while(move |_| {
            let name = take_text(&mut rest)??;
            let value = take_text(&mut rest)??;
            Some((name, value))
        })
    }

    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value)
    }
}

/// Appends a record.
pub(in crate::embedded) fn append(bytes: &mut Vec<u8>, record: &OutRecord) {
    put_text(bytes, record.key.as_deref());
    put_text(bytes, record.value.as_deref());
    put_number(bytes, record.headers.len() as u64);
    for (name, value) in &record.headers {
        put_text(bytes, Some(name.as_bytes()));
        put_text(bytes, Some(value));
    }
}

/// Takes the record at `position` and moves it behind; `None` at the end or when the bytes are not
/// a chunk.
pub(in crate::embedded) fn take<'a>(bytes: &'a [u8], position: &mut usize) -> Option<View<'a>> {
    let mut rest = bytes.get(*position..)?;
    if rest.is_empty() {
        return None;
    }
    let key = take_text(&mut rest)?;
    let value = take_text(&mut rest)?;
    let header_count = take_number(&mut rest)?;
    let headers = rest;
    for _ in 0..header_count.saturating_mul(2) {
        take_text(&mut rest)?;
    }
    *position = bytes.len() - rest.len();
    Some(View { key, value, headers, header_count })
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn put_text(bytes: &mut Vec<u8>, text: Option<&[u8]>) {
    put_number(bytes, text.map_or(0, |text| text.len() as u64 + 1));
    bytes.extend_from_slice(text.unwrap_or_default());
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The outer `None`: not a text.
fn take_text<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Some(length) = take_number(rest)?.checked_sub(1) else {
        return Some(None);
    };
    let (text, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = tail;
    Some(Some(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::port::Topic;

    proptest! {
        #[test]
        fn what_was_appended_is_taken_back(
            texts in prop::collection::vec(
                (any::<Option<Vec<u8>>>(), any::<Option<Vec<u8>>>(), any::<Option<Vec<u8>>>()),
                0..20,
            )
        ) {
            let mut bytes = Vec::new();
            for (key, value, header) in &texts {
                append(&mut bytes, &OutRecord {
                    topic: Topic::Trades,
                    partition: None,
                    key: key.clone(),
                    value: value.clone(),
                    headers: header.iter().map(|value| ("name", value.clone())).collect(),
                });
            }
            let mut position = 0;
            for (key, value, header) in &texts {
                let view = take(&bytes, &mut position).expect("one more");
                prop_assert_eq!(view.key, key.as_deref());
                prop_assert_eq!(view.value, value.as_deref());
                prop_assert_eq!(view.header("name"), header.as_deref());
            }
            prop_assert_eq!(take(&bytes, &mut position), None);
        }

        #[test]
        fn foreign_bytes_are_no_panic(bytes in any::<Vec<u8>>()) {
            let mut position = 0;
            while take(&bytes, &mut position).is_some() {}
        }
    }
}
