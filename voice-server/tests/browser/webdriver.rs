//! A browser by WebDriver (W3C): JSON over plain HTTP on loopback.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use voice_fixtures::folder;

use crate::MICROPHONE;
use crate::server::left_out;

/// Longer than anything here takes: only a fault runs into it.
const LIMIT: Duration = Duration::from_secs(90);
/// How often a page is asked whether it is ready.
const STEP: Duration = Duration::from_millis(100);
const PROGRAM: &str = "chromedriver";

/// One request; gives status and body.
pub(crate) fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    http_with(address, method, path, "", body)
}

/// The same with a header of its own, its line end included.
pub(crate) fn http_with(
    address: SocketAddr,
    method: &str,
    path: &str,
    header: &str,
    body: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("an option of the socket");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         {header}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("written");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a header");
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    (status, String::from_utf8(body).expect("text"))
}

/// A running driver. Ended by its id when dropped, after its browsers.
pub(crate) struct Driver {
    address: SocketAddr,
    child: Child,
    profiles: PathBuf,
}

impl Driver {
    /// Whether the driver is there; says loudly when it is not.
    pub(crate) fn is_installed() -> bool {
        let found = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).status().is_ok();
        if !found {
            left_out(&format!("{PROGRAM} is not installed (Debian: chromium-driver)"));
        }
        found
    }

    pub(crate) fn start(profiles: &Path) -> Self {
        let mut child = Command::new(PROGRAM)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the driver starts");
        let printed = child.stdout.take().expect("piped");
        let (told, port) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(printed).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("successfully on port ") {
                    let _ = told.send(rest.trim_end_matches('.').parse::<u16>());
                }
            }
        });
        let mut driver = Self { address: ([127, 0, 0, 1], 0).into(), child, profiles: profiles.to_owned() };
        driver.address.set_port(port.recv_timeout(LIMIT).expect("a port is printed").expect("a number"));
        driver
    }

    /// A fresh browser whose microphone speaks once it is opened.
    pub(crate) fn browser(&self, name: &str) -> Browser<'_> {
        let microphone = folder("questions").join(MICROPHONE.0);
        let args = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--use-fake-ui-for-media-stream".to_owned(),
            "--use-fake-device-for-media-stream".to_owned(),
            format!("--use-file-for-fake-audio-capture={}%noloop", microphone.display()),
            "--autoplay-policy=no-user-gesture-required".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--user-data-dir={}", self.profiles.join(name).display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let (status, body) = http(self.address, "POST", "/session", &wanted.to_string());
        assert_eq!(status, 200, "no browser: {body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let session = answer["value"]["sessionId"].as_str().expect("a session").to_owned();
        Browser { driver: self, session }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One browser with one page. Closed when dropped.
pub(crate) struct Browser<'d> {
    driver: &'d Driver,
    session: String,
}

impl Browser<'_> {
    fn order(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let path = format!("/session/{}/{path}", self.session);
        let (status, body) = http(self.driver.address, method, &path, &body);
        assert_eq!(status, 200, "{path}: {body}");
        let mut answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["value"].take()
    }

    /// An order of the developer tools' protocol.
    pub(crate) fn tools(&self, command: &str, params: Value) -> Value {
        self.order("POST", "goog/cdp/execute", &json!({"cmd": command, "params": params}))
    }

    /// The value of a cookie, also of one that no script reads; `None` where there is none.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let all = self.tools("Network.getAllCookies", json!({}));
        let found = all["cookies"].as_array()?.iter().find(|one| one["name"] == name)?;
        found["value"].as_str().map(str::to_owned)
    }

    /// Runs before every page's own scripts.
    pub(crate) fn prepare(&self, script: &str) {
        self.tools("Page.addScriptToEvaluateOnNewDocument", json!({"source": script}));
    }

    pub(crate) fn open(&self, url: &str) {
        self.order("POST", "url", &json!({"url": url}));
    }

    /// Runs a function's body in the page and gives what it returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.order("POST", "execute/sync", &json!({"script": script, "args": []}))
    }

    /// Runs a function's body whose last argument is to be called with the result.
    pub(crate) fn run_async(&self, script: &str) -> Value {
        self.order("POST", "execute/async", &json!({"script": script, "args": []}))
    }

    fn element(&self, selector: &str) -> String {
        let found = self.order("POST", "element", &json!({"using": "css selector", "value": selector}));
        let element = found.as_object().and_then(|found| found.values().next()).expect("an element");
        element.as_str().expect("an id").to_owned()
    }

    /// Presses what the selector names, as a person does.
    pub(crate) fn press(&self, selector: &str) {
        self.order("POST", &format!("element/{}/click", self.element(selector)), &json!({}));
    }

    /// Types into what the selector names, in the place of what stands there.
    pub(crate) fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.order("POST", &format!("element/{element}/clear"), &json!({}));
        self.order("POST", &format!("element/{element}/value"), &json!({"text": text}));
    }

    /// Presses a key down, or lets it go.
    pub(crate) fn key(&self, key: &str, down: bool) {
        let action = json!({"type": if down { "keyDown" } else { "keyUp" }, "value": key});
        self.order(
            "POST",
            "actions",
            &json!({"actions": [{"type": "key", "id": "keys", "actions": [action]}]}),
        );
    }

    pub(crate) fn reload(&self) {
        self.order("POST", "refresh", &json!({}));
    }

    /// The text that is shown in what the selector names; empty where there is none.
    pub(crate) fn text_of(&self, selector: &str) -> String {
        let script = format!("return document.querySelector('{selector}')?.innerText ?? ''");
        self.run(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Asks the page until the script gives `true`.
    pub(crate) fn wait(&self, what: &str, script: &str) {
        let until = Instant::now() + LIMIT;
        while self.run(script) != true {
            assert!(Instant::now() < until, "{what} does not come; the page: {}", self.text());
            std::thread::sleep(STEP);
        }
    }

    /// All text of the page.
    pub(crate) fn text(&self) -> Value {
        self.run("return document.body.innerText")
    }

    /// Errors on the page's console.
    pub(crate) fn console_errors(&self) -> Vec<Value> {
        let log = self.order("POST", "se/log", &json!({"type": "browser"}));
        let entries = log.as_array().expect("entries").clone();
        entries.into_iter().filter(|entry| entry["level"] == "SEVERE").collect()
    }

    /// Shows the page at this size in CSS pixels, in a light or dark colour scheme.
    pub(crate) fn look(&self, (width, height): (u32, u32), scheme: &str) {
        let mobile = width < 600;
        self.tools(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}),
        );
        self.tools(
            "Emulation.setEmulatedMedia",
            json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
    }

    /// Saves what the page looks like.
    pub(crate) fn screenshot(&self, name: &str, size: (u32, u32), scheme: &str) {
        self.look(size, scheme);
        let png = self.order("GET", "screenshot", &Value::Null);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../screenshots");
        std::fs::create_dir_all(&folder).expect("a folder");
        let bytes = STANDARD.decode(png.as_str().expect("a picture")).expect("base64");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("written");
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A driver that is gone must not turn a failure into an abort.
            let address = self.driver.address;
            let path = format!("/session/{}", self.session);
            let _ = std::panic::catch_unwind(|| http(address, "DELETE", &path, ""));
        } else {
            http(self.driver.address, "DELETE", &format!("/session/{}", self.session), "");
        }
    }
}
