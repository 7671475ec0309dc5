//! The configuration: one TOML file, every value with its unit, default, bound and one line of comment.
//!
//! *Owns*: the typed view of the settings. *Promises*: what is not in the file has its default; what is in
//! it is within its bound or refused with file, line and what was expected. *Assumes*: [`keys`] lists every
//! setting.
//! *Never*: reads the environment, guesses.

mod keys;
mod parse;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use keys::{KEYS, Key, Kind};
pub use parse::{Value, Values};

use ringpost_engine::ids::normalise_address;

use crate::limits::IMAP_MESSAGE_LIMIT_MIN;
use crate::proto::{ImapPolicy, Secret, Server, Service};

/// Where the server listens for one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// What is spoken there.
    pub service: Service,
    /// Whether TLS starts with the first byte (rfc8314#3).
    pub implicit_tls: bool,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    values: Values,
}

impl Config {
    /// The defaults: what `ringpost serve` runs with when there is no file.
    pub fn embedded() -> Config {
        Config { values: Values::defaults() }
    }

    /// Reads and checks a file. Errors name file, line and remedy, one a line.
    pub fn read(file: &Path) -> Result<Config, String> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            format!("{}: cannot be read: {error}; give --config the right path", file.display())
        })?;
        Config::parse(&file.display().to_string(), &text)
    }

    /// Checks a text; `name` stands for the file in messages.
    pub fn parse(name: &str, text: &str) -> Result<Config, String> {
        let values = parse::parse(name, text)?;
        let config = Config { values };
        config.check_together(name)?;
        Ok(config)
    }

    /// What no single key shows: pairs that need each other.
    fn check_together(&self, name: &str) -> Result<(), String> {
        let certificate = self.values.text("tls.certificate_file");
        let key = self.values.text("tls.private_key_file");
        if certificate.is_empty() != key.is_empty() {
            return Err(format!(
                "{name}: tls.certificate_file and tls.private_key_file belong together: set both or none"
            ));
        }
        if self.listeners().is_empty() {
            return Err(format!("{name}: no listener is left: give at least one address under [listen]"));
        }
        let most = self.values.number("store.segment_bytes") / 2;
        if self.values.number("limits.message_bytes_max") > most {
            return Err(format!(
                "{name}: limits.message_bytes_max must be at most half of store.segment_bytes, that is {most}"
            ));
        }
        for key in ["imap.message_limit", "imap.save_limit"] {
            let limit = self.values.number(key);
            if limit > 0 && limit < u64::from(IMAP_MESSAGE_LIMIT_MIN) {
                return Err(format!("{name}: {key} must be 0 or at least {IMAP_MESSAGE_LIMIT_MIN}"));
            }
        }
        Ok(())
    }

    /// Messages of one IMAP command; none if they are not limited.
    fn message_limit(&self, key: &str) -> Option<u32> {
        u32::try_from(self.values.number(key)).ok().filter(|&limit| limit > 0)
    }

    /// The whole configuration as a commented TOML file.
    pub fn render(&self) -> String {
        parse::render(&self.values)
    }

    /// Every key with its value, for `--json`.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Shards to make in a new data folder; 0 is one a core.
    pub fn shards(&self) -> u16 {
        self.values.number("shards") as u16
    }

    /// Whether shard threads stay on their cores.
    pub fn pin(&self) -> bool {
        self.values.switch("pin_threads")
    }

    /// Every listener.
    pub fn listeners(&self) -> Vec<Listen> {
        let mut all = Vec::new();
        for (key, service, implicit_tls) in [
            ("listen.smtp", Service::Smtp, false),
            ("listen.submission", Service::Submission, false),
            ("listen.submissions", Service::Submission, true),
            ("listen.lmtp", Service::Lmtp, false),
            ("listen.pop3", Service::Pop3, false),
            ("listen.pop3s", Service::Pop3, true),
            ("listen.imap", Service::Imap, false),
            ("listen.imaps", Service::Imap, true),
        ] {
            let addresses = self.values.addresses(key).iter();
            all.extend(addresses.map(|&address| Listen { address, service, implicit_tls }));
        }
        all
    }

    /// Certificate chain and private key files; none for the self-signed one.
    pub fn tls_files(&self) -> Option<(PathBuf, PathBuf)> {
        let certificate = self.values.text("tls.certificate_file");
        (!certificate.is_empty())
            .then(|| (PathBuf::from(certificate), PathBuf::from(self.values.text("tls.private_key_file"))))
    }

    /// Threads that check passwords; 0 is one a core.
    pub fn verify_threads(&self) -> usize {
        self.values.number("auth.verify_threads") as usize
    }

    /// Bytes a second that scrub reads, a shard; 0 reads none.
    pub fn scrub_bytes_per_second(&self) -> u64 {
        self.values.number("store.scrub_bytes_per_second")
    }

    /// Bytes of a segment file.
    pub fn segment_bytes(&self) -> u64 {
        self.values.number("store.segment_bytes")
    }

    /// For how many milliseconds removed messages can be had back.
    pub fn undelete_ms(&self) -> u64 {
        self.values.number("store.undelete_days") * 24 * 60 * 60 * 1000
    }

    /// Bytes of a shard's log between two checkpoints; 0 makes none.
    pub fn checkpoint_log_bytes(&self) -> u64 {
        self.values.number("store.checkpoint_log_bytes")
    }

    /// Percent of the bytes of old files that should be alive.
    pub fn compact_live_percent(&self) -> u8 {
        self.values.number("store.compact_live_percent") as u8
    }

    /// Bytes that all shards read and write a second to compact old files; 0 compacts nothing.
    pub fn compact_bytes_per_second(&self) -> u64 {
        self.values.number("store.compact_bytes_per_second")
    }

    /// Milliseconds after which mail is compressed; none compresses nothing.
    pub fn compress_after_ms(&self) -> Option<u64> {
        let days = self.values.number("store.compress_after_days");
        (days > 0).then_some(days * 24 * 60 * 60 * 1000)
    }

    /// zstd's level for that.
    pub fn compress_level(&self) -> i32 {
        self.values.number("store.compress_level") as i32
    }

    /// Milliseconds for which a file stays that compaction has emptied.
    pub fn compact_grace_ms(&self) -> u64 {
        self.values.number("store.compact_grace_seconds") * 1_000
    }

    /// Bytes that the accounts in use of all shards may take in memory.
    pub fn index_memory_bytes_max(&self) -> u64 {
        self.values.number("store.index_memory_bytes_max")
    }

    /// Largest message, in octets.
    pub fn message_bytes_max(&self) -> usize {
        self.values.number("limits.message_bytes_max") as usize
    }

    /// Whether log lines are JSON.
    pub fn log_json(&self) -> bool {
        self.values.text("log.format") == "json"
    }

    /// What sessions announce and enforce. Domains come from shard 0 later.
    pub fn server(&self) -> Server {
        let delay = self.values.number("pop3.login_delay_s") as u32;
        Server {
            hostname: self.values.text("hostname").to_string(),
            tls: true,
            plaintext_login: self.plaintext_login(),
            message_bytes_max: self.message_bytes_max(),
            recipients_max: self.values.number("limits.recipients_max") as usize,
            domains: Vec::new(),
            imap_administrators: self.users("imap.administrators"),
            submission_users: self.users("imap.submission_users"),
            // A file's, not the configuration's: `serve` reads it.
            url_secret: Secret(Vec::new()),
            subaddress_separator: self
                .values
                .text("delivery.subaddress_separator")
                .chars()
                .next()
                .unwrap_or('+'),
            pop3_login_delay_s: (delay > 0).then_some(delay),
            note_reads: self.values.switch("store.note_reads"),
            login_timeout_ms: self.values.number("timeouts.login_timeout_ms"),
            pop3_idle_timeout_ms: self.values.number("timeouts.pop3_idle_timeout_ms"),
            imap_idle_timeout_ms: self.values.number("timeouts.imap_idle_timeout_ms"),
            smtp_idle_timeout_ms: self.values.number("timeouts.smtp_idle_timeout_ms"),
            imap: ImapPolicy {
                literal_minus: self.values.text("imap.literals") == "minus",
                login_referrals: self.values.switch("imap.login_referrals"),
                legacy_8bit_headers: self.values.switch("imap.legacy_8bit_headers"),
                message_limit: self.message_limit("imap.message_limit"),
                save_limit: self.message_limit("imap.save_limit"),
            },
        }
    }

    /// Addresses, normalised.
    fn users(&self, key: &str) -> Vec<String> {
        self.values.text(key).split_whitespace().map(normalise_address).collect()
    }

    /// Passwords in the clear: by default only where nobody can listen in, on loopback.
    fn plaintext_login(&self) -> bool {
        match self.values.text("auth.plaintext_login") {
            "always" => true,
            "loopback" => {
                let mut plain = self.listeners().into_iter().filter(|listen| !listen.implicit_tls);
                plain.all(|listen| listen.address.ip().is_loopback())
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_render_and_parse_back_to_themselves() {
        let config = Config::embedded();
        let again = Config::parse("default", &config.render()).unwrap();
        assert_eq!(config.values, again.values);
    }

    #[test]
    fn every_default_is_within_its_own_bound() {
        for key in KEYS {
            let line = format!("{} = {}\n", key.name, key.default);
            Config::parse(key.name, &line).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn mistakes_name_file_line_and_remedy() {
        let error = |text: &str| Config::parse("r.toml", text).unwrap_err();
        let unknown = error("hostname = \"a\"\n[limits]\nmessage_byte_max = 5\n");
        assert!(unknown.starts_with("r.toml:3: "), "{unknown}");
        assert!(unknown.contains("limits.message_bytes_max"), "{unknown}");
        let small = error("[limits]\n\nmessage_bytes_max = 5\n");
        assert!(small.starts_with("r.toml:3: ") && small.contains("1024"), "{small}");
        let kind = error("[listen]\nimap = \"127.0.0.1:1\"\n");
        assert!(kind.starts_with("r.toml:2: ") && kind.contains("list"), "{kind}");
        let syntax = error("[limits\n");
        assert!(syntax.starts_with("r.toml:1: "), "{syntax}");
        let pair = error("[tls]\ncertificate_file = \"x\"\n");
        assert!(pair.contains("private_key_file"), "{pair}");
    }

    #[test]
    fn a_limit_of_messages_is_none_or_as_high_as_its_rfc_says() {
        let limits = |text: &str| Config::parse("x", text).map(|config| config.server().imap);
        assert_eq!(limits("").unwrap().copies_max(), None);
        assert!(limits("[imap]\nmessage_limit = 999\n").unwrap_err().contains("imap.message_limit"));
        assert!(limits("[imap]\nsave_limit = 1\n").unwrap_err().contains("imap.save_limit"));
        let both = limits("[imap]\nmessage_limit = 2000\nsave_limit = 1000\n").unwrap();
        assert_eq!((both.message_limit, both.copies_max()), (Some(2000), Some(2000)));
        assert_eq!(limits("[imap]\nsave_limit = 1000\n").unwrap().copies_max(), Some(1000));
    }

    #[test]
    fn plaintext_logins_need_loopback_unless_told() {
        assert!(Config::embedded().server().plaintext_login);
        let open = Config::parse("x", "[listen]\nimap = [\"0.0.0.0:143\"]\n").unwrap();
        assert!(!open.server().plaintext_login);
        let always = "[listen]\nimap = [\"0.0.0.0:143\"]\n[auth]\nplaintext_login = \"always\"\n";
        assert!(Config::parse("x", always).unwrap().server().plaintext_login);
    }
}
