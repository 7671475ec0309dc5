//! `ringpost-log restore`: what `ringpost account restore` does, with the server stopped.
//!
//! *Owns*: taking the folder, and leaving it whole. *Promises*: the same selection, rows and outcome, for it is the
//! same code. *Assumes*: no server has the folder; its lock says so. *Never*: reads a configuration.

use ringpost::admin::restore::restore;

use crate::cli::{self, Cli};
use crate::host::served::Served;
use crate::{Damages, Failure};

/// Restores into a stopped store.
pub fn run(cli: &Cli, what: &cli::Restore) -> Result<Damages, Failure> {
    let served = Served::open(&cli.data)?;
    let restored = restore(&served, &cli.data, &what.selection, cli.json);
    served.close()?;
    restored.map(|()| 0)
}
