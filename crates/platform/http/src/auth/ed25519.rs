//! Ed25519 (RFC 8032) for the JWT library. Its own choice of cryptography would build RSA and the NIST curves too,
//! which no token of ours uses.

use ed25519_dalek::{
    Signature, SignatureError, Signer, SigningKey, Verifier, VerifyingKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey},
};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
};
use serde::Serialize;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(TokenSigner::new(*algorithm, key)?)),
    verifier_factory: |algorithm, key| Ok(Box::new(TokenSignature::new(*algorithm, key)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes this the library's cryptography, for the whole process. To be called before it signs or verifies.
pub(super) fn install() {
    // The error says that one is installed already, which from the second call on is this one.
    let _ = PROVIDER.install_default();
}

/// A fault of ours while signing.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key has no PKCS #8 form.
    #[error("the signing key cannot be encoded")]
    Key(#[from] ed25519_dalek::pkcs8::Error),
    /// The claims have no JSON form.
    #[error("the token cannot be encoded")]
    Token(#[from] jsonwebtoken::errors::Error),
}

/// A token with these claims, signed with `key`, which verifiers know by the key id `kid`.
///
/// # Errors
/// When key or claims cannot be encoded.
pub fn sign(kid: &str, key: &SigningKey, claims: &impl Serialize) -> std::result::Result<String, SignError> {
    install();
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(kid.to_owned());
    Ok(jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(key.to_pkcs8_der()?.as_bytes()))?)
}

struct TokenSigner(SigningKey);

impl TokenSigner {
    fn new(algorithm: Algorithm, key: &EncodingKey) -> Result<Self> {
        only_ed25519(algorithm, key.family())?;
        Ok(Self(SigningKey::from_pkcs8_der(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?))
    }
}

impl Signer<Vec<u8>> for TokenSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, SignatureError> {
        Ok(self.0.try_sign(message)?.to_vec())
    }
}

impl JwtSigner for TokenSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct TokenSignature(VerifyingKey);

impl TokenSignature {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self> {
        only_ed25519(algorithm, key.family())?;
        let bytes = key.try_get_as_bytes()?.try_into().map_err(|_| ErrorKind::InvalidEddsaKey)?;
        Ok(Self(VerifyingKey::from_bytes(bytes).map_err(|_| ErrorKind::InvalidEddsaKey)?))
    }
}

impl Verifier<Vec<u8>> for TokenSignature {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), SignatureError> {
        self.0.verify_strict(message, &Signature::from_slice(signature)?)
    }
}

impl JwtVerifier for TokenSignature {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

fn only_ed25519(algorithm: Algorithm, family: AlgorithmFamily) -> Result<()> {
    match (algorithm, family) {
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => Ok(()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}
