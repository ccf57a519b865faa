//! The keeper with a real ACME server: every kind of challenge, renewal, restarts, and what fails.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]
#![allow(clippy::print_stderr, reason = "what happened is shown when a test fails")]

mod responders;
mod server;

use std::cell::RefCell;
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use acme::{Action, Challenge, Event, Host, Keeper, Refusal, Settings, Wanted, What};
use responders::{Answers, Responder};
use server::{Folder, Pebble, Setup};
use tokio::sync::Notify;

const NINETY_DAYS: u64 = 90 * 86_400;
/// Long enough for a busy machine; what takes so long is broken.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server, the responders that it asks, and a state folder.
struct World {
    pebble: Pebble,
    answers: Answers,
    http: Responder,
    alpn: Responder,
    state: Folder,
}

/// What keepers tell.
#[derive(Default, Clone)]
struct Told(Rc<(RefCell<Vec<Event>>, Notify)>);

impl World {
    async fn new(validity: u64) -> World {
        let answers = Answers::default();
        let (http, alpn) = (Responder::http(&answers), Responder::alpn(&answers));
        let setup = Setup { http_port: http.port, tls_port: alpn.port, validity, port: 0 };
        World { pebble: Pebble::start(&setup).await, answers, http, alpn, state: Folder::new() }
    }

    fn settings(&self, hosts: &[&str], challenge: Challenge) -> Settings {
        Settings {
            directory: self.pebble.directory.clone(),
            email: Some("ops@a.example".to_owned()),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            challenge,
            authorities: tls::Authorities::from_pem(&self.pebble.ca).unwrap(),
            renew_before: None,
            state: self.state.0.clone(),
        }
    }

    fn keeper(&self, settings: Settings) -> (Keeper, Told) {
        keeper(settings, &self.answers)
    }

    /// The file of a host in the state folder.
    fn file(&self, host: &str, name: &str) -> PathBuf {
        self.state.0.join("acme/certificates").join(host).join(name)
    }

    fn read(&self, host: &str, name: &str) -> String {
        fs::read_to_string(self.file(host, name)).unwrap()
    }

    /// The only account.
    fn account(&self) -> String {
        let files: Vec<PathBuf> = fs::read_dir(self.state.0.join("acme/accounts"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        fs::read_to_string(&files[0]).unwrap()
    }

    /// Whether what is stored can be served, and has a chain.
    fn check(&self, host: &str) {
        let chain = self.read(host, "cert.pem");
        tls::Certificate::from_pem(&chain, &self.read(host, "key.pem")).unwrap();
        assert!(chain.matches("BEGIN CERTIFICATE").count() >= 2, "{chain}");
    }
}

impl Told {
    fn all(&self) -> Vec<Event> {
        self.0.0.borrow().clone()
    }

    /// Waits until `count` events fit, and returns the last one of them.
    async fn wait(&self, count: usize, fits: impl Fn(&Event) -> bool) -> Event {
        loop {
            let fitting: Vec<Event> = self.all().into_iter().filter(&fits).collect();
            if fitting.len() >= count {
                return fitting[count - 1].clone();
            }
            self.0.1.notified().await;
        }
    }

    async fn obtained(&self, count: usize) -> Event {
        self.wait(count, |event| matches!(event.what, What::Obtained { .. })).await
    }

    async fn failure(&self) -> (String, SystemTime, Option<SystemTime>) {
        match self.wait(1, |event| matches!(event.what, What::Failed { .. })).await.what {
            What::Failed { why, next, not_after } => (why.0, next, not_after),
            other => panic!("{other:?}"),
        }
    }
}

/// A keeper that has its answers put here, and what it tells.
fn keeper(settings: Settings, answers: &Answers) -> (Keeper, Told) {
    let told = Told::default();
    let teller = told.clone();
    let report = move |event: Event| {
        eprintln!("{event}");
        teller.0.0.borrow_mut().push(event);
        teller.0.1.notify_one();
    };
    (Keeper::new(settings, Rc::new(answers.clone()), report).unwrap(), told)
}

/// A certificate for `host` that signs itself and ran out an hour ago.
fn expired(host: &str) -> acme::Pair {
    let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    let hours_ago = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3600);
    (params.not_before, params.not_after) = (hours_ago(2).into(), hours_ago(1).into());
    let key = rcgen::KeyPair::generate().unwrap();
    acme::Pair { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// Runs a test on one thread, if pebble is there.
fn play(test: impl AsyncFnOnce()) {
    if server::installed() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    }
}

/// Runs the keeper until the condition holds.
async fn while_running<T>(keeper: &Keeper, condition: impl Future<Output = T>) -> T {
    tokio::select! {
        () = keeper.run() => panic!("a keeper never ends"),
        result = tokio::time::timeout(PATIENCE, condition) => result.unwrap(),
    }
}

#[test]
fn http_01_for_several_hosts_and_a_restart() {
    play(async || {
        let world = World::new(NINETY_DAYS).await;
        let hosts = ["a.example", "b.example", "c.example"];
        let (keeper, told) = world.keeper(world.settings(&hosts, Challenge::Http01));
        while_running(&keeper, told.obtained(3)).await;
        for host in hosts {
            world.check(host);
            assert_eq!(keeper.want(host), Wanted::Have);
        }
        assert_eq!(world.answers.count(), (0, 3), "all answers are withdrawn");
        assert!(world.read("a.example", "status.json").contains(&world.pebble.directory));
        drop(keeper);

        // After a restart nothing is ordered that is there, and the account is the same.
        let (account, chain) = (world.account(), world.read("a.example", "cert.pem"));
        let (keeper, told) = world.keeper(world.settings(&["a.example", "d.example"], Challenge::Http01));
        while_running(&keeper, told.obtained(1)).await;
        let all: Vec<String> = told.all().iter().map(Event::to_string).collect();
        assert!(all[0].starts_with("acme: the certificate of a.example is valid until 20"), "{all:?}");
        assert!(all[1].starts_with("acme: obtained a certificate for d.example"), "{all:?}");
        assert_eq!((world.account(), world.read("a.example", "cert.pem")), (account, chain));
        assert_eq!(world.answers.count(), (0, 4));
    });
}

#[test]
fn tls_alpn_01() {
    play(async || {
        let world = World::new(NINETY_DAYS).await;
        let (keeper, told) = world.keeper(world.settings(&["a.example"], Challenge::TlsAlpn01));
        while_running(&keeper, told.obtained(1)).await;
        world.check("a.example");
        assert_eq!(world.answers.count(), (0, 1));
    });
}

#[test]
fn dns_01_by_a_hook_for_a_wildcard() {
    play(async || {
        let world = World::new(NINETY_DAYS).await;
        let script = world.state.0.join("hook.sh");
        let log = world.state.0.join("hook.log");
        let text = r#"echo "$3 $4" >>"$2"
            case $3 in set) path=set-txt ;; *) path=clear-txt ;; esac
            curl -sf --data "{\"host\": \"$4.\", \"value\": \"$5\"}" "http://127.0.0.1:$1/$path""#;
        fs::write(&script, text).unwrap();
        let port = world.pebble.dns_management.to_string();
        let hook =
            ["/bin/sh", script.to_str().unwrap(), &port, log.to_str().unwrap()].map(str::to_owned).to_vec();
        let (keeper, told) = world.keeper(world.settings(&["*.a.example"], Challenge::Dns01 { hook }));
        while_running(&keeper, told.obtained(1)).await;
        world.check("_wildcard.a.example");
        let said = fs::read_to_string(&log).unwrap();
        assert_eq!(said, "set _acme-challenge.a.example\nremove _acme-challenge.a.example\n");
    });
}

#[test]
fn a_hook_that_fails_is_quoted() {
    play(async || {
        let world = World::new(NINETY_DAYS).await;
        let hook = ["/bin/sh", "-c", "echo no such zone; exit 7"].map(str::to_owned).to_vec();
        let (keeper, told) = world.keeper(world.settings(&["a.example"], Challenge::Dns01 { hook }));
        let (why, ..) = while_running(&keeper, told.failure()).await;
        assert!(why.contains("`/bin/sh … set` failed (exit status: 7): no such zone"), "{why}");
    });
}

#[test]
fn a_failed_validation_is_told_backs_off_and_takes_down_nothing() {
    play(async || {
        let world = World::new(NINETY_DAYS).await;
        let host = Host::parse("a.example").unwrap();
        let old = expired("a.example");
        acme::Store::new(&world.state.0).set_pair(&host, &old).unwrap();
        let settings = world.settings(&["a.example"], Challenge::TlsAlpn01);
        let begun = SystemTime::now();
        // Nobody serves these answers.
        let unheard = Answers::default();
        let (keeper, told) = keeper(settings.clone(), &unheard);
        let (why, next, not_after) = while_running(&keeper, told.failure()).await;
        assert!(why.starts_with("the authority could not verify a.example by tls-alpn-01: "), "{why}");
        assert!(
            next >= begun + Duration::from_secs(15) && next <= SystemTime::now() + Duration::from_secs(30)
        );
        assert!(not_after.is_some_and(|until| until < begun));
        assert_eq!(unheard.count(), (0, 1), "the answer is withdrawn");
        assert_eq!(keeper.store().pair(&host).unwrap().unwrap(), old);
        assert!(world.read("a.example", "status.json").contains("could not verify"));
        drop(keeper);

        // A restart is no reason to try again at once.
        let (keeper, _) = world.keeper(settings);
        let view = &keeper.view()[0];
        let Action::Wait(until) = view.next else { panic!("{view:?}") };
        assert!(next.duration_since(until).unwrap() < Duration::from_secs(1), "to the second");
        assert_eq!(view.status.failure.as_ref().unwrap().count, 1);
        assert!(matches!(keeper.want("a.example"), Wanted::Refused(Refusal::Failed { .. })));
    });
}

#[test]
fn an_order_that_is_given_up_withdraws_its_answer() {
    play(async || {
        let world = World::new(NINETY_DAYS).await;
        let (keeper, _) = world.keeper(world.settings(&["a.example"], Challenge::Http01));
        let given = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            while world.answers.count() != (1, 1) {
                ticks.tick().await;
            }
        };
        while_running(&keeper, given).await;
        assert_eq!(world.answers.count(), (0, 1));
        assert!(!world.file("a.example", "cert.pem").exists());
    });
}

#[test]
fn short_lived_certificates_are_renewed() {
    play(async || {
        let world = World::new(12).await;
        let (keeper, told) = world.keeper(world.settings(&["a.example"], Challenge::Http01));
        while_running(&keeper, told.obtained(1)).await;
        let (begun, first) = (SystemTime::now(), world.read("a.example", "cert.pem"));
        while_running(&keeper, told.obtained(2)).await;
        assert_ne!(world.read("a.example", "cert.pem"), first);
        world.check("a.example");
        let waited = begun.elapsed().unwrap();
        assert!(waited > Duration::from_secs(4), "renewed after {waited:?}, before half of the lifetime");
        assert!(
            told.all().iter().all(|event| matches!(event.what, What::Obtained { .. })),
            "{:?}",
            told.all()
        );
    });
}

#[test]
fn an_account_that_the_server_forgot_is_made_anew() {
    play(async || {
        let mut world = World::new(NINETY_DAYS).await;
        let (keeper, told) = world.keeper(world.settings(&["a.example"], Challenge::Http01));
        while_running(&keeper, told.obtained(1)).await;
        drop(keeper);
        let account = world.account();

        // Another server at the same address, which knows nobody.
        let setup = Setup {
            http_port: world.http.port,
            tls_port: world.alpn.port,
            validity: NINETY_DAYS,
            port: world.pebble.port,
        };
        world.pebble = {
            drop(world.pebble);
            Pebble::start(&setup).await
        };
        let (keeper, told) = world.keeper(world.settings(&["a.example", "b.example"], Challenge::Http01));
        let (why, ..) = while_running(&keeper, told.failure()).await;
        assert!(why.contains("accountDoesNotExist"), "{why}");
        drop(keeper);
        // As the documentation says: who does not want to wait removes the file.
        fs::remove_file(world.file("b.example", "status.json")).unwrap();
        let (keeper, told) = world.keeper(world.settings(&["a.example", "b.example"], Challenge::Http01));
        while_running(&keeper, told.obtained(1)).await;
        assert_ne!(world.account(), account);
    });
}

#[test]
fn on_demand() {
    play(async || {
        let world = World::new(NINETY_DAYS).await;
        let (keeper, told) = world.keeper(world.settings(&[], Challenge::Http01));
        let wanted = async {
            assert_eq!(keeper.want("a.example"), Wanted::Coming);
            assert_eq!(keeper.want("A.example"), Wanted::Coming);
            told.obtained(1).await;
        };
        while_running(&keeper, wanted).await;
        assert_eq!(keeper.want("a.example"), Wanted::Have);
        assert_eq!(world.answers.count(), (0, 1), "one order for two wishes");
        for impossible in ["*.a.example", "../a", "127.0.0.1", ""] {
            assert!(
                matches!(keeper.want(impossible), Wanted::Refused(Refusal::Impossible(_))),
                "{impossible}"
            );
        }
        let answers: Vec<Wanted> = (0..100).map(|n| keeper.want(&format!("h{n}.example"))).collect();
        let coming = answers.iter().filter(|answer| **answer == Wanted::Coming).count();
        assert_eq!(coming, 19, "twenty at once with the first one: {answers:?}");
        assert_eq!(answers.last(), Some(&Wanted::Refused(Refusal::TooMany)));
        drop(keeper);

        // What came on demand is found again when it is wanted again.
        let (keeper, told) = world.keeper(world.settings(&[], Challenge::Http01));
        assert!(told.all().is_empty());
        assert_eq!(keeper.want("a.example"), Wanted::Have);
        assert_eq!(told.all().len(), 1);
        drop(keeper);

        // Or at once, if it is still served; and it is given up when it is served no longer.
        let (keeper, told) = world.keeper(world.settings(&[], Challenge::Http01));
        keeper.serve(|host| host == "b.example");
        assert_eq!((told.all().len(), keeper.view().len()), (0, 0));
        keeper.serve(|host| host == "a.example");
        assert_eq!((told.all().len(), keeper.view().len()), (1, 1));
        keeper.serve(|_| false);
        assert_eq!(keeper.view().len(), 0);
    });
}
