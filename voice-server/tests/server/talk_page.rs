//! The talk page as it is served. How it works in a browser is tried with a real one, outside this suite.

use crate::harness::Server;

const FILES: [(&str, &str); 6] = [
    ("/", "text/html"),
    ("/talk.js", "text/javascript"),
    ("/worklet.js", "text/javascript"),
    ("/talk.css", "text/css"),
    ("/setup", "text/html"),
    ("/setup.js", "text/javascript"),
];

#[tokio::test]
async fn the_page_and_its_files_are_served_small_and_under_a_strict_policy() {
    let server = Server::start().await;
    let mut size = 0;
    for (path, kind) in FILES {
        let answer = server.fetch(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.head.contains(&format!("content-type: {kind}")), "{path}");
        let policy =
            answer.head.lines().find(|line| line.starts_with("content-security-policy")).unwrap().to_owned();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        size += answer.body.len();
    }
    assert!(size < 100_000, "{size} bytes");
}

#[tokio::test]
async fn the_pages_name_only_files_that_exist_and_have_no_inline_code() {
    let server = Server::start().await;
    for (page, script) in [("/", "/talk.js"), ("/setup", "/setup.js")] {
        let page = server.fetch(page).await.body;
        assert!(
            !page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick="),
            "inline code"
        );
        for attribute in ["src=\"", "href=\""] {
            for part in page.split(attribute).skip(1) {
                let target = part.split('"').next().unwrap();
                assert!(
                    target.starts_with("data:") || FILES.iter().any(|(path, _)| *path == target),
                    "{target}"
                );
            }
        }
        let script = server.fetch(script).await.body;
        for id in script.split("element(\"").skip(1).filter_map(|part| part.split('"').next()) {
            assert!(page.contains(&format!("id=\"{id}\"")), "the page has no #{id}");
        }
    }
}
