//! LOGIN and AUTHENTICATE.
//!
//! *Owns*: the way from what a client claims to an account. *Promises*: an unknown user, a wrong password
//! and a service that is not allowed take the same time and get the same reply. *Assumes*: the shard hands
//! the session to the owner of the address and checks passwords off its thread. *Never*: keeps a password
//! longer than until its check.
//!
//! ```text
//!  Start ──LOGIN, initial response──► Credentials ──Handoff──► Arriving ──Verify──► Verifying ──► Done
//!    └──AUTHENTICATE──► Exchanging ──last line──┘
//! ```

use bytes::Bytes;
use ringpost_engine::change::Services;
use ringpost_engine::ids::normalise_address;

use crate::proto::imap::command;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step, User, Wake};
use crate::proto::sasl::{self, Credentials, Exchange, Failure, Mechanism};
use crate::proto::{self, Cx, Output, Secret, UNKNOWN_ACCOUNT_HASH};

/// See the module.
#[derive(Debug)]
pub struct Login {
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Login { user: Bytes, password: Secret },
    Authenticate(command::Authenticate),
    Exchanging(Exchange),
    Arriving { address: String, password: Secret },
    Verifying { candidate: Option<User> },
}

/// rfc5530#3; the same words whatever the reason.
const FAILED: &str = "[AUTHENTICATIONFAILED] Authentication failed";

impl Login {
    /// LOGIN (rfc3501#6.2.3).
    pub fn plain(user: &Bytes, password: Secret) -> Login {
        Login { stage: Stage::Login { user: user.clone(), password } }
    }

    /// AUTHENTICATE (rfc3501#6.2.2).
    pub fn authenticate(authenticate: command::Authenticate) -> Login {
        Login { stage: Stage::Authenticate(authenticate) }
    }

    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        let idle = Stage::Verifying { candidate: None };
        match (std::mem::replace(&mut self.stage, idle), wake) {
            (Stage::Login { .. } | Stage::Authenticate(_), Wake::Go) if !is_private(core, cx) => {
                Reply::no("[PRIVACYREQUIRED] Start TLS first").into()
            }
            (Stage::Login { user, password }, Wake::Go) => match Credentials::new(&user, &password.0) {
                Ok(credentials) => self.hand_off(credentials),
                Err(_) => fail(core),
            },
            (Stage::Authenticate(authenticate), Wake::Go) => self.begin_exchange(&authenticate, core),
            (Stage::Exchanging(mut exchange), Wake::Line(line)) => {
                let step = exchange.line(&line);
                self.go_on(exchange, step, core)
            }
            (Stage::Arriving { address, password }, Wake::Replied(proto::Reply::Arrived)) => {
                let account = cx.store.account_by_address(&address).and_then(|id| cx.store.account(id));
                let hash = account.map_or(UNKNOWN_ACCOUNT_HASH, |account| account.password_hash()).to_owned();
                let candidate = account.map(|account| User {
                    account: account.id(),
                    address,
                    hidden: account.hidden_capabilities().to_vec(),
                });
                self.stage = Stage::Verifying { candidate };
                Step::Ask(Output::Verify { hash, password })
            }
            (Stage::Verifying { candidate }, Wake::Replied(proto::Reply::Verified(good))) => {
                finish(candidate, good, core, cx)
            }
            _ => Reply::no("[UNAVAILABLE] Cannot check the login now").into(),
        }
    }

    fn begin_exchange(&mut self, authenticate: &command::Authenticate, core: &mut Core) -> Step {
        let Some(mechanism) = Mechanism::by_name(authenticate.mechanism.as_bytes()) else {
            return Reply::no("[CANNOT] That mechanism is not known").into();
        };
        let initial = authenticate.initial.as_ref().map(|initial| initial.0.as_slice());
        let (exchange, step) = Exchange::begin(mechanism, initial);
        self.go_on(exchange, step, core)
    }

    fn go_on(&mut self, exchange: Exchange, step: sasl::Step, core: &mut Core) -> Step {
        match step {
            sasl::Step::Challenge(challenge) => {
                core.out.put(b"+ ");
                core.out.line(challenge);
                self.stage = Stage::Exchanging(exchange);
                Step::Line
            }
            sasl::Step::Done(credentials) => self.hand_off(credentials),
            sasl::Step::Failed(Failure::Cancelled) => Reply::bad("Cancelled").into(),
            sasl::Step::Failed(Failure::Base64) => Reply::bad("That is not base64").into(),
            sasl::Step::Failed(Failure::NotAuthorised) => {
                Reply::no("[AUTHORIZATIONFAILED] Nobody may act for another user").into()
            }
            sasl::Step::Failed(Failure::Malformed) => fail(core),
        }
    }

    fn hand_off(&mut self, credentials: Credentials) -> Step {
        let address = normalise_address(&credentials.user);
        self.stage = Stage::Arriving { address: address.clone(), password: credentials.password };
        Step::Ask(Output::Handoff { address })
    }
}

/// Whether a password may be sent on this connection.
fn is_private(core: &Core, cx: &Cx<'_>) -> bool {
    core.peer.tls || cx.server.plaintext_login
}

fn fail(core: &mut Core) -> Step {
    core.login_failures += 1;
    Reply::no(FAILED).into()
}

fn finish(candidate: Option<User>, good: Option<bool>, core: &mut Core, cx: &Cx<'_>) -> Step {
    let Some(good) = good else {
        return Reply::no("[UNAVAILABLE] Too many logins at the moment, try again").into();
    };
    // The account may have changed while the password was being checked.
    let allowed = candidate.filter(|user| {
        good && cx
            .store
            .account(user.account)
            .is_some_and(|account| account.services().allows(Services::IMAP))
    });
    let Some(user) = allowed else { return fail(core) };
    let referral = cx.store.account(user.account).and_then(|account| account.referral());
    if let Some(url) = referral.filter(|_| cx.server.imap.login_referrals) {
        // rfc2221#4.1; only who knows the password learns where the account is.
        return Reply::no(format!("[REFERRAL {url}] This account is served elsewhere")).into();
    }
    core.here.clone_from(&user.address);
    core.user = Some(user);
    let capabilities = core.capabilities(cx);
    Reply::ok(format!("[CAPABILITY {}] Logged in", String::from_utf8_lossy(&capabilities))).into()
}
