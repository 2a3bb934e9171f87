//! Recorded frames from a file, one a line, plain or gzip, read as they are sent: a recording may
//! be larger than memory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tokio::sync::mpsc;

use crate::codec::finnhub;
use crate::error::{Error, Result};

/// Lines read ahead of the sockets.
const READ_AHEAD_LINES: usize = 256;
/// The feed sends frames of some kilobytes; a longer line is no frame, and must not fill the
/// memory.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// How fast a recording is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as the frames' own times say.
    Times(f64),
    /// As fast as the clients read.
    Max,
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse() {
            Ok(times) if f64::is_finite(times) && times > 0.0 => Ok(Self::Times(times)),
            _ => Err(format!("speed '{text}' is neither a number above 0 nor 'max'")),
        }
    }
}

/// A recording and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    path: PathBuf,
    /// Every symbol of its trades, sorted.
    pub symbols: Vec<String>,
    pub frames: u64,
}

/// One recorded frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) raw: String,
    /// Each element with its symbol where it has one; `None`: no trade frame, for everyone.
    pub(super) elements: Option<Vec<(Option<String>, String)>>,
    pub(super) newest_ms: Option<i64>,
}

impl Recording {
    /// Reads it through once.
    ///
    /// # Errors
    /// `Config`: the file cannot be read, or holds no trade.
    pub fn open(path: &Path) -> Result<Self> {
        let mut symbols = BTreeSet::new();
        let mut frames = 0;
        read_lines(path, &mut |line| {
            frames += 1;
            let elements = line.elements.into_iter().flatten();
            symbols.extend(elements.filter_map(|(symbol, _)| symbol));
            true
        })?;
        if symbols.is_empty() {
            return Err(Error::Config(format!(
                "frames file {} holds no trade: give a file with one recorded frame a line",
                path.display()
            )));
        }
        Ok(Self { path: path.to_owned(), symbols: symbols.into_iter().collect(), frames })
    }

    /// Reads it on a thread of its own, a little ahead of the receiver.
    pub(super) fn stream(&self) -> mpsc::Receiver<Line> {
        let (sender, receiver) = mpsc::channel(READ_AHEAD_LINES);
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || {
            let sent = read_lines(&path, &mut |line| sender.blocking_send(line).is_ok());
            if let Err(error) = sent {
                tracing::error!("{error}");
            }
        });
        receiver
    }
}

/// Hands every non-empty line to `take`, until it says no.
fn read_lines(path: &Path, take: &mut dyn FnMut(Line) -> bool) -> Result<()> {
    let unreadable = |error: std::io::Error| {
        Error::Config(format!(
            "frames file {} cannot be read: {error}: give a .jsonl or .jsonl.gz file",
            path.display()
        ))
    };
    let mut reader = open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let length = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes);
        match length.map_err(unreadable)? as u64 {
            0 => return Ok(()),
            LINE_BYTES_MAX => {
                return Err(Error::Config(format!(
                    "frames file {} has a line over {} MiB: give one recorded frame a line",
                    path.display(),
                    LINE_BYTES_MAX >> 20
                )));
            }
            _ => {}
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        if !text.trim().is_empty() && !take(line(text)) {
            return Ok(());
        }
    }
}

fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
    let mut magic = Vec::new();
    File::open(path)?.take(2).read_to_end(&mut magic)?;
    let file = BufReader::new(File::open(path)?);
    if magic == GZIP_MAGIC {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(file))));
    }
    Ok(Box::new(file))
}

fn line(text: &str) -> Line {
    let raw = finnhub::recorded_frame(text).into_owned();
    let texts = finnhub::element_texts(&raw);
    let newest_ms = texts.iter().flatten().filter_map(|element| element.trade_time_ms).max();
    let elements = texts.map(|elements| {
        let owned = |element: finnhub::ElementText<'_>| (element.symbol, element.text.to_owned());
        elements.into_iter().map(owned).collect()
    });
    Line { raw, elements, newest_ms }
}

impl Line {
    /// The frame as a client gets it that asked for some symbols only: the very bytes where all of
    /// it is wanted. With the number of its trades; `None`: nothing of it is wanted.
    pub(super) fn for_client(&self, wants: impl Fn(&str) -> bool) -> Option<(String, usize)> {
        let Some(elements) = &self.elements else { return Some((self.raw.clone(), 0)) };
        let kept: Vec<&str> = elements
            .iter()
            .filter(|(symbol, _)| symbol.as_deref().is_none_or(&wants))
            .map(|(_, text)| text.as_str())
            .collect();
        if kept.len() == elements.len() {
            return Some((self.raw.clone(), kept.len()));
        }
        let frame = || format!("{{\"data\":[{}],\"type\":\"trade\"}}", kept.join(","));
        (!kept.is_empty()).then(|| (frame(), kept.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const FRAME: &str =
        r#"{"data":[{"p":1,"s":"A","t":5,"v":1},{"p":2,"s":"B","t":7,"v":1}],"type":"trade"}"#;

    #[test]
    fn plain_and_gzip_files_say_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        let text = format!("{FRAME}\r\n\n{{\"raw\":\"{{\\\"type\\\":\\\"ping\\\"}}\"}}\nrubbish");
        let plain = directory.path().join("frames.jsonl");
        std::fs::write(&plain, &text).expect("written");
        let packed = directory.path().join("frames.jsonl.gz");
        let file = File::create(&packed).expect("created");
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("written");
        encoder.finish().expect("finished");
        for path in [plain, packed] {
            let recording = Recording::open(&path).expect("readable");
            assert_eq!((recording.frames, recording.symbols), (3, vec!["A".into(), "B".into()]));
        }
    }

    #[test]
    fn an_empty_or_absent_file_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let empty = directory.path().join("empty.jsonl");
        std::fs::write(&empty, "\n").expect("written");
        for path in [empty, directory.path().join("absent.jsonl")] {
            let error = Recording::open(&path).expect_err("nothing there").to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("long.jsonl");
        std::fs::write(&path, vec![b'x'; LINE_BYTES_MAX as usize + 1]).expect("written");
        let error = Recording::open(&path).expect_err("no frame").to_string();
        assert!(error.contains("a line over 4 MiB"), "{error}");
    }

    #[test]
    fn a_client_gets_its_symbols_only_and_whole_frames_unchanged() {
        let line = line(FRAME);
        assert_eq!(line.newest_ms, Some(7));
        assert_eq!(line.for_client(|_| true), Some((FRAME.to_owned(), 2)));
        let only_b = r#"{"data":[{"p":2,"s":"B","t":7,"v":1}],"type":"trade"}"#.to_owned();
        assert_eq!(line.for_client(|symbol| symbol == "B"), Some((only_b, 1)));
        assert_eq!(line.for_client(|_| false), None);
    }

    #[test]
    fn speeds_are_numbers_above_zero_or_max() {
        assert_eq!("100".parse(), Ok(Speed::Times(100.0)));
        assert_eq!("max".parse(), Ok(Speed::Max));
        for text in ["0", "-1", "inf", "fast", ""] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }
}
