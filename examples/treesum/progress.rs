//! The progress bar, if somebody can see it.
//!
//! Drawing may block (a terminal that was stopped), so one task draws ten times a second and the
//! others only count. A second walk runs ahead of the first and adds up the sizes, for without them
//! there is no telling how much is left.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use threadlet::task::JoinHandle;
use threadlet::{threadlet, time};

use crate::walk::{self, Root};

const PERIOD: Duration = Duration::from_millis(100);

/// The bar, and what is to be seen on it.
pub(crate) struct Progress {
    bytes: Arc<AtomicU64>,
    bar: ProgressBar,
    painter: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to draw, if `visible`.
    pub(crate) fn start(visible: bool, root: &Arc<Path>, kind: Root) -> Progress {
        let bytes = Arc::new(AtomicU64::new(0));
        if !visible {
            return Progress { bytes, bar: ProgressBar::hidden(), painter: None };
        }
        let bar = ProgressBar::new_spinner();
        bar.set_style(style("{spinner} {bytes} ({bytes_per_sec})"));
        let size = (kind == Root::Directory).then(|| threadlet::spawn(walk::count(root.clone())));
        let painter = threadlet::spawn(paint(bar.clone(), bytes.clone(), size));
        Progress { bytes, bar, painter: Some(painter) }
    }

    /// Where the bytes that were read are counted.
    pub(crate) fn bytes(&self) -> &Arc<AtomicU64> {
        &self.bytes
    }

    /// A line on standard error, above the bar. If nobody can read it, nobody is to be told.
    pub(crate) fn print(&self, line: &str) {
        self.bar.suspend(|| {
            let _ = io::stderr().write_all(line.as_bytes());
        });
    }

    /// Takes the bar away.
    pub(crate) async fn stop(self) {
        if let Some(painter) = self.painter {
            painter.abort();
            let _aborted = painter.await;
            threadlet!(self.bar.finish_and_clear());
        }
    }
}

/// Draws until it is aborted.
async fn paint(bar: ProgressBar, bytes: Arc<AtomicU64>, mut size: Option<JoinHandle<u64>>) {
    loop {
        if let Some(counted) = size.take_if(|size| size.is_finished()) {
            if let Ok(total) = counted.await {
                bar.set_length(total);
                bar.set_style(style("{wide_bar} {bytes}/{total_bytes} ({bytes_per_sec}, {eta})"));
            }
        }
        threadlet!({
            bar.set_position(bytes.load(Ordering::Relaxed));
            bar.tick();
        });
        time::sleep(PERIOD).await;
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are fine")
}
