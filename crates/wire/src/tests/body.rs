//! Bodies: lengths, chunks and trailers (RFC 9112 §6, §7.1).

use message::Fault;

use super::fields;
use crate::{BodyDecoder, BodyLength, Decoded};

/// What a chunked body decodes to: payload, number of bytes consumed, and whether it is whole.
fn decode(body: &[u8]) -> Result<(Vec<u8>, usize, BodyDecoder), Fault> {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked);
    let mut buffer = body.to_vec();
    let decoded = decoder.decode(&mut buffer, 0..body.len())?;
    Ok((buffer[decoded.payload].to_vec(), decoded.consumed, decoder))
}

#[test]
fn chunks_are_moved_together() {
    for (body, want) in [
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("0\r\n\r\n", ""),
        ("000000000000000a\r\n0123456789\r\n00\r\n\r\n", "0123456789"),
        ("1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", "abcdef"),
        ("5;foo=bar;q=\"a b\"\t\r\nhello\r\n0;x\r\n\r\n", "hello"),
        ("A;\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("5\r\n\r\n\r\n0\r\n0\r\n\r\n", "\r\n\r\n0"),
    ] {
        let (payload, consumed, decoder) = decode(format!("{body}GET /").as_bytes()).unwrap();
        assert_eq!(payload, want.as_bytes(), "{body:?}");
        assert!(decoder.is_done() && decoder.trailers().is_none());
        assert_eq!(consumed, body.len());
    }
}

#[test]
fn payload_and_rest_stay_in_their_range() {
    let mut buffer = b"....1\r\na\r\n1\r\nb\r\n0\r\n\r\nnext....".to_vec();
    let whole = buffer.clone();
    let mut decoder = BodyDecoder::new(BodyLength::Chunked);
    let Decoded { payload, consumed } = decoder.decode(&mut buffer, 4..25).unwrap();
    assert_eq!(&buffer[payload.clone()], b"ab");
    assert!(payload.start >= 4 && payload.end <= consumed);
    assert_eq!((&buffer[consumed..], &buffer[..4]), (&whole[consumed..], &b"...."[..]));
    assert_eq!(&buffer[consumed..consumed + 4], b"next");
    // Once it is done, nothing more is taken.
    let again = decoder.decode(&mut buffer, consumed..consumed + 4).unwrap();
    assert_eq!(again, Decoded { payload: consumed..consumed, consumed });
}

#[test]
fn broken_chunks() {
    for body in [
        "\r\nhello",
        "0x5\r\nhello",
        "-5\r\nhello",
        "+5\r\nhello",
        " 5\r\nhello",
        "5 \r\nhello",
        "5\t\r\nhello",
        "5 ;a\r\nhello",
        "g\r\n",
        "5_0\r\n",
        "5x\r\nhello",
        "5,\r\n",
        ";a\r\n",
        "5\nhello\r\n",
        "5\rhello",
        "5\r\nhello\n0\r\n",
        "5\r\nhello\r0",
        "3\r\nhello\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5;a\nb\r\n",
        "5;a\rb\r\n",
        "5;a\0\r\n",
        "5;a\x7f\r\n",
        "FFFFFFFFFFFFFFFF\r\n",
        "4000000000000001\r\n",
        "8000000000000000\r\n",
        "10000000000000000\r\n",
        "00000000000000005\r\n",
        "0\r\n\n",
        "0\r\n\rX",
        "0\n\n",
        "0\r\nX: a\nY: b\r\n\r\n",
        "0\r\nBad Name: 1\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\n: x\r\n\r\n",
        "0\r\nX: a\r\n b\r\n\r\n",
        "0\r\nX : a\r\n\r\n",
        "0\r\nX: \0\r\n\r\n",
        "\u{ff15}\r\n",
    ] {
        let mut decoder = BodyDecoder::new(BodyLength::Chunked);
        let mut buffer = body.as_bytes().to_vec();
        let got = decoder.decode(&mut buffer, 0..body.len());
        assert_eq!(got, Err(Fault::BadChunk), "{body:?}");
        assert!(!decoder.is_done() && decoder.trailers().is_none());
        // A broken body does not become whole again.
        let mut more = *b"0\r\n\r\n";
        assert_eq!(decoder.decode(&mut more, 0..5), Err(Fault::BadChunk));
        assert_eq!(decoder.end_of_input(), Err(Fault::BodyCut));
    }
    let (payload, ..) = decode(b"4000000000000000\r\nhello").unwrap();
    assert_eq!(payload, b"hello");
}

#[test]
fn extensions_are_bounded_per_line_and_per_body() {
    let line = |bytes: usize| format!("1;{}\r\nx\r\n", "a".repeat(bytes - 4)).into_bytes();
    assert!(decode(&line(4096)).is_ok());
    assert_eq!(decode(&line(4097)).unwrap_err(), Fault::BadChunk);
    let many = |count: usize| format!("1;{}\r\nx\r\n", "a".repeat(1023)).repeat(count).into_bytes();
    assert!(decode(&many(64)).is_ok());
    assert_eq!(decode(&many(65)).unwrap_err(), Fault::BadChunk);
    assert_eq!(decode(&[b'0'; 5000]).unwrap_err(), Fault::BadChunk);
}

#[test]
fn trailers_come_after_the_end_without_forbidden_ones() {
    let body = b"5\r\nhello\r\n0\r\nGrpc-Status: 0\r\nAuthorization: evil\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\nx_y: 1\r\nX-Sum:\tabc \r\n\r\nGET";
    let (payload, consumed, decoder) = decode(body).unwrap();
    assert_eq!((&payload[..], consumed), (&b"hello"[..], body.len() - 3));
    let want =
        [("Grpc-Status", "0"), ("X-Sum", "abc")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(fields(decoder.trailers().unwrap()), want);

    let (_, consumed, decoder) = decode(b"0\r\nHost: evil\r\n\r\n").unwrap();
    assert!(decoder.is_done() && decoder.trailers().is_none());
    assert_eq!(consumed, 17);

    let (_, _, decoder) = decode(b"0\r\nX-Sum: abc\r\n").unwrap();
    assert!(!decoder.is_done() && decoder.trailers().is_none());
}

#[test]
fn trailers_are_bounded() {
    let section = |fields: usize| format!("0\r\n{}\r\n", "X-A: b\r\n".repeat(fields)).into_bytes();
    assert!(decode(&section(32)).is_ok());
    assert_eq!(decode(&section(33)).unwrap_err(), Fault::HeadersTooLarge);
    let long = |bytes: usize| format!("0\r\nX: {}\r\n\r\n", "a".repeat(bytes - 7)).into_bytes();
    assert!(decode(&long(8192)).unwrap().2.is_done());
    assert_eq!(decode(&long(8193)).unwrap_err(), Fault::HeadersTooLarge);
    assert_eq!(
        decode(format!("0\r\nX: {}", "a".repeat(9000)).as_bytes()).unwrap_err(),
        Fault::HeadersTooLarge
    );
}

#[test]
fn bodies_of_known_length() {
    let mut buffer = b"..helloGET /".to_vec();
    let mut decoder = BodyDecoder::new(BodyLength::Exact(5));
    assert_eq!(decoder.decode(&mut buffer, 2..4).unwrap(), Decoded { payload: 2..4, consumed: 4 });
    assert_eq!(decoder.end_of_input(), Err(Fault::BodyCut));
    assert_eq!(decoder.decode(&mut buffer, 4..12).unwrap(), Decoded { payload: 4..7, consumed: 7 });
    assert!(decoder.is_done());
    assert_eq!(decoder.end_of_input(), Ok(()));
    for nothing in [BodyLength::Empty, BodyLength::Exact(0)] {
        let mut decoder = BodyDecoder::new(nothing);
        assert!(decoder.is_done());
        assert_eq!(decoder.decode(&mut buffer, 7..12).unwrap(), Decoded { payload: 7..7, consumed: 7 });
        assert_eq!(decoder.length(), nothing);
    }
    let mut huge = BodyDecoder::new(BodyLength::Exact(u64::MAX));
    assert_eq!(huge.decode(&mut buffer, 0..12).unwrap().consumed, 12);
}

#[test]
fn a_body_until_close_ends_with_the_connection() {
    let mut decoder = BodyDecoder::new(BodyLength::UntilClose);
    assert_eq!(decoder.decode(&mut [0; 9], 1..9).unwrap(), Decoded { payload: 1..9, consumed: 9 });
    assert!(!decoder.is_done());
    assert_eq!(decoder.end_of_input(), Ok(()));
    assert!(decoder.is_done());

    for part in ["", "5", "5\r\n", "5\r\nhel", "5\r\nhello\r\n", "0\r\n", "0\r\n\r", "0\r\nX: a\r\n"] {
        let (_, _, mut decoder) = decode(part.as_bytes()).unwrap();
        assert_eq!(decoder.end_of_input(), Err(Fault::BodyCut), "{part:?}");
    }
}

#[test]
fn a_decoder_is_small() {
    assert!(size_of::<BodyDecoder>() <= 64);
}
