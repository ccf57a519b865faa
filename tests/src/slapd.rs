//! A real directory: OpenLDAP's `slapd`, with people and groups in it. Entry points: [`installed`], [`Slapd::start`].

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use crate::certificates::{Authority, Wish};
use crate::peer::{Peer, missing, output_of};
use crate::{Folder, SOON, free_address, wait_until};

/// Where Debian keeps what it comes with.
const SCHEMAS: &str = "/etc/ldap/schema";
const MODULES: &str = "/usr/lib/ldap";

/// Who is in it. Everybody's password is `pw-` and the name. `secret` may not be read by itself, and nobody can log in as
/// `locked`.
const PEOPLE: &str = r"dn: dc=test
objectClass: dcObject
objectClass: organization
o: test

dn: cn=gateway,dc=test
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: pw-gateway

dn: ou=people,dc=test
objectClass: organizationalUnit

dn: uid=ann,ou=people,dc=test
objectClass: inetOrgPerson
cn: Ann Smith
sn: Smith
mail: ann@example.test
employeeType: ops
userPassword: pw-ann

dn: uid=bob,ou=people,dc=test
objectClass: inetOrgPerson
cn: Bob Smith
sn: Smith
mail: bob@example.test
mail: twice@example.test
userPassword: pw-bob

dn: uid=a\2cb*(c)\5c,ou=people,dc=test
objectClass: inetOrgPerson
cn: Odd
sn: Odd
mail: twice@example.test
userPassword: pw-odd

dn: uid=locked,ou=people,dc=test
objectClass: inetOrgPerson
cn: Locked
sn: Locked

dn: ou=hidden,dc=test
objectClass: organizationalUnit

dn: uid=secret,ou=hidden,dc=test
objectClass: inetOrgPerson
cn: Secret
sn: Secret
userPassword: pw-secret

dn: ou=groups,dc=test
objectClass: organizationalUnit

dn: cn=staff,ou=groups,dc=test
objectClass: groupOfNames
member: uid=ann,ou=people,dc=test
member: uid=a\2cb*(c)\5c,ou=people,dc=test

dn: cn=wheel,ou=groups,dc=test
objectClass: posixGroup
gidNumber: 10
memberUid: bob
";

/// A running directory.
pub struct Slapd {
    /// Where it speaks in the clear, and lets clients ask for TLS.
    pub plain: SocketAddr,
    /// Where it speaks TLS, with a certificate for `localhost`.
    pub tls: SocketAddr,
    folder: Folder,
    _server: Peer,
}

/// Whether it is there. Says so if not.
pub fn installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path);
    let found = folders.any(|folder| folder.join("slapd").exists()) && std::path::Path::new(SCHEMAS).exists();
    if !found {
        missing("passwords that a directory verifies", "slapd is not installed: Debian package `slapd`");
    }
    found
}

impl Slapd {
    /// Starts one whose certificate is from `authority`, or that knows nothing of TLS, and waits until it listens.
    pub fn start(authority: Option<&Authority>) -> Slapd {
        let folder = Folder::new();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let (plain, tls) = (free_address(), free_address());
        let mut urls = format!("ldap://{plain}/");
        let mut certificates = String::new();
        if let Some(authority) = authority {
            let own = authority.sign(&Wish::server(&["localhost"]));
            let (cert, key) = (folder.write("own.pem", &own.cert), folder.write("own.key", &own.key));
            let ca = folder.write("ca.pem", authority.cert());
            certificates = format!(
                "TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\nTLSVerifyClient never\n",
                ca.display(),
                cert.display(),
                key.display()
            );
            urls.push_str(&format!(" ldaps://{tls}/"));
        }
        let schemas = ["core", "cosine", "inetorgperson", "nis"]
            .map(|name| format!("include {SCHEMAS}/{name}.schema\n"));
        let config = format!(
            "{}modulepath {MODULES}\nmoduleload back_mdb\npidfile {here}/slapd.pid\nargsfile {here}/slapd.args\n\
             {certificates}\
             database mdb\nsuffix dc=test\nrootdn cn=root,dc=test\ndirectory {}\nmaxsize 10485760\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to dn.subtree=ou=hidden,dc=test by anonymous auth by * none\n\
             access to * by * read\n",
            schemas.concat(),
            data.display(),
            here = folder.path().display(),
        );
        let config = folder.write("slapd.conf", &config);
        let (config, people) = (config.to_str().unwrap(), folder.write("people.ldif", PEOPLE));
        output_of("slapadd", &["-q", "-f", config, "-l", people.to_str().unwrap()]);
        let log = File::create(folder.path().join("slapd.log")).unwrap();
        let mut server = Command::new("slapd");
        // With a level it stays in the foreground, and says what it is asked.
        server.args(["-d", "stats", "-f", config, "-h", &urls]);
        let server =
            server.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let slapd = Slapd { plain, tls, folder, _server: Peer(server) };
        for address in std::iter::once(plain).chain(authority.map(|_| tls)) {
            wait_until("slapd listens", SOON, || TcpStream::connect(address).is_ok());
        }
        slapd
    }

    /// What it was asked, as it says itself.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("slapd.log")).unwrap()
    }

    /// How often it was asked to take somebody for an entry, with a password.
    pub fn binds(&self) -> usize {
        self.log().matches(" method=128").count()
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("── slapd printed ──\n{}───────────────────", self.log());
        }
    }
}
