//! `voice doctor` on a fresh folder and beside a running server.

use crate::program::{bare, models, run, voice};
use crate::server::{Folder, Server, has_weights};

#[test]
fn a_fresh_folder_is_tried_and_left_as_it_was() {
    let folder = Folder::new();
    let ended = run(bare(&folder, &["doctor", "--bind", "127.0.0.1:0", "--data", "fresh"]));
    assert_eq!(ended.status, Some(1), "the models are missing: {ended:?}");
    assert!(ended.out.contains("ok    database: fresh, made at the first start"), "{ended:?}");
    assert_eq!(ended.out.matches("callers are not heard").count(), 1, "the note stands twice: {ended:?}");
    assert!(!folder.path().join("fresh").exists());
}

#[test]
fn another_program_on_the_address_is_a_fault() {
    let folder = Folder::new();
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("bound").to_string();
    let ended = run(bare(&folder, &["doctor", "--bind", &address]));
    assert!(ended.out.contains("fault address: cannot listen on"), "{ended:?}");
}

#[test]
fn a_running_healthy_server_is_no_fault() {
    if !has_weights() {
        return;
    }
    let _models = models();
    let folder = Folder::new();
    let server = Server::start(&folder);
    let address = server.address.to_string();
    let ended = run(voice(&folder, &["doctor", "--bind", &address, "--data", "data"]));
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(
        ended.out.contains(&format!("ok    address: a voice server is running on {address}")),
        "{ended:?}"
    );
    assert!(ended.out.contains("ok    database: data, in use by the running server"), "{ended:?}");
    assert!(!ended.out.contains("fault"), "{ended:?}");
}
