//! A part of the fault matrix in every test run; `load faults` runs all of it.

use voice_benches::faults::{check_log, run, some_cells};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_the_caller_hears_the_answer_once_or_is_told() {
    let cells = some_cells();
    assert_eq!(cells.len(), 54);
    let broken: Vec<String> = run(cells)
        .await
        .into_iter()
        .filter_map(|finding| Some(format!("{}: {}", finding.cell, finding.outcome.err()?)))
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
    check_log().expect("a log without secrets");
}
