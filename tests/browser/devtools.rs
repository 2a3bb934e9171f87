//! A headless Chromium on a wire: just enough of the DevTools protocol to open a page, ask it
//! questions, take a picture, and hear of everything that it complains about or requests.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::stream::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{Message, WebSocket, connect};

const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Nothing of its own on the network, nothing from an earlier run.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
];
/// An answer that takes longer is a browser that hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A browser with one page; killed on drop.
pub struct Page {
    child: Child,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: String,
    next_id: u64,
    /// Console errors and warnings, exceptions, and refused loads.
    pub complaints: Vec<String>,
    /// Every address that was requested.
    pub requests: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Page {
    /// Starts a browser with a window of that size, for somebody who prefers dark, and opens `url`.
    pub fn open(url: &str, width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().expect("a directory for the profile");
        let (child, address) = start(profile.path());
        let (mut socket, _) = connect(address).expect("the browser's own socket");
        if let MaybeTlsStream::Plain(stream) = socket.get_mut() {
            stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a time-out");
        }
        let (complaints, requests) = (Vec::new(), Vec::new());
        let session = String::new();
        let mut page =
            Self { child, socket, session, next_id: 0, complaints, requests, _profile: profile };
        let target = page.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = page.call("Target.attachToTarget", attach);
        page.session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.resize(width, height);
        let dark = json!({"name": "prefers-color-scheme", "value": "dark"});
        page.call("Emulation.setEmulatedMedia", json!({"features": [dark]}));
        page.go(url);
        page
    }

    /// Opens another address.
    pub fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
    }

    pub fn resize(&mut self, width: u32, height: u32) {
        let is_phone = width < 600;
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Reads the page again, as the button of the browser does.
    pub fn reload(&mut self) {
        self.call("Page.reload", json!({}));
    }

    /// Presses and releases a key by the name that its event has, such as `m` or `ArrowLeft`.
    pub fn press(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            _ => 0,
        };
        let mut event = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        if key.chars().count() == 1 {
            event["text"] = json!(key);
        }
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", event);
    }

    /// Moves the mouse there, in pixels of the page.
    pub fn point_at(&mut self, x: f64, y: f64) {
        let event = json!({"type": "mouseMoved", "x": x, "y": y, "button": "none"});
        self.call("Input.dispatchMouseEvent", event);
    }

    /// The middle of the first element that a selector finds.
    pub fn middle_of(&mut self, selector: &str) -> (f64, f64) {
        let place = self.evaluate(&format!(
            "(() => {{
               const box = document.querySelector('{selector}').getBoundingClientRect();
               return [box.x + box.width / 2, box.y + box.height / 2];
             }})()"
        ));
        let at = |index: usize| place[index].as_f64().expect("a place on the page");
        (at(0), at(1))
    }

    /// A click of the mouse in the middle of what a selector finds.
    pub fn click_on(&mut self, selector: &str) {
        let (x, y) = self.middle_of(selector);
        self.click(x, y);
    }

    /// The text of an element as it is read.
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.evaluate(&format!("document.querySelector('{selector}').innerText"));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// What the page publishes of itself on its body.
    pub fn published(&mut self, name: &str) -> String {
        let value = self.evaluate(&format!("document.body.dataset.{name}"));
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Asserts that nothing was complained of, and that every request went to `url`.
    pub fn assert_quiet(&self, url: &str) {
        assert_eq!(self.complaints, Vec::<String>::new());
        let away = self.requests.iter().filter(|request| !request.starts_with(url));
        assert_eq!(away.collect::<Vec<_>>(), Vec::<&String>::new(), "requests leave the host");
    }

    /// A click of the mouse, in pixels of the page.
    pub fn click(&mut self, x: f64, y: f64) {
        for (kind, buttons) in [("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)] {
            let event = json!({
                "type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1
            });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// The value of an expression.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until a condition is true in the page.
    pub fn wait_for(&mut self, condition: &str) {
        let within_ms = ANSWER_WITHIN.as_millis() / 2;
        let is_so = self.evaluate(&format!(
            "new Promise((done) => {{
               const end = performance.now() + {within_ms};
               const look = () => {{
                 let so = false;
                 try {{ so = Boolean({condition}); }} catch {{ /* not there yet */ }}
                 if (so || performance.now() > end) done(so); else setTimeout(look, 40);
               }};
               look();
             }})"
        ));
        if is_so != json!(true) {
            let body = self.evaluate("document.body.innerText.slice(0, 600)");
            let data = self.evaluate("JSON.stringify(document.body.dataset)");
            panic!("never true: {condition}\n{data}\n{body}\n{:?}", self.complaints);
        }
    }

    /// Saves what is seen as PNG.
    pub fn screenshot(&mut self, path: &Path) {
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let bytes = decode_base64(picture["data"].as_str().expect("a picture"));
        std::fs::write(path, bytes).expect("the picture is written");
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.next_id += 1;
        let mut request = json!({"id": self.next_id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            request["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(request.to_string())).expect("the browser listens");
        loop {
            let message = self.socket.read().expect("the browser answers in time");
            let Message::Text(text) = message else { continue };
            let answer: Value = serde_json::from_str(&text).expect("json");
            if answer["id"] == json!(self.next_id) {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.hear(&answer);
        }
    }

    fn hear(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.complaints.push(parameters.to_string()),
            "Runtime.consoleAPICalled"
                if matches!(parameters["type"].as_str(), Some("error" | "warning" | "assert")) =>
            {
                self.complaints.push(parameters["args"].to_string());
            }
            "Log.entryAdded" if parameters["entry"]["level"] == "error" => {
                self.complaints.push(parameters["entry"].to_string());
            }
            "Network.requestWillBeSent" => {
                let url = parameters["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(url.to_owned());
            }
            _ => {}
        }
    }
}

/// The browser and the address of its socket.
fn start(profile: &Path) -> (Child, String) {
    let spawn = |program: &&str| {
        let mut command = Command::new(program);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.display()));
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok()
    };
    let mut child = PROGRAMS.iter().find_map(spawn).unwrap_or_else(|| {
        panic!("no Chromium ({}): install it, for example by `make install`", PROGRAMS.join(", "))
    });
    let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut addresses = lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned));
    let address = addresses.next().expect("Chromium says where it listens");
    // It goes on talking; nobody listening would end it.
    std::thread::spawn(move || addresses.for_each(drop));
    (child, address)
}

fn decode_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |byte: u8| ALPHABET.iter().position(|known| *known == byte);
    let (mut bytes, mut bits, mut count) = (Vec::with_capacity(text.len() * 3 / 4), 0u32, 0);
    for digit in text.bytes().filter_map(value) {
        bits = bits << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
