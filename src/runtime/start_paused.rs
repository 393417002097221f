//! `Builder::start_paused`.

use super::Builder;

impl Builder {
    /// Whether the clock stands from the start, for tests: as if
    /// [`time::pause`](crate::time::pause) were the first call in the runtime. Default: no. It
    /// needs a current-thread runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Builder;
    /// use threadlet::time::{Duration, Instant, sleep};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new_current_thread().start_paused(true).build()?;
    /// runtime.block_on(async {
    ///     let start = Instant::now();
    ///     sleep(Duration::from_secs(3600)).await;
    ///     assert_eq!(start.elapsed(), Duration::from_secs(3600));
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_paused(&mut self, paused: bool) -> &mut Self {
        self.config.start_paused = paused;
        self
    }
}
