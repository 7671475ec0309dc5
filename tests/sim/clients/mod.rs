//! Clients: small protocol drivers that hold the server to its word.
//!
//! *Owns*: what a driver is given and may do. *Promises*: a driver answers every byte it gets at once and
//! checks it.
//! *Assumes*: the world carries bytes. *Never*: knows time.

use ringpost::proto::Service;

use crate::oracle::{Oracle, Verdict};
use crate::seeds::Rng;

pub mod imap;
pub mod lines;
pub mod pop3;
pub mod smtp;

/// What a driver has at hand during one call.
pub struct Tools<'a> {
    pub rng: &'a mut Rng,
    pub oracle: &'a mut Oracle,
    /// Whether nothing was made to fail in this run: then only good answers are good.
    pub calm: bool,
    /// To the server.
    pub out: Vec<u8>,
    /// The driver hangs up after `out`.
    pub hang_up: bool,
}

impl Tools<'_> {
    pub fn say(&mut self, text: impl AsRef<[u8]>) {
        self.out.extend_from_slice(text.as_ref());
    }
}

/// What a client in IDLE believes to see.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub account: String,
    pub mailbox: String,
    /// UIDs by sequence number, 0 where not told; as long as the mailbox is.
    pub uids: Vec<u32>,
    /// Flags by sequence number as far as told.
    pub flags: Vec<Option<Vec<String>>>,
}

/// One connection's worth of work.
pub trait Client {
    fn service(&self) -> Service;
    /// Bytes came; an error fails the seed.
    fn on_bytes(&mut self, bytes: &[u8], tools: &mut Tools<'_>) -> Verdict;
    /// Whether its work is done.
    fn is_done(&self) -> bool;
    /// What it believes to see, while it idles.
    fn view(&self) -> Option<&View> {
        None
    }
    /// The world has nothing more for it.
    fn finish(&mut self, tools: &mut Tools<'_>);
    /// For the trace.
    fn name(&self) -> String;
}
