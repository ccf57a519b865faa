//! Ways to a server that are not a plain connection: TLS, a socket, a cluster, sentinels.

use std::collections::HashMap;
use std::time::Duration;

use redis::Value;

use super::server::{File, Server, Watched, ask, local, slow};
use crate::{Address, Ask, Settings, Status, Store, Trouble, Trust};

struct Certificates {
    ca: String,
    cert: File,
    key: File,
}

impl Certificates {
    fn arguments(&self) -> Vec<&str> {
        vec!["--tls-cert-file", &self.cert.0, "--tls-key-file", &self.key.0, "--tls-auth-clients", "no"]
    }
}

/// A server for `localhost` with a certificate of an authority of its own.
fn certificates(name: &str) -> Certificates {
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let cert = File::new(&format!("{name}.crt"), &own.pem());
    Certificates { ca: own.pem(), cert, key: File::new(&format!("{name}.key"), &key.serialize_pem()) }
}

fn trusting(url: &str, ca: &str) -> Settings {
    Settings {
        trust: Trust { authorities: Some(ca.to_owned()), ..Trust::default() },
        timeout: Duration::from_secs(10),
        ..Settings::new(Address::parse(url).unwrap())
    }
}

#[test]
fn tls_with_an_authority_of_ones_own() {
    local(async {
        let certificates = certificates("plain");
        let port = super::server::free_port().to_string();
        let mut arguments = certificates.arguments();
        arguments.extend(["--tls-port", &port]);
        let Some(_server) = Server::start(&arguments) else { return };
        let gateway = Watched::with(trusting(&format!("rediss://localhost:{port}"), &certificates.ca));
        gateway.up().await;
        assert!(gateway.store.decide(&[ask("a", slow(5), 1)]).await.unwrap().allowed);
        let elsewhere = Watched::with(trusting(&format!("rediss://127.0.0.1:{port}"), &certificates.ca));
        elsewhere.down().await;
        let status = elsewhere.store.status();
        assert!(matches!(&status, Status::Down(Trouble::Tls(why)) if why.contains("127.0.0.1")), "{status}");
        let stranger = self::certificates("stranger").ca;
        let distrusting = Watched::with(trusting(&format!("rediss://localhost:{port}"), &stranger));
        distrusting.down().await;
        assert!(matches!(distrusting.store.status(), Status::Down(Trouble::Tls(_))));
    });
}

#[test]
fn certificates_that_cannot_be_read_are_an_error_of_the_start() {
    local(async {
        let settings = trusting("rediss://localhost", "none");
        assert!(matches!(Store::start(settings, fastrand::Rng::with_seed(1), |_| {}), Err(Trouble::Tls(_))));
    });
}

#[test]
fn a_socket_of_this_machine_and_another_database() {
    local(async {
        let Some(server) = Server::start(&["--unixsocket", "redis.sock"]) else { return };
        let path = server.folder.join("redis.sock");
        let socket = Watched::start(&format!("redis+unix://{}", path.display()));
        let other = Watched::start(&format!("{}/3", server.url()));
        socket.up().await;
        other.up().await;
        assert!(socket.store.decide(&[ask("a", slow(1), 1)]).await.unwrap().allowed);
        assert!(other.store.decide(&[ask("a", slow(1), 1)]).await.unwrap().allowed);
        assert!(!socket.store.decide(&[ask("a", slow(1), 1)]).await.unwrap().allowed);
    });
}

/// A cluster of two, each with half of the slots, by hand.
async fn cluster(arguments: &[&str]) -> Option<(Server, Server)> {
    let mut all = vec!["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
    all.extend(arguments);
    let (one, two) = (Server::start(&all)?, Server::start(&all)?);
    one.tell(&["CLUSTER", "ADDSLOTSRANGE", "0", "8191"]).await;
    two.tell(&["CLUSTER", "ADDSLOTSRANGE", "8192", "16383"]).await;
    one.tell(&["CLUSTER", "MEET", "127.0.0.1", &two.port.to_string()]).await;
    for server in [&one, &two] {
        loop {
            let Value::BulkString(info) = server.tell(&["CLUSTER", "INFO"]).await else { unreachable!() };
            let info = String::from_utf8(info).unwrap();
            if info.contains("cluster_state:ok") && info.contains("cluster_size:2") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Some((one, two))
}

#[test]
fn a_cluster_decides_about_one_identity_at_once_and_gives_back_otherwise() {
    local(async {
        let Some((one, mut two)) = cluster(&[]).await else { return };
        let url = format!("redis+cluster://127.0.0.1:{}", one.port);
        let gateway = Watched::hasty(&url, Duration::from_secs(2));
        gateway.up().await;
        let store = &gateway.store;
        let both = [ask("a", slow(5), 1), ask("b", slow(2), 1)];
        for allowed in [true, true, false] {
            assert_eq!(store.decide(&both).await.unwrap().allowed, allowed);
        }
        // Sixteen identities, so that both servers have some; the last one has room for one only.
        let of = |at: u8, cost| Ask {
            identity: [at; 16],
            name: "c",
            limit: slow(if at == 15 { 1 } else { 5 }),
            cost,
            // What is charged ahead of need is given back with the rest.
            ahead: if at < 15 { 2 * cost } else { 0 },
        };
        let many: Vec<Ask<'_>> = (0..16).map(|at| of(at, 1)).collect();
        let granted = store.decide(&many).await.unwrap();
        assert!(granted.allowed && granted.each.iter().take(15).all(|standing| standing.ahead));
        for _ in 0..3 {
            let refused = store.decide(&many).await.unwrap();
            assert!(!refused.allowed);
            let lefts: Vec<u64> = refused.each.iter().map(|standing| standing.left).collect();
            assert_eq!(lefts, [&[2; 15][..], &[0]].concat());
            assert!(refused.each.iter().all(|standing| !standing.ahead));
            assert_eq!(refused.each.iter().filter(|standing| standing.fits).count(), 15);
        }
        // Somebody who takes it for a single server is told.
        let single = Watched::start(&one.url());
        single.up().await;
        let mut moved = None;
        for at in 0..16 {
            moved = moved.or(single.store.decide(&[of(at, 0)]).await.err());
        }
        assert_eq!(moved, Some(Trouble::Moved));
        // Half of it fails: the decision ends in time, and all is well when it is back.
        two.signal("STOP");
        let mut failed = None;
        for at in 0..16 {
            failed = failed.or(store.decide(&[of(at, 0)]).await.err());
        }
        assert_eq!(failed, Some(Trouble::Timeout));
        two.signal("CONT");
        gateway.up().await;
        two.kill();
    });
}

#[test]
fn a_cluster_by_tls() {
    local(async {
        let certificates = certificates("cluster");
        let port = super::server::free_port();
        let text = port.to_string();
        let mut arguments = certificates.arguments();
        arguments.extend([
            "--tls-ca-cert-file",
            &certificates.cert.0,
            "--tls-port",
            &text,
            "--cluster-enabled",
            "yes",
        ]);
        arguments.extend(["--tls-cluster", "yes", "--cluster-announce-hostname", "localhost"]);
        arguments.extend(["--cluster-preferred-endpoint-type", "hostname"]);
        let Some(server) = Server::start(&arguments) else { return };
        server.tell(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
        let gateway =
            Watched::with(trusting(&format!("rediss+cluster://localhost:{port}"), &certificates.ca));
        gateway.up().await;
        assert!(gateway.store.decide(&[ask("a", slow(5), 1)]).await.unwrap().allowed);
    });
}

#[test]
fn sentinels_say_who_the_master_is_also_after_it_was_replaced() {
    local(async {
        let Some(mut master) = Server::start(&["--requirepass", "data", "--masterauth", "data"]) else {
            return;
        };
        let replica = Server::start(&["--requirepass", "data", "--masterauth", "data"]).unwrap();
        let of_master = master.port;
        let replicate = format!("redis://:data@127.0.0.1:{}", replica.port);
        let client = redis::Client::open(replicate).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd("REPLICAOF");
        let _: () = command.arg("127.0.0.1").arg(of_master).query_async(&mut connection).await.unwrap();
        let conf = File::new(
            "sentinel.conf",
            &format!(
                "sentinel monitor main 127.0.0.1 {of_master} 1\nsentinel auth-pass main data\n\
                 sentinel down-after-milliseconds main 400\nsentinel failover-timeout main 2000\n"
            ),
        );
        let sentinel = Server::start(&[&conf.0, "--sentinel", "--requirepass", "watch"]).unwrap();
        // The first one is not there.
        let hosts = format!("127.0.0.1:1,127.0.0.1:{}", sentinel.port);
        let unknown =
            Watched::start(&format!("redis+sentinel://:data@{hosts}/other?sentinel_password=watch"));
        unknown.down().await;
        assert_eq!(unknown.store.status(), Status::Down(Trouble::NoMaster));
        let shut = Watched::start(&format!("redis+sentinel://:data@{hosts}/main"));
        shut.down().await;
        assert_eq!(shut.store.status(), Status::Down(Trouble::Password));
        let gateway = Watched::start(&format!("redis+sentinel://:data@{hosts}/main?sentinel_password=watch"));
        gateway.up().await;
        assert!(gateway.store.decide(&[ask("a", slow(5), 1)]).await.unwrap().allowed);
        // A sentinel must know the replica before it can choose it.
        let watch = redis::Client::open(format!("redis://:watch@127.0.0.1:{}", sentinel.port)).unwrap();
        let mut watch = watch.get_multiplexed_async_connection().await.unwrap();
        loop {
            let replicas: Vec<HashMap<String, String>> =
                redis::cmd("SENTINEL").arg("REPLICAS").arg("main").query_async(&mut watch).await.unwrap();
            if replicas
                .iter()
                .any(|replica| replica.get("master-link-status").is_some_and(|link| link == "ok"))
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        master.kill();
        let lost = gateway.store.decide(&[ask("a", slow(5), 1)]).await;
        assert!(lost.is_err(), "{lost:?}");
        gateway.up().await;
        // What was charged before has come along.
        assert_eq!(gateway.store.decide(&[ask("a", slow(5), 0)]).await.unwrap().each[0].left, 4);
    });
}
