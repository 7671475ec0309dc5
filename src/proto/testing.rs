//! For unit tests of sessions: one call at a time, so that every answer of the shard can be played.
//!
//! *Owns*: an empty store and what a session says. *Promises*: outputs in a form that tests can compare.
//! *Assumes*: whole conversations are held by `tests/wire`. *Never*: answers by itself.

use ringpost_engine::ids::{Now, ShardId};
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::seed::Seed;

use crate::proto::{Cx, Input, Output, Peer, Reply, Server, Service, Session};

/// A session with a store that nobody has written to.
pub struct Stage<S> {
    /// The session.
    pub session: S,
    /// Octets it has not taken yet.
    pub input: Input,
    /// Whether the shard holds many messages already.
    pub crowded: bool,
    store: Store,
    /// What it may be told to be.
    pub server: Server,
}

/// Who connects.
pub fn peer(service: Service) -> Peer {
    Peer { conn: 1, address: "192.0.2.7".to_owned(), service, tls: false, opened_ms: 0 }
}

impl<S: Session> Stage<S> {
    /// A started session.
    pub fn new(session: S) -> Stage<S> {
        let options = Options { segment_bytes: 1024 * 1024, ..Options::new(ShardId(0), 7) };
        let (store, _) = Store::open(&mut FakeDisk::new(Seed::new(1)), options, Now::default())
            .expect("an empty disk opens");
        let server = Server {
            hostname: "mx.test".to_owned(),
            tls: true,
            plaintext_login: true,
            message_bytes_max: 10_000,
            recipients_max: 10,
            imap_administrators: Vec::new(),
            submission_users: Vec::new(),
            url_secret: crate::proto::Secret(b"of tests".to_vec()),
            domains: vec!["x.test".to_owned()],
            subaddress_separator: '+',
            pop3_login_delay_s: None,
            note_reads: true,
            login_timeout_ms: 1,
            pop3_idle_timeout_ms: 2,
            imap_idle_timeout_ms: 3,
            smtp_idle_timeout_ms: 4,
            imap: Default::default(),
        };
        let mut stage = Stage { session, input: Input::new(), crowded: false, store, server };
        stage.call(|session, _, cx| session.start(cx));
        stage
    }

    /// The client sends octets; what the session says to them.
    pub fn send(&mut self, octets: &[u8]) -> String {
        self.input.extend(octets);
        self.call(|session, input, cx| session.feed(input, cx))
    }

    /// The shard answers; what the session says then, its input included.
    pub fn answer(&mut self, reply: Reply) -> String {
        let said = self.call(|session, _, cx| session.on_reply(reply, cx));
        said + &self.send(b"")
    }

    /// Any other call.
    pub fn call(&mut self, f: impl FnOnce(&mut S, &mut Input, &mut Cx<'_>)) -> String {
        let now = Now { unix_ms: 1_641_038_400_000, mono_ms: 0 };
        let Stage { session, input, store, server, crowded } = self;
        f(session, input, &mut Cx { store, now, server, crowded: *crowded });
        let mut said = String::new();
        while let Some(output) = session.poll_output() {
            match output {
                Output::Bytes(bytes) => said.push_str(&String::from_utf8_lossy(&bytes)),
                Output::Ask(ask) => said.push_str(&format!("{{{ask:?}}}")),
                Output::Deliver(delivery) => said.push_str(&format!("{{Deliver {}}}", delivery.queue_id)),
                Output::Close => said.push_str("{Close}"),
                Output::StartTls => said.push_str("{StartTls}"),
                Output::Handoff { address } => said.push_str(&format!("{{Handoff {address}}}")),
                Output::Verify { hash, .. } => said.push_str(&format!("{{Verify {hash}}}")),
                other => said.push_str(&format!("{{{other:?}}}")),
            }
        }
        said
    }
}
