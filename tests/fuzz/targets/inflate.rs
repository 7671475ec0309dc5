//! What a client sends under COMPRESS is inflated to the same in any chunking, in bounded steps, and to what a
//! plain inflater makes of it; what is deflated comes back.

use bytes::Bytes;
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};
use ringpost::limits::{INFLATE_STEP_BYTES, INFLATE_WINDOW_BYTES_MAX};
use ringpost::runtime::compress::{Deflater, Inflater};

/// More is not inflated here.
const OCTETS_MAX: usize = 1 << 20;

/// A deflate stream, if need be.
pub fn run(octets: &[u8]) {
    let whole = inflated(octets, octets.len().max(1));
    for size in [1, 7] {
        assert_eq!(inflated(octets, size), whole, "in pieces of {size}");
    }
    match (decompress_to_vec_with_limit(octets, OCTETS_MAX), whole) {
        (Ok(expected), found) => assert_eq!(found, Some((expected, true))),
        (Err(error), Some((found, ended))) if error.status == TINFLStatus::FailedCannotMakeProgress => {
            // A stream that is not over yet: what came so far, in a vector that is longer.
            assert!(!ended && error.output.starts_with(&found));
        }
        (Err(error), found) if error.status == TINFLStatus::HasMoreOutput => assert!(found.is_some()),
        (Err(error), Some((found, ended))) => {
            // A block of the kind that there is not (rfc1951#3.2.3) begins in the last bits: told with the next octet.
            assert!(!ended && error.output.starts_with(&found));
            let more = [octets, &[0]].concat();
            assert_eq!(inflated(&more, more.len()), None);
        }
        (Err(_), None) => {}
    }
    round_trip(octets);
}

/// All that comes out, and whether the stream has ended; none when it is none.
fn inflated(octets: &[u8], size: usize) -> Option<(Vec<u8>, bool)> {
    let (mut inflater, mut all) = (Inflater::default(), Vec::new());
    for piece in octets.chunks(size) {
        if inflater.has_ended() {
            break;
        }
        inflater.accept(Bytes::copy_from_slice(piece));
        let mut idle = 0;
        while inflater.waits() {
            let step = inflater.step().ok()?;
            assert!(step.len() <= INFLATE_STEP_BYTES + INFLATE_WINDOW_BYTES_MAX, "a step of {}", step.len());
            idle = if step.is_empty() { idle + 1 } else { 0 };
            assert!(idle <= octets.len() * 8 + 1, "steps without end");
            all.extend(step);
            if all.len() >= OCTETS_MAX {
                all.truncate(OCTETS_MAX);
                return Some((all, false));
            }
        }
    }
    let ended = inflater.has_ended();
    Some((all, ended))
}

/// What the server sends in two runs is one stream.
fn round_trip(octets: &[u8]) {
    let (first, second) = octets.split_at(octets.len() / 2);
    let mut deflater = Deflater::default();
    let mut sent = Vec::new();
    for run in [first, second] {
        let parts: Vec<Bytes> = run.chunks(100).map(Bytes::copy_from_slice).collect();
        sent.extend(deflater.deflate(&parts).expect("room is made"));
    }
    assert_eq!(inflated(&sent, 13), Some((octets.to_vec(), false)));
}
