//! A record's payload of any octets is refused or is a change that is written as it was read.

use ringpost_engine::codec;

/// The record's kind, then its payload.
pub fn run(octets: &[u8]) {
    let Some((&kind, payload)) = octets.split_first() else { return };
    let Some((change, stamp)) = codec::decode(kind, payload) else { return };
    let mut written = Vec::new();
    codec::encode(&change, &stamp, &mut written);
    let again = codec::decode(codec::kind(&change), &written);
    assert_eq!(again, Some((change, stamp)));
}
