//! Carries a command out.
//!
//! *Owns*: from arguments to requests. *Promises*: returns an error of one line for `main` to print.
//! *Assumes*: nothing runs beside it in the process. *Never*: formats rows; [`super::output`] does.

use std::io::{BufRead, IsTerminal, Write};

use super::args::{AccountCommand, AliasCommand, Command, Common, ConfigCommand, DomainCommand};
use super::{bulk, output};
use crate::admin::backup::backup;
use crate::admin::client::Client;
use crate::admin::damage::{damage, scrub};
use crate::admin::import::import;
use crate::admin::restore::restore;
use crate::admin::slots::slots;
use crate::admin::wire::{Line, Request};
use crate::config::Config;
use crate::password;

/// Octets of a password on standard input.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Runs any command but `serve`.
pub fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Serve(_) => Err("serving is not an administrator's request".to_string()),
        Command::Account(command) => account(command),
        Command::Domain(DomainCommand::Add { name, common }) => change(&common, &Request::DomainAdd { name }),
        Command::Domain(DomainCommand::List(common)) => list(&common, &Request::DomainList),
        Command::Alias(AliasCommand::Add { address, targets, common }) => {
            change(&common, &Request::AliasAdd { address, targets })
        }
        Command::Alias(AliasCommand::List(common)) => list(&common, &Request::AliasList),
        Command::Alias(AliasCommand::Delete { address, common }) => {
            change(&common, &Request::AliasDelete { address })
        }
        Command::Import(command) => import(command),
        Command::Backup(args) => backup(&args),
        Command::Slots(args) => slots(&args),
        Command::Damage(common) => damage(&common),
        Command::Scrub(args) => scrub(&args),
        Command::Status(common) => list(&common, &Request::Status),
        Command::Config(ConfigCommand::Show { config, json }) => {
            let config = config.map_or(Ok(Config::embedded()), |file| Config::read(&file))?;
            output::config(&config, json)
        }
        Command::Config(ConfigCommand::Check { config, json }) => {
            Config::read(&config)?;
            output::good(&config, json)
        }
        Command::Man { of } => man(&of),
    }
}

fn account(command: AccountCommand) -> Result<(), String> {
    match command {
        AccountCommand::Add { address: Some(address), password_stdin, services, common, .. } => {
            let (hash, generated) = new_password(password_stdin)?;
            let request = Request::AccountAdd { address: address.clone(), password_hash: hash, services };
            Client::new(&common.data).call(&request, &mut |_| Ok(()))?;
            output::password(&address, generated.as_deref(), common.json)
        }
        AccountCommand::Add { address: None, common, .. } => {
            bulk::add(&Client::new(&common.data), std::io::stdin().lock(), common.json)
        }
        AccountCommand::Passwd { address, password_stdin, common } => {
            let (hash, generated) = new_password(password_stdin)?;
            let request = Request::AccountPassword { address: address.clone(), password_hash: hash };
            Client::new(&common.data).call(&request, &mut |_| Ok(()))?;
            output::password(&address, generated.as_deref(), common.json)
        }
        AccountCommand::List(common) => list(&common, &Request::AccountList),
        AccountCommand::Show { address, common } => list(&common, &Request::AccountShow { address }),
        AccountCommand::Hide { address, capabilities, common } => {
            change(&common, &Request::AccountHide { address, capabilities })
        }
        AccountCommand::Refer { address, url, common } => {
            change(&common, &Request::AccountReferral { address, url })
        }
        AccountCommand::Quota { address, storage, messages, mailboxes, common } => {
            let changes = storage.is_some() || messages.is_some() || mailboxes.is_some();
            let request = Request::AccountQuota { address, storage, messages, mailboxes };
            if changes { change(&common, &request) } else { list(&common, &request) }
        }
        AccountCommand::Shares { address, common } => list(&common, &Request::AccountShares { address }),
        AccountCommand::Restore { what, common } => {
            restore(&Client::new(&common.data), &common.data, &what, common.json)
        }
        AccountCommand::Delete { address, yes, common } => {
            confirm(yes, &format!("delete {address} with all its mail"))?;
            change(&common, &Request::AccountDelete { address })
        }
    }
}

/// The hash of a given or a generated password, and the generated one itself.
fn new_password(stdin: bool) -> Result<(String, Option<String>), String> {
    if !stdin {
        let password = password::generate()?;
        return Ok((password::hash_generated(&password)?, Some(password)));
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(format!("expected a password of 1 to {PASSWORD_BYTES_MAX} octets on standard input"));
    }
    Ok((password::hash(password.as_bytes())?, None))
}

fn confirm(yes: bool, what: &str) -> Result<(), String> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(format!("to {what} without a terminal to ask at, add --yes"));
    }
    eprint!("Really {what}? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|error| error.to_string())?;
    if answer.trim().eq_ignore_ascii_case("y") { Ok(()) } else { Err("nothing was done".to_string()) }
}

fn change(common: &Common, request: &Request) -> Result<(), String> {
    Client::new(&common.data).call(request, &mut |_| Ok(()))?;
    output::done(common.json)
}

fn list(common: &Common, request: &Request) -> Result<(), String> {
    let mut rows = output::Rows::new(common.json);
    Client::new(&common.data).call(request, &mut |line: Line| rows.row(&line))?;
    rows.end()
}

fn man(of: &[String]) -> Result<(), String> {
    let mut command = <super::Args as clap::CommandFactory>::command().disable_help_subcommand(true);
    command.build();
    for name in of {
        let inner = command.find_subcommand(name).cloned();
        command = inner.ok_or_else(|| format!("there is no command {name}: see `ringpost --help`"))?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(|error| error.to_string())?;
    std::io::stdout().write_all(&page).map_err(|error| format!("standard output: {error}"))
}
