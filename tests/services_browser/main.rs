//! The dashboard in a real headless browser, served by the real binary: what it draws is what the
//! API says, it moves, nothing is complained of, and no request leaves the host.

#[path = "../browser/devtools.rs"]
mod devtools;
#[path = "../process/mod.rs"]
mod process;

mod accessibility;
mod chart;
mod connection;
mod pages;
mod recordings;
mod speed;
mod stream_page;

use std::path::{Path, PathBuf};

use devtools::Page;
use process::Up;
use recordings::Frames;

/// Pixels of the chart that have the colour of rising or falling candles, opaque as bodies and
/// wicks are; volume columns are translucent and do not count.
const CANDLE_PIXELS: &str = "(() => {
  const style = getComputedStyle(document.documentElement);
  const colours = ['--up', '--down'].map((name) => {
    const hex = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  });
  let pixels = 0;
  for (const canvas of document.querySelectorAll('#chart canvas')) {
    if (canvas.width < 200 || canvas.height < 100) continue;
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) {
      const is = ([r, g, b]) => data[i] === r && data[i + 1] === g && data[i + 2] === b;
      if (data[i + 3] === 255 && colours.some(is)) pixels += 1;
    }
  }
  return pixels;
})()";

/// A picture of the page; those of the documentation are the ones named `dashboard…`.
fn picture(page: &mut Page, name: &str) {
    let directory: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    std::fs::create_dir_all(&directory).expect("a directory for pictures");
    page.screenshot(&directory.join(format!("{name}.png")));
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("'{text}' is no number"))
}

/// A market out of a recording, whose file is there as long as it runs.
struct Replay {
    up: Up,
    _frames: Frames,
}

impl std::ops::Deref for Replay {
    type Target = Up;

    fn deref(&self) -> &Up {
        &self.up
    }
}

/// Replays frames; those at speed `max` make a market that soon stands still.
fn replay(frames: Frames, speed: &str) -> Replay {
    let path = frames.save();
    let up = Up::start(&["--frames", path.to_str().expect("text"), "--speed", speed]);
    Replay { up, _frames: frames }
}
