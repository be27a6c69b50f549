//! Who a server is: its own certificate authority, or the certificate that its operator brings.
//!
//! `ca.pem` and `ca.key` are made once and are what nodes pin; `tls.pem` and `tls.key` are made out to the
//! [`FEDERATION_NAME`], and anew, under the same authority, when they run out or the server's address changes.

mod certificate;
mod pem;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use commonweal_core::Digest;
use commonweal_wire::{FEDERATION_NAME, ServerIdentity};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::ServerConfig;
use crate::store::create_private_folder;

pub use certificate::Dates;

/// The authority's certificate in a data directory.
pub const CA_CERTIFICATE: &str = "ca.pem";
/// The authority's key.
pub const CA_KEY: &str = "ca.key";
/// The server's certificate, followed by the authority's.
pub const TLS_CERTIFICATE: &str = "tls.pem";
/// The server's key.
pub const TLS_KEY: &str = "tls.key";
/// Held while certificates are made: a server and a command may begin at once.
const LOCK: &str = "ca.lock";

/// A server's certificates and key.
pub struct Authority {
    shown: Arc<Shown>,
    identity: ServerIdentity,
    certificates: Vec<CertificateFile>,
}

/// What connections are shown: the server's own certificate first. Changed without a restart.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

/// A certificate that lies in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFile {
    /// The file.
    pub path: PathBuf,
    /// From when to when it is good.
    pub dates: Dates,
}

/// Why a server does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is not what it is called.
    #[error("{} holds no {expected} in PEM", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The authority's certificate is there and its key is not.
    #[error(
        "{} is missing: without it no certificate can be made that nodes trust. Restore it from a backup", path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key are not of each other.
    #[error("{} is not the key of {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// No certificate can be made.
    #[error("no certificate can be made for {}: {what}", names.join(", "))]
    Unmade {
        /// Whom it was to be made out to.
        names: Vec<String>,
        /// What is wrong.
        what: String,
    },
    /// TLS refuses to work with them.
    #[error("{} cannot be used: {source}", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
}

impl Authority {
    /// The certificates of a configuration's data directory, made or renewed where that is due at `now`; or the
    /// operator's own.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn open(config: &ServerConfig, now: SystemTime) -> Result<Self, AuthorityError> {
        match (&config.tls_cert, &config.tls_key) {
            (Some(certificate), Some(key)) => Self::of_operator(config, certificate, key),
            _ => Self::of_folder(config, now),
        }
    }

    /// How a node knows this server.
    #[must_use]
    pub fn identity(&self) -> &ServerIdentity {
        &self.identity
    }

    /// SHA-256 of the authority's certificate; none if the certificate is the operator's own.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Digest> {
        match &self.identity {
            ServerIdentity::Authority(digest) => Some(*digest),
            ServerIdentity::Name(_) => None,
        }
    }

    /// The certificates, as they lie in their files: for a look at their dates.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateFile] {
        &self.certificates
    }

    /// TLS with these certificates, for HTTP/1.1.
    ///
    /// # Errors
    /// [`AuthorityError::Unusable`].
    pub fn tls_config(&self) -> Result<Arc<rustls::ServerConfig>, AuthorityError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| self.unusable(source))?;
        let shown: Arc<dyn ResolvesServerCert> = self.shown.clone();
        let mut config = versions.with_no_client_auth().with_cert_resolver(shown);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A ticket that a client never reads makes the end of its connection a reset, and what it had sent is lost.
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// Looks at the certificates again: renews the server's own where that is due at `now`, takes up an operator's that
    /// has changed in its files. Connections from then on are shown the new one. Says whether it is another one.
    ///
    /// # Errors
    /// [`AuthorityError`]; the server goes on with what it has.
    pub fn renew(&self, config: &ServerConfig, now: SystemTime) -> Result<bool, AuthorityError> {
        let (before, fresh) = (self.shown.get(), Self::open(config, now)?.shown.get());
        let is_new = before.cert != fresh.cert;
        if is_new {
            *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        Ok(is_new)
    }

    fn unusable(&self, source: rustls::Error) -> AuthorityError {
        let path = self.certificates.first().map(|it| it.path.clone());
        AuthorityError::Unusable {
            path: path.unwrap_or_default(),
            source,
        }
    }

    fn of_operator(
        config: &ServerConfig,
        certificate: &Path,
        key: &Path,
    ) -> Result<Self, AuthorityError> {
        let chain = pem::certificates(certificate)?;
        let dates = certificate::dates(certificate, &chain[0])?;
        Ok(Self {
            shown: Shown::new(certificate, chain, pem::key(key)?)?,
            identity: ServerIdentity::Name(config.public_url().host().to_owned()),
            certificates: vec![CertificateFile {
                path: certificate.to_path_buf(),
                dates,
            }],
        })
    }

    fn of_folder(config: &ServerConfig, now: SystemTime) -> Result<Self, AuthorityError> {
        let folder = &config.data_dir;
        let _held = lock(folder)?;
        let (authority_path, tls_path) =
            (folder.join(CA_CERTIFICATE), folder.join(TLS_CERTIFICATE));
        let issuer = certificate::Issuer::open(&authority_path, &folder.join(CA_KEY), now)?;
        let names = names(config);
        let (chain, key) = issuer.server(&tls_path, &folder.join(TLS_KEY), &names, now)?;
        let dates = |path: PathBuf, der| {
            let dates = certificate::dates(&path, der)?;
            Ok(CertificateFile { path, dates })
        };
        let shown = Shown::new(&tls_path, chain.clone(), key)?;
        let certificates = vec![
            dates(tls_path, &chain[0])?,
            dates(authority_path, issuer.certificate())?,
        ];
        Ok(Self {
            identity: ServerIdentity::Authority(Digest::of(issuer.certificate())),
            certificates,
            shown,
        })
    }
}

impl Shown {
    fn new(
        path: &Path,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<Self>, AuthorityError> {
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let certified = certified.map_err(|source| AuthorityError::Unusable {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Arc::new(Self(RwLock::new(Arc::new(certified)))))
    }

    fn get(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

/// Whom the certificate is made out to.
fn names(config: &ServerConfig) -> Vec<String> {
    let mut names = vec![FEDERATION_NAME.to_owned()];
    let mut add = |name: String| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    add(config.public_url().host().to_ascii_lowercase());
    if !config.listen.ip().is_unspecified() {
        add(config.listen.ip().to_string());
    }
    for own in ["localhost", "127.0.0.1", "::1"] {
        add(own.to_owned());
    }
    names
}

fn lock(folder: &Path) -> Result<File, AuthorityError> {
    let path = folder.join(LOCK);
    let locked = create_private_folder(folder)
        .and_then(|()| File::options().create(true).append(true).open(&path))
        .and_then(|file| file.lock().map(|()| file));
    locked.map_err(|source| AuthorityError::Unwritten { path, source })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    const DAY_SECONDS: u64 = 24 * 60 * 60;

    fn day(day: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(day * DAY_SECONDS)
    }

    fn config(folder: &Path) -> ServerConfig {
        ServerConfig {
            public_url: crate::config::PublicUrl::parse("https://fl.example.org:7070").ok(),
            ..ServerConfig::of(folder)
        }
    }

    fn chain(authority: &Authority) -> Vec<CertificateDer<'static>> {
        authority.shown.get().cert.clone()
    }

    /// Whether a node that has pinned `root` takes `authority` for `name`.
    fn is_trusted(
        authority: &Authority,
        root: &CertificateDer<'static>,
        name: &str,
        at: u64,
    ) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(at * DAY_SECONDS));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let chain = chain(authority);
        let (own, others) = chain.split_first().unwrap();
        let verified = verifier
            .build()
            .unwrap()
            .verify_server_cert(own, others, &name, &[], now);
        verified.is_ok()
    }

    #[test]
    fn a_first_start_makes_a_certificate_for_each_name_of_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(&config(folder.path()), day(20_000)).unwrap();
        let root = &chain(&authority)[1];
        for name in [
            FEDERATION_NAME,
            "fl.example.org",
            "localhost",
            "127.0.0.1",
            "::1",
        ] {
            assert!(is_trusted(&authority, root, name, 20_000), "{name}");
        }
        assert!(!is_trusted(&authority, root, "other.example.org", 20_000));
        assert_eq!(authority.fingerprint(), Some(Digest::of(root)));
        let tls = authority.tls_config().unwrap();
        assert_eq!(tls.alpn_protocols, [b"http/1.1"]);
    }

    #[test]
    fn a_clock_that_is_a_day_behind_takes_a_new_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(&config(folder.path()), day(20_000)).unwrap();
        assert!(is_trusted(
            &authority,
            &chain(&authority)[1],
            FEDERATION_NAME,
            19_999
        ));
    }

    #[test]
    fn a_second_start_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(&config(folder.path()), day(20_000)).unwrap();
        let second = Authority::open(&config(folder.path()), day(20_200)).unwrap();
        assert_eq!(chain(&first), chain(&second));
    }

    #[test]
    fn a_certificate_that_runs_out_is_renewed_and_joined_nodes_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(&config(folder.path()), day(20_000)).unwrap();
        let renewed = Authority::open(&config(folder.path()), day(20_300)).unwrap();
        assert_ne!(chain(&first)[0], chain(&renewed)[0]);
        assert_eq!(first.identity, renewed.identity);
        assert!(!is_trusted(
            &first,
            &chain(&first)[1],
            FEDERATION_NAME,
            20_600
        ));
        assert!(is_trusted(
            &renewed,
            &chain(&first)[1],
            FEDERATION_NAME,
            20_600
        ));
    }

    #[test]
    fn a_server_at_work_renews_its_certificate_once_that_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let authority = Authority::open(&config, day(20_000)).unwrap();
        let before = chain(&authority);
        assert!(!authority.renew(&config, day(20_200)).unwrap());
        assert_eq!(chain(&authority), before);
        assert!(authority.renew(&config, day(20_300)).unwrap());
        assert!(is_trusted(&authority, &before[1], FEDERATION_NAME, 20_600));
    }

    #[test]
    fn another_address_makes_another_certificate_under_the_same_authority() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(&config(folder.path()), day(20_000)).unwrap();
        let moved = ServerConfig {
            public_url: crate::config::PublicUrl::parse("https://moved.example.org").ok(),
            ..ServerConfig::of(folder.path())
        };
        let second = Authority::open(&moved, day(20_001)).unwrap();
        assert!(is_trusted(
            &second,
            &chain(&first)[1],
            "moved.example.org",
            20_001
        ));
    }

    #[test]
    fn a_half_written_certificate_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(&config(folder.path()), day(20_000)).unwrap();
        std::fs::remove_file(folder.path().join(TLS_KEY)).unwrap();
        let second = Authority::open(&config(folder.path()), day(20_000)).unwrap();
        assert_eq!(first.identity, second.identity);
        second.tls_config().unwrap();
    }

    #[test]
    fn an_authority_that_lost_its_key_is_not_replaced_by_another() {
        let folder = tempfile::tempdir().unwrap();
        Authority::open(&config(folder.path()), day(20_000)).unwrap();
        std::fs::remove_file(folder.path().join(CA_KEY)).unwrap();
        let lost = Authority::open(&config(folder.path()), day(20_000));
        assert!(matches!(lost, Err(AuthorityError::NoKey { .. })));

        let other = tempfile::tempdir().unwrap();
        Authority::open(&config(other.path()), day(20_000)).unwrap();
        std::fs::copy(other.path().join(CA_KEY), folder.path().join(CA_KEY)).unwrap();
        let foreign = Authority::open(&config(folder.path()), day(20_000));
        assert!(matches!(foreign, Err(AuthorityError::Mismatch { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        Authority::open(&config(folder.path()), day(20_000)).unwrap();
        for name in [CA_KEY, TLS_KEY] {
            let mode = folder
                .path()
                .join(name)
                .metadata()
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn an_operators_certificate_is_known_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        Authority::open(&config(folder.path()), day(20_000)).unwrap();
        let own = ServerConfig {
            tls_cert: Some(folder.path().join(TLS_CERTIFICATE)),
            tls_key: Some(folder.path().join(TLS_KEY)),
            ..config(folder.path())
        };
        let authority = Authority::open(&own, day(20_000)).unwrap();
        let name = ServerIdentity::Name("fl.example.org".to_owned());
        assert_eq!(authority.identity(), &name);
        assert_eq!(authority.fingerprint(), None);
        authority.tls_config().unwrap();

        let wrong = ServerConfig {
            tls_key: Some(folder.path().join(CA_KEY)),
            ..own
        };
        let refused = Authority::open(&wrong, day(20_000));
        assert!(matches!(refused, Err(AuthorityError::Unusable { .. })));
    }
}
