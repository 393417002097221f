//! An open file that several may have, one of whom waits to be the last.

use std::ops::Deref;
use std::sync::Arc;
use std::task::Context;

use futures::task::AtomicWaker;

use crate::syslet::OpenFile;

/// An open file in the hands of the [`File`](super::File), or of a call that moved to another
/// thread.
#[derive(Clone, Debug)]
pub(super) struct FileRef {
    /// `None` only once it was taken out.
    file: Option<Arc<OpenFile>>,
    /// Waits for the others to let go.
    last: Arc<AtomicWaker>,
}

impl FileRef {
    pub(super) fn new(file: OpenFile) -> Self {
        FileRef { file: Some(Arc::new(file)), last: Arc::default() }
    }

    /// Has the task woken whenever another lets go.
    pub(super) fn wake_when_last(&self, cx: &Context<'_>) {
        self.last.register(cx.waker());
    }

    /// The file, if nobody else has it.
    pub(super) fn try_take(&mut self) -> Option<std::fs::File> {
        match Arc::try_unwrap(self.file.take()?) {
            Ok(file) => Some(file.into_inner()),
            Err(shared) => {
                self.file = Some(shared);
                None
            }
        }
    }
}

impl Deref for FileRef {
    type Target = OpenFile;

    fn deref(&self) -> &OpenFile {
        self.file.as_ref().expect("taken out only to be dropped")
    }
}

impl Drop for FileRef {
    fn drop(&mut self) {
        // First let go, then wake.
        self.file = None;
        self.last.wake();
    }
}
