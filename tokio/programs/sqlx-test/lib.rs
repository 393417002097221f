//! What the tests of `sqlx` want of a package that was never published: a connection, and a pool, to
//! the database of `DATABASE_URL`.

use sqlx::{Connection, Database, Error, Pool};

fn url() -> String {
    std::env::var("DATABASE_URL").expect("`../services` sets it")
}

/// There is nothing to set up.
pub fn setup_if_needed() {}

/// A connection.
pub async fn new<DB: Database>() -> Result<DB::Connection, Error> {
    DB::Connection::connect(&url()).await
}

/// A pool with the defaults.
pub async fn pool<DB: Database>() -> Result<Pool<DB>, Error> {
    Pool::connect(&url()).await
}
