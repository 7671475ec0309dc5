//! `ringpost serve`: from arguments to a running server and back.
//!
//! *Owns*: the order of a start. *Promises*: everything that can be refused is refused in one line before
//! anything is served. *Assumes*: it is alone in the process. *Never*: serves; the runtime does.
//!
//! ```text
//!  config ─► data folder ─► certificate ─► plan ─► preflight ─► start
//!   ─► admin socket ─► demonstration accounts ─► table ─► wait for a signal ─► drain
//! ```

mod certificate;
mod demo;
mod secret;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ringpost_engine::ids::{ShardId, Slot};
use ringpost_engine::owners::Seat;

use crate::admin::{self, Shards};
use crate::config::Config;
use crate::limits::SMTP_ADDED_BYTES_MAX;
use crate::log::{Level, Line, moment};
use crate::proto::Server;
use crate::runtime::{self, Control, Listener, LogSink, Plan};
use crate::shard::admin::slot::{SlotReply, SlotStep};
use crate::shard::admin::{AdminReply, AdminRequest};

impl Shards for Control {
    fn count(&self) -> u16 {
        self.shards()
    }

    fn request(&self, to: ShardId, request: AdminRequest) -> Result<AdminReply, String> {
        Control::request(self, to, request)
    }

    fn owner(&self, slot: Slot) -> ShardId {
        Control::owner(self, slot)
    }

    fn learn(&self, seats: &[(Slot, Seat)]) {
        Control::learn(self, seats);
    }
}

/// Serves until a signal says stop. The error is one line for the operator.
pub fn serve(data: &Path, config: Option<PathBuf>) -> Result<(), String> {
    runtime::hold_signals()?;
    let file = config.or_else(|| Some(data.join("ringpost.toml")).filter(|file| file.exists()));
    let embedded = file.is_none();
    let config = file.map_or(Ok(Config::embedded()), |file| Config::read(&file))?;
    prepare_folder(data)?;
    runtime::settle_switch(data)?;
    let plan = plan(data, &config)?;
    let first_start = runtime::stored_shards(data)?.is_none();
    runtime::preflight(&plan)?;
    admin::backup::settle(data)?;
    let sink = sink(config.log_json());
    let running = runtime::start(plan, Arc::clone(&sink))?;
    let control = running.control();
    match control.request(ShardId(0), AdminRequest::Slot(SlotStep::Table))? {
        AdminReply::Slot(SlotReply::Table(seats)) => control.learn(&seats),
        other => return Err(format!("shard 0 does not tell who has which slot: {other:?}")),
    }
    admin::serve(&data.join("admin.sock"), Arc::new(control.clone()))?;
    let accounts = match embedded {
        true => demo::accounts(&control, data, first_start)?,
        false => Vec::new(),
    };
    table::print(&config, data, running.addresses(), &accounts)?;
    let signal = runtime::wait_for_stop();
    sink(&[Line::new(Level::Info, "drain").with("why", signal)]);
    running.drain()?;
    sink(&[Line::new(Level::Info, "stopped")]);
    Ok(())
}

/// Mail is nobody else's: the folder is made with mode 0700.
fn prepare_folder(data: &Path) -> Result<(), String> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(|error| {
        format!("{}: cannot make the data folder: {error}; give another one with --data", data.display())
    })
}

fn plan(data: &Path, config: &Config) -> Result<Plan, String> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = match config.shards() {
        0 => cores as u16,
        shards => shards,
    };
    let listeners = config.listeners().into_iter().map(|listen| Listener {
        address: listen.address,
        service: listen.service,
        implicit_tls: listen.implicit_tls,
    });
    Ok(Plan {
        data: data.to_path_buf(),
        shards: runtime::stored_shards(data)?.unwrap_or(wanted),
        listeners: listeners.collect(),
        server: Server { url_secret: secret::find_or_make(data)?, ..config.server() },
        tls: Some(certificate::find_or_make(data, config)?),
        verify_threads: match config.verify_threads() {
            0 => cores,
            threads => threads,
        },
        segment_bytes: config.segment_bytes(),
        scrub_bytes_per_second: config.scrub_bytes_per_second(),
        undelete_ms: config.undelete_ms(),
        checkpoint_log_bytes: config.checkpoint_log_bytes(),
        compress_after_ms: config.compress_after_ms(),
        compress_level: config.compress_level(),
        compact_grace_ms: config.compact_grace_ms(),
        compact_live_percent: config.compact_live_percent(),
        compact_bytes_per_second: config.compact_bytes_per_second(),
        index_memory_bytes_max: config.index_memory_bytes_max(),
        message_bytes_max: config.message_bytes_max() + SMTP_ADDED_BYTES_MAX,
        pin: config.pin(),
    })
}

/// Log lines go to standard error; a reader that went away does not stop the mail.
fn sink(json: bool) -> LogSink {
    Arc::new(move |lines: &[Line]| {
        // A clock before 1970 is told as 1970: a line is worth more than its time.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = moment(now.as_millis() as u64);
        let mut text = String::new();
        for line in lines {
            text.push_str(&if json { line.json(&time) } else { line.text(&time) });
            text.push('\n');
        }
        let _reader_gone = std::io::Write::write_all(&mut std::io::stderr().lock(), text.as_bytes());
    })
}
