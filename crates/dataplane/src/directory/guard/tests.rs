//! What gets through, and what does not. Messages are made by hand (RFC 4511, appendix B).

use super::*;

const ONE: &[u8] = b"\x02\x01\x01";
const BINDING: Asked = Asked { number: 1, kind: BIND };
const SEARCHING: Asked = Asked { number: 1, kind: SEARCH };

/// An element, with a length of one byte or four.
fn tlv(kind: u8, inner: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    match inner.len() {
        short @ 0..0x80 => out.push(short as u8),
        long => {
            out.push(0x84);
            out.extend((long as u32).to_be_bytes());
        }
    }
    out.extend(inner);
    out
}

fn text(text: &str) -> Vec<u8> {
    tlv(TEXT, text.as_bytes())
}

fn message(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

/// A result: its code, no name, a text, and more.
fn result(kind: u8, code: u8, words: &str, more: &[u8]) -> Vec<u8> {
    tlv(kind, &[&[ENUMERATED, 1, code], &*text(""), &text(words), more].concat())
}

/// An entry with one attribute.
fn entry(values: &[&[u8]]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|value| tlv(TEXT, value)).collect();
    let attribute = tlv(SEQUENCE, &[text("cn"), tlv(SET, &values)].concat());
    tlv(ENTRY, &[text("cn=x,dc=test"), tlv(SEQUENCE, &attribute)].concat())
}

fn nested(levels: usize) -> Vec<u8> {
    (0..levels).fold(Vec::new(), |inner, _| tlv(SEQUENCE, &inner))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn judged(bytes: &[u8], asked: Asked) -> Result<Vec<u8>, Trouble> {
    let mut from = bytes;
    run(answer(&mut from, asked))
}

#[test]
fn answers_get_through_without_their_controls() {
    let referral = tlv(REFERRALS, &text("ldap://other.test"));
    let controls = tlv(CONTROLS, &tlv(SEQUENCE, &text("2.16.840.1.113730.3.4.5")));
    for (asked, answer) in [
        (BINDING, result(BOUND, 49, "no", b"")),
        (BINDING, result(BOUND, 0, &"x".repeat(300), b"\x87\x01x")),
        (BINDING, result(BOUND, 10, "", &referral)),
        (SEARCHING, entry(&[b"a", b"\xff"])),
        (SEARCHING, entry(&[])),
        (SEARCHING, tlv(ENTRY, &[text(""), tlv(SEQUENCE, b"")].concat())),
        (SEARCHING, result(DONE, 0, "", b"")),
        (SEARCHING, tlv(REFERENCE, &text("ldap://other.test"))),
        (START_TLS, result(EXTENDED, 0, "", b"\x8a\x161.3.6.1.4.1.1466.20037")),
    ] {
        let want = sequence(&[ONE, &answer].concat());
        assert_eq!(judged(&message(&[ONE, &answer]), asked), Ok(want.clone()), "{answer:02x?}");
        assert_eq!(judged(&message(&[ONE, &answer, &controls]), asked), Ok(want), "{answer:02x?}");
    }
    let long_number = message(&[b"\x02\x04\x7f\xff\xff\xff", &result(BOUND, 0, "", b"")]);
    assert!(judged(&long_number, Asked { number: 0x7fff_ffff, kind: BIND }).is_ok());
}

#[test]
fn what_is_no_answer_to_the_question_does_not() {
    let (bound, done) = (result(BOUND, 0, "", b""), result(DONE, 0, "", b""));
    for (asked, bad) in [
        (SEARCHING, message(&[ONE, &bound])),
        (BINDING, message(&[ONE, &done])),
        (BINDING, message(&[ONE, &entry(&[b"a"])])),
        (Asked::default(), message(&[ONE, &bound])),
        (BINDING, message(&[b"\x02\x01\x02", &bound])),
        (BINDING, message(&[ONE, &result(BIND, 0, "", b"")])),
        (BINDING, message(&[ONE, &bound, &done])),
        (BINDING, message(&[ONE, &bound, &tlv(CONTROLS, b""), b"\x04\x00"])),
    ] {
        assert_eq!(judged(&bad, asked), Err(Trouble::Nonsense), "{bad:02x?}");
    }
    let notice = message(&[b"\x02\x01\x00", &result(EXTENDED, 52, "shutting down", b"")]);
    assert!(matches!(judged(&notice, BINDING), Err(Trouble::Closed(_))));
}

#[test]
fn what_is_of_another_shape_does_not() {
    for bad in [
        b"\x16\x03\x01\x00\x05hello".to_vec(),
        b"\x30\x80\x00\x00".to_vec(),
        b"\x30\x85\x00\x00\x00\x00\x01".to_vec(),
        message(&[]),
        message(&[ONE]),
        message(&[b"\x02\x00", &result(BOUND, 0, "", b"")]),
        message(&[b"\x02\x05\x00\x00\x00\x00\x01", &result(BOUND, 0, "", b"")]),
        message(&[ONE, &tlv(BOUND, b"")]),
        message(&[ONE, &tlv(BOUND, b"\x0a\x01\x00")]),
        message(&[ONE, &tlv(BOUND, b"\x0a\x00\x04\x00\x04\x00")]),
        message(&[ONE, &tlv(BOUND, b"\x0a\x05\x01\x00\x00\x00\x00\x04\x00\x04\x00")]),
        message(&[ONE, &tlv(BOUND, b"\x02\x01\x00\x04\x00\x04\x00")]),
        message(&[ONE, &tlv(BOUND, b"\x0a\x01\x00\x04\x00\x04\x01\xff")]),
        message(&[ONE, &tlv(BOUND, b"\x0a\x01\x00\x04\x00\x1f\x01\x00")]),
        message(&[ONE, &tlv(BOUND, b"\x0a\x01\x00\x04\x80\x00\x00\x04\x00")]),
        message(&[ONE, &result(BOUND, 0, "", &nested(10_000))]),
        message(&[ONE, &result(BOUND, 0, "", &tlv(REFERRALS, &nested(2)))]),
    ] {
        assert_eq!(judged(&bad, BINDING), Err(Trouble::Nonsense), "{:02x?}", &bad[..bad.len().min(64)]);
    }
    for bad in [
        tlv(ENTRY, b""),
        tlv(ENTRY, &text("cn=x")),
        tlv(ENTRY, &[text("cn=x"), nested(9)].concat()),
        tlv(ENTRY, &[text("cn=x"), tlv(SEQUENCE, &tlv(SEQUENCE, &text("cn")))].concat()),
        tlv(ENTRY, &[tlv(TEXT, b"\xff"), tlv(SEQUENCE, b"")].concat()),
        tlv(ENTRY, &[text("cn=x"), tlv(SEQUENCE, b""), text("")].concat()),
        tlv(REFERENCE, &nested(1)),
        result(DONE, 0, "", b"\x04"),
    ] {
        assert_eq!(judged(&message(&[ONE, &bad]), SEARCHING), Err(Trouble::Nonsense), "{bad:02x?}");
    }
    let whole = message(&[ONE, &result(BOUND, 0, "text", b"")]);
    for end in 0..whole.len() {
        assert!(matches!(judged(&whole[..end], BINDING), Err(Trouble::Closed(_))), "{end}");
    }
}

/// A length is believed only as far as it may be: nothing is made ready for four gigabytes.
#[test]
fn too_much_is_not_waited_for() {
    assert_eq!(judged(b"\x30\x84\xff\xff\xff\xff", BINDING), Err(Trouble::TooMuch));
    assert_eq!(judged(b"\x30\x83\x01\x00\x01", BINDING), Err(Trouble::TooMuch));
    let one = message(&[ONE, &entry(&["x".repeat(LONGEST - 200).as_bytes()])]);
    let many = one.repeat(MOST / one.len() + 2);
    let mut passed = Vec::new();
    let outcome = run(pass_answers(many.as_slice(), &mut passed, &Cell::new(SEARCHING)));
    assert_eq!(outcome, Err(Trouble::TooMuch));
    assert!(passed.len() <= MOST + LONGEST && passed.len() > MOST / 2, "{}", passed.len());
}

#[test]
fn questions_are_passed_on_and_noted() {
    let bind = message(&[ONE, &tlv(BIND, &[b"\x02\x01\x03", &*text("cn=x"), b"\x80\x02pw"].concat())]);
    let search = message(&[b"\x02\x01\x02", &tlv(SEARCH, &text("dc=test"))]);
    let asked = Cell::new(Asked::default());
    let mut passed = Vec::new();
    run(pass_questions([bind, search.clone()].concat().as_slice(), &mut passed, &asked)).unwrap();
    assert_eq!(asked.get(), Asked { number: 2, kind: SEARCH });
    assert!(passed.ends_with(&search[2..]) && passed.windows(2).filter(|two| two == b"pw").count() == 1);
}

/// Whatever bytes are changed: what gets through is an answer, and the library reads it without a panic.
#[test]
fn changed_messages_are_refused_or_sound() {
    let mut rng = fastrand::Rng::with_seed(7);
    let (found, done) =
        (message(&[ONE, &entry(&[b"one", b"two"])]), message(&[ONE, &result(DONE, 0, "text", b"")]));
    let mut through = 0;
    for _ in 0..20_000 {
        let mut changed = [&*found, &done].concat();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..changed.len());
            changed[at] = rng.u8(..);
        }
        let mut passed = Vec::new();
        _ = run(pass_answers(changed.as_slice(), &mut passed, &Cell::new(SEARCHING)));
        let mut rest = passed.as_slice();
        while let Some((_, body, behind)) = element(rest) {
            let one = parts(body).unwrap();
            if one.kind == ENTRY {
                let (_, tag) = ldap3::asn1::parse_tag(rest).unwrap();
                let mut all = tag.expect_constructed().unwrap();
                ldap3::SearchEntry::construct(ldap3::ResultEntry::new(all.pop().unwrap()));
            }
            (rest, through) = (behind, through + 1);
        }
    }
    assert!(through > 1000, "hardly any got through, so nothing was tried: {through}");
}

#[test]
fn the_result_is_read() {
    let outcome = |code| result_of(&message(&[ONE, &result(EXTENDED, code, "", b"")]));
    assert_eq!((outcome(0), outcome(2)), (Some(0), Some(2)));
    assert_eq!((result_of(b"\x30"), result_of(b"")), (None, None));
}
