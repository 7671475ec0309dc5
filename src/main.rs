//! The `ringpost` program: one line of error and exit code 1, or the answer.

use clap::Parser;
use ringpost::admin::cli::{Args, Command, run};

fn main() -> std::process::ExitCode {
    let done = match Args::parse().command {
        Command::Serve(args) => ringpost::serve::serve(&args.data, args.config),
        command => run(command),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ringpost: {why}");
            std::process::ExitCode::FAILURE
        }
    }
}
