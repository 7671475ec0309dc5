//! `ringpost-bench`: load for any mail server, by host and port.
//!
//! *Owns*: the command line and the exit code. *Promises*: one JSON line on standard output at the end of
//! every run, exit code 1 if anything went wrong, 0 only if every single reply was the right one.
//! *Assumes*: accounts exist on the server. *Never*: counts an operation whose answer it did not check.
//!
//! Reading order: [`options`], [`load::run`], one scenario ([`load::deliver`] is the smallest),
//! [`load::report`].

mod compare;
mod growth;
mod load;
mod neighbour;
mod options;
mod plot;
mod store;
mod survey;
mod table;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use load::report::Report;
use options::{Cli, Command, Common};

fn main() -> ExitCode {
    match start(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("ringpost-bench: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well; an error when the run could not begin.
fn start(command: Command) -> Result<bool, String> {
    let common = match &command {
        Command::Table => {
            print!("{}", table::table(std::io::stdin().lock())?);
            return Ok(true);
        }
        Command::Compare => {
            print!("{}", compare::tables(std::io::stdin().lock())?);
            return Ok(true);
        }
        Command::Growth => {
            print!("{}", growth::tables(std::io::stdin().lock())?);
            return Ok(true);
        }
        Command::Store => {
            print!("{}", store::table(std::io::stdin().lock())?);
            return Ok(true);
        }
        Command::Plot { files } => return plot::plot(std::io::stdin().lock(), files).map(|()| true),
        Command::Man { subcommand } => return print_manual(subcommand.as_deref()).map(|()| true),
        Command::Smtp(options) | Command::Lmtp(options) => &options.common,
        Command::ImapFetch(options) => &options.common,
        Command::Pop3Retr(options) => &options.common,
        Command::ImapTouch(options) => &options.common,
        Command::ImapAppend(options) => &options.common,
        Command::Idle(options) => &options.common,
        Command::ImapSelect(options)
        | Command::ImapList(options)
        | Command::ImapSearch(options)
        | Command::ImapSort(options)
        | Command::ImapThread(options) => &options.common,
        Command::ImapNeighbour(options) => &options.common,
    }
    .clone();
    common.check()?;
    raise_descriptor_limit(common.connections)?;
    if let Some((family, options)) = survey::of(&command) {
        return runtime(&common)?.block_on(survey::perform(family, options)).map(|()| true);
    }
    if let Command::ImapNeighbour(options) = &command {
        return runtime(&common)?.block_on(neighbour::perform(options)).map(|()| true);
    }
    let report = runtime(&common)?.block_on(load::perform(command))?;
    finish(&report, &common)
}

fn runtime(common: &Common) -> Result<tokio::runtime::Runtime, String> {
    let mut builder = match common.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let built = builder.worker_threads(common.threads).enable_all().build();
    built.map_err(|error| format!("cannot start the runtime: {error}"))
}

fn finish(report: &Report, common: &Common) -> Result<bool, String> {
    if let Some(path) = &common.histogram {
        let text = report.distribution();
        std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    println!("{}", report.json());
    Ok(report.is_clean())
}

/// Every connection is a descriptor; the soft limit is often 1024.
fn raise_descriptor_limit(connections: usize) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// Descriptors beside the connections: the runtime's, standard streams, files.
    const OTHERS: u64 = 64;
    let wanted = connections as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let enough = limit.maximum.is_none_or(|maximum| maximum >= wanted);
    if enough && setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    Err(format!(
        "{connections} connections need {wanted} descriptors; raise the limit (`ulimit -Hn {wanted}`)"
    ))
}

fn print_manual(subcommand: Option<&str>) -> Result<(), String> {
    let mut command = Cli::command();
    command.build();
    let shown = match subcommand {
        None => command,
        Some(name) => command.find_subcommand(name).cloned().ok_or(format!("no subcommand {name}"))?,
    };
    clap_mangen::Man::new(shown)
        .render(&mut std::io::stdout())
        .map_err(|error| format!("cannot write the manual: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
