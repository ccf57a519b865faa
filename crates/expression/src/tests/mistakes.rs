//! What is refused at load: the place, the message and the help.

use super::*;

/// A source in which the place of the only mistake stands between `«` and `»`, a part of its message, and one of its
/// help.
fn check(cases: &[(&str, &str, &str)]) {
    for (marked, message, help) in cases {
        let source = marked.replace(['«', '»'], "");
        let start = marked.find('«').unwrap();
        let end = marked.find('»').unwrap() - '«'.len_utf8();
        let found = mistakes(&source);
        let [mistake] = found.as_slice() else { panic!("{source}: {found:#?}") };
        assert_eq!((mistake.start, mistake.end), (start, end), "{source}: {mistake:#?}");
        assert!(mistake.message.contains(message), "{source}: {mistake:#?}");
        assert!(mistake.help.as_deref().unwrap_or("").contains(help), "{source}: {mistake:#?}");
    }
}

#[test]
fn of_the_grammar() {
    check(&[
        ("«»", "it ends where a value is expected", ""),
        ("1 +«»", "it ends where a value is expected", ""),
        ("request.method «=» 'GET'", "`=` has no meaning", "`==`"),
        ("true «&» false", "`&` has no meaning", "`&&`"),
        ("true «and» false", "`and` stands where an operator", "`&&`"),
        ("true «or» false", "`or` stands where", "`||`"),
        ("«not» true", "no `not`", "`!`"),
        ("request.path == «'/a»", "not closed", ""),
        ("request.path == «“»/a", "`“` has no meaning", "straight quotes"),
        ("size(request.path«»", "it ends where `)`", "`(` at byte 4"),
        ("[1, 2«)» == []", "`)` stands where `]`", "`[` at byte 0"),
        ("size(1,«)»", "`)` stands where an argument", ""),
        ("true ? false«»", "it ends where `:`", ""),
        ("request«.1» == 2", "", ""),
        ("true «true»", "`true` stands where an operator", ""),
        ("«while» == 1", "reserved word", ""),
        ("Foo«{»a: 1} == 1", "`{` stands", "messages"),
        ("'ä«\\q»' == 'a'", "escape", "raw string"),
        ("«9223372036854775808» == 1", "too large for an int", "9223372036854775807"),
        ("«18446744073709551616u» == 1u", "too large for a uint", ""),
        ("«1e999» == 1.0", "too large for a double", ""),
        ("«12ab» == 1", "not a number", ""),
        ("request.method == 'GET'«;»", "`;` has no meaning", ""),
        ("request.«?»method == ''", "`?` stands where the name", ""),
    ]);
    let found = mistakes("a = b; «");
    assert_eq!(
        found.iter().map(|mistake| mistake.start).collect::<Vec<_>>(),
        [2, 5, 7],
        "all of them at once"
    );
}

#[test]
fn of_names() {
    check(&[
        ("«reqest».path == ''", "no variable `reqest`", "`request`"),
        ("request.«methd» == ''", "`request` has no field `methd`", "`request.method`"),
        ("request.«body» == ''", "no field `body`", "`method`, `path`"),
        ("«method» == 'GET'", "no variable `method`", "`request.method`"),
        ("request.method == «GET»", "no variable `GET`", "in quotes: \"GET\""),
        ("«request» == 1", "not a value but a group", "`method`"),
        ("«identity».exists(x, true)", "not a value but a group", ""),
        ("has(«request»)", "takes a field", ""),
        ("has(request.«meth»)", "no field `meth`", "`request.method`"),
        ("has(«request.headers['x']»)", "takes a field", "\"key\" in map"),
        ("[1].all(item, «itm» == 1)", "no variable `itm`", "`item`"),
        ("[1].all(x, true) && «x» == 1", "no variable `x`", ""),
        ("request.path.«startswith»('/')", "no function `startswith`", "`x.startsWith(…)`"),
        ("«length»(request.path) > 1", "no function `length`", ""),
        ("«contains»(request.path, 'a')", "called on a value", "`x.contains(…)`"),
        ("request.path.«int»() == 1", "called without a value before it", "`int(…)`"),
        ("request.path.«size» == 1", "string has no field `size`", "`size()`"),
        ("request.headers[«'X-Tier'»] == ''", "keys are in lower case", "x-tier"),
        ("«'Host'» in request.headers", "keys are in lower case", "\"host\""),
        ("has(request.headers.«Host»)", "keys are in lower case", "\"host\""),
    ]);
}

#[test]
fn of_types() {
    check(&[
        ("«request.path»", "of type string, but bool is needed", "compare it"),
        ("«size(request.path)»", "of type int, but bool is needed", "> 0"),
        ("size(«1») == 1", "`size` takes string or bytes or list or map, but this is int", ""),
        ("«\"a\" < 1»", "`<` cannot order string and int", "`int(…)`"),
        ("«request.path == 1»", "never equal", "string(…)"),
        ("«request.path == null»", "never equal", "has"),
        ("«1 < 2 < 3»", "cannot order bool and int", "a < b && b < c"),
        ("'a' in «request.path»", "looks into a list or a map", "contains"),
        ("«1» in identity.groups", "int is never in list(string)", ""),
        ("request.method == 'GET' || «'HEAD'»", "`||` takes bool", "in [a, b]"),
        ("!«request.method»", "`!` takes bool, but this is string", ""),
        ("«request.path» ? true : false", "takes bool", ""),
        ("«-request.path» == ''", "`-` takes int or double", ""),
        ("«1 + 1.0» == 2.0", "no int `+` double", "double(…)"),
        ("«'a' + 1» == 'a1'", "no string `+` int", "string(…)"),
        ("«now + 1» == now", "no timestamp `+` int", "duration"),
        ("«true + true» == 2", "no bool `+` bool", ""),
        ("«now > '2030-01-01'»", "cannot order timestamp and string", "timestamp("),
        ("request.headers[«1»] == ''", "the key is int, but map(string, string) is indexed by string", ""),
        ("«request.path»[0] == 'a'", "string has no elements", ""),
        ("«size(request.path, 1)» == 1", "takes 1 argument, not 2", ""),
        ("«request.path.startsWith()»", "takes 1 argument, not 0", ""),
        ("request.path.startsWith(«1»)", "`startsWith` takes string, but this is int", ""),
        ("«sample(1)»", "`sample` does not take (int)", "`sample(double)`"),
        ("«sample()»", "`sample` does not take ()", ""),
        ("identity.groups.all(x, «x»)", "`all` takes bool, but this is string", ""),
        ("«request.path».all(x, true)", "goes through a list or a map", ""),
        ("identity.groups.all(«1», true)", "a name for the element", ""),
        ("«identity.groups.exists(x)»", "not 1 arguments", "list.exists(x, condition)"),
        ("«has(request.path, 1)»", "takes one field", ""),
        ("{«1.5»: 1} == {}", "a key of a map is", ""),
        ("[1].all(a, [1].all(b, [1].«all»(c, true)))", "at most 2 deep", "multiplies"),
    ]);
}

#[test]
fn of_literals_that_are_prepared() {
    check(&[
        ("request.path.matches(«'(a'»)", "not valid: unclosed group", ""),
        ("request.path.matches(«'(\\\\w{100}){100}'»)", "needs more than", ""),
        ("request.path.matches(«request.method»)", "must be a literal", "compiled once"),
        ("«request.path.matches()»", "not called like this", "text.matches"),
        ("«[1]».matches('a')", "takes string", ""),
        ("ip_in(client.ip, «'10.0.0.0/33'»)", "not a network", "at most 32"),
        ("ip_in(client.ip, «'10.0.0.1/8'»)", "not a network", "`10.0.0.0/8`"),
        ("ip_in(client.ip, «request.path»)", "must be a literal", "10.0.0.0/8"),
        ("ip_in(client.ip, ['10.0.0.0/8', «'ten'»])", "`ten` is not a network", ""),
        ("«ip_in(client.ip)»", "not called like this", ""),
        ("now < timestamp(«'tomorrow'»)", "`tomorrow` is no timestamp", "2030"),
        ("duration(«'1 hour'») > duration('1h')", "`1 hour` is no duration", "1h30m"),
    ]);
}

#[test]
fn all_of_them_are_found_at_once() {
    let found = mistakes("reqest.path == 1 && size(1) == 2 && 'a' in 'b' || request.path.matches('(') || 3");
    let starts: Vec<usize> = found.iter().map(|mistake| mistake.start).collect();
    assert_eq!(starts, [0, 25, 43, 71, 79], "{found:#?}");
}
