//! `gateward demo`: three sample services, a gateway in front of them, and a little load.

mod load;
mod services;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::arguments::DemoOptions;
use control::{Gateway, Report};
use telemetry::Metrics;

use crate::run;
use crate::{No, output};

/// The configuration, with `@NAME@` where addresses go.
const TEMPLATE: &str = include_str!("gateward.yaml");

/// Starts everything, and stops it at Ctrl-C.
pub(crate) fn demo(options: &DemoOptions) -> Result<(), No> {
    if options.print_config {
        let port = if options.port == 0 { 8080 } else { options.port };
        let address = |offset| SocketAddr::from(([127, 0, 0, 1], port.saturating_add(offset)));
        output::bytes(configuration_text(address(0), [address(1), address(2), address(3)]).as_bytes());
        return Ok(());
    }
    let port = options.port;
    let quiet = options.quiet;
    run::on_control_runtime(async move {
        let mut signals = run::listen_for_signals()?;
        let services = services::start(port)
            .await
            .map_err(|error| failed("cannot start the sample services", &error))?;
        let folder = Folder::make().map_err(|error| failed("cannot write the configuration", &error))?;
        let file = folder.0.join("gateward.yaml");
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        std::fs::write(&file, configuration_text(listen, services))
            .map_err(|error| failed("cannot write the configuration", &error))?;
        let outcome = control::load(&file);
        let Some(snapshot) = outcome.snapshot else {
            output::note(&diagnostics::render_text(&outcome.diagnostics, &outcome.sources, false));
            return Err(No);
        };
        let report: Report = std::rc::Rc::new(|text| output::note(&format!("gateward: {text}")));
        let metrics = Metrics::new(
            env!("CARGO_PKG_VERSION"),
            run::workers_of(&snapshot, None),
            policy::KINDS.iter().map(|kind| kind.name),
        );
        let gateway = Gateway::start(snapshot, metrics, &report).await.map_err(|error| {
            output::note(&format!("gateward: {error}"));
            No
        })?;
        let Some(address) = gateway.addresses().first().copied() else { return Err(No) };
        output::line(&welcome(address, services, &file.display().to_string()));
        if !quiet {
            tokio::task::spawn_local(load::draw(address));
        }
        signals.stop().await;
        output::line("\nStopping.");
        gateway.stop(std::time::Duration::from_secs(2)).await;
        drop(folder);
        Ok(())
    })
}

fn failed(what: &str, error: &std::io::Error) -> No {
    output::note(&format!("gateward demo: {what}: {error}"));
    No
}

/// The configuration for these addresses.
fn configuration_text(listen: SocketAddr, services: [SocketAddr; 3]) -> String {
    let [users, orders, flaky] = services.map(|address| address.to_string());
    TEMPLATE
        .replace("@LISTEN@", &listen.to_string())
        .replace("@USERS@", &users)
        .replace("@ORDERS@", &orders)
        .replace("@FLAKY@", &flaky)
}

fn welcome(gateway: SocketAddr, services: [SocketAddr; 3], file: &str) -> String {
    let [users, orders, flaky] = services;
    format!(
        "\
Gateward is in front of three sample services.

  gateway        http://{gateway}
  users          http://{users}
  orders         http://{orders}
  flaky          http://{flaky}    (slow at times, fails at times)
  configuration  {file}

Five lines worth trying in another terminal:

  curl -i http://{gateway}/users/7                    # a service, and the headers that a policy adds
  curl -i http://{gateway}/orders/42                  # a template: rewritten to /v2/orders/42 for the service
  curl -i http://{gateway}/old/users/7                # a redirect that keeps what is left of the path
  curl -i http://{gateway}/flaky                      # retried when the service fails
  curl -i -d '{{\"too\": \"much for this route\"}}' http://{gateway}/users/7    # refused: 413, with the reason as JSON

Ctrl-C stops everything."
    )
}

/// A folder of its own in the system's place for temporary files, gone with the demo.
struct Folder(PathBuf);

impl Folder {
    fn make() -> std::io::Result<Folder> {
        let path = std::env::temp_dir().join(format!("gateward-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that cannot be removed is left to the system's cleaning of temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_configuration_has_neither_errors_nor_warnings() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = configuration_text(address(0), [address(1), address(2), address(3)]);
        assert!(!text.contains('@'));
        let folder = std::env::temp_dir().join(format!("gateward-demo-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("gateward.yaml");
        std::fs::write(&file, text).unwrap();
        let outcome = control::load(&file);
        let rendered = diagnostics::render_text(&outcome.diagnostics, &outcome.sources, false);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(outcome.snapshot.is_some() && rendered.is_empty(), "{rendered}");
    }
}
