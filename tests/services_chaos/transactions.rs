//! What Kafka itself says of a transaction: its DescribeTransactions request, spoken by hand, since
//! librdkafka has no word for it.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const DESCRIBE_TRANSACTIONS: i16 = 65;
/// An answer takes milliseconds; a broker that is being killed gives none.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Whether the transaction of this id is open: begun, and neither committed nor aborted.
///
/// # Errors
/// The broker does not answer.
pub fn is_open(bootstrap: &str, transactional_id: &str) -> io::Result<bool> {
    Ok(state(bootstrap, transactional_id)? == "Ongoing")
}

/// One broker, so it coordinates every id.
fn state(bootstrap: &str, transactional_id: &str) -> io::Result<String> {
    let address = bootstrap.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut socket = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
    socket.set_read_timeout(Some(ANSWER_WITHIN))?;
    socket.set_write_timeout(Some(ANSWER_WITHIN))?;
    socket.set_nodelay(true)?;
    socket.write_all(&request(transactional_id)?)?;
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap_or(0)];
    socket.read_exact(&mut answer)?;
    state_in(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Version 0: header with an empty client id and no tags, one compact string in a compact array.
fn request(transactional_id: &str) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    body.extend(DESCRIBE_TRANSACTIONS.to_be_bytes());
    body.extend([0, 0]);
    body.extend(1_i32.to_be_bytes());
    body.extend([0, 0, 0]);
    let length = u8::try_from(transactional_id.len() + 1).map_err(io::Error::other)?;
    assert!(length < 0x80, "an id that takes one byte of length");
    body.extend([2, length]);
    body.extend(transactional_id.as_bytes());
    body.push(0);
    let mut whole = i32::try_from(body.len()).map_err(io::Error::other)?.to_be_bytes().to_vec();
    whole.extend(body);
    Ok(whole)
}

/// After correlation id (4), tags (1), throttle time (4), the array's length (1) and the error (2)
/// come the id and the state, each behind a byte of length + 1.
fn state_in(answer: &[u8]) -> Option<String> {
    let text = |at: usize| {
        let length = usize::from(*answer.get(at)?).checked_sub(1)?;
        Some((at + 1 + length, answer.get(at + 1..at + 1 + length)?))
    };
    let (after_id, _) = text(12)?;
    let (_, state) = text(after_id)?;
    String::from_utf8(state.to_vec()).ok()
}
