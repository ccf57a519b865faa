//! How long an evaluation takes; what is printed is shown with `--nocapture`.

use std::hint::black_box;
use std::time::Instant;

use super::*;

#[test]
fn the_time_of_an_evaluation() {
    let request = Request::default();
    for source in [
        r#"request.method == "GET""#,
        r#"identity.claims.region in ["eu", "us"]"#,
        r#"request.headers["x-tier"] == "gold" && size(request.path) < 200"#,
        r#"request.path.startsWith("/b/") || request.method in ["HEAD","GET"]"#,
        r#"request.headers["x-tier"].matches("^gol+d$")"#,
        r#"identity.claims.roles.exists(r, r == "x")"#,
        r#"ip_in(client.ip, "10.0.0.0/8")"#,
    ] {
        let program = compiled(source);
        let rounds = 20_000_u32;
        let start = Instant::now();
        for _ in 0..rounds {
            assert_eq!(black_box(&program).evaluate(black_box(&request)), Ok(true));
        }
        println!("{:>6} ns  {source}", start.elapsed().as_nanos() / u128::from(rounds));
    }
}
