//! Two accounts to try the server with, on the embedded default only.
//!
//! *Owns*: alice, bob and their domain. *Promises*: made once; passwords are shown at the start that makes
//! them, or come from `RINGPOST_DEMO_PASSWORD`. *Assumes*: listeners are on loopback. *Never*: touches a
//! configured server.

use std::path::Path;

use ringpost_engine::change::Services;
use ringpost_engine::ids::{ShardId, Slot};

use crate::admin::Shards;
use crate::password;
use crate::shard::admin::{AdminReply, AdminRequest};

const DOMAIN: &str = "example.test";
const NAMES: [&str; 2] = ["alice@example.test", "bob@example.test"];

/// An account to show.
pub struct Demo {
    /// Its address.
    pub address: &'static str,
    /// Its password; none if it was made by an earlier start, and how to get another.
    pub password: Option<String>,
}

/// Makes what is missing. `first_start` is told for the case that a crash came between folder and accounts.
pub fn accounts(shards: &dyn Shards, data: &Path, first_start: bool) -> Result<Vec<Demo>, String> {
    let done = data.join("demo-accounts-made");
    if !first_start && done.exists() {
        return Ok(NAMES.iter().map(|address| Demo { address, password: None }).collect());
    }
    ask(shards, ShardId(0), AdminRequest::DomainAdd { name: DOMAIN.to_string() })?;
    let mut made = Vec::new();
    for address in NAMES {
        let given = std::env::var("RINGPOST_DEMO_PASSWORD").ok().filter(|given| !given.is_empty());
        let (password, password_hash) = match given {
            Some(given) => (given.clone(), password::hash(given.as_bytes())?),
            None => {
                let password = password::generate()?;
                let hash = password::hash_generated(&password)?;
                (password, hash)
            }
        };
        let owner = shards.owner(Slot::of(address));
        let request = AdminRequest::AccountAdd {
            address: address.to_string(),
            password_hash: password_hash.clone(),
            services: Services::ALL,
        };
        if ask(shards, owner, request).is_err() {
            // There already, from a start that ended before it could say so: it gets the new password.
            ask(
                shards,
                owner,
                AdminRequest::AccountPassword { address: address.to_string(), password_hash },
            )?;
        }
        made.push(Demo { address, password: Some(password) });
    }
    std::fs::write(
        &done,
        "The demonstration accounts were made; remove nothing, this file only remembers it.\n",
    )
    .map_err(|error| format!("{}: {error}", done.display()))?;
    Ok(made)
}

fn ask(shards: &dyn Shards, to: ShardId, request: AdminRequest) -> Result<(), String> {
    match shards.request(to, request)? {
        AdminReply::Done => Ok(()),
        AdminReply::Refused(why) => Err(why),
        other => Err(format!("the shard gave an answer to another question: {other:?}")),
    }
}
