//! axe-core on what a page shows, light and dark, on a desktop and on a telephone; and pictures of it.

use std::path::Path;

use serde_json::Value;

use crate::server::left_out;
use crate::webdriver::Browser;

pub(crate) const DESKTOP: (u32, u32) = (1280, 900);
const SIZES: [(&str, (u32, u32)); 2] = [("desktop", DESKTOP), ("phone", (390, 844))];

/// axe-core, ready to be run in a page.
pub(crate) struct Checks(String);

impl Checks {
    /// `None` where axe-core is not here; says so loudly.
    pub(crate) fn load() -> Option<Self> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../axe/node_modules/axe-core/axe.min.js");
        let found = std::fs::read_to_string(&path).ok();
        if found.is_none() {
            left_out("axe-core is not installed; `.ci/setup test` brings it");
        }
        found.map(Self)
    }

    /// Fails where axe-core finds something serious in what the page shows, or it is too wide for the screen.
    pub(crate) fn run(&self, browser: &Browser<'_>, name: &str) {
        browser.run(&self.0);
        for (device, size) in SIZES {
            for scheme in ["light", "dark"] {
                browser.screenshot(&format!("{name}-{device}-{scheme}"), size, scheme);
                let faults = browser.run_async(
                    "const done = arguments[arguments.length - 1];
                     axe.run().then(({ violations, passes }) => done({ passes: passes.length, faults: violations
                       .filter(({ impact }) => impact === 'serious' || impact === 'critical')
                       .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' ')}`) }))",
                );
                assert_eq!(faults["faults"], Value::Array(Vec::new()), "{name} {device} {scheme}");
                let tried = faults["passes"].as_u64().is_some_and(|passes| passes > 10);
                assert!(tried, "nothing was tried: {faults}");
                let wide = browser.run("return document.documentElement.scrollWidth - innerWidth");
                assert!(
                    wide.as_f64().is_some_and(|wide| wide <= 0.0),
                    "{name} {device}: {wide} pixels too wide"
                );
            }
        }
        browser.look(DESKTOP, "light");
    }
}
