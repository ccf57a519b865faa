//! Who is refused, and mistakes in what is written.

use std::net::{IpAddr, Ipv4Addr};

use diagnostics::{Code, Diagnostics, SourceId};
use document::Decode;
use message::RequestHead;

use super::{Raw, Ready, compile};
use crate::scene::see;
use crate::{Flow, RequestState};

fn ready(written: &str) -> Result<Ready, Vec<(Code, String)>> {
    let mut diagnostics = Diagnostics::new();
    let node = document::parse(SourceId(0), written, &mut diagnostics);
    let raw = node.and_then(|node| Raw::decode(&node, &mut diagnostics));
    let ready = raw.and_then(|raw| {
        compile(
            &raw,
            &mut crate::Compiling::new(
                &mut diagnostics,
                &std::sync::Arc::default(),
                &crate::Providers::default(),
            ),
        )
    });
    let said: Vec<_> = diagnostics.iter().map(|one| (one.code, one.message.clone())).collect();
    ready.filter(|_| said.is_empty()).ok_or(said)
}

fn passes(ready: &Ready, agents: &[&[u8]]) -> bool {
    let (mut head, mut state) = (RequestHead::default(), RequestState::default());
    agents.iter().for_each(|agent| head.headers.push(b"User-Agent", agent));
    let flow = see(&mut head, &mut state, IpAddr::V4(Ipv4Addr::LOCALHOST), |cx| ready.on_request(cx));
    match flow {
        Flow::Continue => true,
        Flow::Reply(reply) => {
            assert_eq!(reply.status, 403);
            assert!(String::from_utf8_lossy(&reply.body).contains("\"code\":\"bot-refused\""));
            false
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn programs_are_found_in_any_case_and_exceptions_win() {
    let some = "{ deny: [curl/, \"a.b (c)\", \"~^wget/1\\\\.[0-9]+$\", bücher] }";
    let but = "{ deny: [bot], allow: [googlebot, \"~bingbot/[0-9]\"] }";
    for (written, agent, want) in [
        (some, "curl/8.5.0", false),
        (some, "Mozilla CURL/8", false),
        (some, "curl 8", true),
        (some, "x A.B (C) y", false),
        (some, "x aXb (c)", true),
        (some, "Wget/1.21", false),
        (some, "Wget/1.21.4", true),
        (some, "x Wget/1.21", true),
        (some, "Die Bücher/1", false),
        (some, "Mozilla/5.0 (X11; Linux x86_64)", true),
        (but, "SomeBot/1.0", false),
        (but, "Mozilla/5.0 (compatible; Googlebot/2.1)", true),
        (but, "bingbot/2.0", true),
        (but, "bingbot", false),
        ("{ deny: [\"~.\"], allow: [mine] }", "other", false),
        ("{ deny: [\"~.\"], allow: [mine] }", "mine/1", true),
        ("{ deny: [\"~\\\\bbot\\\\b\"] }", "a bot.", false),
        ("{ deny: [\"~\\\\bbot\\\\b\"] }", "robots", true),
    ] {
        assert_eq!(passes(&ready(written).unwrap(), &[agent.as_bytes()]), want, "{written} {agent}");
    }
}

#[test]
fn bytes_that_are_no_text_are_looked_at_too() {
    let ready = ready("{ deny: [evil, \"~^.x\"] }").unwrap();
    assert!(!passes(&ready, &[b"\xff\xfeEVIL\xff"]));
    assert!(!passes(&ready, &[b"\xffx"]));
    assert!(passes(&ready, &[b"\xff\xff"]));
}

#[test]
fn every_field_counts_and_none_hides_another() {
    let exception = ready("{ deny: [bot], allow: [goodbot] }").unwrap();
    assert!(passes(&exception, &[b"goodbot", b"Mozilla"]));
    assert!(!passes(&exception, &[b"goodbot", b"bot"]));
    assert!(!passes(&exception, &[b"", b"bot"]));
    for (written, agents, want) in [
        ("{ empty: refuse }", &[][..], false),
        ("{ empty: refuse }", &[&b""[..], b" "], false),
        ("{ empty: refuse }", &[b"", b"x"], true),
        ("{ deny: [x] }", &[], true),
        ("{ deny: [\"~.\"] }", &[b" "], true),
    ] {
        assert_eq!(passes(&ready(written).unwrap(), agents), want, "{written} {agents:?}");
    }
}

#[test]
fn the_crawlers_of_the_list_are_refused_and_browsers_are_not() {
    let ready = ready("{ deny: [ai_crawlers, other] }").unwrap();
    for (agent, want) in [
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            false,
        ),
        ("Mozilla/5.0 (compatible; ClaudeBot/1.0; +claudebot@anthropic.com)", false),
        ("CCBot/2.0 (https://commoncrawl.org/faq/)", false),
        ("Mozilla/5.0 (compatible; Bytespider; spider-feedback@bytedance.com)", false),
        ("meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)", false),
        ("Mozilla/5.0 (compatible; PerplexityBot/1.0; +https://perplexity.ai/perplexitybot)", false),
        ("other/1", false),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
            true,
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
            true,
        ),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", true),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", true),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot",
            true,
        ),
        ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", true),
        ("ai_crawlers", true),
    ] {
        assert_eq!(passes(&ready, &[agent.as_bytes()]), want, "{agent}");
    }
}

#[test]
fn a_long_list_is_one_automaton() {
    let names: Vec<String> = (0..1000).map(|n| format!("program-{n:04}/")).collect();
    let ready = ready(&format!("{{ deny: [{}] }}", names.join(", "))).unwrap();
    assert!(names.iter().all(|name| !passes(&ready, &[format!("x {name}1").as_bytes()])));
    assert!(passes(&ready, &[b"program-1000/"]));
}

#[test]
fn mistakes_are_named() {
    let long = format!("{{ deny: [{}] }}", "x".repeat(2000));
    let many = format!("{{ deny: [{}] }}", vec!["a"; 1001].join(", "));
    for (written, code, words) in [
        ("{}", Code::MissingKey, "refuses nothing"),
        ("{ allow: [x] }", Code::MissingKey, "refuses nothing"),
        ("{ allow: [x], empty: refuse }", Code::UnusedSetting, "exceptions from `deny`"),
        ("{ deny: [\"\"] }", Code::InvalidValue, "every program"),
        ("{ deny: [\"~\"] }", Code::InvalidValue, "every program"),
        ("{ deny: [\"~x*\"] }", Code::InvalidRegex, "matches every program"),
        ("{ deny: [\"~(x\"] }", Code::InvalidRegex, "unclosed group"),
        ("{ deny: [\"~(?=x)y\"] }", Code::InvalidRegex, "look-around"),
        ("{ deny: [\"~x.{1,900}y.{1,900}z\"] }", Code::InvalidRegex, "too much memory"),
        (&long, Code::TooLarge, "longer than"),
        (&many, Code::TooLarge, "more than 1000"),
        ("{ deny: [x], empty: no }", Code::InvalidValue, "no"),
        ("{ denny: [x] }", Code::UnknownKey, "denny"),
    ] {
        let said = ready(written).unwrap_err();
        assert!(
            said.len() == 1 && said[0].0 == code && said[0].1.contains(words),
            "{:.60}: {said:?}",
            written
        );
    }
}

#[test]
fn a_refusal_has_a_reason() {
    let ready = ready("{ deny: [ai_crawlers, \"~^wget/\", Curl/], allow: [curl/9], empty: refuse }").unwrap();
    for (agent, want) in [
        ("curl/9.1", None),
        ("CURL/8", Some(("user_agent", "user-agent CURL/8 has Curl/ of deny"))),
        ("Wget/1", Some(("user_agent", "user-agent Wget/1 has ~^wget/ of deny"))),
        ("x gptbot/1", Some(("user_agent", "user-agent x gptbot/1 has GPTBot of deny"))),
        ("", Some(("no_user_agent", "it has no user-agent"))),
    ] {
        let (mut head, mut state) = (RequestHead::default(), RequestState::default());
        head.headers.push(b"User-Agent", agent.as_bytes());
        state.explain();
        see(&mut head, &mut state, IpAddr::V4(Ipv4Addr::LOCALHOST), |cx| ready.on_request(cx));
        let said = state.stopped_by.map(|(_, reason)| (reason, state.remark_of("bots").unwrap_or_default()));
        assert_eq!(said, want, "{agent}");
    }
}
