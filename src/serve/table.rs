//! What a person needs to set a mail client up, printed at start.
//!
//! *Owns*: the table. *Promises*: the ports shown are the bound ones. *Assumes*: standard output is for
//! people.
//! *Never*: logs.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use super::demo::Demo;
use crate::config::Config;
use crate::proto::Service;

/// Prints the table of client settings and the demonstration accounts.
pub fn print(config: &Config, data: &Path, bound: &[SocketAddr], accounts: &[Demo]) -> Result<(), String> {
    let text = render(config, data, bound, accounts);
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}

fn render(config: &Config, data: &Path, bound: &[SocketAddr], accounts: &[Demo]) -> String {
    let mut out = format!("\nRingpost {} serves {}\n\n", env!("CARGO_PKG_VERSION"), config.server().hostname);
    let _ = writeln!(out, "  {:<12} {:<24} {:<22} LOGIN", "SERVICE", "ADDRESS", "ENCRYPTION");
    for (listen, address) in config.listeners().iter().zip(bound) {
        let service = match listen.service {
            Service::Smtp => "SMTP",
            Service::Submission => "submission",
            Service::Lmtp => "LMTP",
            Service::Pop3 => "POP3",
            Service::Imap => "IMAP",
        };
        let encryption = match (listen.implicit_tls, listen.service) {
            (true, _) => "TLS",
            (false, Service::Lmtp) => "STARTTLS or none",
            (false, Service::Pop3) => "STLS or none",
            (false, _) => "STARTTLS or none",
        };
        let login = match listen.service {
            Service::Smtp | Service::Lmtp => "none",
            _ => "address and password",
        };
        let _ = writeln!(out, "  {service:<12} {:<24} {encryption:<22} {login}", address.to_string());
    }
    if config.tls_files().is_none() {
        out.push_str(
            "\n  The certificate is self-signed: clients must be told to trust it (curl -k, for example).\n",
        );
    }
    if !accounts.is_empty() {
        out.push_str("\n  ACCOUNT                  PASSWORD\n");
    }
    for account in accounts {
        let password = account.password.as_deref().unwrap_or("as before");
        let _ = writeln!(out, "  {:<24} {password}", account.address);
    }
    if let Some(account) = accounts.iter().find(|account| account.password.is_none()) {
        let (data, address) = (data.display(), account.address);
        out.push_str(
            "\n  Passwords are shown, or taken from RINGPOST_DEMO_PASSWORD, when the accounts are made.\n",
        );
        let _ = writeln!(out, "  Another one: ringpost account passwd {address} --data {data}");
    }
    out.push_str("\n  Ctrl-C drains and stops.\n\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_bound_ports_and_new_passwords() {
        let config = Config::embedded();
        let bound: Vec<SocketAddr> = config.listeners().iter().map(|listen| listen.address).collect();
        let accounts = [
            Demo { address: "alice@example.test", password: Some("pw1".to_string()) },
            Demo { address: "bob@example.test", password: None },
        ];
        let text = render(&config, Path::new("./data"), &bound, &accounts);
        assert!(
            text.contains("127.0.0.1:2993") && text.contains("pw1") && text.contains("account passwd bob@")
        );
        assert!(text.lines().all(|line| line.len() <= 110));
    }
}
