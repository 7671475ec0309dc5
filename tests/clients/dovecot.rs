//! A private Dovecot: its own configuration and folders, loopback ports of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::server::{PATIENCE, Wire, run, signal};

/// The password of everybody; Dovecot's static users cannot have one with a space.
pub const DOVECOT_PASSWORD: &str = "static-secret";

/// A running Dovecot. Dropping it ends the process.
pub struct Dovecot {
    folder: PathBuf,
    child: Child,
    /// IMAP.
    pub imap: u16,
    /// POP3.
    pub pop3: u16,
    /// LMTP.
    pub lmtp: u16,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn id(option: &str) -> String {
    run(Command::new("id").args([option, "-n"]), "").trim().to_owned()
}

fn config(folder: &Path, layout: &str, [imap, pop3, lmtp]: [u16; 3]) -> String {
    let (user, group) = (id("-u"), id("-g"));
    // Started by root, it insists on users of its own.
    let names = match user.as_str() {
        "root" => ["mail", "mail", "dovecot", "dovecot", "dovenull"].map(str::to_owned),
        _ => [user.clone(), group.clone(), user.clone(), group, user],
    };
    let [user, group, internal, internal_group, login] = names;
    let folder = folder.display();
    format!(
        "protocols = imap pop3 lmtp\nbase_dir = {folder}/sockets\nstate_dir = {folder}/state\n\
         log_path = {folder}/log\nlisten = 127.0.0.1\nssl = no\ndisable_plaintext_auth = no\n\
         auth_mechanisms = plain login\nmail_location = maildir:{folder}/mail/%u{layout}\nmail_uid = {user}\n\
         mail_gid = {group}\nfirst_valid_uid = 1\ndefault_internal_user = {internal}\n\
         default_internal_group = {internal_group}\ndefault_login_user = {login}\n\
         passdb {{\n  driver = static\n  args = password={DOVECOT_PASSWORD}\n}}\n\
         userdb {{\n  driver = static\n  args = uid={user} gid={group} home={folder}/home/%u\n}}\n\
         namespace inbox {{\n  inbox = yes\n  separator = /\n}}\n\
         service imap-login {{\n  chroot =\n  inet_listener imap {{\n    port = {imap}\n  }}\n  \
         inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
         service pop3-login {{\n  chroot =\n  inet_listener pop3 {{\n    port = {pop3}\n  }}\n  \
         inet_listener pop3s {{\n    port = 0\n  }}\n}}\n\
         service lmtp {{\n  inet_listener lmtp {{\n    port = {lmtp}\n  }}\n}}\n\
         service anvil {{\n  chroot =\n}}\nservice stats {{\n  chroot =\n}}\n"
    )
}

fn start(folder: &Path) -> Child {
    Command::new("/usr/sbin/dovecot")
        .args(["-F", "-c"])
        .arg(folder.join("conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("dovecot: {error}; tests/clients/install.sh installs it"))
}

impl Dovecot {
    /// Starts below a folder of the caller's, with Maildir++.
    pub fn start(folder: &Path) -> Dovecot {
        Dovecot::with_layout(folder, "")
    }

    /// The same with what follows in `mail_location`: `:LAYOUT=fs`.
    pub fn with_layout(folder: &Path, layout: &str) -> Dovecot {
        let folder = folder.join("dovecot");
        for part in ["sockets", "state", "mail", "home"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        // Its processes run as users that are not ours.
        for path in [folder.parent().unwrap(), &folder, &folder.join("sockets")] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711)).unwrap();
        }
        if id("-u") == "root" {
            let own = ["mail", "home"].map(|part| folder.join(part));
            run(Command::new("chown").arg("mail:mail").args(own), "");
        }
        let (imap, pop3, lmtp) = (free_port(), free_port(), free_port());
        std::fs::write(folder.join("conf"), config(&folder, layout, [imap, pop3, lmtp])).unwrap();
        let dovecot = Dovecot { child: start(&folder), folder, imap, pop3, lmtp };
        dovecot.wait();
        dovecot
    }

    fn wait(&self) {
        let started = Instant::now();
        while [self.imap, self.pop3, self.lmtp].iter().any(|&port| Wire::connect(port).is_err()) {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(started.elapsed() < PATIENCE, "Dovecot does not start:\n{}", log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn end(&mut self) {
        signal(self.child.id(), "TERM");
        self.child.wait().expect("the child is ours");
    }

    /// Ends it, lets `work` change its files, and starts it again.
    pub fn stopped(&mut self, work: impl FnOnce()) {
        self.end();
        work();
        self.child = start(&self.folder);
        self.wait();
    }

    /// The Maildir of a user.
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.folder.join("mail").join(user)
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.end();
        }
    }
}
