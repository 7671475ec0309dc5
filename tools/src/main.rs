//! `ringpost-log`: reads a Ringpost data folder without a server, and without changing it.
//!
//! *Owns*: which subcommand runs, and the exit code. *Promises*: nothing in the folder is written, locked or
//! created; damage is told and passed over, and makes the exit code 1. *Assumes*: read access; a server may
//! be running. *Never*: stops at the first thing it cannot read.

mod cli;
mod data;
mod describe;
mod disk;
mod dump;
mod message;
mod output;
mod segments;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use data::Shard;
use output::Output;

/// What kept a command from its work; one line for whoever typed it.
type Failure = String;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output::new(cli.json);
    let result = match &cli.command {
        Command::Man { of } => cli::man(of.as_deref(), &mut output),
        Command::Segments => each_shard(&cli, &mut output, segments::run),
        Command::Dump(what) => each_shard(&cli, &mut output, |shard, output| dump::run(shard, what, output)),
        Command::Verify => each_shard(&cli, &mut output, verify::run),
        Command::Message(what) => message::run(&cli, what, &mut output),
    };
    output.flush();
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(damages) => {
            let (noun, verb) = if damages == 1 { ("place", "is") } else { ("places", "are") };
            eprintln!("ringpost-log: {damages} {noun} in the log {verb} damaged");
            ExitCode::from(1)
        }
        Err(failure) => {
            eprintln!("ringpost-log: {failure}");
            ExitCode::from(1)
        }
    }
}

/// Runs a command on every shard that was asked for; one that cannot be read does not keep the others from
/// it. Returns how much damage was found.
fn each_shard(
    cli: &Cli,
    output: &mut Output,
    mut run: impl FnMut(&Shard, &mut Output) -> Result<u64, Failure>,
) -> Result<u64, Failure> {
    let mut damages = 0;
    for shard in data::shards(&cli.data, cli.only()?)? {
        damages += run(&shard, output).unwrap_or_else(|failure| {
            output.unreadable(&shard, &failure);
            1
        });
    }
    Ok(damages)
}
