//! How long a person looks at nothing.

use crate::server::Server;
use crate::webdriver::Driver;

const LIMIT_MS: f64 = 300.0;

/// Asks the browser itself, on a first visit: nothing is cached and no worker is there yet.
pub(crate) fn both_pages_paint_within_300_ms(server: &Server, driver: &Driver) {
    const PAINT: &str = r"
      const done = arguments[arguments.length - 1];
      new PerformanceObserver((list) => {
        const first = list.getEntriesByName('first-contentful-paint')[0];
        if (first) done(first.startTime);
      }).observe({ type: 'paint', buffered: true });
    ";
    for path in ["/", "/console"] {
        // A browser that has just started is busy with itself: the first of its pages is not the one that is measured.
        let browser = driver.browser(&format!("paint{}", path.replace('/', "-")));
        browser.open(&format!("http://{}/health", server.address));
        browser.open(&format!("http://{}{path}", server.address));
        let first = browser.run_async(PAINT).as_f64().expect("a time");
        println!("  {path}: first paint after {first:.0} ms");
        assert!(first < LIMIT_MS, "{path}: first paint after {first:.0} ms");
        assert_eq!(browser.console_errors(), Vec::<serde_json::Value>::new(), "{path}");
    }
}
