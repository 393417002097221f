//! `kv` and `kv_tokio`: either one's client talks to either one's server.

use crate::support::{Folder, Server, command};

fn start(name: &str, log: &str) -> (Server, String) {
    let arguments = ["serve", "--address", "127.0.0.1:0", "--log", log];
    let (server, line) = Server::start(name, &arguments);
    let address = line.strip_prefix("listening on ").expect("it says where it is").to_owned();
    (server, address)
}

/// What the client prints, and whether it was content.
fn ask(name: &str, address: &str, arguments: &[&str]) -> (String, bool) {
    let output = command(name).args(["--address", address]).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap().trim_end().to_owned(), output.status.success())
}

#[test]
fn the_two_are_one_program() {
    let folder = Folder::new();
    let log = format!("{}/log", folder.path());
    let mut expected = String::from("none");
    for (server, client) in
        [("kv", "kv"), ("kv_tokio", "kv"), ("kv", "kv_tokio"), ("kv_tokio", "kv_tokio")]
    {
        let (running, address) = start(server, &log);
        let (answer, _) = ask(client, &address, &["get", "key"]);
        assert_eq!(answer, expected, "{client} asks {server}");
        expected = format!("a value of {server} and {client}");
        let answer = ask(client, &address, &["set", "key", &expected]);
        assert_eq!(answer, ("ok".to_owned(), true));
        assert_eq!(ask(client, &address, &["del", "nothing"]), ("ok".to_owned(), true));
        assert_eq!(ask(client, &address, &["get", "nothing"]), ("none".to_owned(), false));
        let (answer, content) = ask(client, &address, &["get", "a key"]);
        assert!(answer.starts_with("error") && !content, "{answer}");
        running.stop();
        let (answer, content) = ask(client, &address, &["get", "key"]);
        assert!(answer.contains("refused") && !content, "{answer}");
    }
}
