//! The smallest program: one file, read in place.
//!
//! ```sh
//! cargo run --example hello
//! ```

use std::os::unix::fs::FileExt;

use threadlet::runtime::Handle;
use threadlet::threadlet;

#[threadlet::main]
async fn main() -> std::io::Result<()> {
    // A task of its own: the root future of a multi-thread runtime has no core to hand over.
    threadlet::spawn(read_a_page("/etc/hosts")).await?
}

async fn read_a_page(path: &str) -> std::io::Result<()> {
    let file = threadlet!(std::fs::File::open(path))?;
    let mut page = [0u8; 4096];
    // Runs right here, and borrows. Only if the page is not in memory, a spare thread takes over
    // this worker's other tasks.
    let n = threadlet!(file.read_at(&mut page, 0))?;
    println!("{n} bytes of {path}");
    for site in Handle::current().sites() {
        println!(
            "{}:{} {}: {} ran inline, {} handed over",
            site.file, site.line, site.text, site.inline, site.handed_over
        );
    }
    Ok(())
}
