//! What is decided: exact under contention, all or nothing, and gone when it means nothing any more.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use redis::Value;

use super::server::{Server, Watched, ask, local, slow};
use crate::{Ask, Limit, Trouble};

const MINUTE_MS: u64 = 60_000;

fn window(limit: u64) -> Limit {
    Limit::Window { period_ms: 10 * MINUTE_MS, limit, buckets: 10 }
}

fn quota(watched: &Watched, limit: u64, period_id: u64) -> Limit {
    let period_end_unix_ms = watched.store.unix_ms().unwrap() + 5 * MINUTE_MS;
    Limit::Quota { limit, period_end_unix_ms, period_id }
}

#[test]
fn ten_gateways_on_one_key_admit_exactly_the_limit() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateways: Vec<Watched> = (0..10).map(|_| server.store()).collect();
        for gateway in &gateways {
            gateway.up().await;
        }
        for limit in [slow(500), window(500), quota(&gateways[0], 500, 1)] {
            let admitted = Rc::new(Cell::new(0));
            let tasks: Vec<_> = (0..1000)
                .map(|at| {
                    let (store, admitted) = (gateways[at % 10].store.clone(), Rc::clone(&admitted));
                    tokio::task::spawn_local(async move {
                        let decision = store.decide(&[ask("shared", limit, 1)]).await.unwrap();
                        admitted.set(admitted.get() + u64::from(decision.allowed));
                        decision.each[0]
                    })
                })
                .collect();
            for task in tasks {
                let standing = task.await.unwrap();
                assert_eq!(standing.fits, standing.retry_after_us.is_none());
            }
            assert_eq!(admitted.get(), 500, "{limit:?}");
        }
    });
}

#[test]
fn all_limits_are_charged_or_none() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = server.store();
        gateway.up().await;
        let other = quota(&gateway, 100, 1);
        for narrow in [slow(3), window(3), quota(&gateway, 3, 2)] {
            server.tell(&["FLUSHALL"]).await;
            let asks = [ask("wide", slow(10), 1), ask("narrow", narrow, 1), ask("other", other, 2)];
            for left in (0..3).rev() {
                let decision = gateway.store.decide(&asks).await.unwrap();
                assert!(decision.allowed);
                let lefts: Vec<u64> = decision.each.iter().map(|standing| standing.left).collect();
                assert_eq!(lefts, [7 + left, left, 94 + 2 * left]);
            }
            for _ in 0..5 {
                let decision = gateway.store.decide(&asks).await.unwrap();
                assert!(!decision.allowed);
                let shown: Vec<_> = decision.each.iter().map(|one| (one.fits, one.left)).collect();
                assert_eq!(shown, [(true, 7), (false, 0), (true, 94)], "{narrow:?}");
                assert!(decision.each[1].retry_after_us.is_some_and(|micros| micros > 0));
            }
        }
    });
}

#[test]
fn what_is_ahead_of_need_is_charged_if_it_fits_and_stands_in_nobodys_way() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = server.store();
        gateway.up().await;
        for limit in [slow(10), window(10), quota(&gateway, 10, 3)] {
            server.tell(&["FLUSHALL"]).await;
            let ahead = |cost, ahead| Ask { ahead, ..ask("a", limit, cost) };
            // Cost, ahead of it: whether it is allowed, whether the rest came too, and what is left.
            for (cost, more, allowed, came, left) in [
                (1, 3, true, true, 6),
                (2, 5, true, false, 4),
                (0, 5, true, false, 4),
                (0, 3, true, true, 1),
                (2, 0, false, false, 1),
                (1, 1, true, false, 0),
                (1, 1, false, false, 0),
                (0, 1, true, false, 0),
            ] {
                let decision = gateway.store.decide(&[ahead(cost, more)]).await.unwrap();
                let one = decision.each[0];
                assert_eq!(
                    (decision.allowed, one.ahead, one.left),
                    (allowed, came, left),
                    "{limit:?} {cost} {more}"
                );
                assert_eq!(one.fits, allowed);
            }
            // Another limit refuses: neither is charged.
            let both = [Ask { name: "b", ahead: 5, ..ask("b", limit, 1) }, ask("a", limit, 1)];
            let decision = gateway.store.decide(&both).await.unwrap();
            assert!(!decision.allowed && decision.each[0].left == 10 && !decision.each[0].ahead);
        }
    });
}

#[test]
fn charging_in_any_case_and_giving_back_stay_within_the_limit() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = server.store();
        gateway.up().await;
        for limit in [slow(10), window(10), quota(&gateway, 10, 3)] {
            let store = &gateway.store;
            let left = async |cost| store.charge(&[ask("a", limit, cost)]).await.unwrap().each[0].left;
            assert_eq!(left(4).await, 6, "{limit:?}");
            assert_eq!(left(40).await, 0);
            assert_eq!(store.give_back(&[ask("a", limit, 3)]).await.unwrap().each[0].left, 3);
            assert!(!store.decide(&[ask("a", limit, 4)]).await.unwrap().allowed);
            assert!(store.decide(&[ask("a", limit, 3)]).await.unwrap().allowed);
            assert_eq!(store.give_back(&[ask("a", limit, 40)]).await.unwrap().each[0].left, 10);
            // Nothing costs nothing, and nothing is kept about it.
            assert_eq!(store.decide(&[ask("a", limit, 0)]).await.unwrap().each[0].left, 10);
        }
        assert_eq!(server.tell(&["KEYS", "gateward:{01*"]).await, Value::Array(Vec::new()));
    });
}

#[test]
fn what_costs_more_than_ever_fits_is_refused_for_good() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = server.store();
        gateway.up().await;
        for limit in [slow(10), window(10), quota(&gateway, 10, 3)] {
            for cost in [11, u64::MAX] {
                let decision = gateway.store.decide(&[ask("a", limit, cost)]).await.unwrap();
                assert!(!decision.allowed);
                assert_eq!((decision.each[0].left, decision.each[0].retry_after_us), (10, None), "{limit:?}");
            }
        }
    });
}

#[test]
fn units_come_back_in_time_and_keys_go_away() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = server.store();
        gateway.up().await;
        // Seven in 210 ms, and all at once: 30 ms each.
        let gcra = Limit::Gcra { period_ns: 210_000_000, limit: 7, burst: 7 };
        let short = Limit::Window { period_ms: 200, limit: 7, buckets: 10 };
        for (limit, longest) in [(gcra, 210_000), (short, 220_000)] {
            let store = &gateway.store;
            let emptied = store.decide(&[ask("a", limit, 7)]).await.unwrap().each[0];
            assert!(emptied.reset_after_us <= longest && emptied.reset_after_us >= 200_000, "{emptied:?}");
            let began = Instant::now();
            let mut refused = store.decide(&[ask("a", limit, 1)]).await.unwrap();
            let mut promised = Duration::from_micros(refused.each[0].retry_after_us.unwrap());
            // The answer says when it fits, and that is true.
            while !refused.allowed {
                tokio::time::sleep(promised).await;
                refused = store.decide(&[ask("a", limit, 1)]).await.unwrap();
                promised = Duration::from_micros(refused.each[0].retry_after_us.unwrap_or(0));
            }
            assert!(began.elapsed() >= Duration::from_millis(25), "{:?}", began.elapsed());
            while server.tell(&["DBSIZE"]).await != Value::Int(0) {
                assert!(began.elapsed() < Duration::from_secs(5), "the key stays");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
}

/// At a rate whose interval is no whole number of microseconds, for a while: neither more nor less.
#[test]
fn rates_are_exact() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = server.store();
        gateway.up().await;
        // 300 ns each.
        let limit = Limit::Gcra { period_ns: 300, limit: 1, burst: 1000 };
        let first = gateway.store.decide(&[ask("fast", limit, 1000)]).await.unwrap();
        let (mut admitted, mut last) = (0u64, first.unix_us);
        while last < first.unix_us + 100_000 {
            for cost in [100, 10, 1] {
                let decision = gateway.store.decide(&[ask("fast", limit, cost)]).await.unwrap();
                admitted += if decision.allowed { cost } else { 0 };
                last = decision.unix_us;
            }
        }
        let debt = gateway.store.decide(&[ask("fast", limit, 0)]).await.unwrap();
        let most = (debt.unix_us - first.unix_us) * 1000 / 300 + 1000;
        assert!(admitted <= most, "{admitted} of {most}");
        let all = Limit::Gcra { period_ns: 300, limit: 1, burst: 3 };
        let again = gateway.store.decide(&[ask("few", all, 3)]).await.unwrap();
        assert_eq!((again.allowed, again.each[0].reset_after_us), (true, 1), "900 ns, rounded up once");
    });
}

/// The clock of the server was an hour ahead when this was kept.
#[test]
fn a_clock_that_was_set_back_costs_at_most_a_whole_bucket() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = server.store();
        gateway.up().await;
        let ahead = gateway.store.unix_ms().unwrap() * 1000 + 3_600_000_000;
        let key = |rest: &str| format!("gateward:{{{}}}:{rest}", "01".repeat(16));
        server.tell(&["SET", &key("g:a"), &format!("{ahead} 0")]).await;
        server.tell(&["SET", &key("w100000:a"), &format!("{}:5", ahead / 100_000)]).await;
        let gcra = Limit::Gcra { period_ns: 1_000_000_000, limit: 5, burst: 5 };
        let window = Limit::Window { period_ms: 1000, limit: 5, buckets: 10 };
        for limit in [gcra, window] {
            let refused = gateway.store.decide(&[ask("a", limit, 5)]).await.unwrap();
            assert!(!refused.allowed);
            let retry = refused.each[0].retry_after_us.unwrap();
            assert!((900_000..=1_100_000).contains(&retry), "{retry} {limit:?}");
        }
    });
}

#[test]
fn a_period_that_is_long_over_is_not_begun_again() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = server.store();
        gateway.up().await;
        let now = gateway.store.unix_ms().unwrap();
        let ended = |ago| Limit::Quota { limit: 5, period_end_unix_ms: now - ago, period_id: 1 };
        let late = gateway.store.decide(&[ask("a", ended(7_100_000), 1)]).await.unwrap();
        assert_eq!((late.allowed, late.each[0].reset_after_us), (true, 0));
        let over = gateway.store.decide(&[ask("a", ended(7_201_000), 1)]).await;
        assert_eq!(over, Err(Trouble::PeriodOver));
        assert_eq!(gateway.store.status(), crate::Status::Up);
    });
}

#[test]
fn what_others_have_written_is_an_error_of_that_key_alone() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let gateway = server.store();
        gateway.up().await;
        let key = format!("gateward:{{{}}}:g:a", "01".repeat(16));
        for write in [["LPUSH", &*key, "x"], ["SET", &*key, "x"]] {
            server.tell(&["DEL", &key]).await;
            server.tell(&write).await;
            let foreign = gateway.store.decide(&[ask("b", slow(5), 1), ask("a", slow(5), 1)]).await;
            assert_eq!(foreign, Err(Trouble::Foreign(key.as_str().into())), "{write:?}");
            let other = gateway.store.decide(&[ask("b", slow(5), 0)]).await.unwrap();
            assert_eq!(other.each[0].left, 5, "nothing was charged");
        }
    });
}

#[test]
fn decisions_at_the_same_time_share_a_connection_and_their_number_is_bounded() {
    local(async {
        let Some(server) = Server::start(&[]) else { return };
        let mut settings = crate::Settings::new(crate::Address::parse(&server.url()).unwrap());
        settings.most_in_flight = 8;
        settings.timeout = Duration::from_secs(5);
        let gateway = Watched::with(settings);
        gateway.up().await;
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let store = gateway.store.clone();
                tokio::task::spawn_local(async move { store.decide(&[ask("a", slow(100), 1)]).await })
            })
            .collect();
        let mut busy = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(decision) => assert!(decision.allowed),
                Err(trouble) => {
                    assert_eq!(trouble, Trouble::Busy);
                    busy += 1;
                }
            }
        }
        assert_eq!(busy, 12);
        assert_eq!(gateway.store.status(), crate::Status::Up);
        let decision = gateway.store.decide(&[Ask { cost: 0, ..ask("a", slow(100), 0) }]).await.unwrap();
        assert_eq!(decision.each[0].left, 92);
    });
}
