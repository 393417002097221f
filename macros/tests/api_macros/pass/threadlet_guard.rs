//! A guard and a `Cell` that live inside the region, in a spawned task, and a guard that is the
//! last temporary of the expression.
#![deny(warnings)]

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use threadlet::threadlet;

fn must_be_send<T: Send>(value: T) -> T {
    value
}

#[threadlet::main]
async fn main() {
    let shared = Arc::new(Mutex::new(1));
    let task = must_be_send({
        let shared = Arc::clone(&shared);
        async move {
            let step = Cell::new(2);
            threadlet!({
                let mut guard = shared.lock().unwrap();
                *guard += step.get();
                step.set(40);
            });
            threadlet!(*shared.lock().unwrap() += step.get());
            // A block drops its last temporary before it ends, and with it the guard.
            let value = threadlet!(*shared.lock().unwrap());
            value
        }
    });
    assert_eq!(threadlet::spawn(task).await.expect("the task ends well"), 43);
    assert_eq!(*shared.lock().unwrap(), 43);
}
