//! The pages as they are served. How they work in a browser is tried with a real one, outside this suite.

use std::collections::BTreeSet;

use crate::harness::Server;

/// What each page loads, itself first.
const TALK: [&str; 7] =
    ["/", "/base.css", "/talk.css", "/talk.js", "/voice-client.js", "/waterfall.js", "/worklet.js"];
const CONSOLE: [&str; 14] = [
    "/console",
    "/base.css",
    "/console.css",
    "/console.js",
    "/api.js",
    "/charts.js",
    "/dom.js",
    "/live.js",
    "/offline.js",
    "/view-calls.js",
    "/view-conversations.js",
    "/view-performance.js",
    "/view-settings.js",
    "/view-status.js",
];
/// What the page for the first admin has beside the console's; no worker keeps it.
const SETUP: [&str; 2] = ["/setup", "/setup.js"];
/// What both also have.
const BOTH: [&str; 2] = ["/icon.svg", "/sw.js"];

fn all() -> BTreeSet<&'static str> {
    TALK.into_iter().chain(CONSOLE).chain(BOTH).collect()
}

#[tokio::test]
async fn the_pages_and_their_files_are_served_under_a_strict_policy() {
    let server = Server::start().await;
    for path in all().into_iter().chain(SETUP) {
        let answer = server.fetch(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let kind = match path.rsplit_once('.') {
            None => "text/html",
            Some((_, "js")) => "text/javascript",
            Some((_, "css")) => "text/css",
            Some(_) => "image/svg+xml",
        };
        assert!(answer.head.contains(&format!("content-type: {kind}")), "{path}");
        let policy = answer.head.lines().find(|line| line.starts_with("content-security-policy")).unwrap();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    }
}

#[tokio::test]
async fn each_page_has_less_than_100_kb_compressed() {
    let server = Server::start().await;
    for files in [&TALK[..], &CONSOLE] {
        let mut size = 0;
        for path in files.iter().chain(&BOTH) {
            let answer = server.ask("GET", path, &["Host: localhost", "Accept-Encoding: gzip"]).await;
            assert!(
                answer.head.contains("content-encoding: gzip"),
                "{path} is not compressed: {}",
                answer.head
            );
            size += answer.length;
        }
        println!("{}: {size} bytes compressed in {} files", files[0], files.len() + BOTH.len());
        assert!(size < 100_000, "{}: {size} bytes", files[0]);
    }
}

#[tokio::test]
async fn a_file_that_has_not_changed_is_not_sent_again() {
    let server = Server::start().await;
    let answer = server.fetch("/talk.js").await;
    let mark = answer.head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a mark");
    // The harness gives the head in small letters.
    let mark = mark.replacen('w', "W", 1);
    let again = server.ask("GET", "/talk.js", &["Host: localhost", &format!("If-None-Match: {mark}")]).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let other = server.ask("GET", "/talk.js", &["Host: localhost", "If-None-Match: W/\"other\""]).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn only_the_reference_client_may_be_imported_by_other_origins() {
    let server = Server::start().await;
    for path in all() {
        let answer = server.ask("GET", path, &["Host: localhost", "Origin: https://www.example.com"]).await;
        let shared = answer.head.contains("access-control-allow-origin: *");
        assert_eq!(shared, matches!(path, "/voice-client.js" | "/worklet.js"), "{path}");
    }
}

#[tokio::test]
async fn the_worker_keeps_every_file_of_both_pages_under_the_version_of_all() {
    let server = Server::start().await;
    let worker = server.fetch("/sw.js").await.body;
    assert!(!worker.contains("%VERSION%"), "no version was put in");
    let list = worker.split("SHELL = [").nth(1).and_then(|rest| rest.split(']').next()).expect("a list");
    let kept: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    // The worker does not keep itself: a browser asks for a newer one by its own rules.
    let expected: BTreeSet<&str> = all().into_iter().filter(|path| *path != "/sw.js").collect();
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn the_pages_name_only_files_that_exist_and_have_no_inline_code() {
    let server = Server::start().await;
    let known: BTreeSet<&str> = all().into_iter().chain(SETUP).collect();
    for page in ["/", "/console", "/setup"] {
        let page = server.fetch(page).await.body;
        assert!(
            !page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick="),
            "inline code"
        );
        for attribute in ["src=\"", "href=\""] {
            for part in page.split(attribute).skip(1) {
                let target = part.split('"').next().unwrap().split('#').next().unwrap();
                assert!(target.is_empty() || known.contains(target), "{target}");
            }
        }
    }
    let page = server.fetch("/").await.body;
    let script = server.fetch("/talk.js").await.body;
    for id in script.split("element(\"").skip(1).filter_map(|part| part.split('"').next()) {
        assert!(page.contains(&format!("id=\"{id}\"")), "the page has no #{id}");
    }
}

#[tokio::test]
async fn the_scripts_import_only_files_that_are_served() {
    let server = Server::start().await;
    for path in all().into_iter().filter(|path| path.ends_with(".js")) {
        let script = server.fetch(path).await.body;
        for line in script.lines().filter(|line| line.starts_with("import ")) {
            let target =
                line.split(" from \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a file");
            assert!(all().contains(target), "{path} imports {target}");
        }
        assert!(!script.contains("eval(") && !script.contains("innerHTML"), "{path}");
    }
}
