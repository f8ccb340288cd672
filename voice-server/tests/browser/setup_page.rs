//! `/setup`: the first admin of a configured server comes in by the link that its start printed; and what a caller
//! without permission is told by the talk page of such a server.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::accessible::Checks;
use crate::server::{Folder, program};
use crate::webdriver::Driver;

/// A server that nobody may use yet. Ended by its id when dropped.
struct Configured {
    child: Child,
    /// Where it serves.
    page: String,
    /// The link.
    link: String,
}

impl Configured {
    /// Starts the program; the models are not waited for.
    fn start(folder: &Folder) -> Self {
        let mut child = program()
            .args(["serve", "--bind", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("configured"))
            .envs([
                ("VOICE_LOG", "warn"),
                ("VOICE_AUTH_SECRET", "0123456789abcdef0123456789abcdef0123456789abcdef"),
            ])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut addresses = (&mut lines)
            .map_while(Result::ok)
            .filter_map(|line| line.find("http://").map(|at| line[at..].trim().to_owned()));
        let (page, link) = (addresses.next(), addresses.next());
        // The rest is read too, so that the program never waits for room in the pipe; ends with the program.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let (Some(page), Some(link)) = (page, link) else { panic!("no address and no link were printed") };
        Self { child, page, link }
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn the_first_admin_comes_in_by_the_link_once(driver: &Driver, checks: Option<&Checks>) {
    let folder = Folder::new();
    let server = Configured::start(&folder);
    let browser = driver.browser("refused");
    browser.open(&server.page);
    browser.press("#talk");
    browser.wait("the reason", "return !document.querySelector('#alert').hidden");
    let alert = browser.text_of("#alert");
    assert!(alert.contains("VOICE_ANONYMOUS"), "the page says {alert}");
    browser.wait("the end of the attempt", "return document.body.dataset.state === 'idle'");
    browser.console_errors(); // The browser notes the refusal.

    assert!(server.link.contains("/setup?token="), "{}", server.link);
    browser.open(&server.link);
    assert_eq!(browser.run("return location.search"), "", "the secret stays in the address");
    if let Some(checks) = checks {
        checks.run(&browser, "setup");
    }
    browser.write("#email", "first@agency.example");
    browser.write("#name", "Ann First");
    browser.write("#password", "a long first password");
    browser.press("#make");
    browser.wait("the admin", "return !document.querySelector('#done').hidden");
    assert!(browser.text_of("#who").contains("first@agency.example"), "{}", browser.text());
    browser.press("#done a");
    let people = "return document.body.dataset.state === 'in' && document.querySelector('#view').innerText.includes('Ann First')";
    browser.wait("the settings", people);
    assert_eq!(browser.console_errors(), Vec::<Value>::new());

    let second = driver.browser("second");
    second.open(&server.link);
    second.write("#email", "second@agency.example");
    second.write("#password", "a long second password");
    second.press("#make");
    second.wait("the refusal", "return !document.querySelector('#alert').hidden");
    assert!(second.text_of("#alert").contains("was used"), "{}", second.text());
    second.open(&format!("{}setup", server.page));
    second.wait("what is missing", "return document.querySelector('#make').disabled");
}
