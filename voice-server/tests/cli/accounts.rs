//! `voice user` and `voice key`: who may sign in, and the keys of an organization.

use std::process::Stdio;

use crate::program::{self, Ended, bare};
use crate::server::Folder;

fn run(folder: &Folder, arguments: &[&str]) -> Ended {
    program::run(bare(folder, arguments))
}

/// Runs with something on the standard input.
fn told(folder: &Folder, arguments: &[&str], input: &str) -> Ended {
    let file = folder.path().join("input");
    std::fs::write(&file, input).expect("written");
    let mut command = bare(folder, arguments);
    command.stdin(Stdio::from(std::fs::File::open(file).expect("opened")));
    program::run(command)
}

#[test]
fn users_are_added_once_with_a_password_that_is_told_or_drawn() {
    let folder = Folder::new();
    let added = told(
        &folder,
        &["user", "add", "--admin", "--password-stdin", "Boss@Example.com"],
        "a good password\n",
    );
    assert_eq!(added.status, Some(0), "{added:?}");
    assert_eq!(added.out, "boss@example.com may sign in as admin\n");
    let drawn = run(&folder, &["user", "add", "anna@example.com", "--role", "viewer", "--name", "Anna"]);
    assert_eq!(drawn.status, Some(0), "{drawn:?}");
    let password = drawn.out.lines().nth(1).expect("a line").strip_prefix("password ").expect("a password");
    assert_eq!(password.len(), 20);
    let again = run(&folder, &["user", "add", "ANNA@example.com"]);
    assert_eq!((again.status, again.out.as_str()), (Some(1), ""), "{again:?}");
    assert!(again.errors.contains("there is a user with this address already"), "{again:?}");
    let listed = run(&folder, &["user", "list", "--json"]);
    let users: serde_json::Value = serde_json::from_str(&listed.out).expect("JSON");
    let roles: Vec<_> = users.as_array().expect("a list").iter().map(|u| (&u["email"], &u["role"])).collect();
    assert_eq!(roles.len(), 2, "{roles:?}");
    assert!(roles.iter().any(|(email, role)| *email == "anna@example.com" && *role == "viewer"), "{roles:?}");
    assert!(!listed.out.contains("argon2"), "{}", listed.out);
}

#[test]
fn a_user_that_cannot_be_is_a_wrong_call() {
    let folder = Folder::new();
    for (arguments, input, said) in [
        (&["user", "add", "no address"][..], "", "name@example.com"),
        (&["user", "add", "--password-stdin", "a@b.c"], "short\n", "10 to 256"),
        (&["user", "add", "--admin", "--role", "viewer", "a@b.c"], "", "cannot be used with"),
        (&["key", "add", "shop", "--publishable"], "", "--origin"),
        (&["key", "add", "shop", "--publishable", "--origin", "shop.example"], "", "no web origin"),
        (&["key", "add", "srv", "--origin", "https://shop.example"], "", "--publishable"),
        (&["key", "add", "srv", "--daily-spend", "1e9"], "", "--daily-spend"),
    ] {
        let ended = told(&folder, arguments, input);
        assert_eq!((ended.status, ended.out.as_str()), (Some(2), ""), "{arguments:?} {ended:?}");
        assert!(ended.errors.contains(said), "{arguments:?} {ended:?}");
    }
}

#[test]
fn a_key_is_shown_once_and_revoked_by_its_id() {
    let folder = Folder::new();
    let made = run(
        &folder,
        &["key", "add", "shop", "--publishable", "--origin", "https://Shop.example", "--max-calls", "3"],
    );
    assert_eq!(made.status, Some(0), "{made:?}");
    let id = made.out.lines().next().expect("a line").strip_prefix("id  ").expect("an id").to_owned();
    let key = made.out.lines().nth(1).expect("a line").strip_prefix("key ").expect("a key");
    assert!(key.starts_with("pk_") && key.len() == 46, "{key}");
    let list = || {
        let listed = run(&folder, &["key", "list", "--json"]);
        assert!(!listed.out.contains(key), "{listed:?}");
        serde_json::from_str::<serde_json::Value>(&listed.out).expect("JSON")[0].clone()
    };
    let before = list();
    assert_eq!((&before["origins"][0], &before["maxCalls"]), (&"https://shop.example".into(), &3.into()));
    assert!(before["revokedAt"].is_null());
    assert_eq!(run(&folder, &["key", "revoke", &id]).status, Some(0));
    assert!(list()["revokedAt"].is_string());
    let unknown = run(&folder, &["key", "revoke", "00000000-0000-4000-8000-000000000009"]);
    assert_eq!(unknown.status, Some(1), "{unknown:?}");
}
