//! Files as they are written, replaced, broken and taken away.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::{LARGEST, LOOK, watch};
use crate::Endpoint;

/// Whatever should happen has happened by then.
const SOON: Duration = Duration::from_secs(10);

struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("gateward-discovery-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// In place: the file is cut to nothing, and then written.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a watch has told.
struct Told {
    sets: mpsc::Receiver<String>,
    reports: mpsc::Receiver<String>,
}

impl Told {
    async fn set(&mut self) -> String {
        tokio::time::timeout(SOON, self.sets.recv()).await.expect("no new set").unwrap()
    }

    async fn report(&mut self) -> String {
        tokio::time::timeout(SOON, self.reports.recv()).await.expect("no report").unwrap()
    }
}

/// Watches a file, and calls `body` meanwhile. Nothing may be told that the body has not taken.
async fn watching(path: &Path, body: impl AsyncFnOnce(&mut Told)) {
    let (set, sets) = mpsc::channel(100);
    let (said, reports) = mpsc::channel(100);
    let changed = async move |endpoints: Arc<[Endpoint]>| {
        let each: Vec<String> = endpoints.iter().map(|one| one.address.to_string()).collect();
        set.send(each.join(" ")).await.unwrap();
    };
    let report = move |text| said.try_send(text).unwrap();
    let mut told = Told { sets, reports };
    LocalSet::new()
        .run_until(async {
            let watch = tokio::task::spawn_local(watch(path.into(), changed, report));
            body(&mut told).await;
            watch.abort();
        })
        .await;
    let more: Vec<String> =
        std::iter::from_fn(|| told.sets.try_recv().or(told.reports.try_recv()).ok()).collect();
    assert!(more.is_empty(), "{more:?}");
}

#[tokio::test]
async fn a_file_is_followed_however_it_is_replaced() {
    let folder = Folder::new("replaced");
    let path = folder.path("endpoints.yaml");
    folder.write("endpoints.yaml", "- 10.0.0.1:80\n");
    watching(&path, async |told| {
        assert_eq!(told.set().await, "10.0.0.1:80");
        folder.write("endpoints.yaml", "- 10.0.0.2:80\n");
        assert_eq!(told.set().await, "10.0.0.2:80", "in place, of the same size");
        folder.write("new", r#"[{ "targets": ["10.0.0.3:80"] }]"#);
        fs::rename(folder.path("new"), &path).unwrap();
        assert_eq!(told.set().await, "10.0.0.3:80", "by a rename");
        folder.write("endpoints.yaml", "endpoints:\n- 10.0.0.3:80 # the same\n");
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"- 10.0.0.4:80\n").unwrap();
        assert_eq!(told.set().await, "10.0.0.3:80 10.0.0.4:80", "appended to");
        folder.write("endpoints.yaml", "endpoints: []\n");
        assert_eq!(told.set().await, "", "nothing, said in so many words");
    })
    .await;
}

/// Kubernetes mounts `endpoints.yaml -> ..data/endpoints.yaml` and `..data -> ..2026_01`, and replaces `..data`.
#[tokio::test]
async fn a_folder_behind_a_link_is_swapped() {
    let folder = Folder::new("swapped");
    for (version, text) in [("..1", "- 10.0.0.1:80\n"), ("..2", "- 10.0.0.2:80\n")] {
        fs::create_dir(folder.path(version)).unwrap();
        folder.write(&format!("{version}/endpoints.yaml"), text);
    }
    symlink("..1", folder.path("..data")).unwrap();
    symlink("..data/endpoints.yaml", folder.path("endpoints.yaml")).unwrap();
    watching(&folder.path("endpoints.yaml"), async |told| {
        assert_eq!(told.set().await, "10.0.0.1:80");
        symlink("..2", folder.path("..data_tmp")).unwrap();
        fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
        fs::remove_dir_all(folder.path("..1")).unwrap();
        assert_eq!(told.set().await, "10.0.0.2:80");
        fs::remove_file(folder.path("..data")).unwrap();
        assert!(told.report().await.contains("there is no such file"));
        symlink("..2", folder.path("..data")).unwrap();
        assert!(told.report().await.ends_with("can be used again"), "though the file itself has not changed");
    })
    .await;
}

#[tokio::test]
async fn a_bad_file_keeps_the_old_endpoints_and_is_reported_once_for_each_change() {
    let folder = Folder::new("bad");
    let path = folder.path("endpoints.yaml");
    let (name, kept) = (path.display(), "; the last endpoints stay in use");
    folder.write("endpoints.yaml", "- 10.0.0.1:80\n");
    watching(&path, async |told| {
        assert_eq!(told.set().await, "10.0.0.1:80");
        folder.write("endpoints.yaml", "- 10.0.0.1:80\n- app:80\n");
        let report = told.report().await;
        assert!(
            report.starts_with(&format!("{name} cannot be used: line 2, column 3: `app:80` is a name")),
            "{report}"
        );
        assert!(report.contains("`discover: { dns }`") && report.ends_with(kept), "{report}");
        // The same mistake in another file is told again, and an empty file is none without endpoints.
        folder.write("endpoints.yaml", "- 10.0.0.2:80\n- app:80\n");
        assert!(told.report().await.contains("line 2, column 3: "));
        folder.write("endpoints.yaml", "");
        assert!(told.report().await.contains("the file is empty: write `[]` if"));
        folder.write("endpoints.yaml", "- 10.0.0.1:80\n");
        assert_eq!(told.report().await, format!("{name} can be used again"));
        folder.write("endpoints.yaml", "- 10.0.0.2:80\n");
        assert_eq!(told.set().await, "10.0.0.2:80", "and no set in between");
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_taken_away_keeps_the_old_endpoints() {
    let folder = Folder::new("gone");
    let path = folder.path("endpoints.yaml");
    let name = path.display();
    watching(&path, async |told| {
        let report = told.report().await;
        let missing = "cannot be used: there is no such file: write it, or correct the path";
        assert_eq!(report, format!("{name} {missing}; requests to the service get 503 meanwhile"));
        folder.write("endpoints.yaml", "- 10.0.0.1:80\n");
        assert_eq!(told.report().await, format!("{name} can be used again"));
        assert_eq!(told.set().await, "10.0.0.1:80");
        fs::rename(&path, folder.path("aside")).unwrap();
        assert_eq!(told.report().await, format!("{name} {missing}; the last endpoints stay in use"));
        fs::create_dir(&path).unwrap();
        assert!(told.report().await.contains("it is not a file"));
        fs::remove_dir(&path).unwrap();
        assert!(told.report().await.contains(missing));
        fs::rename(folder.path("aside"), &path).unwrap();
        assert_eq!(told.report().await, format!("{name} can be used again"));
        let large = "# ".to_owned() + &"x".repeat(LARGEST as usize);
        folder.write("endpoints.yaml", &large);
        assert!(told.report().await.contains("it is larger than 1 MiB"));
        folder.write("endpoints.yaml", "- 10.0.0.2:80\n");
        assert_eq!(told.report().await, format!("{name} can be used again"));
        assert_eq!(told.set().await, "10.0.0.2:80");
    })
    .await;
}

/// A list grows line by line: none of its shorter forms is used.
#[tokio::test]
async fn a_file_that_is_being_written_is_left_alone() {
    let folder = Folder::new("growing");
    let path = folder.path("endpoints.yaml");
    folder.write("endpoints.yaml", "- 10.0.0.1:80\n");
    watching(&path, async |told| {
        assert_eq!(told.set().await, "10.0.0.1:80");
        let mut file = fs::File::create(&path).unwrap();
        let mut lines = Vec::new();
        let start = Instant::now();
        while start.elapsed() < 2 * LOOK {
            lines.push(format!("10.0.1.{}:80", lines.len() + 1));
            file.write_all(format!("- {}\n", lines[lines.len() - 1]).as_bytes()).unwrap();
            tokio::time::sleep(Duration::from_millis(40)).await; // the pace of the writer
        }
        let mut sorted = lines.clone();
        sorted.sort_by_key(|line| line.parse::<std::net::SocketAddr>().unwrap());
        assert_eq!(told.set().await, sorted.join(" "));
    })
    .await;
}
