//! What CEL says about values: one line per rule.

use super::*;

fn all_hold(sources: &[&str]) {
    for source in sources {
        assert_eq!(holds(source), Ok(true), "{source}");
    }
}

fn all_fail(cases: &[(&str, Reason)]) {
    for (source, reason) in cases {
        assert_eq!(holds(source), Err(*reason), "{source}");
    }
}

#[test]
fn errors_are_held_back_by_and_and_or() {
    const ERROR: &str = "(1 / 0 == 1)";
    for (form, expected) in [
        ("true || E", Ok(true)),
        ("E || true", Ok(true)),
        ("false || E", Err(())),
        ("E || false", Err(())),
        ("E || E", Err(())),
        ("false && E", Ok(false)),
        ("E && false", Ok(false)),
        ("true && E", Err(())),
        ("E && true", Err(())),
        ("E && E && false", Ok(false)),
        ("!E", Err(())),
        ("E ? true : true", Err(())),
        ("true ? true : E", Ok(true)),
        ("false ? E : true", Ok(true)),
        ("[1, 0].exists(x, 1 / x == 1)", Ok(true)),
        ("[0, 1].exists(x, 1 / x == 1)", Ok(true)),
        ("[0, 2].exists(x, 1 / x == 1)", Err(())),
        ("[0, 2].all(x, 1 / x == 1)", Ok(false)),
        ("[0, 1].all(x, 1 / x == 1)", Err(())),
        ("[0, 1].exists_one(x, 1 / x == 1)", Err(())),
        ("[0, 1].filter(x, 1 / x == 1) == [1]", Err(())),
        ("[0, 1].map(x, 1 / x) == [1]", Err(())),
        ("identity.claims.region || true", Ok(true)),
        ("true && identity.claims.region", Err(())),
    ] {
        let source = form.replace('E', ERROR);
        assert_eq!(holds(&source).map_err(|_| ()), expected, "{source}");
    }
}

#[test]
fn numbers() {
    all_hold(&[
        "1 == 1u && 1u == 1.0 && 1 == 1.0",
        "dyn(1) == dyn(1u) && dyn(1) != dyn('1')",
        "1 < 1.5 && 2u > 1 && -1 < 1u",
        "1 <= 1 && 1 >= 1 && !(1 < 1) && !(1 > 1) && !(2 <= 1) && !(1 >= 2)",
        "9223372036854775807 < 9223372036854775808.0",
        "7 / 2 == 3 && -7 / 2 == -3 && -7 % 2 == -1 && 7u % 4u == 3u",
        "1.0 / 0.0 > 1e308 && -1.0 / 0.0 < 0.0",
        "0.0 / 0.0 != 0.0 / 0.0",
        "-(-3) == 3 && - 3 == -3 && --3 == 3 && 3 - -3 == 6",
        "0x1F == 31 && 0xffu == 255u && 1e3 == 1000.0 && .5 == 0.5",
        "-9223372036854775808 < 0",
        "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && 10 - 3 - 2 == 5",
        "identity.claims.large == 18446744073709551615u && identity.claims.ratio == 0.5",
    ]);
    all_fail(&[
        ("9223372036854775807 + 1 == 0", Reason::OutOfRange),
        ("-9223372036854775808 - 1 == 0", Reason::OutOfRange),
        ("-(-9223372036854775808) == 0", Reason::OutOfRange),
        ("-9223372036854775808 / -1 == 0", Reason::OutOfRange),
        ("-9223372036854775808 % -1 == 0", Reason::OutOfRange),
        ("9223372036854775807 * 2 == 0", Reason::OutOfRange),
        ("1u - 2u == 0u", Reason::OutOfRange),
        ("1 / 0 == 0", Reason::DivisionByZero),
        ("1u % 0u == 0u", Reason::DivisionByZero),
        ("0.0 / 0.0 < 1.0", Reason::NotOrdered),
        ("identity.claims.level + 1.0 == 8.0", Reason::WrongType),
    ]);
}

#[test]
fn text_and_bytes() {
    all_hold(&[
        "size('añ😀') == 3 && 'añ😀'.size() == 3 && size(b'añ') == 3",
        "'a' < 'b' && 'Z' < 'a' && 'a' < 'aa' && '\u{ffff}' < '😀'",
        "'a' + 'b' == 'ab' && b'a' + b'b' == b'ab'",
        r"'\x41\101\u0041\U00000041' == 'AAAA' && '\n' != r'\n' && size(r'\n') == 2",
        r#""it's" == 'it\'s' && '''a"b'c''' == "a\"b'c""#,
        r"b'\xff' != b'\303\277' && b'ÿ' == b'\303\277' && '\xff' == 'ÿ'",
        "'Straße X'.lowerAscii() == 'straße x' && 'äb'.upperAscii() == 'äB'",
        "'abc'.contains('b') && 'abc'.contains('') && !'abc'.contains('ac')",
        "'abc'.startsWith('ab') && 'abc'.endsWith('bc') && !'abc'.endsWith('ab')",
        "'xaay'.matches('a+') && !'xaay'.matches('^a+$') && matches('ü', '^.$')",
        r"'a.b'.matches(r'^\w\.\w$')",
    ]);
}

#[test]
fn lists_and_maps() {
    all_hold(&[
        "1 in [1, 2] && !(3 in [1, 2]) && 1.0 in [1, 2] && 'a' in {'a': 1} && !('b' in {'a': 1})",
        "[1, 2][1] == 2 && [1, 2][1u] == 2 && {'a': {'b': 3}}.a.b == 3 && {1: 'x', true: 'y'}[1] == 'x'",
        "{1: 'x'}[1u] == 'x' && dyn({1: 'x'})[1.0] == 'x' && dyn([5])[0.0] == 5",
        "[1] + [2, 3] == [1, 2, 3] && [1, 2] != [2, 1] && [] == [] && [[1]] == [[1.0]]",
        "{'a': 1, 'b': [2]} == {'b': [2], 'a': 1} && {'a': 1} != {'a': 2} && {'a': 1} != {'b': 1}",
        "size([1, 2]) == 2 && size({'a': 1}) == 1 && [].size() == 0",
        "has({'a': 1}.a) && !has({'a': 1}.b)",
        "[].all(x, false) && ![].exists(x, true) && ![].exists_one(x, true)",
        "[1, 2, 3].exists_one(x, x > 2) && ![1, 2, 3].exists_one(x, x > 1)",
        "[1, 2, 3].filter(x, x % 2 == 1) == [1, 3] && [1, 2].map(x, x * x) == [1, 4]",
        "[1, 2, 3].map(x, x > 1, x + 1) == [3, 4]",
        "{'a': 1, 'b': 2}.all(k, k in ['a', 'b']) && {'a': 1}.map(k, k + '!') == ['a!']",
        "[1, 2].all(x, [3, 4].all(y, x < y))",
        "[[1], [2]].exists(x, x.exists(x, x == 2))",
        "identity.claims == identity.claims && identity.claims.address != identity.claims",
        "identity.claims.nothing == null && identity.claims.level != null",
        "[1, 'a', null, 2u].exists(x, x == 'a')",
        "request.headers == request.headers && request.query == {'page': '3'}",
        "{'a' + 'b': size('c')}.ab == 1",
        "identity.groups == ['staff', 'admin'] && identity.groups[0] == 'staff'",
    ]);
    all_fail(&[
        ("[1][1] == 1", Reason::NoSuchKey),
        ("[1][-1] == 1", Reason::NoSuchKey),
        ("dyn([1])[0.5] == 1", Reason::NoSuchKey),
        ("dyn([1])['a'] == 1", Reason::WrongType),
        ("{'a': 1}.b == 1", Reason::NoSuchKey),
        ("identity.claims.none.more == 1", Reason::NoSuchKey),
        ("has(identity.claims.none.more)", Reason::NoSuchKey),
        ("has(identity.claims.region.more)", Reason::WrongType),
        ("identity.claims.region.more == 1", Reason::WrongType),
        ("identity.claims.level.startsWith('7')", Reason::WrongType),
        ("identity.claims.level < 'a'", Reason::WrongType),
        ("identity.claims.level in identity.claims.level", Reason::WrongType),
        ("identity.claims.level.exists(x, x == 1)", Reason::WrongType),
        ("{'a': 1, 'a': 2}.a == 1", Reason::NoSuchKey),
        ("ip_in(identity.claims.region, '10.0.0.0/8')", Reason::Unreadable),
    ]);
}

#[test]
fn conversions() {
    all_hold(&[
        "int('-7') == -7 && int(7u) == 7 && int(-1.9) == -1 && int(timestamp('1970-01-01T00:01:00Z')) == 60",
        "uint('7') == 7u && uint(7) == 7u && uint(1.9) == 1u",
        "double('1.5') == 1.5 && double(2) == 2.0",
        "string(1) == '1' && string(1u) == '1' && string(1.5) == '1.5' && string(true) == 'true'",
        "string(b'abc') == 'abc' && bytes('ü') == b'ü' && string(bytes('a' + 'b')) == 'ab'",
        "string(timestamp('2024-02-29T12:00:00+02:00')) == '2024-02-29T10:00:00Z'",
        "string(duration('1h30m')) == '5400s' && string(duration('-1.5s')) == '-1.5s'",
        "bool('true') && !bool('0')",
        "timestamp(0) == timestamp('1970-01-01T00:00:00Z')",
    ]);
    all_fail(&[
        ("int('7.0') == 7", Reason::Unreadable),
        ("int(9223372036854775808.0) == 0", Reason::OutOfRange),
        ("int(0.0 / 0.0) == 0", Reason::OutOfRange),
        ("uint(-1) == 0u", Reason::OutOfRange),
        ("uint(-0.5) == 0u", Reason::OutOfRange),
        ("int(18446744073709551615u) == 0", Reason::OutOfRange),
        ("string(b'\\xff') == ''", Reason::Unreadable),
        ("bool('maybe')", Reason::Unreadable),
        ("timestamp(identity.claims.region) == now", Reason::Unreadable),
        ("timestamp(253402300800) == now", Reason::OutOfRange),
    ]);
}

#[test]
fn instants_and_lengths() {
    all_hold(&[
        "timestamp('2024-01-01T00:00:00Z') + duration('24h') == timestamp('2024-01-02T00:00:00Z')",
        "duration('1h') + timestamp('2024-01-01T00:00:00Z') > timestamp('2024-01-01T00:59:59.999Z')",
        "timestamp('2024-01-01T00:00:00Z') - duration('1s') == timestamp('2023-12-31T23:59:59Z')",
        "timestamp('2024-01-02T00:00:00Z') - timestamp('2024-01-01T00:00:00Z') == duration('1440m')",
        "duration('1m') + duration('30s') == duration('90s') && duration('1s') - duration('2s') < duration('0')",
        "now.getFullYear() == 2023 && now.getMonth() == 10 && now.getDate() == 14 && now.getDayOfMonth() == 13",
        "now.getDayOfWeek() == 2 && now.getDayOfYear() == 317 && now.getMinutes() == 13 && now.getSeconds() == 20",
        "now.getMilliseconds() == 500 && duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90",
    ]);
    all_fail(&[
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s') == now", Reason::OutOfRange),
        ("timestamp('0001-01-01T00:00:00Z') - duration('1ns') == now", Reason::OutOfRange),
    ]);
}
