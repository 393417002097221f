//! `axum_sqlite`: notes that are still there after a restart, and many clients at once.

use crate::support::{Client, Folder, Server};

fn start(folder: &Folder) -> (Server, String) {
    let database = format!("{}/notes.db", folder.path());
    let (server, line) = Server::start("axum_sqlite", &[&database, "127.0.0.1:0"]);
    let address = line.strip_prefix("http://").expect("it says where it is").to_owned();
    (server, address)
}

#[test]
fn notes_are_kept() {
    let folder = Folder::new();
    let (server, address) = start(&folder);
    let mut client = Client::new(&address);
    let empty = client.ask("GET /notes", &[]);
    assert_eq!((empty.status, empty.text()), (200, "[]"));
    assert_eq!(empty.header("content-type"), "application/json");
    let made = client.post("POST /notes", r#"{"text": "buy \"milk\""}"#);
    assert_eq!((made.status, made.text()), (201, r#"{"id":1,"text":"buy \"milk\""}"#));
    assert_eq!(client.post("POST /notes", r#"{"text": "'); DROP TABLE note; --"}"#).status, 201);
    assert_eq!(client.post("POST /notes", r#"{"txt": "?"}"#).status, 422);
    assert_eq!(client.post("POST /notes", "{").status, 400);
    assert_eq!(client.ask("DELETE /notes/1", &[]).status, 204);
    assert_eq!(client.ask("DELETE /notes/1", &[]).status, 404);
    assert_eq!(client.ask("GET /notes/1", &[]).status, 404);
    assert_eq!(client.ask("GET /notes/one", &[]).status, 400);
    server.stop();

    let (server, address) = start(&folder);
    let mut client = Client::new(&address);
    let kept = client.ask("GET /notes/2", &[]);
    assert_eq!((kept.status, kept.text()), (200, r#"{"id":2,"text":"'); DROP TABLE note; --"}"#));
    server.stop();
}

#[test]
fn many_clients_write_and_read_at_once() {
    let folder = Folder::new();
    let (server, address) = start(&folder);
    std::thread::scope(|scope| {
        for n in 0..16 {
            let address = &address;
            scope.spawn(move || {
                let mut client = Client::new(address);
                for round in 0..10 {
                    let made = client.post("POST /notes", &format!(r#"{{"text":"{n}-{round}"}}"#));
                    assert_eq!(made.status, 201, "{made:?}");
                    let id = made.text().split(&[':', ','][..]).nth(1).unwrap().to_owned();
                    let read = client.ask(&format!("GET /notes/{id}"), &[]);
                    assert_eq!(read.text(), made.text());
                }
            });
        }
    });
    let all = Client::new(&address).ask("GET /notes", &[]);
    assert_eq!(all.text().matches("\"id\"").count(), 160);
    assert_eq!(server.stop(), "", "nothing was refused");
}
