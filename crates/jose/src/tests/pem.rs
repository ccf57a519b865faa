//! Public keys and certificates in PEM, as other software writes them (OpenSSL 3). They belong to nobody.

/// An RSA key of 2048 bits.
pub(super) const RSA: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwNXEk4mumt3ArsIyQHOt
vVgI+5+c3AatD2TaAoa2hwrc936npK5YGH/Lb/I8wQj8jIaZKtFUQKWPPaJzG9rs
bwuGjCVRPcKNVkfFZHnNzVU0ZRI9P3Xg/QpZ4YCfqqrTp8BYcyZ8Iu09jFI3qSBs
5uZPu7lP6gjVYHpitUBVZ8pP3UqA0BAAulq3SSsCpAFF8h5T+fz2rruMgXWqUzPy
IsYrkq4YbVKxxesoFyk0ZmGWvkGVqL3N/m6Lo1A2pK4zx5ttyN/WbbbdfAqXjB3m
DvNmpyF3Emi5bblW5RuKFiSTX3Hy/l0ttwneRia7LS6Sbt8XshUvxk7/ucA33eZq
DQIDAQAB
-----END PUBLIC KEY-----
";

/// A certificate of the same key.
pub(super) const RSA_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIDBTCCAe2gAwIBAgIUQy09Siw1bNy9cd+doi4wmNAxeaswDQYJKoZIhvcNAQEL
BQAwEjEQMA4GA1UEAwwHZXhhbXBsZTAeFw0yNjExMjYwNTUyMzhaFw0yNjExMjcw
NTUyMzhaMBIxEDAOBgNVBAMMB2V4YW1wbGUwggEiMA0GCSqGSIb3DQEBAQUAA4IB
DwAwggEKAoIBAQDA1cSTia6a3cCuwjJAc629WAj7n5zcBq0PZNoChraHCtz3fqek
rlgYf8tv8jzBCPyMhpkq0VRApY89onMb2uxvC4aMJVE9wo1WR8Vkec3NVTRlEj0/
deD9ClnhgJ+qqtOnwFhzJnwi7T2MUjepIGzm5k+7uU/qCNVgemK1QFVnyk/dSoDQ
EAC6WrdJKwKkAUXyHlP5/Pauu4yBdapTM/IixiuSrhhtUrHF6ygXKTRmYZa+QZWo
vc3+boujUDakrjPHm23I39Zttt18CpeMHeYO82anIXcSaLltuVblG4oWJJNfcfL+
XS23Cd5GJrstLpJu3xeyFS/GTv+5wDfd5moNAgMBAAGjUzBRMB0GA1UdDgQWBBQh
KANG9IIM8drqPv0IXuJuncHAFDAfBgNVHSMEGDAWgBQhKANG9IIM8drqPv0IXuJu
ncHAFDAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBCwUAA4IBAQC0k5mJDcpF
k4RNMEi3D8u7b8TayPs/qd8mYK+Xw023CIvJwoa5FCVMm8wwNV5faOihuAPNop+o
c0wX1DqoogkJZX4DND4RCYCjnXc+5eAsg6dtPWHUHtkyMIgBVzzYhRDaQbk81k91
wdpJ9Xe9MFiFsrGkcT91oJerAhy3nus0U309kUAqKj5u+EXacrdy9FS0Dc1GSt+2
ARx71UwPNXTFgRRq09jSjsBFQrOFbN20GSNag+8joa0KHu6hMgpGyMxEEOvVPsNV
2uInS8Fc763sr0vSYryoDqLLYxboPq6xHGLO45M+u+wzqjakyPMIOxRb0smucQkF
1vhkdpuYWV4O
-----END CERTIFICATE-----
";

/// The same key in PKCS #1, which is not taken.
pub(super) const RSA_PKCS1: &str = "\
-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAwNXEk4mumt3ArsIyQHOtvVgI+5+c3AatD2TaAoa2hwrc936npK5Y
GH/Lb/I8wQj8jIaZKtFUQKWPPaJzG9rsbwuGjCVRPcKNVkfFZHnNzVU0ZRI9P3Xg
/QpZ4YCfqqrTp8BYcyZ8Iu09jFI3qSBs5uZPu7lP6gjVYHpitUBVZ8pP3UqA0BAA
ulq3SSsCpAFF8h5T+fz2rruMgXWqUzPyIsYrkq4YbVKxxesoFyk0ZmGWvkGVqL3N
/m6Lo1A2pK4zx5ttyN/WbbbdfAqXjB3mDvNmpyF3Emi5bblW5RuKFiSTX3Hy/l0t
twneRia7LS6Sbt8XshUvxk7/ucA33eZqDQIDAQAB
-----END RSA PUBLIC KEY-----
";

/// An RSA key of 1024 bits.
pub(super) const RSA_1024: &str = "\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC6vFmk3UrgneamHHxc8z0e818C
D7Wt2RA2atpGfyuX3cJ+7bxeKrGiyJEGNiHL6tIIfFwu02p4ldputSWHvC67wRpq
C/E26ycaviPJaxuijCFPzxE+z06TigBWIqOo2+WPFRha/FTXXvlDxpC2m/58p3AP
rvuHoGSFqNnbYHv8wQIDAQAB
-----END PUBLIC KEY-----
";

/// A key on P-256.
pub(super) const P256: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJlZmFyTlCVKWhmcOQuOI2mzOz9me
8LMVwog2DqnLVt9HMXqhzHJ3v9nq+Py0wLCi5HlstAj/CHhZgiB+/m87cQ==
-----END PUBLIC KEY-----
";

/// The same key, its point compressed.
pub(super) const P256_COMPRESSED: &str = "\
-----BEGIN PUBLIC KEY-----
MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADJlZmFyTlCVKWhmcOQuOI2mzOz9me
8LMVwog2DqnLVt8=
-----END PUBLIC KEY-----
";

/// A key on P-384.
pub(super) const P384: &str = "\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEZ3blxYNtEBIcfbqQL8L10MYQBCQxbdkz
JWIKJZ1iZFVCzffMbk1KZ1iVqrCCLRhIpenRpOj4LTnihk1Km50Evv8vrwJMJR3x
bMceS23Fj7LKMaSRoRalNTc8bslEovtw
-----END PUBLIC KEY-----
";

/// A key on P-521.
pub(super) const P521: &str = "\
-----BEGIN PUBLIC KEY-----
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQABms3CNUl49Oc41MeVv6zhWHn2Jqv
eLX9BeO/x+/KjEVq8PVpCUkhEHcspOdN08rk/y7TuAOmBhVp5b+YLThV/hoAUJDf
SeowlIV2VRvBGlXYqzG8W+6z2BcWBK4FntzpsJiZCHnp7gslmOzEftxtUwuwx82g
Y1Y9qJhMtjKN4oh8DLw=
-----END PUBLIC KEY-----
";

/// A key on secp256k1.
pub(super) const SECP256K1: &str = "\
-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEbrB0tnp3v2wnTqQr//PcQHEel/txNHrt
3xpSN+KQoytG9J5s7cCKgcON138VKWGT33wGEcOw+pkjvjLhucgjIQ==
-----END PUBLIC KEY-----
";

/// An Ed25519 key.
pub(super) const ED25519: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAFIrGPgQPmIw6i/JFInUedxI6Pa1dHqYmdBRI0glUco0=
-----END PUBLIC KEY-----
";

/// A certificate of the same key.
pub(super) const ED25519_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBLDCB36ADAgECAhRmz+m/Za0QcLvQO3CZbomRViBPTjAFBgMrZXAwDDEKMAgG
A1UEAwwBZTAeFw0yNjExMjYwNTUyMzhaFw0yNjExMjcwNTUyMzhaMAwxCjAIBgNV
BAMMAWUwKjAFBgMrZXADIQAUisY+BA+YjDqL8kUidR53Ejo9rV0epiZ0FEjSCVRy
jaNTMFEwHQYDVR0OBBYEFJGl2aPiGC+y5LzczmY3gGxHNclNMB8GA1UdIwQYMBaA
FJGl2aPiGC+y5LzczmY3gGxHNclNMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EA
W0yuMJGK7vU2JknXaNQXkAMOgA9mPO+sUv8B4XJZL/7I5tCgbuUciHAKpKepJgGu
QkMzCp1JIJtPG2FMKZuOAA==
-----END CERTIFICATE-----
";

/// An Ed448 key.
pub(super) const ED448: &str = "\
-----BEGIN PUBLIC KEY-----
MEMwBQYDK2VxAzoA/f1w7k+56rsG7d6L0Zfwpri6YurHYOThmzuUO8cpto6t4chS
obTyEmnpNOmojbIdp+VtwPPaZqyA
-----END PUBLIC KEY-----
";
