//! What an IMAP client sends is framed the same in any chunking, and whatever is framed can be read.

use bytes::Bytes;
use ringpost::proto::Input;
use ringpost::proto::imap::command::{Command, Verb};
use ringpost::proto::imap::framer::{Bounds, CommandFramer, Frame};
use ringpost::proto::imap::parse::{self, AppendReader};

/// Everything but the data of messages, whose pieces depend on the chunking.
fn frames(octets: &[u8], size: usize) -> (Vec<Frame>, Vec<u8>) {
    let (mut framer, mut input) = (CommandFramer::new(), Input::new());
    let (mut frames, mut data) = (Vec::new(), Vec::new());
    for chunk in octets.chunks(size) {
        input.extend(chunk);
        loop {
            match framer.next(&mut input, Bounds::BEFORE_LOGIN) {
                Frame::Need => break,
                Frame::Data(octets) => data.extend_from_slice(&octets),
                frame => {
                    let announced = match &frame {
                        Frame::Message { literal, .. } => Some(literal.size),
                        Frame::Text { literal, .. } => literal.map(|literal| literal.size),
                        _ => None,
                    };
                    match announced {
                        Some(size) if size > 4_096 => framer.refuse(),
                        _ => {
                            framer.accept();
                        }
                    }
                    frames.push(frame);
                }
            }
        }
    }
    (frames, data)
}

/// Takes any octets.
pub fn run(octets: &[u8]) {
    let whole = frames(octets, octets.len().max(1));
    assert_eq!(whole, frames(octets, 1));
    assert_eq!(whole, frames(octets, 7));
    let mut appended = AppendReader::default();
    for frame in whole.0 {
        match frame {
            Frame::Command(command) => drop(parse::command(&command, false)),
            Frame::Message { head, literal } => {
                appended = AppendReader::default();
                if let Ok(Command { verb: Verb::Append(append), .. }) = parse::command(&head, true) {
                    drop(appended.read(&append.text, Some(literal)));
                }
            }
            Frame::Text { text, literal } => drop(appended.read(&text, literal)),
            _ => {}
        }
    }
    for utf8 in [false, true] {
        drop(parse::command(&Bytes::copy_from_slice(octets), utf8));
    }
}
