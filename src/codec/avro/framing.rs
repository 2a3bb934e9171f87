//! The bytes before a datum, which name the schema that it was written with.

/// First bytes of Avro single-object encoding; eight bytes of fingerprint follow, little endian.
pub(super) const SINGLE_OBJECT: [u8; 2] = [0xC3, 0x01];
/// First byte of Confluent's wire format; four bytes of schema id follow, big endian.
const CONFLUENT: u8 = 0x00;

/// A framed record, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Fingerprint([u8; 8], &'a [u8]),
    Id(u32, &'a [u8]),
}

impl<'a> Frame<'a> {
    /// The error is a line for the user.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        if let Some(rest) = bytes.strip_prefix(&SINGLE_OBJECT)
            && let Some((fingerprint, datum)) = rest.split_first_chunk()
        {
            return Ok(Self::Fingerprint(*fingerprint, datum));
        }
        if let Some(rest) = bytes.strip_prefix(&[CONFLUENT])
            && let Some((id, datum)) = rest.split_first_chunk()
        {
            return Ok(Self::Id(u32::from_be_bytes(*id), datum));
        }
        Err(format!("{} bytes without an Avro frame: no schema is named", bytes.len()))
    }
}

/// What precedes a datum in single-object encoding.
pub(super) fn single_object_header(fingerprint: [u8; 8]) -> [u8; 10] {
    let mut header = [0; 10];
    header[..2].copy_from_slice(&SINGLE_OBJECT);
    header[2..].copy_from_slice(&fingerprint);
    header
}

pub(super) fn write_id(id: u32, out: &mut Vec<u8>) {
    out.push(CONFLUENT);
    out.extend_from_slice(&id.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_framings_are_told_apart_by_their_first_byte() {
        let single = [0xC3, 0x01, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(Frame::parse(&single), Ok(Frame::Fingerprint([1, 2, 3, 4, 5, 6, 7, 8], &[9])));
        assert_eq!(Frame::parse(&[0, 0, 0, 1, 2, 9]), Ok(Frame::Id(258, &[9])));
        for cut in [&[][..], &[0], &[0, 0, 0, 1], &[0xC3], &[0xC3, 2], &single[..9], b"{}"] {
            assert!(Frame::parse(cut).is_err(), "{cut:?}");
        }
    }
}
