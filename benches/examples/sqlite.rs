//! An embedded database used from many tasks: SQLite, called in place.
//!
//! ```sh
//! cargo run --release -p threadlet-bench --example sqlite
//! ```
//!
//! SQLite is a library of synchronous calls that mostly finds its pages in memory, and now and then
//! waits for a disk or for a lock. So it is what `threadlet!` is for: each call runs right here.
//!
//! What compiles, and why: a `Connection` is `Send` and not `Sync`, so a task that *owns* one may
//! be spawned, and one that keeps a `&Connection` across an `.await` may not. What stands inside
//! `threadlet!` crosses no await, so `threadlet!(audit(&connection))` is fine (see `audit_all`),
//! and so is a `&Connection` lent by a pool for one call (see `Pool::with`). This is not:
//!
//! ```text
//! let borrowed = &connection;
//! threadlet::task::yield_now().await;   // `borrowed` is alive here: the task is not `Send`
//! threadlet!(audit(borrowed))?;
//! ```
//!
//! With `spawn_blocking` the connection itself has to travel, there and back, at every call.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use rusqlite::{Connection, params};
use threadlet::runtime::Handle;
use threadlet::{Group, threadlet, time};

const WRITERS: i64 = 8;
const TRANSACTIONS: i64 = 10;
const ROWS_EACH: i64 = 200;
const OWNERS: i64 = 50;
const READERS: i64 = 64;
const QUERIES: i64 = 500;

/// SQLite has one writer at a time. Here the others wait as tasks, without a thread and without
/// SQLite's own way to wait for its lock, which is to sleep and to try again.
static WRITE: Group = Group::new("sqlite, writes", 1);
/// As many reads at once as there are connections for them: a place is a connection.
static READ: Group = Group::new("sqlite, reads", 4);

type Failure = Box<dyn Error + Send + Sync>;

#[threadlet::main]
async fn main() -> Result<(), Failure> {
    let directory = Directory::new()?;
    let path = directory.0.join("accounts.db");
    let pool = Arc::new(Pool::open(&path, WRITE.limit() + READ.limit())?);

    let begun = Instant::now();
    let writers = (0..WRITERS).map(|writer| threadlet::spawn(fill(pool.clone(), writer)));
    for written in try_join_all(writers).await? {
        written?;
    }
    let rows = WRITERS * TRANSACTIONS * ROWS_EACH;
    say("written", rows, begun);

    let done = Arc::new(AtomicBool::new(false));
    let ticker = threadlet::spawn(tick(done.clone()));
    let begun = Instant::now();
    let readers = (0..READERS).map(|reader| threadlet::spawn(ask(pool.clone(), reader)));
    let mut read = 0;
    for rows in try_join_all(readers).await? {
        read += rows?;
    }
    say("read", read, begun);
    done.store(true, Ordering::Relaxed);
    let (ticks, latest) = ticker.await?;
    println!("meanwhile {ticks} ticks of 1 ms, the latest {} us late", latest.as_micros());

    // The connection moves into the task, which is `Send` as it is.
    let connection = Connection::open(&path)?;
    let (count, sum) = threadlet::spawn(audit_all(connection)).await??;
    equal("rows", count, rows)?;
    equal("their sum", sum, (0..rows).sum())?;
    println!("{count} rows, and their sum is right\n\n{}", Handle::current().report());
    Ok(())
}

/// Writes rows in transactions, each of them one call.
async fn fill(pool: Arc<Pool>, writer: i64) -> Result<(), Failure> {
    for transaction in 0..TRANSACTIONS {
        let first = (writer * TRANSACTIONS + transaction) * ROWS_EACH;
        // The work and the wait for the disk that `COMMIT` is, in place.
        threadlet!(in &WRITE; pool.with(|connection| insert(connection, first)))?;
    }
    Ok(())
}

/// Row `amount` is of owner `amount % OWNERS`: then everybody knows what the sums must be.
fn insert(connection: &Connection, first: i64) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let mut insert =
        transaction.prepare_cached("INSERT INTO account (owner, amount) VALUES (?1, ?2)")?;
    for amount in first..first + ROWS_EACH {
        insert.execute(params![amount % OWNERS, amount])?;
    }
    drop(insert);
    transaction.commit()
}

/// Reads all rows of one owner after the other; returns how many rows that were.
async fn ask(pool: Arc<Pool>, reader: i64) -> Result<i64, Failure> {
    let each = WRITERS * TRANSACTIONS * ROWS_EACH / OWNERS;
    let mut read = 0;
    for query in 0..QUERIES {
        let owner = (reader + query) % OWNERS;
        let (count, sum) = threadlet!(in &READ; pool.with(|connection| sum_of(connection, owner)))?;
        equal("rows of an owner", count, each)?;
        equal("their sum", sum, each * owner + OWNERS * (each * (each - 1) / 2))?;
        read += count;
    }
    Ok(read)
}

fn sum_of(connection: &Connection, owner: i64) -> rusqlite::Result<(i64, i64)> {
    let mut select = connection.prepare_cached("SELECT amount FROM account WHERE owner = ?1")?;
    let (mut count, mut sum) = (0, 0);
    for amount in select.query_map([owner], |row| row.get::<_, i64>(0))? {
        count += 1;
        sum += amount?;
    }
    Ok((count, sum))
}

/// Counts and adds up, in two calls of a connection of its own, which stays where it is between
/// them while the task may go on elsewhere.
async fn audit_all(connection: Connection) -> Result<(i64, i64), Failure> {
    let count = threadlet!(audit(&connection, "SELECT count(*) FROM account"))?;
    threadlet::task::yield_now().await;
    let sum = threadlet!(audit(&connection, "SELECT sum(amount) FROM account"))?;
    Ok((count, sum))
}

fn audit(connection: &Connection, query: &str) -> rusqlite::Result<i64> {
    connection.query_row(query, [], |row| row.get(0))
}

/// A few connections. Who may take one, and who has to wait, the groups say.
#[derive(Debug)]
struct Pool(Mutex<Vec<Connection>>);

impl Pool {
    fn open(path: &Path, size: usize) -> rusqlite::Result<Pool> {
        let connections: Vec<_> =
            (0..size).map(|_| Connection::open(path)).collect::<Result<_, _>>()?;
        connections[0].execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE account (id INTEGER PRIMARY KEY, owner INTEGER, amount INTEGER);
             CREATE INDEX account_owner ON account (owner, amount);",
        )?;
        Ok(Pool(Mutex::new(connections)))
    }

    /// Lends a connection to `f`, which is called in a group.
    fn with<T>(&self, f: impl FnOnce(&Connection) -> T) -> T {
        let taken = self.0.lock().expect("nobody panics with the lock").pop();
        let connection = taken.expect("there are as many connections as places");
        let answer = f(&connection);
        self.0.lock().expect("nobody panics with the lock").push(connection);
        answer
    }
}

/// Ticks every millisecond; returns how often, and how late the latest tick was.
async fn tick(done: Arc<AtomicBool>) -> (usize, Duration) {
    let mut interval = time::interval(Duration::from_millis(1));
    let (mut ticks, mut latest) = (0, Duration::ZERO);
    // Ordering: a hint to stop; the results come through the tasks' handles.
    while !done.load(Ordering::Relaxed) {
        let due = interval.tick().await;
        ticks += 1;
        latest = latest.max(due.elapsed());
    }
    (ticks, latest)
}

fn say(what: &str, rows: i64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{rows} rows {what} in {seconds:.2} s, {:.0} rows/s", rows as f64 / seconds);
}

fn equal(what: &str, found: i64, wanted: i64) -> Result<(), Failure> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found}, not {wanted}").into()) }
}

/// A directory that is gone with its owner.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> std::io::Result<Directory> {
        let path = std::env::temp_dir().join(format!("threadlet-sqlite-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
