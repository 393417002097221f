//! The library stays where it is once it is loaded: its threads, and its handler of `fork`, outlive
//! any `dlclose`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libthreadlet_aio.so");
}
