//! How long a person looks at nothing.

use crate::server::Server;
use crate::webdriver::Driver;

const LIMIT_MS: f64 = 300.0;
/// First visits of each page, of which the middle one counts: single ones also measure what else the machine does.
const VISITS: usize = 5;

/// Asks the browser itself, each time on a first visit: nothing is cached and no worker is there yet.
pub(crate) fn both_pages_paint_within_300_ms(server: &Server, driver: &Driver) {
    const PAINT: &str = r"
      const done = arguments[arguments.length - 1];
      new PerformanceObserver((list) => {
        const first = list.getEntriesByName('first-contentful-paint')[0];
        if (first) done(first.startTime);
      }).observe({ type: 'paint', buffered: true });
    ";
    for path in ["/", "/console"] {
        let mut visits: Vec<f64> =
            (0..VISITS).map(|number| visit(server, driver, path, number, PAINT)).collect();
        let shown: Vec<String> = visits.iter().map(|ms| format!("{ms:.0}")).collect();
        visits.sort_by(f64::total_cmp);
        let middle = visits[VISITS / 2];
        println!("  {path}: first paint after {middle:.0} ms (visits: {} ms)", shown.join(" "));
        assert!(middle < LIMIT_MS, "{path}: first paint after {middle:.0} ms: {}", shown.join(" "));
    }
}

fn visit(server: &Server, driver: &Driver, path: &str, number: usize, paint: &str) -> f64 {
    let browser = driver.browser(&format!("paint{}-{number}", path.replace('/', "-")));
    // A browser that has just started is busy with itself: the first of its pages is not the one that is measured.
    browser.open(&format!("http://{}/health", server.address));
    browser.console_errors(); // Of a page without an icon.
    browser.open(&format!("http://{}{path}", server.address));
    let first = browser.run_async(paint).as_f64().expect("a time");
    assert_eq!(browser.console_errors(), Vec::<serde_json::Value>::new(), "{path}");
    first
}
