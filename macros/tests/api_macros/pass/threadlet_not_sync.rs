//! A borrow of something that is `Send` and not `Sync`, used in a spawned task. Outside the region
//! the borrow would make the future `!Send`; inside it never crosses an await.
#![deny(warnings)]

use std::cell::{Cell, RefCell};

use threadlet::threadlet;

/// Of the kind of `rusqlite::Connection`: may move to another thread, may not be shared.
struct Connection {
    log: RefCell<Vec<String>>,
}

impl Connection {
    fn execute(&self, statement: &str) -> usize {
        self.log.borrow_mut().push(statement.to_owned());
        self.log.borrow().len()
    }
}

fn must_be_send<T: Send>(value: T) -> T {
    value
}

#[threadlet::main]
async fn main() {
    let task = must_be_send(async {
        let connection = Connection { log: RefCell::default() };
        let count = Cell::new(0);
        for _ in 0..3 {
            let rows = threadlet!({
                count.set(count.get() + 1);
                (&connection).execute("insert")
            });
            assert_eq!(rows, count.get());
        }
        count.get()
    });
    assert_eq!(threadlet::spawn(task).await.expect("the task ends well"), 3);
}
