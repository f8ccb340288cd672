//! The server in `mock`, started on a free port by Node and steered by the tests.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::server::left_out;
use crate::webdriver::http;

const PROGRAM: &str = "node";

/// A running mock. Ended by its id when dropped, and by itself when this process is gone.
pub(crate) struct Mock {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Mock {
    /// Whether Node is there; says loudly when it is not.
    pub(crate) fn is_installed() -> bool {
        let found = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).status().is_ok();
        if !found {
            left_out(&format!("{PROGRAM} is not installed (Debian: nodejs)"));
        }
        found
    }

    pub(crate) fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/mock/server.mjs");
        let mut child = Command::new(PROGRAM)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the mock starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("an address");
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').parse();
        Self { address: address.expect("an address is printed"), child }
    }

    /// The address of a page.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Steers it.
    pub(crate) fn order(&self, what: &str, body: &Value) -> Value {
        let (status, answer) = http(self.address, "POST", &format!("/mock/{what}"), &body.to_string());
        assert_eq!(status, 200, "{what}: {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Ends it as a crash does.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What has come in.
    pub(crate) fn seen(&self) -> Value {
        self.order("seen", &json!({}))
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.stop();
    }
}
