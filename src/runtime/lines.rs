//! Log lines on their way to the sink.
//!
//! *Owns*: the thread that writes lines and the bounded queue to it. *Promises*: a shard never waits for
//! whoever reads the log; lines that find no room are counted and the count is told. *Assumes*: the sink
//! returns some day.
//! *Never*: forms a line's text.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::LogSink;
use crate::limits::{LINES_GATHER_MS, LOG_LINES_MAX};
use crate::log::{Level, Line};

/// Where lines go in; clones share the queue.
#[derive(Clone)]
pub struct Lines {
    queue: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

/// The writing thread; ends when the last [`Lines`] is gone.
pub struct Writer(JoinHandle<()>);

impl Lines {
    /// Starts the writing thread.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(sink: LogSink) -> Result<(Lines, Writer), String> {
        let (queue, lines) = sync_channel(LOG_LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let count = dropped.clone();
        let thread = std::thread::Builder::new()
            .name("ringpost-lines".to_owned())
            .spawn(move || write(&lines, &count, &sink))
            .map_err(|error| format!("cannot start the log's thread: {error}"))?;
        Ok((Lines { queue, dropped }, Writer(thread)))
    }

    /// Puts a line in, or counts it as dropped.
    pub fn put(&self, line: Line) {
        if self.queue.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// Waits until every line is written.
    pub fn join(self) {
        if self.0.join().is_err() {
            eprintln!("ringpost: the log's sink panicked");
        }
    }
}

fn write(lines: &Receiver<Line>, dropped: &AtomicU64, sink: &LogSink) {
    while let Ok(first) = lines.recv() {
        // A line for each delivery would cost each a wake-up of this thread and a system call.
        std::thread::sleep(Duration::from_millis(LINES_GATHER_MS));
        let mut gathered = vec![first];
        gathered.extend(lines.try_iter().take(LOG_LINES_MAX));
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            gathered.push(Line::new(Level::Warn, "log").with("lines_dropped", lost.to_string()));
        }
        sink(&gathered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn lines_arrive_in_order_and_lost_ones_are_counted() {
        let (seen, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(())));
        let held = gate.lock().expect("the gate");
        let (sink_seen, sink_gate) = (seen.clone(), gate.clone());
        let sink: LogSink = Arc::new(move |lines: &[Line]| {
            drop(sink_gate.lock());
            sink_seen.lock().expect("the list").extend_from_slice(lines);
        });
        let (lines, writer) = Lines::start(sink).expect("a thread");
        for number in 0..3 * LOG_LINES_MAX {
            lines.put(Line::new(Level::Info, "test").with("number", number.to_string()));
        }
        drop(held);
        drop(lines);
        writer.join();
        let seen = seen.lock().expect("the list");
        let lost: u64 = seen
            .iter()
            .filter(|line| line.event == "log")
            .map(|line| line.fields[0].1.parse::<u64>().expect("a number"))
            .sum();
        assert!(lost > 0, "at most two queues full fit while the gate was closed");
        let numbers: Vec<u64> = seen
            .iter()
            .filter(|line| line.event == "test")
            .map(|line| line.fields[0].1.parse().expect("a number"))
            .collect();
        assert!(numbers.is_sorted());
        assert_eq!(numbers.len() as u64 + lost, 3 * LOG_LINES_MAX as u64);
    }
}
