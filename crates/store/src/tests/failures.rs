//! What goes wrong: decisions end in time, then at once, and come back by themselves.

use std::time::{Duration, Instant};

use super::server::{Server, Watched, ask, local, slow};
use crate::{Status, Trouble};

const AT_ONCE: Duration = Duration::from_millis(5);
const BACK: Duration = Duration::from_secs(5);

/// Decisions fail at once now. The machine may be busy with other tests, so not each of them counts.
async fn assert_down(gateway: &Watched) {
    let mut took = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        assert_eq!(gateway.store.decide(&[ask("a", slow(5), 1)]).await, Err(Trouble::Down));
        took.push(began.elapsed());
    }
    took.sort();
    assert!(took[90] < AT_ONCE, "{took:?}");
}

#[test]
fn a_server_that_is_killed_and_starts_again_empty() {
    local(async {
        let Some(mut server) = Server::start(&[]) else { return };
        let gateway = server.store();
        gateway.up().await;
        assert_eq!(gateway.store.decide(&[ask("a", slow(5), 4)]).await.unwrap().each[0].left, 1);
        server.kill();
        // The next one finds out, if nothing was said in between.
        let broken = gateway.store.decide(&[ask("a", slow(5), 1)]).await;
        assert!(matches!(broken, Err(Trouble::Closed | Trouble::Down)), "{broken:?}");
        assert_down(&gateway).await;
        gateway
            .until(|status| *status == Status::Down(Trouble::Connect(std::io::ErrorKind::ConnectionRefused)))
            .await;
        server.restart();
        let took = gateway.up().await;
        assert!(took < BACK, "{took:?}");
        // Neither script nor counts are there any more.
        assert_eq!(gateway.store.decide(&[ask("a", slow(5), 1)]).await.unwrap().each[0].left, 4);
    });
}

#[test]
fn a_black_hole_costs_the_timeout_once_and_then_nothing() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = Watched::hasty(&server.url(), Duration::from_millis(500));
        gateway.up().await;
        server.signal("STOP");
        let began = Instant::now();
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let store = gateway.store.clone();
                tokio::task::spawn_local(async move { store.decide(&[ask("a", slow(5), 1)]).await })
            })
            .collect();
        for task in tasks {
            let outcome = task.await.unwrap();
            assert!(matches!(outcome, Err(Trouble::Timeout | Trouble::Closed)), "{outcome:?}");
        }
        let took = began.elapsed();
        assert!((Duration::from_millis(490)..Duration::from_millis(1500)).contains(&took), "{took:?}");
        assert_eq!(gateway.store.status(), Status::Down(Trouble::Timeout));
        // Attempts to connect hang in the meantime, and nobody notices.
        let until = Instant::now() + Duration::from_millis(2500);
        while Instant::now() < until {
            assert_down(&gateway).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.signal("CONT");
        let took = gateway.up().await;
        assert!(took < BACK, "{took:?}");
        assert!(gateway.store.decide(&[ask("b", slow(5), 1)]).await.unwrap().allowed);
        let told = gateway.told.borrow();
        assert_eq!(*told, [Status::Up, Status::Down(Trouble::Timeout), Status::Up]);
    });
}

#[test]
fn scripts_and_data_that_are_flushed_in_between_go_unnoticed() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = server.store();
        gateway.up().await;
        for command in [&["SCRIPT", "FLUSH"][..], &["FLUSHALL"], &["SCRIPT", "FLUSH"]] {
            server.tell(command).await;
            assert!(gateway.store.decide(&[ask("a", slow(5), 1)]).await.unwrap().allowed);
        }
        // Only one of the flushes has taken what was charged.
        assert_eq!(gateway.store.decide(&[ask("a", slow(5), 0)]).await.unwrap().each[0].left, 3);
        assert_eq!(*gateway.told.borrow(), [Status::Up]);
    });
}

#[test]
fn a_password_that_is_wrong_missing_or_right() {
    local(async {
        let Some(server) = Server::start(&["--requirepass", "hunter2"]) else { return };
        let at = format!("127.0.0.1:{}", server.port);
        for url in
            [format!("redis://{at}"), format!("redis://:hunter3@{at}"), format!("redis://who:hunter2@{at}")]
        {
            let gateway = Watched::start(&url);
            gateway.down().await;
            assert_eq!(gateway.store.status(), Status::Down(Trouble::Password));
            assert_down(&gateway).await;
            let shown = format!("{:?} {}", gateway.store, gateway.store.status());
            assert!(!shown.contains("hunter"), "{shown}");
        }
        for user in ["", "default"] {
            let gateway = Watched::start(&format!("redis://{user}:hunter2@{at}"));
            gateway.up().await;
            assert!(gateway.store.decide(&[ask("a", slow(5), 1)]).await.unwrap().allowed);
        }
    });
}

#[test]
fn a_password_or_a_database_that_the_server_does_not_have() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = Watched::start(&format!("redis://:hunter2@127.0.0.1:{}", server.port));
        gateway.down().await;
        assert_eq!(gateway.store.status(), Status::Down(Trouble::Password));
        let beyond = Watched::start(&format!("{}/999", server.url()));
        beyond.down().await;
        assert_eq!(beyond.store.status(), Status::Down(Trouble::Database));
    });
}

#[test]
fn a_user_that_loses_its_rights() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        server.tell(&["ACL", "SETUSER", "gate", "on", ">pw", "~gateward:*", "+@all"]).await;
        let gateway = Watched::start(&format!("redis://gate:pw@127.0.0.1:{}", server.port));
        gateway.up().await;
        server.tell(&["ACL", "SETUSER", "gate", "-set"]).await;
        let denied = gateway.store.decide(&[ask("a", slow(5), 1)]).await;
        assert_eq!(denied, Err(Trouble::Denied));
        assert_down(&gateway).await;
        server.tell(&["ACL", "DELUSER", "gate"]).await;
        gateway.until(|status| *status == Status::Down(Trouble::Password)).await;
        server.tell(&["ACL", "SETUSER", "gate", "on", ">pw", "~gateward:*", "+@all"]).await;
        assert!(gateway.up().await < BACK);
        // Its connection is ended with the user.
        server.tell(&["ACL", "DELUSER", "gate"]).await;
        gateway.until(|status| *status == Status::Up).await;
        let lost = gateway.store.decide(&[ask("a", slow(5), 1)]).await;
        assert!(matches!(lost, Err(Trouble::Closed | Trouble::Down)), "{lost:?}");
    });
}

#[test]
fn a_replica_and_a_server_without_memory_decide_nothing() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = server.store();
        gateway.up().await;
        let wrong = [
            (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"], Trouble::ReadOnly),
            (["CONFIG SET", "maxmemory", "1"], ["CONFIG SET", "maxmemory", "0"], Trouble::Memory),
            (
                ["CONFIG SET", "min-replicas-to-write", "1"],
                ["CONFIG SET", "min-replicas-to-write", "0"],
                Trouble::Unsaved,
            ),
        ];
        for (before, after, trouble) in wrong {
            let words = |command: [&'static str; 3]| -> Vec<&str> {
                command.iter().flat_map(|word| word.split(' ')).collect()
            };
            server.tell(&words(before)).await;
            let outcome = gateway.store.decide(&[ask("a", slow(5), 1)]).await;
            assert_eq!(outcome, Err(trouble.clone()));
            assert_down(&gateway).await;
            // Whoever connects anew finds the same.
            let other = server.store();
            other.down().await;
            assert_eq!(other.store.status(), Status::Down(trouble));
            server.tell(&words(after)).await;
            assert!(gateway.up().await < BACK);
        }
    });
}

#[test]
fn nobody_there_is_told_and_started_anyway() {
    local(async {
        let port = super::server::free_port();
        let gateway = Watched::start(&format!("redis://127.0.0.1:{port}"));
        assert_eq!(gateway.store.status(), Status::Connecting);
        assert_down(&gateway).await;
        gateway.down().await;
        let refused = Trouble::Connect(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(gateway.store.status(), Status::Down(refused));
        let nowhere = Watched::start("redis://nowhere.invalid");
        nowhere.down().await;
        assert_eq!(nowhere.store.status(), Status::Down(Trouble::Resolve));
    });
}
