//! How far the log has acknowledged, in a file of fixed size that is overwritten in place, so that
//! it can be written on a full disk. Holding it open with a lock keeps a second producer out.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::refuse;
use crate::error::{Error, Result};

const FILE_NAME: &str = "progress";
/// Two numbers and their sum: a torn write shows.
const LENGTH: usize = 24;

/// What must outlive the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub acknowledged_id: i64,
    /// 0: not known yet.
    pub partition_count: i64,
}

#[derive(Debug)]
pub struct ProgressFile {
    file: File,
    path: PathBuf,
}

impl ProgressFile {
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE_NAME);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(|error| refuse(directory, &error.to_string()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(refuse(directory, "another producer on this machine uses it"));
            }
            Err(TryLockError::Error(error)) => return Err(refuse(directory, &error.to_string())),
        }
        Ok(Self { file, path })
    }

    /// A new or torn file counts as "nothing acknowledged": then more is sent again, never less.
    pub fn read(&self) -> Result<Progress> {
        let mut bytes = [0; LENGTH];
        let _ = self.file.read_at(&mut bytes, 0).map_err(|error| self.failed(&error))?;
        let (numbers, _) = bytes.as_chunks::<8>();
        let [acknowledged_id, partition_count, sum] =
            [0, 1, 2].map(|index| i64::from_le_bytes(numbers[index]));
        let is_whole = acknowledged_id.wrapping_add(partition_count) == sum;
        Ok(if is_whole {
            Progress { acknowledged_id, partition_count }
        } else {
            Progress::default()
        })
    }

    pub fn write(&mut self, progress: Progress) -> Result<()> {
        let Progress { acknowledged_id, partition_count } = progress;
        let sum = acknowledged_id.wrapping_add(partition_count);
        let mut bytes = [0; LENGTH];
        for (place, number) in bytes.chunks_mut(8).zip([acknowledged_id, partition_count, sum]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        self.file.write_all_at(&bytes, 0).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        Error::Unavailable(format!("{}: {error}", self.path.display()))
    }
}
