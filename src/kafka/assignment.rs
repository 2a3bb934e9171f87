//! What a member of a consumer group was given, from the bytes that the group keeps of it: Kafka's
//! consumer protocol, which the broker stores without looking into it.

/// A topic and the partitions of it, as the leader of the group wrote them down.
pub(super) type Assigned = (String, Vec<i32>);

/// Decodes a member's assignment; no bytes at all mean that nothing was handed out yet.
///
/// Form, all numbers big-endian: version (16 bits), then an array (32-bit count) of topics (16-bit
/// length, UTF-8) with an array of partitions (32 bits each). What follows is user data, or fields
/// of a later version, and is of no interest here.
///
/// # Errors
/// A sentence that says what is not as it must be.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Assigned>, String> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut rest = Rest(bytes);
    let version = i16::from_be_bytes(rest.take()?);
    if version < 0 {
        return Err(format!("version {version} of an assignment"));
    }
    let mut topics = Vec::new();
    for _ in 0..rest.count()? {
        let length = i16::from_be_bytes(rest.take()?);
        let length = usize::try_from(length).map_err(|_| "a topic without a name".to_owned())?;
        let name = std::str::from_utf8(rest.bytes(length)?);
        let name = name.map_err(|_| "a topic whose name is no text".to_owned())?.to_owned();
        let mut partitions = Vec::new();
        for _ in 0..rest.count()? {
            partitions.push(i32::from_be_bytes(rest.take()?));
        }
        topics.push((name, partitions));
    }
    Ok(topics)
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], String> {
        let ends_early = || format!("an assignment that ends {length} bytes too early");
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(ends_early)?;
        self.0 = rest;
        Ok(taken)
    }

    fn take<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], String> {
        let mut taken = [0; LENGTH];
        taken.copy_from_slice(self.bytes(LENGTH)?);
        Ok(taken)
    }

    /// Of an array; a null array is an empty one. Nothing is allocated for it, so a nonsensical
    /// count costs nothing: the bytes end before.
    fn count(&mut self) -> Result<i32, String> {
        Ok(i32::from_be_bytes(self.take()?).max(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Kafka's `ConsumerProtocol.serializeAssignment` writes it.
    fn encode(version: i16, topics: &[Assigned], user_data: &[u8]) -> Vec<u8> {
        let mut bytes = version.to_be_bytes().to_vec();
        let put = |bytes: &mut Vec<u8>, count: usize| {
            bytes.extend(i32::try_from(count).expect("small").to_be_bytes());
        };
        put(&mut bytes, topics.len());
        for (name, partitions) in topics {
            bytes.extend(i16::try_from(name.len()).expect("short").to_be_bytes());
            bytes.extend(name.as_bytes());
            put(&mut bytes, partitions.len());
            for partition in partitions {
                bytes.extend(partition.to_be_bytes());
            }
        }
        put(&mut bytes, user_data.len());
        bytes.extend(user_data);
        bytes
    }

    #[test]
    fn an_assignment_as_the_java_client_writes_it_is_read() {
        let bytes = [
            0, 1, // version 1
            0, 0, 0, 1, // one topic
            0, 6, b't', b'r', b'a', b'd', b'e', b's', // its name
            0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, // partitions 0 and 3
            255, 255, 255, 255, // no user data
        ];
        assert_eq!(decode(&bytes), Ok(vec![("trades".to_owned(), vec![0, 3])]));
    }

    #[test]
    fn a_member_without_partitions_has_none() {
        assert_eq!(decode(&[]), Ok(Vec::new()));
        assert_eq!(decode(&encode(0, &[], &[])), Ok(Vec::new()));
        assert_eq!(
            decode(&encode(3, &[("a".into(), vec![])], &[7])),
            Ok(vec![("a".into(), vec![])])
        );
    }

    #[test]
    fn what_is_no_assignment_is_refused_and_costs_nothing() {
        let whole = encode(0, &[("trades".into(), vec![1, 2])], &[]);
        let needed = whole.len() - 4;
        for length in 1..needed {
            assert!(decode(&whole[..length]).is_err(), "the first {length} bytes");
        }
        let cases: [(&[u8], &str); 4] = [
            (&[255, 255, 0, 0, 0, 0], "version -1"),
            (&[0, 0, 127, 255, 255, 255], "too early"),
            (&[0, 0, 0, 0, 0, 1, 255, 255], "without a name"),
            (&[0, 0, 0, 0, 0, 1, 0, 1, 255, 0, 0, 0, 0], "no text"),
        ];
        for (bytes, expected) in cases {
            let problem = decode(bytes).expect_err(expected);
            assert!(problem.contains(expected), "{problem}");
        }
    }

    fn topics() -> impl Strategy<Value = Vec<Assigned>> {
        let partitions = prop::collection::vec(any::<i32>(), 0..9);
        prop::collection::vec(("[a-z.é-]{0,9}", partitions), 0..5)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            version in 0_i16..9,
            topics in topics(),
            user_data in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            prop_assert_eq!(decode(&encode(version, &topics, &user_data)), Ok(topics));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&bytes);
        }
    }
}
