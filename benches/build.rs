//! Tells the program by which compiler it was made.

use std::process::Command;

fn main() {
    let rustc = std::env::var_os("RUSTC").expect("cargo says which compiler it is");
    let said = Command::new(rustc).arg("--version").output().expect("a compiler has a version");
    let version = String::from_utf8(said.stdout).expect("it is ASCII");
    println!("cargo::rustc-env=THREADLET_BENCH_RUSTC={}", version.trim());
    println!("cargo::rerun-if-changed=build.rs");
}
