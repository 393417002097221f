//! The smallest program: one file, read in place.

use std::os::unix::fs::FileExt;

use threadlet::threadlet;

#[threadlet::main]
async fn main() -> std::io::Result<()> {
    let file = std::fs::File::open("Cargo.toml")?;
    let mut page = [0u8; 4096];
    // Runs right here, and borrows. Only if the page is not in memory, a spare thread takes over.
    let n = threadlet!(file.read_at(&mut page, 0))?;
    println!(
        "{n} bytes, {} in-place calls",
        threadlet::runtime::Handle::current().metrics().regions
    );
    Ok(())
}
