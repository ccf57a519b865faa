//! Runs every case file under `tests/cases` against the real binary, and reports each by its name.
//!
//! `cargo test -p end-to-end --test cases -- routing/` runs those whose name contains a text.

#![allow(clippy::print_stdout, reason = "it reports like the built-in test runner")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use end_to_end::case::Case;
use end_to_end::play::play;

/// Cases mostly wait, so more of them run at once than there are processors.
const AT_ONCE: usize = 8;

fn main() -> ExitCode {
    let filters: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut all = Vec::new();
    gather(&root, &mut all);
    all.sort();
    let found = all.len();
    let name = |path: &Path| path.strip_prefix(&root).unwrap_or(path).display().to_string();
    all.retain(|path| {
        filters.is_empty() || filters.iter().any(|filter| name(path).contains(filter.as_str()))
    });
    if std::env::args().any(|argument| argument == "--list") {
        for path in &all {
            println!("{}: test", name(path));
        }
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} cases", all.len());
    let started = Instant::now();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::<(String, String)>::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(path) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = run(path);
                    let verdict = if result.is_ok() { "ok" } else { "FAILED" };
                    println!("test {} ... {verdict}", name(path));
                    if let Err(error) = result
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push((name(path), error));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_default();
    for (name, error) in &failures {
        println!("\n---- {name} ----\n{error}");
    }
    println!(
        "\ntest result: {}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failures.is_empty() { "ok" } else { "FAILED" },
        all.len() - failures.len(),
        failures.len(),
        found - all.len(),
        started.elapsed().as_secs_f64()
    );
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

/// Carries out one case; a panic is a failure like any other.
fn run(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let case = Case::parse(&text)?;
    catch_unwind(AssertUnwindSafe(|| play(&case))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
    })
}

fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            gather(&path, found);
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}
