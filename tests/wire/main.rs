//! Transcripts: what clients and server say to each other, as the RFCs print it.
//!
//! *Owns*: the rule that the same bytes in any chunking give the same outputs, checked on every file below
//! `transcripts/`. *Promises*: each one is held as written, whole, byte by byte and at seeded random cuts, on
//! one shard and on three; every time every client hears the same bytes. *Assumes*: [`script`] for the
//! notation. *Never*: opens a socket or a file of a store.

mod check;
mod chunking;
mod compressed;
mod files;
mod origins;
mod pop3;
mod registry;
mod script;
mod world;

use std::collections::BTreeMap;

use check::Reader;
use files::{Transcript, transcripts};
use ringpost_engine::testing::seed::Seed;
use script::{Action, Script, Step};
use world::{Conn, World};

/// Random chunkings of each transcript.
const SEEDS: u64 = 8;

/// How a client's bytes are cut.
enum Cut {
    /// A run of lines at once; then what is heard is checked.
    AsWritten,
    /// All that one client says until something else happens.
    Whole,
    /// So many bytes at a time.
    Every(usize),
    /// At random places.
    Random(Seed),
}

/// What each client heard.
type Heard = BTreeMap<Conn, Vec<u8>>;

/// Holds `script` and returns what was heard. Checks it on the way if it is cut as written.
fn hold(script: &Script, shards: u16, mut cut: Cut) -> Result<Heard, String> {
    let checked = matches!(cut, Cut::AsWritten);
    let mut world = World::new(shards, &script.server);
    let mut reader = Reader::default();
    for (index, step) in script.steps.iter().enumerate() {
        let wrong = |why| format!("{}:{}: {why}", script.name, step.line);
        match &step.action {
            Action::Say { conn, bytes } => {
                chunks(bytes, &mut cut).into_iter().for_each(|chunk| world.receive(*conn, chunk));
            }
            Action::Hear { conn, line } if checked => {
                reader.expect(world.heard(*conn), *conn, line).map_err(wrong)?;
                if !matches!(script.steps.get(index + 1), Some(Step { action: Action::Hear { .. }, .. })) {
                    reader.nothing_left(&world).map_err(wrong)?;
                }
            }
            Action::Closed { conn } if checked => reader.closed(&world, *conn).map_err(wrong)?,
            Action::Hear { .. } | Action::Closed { .. } => {}
            Action::Connect { conn, service, tls } => world.connect(*conn, *service, *tls),
            Action::Deliver { address, message } => world.deliver(address, message),
            Action::Wait { ms } => world.wait(*ms),
            Action::Drain => world.drain(),
            Action::HangUp { conn } => world.hang_up(*conn),
        }
    }
    if checked {
        let end = reader.nothing_left(&world).and_then(|()| reader.nobody_else_closed(&world));
        end.map_err(|why| format!("{}: at the end: {why}", script.name))?;
    }
    Ok(world.into_heard())
}

fn chunks<'a>(bytes: &'a [u8], cut: &mut Cut) -> Vec<&'a [u8]> {
    match cut {
        Cut::AsWritten | Cut::Whole => vec![bytes],
        Cut::Every(count) => bytes.chunks(*count).collect(),
        Cut::Random(seed) => {
            let (mut chunks, mut rest) = (Vec::new(), bytes);
            while !rest.is_empty() {
                let longest = if seed.one_in(2) { 4 } else { 200 };
                let (chunk, more) = rest.split_at((1 + seed.below(longest) as usize).min(rest.len()));
                chunks.push(chunk);
                rest = more;
            }
            chunks
        }
    }
}

/// Holds `script` in every way. Says where it goes wrong first.
fn check(script: &Script) -> Result<(), String> {
    let merged = script.merged();
    for shards in [1, 3] {
        let expected = hold(script, shards, Cut::AsWritten)?;
        let mut ways = vec![
            ("whole".to_owned(), Cut::Whole),
            ("byte by byte".to_owned(), Cut::Every(1)),
            ("in sevens".to_owned(), Cut::Every(7)),
        ];
        ways.extend((0..SEEDS).map(|seed| (format!("cut by seed {seed}"), Cut::Random(Seed::new(seed)))));
        for (way, cut) in ways {
            let heard = hold(&merged, shards, cut)?;
            if let Some(difference) = check::difference(&expected, &heard) {
                return Err(format!("{} on {shards} shards, {way}: {difference}", script.name));
            }
        }
    }
    Ok(())
}

/// Checks every transcript of a folder.
fn check_folder(folder: &str) {
    let mut wrong = Vec::new();
    for Transcript { name, text } in transcripts(folder) {
        wrong.extend(Script::read(&name, &text).and_then(|script| check(&script)).err());
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n\n"));
}

#[test]
fn pop3() {
    check_folder("pop3");
}

#[test]
fn smtp() {
    check_folder("smtp");
}

#[test]
fn submission() {
    check_folder("submission");
}

#[test]
fn lmtp() {
    check_folder("lmtp");
}

#[test]
fn imap() {
    check_folder("imap");
}

#[test]
fn a_wrong_transcript_is_found() {
    let result = |end: &str| {
        let text = format!("connect: pop3\nS: +OK …\nC: QUIT\n{end}\n");
        Script::read("inline", &text).and_then(|script| check(&script))
    };
    assert_eq!(result("S: +OK …\nclosed"), Ok(()));
    for (end, why) in [
        ("S: +OK nonsense\nclosed", "inline:4: expected"),
        ("S: +OK …\nS: more\nclosed", "inline:5: expected"),
        ("closed", "inline:4: connection 1 also heard"),
        ("S: +OK …", "inline: at the end: connection 1 is closed"),
        ("S: +OK …\nclosed\nconnect: pop3\nS: +OK …\nclosed", "inline:8: connection 2 is open"),
        ("nonsense", "inline:4: not a step"),
        ("C> \\q", "inline:4: bad escape"),
        ("C9: x", "inline:4: no connection 9"),
    ] {
        let found = result(end).expect_err(end);
        assert!(found.starts_with(why), "{found} instead of {why}");
    }
}
