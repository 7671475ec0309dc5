//! A real server process in a temporary folder, and a small client to talk to it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take here before the test fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The password of every account these tests make.
pub const PASSWORD: &str = "correct horse";

/// Upkeep now and then.
const USUAL: &str = "checkpoint_log_bytes = 65536\nindex_memory_bytes_max = 1048576\n";

/// Every listener on a free port; small segments, so that logs roll over.
const CONFIG: &str = r#"
hostname = "mail.example.test"
shards = 2
pin_threads = false
[listen]
smtp = ["127.0.0.1:0"]
submission = ["127.0.0.1:0"]
submissions = ["127.0.0.1:0"]
lmtp = ["127.0.0.1:0"]
pop3 = ["127.0.0.1:0"]
pop3s = ["127.0.0.1:0"]
imap = ["127.0.0.1:0"]
imaps = ["127.0.0.1:0"]
[limits]
message_bytes_max = 8388608
[store]
segment_bytes = 16777216
"#;

/// The settings of these servers, with these of the store.
pub fn config(store: &str) -> String {
    format!("{CONFIG}{store}")
}

/// A running `ringpost serve`. Dropping it kills the process.
pub struct Server {
    /// Its data folder.
    pub data: PathBuf,
    /// The process.
    pub child: Child,
    rows: Vec<(String, SocketAddr, bool)>,
}

impl Server {
    /// Starts on `folder/data`, with the settings in `folder/ringpost.toml` if there are any, and waits until the
    /// table of client settings names every port.
    pub fn start(folder: &Path) -> Server {
        let (data, config) = (folder.join("data"), folder.join("ringpost.toml"));
        if !config.exists() {
            std::fs::write(&config, self::config(USUAL)).unwrap();
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ringpost"))
            .args(["serve", "--data", data.to_str().unwrap(), "--config", config.to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        // From here on its end is seen to, whatever comes.
        let mut server = Server { data, child, rows: Vec::new() };
        let mut table = BufReader::new(server.child.stdout.take().unwrap()).lines();
        for line in table.by_ref().map_while(Result::ok) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [service, address, encryption, ..] = words[..]
                && let Ok(address) = address.parse()
            {
                server.rows.push((service.to_string(), address, encryption == "TLS"));
            }
            if line.contains("Ctrl-C") {
                return server;
            }
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        panic!("the server did not start:\n{log}");
    }

    /// Starts with one domain and the named accounts, all with [`PASSWORD`].
    pub fn with_accounts(folder: &Path, names: &[&str]) -> Server {
        let server = Server::start(folder);
        server.admin(&["domain", "add", "example.test"], "");
        let hash = ringpost::password::hash_generated(PASSWORD).unwrap();
        let csv: String = names.iter().map(|name| format!("{name}@example.test,{hash}\n")).collect();
        server.admin(&["account", "add", "--csv"], &csv);
        server
    }

    /// The port of a service as the table names it.
    pub fn port(&self, service: &str, tls: bool) -> u16 {
        let row = self.rows.iter().find(|row| row.0 == service && row.2 == tls);
        row.unwrap_or_else(|| panic!("no {service} (tls {tls}) in {:?}", self.rows)).1.port()
    }

    /// Runs an administrator's command and returns what it printed.
    pub fn admin(&self, arguments: &[&str], input: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost"));
        command.args(arguments).args(["--data", self.data.to_str().unwrap()]);
        run(&mut command, input)
    }

    /// Ctrl-C: the process must drain and exit with 0.
    pub fn interrupt(mut self) {
        signal(self.child.id(), "INT");
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "exit after Ctrl-C: {status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server did not drain within {PATIENCE:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.child.kill().expect("the child is ours");
            self.child.wait().expect("the child is ours");
        }
    }
}

/// Sends a signal to a process of ours.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Runs a command with `input`; it must exit with 0. Returns standard output.
pub fn run(command: &mut Command, input: &str) -> String {
    let (output, good) = try_run(command, input);
    assert!(good, "{command:?} failed:\n{output}");
    output
}

/// Runs a command with `input` and returns all it printed, and whether it exited with 0.
pub fn try_run(command: &mut Command, input: &str) -> (String, bool) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap_or_else(
            |error| panic!("{command:?}: {error}; tests/clients/install.sh installs the clients"),
        );
    // A command that does not read its input is fine.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (text, output.status.success())
}

/// A plain-text connection that reads line by line.
pub struct Wire {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Wire {
    /// Connects.
    pub fn connect(port: u16) -> std::io::Result<Wire> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Wire { reader: BufReader::new(stream.try_clone()?), stream })
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next line without its end; an error when the server is gone.
    pub fn line(&mut self) -> std::io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\r\n") {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        std::io::Read::read_exact(&mut self.reader, &mut bytes)?;
        Ok(bytes)
    }

    /// Sends a command line and returns the (last line of the) SMTP reply.
    pub fn smtp(&mut self, command: &str) -> std::io::Result<String> {
        self.send(format!("{command}\r\n").as_bytes())?;
        self.smtp_reply()
    }

    /// The last line of an SMTP reply.
    pub fn smtp_reply(&mut self) -> std::io::Result<String> {
        loop {
            let line = self.line()?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }

    /// Sends an IMAP command and returns every line up to its tagged reply, which must be OK.
    /// Literals follow their line as lossy text.
    pub fn imap(&mut self, tag: &str, command: &str) -> std::io::Result<Vec<String>> {
        self.send(format!("{tag} {command}\r\n").as_bytes())?;
        self.imap_reply(tag)
    }

    /// Every line up to the tagged reply, which must be OK.
    pub fn imap_reply(&mut self, tag: &str) -> std::io::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if let Some(count) =
                line.strip_suffix('}').and_then(|l| l.rsplit_once('{')).map(|(_, n)| n.parse())
            {
                let literal = self.bytes(count.expect("a literal's length is a number"))?;
                lines.push(line);
                lines.push(String::from_utf8_lossy(&literal).into_owned());
                continue;
            }
            let done = line.starts_with(&format!("{tag} "));
            assert!(!done || line.starts_with(&format!("{tag} OK")), "{line}");
            lines.push(line);
            if done {
                return Ok(lines);
            }
        }
    }
}
