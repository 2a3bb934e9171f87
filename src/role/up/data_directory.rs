//! Where `up` keeps its file: the directory that was asked for, or a throw-away one that is gone
//! afterwards, also when an earlier run was killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What the name of a throw-away directory begins with.
const PREFIX: &str = "ticksmith-up-";
/// Locked as long as the directory is used; the system unlocks it when the process dies.
const IN_USE: &str = "in-use.lock";

/// Removed on drop when it was made to be thrown away.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    throw_away: Option<File>,
}

impl DataDirectory {
    /// `configured` as it is, or a new throw-away directory when it is empty.
    ///
    /// # Errors
    /// `Config` when there is no place for a throw-away directory.
    pub fn open(configured: &str) -> Result<Self> {
        if !configured.is_empty() {
            return Ok(Self { path: PathBuf::from(configured), throw_away: None });
        }
        Self::throw_away_in(&std::env::temp_dir())
    }

    fn throw_away_in(parent: &Path) -> Result<Self> {
        remove_abandoned(parent);
        let name = format!("{PREFIX}{}-{:08x}", std::process::id(), rand::random::<u32>());
        let path = parent.join(name);
        let make = || -> std::io::Result<File> {
            fs::create_dir(&path)?;
            let file = File::create(path.join(IN_USE))?;
            file.lock()?;
            Ok(file)
        };
        match make() {
            Ok(file) => Ok(Self { path, throw_away: Some(file) }),
            Err(error) => Err(Error::Config(format!(
                "throw-away directory {}: {error}; give --data a writable one",
                path.display()
            ))),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// For the person in front of it.
    pub fn describe(&self) -> String {
        match self.throw_away {
            None => self.path.display().to_string(),
            Some(_) => "thrown away at the end; keep it with --data DIR".to_owned(),
        }
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        if self.throw_away.is_some() {
            // What cannot be removed now is removed by the next start.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes what killed runs left behind: directories of ours whose lock nobody holds.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // One without a lock file is being made at this moment.
        let lock = is_ours.then(|| File::open(entry.path().join(IN_USE)).ok()).flatten();
        if lock.is_some_and(|lock| lock.try_lock().is_ok()) {
            // Somebody else's may refuse; then it is theirs to remove.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throw_away_directory_goes_with_its_owner_or_with_the_next() {
        let parent = tempfile::tempdir().expect("a directory");
        let kept = parent.path().join("kept");
        fs::create_dir(&kept).expect("made");
        let abandoned = parent.path().join(format!("{PREFIX}1-dead"));
        fs::create_dir(&abandoned).expect("made");
        File::create(abandoned.join(IN_USE)).expect("made");

        let first = DataDirectory::throw_away_in(parent.path()).expect("made");
        assert!(!abandoned.exists());
        let second = DataDirectory::throw_away_in(parent.path()).expect("made");
        assert!(first.path().exists(), "it is in use");
        let (first_path, second_path) = (first.path().to_owned(), second.path().to_owned());
        drop((first, second));
        assert!(!first_path.exists() && !second_path.exists() && kept.exists());
    }
}
