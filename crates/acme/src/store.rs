//! The folder in which accounts and certificates are kept.
//!
//! ```text
//! <state>/acme/accounts/<hash of the directory>.json      key and URL of the account
//! <state>/acme/certificates/<host>/cert.pem, key.pem      links into current/
//!                                  current                link to the pair in use
//!                                  pair-…/                cert.pem and key.pem
//!                                  status.json            for operators, and for the next start
//! ```
//!
//! Certificate and key are two files, but must change together, also when the machine stops in between. So each
//! pair has a folder of its own, and one link is moved to it. A reader that opened the certificate before that and
//! opens the key after it sees two that do not belong together; it keeps what it had, and reads again, because the
//! files have changed. The pair before stays on disk for such readers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use crate::{Error, Host, Pair, Status, files};

const CHAIN: &str = "cert.pem";
const KEY: &str = "key.pem";
const CURRENT: &str = "current";
const STATUS: &str = "status.json";
const PAIRS: &str = "pair-";
const PROBE: &str = "writable";

/// The folder in which accounts and certificates are kept.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// In the folder `acme` of a state folder. Nothing is made before there is something to keep.
    pub fn new(state: &Path) -> Store {
        Store { folder: state.join("acme") }
    }

    /// Sees to it that something can be kept here, so that a fault of the folder is found before anything is
    /// ordered. The state folder itself must be there: one that is misspelt would cost a new account, and an order
    /// for each host.
    ///
    /// # Errors
    /// What the system says. `NotFound` and `NotADirectory` are about the state folder itself.
    pub fn prepare(&self) -> io::Result<()> {
        let state = self.folder.parent().unwrap_or(Path::new("."));
        if !fs::metadata(state)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let made = files::make_folder(&self.folder).and_then(|()| {
            let probe = self.folder.join(PROBE);
            files::write(&probe, "", files::SECRET)?;
            fs::remove_file(probe)
        });
        made.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => io::Error::other(error),
            _ => error,
        })
    }

    /// Where the certificate of a host is, or will be.
    pub fn chain_path(&self, host: &Host) -> PathBuf {
        self.host_folder(host).join(CHAIN)
    }

    /// Where the key of a host is, or will be.
    pub fn key_path(&self, host: &Host) -> PathBuf {
        self.host_folder(host).join(KEY)
    }

    /// The hosts that something is known of, in order. A folder that cannot be read holds none.
    pub fn hosts(&self) -> Vec<Host> {
        let Ok(entries) = fs::read_dir(self.folder.join("certificates")) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut hosts: Vec<Host> = names.filter_map(|name| Host::of_folder(&name)).collect();
        hosts.sort_unstable();
        hosts
    }

    /// The certificate of a host; `None` if there is none.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn pair(&self, host: &Host) -> Result<Option<Pair>, Error> {
        let chain = read(&self.chain_path(host))?;
        let key = read(&self.key_path(host))?;
        Ok(chain.zip(key).map(|(chain, key)| Pair { chain, key }))
    }

    /// Puts the certificate of a host in its place.
    ///
    /// # Errors
    /// A file cannot be written. The certificate before is still in its place.
    pub fn set_pair(&self, host: &Host, pair: &Pair) -> Result<(), Error> {
        let folder = self.host_folder(host);
        let tried = || format!("the certificate cannot be kept in {}", folder.display());
        swap_pair(&folder, pair).map_err(|error| Error::new(error.to_string()).after(tried()))
    }

    /// What is remembered about a host.
    pub fn status(&self, host: &Host) -> Status {
        let text = files::read(&self.host_folder(host).join(STATUS)).ok().flatten();
        text.map(|text| Status::from_json(&text)).unwrap_or_default()
    }

    /// Remembers something about a host.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_status(&self, host: &Host, status: &Status) -> Result<(), Error> {
        let folder = self.host_folder(host);
        let path = folder.join(STATUS);
        write(&path, &status.to_json(host.as_str()), files::PLAIN)
    }

    /// The account at a directory; `None` if there is none yet.
    ///
    /// # Errors
    /// The file cannot be read: then there may well be one.
    pub(crate) fn account(&self, directory: &str) -> Result<Option<String>, Error> {
        read(&self.account_path(directory))
    }

    /// Keeps the account at a directory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn set_account(&self, directory: &str, text: &str) -> Result<(), Error> {
        write(&self.account_path(directory), text, files::SECRET)
    }

    /// Puts the account at a directory aside, so that a new one is made. Its key is not thrown away.
    ///
    /// # Errors
    /// The file cannot be moved.
    pub(crate) fn put_account_aside(&self, directory: &str) -> Result<(), Error> {
        let path = self.account_path(directory);
        let aside = path.with_extension("json.old");
        fs::rename(&path, &aside).map_err(|error| at(&path, &error))
    }

    fn host_folder(&self, host: &Host) -> PathBuf {
        self.folder.join("certificates").join(host.folder())
    }

    fn account_path(&self, directory: &str) -> PathBuf {
        let hash = digest(&SHA256, directory.as_bytes());
        let name: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.folder.join("accounts").join(format!("{name}.json"))
    }
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    files::read(path).map_err(|error| at(path, &error))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = files::make_folder(folder).and_then(|()| files::write(path, text, mode));
    written.map_err(|error| at(path, &error))
}

fn at(path: &Path, error: &io::Error) -> Error {
    Error::new(format!("{}: {error}", path.display()))
}

fn swap_pair(folder: &Path, pair: &Pair) -> io::Result<()> {
    files::make_folder(folder)?;
    let before = fs::read_link(folder.join(CURRENT)).ok();
    let name = format!("{PAIRS}{:016x}", fastrand::u64(..));
    let new = folder.join(&name);
    files::make_folder(&new)?;
    files::write_new(&new.join(KEY), &pair.key, files::SECRET)?;
    files::write_new(&new.join(CHAIN), &pair.chain, files::PLAIN)?;
    files::sync_folder(&new)?;
    files::link(&folder.join(CURRENT), Path::new(&name))?;
    for file in [KEY, CHAIN] {
        files::link(&folder.join(file), &Path::new(CURRENT).join(file))?;
    }
    // From here on everything is in its place; what is left over is removed by the next one if not by this.
    for entry in fs::read_dir(folder)?.flatten() {
        let old = entry.file_name();
        let is_pair = old.to_str().is_some_and(|old| old.starts_with(PAIRS));
        let stays = old == *name || before.as_deref().is_some_and(|before| before.as_os_str() == old);
        if is_pair && !stays {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::certificate::tests::pair;
    use crate::moment;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            let path = std::env::temp_dir().join(format!("gateward-acme-{:016x}", fastrand::u64(..)));
            fs::create_dir(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn pairs(store: &Store, host: &Host) -> usize {
        let entries = fs::read_dir(store.host_folder(host)).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PAIRS)).count()
    }

    #[test]
    fn a_folder_is_looked_at_before_it_is_needed() {
        let state = Folder::new();
        let store = Store::new(&state.0);
        store.prepare().unwrap();
        store.prepare().unwrap();
        assert_eq!(fs::read_dir(state.0.join("acme")).unwrap().count(), 0, "nothing is left behind");
        let kind = |state: &Path| Store::new(state).prepare().unwrap_err().kind();
        assert_eq!(kind(&state.0.join("missing")), io::ErrorKind::NotFound);
        assert!(!state.0.join("missing").exists());
        let file = state.0.join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(kind(&file), io::ErrorKind::NotADirectory);
        // A file where the folder has to be is not about the state folder.
        fs::remove_dir(state.0.join("acme")).unwrap();
        fs::write(state.0.join("acme"), "").unwrap();
        assert_ne!(kind(&state.0), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn pairs_are_kept_and_replaced() {
        let state = Folder::new();
        let store = Store::new(&state.0);
        for name in ["a.example", "*.a.example"] {
            let host = Host::parse(name).unwrap();
            assert_eq!(store.pair(&host), Ok(None));
            for _ in 0..4 {
                let pair = pair(&[name], 90);
                store.set_pair(&host, &pair).unwrap();
                assert_eq!(store.pair(&host), Ok(Some(pair)));
            }
            assert_eq!(pairs(&store, &host), 2, "the pair in use and the one before");
            assert_eq!(mode(&store.key_path(&host)), 0o600);
            assert_eq!(mode(&store.host_folder(&host)), 0o700);
        }
        assert_eq!(mode(&state.0.join("acme")), 0o700);
        assert!(state.0.join("acme/certificates/_wildcard.a.example/cert.pem").exists());
        let hosts: Vec<String> = store.hosts().iter().map(Host::to_string).collect();
        assert_eq!(hosts, ["*.a.example", "a.example"]);
    }

    #[test]
    fn what_a_crash_or_a_backup_left_is_no_obstacle() {
        let state = Folder::new();
        let store = Store::new(&state.0);
        let host = Host::parse("a.example").unwrap();
        let folder = store.host_folder(&host);
        fs::create_dir_all(folder.join("pair-half")).unwrap();
        fs::write(folder.join("pair-half/key.pem"), "half").unwrap();
        for left in ["current.new", "cert.pem.new", "status.json.new", "cert.pem", "key.pem"] {
            fs::write(folder.join(left), "left").unwrap();
        }
        let pair = pair(&["a.example"], 90);
        store.set_pair(&host, &pair).unwrap();
        store.set_status(&host, &Status::default()).unwrap();
        assert_eq!(store.pair(&host), Ok(Some(pair)));
        assert_eq!(pairs(&store, &host), 1);
        assert_eq!(mode(&folder), 0o700, "a folder that others could enter is closed");
    }

    #[test]
    fn a_failed_write_leaves_the_old_pair() {
        let state = Folder::new();
        let store = Store::new(&state.0);
        let host = Host::parse("a.example").unwrap();
        let old = pair(&["a.example"], 90);
        store.set_pair(&host, &old).unwrap();
        // Nothing can be moved to a name that a folder has.
        fs::create_dir(store.host_folder(&host).join("current.new")).unwrap();
        let why = store.set_pair(&host, &pair(&["a.example"], 90)).unwrap_err();
        assert!(why.0.contains("cannot be kept in"), "{why}");
        assert_eq!(store.pair(&host), Ok(Some(old)));
    }

    #[test]
    fn accounts_are_kept_apart_and_secret() {
        let state = Folder::new();
        let store = Store::new(&state.0);
        store.set_account("https://a.example/../../x", "one").unwrap();
        store.set_account("https://b.example/", "two").unwrap();
        assert_eq!(store.account("https://a.example/../../x"), Ok(Some("one".to_owned())));
        assert_eq!(store.account("https://b.example/"), Ok(Some("two".to_owned())));
        assert_eq!(mode(&store.account_path("https://b.example/")), 0o600);
        store.put_account_aside("https://b.example/").unwrap();
        assert_eq!(store.account("https://b.example/"), Ok(None));
        assert_eq!(fs::read_dir(state.0.join("acme/accounts")).unwrap().count(), 2);
    }

    #[test]
    fn a_status_is_kept() {
        let state = Folder::new();
        let store = Store::new(&state.0);
        let host = Host::parse("a.example").unwrap();
        assert_eq!(store.status(&host), Status::default());
        let status = Status { obtained: Some(moment::from_unix(1_700_000_000)), ..Status::default() };
        store.set_status(&host, &status).unwrap();
        assert_eq!(store.status(&host), status);
        let text = fs::read_to_string(state.0.join("acme/certificates/a.example/status.json")).unwrap();
        assert!(text.contains("\"obtained\": \"2023-11-14T22:13:20Z\""), "{text}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_a_missing_one() {
        let state = Folder::new();
        let store = Store::new(&state.0);
        fs::create_dir_all(store.account_path("https://a.example/")).unwrap();
        assert!(store.account("https://a.example/").is_err());
    }
}
