//! Commands about the connection: CAPABILITY, NOOP, CHECK, LOGOUT, ID, ENABLE, NAMESPACE, STARTTLS, COMPRESS,
//! CANCELUPDATE.
//!
//! *Owns*: what is answered at once. *Promises*: nothing that a client sent in clear survives STARTTLS.
//! *Assumes*: the session tells the view's news at the end of NOOP as of any command. *Never*: touches a
//! mailbox.

use bytes::Bytes;

use super::enable;
use crate::limits::IMAP_CLIENT_CHARS_MAX;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step};
use crate::proto::{Cx, Output};

/// What is complete within one step.
#[derive(Debug)]
pub enum Plain {
    /// rfc3501#6.1.1
    Capability,
    /// NOOP and CHECK: there is nothing that a checkpoint would add (rfc3501#6.4.1).
    Noop,
    /// rfc3501#6.1.3
    Logout,
    /// rfc2971#3.1: what the client says it is.
    Id(Vec<(Bytes, Option<Bytes>)>),
    /// rfc5161#3.1
    Enable(Vec<String>),
    /// rfc8437#3
    Unauthenticate,
    /// rfc2342#5
    Namespace,
    /// rfc3501#6.2.1
    StartTls,
    /// rfc4978#3
    Compress,
    /// rfc5267#4.3.5
    CancelUpdate(Vec<Bytes>),
}

impl Plain {
    /// Does it.
    pub fn step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        match self {
            Plain::Capability => {
                core.out.put(b"* CAPABILITY ");
                core.out.put(&core.capabilities(cx));
                core.out.line("");
                Reply::done().into()
            }
            Plain::Noop => Reply::done().into(),
            Plain::Logout => {
                core.out.line("* BYE Logging out");
                Step::Leave(Reply::done())
            }
            Plain::Id(pairs) => {
                core.identity.set_client(&client(pairs));
                core.out.put(b"* ID (\"name\" \"ringpost\" \"version\" \"");
                core.out.put(env!("CARGO_PKG_VERSION").as_bytes());
                core.out.line("\")");
                Reply::done().into()
            }
            Plain::Enable(names) => enable::step(names, core, cx),
            Plain::Namespace => {
                core.out.line("* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) NIL");
                Reply::done().into()
            }
            Plain::StartTls => starttls(core, cx),
            Plain::Compress => compress(core),
            Plain::Unauthenticate => unauthenticate(core),
            Plain::CancelUpdate(tags) => {
                if let Some(view) = &mut core.view {
                    view.contexts.cancel(tags);
                }
                Reply::ok("No further updates").into()
            }
        }
    }
}

/// Name and version of the program (rfc2971#3.3), for the log.
fn client(pairs: &[(Bytes, Option<Bytes>)]) -> String {
    let field = |wanted: &[u8]| {
        let found = pairs.iter().find(|(field, _)| field.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| value.as_deref()).unwrap_or_default()
    };
    let words = [field(b"name"), field(b"version")].map(|octets| {
        let text = String::from_utf8_lossy(octets).into_owned();
        text.chars().filter(|c| !c.is_control()).take(IMAP_CLIENT_CHARS_MAX).collect::<String>()
    });
    words.join(" ").trim().to_owned()
}

/// COMPRESS DEFLATE (rfc4978#3): what is said before the layer begins.
fn compress(core: &mut Core) -> Step {
    if core.compressed {
        return Reply::bad("[COMPRESSIONACTIVE] DEFLATE is active already").into();
    }
    if core.pipelined {
        // rfc4978#3: the client must have seen the result first; nobody knows whether this is deflated.
        return Reply::bad("Nothing may follow COMPRESS before its result").into();
    }
    core.compressed = true;
    Step::Then(Reply::ok("DEFLATE active"), Output::StartCompression)
}

/// UNAUTHENTICATE (rfc8437#3): whoever logs in next finds the connection as it was before anybody did.
fn unauthenticate(core: &mut Core) -> Step {
    let compressed = core.compressed;
    core.forget_user();
    let reply = Reply::done();
    // rfc8437#4.1: the layer ends behind the completion.
    if compressed { Step::Then(reply, Output::StopCompression) } else { reply.into() }
}

/// STARTTLS (rfc3501#6.2.1): what is said before the handshake.
fn starttls(core: &mut Core, cx: &Cx<'_>) -> Step {
    if core.peer.tls {
        return Reply::bad("TLS is on already").into();
    }
    if !cx.server.tls {
        return Reply::no("[CANNOT] TLS is not available").into();
    }
    if core.pipelined {
        core.out.line("* BYE Start over");
        // Bytes sent in clear must not be taken for bytes of the protected client (rfc3501#6.2.1); who sends
        // them is broken or not the client (CVE-2011-0411). There is nothing to go on with.
        return Step::Leave(Reply::bad("Nothing may follow STARTTLS before the handshake"));
    }
    Step::Handshake(Reply::ok("Begin TLS negotiation now"))
}
