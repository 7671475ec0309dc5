//! Tests of compressed bodies.
//!
//! *Owns*: the round trip, the block boundaries, and what a rotten disk can make of a list of blocks. *Promises*: the
//! same octets every time. *Assumes*: a dictionary of made-up mail. *Never*: reads a disk.

use super::*;
use crate::ids::AccountId;
use crate::limits::PRESS_DICTIONARIES_KEPT;
use crate::log::record::{KIND_BODY, RecordMeta};
use crate::testing::seed::Seed;
use zerocopy::IntoBytes;

const BLOCK: usize = PRESSED_BLOCK_BYTES as usize;

/// Text with words in common, so that it compresses.
fn text(len: usize, seed: &mut Seed) -> Bytes {
    let words = ["Received: from ", "by mail.example.org ", "Subject: ", "hello ", "\r\n", "world, "];
    let mut text = Vec::new();
    while text.len() < len {
        text.extend_from_slice(seed.pick(&words).expect("words").as_bytes());
        text.extend_from_slice(format!("{:x} ", seed.below(1 << 20)).as_bytes());
    }
    text.truncate(len);
    text.into()
}

fn noise(len: usize, seed: &mut Seed) -> Bytes {
    (0..len).map(|_| seed.below(256) as u8).collect()
}

fn trained(seed: &mut Seed) -> Bytes {
    let samples = (0..400).map(|_| text(2_000, seed)).collect();
    let work = Work::Train { samples, bytes: PRESS_DICTIONARY_BYTES };
    let Worked::Trained(dictionary) = work.carry_out() else { panic!("no dictionary") };
    dictionary
}

fn pressed(bodies: Vec<Bytes>, dictionary: &Bytes) -> Vec<Option<Vec<Block>>> {
    let work = Work::Press { bodies, dictionary: dictionary.clone(), level: 3 };
    match work.carry_out() {
        Worked::Pressed(pressed) => pressed,
        other => panic!("{other:?}"),
    }
}

fn unfolded(bodies: Vec<Vec<Block>>, octets: &[Bytes], dictionary: &Bytes) -> Vec<Option<Bytes>> {
    let folded = |(blocks, octets): (Vec<Block>, &Bytes)| {
        let (account, len) = (AccountId(7), octets.len() as u32);
        let meta = RecordMeta { kind: KIND_BODY, flags: 0, account, len, summary_len: 0, session: 0 };
        let head = RecordHead::seal(meta, std::iter::once(&octets[..]));
        Folded { head: Bytes::copy_from_slice(head.as_bytes()), blocks, dictionary: 0 }
    };
    let bodies = bodies.into_iter().zip(octets).map(folded).collect();
    match (Work::Unfold { bodies, dictionaries: vec![dictionary.clone()] }).carry_out() {
        Worked::Unfolded(unfolded) => unfolded,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bodies_come_back_octet_by_octet_whatever_their_length() {
    let mut seed = Seed::new(1);
    let lengths = [256, 257, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 77];
    let bodies: Vec<Bytes> = lengths.iter().map(|&len| text(len, &mut seed)).collect();
    for dictionary in [Bytes::new(), trained(&mut seed)] {
        let pressed: Vec<_> = pressed(bodies.clone(), &dictionary)
            .into_iter()
            .map(|one| one.expect("it is worth it"))
            .collect();
        for (blocks, octets) in pressed.iter().zip(&bodies) {
            assert_eq!(blocks.len() as u32, super::blocks(octets.len() as u32));
            for (at, block) in (0..).zip(blocks) {
                assert_eq!(block.len, block_len(octets.len() as u32, at));
                let start = at as usize * BLOCK;
                let alone = Unfolder::default().unfold(block, 0, || Some(dictionary.clone()));
                assert_eq!(alone.as_deref(), Some(&octets[start..start + block.len as usize]));
            }
        }
        let back: Vec<_> = unfolded(pressed, &bodies, &dictionary).into_iter().flatten().collect();
        assert!(back == bodies);
    }
}

#[test]
fn what_would_save_nothing_is_left_as_it_is() {
    let mut seed = Seed::new(2);
    let mixed = [text(BLOCK, &mut seed), noise(BLOCK, &mut seed)].concat();
    let bodies = vec![noise(5_000, &mut seed), text(255, &mut seed), Bytes::new(), mixed.clone().into()];
    let pressed = pressed(bodies, &Bytes::new());
    assert_eq!(pressed[..3], [None, None, None]);
    let blocks = pressed[3].clone().expect("half of it is text");
    assert!(blocks[0].bytes.len() < BLOCK / 2 && blocks[1].bytes.len() == BLOCK);
    let mixed = Bytes::from(mixed);
    assert_eq!(
        unfolded(vec![blocks.clone()], std::slice::from_ref(&mixed), &Bytes::new()),
        [Some(mixed.clone())]
    );
    let other = Bytes::from(vec![b'x'; mixed.len()]);
    assert_eq!(unfolded(vec![blocks], &[other], &Bytes::new()), [None], "not what its record proves");
}

#[test]
fn a_dictionary_is_found_and_pays() {
    let mut seed = Seed::new(3);
    let dictionary = trained(&mut seed);
    assert!((1_000..=PRESS_DICTIONARY_BYTES).contains(&dictionary.len()));
    let body = text(1_000, &mut seed);
    let size = |dictionary: &Bytes| {
        let blocks = pressed(vec![body.clone()], dictionary).remove(0).expect("worth it");
        blocks.iter().map(|block| block.bytes.len()).sum::<usize>()
    };
    assert!(size(&dictionary) * 10 < size(&Bytes::new()) * 9);
    let alike = Work::Train { samples: vec![Bytes::from_static(b"x"); 3], bytes: PRESS_DICTIONARY_BYTES };
    assert_eq!(alike.carry_out(), Worked::Trained(Bytes::new()), "nothing to be had");
}

#[test]
fn rot_gives_nothing_and_never_more_than_was_there() {
    let mut seed = Seed::new(4);
    let dictionary = trained(&mut seed);
    let block = pressed(vec![text(700, &mut seed)], &dictionary).remove(0).expect("worth it").remove(0);
    let mut unfolder = Unfolder::default();
    let whole = unfolder.unfold(&block, 0, || Some(dictionary.clone()));
    for at in 0..block.bytes.len() {
        for bit in 0..8 {
            let mut bytes = block.bytes.to_vec();
            bytes[at] ^= 1 << bit;
            let rotten = Block { bytes: bytes.into(), ..block.clone() };
            // Some bits of a frame mean nothing.
            let found = unfolder.unfold(&rotten, 0, || Some(dictionary.clone()));
            assert!(found.is_none() || found == whole, "octet {at}, bit {bit}");
        }
        let short = Block { bytes: block.bytes.slice(..at), ..block.clone() };
        assert_eq!(unfolder.unfold(&short, 0, || Some(dictionary.clone())), None);
    }
    for len in [0, 1, 699, 701, PRESSED_BLOCK_BYTES, PRESSED_BLOCK_BYTES + 1, u32::MAX] {
        assert_eq!(
            unfolder.unfold(&Block { len, ..block.clone() }, 0, || Some(dictionary.clone())),
            None,
            "length {len}"
        );
    }
    assert_eq!(unfolder.unfold(&block, 1, || Some(Bytes::new())), None, "without its dictionary");
    assert!(whole.is_some());
    // A bomb: a frame of a few bytes that unfolds to far more than it says.
    let bomb: Bytes =
        Compressor::new(3).and_then(|mut zstd| zstd.compress(&vec![0; 64 << 20])).expect("ok").into();
    let bomb = Block { bytes: bomb, len: 1_000, sum: crc32fast::hash(&[0; 1_000]) };
    assert_eq!(unfolder.unfold(&bomb, 2, || Some(Bytes::new())), None);
}

#[test]
fn many_dictionaries_take_turns() {
    let mut seed = Seed::new(5);
    let mut unfolder = Unfolder::default();
    let packs: Vec<(Bytes, Block)> = (0..PRESS_DICTIONARIES_KEPT + 3)
        .map(|_| {
            let dictionary = trained(&mut seed);
            let block =
                pressed(vec![text(3_000, &mut seed)], &dictionary).remove(0).expect("worth it").remove(0);
            (dictionary, block)
        })
        .collect();
    for _ in 0..2 {
        for (number, (dictionary, block)) in (0..).zip(&packs) {
            assert!(unfolder.unfold(block, number, || Some(dictionary.clone())).is_some());
        }
    }
    assert!(format!("{unfolder:?}").contains(&PRESS_DICTIONARIES_KEPT.to_string()));
}
