//! Whether a folder holds every shard, and a backup what its manifest says.
//!
//! A log that was cut off at the end of a segment looks like a log that ends there. Beside a backup stands how far it
//! goes and which files it has.

use std::path::Path;

use ringpost::admin::backup::Manifest;
use ringpost::runtime::missing_shards;
use ringpost_engine::ids::Lsn;
use serde_json::json;

use crate::data::Shard;
use crate::output::Output;
use crate::{Damages, Failure};

/// The manifest of a folder, if it is a backup.
pub struct Backup {
    manifest: Option<Manifest>,
}

impl Backup {
    /// Reads the manifest and tells which of its files are not there: all, or those of the shard that is looked at.
    pub fn read(data: &Path, only: Option<u16>, output: &mut Output) -> Result<(Backup, Damages), Failure> {
        let mut damages = 0;
        let mut fault = |what: String| {
            damages += 1;
            output.line(&json!({"type": "damage", "what": what}), || format!("DAMAGE {what}"));
        };
        for shard in missing_shards(data)?.into_iter().filter(|shard| only.is_none_or(|only| only == *shard))
        {
            fault(format!("shard-{shard:03} is missing, and with it every account of that shard"));
        }
        let manifest = Manifest::read(data)?;
        let partial = Manifest::read_partial(data)?.is_some();
        if partial && manifest.is_none() {
            fault("the backup has not come to its end: run `ringpost backup` into it again".to_owned());
        }
        if let Some(manifest) = &manifest {
            let looked_at =
                |path: &str| match path.strip_prefix("shard-").and_then(|rest| rest.split_once('/')) {
                    Some((shard, _)) => only.is_none_or(|only| shard.parse() == Ok(only)),
                    None => true,
                };
            for (path, what) in manifest.missing(data).into_iter().filter(|(path, _)| looked_at(path)) {
                fault(format!("{path}, which the backup should hold: {what}"));
            }
            let (made, files) = (&manifest.made, manifest.files.len());
            let object = json!({"type": "backup", "made": made, "files": files, "cut_short": partial});
            let since = if partial { "; a later run did not come to its end" } else { "" };
            output.line(&object, || format!("a backup of {made}, {files} files{since}"));
        }
        Ok((Backup { manifest }, damages))
    }

    /// Whether the log of a shard goes as far as it should.
    pub fn end(&self, shard: &Shard, end: Lsn, output: &mut Output) -> Damages {
        let made = self.manifest.iter().flat_map(|manifest| &manifest.shards);
        let wanted =
            made.filter(|made| Some(made.shard) == shard.id.map(|id| id.0)).map(|made| Lsn(made.position));
        let Some(wanted) = wanted.max().filter(|&wanted| end < wanted) else { return 0 };
        output.fault(shard, 0, end.0, &format!("the log ends here, and the backup went to {wanted}"));
        1
    }
}
