//! The part of the matrix that every run looks at: each client, each server and each verb at least once.

use std::collections::BTreeSet;

use sekisho_e2e::matrix::{CLIENTS, Cell, Client, PART, Row, SERVERS, Server, Verb, Yard, run, table};

fn client(name: &str) -> &'static Client {
    CLIENTS.iter().find(|client| client.name == name).unwrap_or_else(|| panic!("no client {name}"))
}

fn server(name: &str) -> &'static Server {
    SERVERS.iter().find(|server| server.name == name).unwrap_or_else(|| panic!("no server {name}"))
}

/// The pairs of the part with clients of this family.
fn pairs(family: &str) -> Vec<(&'static Client, &'static Server)> {
    let of_family = PART.iter().filter(|(name, _)| name.starts_with(family));
    of_family.map(|(of, with)| (client(of), server(with))).collect()
}

/// Everything works that clients of this family and their servers of the part have in common; these verbs are among it.
fn works(family: &str, verbs: &[Verb]) {
    let pairs = pairs(family);
    let servers: Vec<&Server> = pairs.iter().map(|(_, server)| *server).collect();
    let yard = Yard::start(&servers).expect("servers and a gateway");
    let rows: Vec<Row> = pairs.iter().map(|(client, server)| run(&yard, client, server)).collect();
    let failures: Vec<String> = rows.iter().flat_map(Row::failures).collect();
    assert!(failures.is_empty(), "{}\n{}\n{}", failures.join("\n"), table(&rows), yard.gateway().log());
    let cells = rows.iter().flat_map(|row| &row.cells);
    let worked: BTreeSet<Verb> = cells.filter(|(_, cell)| *cell == Cell::Works).map(|(verb, _)| *verb).collect();
    assert_eq!(worked, verbs.iter().copied().collect(), "{}", table(&rows));
}

#[test]
fn python_clients_do_what_their_servers_offer() {
    works("python", &Verb::ALL);
}

#[test]
fn the_first_typescript_client_does_what_its_server_offers() {
    works("typescript v1", &Verb::ALL);
}

#[test]
fn the_second_typescript_client_does_what_its_servers_offer() {
    works("typescript v2", &Verb::ALL);
}

#[test]
fn the_inspector_does_what_its_servers_offer() {
    works("inspector", &[Verb::List, Verb::Call, Verb::Prompt]);
}

#[test]
fn rust_clients_do_what_their_servers_offer() {
    let without_resumption = Verb::ALL.iter().copied().filter(|verb| *verb != Verb::Resume);
    works("rust", &without_resumption.collect::<Vec<_>>());
}

#[test]
fn a_client_and_a_server_that_share_no_era_are_told_so() {
    let (modern, legacy) = (client("typescript v2 2026"), server("fixture-legacy"));
    let yard = Yard::start(&[legacy]).expect("a server and a gateway");
    let row = run(&yard, modern, legacy);
    assert_eq!(row.cells, [(Verb::List, Cell::Refused)]);
}

#[test]
fn the_part_has_every_client_and_every_server() {
    let clients: BTreeSet<&str> = PART.iter().map(|(client, _)| *client).collect();
    let servers: BTreeSet<&str> = PART.iter().map(|(_, server)| *server).collect();
    assert_eq!(clients, CLIENTS.iter().map(|client| client.name).collect());
    assert_eq!(servers, SERVERS.iter().map(|server| server.name).collect());
}
