//! COMPRESS=DEFLATE of a connection (rfc4978): plaintext to deflated octets and back.
//!
//! *Owns*: a shard's one compressor; what each connection must remember to inflate. *Promises*: all that was
//! given to [`Deflater::deflate`] can be inflated from what it returns; a bomb unfolds in steps of
//! `INFLATE_STEP_BYTES`; an idle connection keeps its client's window as far as it was used, and nothing else.
//! *Assumes*: the caller moves the octets, deflates before it encrypts and inflates after it decrypted
//! (rfc4978#3). *Never*: waits, or uses what one client was sent to compress what another one gets.
//!
//! Outgoing, a connection has no state: a deflate stream is a row of blocks, and a block that refers to
//! nothing before itself may follow any other. So each step begins afresh and ends with a sync flush, which
//! brings it to an octet's end; what is lost are the references into the step before.

use std::fmt;

use bytes::{Buf, Bytes};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{BlockBoundaryState, DecompressorOxide, decompress};
use zlib_rs::{Deflate, DeflateFlush};

use crate::limits::{DEFLATE_LEVEL, INFLATE_STEP_BYTES, INFLATE_WINDOW_BYTES_MAX, INFLATE_WINDOW_BYTES_MIN};

/// Bits of the window that references of outgoing data stay within (rfc1951#2).
const WINDOW_BITS: u8 = 15;
/// What a block and the flush behind it add at most.
const BLOCK_OVERHEAD_BYTES: usize = 64;

/// A shard's compressor; made with its first use (about 300 KiB).
#[derive(Default)]
pub struct Deflater {
    state: Option<Box<Deflate>>,
}

impl Deflater {
    /// Deflates `parts` as one run, so that whoever gets the result can inflate all of them.
    ///
    /// # Errors
    /// The compressor refuses, in words.
    pub fn deflate(&mut self, parts: &[Bytes]) -> Result<Vec<u8>, String> {
        let state =
            self.state.get_or_insert_with(|| Box::new(Deflate::new(DEFLATE_LEVEL, false, WINDOW_BITS)));
        state.reset();
        let plain: usize = parts.iter().map(Bytes::len).sum();
        let mut deflated = vec![0; plain + plain / 8 + BLOCK_OVERHEAD_BYTES];
        for part in parts {
            run(state, part, &mut deflated, DeflateFlush::NoFlush)?;
        }
        run(state, &[], &mut deflated, DeflateFlush::SyncFlush)?;
        deflated.truncate(state.total_out() as usize);
        Ok(deflated)
    }
}

/// Compresses `input` to behind what `output` holds already, and makes room there if it must.
fn run(state: &mut Deflate, input: &[u8], output: &mut Vec<u8>, flush: DeflateFlush) -> Result<(), String> {
    let begin = state.total_in();
    loop {
        let (used, made) = ((state.total_in() - begin) as usize, state.total_out() as usize);
        let done = state.compress(&input[used..], &mut output[made..], flush);
        done.map_err(|error| error.as_str().to_owned())?;
        // Room that is left says that all is out (a flush included).
        if (state.total_out() as usize) < output.len() {
            return Ok(());
        }
        output.resize(output.len() * 2, 0);
    }
}

/// Where in its stream an [`Inflater`] is.
enum Place {
    /// Between two blocks: a few bits.
    Boundary(BlockBoundaryState),
    /// Within a block: its tables.
    Block(Box<DecompressorOxide>),
    /// Behind the last block.
    End,
}

/// A client's side of a compressed connection. A plain value: it moves with its connection.
pub struct Inflater {
    place: Place,
    /// The last octets inflated, to refer to; a ring once it is as large as it may get.
    window: Box<[u8]>,
    /// Where in it the next octet goes.
    at: usize,
    /// It was filled to its end once.
    wrapped: bool,
    /// Received and not inflated yet.
    compressed: Bytes,
    /// The decoder holds more than there was room for.
    held: bool,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inflater({} octets to inflate)", self.compressed.len())
    }
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater {
            place: Place::Boundary(BlockBoundaryState::default()),
            window: vec![0; INFLATE_WINDOW_BYTES_MIN].into(),
            at: 0,
            wrapped: false,
            compressed: Bytes::new(),
            held: false,
        }
    }
}

impl Inflater {
    /// Takes in what was received. Only when nothing [waits](Inflater::waits), or at the stream's beginning.
    pub fn accept(&mut self, compressed: Bytes) {
        self.compressed = compressed;
    }

    /// Whether there is more to inflate before more is received.
    pub fn waits(&self) -> bool {
        !matches!(self.place, Place::End) && (self.held || !self.compressed.is_empty())
    }

    /// Whether the client has ended its stream: all that it may do then is to end the layer too.
    pub fn has_ended(&self) -> bool {
        matches!(self.place, Place::End)
    }

    /// What was received behind the compressed stream: plaintext, where the layer ends (rfc8437#4.1).
    pub fn into_rest(self) -> Bytes {
        self.compressed
    }

    /// Inflates the next octets: all that is there, or a step's worth, or up to the next flush of the client,
    /// behind which the layer may end.
    ///
    /// # Errors
    /// This is no deflate stream.
    pub fn step(&mut self) -> Result<Vec<u8>, String> {
        let mut plaintext = Vec::new();
        let place = std::mem::replace(&mut self.place, Place::End);
        let mut decoder = match place {
            Place::Boundary(state) => Box::new(DecompressorOxide::from_block_boundary_state(&state)),
            Place::Block(decoder) => decoder,
            Place::End => return Ok(plaintext),
        };
        while plaintext.len() < INFLATE_STEP_BYTES {
            match self.run(&mut decoder, &mut plaintext) {
                TINFLStatus::HasMoreOutput => self.held = true,
                TINFLStatus::NeedsMoreInput => {
                    self.held = false;
                    break;
                }
                TINFLStatus::BlockBoundary => {
                    self.held = false;
                    let Some(state) = decoder.block_boundary_state() else { continue };
                    let flushed = state.num_bits == 0 && !plaintext.is_empty();
                    if flushed || self.compressed.is_empty() {
                        self.place = Place::Boundary(state);
                        return Ok(plaintext);
                    }
                }
                TINFLStatus::Done => {
                    self.held = false;
                    return Ok(plaintext);
                }
                _ => return Err("this is not deflated".to_owned()),
            }
        }
        self.place = Place::Block(decoder);
        Ok(plaintext)
    }

    /// Lets the decoder fill what is left of the window.
    fn run(&mut self, decoder: &mut DecompressorOxide, plaintext: &mut Vec<u8>) -> TINFLStatus {
        if self.at == self.window.len() {
            self.make_room();
        }
        let once = if self.wrapped { 0 } else { TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF };
        let flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY | once;
        let (status, used, made) = decompress(decoder, &self.compressed, &mut self.window, self.at, flags);
        self.compressed.advance(used);
        plaintext.extend_from_slice(&self.window[self.at..self.at + made]);
        self.at += made;
        status
    }

    fn make_room(&mut self) {
        if self.window.len() == INFLATE_WINDOW_BYTES_MAX {
            (self.at, self.wrapped) = (0, true);
            return;
        }
        let mut larger = vec![0; self.window.len() * 2].into_boxed_slice();
        larger[..self.at].copy_from_slice(&self.window);
        self.window = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn lines(len: usize) -> Vec<u8> {
        let line =
            |n: usize| format!("* {n} FETCH (UID {} FLAGS (\\Seen) RFC822.SIZE {})\r\n", n + 7, n * 31);
        (0..).flat_map(|n| line(n).into_bytes()).take(len).collect()
    }

    /// All that `inflater` makes of `compressed`, received in pieces of `size`.
    fn inflate(inflater: &mut Inflater, compressed: &[u8], size: usize) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        for piece in compressed.chunks(size) {
            inflater.accept(Bytes::copy_from_slice(piece));
            while inflater.waits() {
                let step = inflater.step()?;
                assert!(step.len() <= INFLATE_STEP_BYTES + INFLATE_WINDOW_BYTES_MAX);
                all.extend(step);
            }
        }
        Ok(all)
    }

    /// A client's compressor: one stream with its whole history.
    fn client(state: &mut Deflate, text: &[u8], flush: DeflateFlush) -> Vec<u8> {
        let (begin, room) = (state.total_out(), text.len() * 2 + 100);
        let mut made = vec![0; room];
        state.compress(text, &mut made, flush).expect("room for all");
        made.truncate((state.total_out() - begin) as usize);
        made
    }

    #[test]
    fn what_is_sent_step_by_step_is_one_stream() {
        let mut deflater = Deflater::default();
        let mut inflater = Inflater::default();
        for (round, text) in
            [lines(30), noise(100_000), lines(200_000), Vec::new(), lines(1)].iter().enumerate()
        {
            let parts: Vec<Bytes> = text.chunks(7_000).map(Bytes::copy_from_slice).collect();
            let deflated = deflater.deflate(&parts).expect("deflated");
            assert!(deflated.ends_with(&[0, 0, 0xff, 0xff]), "flushed to an octet's end");
            assert_eq!(inflate(&mut inflater, &deflated, 1_000).as_ref(), Ok(text), "round {round}");
        }
        let deflated = deflater.deflate(&[Bytes::from(lines(100_000))]).expect("deflated");
        assert!(deflated.len() < 40_000, "{} octets", deflated.len());
    }

    #[test]
    fn nothing_that_was_sent_before_shows_in_what_is_sent_next() {
        let mut used = Deflater::default();
        used.deflate(&[Bytes::from(lines(50_000))]).expect("deflated");
        let again = used.deflate(&[Bytes::from(lines(5_000))]);
        assert_eq!(again, Deflater::default().deflate(&[Bytes::from(lines(5_000))]));
    }

    #[test]
    fn a_clients_stream_is_inflated_in_any_chunking_with_its_whole_history() {
        for flush in [DeflateFlush::SyncFlush, DeflateFlush::FullFlush, DeflateFlush::PartialFlush] {
            for size in [1, 13, 100_000] {
                let mut state = Deflate::new(9, false, 15);
                let mut inflater = Inflater::default();
                // The same noise again and again: only a window of 32 KiB can refer to it.
                for text in [lines(100), noise(20_000), noise(20_000), lines(70_000), noise(33_000)] {
                    let compressed = client(&mut state, &text, flush);
                    assert_eq!(inflate(&mut inflater, &compressed, size), Ok(text));
                }
            }
        }
    }

    #[test]
    fn an_idle_connection_keeps_its_window_as_far_as_it_was_used() {
        let mut state = Deflate::new(6, false, 15);
        let mut inflater = Inflater::default();
        for n in 0..20 {
            let compressed = client(&mut state, format!("{n} NOOP\r\n").as_bytes(), DeflateFlush::SyncFlush);
            inflate(&mut inflater, &compressed, 1_000).expect("deflated");
            assert!(matches!(inflater.place, Place::Boundary(_)), "no tables are kept");
        }
        assert_eq!(inflater.window.len(), INFLATE_WINDOW_BYTES_MIN);
        inflate(&mut inflater, &client(&mut state, &noise(1 << 20), DeflateFlush::SyncFlush), 1 << 20)
            .expect("deflated");
        assert_eq!(inflater.window.len(), INFLATE_WINDOW_BYTES_MAX);
    }

    #[test]
    fn a_bomb_unfolds_step_by_step() {
        let bomb = client(&mut Deflate::new(9, false, 15), &vec![b'a'; 50_000_000], DeflateFlush::SyncFlush);
        assert!(bomb.len() < 100_000);
        let all = inflate(&mut Inflater::default(), &bomb, bomb.len()).expect("deflated");
        assert_eq!(all.len(), 50_000_000);
    }

    #[test]
    fn what_follows_the_flush_or_the_end_is_left_for_the_layer_to_end_before_it() {
        for flush in [DeflateFlush::SyncFlush, DeflateFlush::Finish] {
            let mut both = client(&mut Deflate::new(6, false, 15), b"a UNAUTHENTICATE\r\n", flush);
            both.extend_from_slice(b"b LOGIN x y\r\n");
            let mut inflater = Inflater::default();
            inflater.accept(Bytes::from(both));
            assert_eq!(inflater.step().as_deref(), Ok(&b"a UNAUTHENTICATE\r\n"[..]));
            assert_eq!(inflater.has_ended(), matches!(flush, DeflateFlush::Finish));
            assert_eq!(inflater.into_rest(), "b LOGIN x y\r\n");
        }
    }

    #[test]
    fn what_is_not_deflated_is_refused_and_never_loops() {
        assert!(inflate(&mut Inflater::default(), b"a NOOP\r\nb NOOP\r\n", 100).is_err());
        // A reference to before the beginning.
        let mut state = Deflate::new(9, false, 15);
        client(&mut state, &noise(500), DeflateFlush::SyncFlush);
        let late = client(&mut state, &noise(500), DeflateFlush::SyncFlush);
        assert!(inflate(&mut Inflater::default(), &late, 100).is_err());
        let good = client(&mut Deflate::new(6, false, 15), &lines(5_000), DeflateFlush::SyncFlush);
        for place in 0..good.len() {
            for size in [3, 5_000] {
                let mut bad = good.clone();
                bad[place] ^= 0x55;
                let mut inflater = Inflater::default();
                let inflated = inflate(&mut inflater, &bad, size);
                assert!(inflated != Ok(lines(5_000)) || place >= good.len() - 4, "octet {place} counts");
            }
        }
    }
}
