//! How a node knows its server: by the federation's own authority, or by a name that this machine's roots vouch for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use commonweal_core::Digest;
use commonweal_disk::file::{FileError, read_bytes};
use commonweal_wire::{FEDERATION_NAME, ServerIdentity};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Looks at the certificates of every connection, and remembers why it refused the last one.
#[derive(Debug)]
pub struct Trust {
    server: ServerIdentity,
    /// The host of the server's address, as it was given.
    host: String,
    /// The same as what is connected to; a connection to another one is to a proxy.
    name: Option<ServerName<'static>>,
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    algorithms: WebPkiSupportedAlgorithms,
    by_roots: OnceLock<Result<Arc<WebPkiServerVerifier>, Error>>,
    refused: Mutex<Option<Unverified>>,
}

/// Why a server's certificates were refused: what is known of who answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The federation's certificate, but of another authority.
    #[error(
        "the server at {host} is a Commonweal server of another authority: it has {}, the join string says {expected}. \
         Either the server was set up anew, then ask its administrator for a new join string; or somebody stands in \
         between", found.as_ref().map_or_else(|| "none".to_owned(), Digest::to_string)
    )]
    OtherAuthority {
        /// The address's host.
        host: String,
        /// The fingerprint that was pinned.
        expected: Digest,
        /// That of the authority that was found.
        found: Option<Digest>,
    },
    /// Somebody else's certificate: a proxy that looks into TLS, or no Commonweal server.
    #[error(
        "the certificate that came from {host} is no Commonweal server's: it was issued by {issuer:?}. If that is your \
         site's proxy, it looks into TLS: ask for an exception for {host}, or trust the proxy with `ca_file` in node.toml"
    )]
    Inspected {
        /// The address's host.
        host: String,
        /// Who issued what was shown.
        issuer: String,
    },
    /// The right authority, and a certificate that is not good.
    #[error(
        "the certificate of {host} is not valid: {what}. Compare this machine's clock with the server's"
    )]
    Invalid {
        /// The address's host.
        host: String,
        /// What is wrong.
        what: String,
    },
}

/// Why there is no telling whom to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The extra certificates cannot be read.
    #[error("ca_file: {} holds no certificate in PEM", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
    },
    /// No version of TLS.
    #[error("TLS cannot be set up: {what}")]
    Setup {
        /// What rustls says.
        what: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Trust {
    /// Trust in `server` at `url`, and in the certificates of `ca_file` besides the machine's roots.
    ///
    /// # Errors
    /// [`TrustError`]: `ca_file` cannot be read.
    pub fn new(
        server: ServerIdentity,
        url: &str,
        ca_file: Option<&Path>,
    ) -> Result<Arc<Self>, TrustError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        Ok(Arc::new(Self {
            server,
            host: host_of(url).to_owned(),
            name: name_of(url),
            extra: ca_file.map(certificates).transpose()?.unwrap_or_default(),
            algorithms: provider.signature_verification_algorithms,
            provider,
            by_roots: OnceLock::new(),
            refused: Mutex::new(None),
        }))
    }

    /// TLS as this trust has it.
    ///
    /// # Errors
    /// [`TrustError::Setup`].
    pub fn config(self: &Arc<Self>) -> Result<ClientConfig, TrustError> {
        let setup = |error: Error| TrustError::Setup {
            what: error.to_string(),
        };
        let versions = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(setup)?;
        let verifier: Arc<dyn ServerCertVerifier> = self.clone();
        let mut config = versions
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Why the last connection was refused; asked once.
    pub fn take_refusal(&self) -> Option<Unverified> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.take()
    }

    /// The host of the server's address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Refused> {
        if !self.is_host(name) {
            return self
                .by_roots()
                .and_then(|roots| roots.verify_server_cert(end_entity, others, name, ocsp, now))
                .map_err(Refused::Proxy);
        }
        match &self.server {
            ServerIdentity::Authority(digest) => {
                let pinned = others.iter().find(|der| Digest::of(der) == *digest);
                if let Some(pinned) = pinned {
                    let roots = self.rooted_in(pinned).map_err(Refused::Invalid)?;
                    let own = federation_name().map_err(Refused::Invalid)?;
                    return roots
                        .verify_server_cert(end_entity, others, &own, ocsp, now)
                        .map_err(Refused::Invalid);
                }
                self.by_extra(end_entity, others, name, ocsp, now)
                    .ok_or(Refused::Unknown)
            }
            ServerIdentity::Name(host) => {
                let wrong = |_| Error::General(format!("{host:?} is no name of a host"));
                let own = ServerName::try_from(host.as_str()).map_err(wrong);
                own.and_then(|own| {
                    let roots = self.by_roots()?;
                    roots.verify_server_cert(end_entity, others, &own, ocsp, now)
                })
                .map_err(|error| match error {
                    Error::InvalidCertificate(CertificateError::UnknownIssuer) => Refused::Unknown,
                    error => Refused::Invalid(error),
                })
            }
        }
    }

    /// A proxy that looks into TLS, where the owner trusts it in so many words.
    fn by_extra(
        &self,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Option<ServerCertVerified> {
        if self.extra.is_empty() {
            return None;
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.extra.iter().cloned());
        let verifier = self.verifier(roots).ok()?;
        verifier
            .verify_server_cert(end_entity, others, name, ocsp, now)
            .ok()
    }

    fn is_host(&self, name: &ServerName<'_>) -> bool {
        self.name.as_ref() == Some(name)
    }

    /// The machine's roots and the extra ones: read at the first use, which most nodes never make.
    fn by_roots(&self) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let load = || {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots.add_parsable_certificates(self.extra.iter().cloned());
            self.verifier(roots)
        };
        self.by_roots.get_or_init(load).clone()
    }

    fn rooted_in(
        &self,
        authority: &CertificateDer<'_>,
    ) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        self.verifier(roots)
    }

    fn verifier(&self, roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let provider = Arc::clone(&self.provider);
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))
    }

    fn describe(
        &self,
        refused: &Refused,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Unverified {
        let host = self.host.clone();
        match (refused, &self.server) {
            (Refused::Unknown, &ServerIdentity::Authority(expected))
                if is_federations(end_entity) =>
            {
                let found = others.last().map(|der| Digest::of(der));
                Unverified::OtherAuthority {
                    host,
                    expected,
                    found,
                }
            }
            (Refused::Unknown, _) => Unverified::Inspected {
                host,
                issuer: issuer(end_entity),
            },
            (Refused::Invalid(error) | Refused::Proxy(error), _) => Unverified::Invalid {
                host,
                what: error.to_string(),
            },
        }
    }
}

/// Why a chain was refused.
enum Refused {
    /// Nobody vouches for it.
    Unknown,
    /// It is vouched for, and not good.
    Invalid(Error),
    /// A proxy's own, on the way to the server.
    Proxy(Error),
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verify(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|refused| {
            let told = self.describe(&refused, end_entity, intermediates);
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
            Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            ServerIdentity::Authority(digest) => write!(f, "authority {digest}"),
            ServerIdentity::Name(host) => write!(f, "the certificate of {host}"),
        }
    }
}

/// The host of `https://HOST:PORT`, without the brackets of an IPv6 address.
pub(crate) fn host_of(url: &str) -> &str {
    let authority = url
        .split_once("://")
        .map_or(url, |(_, authority)| authority);
    let authority = authority.split('/').next().unwrap_or(authority);
    match authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, _)) => host,
        None => authority
            .split_once(':')
            .map_or(authority, |(host, _)| host),
    }
}

/// The host of an address, parsed as the connection parses it: an address of IPv6 has many spellings.
fn name_of(url: &str) -> Option<ServerName<'static>> {
    let url = reqwest::Url::parse(url).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    ServerName::try_from(host.to_owned()).ok()
}

fn federation_name() -> Result<ServerName<'static>, Error> {
    ServerName::try_from(FEDERATION_NAME).map_err(|error| Error::General(error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let bytes = read_bytes(path)?;
    let none = || TrustError::CaFile {
        path: path.to_path_buf(),
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|_| none())?;
    match found.is_empty() {
        true => Err(none()),
        false => Ok(found),
    }
}

/// Whether a certificate is made out to the name that all federations' own certificates have.
fn is_federations(der: &CertificateDer<'_>) -> bool {
    let names = |certificate: &X509Certificate<'_>| {
        let names = certificate.subject_alternative_name().ok().flatten()?;
        let own = x509_parser::extensions::GeneralName::DNSName(FEDERATION_NAME);
        Some(names.value.general_names.contains(&own))
    };
    X509Certificate::from_der(der)
        .is_ok_and(|(_, certificate)| names(&certificate).unwrap_or(false))
}

/// Who issued a certificate, as it says itself: at most 200 characters, without controls.
fn issuer(der: &CertificateDer<'_>) -> String {
    let issuer = X509Certificate::from_der(der).map_or_else(
        |_| "nobody".to_owned(),
        |(_, certificate)| certificate.issuer().to_string(),
    );
    issuer
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_address_is_what_is_looked_up() {
        for (url, host) in [
            ("https://fl.example.org:7070", "fl.example.org"),
            ("https://127.0.0.1:1", "127.0.0.1"),
            ("https://[::1]:7070", "::1"),
            ("https://fl.example.org", "fl.example.org"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }

    #[test]
    fn a_server_is_itself_in_every_spelling_of_its_address() {
        let is_host = |url: &str, name: &'static str| {
            let server = ServerIdentity::Authority(Digest::of(b"authority"));
            let trust = Trust::new(server, url, None).unwrap();
            trust.is_host(&ServerName::try_from(name).unwrap())
        };
        assert!(is_host("https://[2001:db8:0:0::1]:7070", "2001:db8::1"));
        assert!(is_host("https://[2001:DB8::1]", "2001:db8::1"));
        assert!(is_host("https://FL.example.org:7070", "fl.example.org"));
        assert!(is_host("https://127.0.0.1:7070", "127.0.0.1"));
        assert!(!is_host("https://[2001:db8::1]:7070", "2001:db8::2"));
        assert!(!is_host("https://fl.example.org:7070", "proxy.example.org"));
    }

    #[test]
    fn a_ca_file_without_a_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "no certificate").unwrap();
        assert!(matches!(
            certificates(&path),
            Err(TrustError::CaFile { .. })
        ));
    }
}
