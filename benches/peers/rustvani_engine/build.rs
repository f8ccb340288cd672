//! The version of rustvani, as the lock file has it.

fn main() {
    println!("cargo:rerun-if-changed=Cargo.lock");
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"rustvani\"");
    let version = lines.nth(1).and_then(|line| line.split('"').nth(1)).unwrap_or("of an unknown version");
    println!("cargo:rustc-env=RUSTVANI_VERSION={version}");
}
