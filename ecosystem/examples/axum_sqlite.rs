//! Notes in an embedded database, as JSON over HTTP: axum, and SQLite called in place.
//!
//! ```sh
//! cargo run --example axum_sqlite -- /tmp/notes.db 127.0.0.1:7011
//! curl -X POST -d '{"text": "buy milk"}' -H 'content-type: application/json' http://127.0.0.1:7011/notes
//! curl http://127.0.0.1:7011/notes
//! curl -X DELETE http://127.0.0.1:7011/notes/1
//! ```
//!
//! SQLite is a library of synchronous calls that mostly finds its pages in memory, and now and then
//! waits for a disk or for a lock. A handler lends it a `&Connection`, within `threadlet!`, and
//! goes on when the call returns: no closure, no copies, no thread unless the call really blocks.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use axum::extract::{self, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use threadlet::net::TcpListener;
use threadlet::signal::unix::{SignalKind, signal};
use threadlet::{Group, threadlet};

/// As many readers at once as there are connections for them. Who comes later waits as a task.
static READ: Group = Group::new("sqlite, reads", 4);

/// SQLite has one writer at a time.
static WRITE: Group = Group::new("sqlite, writes", 1);

#[derive(Debug, Serialize)]
struct Note {
    id: i64,
    text: String,
}

#[derive(Debug, Deserialize)]
struct NewNote {
    text: String,
}

#[threadlet::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(address), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        eprintln!("usage: axum_sqlite DATABASE ADDRESS");
        return ExitCode::from(2);
    };
    match run(Path::new(&path), &address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("axum_sqlite: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(path: &Path, address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let pool = Arc::new(Pool::open(path, READ.limit() + WRITE.limit())?);
    let router = Router::new()
        .route("/notes", get(list).post(create))
        .route("/notes/{id}", get(read).delete(delete))
        .with_state(pool);
    let listener = TcpListener::bind(address).await?;
    // Before anybody is told that the server is there.
    let mut interrupt = signal(SignalKind::interrupt())?;
    println!("http://{}", listener.local_addr()?);
    let stop = async move { _ = interrupt.recv().await };
    threadlet::axum::serve(listener, router).with_graceful_shutdown(stop).await?;
    Ok(())
}

async fn list(State(pool): State<Arc<Pool>>) -> Result<Json<Vec<Note>>, Failure> {
    let notes = threadlet!(in &READ; pool.with(|connection| {
        let mut select = connection.prepare_cached("SELECT id, text FROM note ORDER BY id")?;
        select.query_map([], |row| Ok(Note { id: row.get(0)?, text: row.get(1)? }))?.collect()
    }))?;
    Ok(Json(notes))
}

async fn read(
    State(pool): State<Arc<Pool>>,
    extract::Path(id): extract::Path<i64>,
) -> Result<Json<Note>, Failure> {
    let text = threadlet!(in &READ; pool.with(|connection| {
        let mut select = connection.prepare_cached("SELECT text FROM note WHERE id = ?1")?;
        select.query_row([id], |row| row.get(0)).optional()
    }))?;
    Ok(Json(Note { id, text: text.ok_or(Failure::NotFound)? }))
}

async fn create(
    State(pool): State<Arc<Pool>>,
    Json(note): Json<NewNote>,
) -> Result<(StatusCode, Json<Note>), Failure> {
    // The closure borrows the text. The call returns when the note is on the disk.
    let id = threadlet!(in &WRITE; pool.with(|connection| {
        connection.prepare_cached("INSERT INTO note (text) VALUES (?1)")?.insert([&note.text])
    }))?;
    Ok((StatusCode::CREATED, Json(Note { id, text: note.text })))
}

async fn delete(
    State(pool): State<Arc<Pool>>,
    extract::Path(id): extract::Path<i64>,
) -> Result<StatusCode, Failure> {
    let gone = threadlet!(in &WRITE; pool.with(|connection| {
        connection.prepare_cached("DELETE FROM note WHERE id = ?1")?.execute([id])
    }))?;
    if gone == 0 { Err(Failure::NotFound) } else { Ok(StatusCode::NO_CONTENT) }
}

/// A few connections. Who may take one, and who has to wait, the groups say.
struct Pool(Mutex<Vec<Connection>>);

impl Pool {
    fn open(path: &Path, size: usize) -> rusqlite::Result<Pool> {
        let open = |_| {
            let connection = Connection::open(path)?;
            // With a log of its own, writing holds up no reader.
            connection.pragma_update(None, "journal_mode", "wal")?;
            Ok(connection)
        };
        let connections = (0..size).map(open).collect::<rusqlite::Result<Vec<_>>>()?;
        connections[0].execute(
            "CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",
            [],
        )?;
        Ok(Pool(Mutex::new(connections)))
    }

    /// Lends a connection to `call`.
    fn with<T>(
        &self,
        call: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let taken = self.0.lock().unwrap().pop();
        let connection = taken.expect("the groups let in no more than there are connections");
        let result = call(&connection);
        self.0.lock().unwrap().push(connection);
        result
    }
}

enum Failure {
    NotFound,
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Database(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Failure::NotFound => (StatusCode::NOT_FOUND, "no such note\n").into_response(),
            Failure::Database(error) => {
                // For the log, and not for the client.
                eprintln!("axum_sqlite: {error}");
                (StatusCode::INTERNAL_SERVER_ERROR, "the database failed\n").into_response()
            }
        }
    }
}
