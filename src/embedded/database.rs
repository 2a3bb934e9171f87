//! The one SQLite file that the embedded log and store share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Result};

/// File name within the data directory.
const FILE_NAME: &str = "ticksmith.sqlite";
/// Number of the tables' layout, kept in the file. One higher with every change that a file written
/// before does not have: tables are made only where they are missing.
const LAYOUT: i64 = 1;

/// Opens connections to one file and lets one writer in at a time. Cloning shares both.
#[derive(Debug, Clone)]
pub struct Database {
    path: PathBuf,
    /// Writers of this process queue here in order, instead of sleeping in SQLite's busy handler.
    writer: Arc<Mutex<()>>,
}

impl Database {
    /// Creates `directory` and the file in it when they are not there.
    ///
    /// # Errors
    /// `Config` when the directory cannot be written or holds something else: a file of another
    /// layout, too.
    pub fn open(directory: &Path) -> Result<Self> {
        let refuse = |problem: String| {
            let shown = directory.display();
            Error::Config(format!("data directory {shown}: {problem}; give --data a writable one"))
        };
        std::fs::create_dir_all(directory).map_err(|error| refuse(error.to_string()))?;
        let database = Self { path: directory.join(FILE_NAME), writer: Arc::new(Mutex::new(())) };
        let mut connection = database.connect()?;
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(|error| refuse(error.to_string()))?;
        let layout = database.layout(&mut connection).map_err(|error| refuse(error.to_string()))?;
        if layout == LAYOUT {
            return Ok(database);
        }
        let (shown, age) =
            (directory.display(), if layout < LAYOUT { "an older" } else { "a newer" });
        Err(Error::Config(format!(
            "data directory {shown} was written by {age} ticksmith (layout {layout} of its \
             tables, this one has {LAYOUT}); read it with that one, or start afresh: give --data \
             another directory"
        )))
    }

    /// The layout of the file; one without tables gets ours.
    fn layout(&self, connection: &mut Connection) -> rusqlite::Result<i64> {
        let number = |connection: &Connection, text: &str| {
            connection.query_row(text, [], |row| row.get::<_, i64>(0))
        };
        let layout = number(connection, "PRAGMA user_version")?;
        if layout != 0 {
            // The usual case takes no lock, since another process may be writing.
            return Ok(layout);
        }
        let _writing = self.write_lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if number(&transaction, "SELECT count(*) FROM sqlite_schema")? == 0 {
            transaction.pragma_update(None, "user_version", LAYOUT)?;
        }
        let layout = number(&transaction, "PRAGMA user_version")?;
        transaction.commit()?;
        Ok(layout)
    }

    /// Whether `directory` holds a file of ours: commands that only read must not make one.
    pub fn exists(directory: &Path) -> bool {
        directory.join(FILE_NAME).is_file()
    }

    /// A connection of one's own. Write only while holding `write_lock`.
    pub fn connect(&self) -> Result<Connection> {
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(&self.path)?;
            // Another process (`ticksmith bars --data …`) may hold the file for a moment.
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            Ok(connection)
        };
        open().map_err(|error| Error::Config(format!("{}: {error}", self.path.display())))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Held over every write transaction.
    pub fn write_lock(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data, so a writer that panicked leaves nothing half done in it.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
