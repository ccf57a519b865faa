//! Sessions in cookies: what is kept, what opens, what does not fit.

use proptest::prelude::*;

use super::*;
use crate::SameSite;
use crate::testing::{World, session};

/// Seals, and lets the browser keep it.
fn keep(world: &mut World, session: &mut Session, now: u64) -> Vec<String> {
    let cookies = session.seal(&world.client, &world.facts("/"), now, &mut world.random()).unwrap();
    world.absorb(&cookies);
    cookies
}

fn open(world: &World, now: u64) -> Opened {
    Session::open(&world.client, &world.facts("/"), now)
}

fn kind(opened: &Opened) -> &'static str {
    match opened {
        Opened::None => "none",
        Opened::Invalid => "invalid",
        Opened::Expired => "expired",
        Opened::Valid(_) => "valid",
    }
}

/// Tokens that no compression could shorten are not needed: there is none.
fn long(length: usize) -> Session {
    Session { access_token: Secret::new("t".repeat(length)), ..session() }
}

#[test]
fn what_was_kept_is_there_again() {
    let mut world = World::new();
    assert_eq!(kind(&open(&world, 1000)), "none");
    let bare = Session {
        sid: None,
        refresh_token: None,
        id_token: None,
        access_expires: None,
        claims: Map::new(),
        ..session()
    };
    for mut some in [session(), bare] {
        let cookies = keep(&mut world, &mut some, 1000);
        assert_eq!(cookies.len(), 1, "{cookies:?}");
        assert!(
            cookies[0].ends_with("; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"),
            "{cookies:?}"
        );
        match open(&world, 1001) {
            Opened::Valid(opened) => assert!(*opened == some, "{opened:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn it_ends_when_idle_and_when_old() {
    let mut world = World::with(|settings| (settings.idle_lifetime, settings.absolute_lifetime) = (80, 200));
    let mut some = session();
    for (now, idle_end, max_age) in [(1000, 1080, 80), (1070, 1150, 80), (1140, 1200, 60)] {
        let cookies = keep(&mut world, &mut some, now);
        assert!(cookies[0].contains(&format!("; Max-Age={max_age};")), "{cookies:?}");
        assert_eq!(kind(&open(&world, idle_end - 1)), "valid", "at {now}");
        assert_eq!(kind(&open(&world, idle_end)), "expired", "at {now}");
    }
    assert_eq!(kind(&open(&world, 0)), "valid", "a clock that was set back ends nothing");
    assert_eq!(kind(&open(&world, u64::MAX)), "expired");
    for (now, want) in [(1140, false), (1149, false), (1150, true)] {
        assert_eq!(some.is_renewal_due(&world.client, now), want, "{now}");
    }
}

#[test]
fn each_length_is_cut_into_pieces_that_fit() {
    let mut world = World::with(|settings| settings.same_site = SameSite::None);
    let mut most = 0;
    for length in (0..10_600).step_by(53).chain(2600..2750) {
        let mut some = long(length + 1);
        let cookies = keep(&mut world, &mut some, 1000);
        let pieces: Vec<_> = cookies.iter().filter(|cookie| !cookie.contains("Max-Age=0;")).collect();
        most = most.max(pieces.len());
        for (index, cookie) in pieces.iter().enumerate() {
            let pair = cookie.split(';').next().unwrap();
            assert!(pair.len() <= PIECE && cookie.len() < 4096, "{}", cookie.len());
            assert!(index + 1 == pieces.len() || pair.len() == PIECE, "all but the last are full");
            let name =
                if index == 0 { "__Host-gateward=".to_owned() } else { format!("__Host-gateward.{index}=") };
            assert!(pair.starts_with(&name), "{pair}");
        }
        assert_eq!(world.cookies.len(), pieces.len());
        assert!(matches!(open(&world, 1000), Opened::Valid(opened) if *opened == some), "{length}");
    }
    assert_eq!(most, 4);
}

#[test]
fn the_id_token_goes_first_and_then_it_is_an_error() {
    let mut world = World::new();
    let (mut fits, mut hint_left_out, mut too_large) = (0, 0, 0);
    for length in 13_500..14_500 {
        let mut some = Session { id_token: Some(Secret::new("i".repeat(300))), ..long(length) };
        let sealed = some.seal(&world.client, &world.facts("/"), 1000, &mut world.random());
        match sealed {
            Ok(cookies) => {
                world.absorb(&cookies);
                assert_eq!(cookies.len(), MOST_PIECES);
                assert!(matches!(open(&world, 1000), Opened::Valid(opened) if *opened == some), "{length}");
                if some.id_token.is_some() {
                    fits += 1;
                } else {
                    hint_left_out += 1;
                }
                assert_eq!(too_large, 0, "once too large, always too large");
            }
            Err(error) => {
                assert!(matches!(error, SessionError::TooLarge(bytes) if bytes > length), "{error}");
                too_large += 1;
            }
        }
    }
    assert!(fits > 0 && hint_left_out == 300 && too_large > 0, "{fits} {hint_left_out} {too_large}");
}

#[test]
fn pieces_of_a_longer_session_are_deleted_and_not_read() {
    let mut world = World::new();
    keep(&mut world, &mut long(9000), 1000);
    assert_eq!(world.cookies.len(), 4);
    let stale = world.cookies.clone();
    let cookies = keep(&mut world, &mut session(), 1000);
    assert_eq!(cookies.len(), 4, "one is set, three are deleted");
    assert_eq!(world.cookies.len(), 1);
    // A browser that kept them all the same.
    world.cookies.extend(stale.into_iter().filter(|(name, _)| name.contains('.')));
    world.absorb(&[]);
    assert!(matches!(open(&world, 1000), Opened::Valid(opened) if opened.access_token.expose() == "access"));
    let cleared = Session::clear(&world.client, &world.facts("/"));
    world.absorb(&cleared);
    assert!(cleared.len() == 4 && world.cookies.is_empty(), "{cleared:?}");
}

#[test]
fn what_is_damaged_does_not_open() {
    let mut world = World::new();
    keep(&mut world, &mut long(6000), 1000);
    let whole = world.cookies.clone();
    assert_eq!(whole.len(), 3);
    let mut broken: Vec<Vec<(String, String)>> = Vec::new();
    for at in 0..whole.len() {
        let mut missing = whole.clone();
        missing.remove(at);
        if at > 0 {
            broken.push(missing);
        }
        for place in [1, whole[at].1.len() / 2, whole[at].1.len() - 1] {
            let mut changed = whole.clone();
            let other = if &whole[at].1[place..=place] == "A" { "B" } else { "A" };
            changed[at].1.replace_range(place..=place, other);
            broken.push(changed);
        }
        let mut longer = whole.clone();
        longer[at].1.push_str(&"A".repeat(5000));
        broken.push(longer);
    }
    let mut swapped = whole.clone();
    (swapped[1].1, swapped[2].1) = (whole[2].1.clone(), whole[1].1.clone());
    broken.push(swapped);
    for count in ["0", "1", "2", "4", "5", "6", "9", "x", ""] {
        let mut counted = whole.clone();
        counted[0].1.replace_range(0..1, count);
        broken.push(counted);
    }
    for (index, cookies) in broken.into_iter().enumerate() {
        world.cookies = cookies;
        world.absorb(&[]);
        assert_eq!(kind(&open(&world, 1000)), "invalid", "case {index}");
    }
}

#[test]
fn cookies_of_others_do_not_open() {
    let mut world = World::new();
    let mut of_here = session();
    keep(&mut world, &mut of_here, 1000);
    for (other, want) in [
        (World::new(), "valid"),
        (World::with(|settings| settings.client_id = "app".to_owned()), "invalid"),
        (World::with(|settings| settings.issuer = "https://other.test".to_owned()), "invalid"),
        (World::with(|settings| settings.cookie = "other".to_owned()), "none"),
        (World::with_keys(&[&[2; 32]], |_| {}), "invalid"),
        (World::with_keys(&[&[2; 32], &[1; 32]], |_| {}), "valid"),
    ] {
        let opened = Session::open(&other.client, &world.facts("/"), 1000);
        assert_eq!(kind(&opened), want, "{:?}", other.client);
    }
    let plain = RequestFacts { https: false, ..world.facts("/") };
    assert_eq!(
        kind(&Session::open(&world.client, &plain, 1000)),
        "none",
        "it is of another name without TLS"
    );
    let login =
        crate::begin(&world.client, &world.provider, &world.facts("/"), 1000, &mut world.random()).unwrap();
    let value = login.set_cookies[0].split(['=', ';']).nth(1).unwrap().to_owned();
    world.cookies = vec![("__Host-gateward".to_owned(), format!("1{value}"))];
    world.absorb(&[]);
    assert_eq!(kind(&open(&world, 1000)), "invalid", "a login is no session");
}

#[test]
fn nothing_of_a_session_is_shown() {
    let mut world = World::new();
    keep(&mut world, &mut session(), 1000);
    let shown = format!("{:?} {:?}", session(), open(&world, 1000));
    for secret in ["access\"", "refresh\"", "id.token", "ada", "nonce\""] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn what_was_cut_off_does_not_decode() {
    let plain = session().encode();
    assert!(Session::decode(&plain).is_some_and(|decoded| decoded == session()));
    for len in 0..plain.len() {
        assert!(Session::decode(&plain[..len]).is_none(), "{len}");
    }
    assert!(Session::decode(&[&plain[..], &[0]].concat()).is_none());
}

proptest! {
    #[test]
    fn no_cookie_makes_a_panic(cookies in prop::collection::vec(
        ("(__Host-)?gateward(\\.[1-5]|-login-[a-zA-Z0-9_-]{12})?", prop::collection::vec(any::<u8>(), 0..200), "[1-5]?"), 0..8,
    )) {
        let mut headers = message::Headers::default();
        for (name, value, count) in &cookies {
            headers.push(b"cookie", &[name.as_bytes(), b"=", count.as_bytes(), value].concat());
        }
        headers.push(b"accept", b"text/html");
        let world = World::new();
        for https in [true, false] {
            let facts = RequestFacts { headers: &headers, https, ..world.facts("/") };
            let opened = Session::open(&world.client, &facts, 1000);
            prop_assert!(matches!(opened, Opened::None | Opened::Invalid));
            prop_assert!(Session::clear(&world.client, &facts).len() <= MOST_PIECES);
            let begun = crate::begin(&world.client, &world.provider, &facts, 1000, &mut world.random());
            prop_assert!(begun.is_ok());
        }
    }

    #[test]
    fn no_plain_text_makes_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        Session::decode(&bytes);
    }
}
