//! Many accounts from CSV.
//!
//! *Owns*: reading, hashing on all cores, sending in batches, telling how each went. *Promises*: bounded
//! memory; the order of the file; a line that fails does not stop the others, but the exit code tells.
//! *Assumes*: one address a line. *Never*: sends a password, only hashes.

use std::io::{BufRead, IsTerminal, Write};

use indicatif::ProgressBar;

use super::output;
use crate::admin::client::Client;
use crate::admin::wire::{BULK_ACCOUNTS_MAX, Line, Request};
use crate::password;

/// Octets of one CSV line.
const LINE_BYTES_MAX: usize = 4096;

/// One line of the file, with its hash.
struct Row {
    address: String,
    hash: String,
    generated: Option<String>,
}

/// Reads `address,password` lines and creates the accounts.
pub fn add(client: &Client, input: impl BufRead, json: bool) -> Result<(), String> {
    let progress = match std::io::stderr().is_terminal() {
        true => ProgressBar::new_spinner().with_message("accounts"),
        false => ProgressBar::hidden(),
    };
    let (mut created, mut refused) = (0u64, 0u64);
    let mut lines = input.lines().enumerate();
    loop {
        let batch = read(&mut lines)?;
        if batch.is_empty() {
            break;
        }
        let rows = hash_all(&batch)?;
        let accounts = rows.iter().map(|row| (row.address.clone(), row.hash.clone())).collect();
        client.call(&Request::AccountAddMany { accounts }, &mut |line| {
            let Line::Result { address, refused: why } = line else {
                return Err(format!("the server answered something else: {line:?}"));
            };
            match why {
                None => created += 1,
                Some(_) => refused += 1,
            }
            let named = |row: &&Row| {
                row.address.eq_ignore_ascii_case(&address) || row.address.to_lowercase() == address
            };
            let generated = rows.iter().find(named).and_then(|row| row.generated.as_deref());
            output::bulk_row(&address, generated, why.as_deref(), json)
        })?;
        progress.inc(batch.len() as u64);
    }
    progress.finish_and_clear();
    let summary = format!("{created} created, {refused} refused");
    writeln!(std::io::stderr(), "{summary}").map_err(|error| error.to_string())?;
    if refused == 0 { Ok(()) } else { Err(format!("{refused} lines were refused, see above")) }
}

/// The next lines, at most a batch, as address and password.
fn read(
    lines: &mut impl Iterator<Item = (usize, std::io::Result<String>)>,
) -> Result<Vec<(String, String)>, String> {
    let mut batch = Vec::new();
    for (index, line) in lines.by_ref() {
        let line = line.map_err(|error| format!("standard input, line {}: {error}", index + 1))?;
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("standard input, line {}: longer than {LINE_BYTES_MAX} octets", index + 1));
        }
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            continue;
        }
        let (address, password) = line.split_once(',').unwrap_or((line, ""));
        batch.push((address.trim().to_string(), password.to_string()));
        if batch.len() == BULK_ACCOUNTS_MAX {
            break;
        }
    }
    Ok(batch)
}

/// Hashes a batch on all cores.
fn hash_all(batch: &[(String, String)]) -> Result<Vec<Row>, String> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = batch.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let hash_share = |part: &[(String, String)]| part.iter().map(hash_one).collect::<Result<Vec<_>, _>>();
        let workers: Vec<_> = batch.chunks(share).map(|part| scope.spawn(move || hash_share(part))).collect();
        let mut rows = Vec::with_capacity(batch.len());
        for worker in workers {
            rows.extend(worker.join().map_err(|_| "a hashing thread panicked".to_string())??);
        }
        Ok(rows)
    })
}

fn hash_one((address, given): &(String, String)) -> Result<Row, String> {
    let address = address.clone();
    if given.starts_with("$argon2") {
        return Ok(Row { address, hash: given.clone(), generated: None });
    }
    if given.is_empty() {
        let generated = password::generate()?;
        let hash = password::hash_generated(&generated)?;
        return Ok(Row { address, hash, generated: Some(generated) });
    }
    Ok(Row { address, hash: password::hash(given.as_bytes())?, generated: None })
}
