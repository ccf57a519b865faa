//! What the documentation shows works: every whole configuration in it passes `gateward check`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use end_to_end::LEFT_OUT;
use end_to_end::peer::missing;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, SerialNumber, date_time_ymd,
};

/// Writes databases as MaxMind does.
#[path = "../../crates/policy/src/geo/mmdb.rs"]
#[allow(dead_code, reason = "the policy's own tests use more of it")]
mod mmdb;

/// Every Markdown file of the repository that users read, and the pages of policies.
fn pages(root: &Path) -> Vec<PathBuf> {
    let mut pages = vec![root.join("README.md")];
    let mut folders = vec![root.join("docs"), root.join("crates/policy/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The YAML blocks that are whole files: those that begin with their name.
fn whole_files(page: &str) -> Vec<&str> {
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.starts_with("# gateward.yaml")).collect()
}

/// The certificates, keys and lists that the examples name, as they say that they are.
fn make_certificates(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    for name in ["clients", "internal-ca"] {
        fs::write(folder.join(name).with_extension("pem"), &authority).unwrap();
    }
    for (name, host, algorithm) in [
        ("site", "www.example.com", &rcgen::PKCS_ECDSA_P256_SHA256),
        ("site-rsa", "www.example.com", &rcgen::PKCS_RSA_SHA256),
        ("wildcard", "*.example.com", &rcgen::PKCS_ECDSA_P256_SHA256),
        ("gateway", "gateway.internal", &rcgen::PKCS_ECDSA_P256_SHA256),
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate =
            CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        fs::write(folder.join(name).with_extension("pem"), certificate.pem()).unwrap();
        fs::write(folder.join(name).with_extension("key"), key.serialize_pem()).unwrap();
    }
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2100, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    fs::write(folder.join("revoked.pem"), list.signed_by(&issuer).unwrap().pem().unwrap()).unwrap();
}

#[test]
fn every_whole_configuration_passes_the_check() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = std::env::temp_dir().join(format!("gateward-documentation-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    make_certificates(&folder.join("certs"));
    fs::create_dir_all(folder.join("geo")).unwrap();
    let countries = mmdb::database("GeoLite2-Country", &[("10.0.0.0", 8, mmdb::Value::country("DE"))]);
    fs::write(folder.join("geo/GeoLite2-Country.mmdb"), countries).unwrap();
    let (mut checked, mut wrong) = (0, Vec::new());
    for page in pages(root) {
        for block in whole_files(&fs::read_to_string(&page).unwrap()) {
            let file = folder.join("gateward.yaml");
            fs::write(&file, block).unwrap();
            let output = Command::new(end_to_end::binary())
                .args(["check", "--deny-warnings", "-c"])
                .arg(&file)
                .env("MOBILE_KEY", "0123456789abcdef-mobile")
                .env("BATCH_KEY", "0123456789abcdef-batch")
                .output()
                .unwrap();
            checked += 1;
            if String::from_utf8_lossy(&output.stdout).contains(LEFT_OUT) {
                missing(
                    &page.display().to_string(),
                    "the binary is built without it: `make binary` builds it with all",
                );
            } else if !output.status.success() {
                wrong.push(format!(
                    "{}:\n{block}\n{}",
                    page.display(),
                    String::from_utf8_lossy(&output.stdout)
                ));
            }
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(checked >= 10, "only {checked} examples were found");
}
