//! `ringpost-log`: reads a Ringpost data folder without a server; changes one only where its command says so.
//!
//! *Owns*: which subcommand runs, and the exit code. *Promises*: nothing in the folder is written, locked or
//! created by a command that reads; damage is told and passed over, and makes the exit code 1. *Assumes*: a server
//! may be running; `import`, `restore`, `reshard` and `generate` take its
//! lock. *Never*: stops at the first thing it cannot read.

mod body;
mod carry;
mod cli;
mod describe;
mod generate;
mod history;
mod host;
mod output;
mod prove;
mod reshard;
mod restore;
mod show;
mod stats;
mod story;
mod track;
mod who;

use std::process::ExitCode;

use clap::Parser;
use ringpost::admin::{data, disk};

use cli::{Cli, Command};
use data::Shard;
use output::Output;

/// What kept a command from its work; one line for whoever typed it.
type Failure = String;
/// How many places were found damaged or unreadable.
type Damages = u64;

/// Something is damaged or cannot be read.
const EXIT_DAMAGED: u8 = 1;
/// The work could not be done. 2 is the command line's.
const EXIT_FAILED: u8 = 3;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output::new(cli.json);
    let result = run(&cli, &mut output);
    output.flush();
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(damages) => {
            let (noun, verb) = if damages == 1 { ("place", "is") } else { ("places", "are") };
            eprintln!("ringpost-log: {damages} {noun} in the log {verb} damaged or cannot be read");
            ExitCode::from(EXIT_DAMAGED)
        }
        Err(failure) => {
            eprintln!("ringpost-log: {failure}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn run(cli: &Cli, output: &mut Output) -> Result<Damages, Failure> {
    match &cli.command {
        Command::Man { of } => cli::man(of.as_deref(), output),
        Command::Segments(what) => show::segments::run(cli, what, output),
        Command::Dump(what) => each_shard(cli, output, |shard, output| show::dump::run(shard, what, output)),
        Command::Message(what) => show::message::run(cli, what, output),
        Command::Story(what) => story::run(cli, what, output),
        Command::Stats(what) => stats::run(cli, what, output),
        Command::Tail(what) => show::tail::run(cli, what, output),
        Command::Export(what) => carry::export::run(cli, what, output),
        Command::Import(what) => carry::import::run(cli, what, output),
        Command::Restore(what) => restore::run(cli, what),
        Command::Reshard(what) => reshard::run(cli, what, output),
        Command::Generate(what) => generate::run(cli, what, output),
        Command::Verify(what) => prove::run(cli, what, output),
    }
}

/// Runs a command on every shard that was asked for; one that cannot be read does not keep the others from
/// it. Returns how much damage was found.
fn each_shard(
    cli: &Cli,
    output: &mut Output,
    mut run: impl FnMut(&Shard, &mut Output) -> Result<Damages, Failure>,
) -> Result<Damages, Failure> {
    let mut damages = 0;
    for shard in data::shards(&cli.data, cli.only()?)? {
        damages += run(&shard, output).unwrap_or_else(|failure| {
            output.unreadable(&shard, &failure);
            1
        });
    }
    Ok(damages)
}
