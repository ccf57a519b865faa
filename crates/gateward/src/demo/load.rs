//! A little load on the demo's gateway, and a line about it now and then.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::output;

const PATHS: [&str; 6] = ["/users/1", "/orders/42", "/flaky", "/ping", "/old/users/3", "/nowhere"];
/// Between two requests.
const PACE: Duration = Duration::from_millis(50);
/// Requests between two lines.
const REPORT: u32 = 100;

/// Sends one request after another until the demo ends.
pub(super) async fn draw(gateway: SocketAddr) {
    let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
    let mut sent = 0;
    for path in PATHS.iter().cycle() {
        tokio::time::sleep(PACE).await;
        let status = tokio::time::timeout(Duration::from_secs(10), get(gateway, path)).await;
        *statuses.entry(status.ok().and_then(Result::ok).unwrap_or(0)).or_default() += 1;
        sent += 1;
        if sent % REPORT == 0 {
            let counts: Vec<String> =
                statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
            output::line(&format!("load: {sent} requests so far; answers by status: {}", counts.join(", ")));
        }
    }
}

/// The status of one GET.
async fn get(gateway: SocketAddr, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(gateway).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {gateway}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer).await?;
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    Ok(status.and_then(|digits| digits.parse().ok()).unwrap_or(0))
}
