//! Who may speak: mutual TLS under a certificate authority that everybody who
//! knows the cluster secret can derive, and nobody else.
//!
//! ```text
//! secret --HKDF-SHA256--> Ed25519 seed --> authority, the same in every process
//!                                              | signs
//!                     fresh random key --> certificate of this process
//! ```
//!
//! Both ends verify the other's certificate with the usual WebPKI rules; there
//! is no verifier of our own. The key of a process never leaves its memory.
//! Certificates are valid for so long that clocks which disagree, as they do
//! in a laboratory, keep nobody out.

use std::sync::Arc;

use hkdf::Hkdf;
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use quinn::rustls;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{CipherSuite, RootCertStore};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::transport::token::Secret;

/// The name in every certificate. It says "a node of this cluster"; which
/// node is said in the hello.
pub const SERVER_NAME: &str = "adsum.node";

/// The application protocol of nodes. It changes only if the handshake of
/// `link` itself does; versions of the messages are
/// compared there, where both can be named.
pub const ALPN: &[u8] = b"adsum/1";

/// DER of a PKCS#8 version 1 document up to the 32 bytes of an Ed25519 seed
/// (RFC 8410, section 7).
const PKCS8_ED25519_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The TLS halves of both ends of a connection.
pub(crate) struct Tls {
    /// For connections that this process opens.
    pub client: Arc<QuicClientConfig>,
    /// For connections that it accepts.
    pub server: Arc<QuicServerConfig>,
}

/// Why there is no TLS configuration: a defect of this program or of its
/// libraries, as nothing from outside goes into one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot make this process's certificate: {message}")]
pub struct TlsError {
    /// What the library said.
    pub message: String,
}

impl Tls {
    /// The configuration of a new process of the cluster with this secret, which
    /// speaks the application protocol `alpn`.
    pub fn new(secret: &Secret, alpn: &[u8]) -> Result<Tls, TlsError> {
        let (authority, chain, key) = certify(secret).map_err(TlsError::from_display)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority).map_err(TlsError::from_display)?;
        let roots = Arc::new(roots);
        // Named explicitly: with two providers in a program rustls would panic
        // when asked for the default one.
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        // The longer key, which is first there, takes a fifth more time for each byte,
        // and the shorter one is as far out of reach.
        let is_longer = |suite: CipherSuite| suite != CipherSuite::TLS13_AES_128_GCM_SHA256;
        provider.cipher_suites.sort_by_key(|suite| is_longer(suite.suite()));
        let provider = Arc::new(provider);
        let client = client_config(&provider, &roots, chain.clone(), key.clone_key(), alpn)?;
        let server = server_config(&provider, roots, chain, key, alpn)?;
        Ok(Tls { client: Arc::new(client), server: Arc::new(server) })
    }
}

impl TlsError {
    fn from_display(error: impl std::fmt::Display) -> TlsError {
        TlsError { message: error.to_string() }
    }
}

impl From<NoInitialCipherSuite> for TlsError {
    fn from(error: NoInitialCipherSuite) -> TlsError {
        TlsError::from_display(error)
    }
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    alpn: &[u8],
) -> Result<QuicClientConfig, TlsError> {
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::from_display)?
        .with_root_certificates(Arc::clone(roots))
        .with_client_auth_cert(chain, key)
        .map_err(TlsError::from_display)?;
    config.alpn_protocols = vec![alpn.to_vec()];
    // Every connection proves itself anew, and nothing is sent before it has.
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    Ok(QuicClientConfig::try_from(config)?)
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    alpn: &[u8],
) -> Result<QuicServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(TlsError::from_display)?;
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::from_display)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(TlsError::from_display)?;
    config.alpn_protocols = vec![alpn.to_vec()];
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    Ok(QuicServerConfig::try_from(config)?)
}

/// The authority's certificate, and a certificate for a fresh key, signed by
/// it.
type Certified = (CertificateDer<'static>, Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn certify(secret: &Secret) -> Result<Certified, rcgen::Error> {
    let mut authority_key = authority_key(secret)?;
    let authority_params = authority_params();
    let authority = authority_params.self_signed(&authority_key)?;

    let leaf_key = KeyPair::generate_for(&PKCS_ED25519)?;
    let mut leaf_params = CertificateParams::new([SERVER_NAME.to_owned()])?;
    leaf_params.not_before = authority_params.not_before;
    leaf_params.distinguished_name = named("adsum node");
    leaf_params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf_params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = leaf_params
        .signed_by(&leaf_key, &Issuer::from_params(&authority_params, &authority_key))?;

    authority_key.zeroize();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key));
    Ok((authority.into(), vec![leaf.into()], key))
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    // When time begins for a machine whose clock was never set.
    params.not_before = rcgen::date_time_ymd(1970, 1, 1);
    params.distinguished_name = named("adsum cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

/// The authority's key: the same in every process that knows the secret.
fn authority_key(secret: &Secret) -> Result<KeyPair, rcgen::Error> {
    let mut pkcs8 = Zeroizing::new([0; 48]);
    let (prefix, seed) = pkcs8.split_at_mut(PKCS8_ED25519_PREFIX.len());
    prefix.copy_from_slice(&PKCS8_ED25519_PREFIX);
    Hkdf::<Sha256>::new(Some(b"adsum cluster secret"), secret.expose())
        .expand(b"adsum 1 certificate authority, Ed25519 seed", seed)
        .expect("HKDF-SHA256 expands to 32 bytes");
    KeyPair::from_pkcs8_der_and_sign_algo(
        &PrivatePkcs8KeyDer::from(pkcs8.as_slice()),
        &PKCS_ED25519,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> Secret {
        Secret::from_bytes([byte; 32])
    }

    #[test]
    fn the_authority_follows_from_the_secret_alone() {
        let authority = |byte| certify(&secret(byte)).expect("certificates can be made").0;
        assert_eq!(authority(1), authority(1));
        assert_ne!(authority(1), authority(2));
    }

    #[test]
    fn every_process_has_a_key_of_its_own() {
        let leaf = || certify(&secret(1)).expect("certificates can be made").1;
        assert_ne!(leaf(), leaf());
    }
}
