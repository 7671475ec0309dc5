//! A session that says NOOP without a pause, on a thread of its own, and how long each answer took.
//!
//! *Owns*: the neighbour's connection. *Promises*: what the load beside it does to this process's other threads
//! does not delay it but for want of a core. *Assumes*: plain TCP. *Never*: goes on after a wrong answer.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Longest latency told apart, microseconds.
const LATENCY_US_MAX: u64 = 600_000_000;
/// Milliseconds between two NOOPs, so that the neighbour is no load of its own.
const PAUSE: Duration = Duration::from_millis(1);

/// A logged-in session.
pub struct Neighbour {
    stream: BufReader<TcpStream>,
}

/// NOOPs under way.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(Neighbour, Histogram<u64>), String>>,
}

impl Neighbour {
    /// Connects, logs in and selects INBOX.
    pub fn open(
        address: SocketAddr,
        user: &str,
        password: &str,
        timeout: Duration,
    ) -> Result<Neighbour, String> {
        let failed = |error: std::io::Error| format!("the neighbour {user}: {error}");
        let stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(timeout)).map_err(failed)?;
        let mut neighbour = Neighbour { stream: BufReader::new(stream) };
        neighbour.line()?;
        neighbour.command("a", &format!("LOGIN \"{user}\" \"{password}\""))?;
        neighbour.command("b", "SELECT INBOX")?;
        Ok(neighbour)
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => Err("the server closed the neighbour's connection".to_owned()),
            Ok(_) => Ok(line),
            Err(error) => Err(format!("the neighbour heard nothing: {error}")),
        }
    }

    fn command(&mut self, tag: &str, command: &str) -> Result<(), String> {
        let sent = self.stream.get_mut().write_all(format!("{tag} {command}\r\n").as_bytes());
        sent.map_err(|error| format!("the neighbour cannot send: {error}"))?;
        loop {
            let line = self.line()?;
            if let Some(status) = line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
                let name = command.split(' ').next().unwrap_or_default();
                return if status.starts_with("OK") { Ok(()) } else { Err(format!("{name}: {line}")) };
            }
        }
    }

    /// Begins to say NOOP.
    pub fn watch(mut self) -> Result<Watch, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let work = move || {
            let mut latencies = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
                .map_err(|error| format!("no histogram: {error}"))?;
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                self.command("n", "NOOP")?;
                let us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(LATENCY_US_MAX);
                latencies.saturating_record(us.max(1));
                std::thread::sleep(PAUSE);
            }
            Ok((self, latencies))
        };
        let thread = std::thread::Builder::new().name("neighbour".to_owned()).spawn(work);
        let thread = thread.map_err(|error| format!("no thread for the neighbour: {error}"))?;
        Ok(Watch { stop, thread })
    }
}

impl Watch {
    /// Ends it; the session again, and its latencies in microseconds.
    pub fn stop(self) -> Result<(Neighbour, Histogram<u64>), String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the neighbour's thread failed".to_owned())?
    }
}
