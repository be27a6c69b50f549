//! Certificates: an authority's that lasts, and a server's that is renewed under it.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{AuthorityError, pem};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A node that has pinned the authority joins anew when it runs out: long beyond any federation.
const AUTHORITY_DAYS: u32 = 20 * 365;
/// The longest that verifiers of public certificates take.
const SERVER_DAYS: u32 = 397;
/// Clocks differ: a certificate is good from this long before it was made.
const BEFORE_DAYS: u32 = 2;
const AUTHORITY_NAME: &str = "Commonweal federation authority";
const SERVER_NAME: &str = "Commonweal federation server";

/// From when to when a certificate is good, in seconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dates {
    /// The first second.
    pub not_before: i64,
    /// The last one.
    pub not_after: i64,
}

impl Dates {
    /// Whether less than a third of the time is left at `now`, or it has not begun.
    #[must_use]
    pub fn is_due(self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        now < self.not_before || self.not_after - now < (self.not_after - self.not_before) / 3
    }
}

/// An authority that issues.
pub(super) struct Issuer {
    certificate: CertificateDer<'static>,
    /// The certificate in PEM, as it lies in its file.
    text: String,
    key: KeyPair,
}

/// A server's certificate with its authority's behind it, and its key.
type ServerCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Issuer {
    /// The authority of two files; made if its certificate is not there.
    pub(super) fn open(
        certificate: &Path,
        key: &Path,
        now: SystemTime,
    ) -> Result<Self, AuthorityError> {
        if !certificate.exists() {
            // The key first: a crash in between leaves a key that nobody knows, and both are made anew.
            let own = new_key()?;
            let made = authority_params(now)
                .self_signed(&own)
                .map_err(unmade(&[AUTHORITY_NAME.to_owned()]))?;
            pem::write(key, &own.serialize_pem())?;
            pem::write(certificate, &made.pem())?;
        }
        if !key.exists() {
            let path = key.to_path_buf();
            return Err(AuthorityError::NoKey { path });
        }
        let text = pem::text(certificate)?;
        let der = pem::certificates(certificate)?.swap_remove(0);
        let pair = KeyPair::try_from(&pem::key(key)?).map_err(|_| AuthorityError::Malformed {
            path: key.to_path_buf(),
            expected: "ECDSA key",
        })?;
        match public_key(certificate, &der)? == pair.public_key_raw() {
            true => Ok(Self {
                certificate: der,
                text,
                key: pair,
            }),
            false => Err(AuthorityError::Mismatch {
                certificate: certificate.to_path_buf(),
                key: key.to_path_buf(),
            }),
        }
    }

    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The server certificate of two files; made anew if it is not there, is not of this authority or of its key, is
    /// made out to others than `names`, or is due.
    pub(super) fn server(
        &self,
        certificate: &Path,
        key: &Path,
        names: &[String],
        now: SystemTime,
    ) -> Result<ServerCertificate, AuthorityError> {
        if let Some(found) = self.found(certificate, key, names, now) {
            return Ok(found);
        }
        let own = new_key()?;
        let issuing = authority_params(now);
        let issuer = rcgen::Issuer::from_params(&issuing, &self.key);
        let made = server_params(names, now)
            .and_then(|params| params.signed_by(&own, &issuer))
            .map_err(unmade(names))?;
        pem::write(key, &own.serialize_pem())?;
        pem::write(certificate, &format!("{}{}", made.pem(), self.text))?;
        Ok((
            vec![made.der().clone(), self.certificate.clone()],
            pem::key(key)?,
        ))
    }

    fn found(
        &self,
        certificate: &Path,
        key: &Path,
        names: &[String],
        now: SystemTime,
    ) -> Option<ServerCertificate> {
        let chain = pem::certificates(certificate).ok()?;
        let key = pem::key(key).ok()?;
        let pair = KeyPair::try_from(&key).ok()?;
        let is_good = chain.get(1) == Some(&self.certificate)
            && public_key(certificate, &chain[0]).ok()? == pair.public_key_raw()
            && is_made_out_to(&chain[0], names)
            && !dates(certificate, &chain[0]).ok()?.is_due(now);
        is_good.then_some((chain, key))
    }
}

/// From when to when a certificate is good.
pub(super) fn dates(path: &Path, der: &CertificateDer<'_>) -> Result<Dates, AuthorityError> {
    let validity = parse(path, der)?.validity.clone();
    Ok(Dates {
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
    })
}

fn public_key(path: &Path, der: &CertificateDer<'_>) -> Result<Vec<u8>, AuthorityError> {
    let certificate = parse(path, der)?;
    Ok(certificate
        .tbs_certificate
        .subject_pki
        .subject_public_key
        .data
        .to_vec())
}

fn parse<'a>(
    path: &Path,
    der: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, AuthorityError> {
    let parsed = X509Certificate::from_der(der).map(|(_, certificate)| certificate);
    parsed.map_err(|_| AuthorityError::Malformed {
        path: path.to_path_buf(),
        expected: "certificate",
    })
}

fn is_made_out_to(der: &CertificateDer<'_>, names: &[String]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return false;
    };
    let Ok(Some(found)) = certificate.subject_alternative_name() else {
        return false;
    };
    let found: Vec<String> = found.value.general_names.iter().filter_map(text).collect();
    names.iter().all(|name| found.contains(name))
}

fn text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|it| IpAddr::from(it).to_string()),
            _ => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|it| IpAddr::from(it).to_string()),
        },
        _ => None,
    }
}

fn new_key() -> Result<KeyPair, AuthorityError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unmade(&[AUTHORITY_NAME.to_owned()]))
}

/// The same name for every authority: nodes tell authorities by their certificates.
fn authority_params(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - BEFORE_DAYS * DAY).into();
    params.not_after = (now + AUTHORITY_DAYS * DAY).into();
    params
}

fn server_params(names: &[String], now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, SERVER_NAME);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = (now - BEFORE_DAYS * DAY).into();
    params.not_after = (now + (SERVER_DAYS - BEFORE_DAYS) * DAY).into();
    Ok(params)
}

fn unmade(names: &[String]) -> impl FnOnce(rcgen::Error) -> AuthorityError + use<> {
    let names = names.to_vec();
    |error| AuthorityError::Unmade {
        names,
        what: error.to_string(),
    }
}
