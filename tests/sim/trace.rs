//! What happened, for people and for comparing two runs.
//!
//! *Owns*: the fingerprint of a run and its last lines. *Promises*: every octet that passes between world
//! and shards goes into the fingerprint. *Never*: grows without bound.

use std::collections::VecDeque;
use std::fmt::Arguments;

use bytes::Bytes;
use ringpost::shard::event::{Effect, Event, Piece};

/// Lines kept for a failure's report.
const LINES_MAX: usize = 60;

/// See the module.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    lines: VecDeque<String>,
    /// Print everything as it happens.
    loud: bool,
}

impl Trace {
    pub fn new(loud: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, lines: VecDeque::new(), loud }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn last_lines(&self) -> String {
        self.lines.iter().map(|line| format!("  {line}\n")).collect()
    }

    fn mix(&mut self, bytes: &[u8]) {
        // FNV-1a.
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub fn line(&mut self, text: Arguments<'_>) {
        let text = text.to_string();
        self.mix(text.as_bytes());
        if self.loud {
            println!("{text}");
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(text);
    }

    pub fn event(&mut self, now_us: u64, shard: usize, event: &Event) {
        match event {
            Event::Tick => {}
            Event::Received { conn, bytes } => {
                self.mix(bytes);
                self.line(format_args!("{now_us} {shard} < {conn:?} {:?}", excerpt(bytes)));
            }
            other => self.line(format_args!("{now_us} {shard} < {}", short(other))),
        }
    }

    pub fn effect(&mut self, now_us: u64, shard: usize, effect: &Effect) {
        match effect {
            Effect::Send { conn, pieces } => {
                for piece in pieces {
                    let (Piece::Bytes(bytes) | Piece::Mapped { bytes, .. }) = piece;
                    self.mix(bytes);
                    self.line(format_args!("{now_us} {shard} > {conn:?} {:?}", excerpt(bytes)));
                }
            }
            Effect::Log(line) => self.line(format_args!("{shard} log {}", line.text(&now_us.to_string()))),
            other => self.line(format_args!("{now_us} {shard} > {}", short(other))),
        }
    }
}

fn excerpt(bytes: &Bytes) -> String {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]);
    if bytes.len() > 100 { format!("{start}… {} octets", bytes.len()) } else { start.into_owned() }
}

fn short(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.chars().take(240).collect()
}
