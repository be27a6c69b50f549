//! TLS as nodes speak it, and as the sink does: with the server's own authority and certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::error::LoadError;

/// The name to which the server's certificate is made out.
pub(super) fn name() -> Result<ServerName<'static>, LoadError> {
    let name = ServerName::try_from(commonweal_wire::FEDERATION_NAME);
    name.map_err(|error| rustls::Error::General(error.to_string()).into())
}

/// A client that trusts the authority of this data directory. Every handshake is a full one.
pub(super) fn client(folder: &Path) -> Result<Arc<ClientConfig>, LoadError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&folder.join("ca.pem"))? {
        roots.add(certificate)?;
    }
    let builder = ClientConfig::builder_with_provider(provider());
    let mut config = builder
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A server with the certificate of this data directory.
pub(super) fn server(folder: &Path) -> Result<Arc<ServerConfig>, LoadError> {
    let chain = certificates(&folder.join("tls.pem"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("tls.key"));
    let builder = ServerConfig::builder_with_provider(provider());
    let config = builder
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key.map_err(unreadable)?)?;
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    found.map_err(unreadable)
}

fn unreadable(error: rustls::pki_types::pem::Error) -> LoadError {
    rustls::Error::General(error.to_string()).into()
}
