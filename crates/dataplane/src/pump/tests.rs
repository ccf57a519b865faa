//! What the receiver gets of a body, and of one that is not what was promised.

use std::task::Waker;

use super::*;
use crate::buffers::Buffers;
use crate::hold::Filling;
use crate::transport::Transport;

/// What `sha256sum` says of `hello world`.
const HELLO_WORLD: ExpectedDigest = ExpectedDigest::Sha256([
    0xb9, 0x4d, 0x27, 0xb9, 0x93, 0x4d, 0x3e, 0x08, 0xa5, 0x2e, 0x52, 0xd7, 0xda, 0x7d, 0xab, 0xfa, 0xc4,
    0x84, 0xef, 0xe3, 0x7a, 0x53, 0x80, 0xee, 0x90, 0x88, 0xf7, 0xac, 0xe2, 0xef, 0xcd, 0xe9,
]);

/// What the receiver gets of a body that comes in these pieces and then ends, and how that ended.
fn pass(pump: &mut Pump, pieces: &[&str]) -> (String, Result<(), Fault>) {
    let buffers = Rc::new(Buffers::default());
    let mut from = Connection::new(Transport::Nowhere, &buffers);
    let mut to = Connection::new(Transport::Nowhere, &buffers);
    let mut got = String::new();
    let mut step = |pump: &mut Pump, from: &mut Connection| {
        let staged = pump.stage_piece(from, &mut to);
        if let Some(body) = to.outgoing.body.take() {
            got.push_str(std::str::from_utf8(body.filled()).unwrap());
        }
        got.push_str(std::str::from_utf8(&std::mem::take(to.head_mut())).unwrap());
        staged.map_err(|error| match error {
            PumpError::Sender(fault) => fault,
            PumpError::Receiver => panic!("the receiver takes everything"),
        })
    };
    let mut pass = || {
        for piece in pieces {
            from.inbox.buffer = Some(buffers.hold(piece.as_bytes()));
            step(pump, &mut from)?;
            while !from.inbox.is_empty() {
                step(pump, &mut from)?;
            }
        }
        pump.decoder.end_of_input()?;
        while !pump.ended {
            step(pump, &mut from)?;
        }
        Ok(())
    };
    let outcome = pass();
    (got, outcome)
}

/// A body, how it is framed for the receiver, and the length that was announced.
type Way = (BodyLength, bool, Option<u64>);
const EXACT: Way = (BodyLength::Exact(11), false, Some(11));
const CHUNKED: Way = (BodyLength::Chunked, true, None);
/// From a stream that has announced the length, to a receiver that is told it.
const STREAM: Way = (BodyLength::UntilClose, false, Some(11));
/// From a stream that has not.
const LONG_STREAM: Way = (BodyLength::UntilClose, true, None);

fn promised((length, chunked, announced): Way) -> Pump {
    let mut pump = Pump::new(length, chunked, None);
    pump.keep();
    pump.promise(Some(HELLO_WORLD), announced);
    pump
}

#[test]
fn a_body_that_is_what_was_promised_passes() {
    for (way, pieces, want) in [
        (EXACT, &["hello world"][..], "hello world"),
        (EXACT, &["hello", " ", "world"], "hello world"),
        (CHUNKED, &["b\r\nhello world\r\n0\r\n\r\n"], "b\r\nhello world\r\n0\r\n\r\n"),
        (CHUNKED, &["5\r\nhello\r\n6\r\n world\r\n", "0\r\n\r\n"], "b\r\nhello world\r\n0\r\n\r\n"),
        (CHUNKED, &["b\r\nhello world\r\n0\r\n", "x: y\r\n\r\n"], "b\r\nhello world\r\n0\r\nx: y\r\n\r\n"),
        (STREAM, &["hello", " world"], "hello world"),
        (LONG_STREAM, &["hello", " world"], "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
    ] {
        let mut pump = promised(way);
        assert_eq!(pass(&mut pump, pieces), (want.to_owned(), Ok(())), "{pieces:?}");
        assert_eq!(pump.whole(), Some(&b"hello world"[..]));
    }
}

#[test]
fn of_another_body_the_receiver_never_gets_the_end() {
    for (way, pieces, want) in [
        (EXACT, &["hello_world"][..], ""),
        (EXACT, &["hello_", "world"], "hello_"),
        (EXACT, &["hello worl", "D"], "hello worl"),
        (CHUNKED, &["b\r\nhello_world\r\n0\r\n\r\n"], ""),
        (CHUNKED, &["b\r\nhello_world\r\n", "0\r\n\r\n"], "b\r\nhello_world\r\n"),
        (CHUNKED, &["b\r\nhello_world\r\n0\r\n", "x: y\r\n\r\n"], "b\r\nhello_world\r\n"),
        (CHUNKED, &["5\r\nhello\r\n0\r\n\r\n"], ""),
        (CHUNKED, &["0\r\n\r\n"], ""),
        (STREAM, &["hello_", "world"], "hello_"),
        (STREAM, &["hello world", "!"], "hello world"),
        (LONG_STREAM, &["hello", "_world"], "5\r\nhello\r\n6\r\n_world\r\n"),
        (LONG_STREAM, &[], ""),
    ] {
        let mut pump = promised(way);
        let wrong = Err(Fault::DigestMismatch);
        assert_eq!(pass(&mut pump, pieces), (want.to_owned(), wrong), "{pieces:?}");
        assert_eq!((pump.whole(), pump.ended), (None, false), "{pieces:?}");
        assert!(pass(&mut pump, &[]).1.is_err(), "and it stays so");
    }
}

#[test]
fn of_a_body_that_is_too_large_nothing_passes_for_the_whole() {
    let mut pump = Pump::new(BodyLength::Exact(11), false, Some(10));
    pump.keep();
    assert_eq!(pass(&mut pump, &["hello ", "world"]), ("hello ".to_owned(), Err(Fault::BodyTooLarge)));
    assert_eq!((pump.is_received(), pump.whole()), (true, None), "a mirrored copy would be cut");
}

#[test]
fn what_is_sent_once_more_was_checked() {
    let mut pump = promised(EXACT);
    let first = pass(&mut pump, &["hello ", "worl"]);
    assert_eq!(first, ("hello worl".to_owned(), Err(Fault::BodyCut)), "the receiver breaks off here");
    pump.repeat();
    assert_eq!(pass(&mut pump, &["", "d"]), ("hello world".to_owned(), Ok(())));
    pump.repeat();
    assert_eq!(pass(&mut pump, &[]), ("hello world".to_owned(), Ok(())));
}

/// A pump that has read what is in hand of a body into memory, up to five bytes and the rest of a piece.
fn holding((length, chunked, announced): Way, pieces: &[&str]) -> (Pump, bool) {
    let buffers = Rc::new(Buffers::default());
    let mut from = Connection::new(Transport::Nowhere, &buffers);
    let mut filling = Filling::new(&Rc::default(), 5, announced);
    let mut pump = Pump::new(length, false, None);
    for piece in pieces {
        from.inbox.buffer = Some(buffers.hold(piece.as_bytes()));
        let polled = pump.poll_fill(&mut Context::from_waker(Waker::noop()), &mut from, &mut filling);
        if let Poll::Ready(is_whole) = polled {
            let is_whole = is_whole.unwrap();
            pump.hold(filling.finish(is_whole));
            pump.begin_held(chunked, None);
            return (pump, is_whole);
        }
    }
    panic!("it waits for more");
}

#[test]
fn what_was_read_before_goes_first_as_often_as_it_is_sent() {
    for (way, pieces, rest, want) in [
        (EXACT, &["hello world"][..], &[][..], "hello world"),
        (EXACT, &["hell", "o wo"], &["rld"], "hello world"),
        (CHUNKED, &["b\r\nhello world\r\n0\r\nx: y\r\n\r\n"], &[], "b\r\nhello world\r\n0\r\nx: y\r\n\r\n"),
        (
            CHUNKED,
            &["6\r\nhello \r\n"],
            &["5\r\nworld\r\n0\r\nx: y\r\n\r\n"],
            "6\r\nhello \r\n5\r\nworld\r\n0\r\nx: y\r\n\r\n",
        ),
        (STREAM, &["hello "], &["world"], "hello world"),
    ] {
        let (mut pump, is_whole) = holding(way, pieces);
        assert_eq!(is_whole, rest.is_empty(), "{pieces:?}");
        assert!(pump.can_repeat() && pump.taken == 0);
        pump.promise(Some(HELLO_WORLD), way.2);
        assert_eq!(pass(&mut pump, rest), (want.to_owned(), Ok(())), "{pieces:?}");
        assert_eq!(pump.can_repeat(), is_whole);
        assert_eq!(pump.whole(), is_whole.then_some(&b"hello world"[..]));
        if is_whole {
            pump.begin_held(way.1, None);
            pump.promise(Some(HELLO_WORLD), way.2);
            assert_eq!(pass(&mut pump, &[]), (want.to_owned(), Ok(())), "once more");
        }
    }
}

#[test]
fn what_was_read_before_is_checked_like_the_rest() {
    let (mut pump, _) = holding(EXACT, &["hello_world"]);
    pump.promise(Some(HELLO_WORLD), Some(11));
    assert_eq!(pass(&mut pump, &[]).1, Err(Fault::DigestMismatch));
    assert_eq!(pump.whole(), None);
    let (mut pump, _) = holding(EXACT, &["hello world"]);
    pump.begin_held(false, Some(10));
    assert_eq!(pass(&mut pump, &[]), (String::new(), Err(Fault::BodyTooLarge)));
    assert_eq!(pump.whole(), None);
}
