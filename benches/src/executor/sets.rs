//! `JoinSet`, which smol has not.

use std::time::{Duration, Instant};

use super::compare;
use crate::harness::Plan;
use crate::peer::Peer;
use crate::report::Row;

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let workers = plan.workers;
    vec![compare!(
        plan,
        workers,
        "a JoinSet of 10,000 tasks",
        Sets::join_all,
        10_000,
        41,
        [threadlet::runtime::Runtime, tokio::runtime::Runtime]
    )]
}

trait Sets {
    fn join_all(&self, count: usize) -> Duration;
}

macro_rules! sets {
    ($library:ident) => {
        impl Sets for $library::runtime::Runtime {
            fn join_all(&self, count: usize) -> Duration {
                self.run(async move {
                    let begin = Instant::now();
                    let mut set = $library::task::JoinSet::new();
                    for nth in 0..count {
                        set.spawn(async move { nth });
                    }
                    let mut sum = 0;
                    while let Some(joined) = set.join_next().await {
                        sum += joined.expect("the task ends well");
                    }
                    assert_eq!(sum, count * (count - 1) / 2);
                    begin.elapsed()
                })
            }
        }
    };
}

sets!(threadlet);
sets!(tokio);
