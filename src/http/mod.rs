//! Requests to receivers that an administrator names: signed, without redirects, never to link-local
//! addresses. Shared by notifications and hooks; neither is known here.

pub mod address;
pub mod secret;
pub mod sign;

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use self::address::Resolver;

/// Time for the connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Why there is no client or no URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The certificates of an own authority are no certificates.
    #[error("the certificates cannot be read")]
    ReadCertificates,
    /// TLS or the client cannot be had.
    #[error("the HTTP client cannot be made")]
    MakeClient,
    /// It is no URL of HTTP.
    #[error("the URL is none of HTTP")]
    ReadUrl,
    /// The URL leads where nothing is sent.
    #[error("the URL leads to an address that is not allowed")]
    Forbidden,
}

/// A client whose exchanges take `limit` at the most. It trusts the public authorities, which need no file
/// of the system, and these.
///
/// # Errors
///
/// When the certificates cannot be read.
pub fn client(authorities: Option<&str>, limit: Duration) -> Result<Client, Error> {
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(Resolver))
        .connect_timeout(CONNECT)
        .timeout(limit)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("ghostship/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls(authorities)?);
    builder.build().map_err(|_| Error::MakeClient)
}

/// A URL of HTTP that does not name a forbidden address. A name is judged when it is resolved.
///
/// # Errors
///
/// When it is not.
pub fn url(text: &str) -> Result<Url, Error> {
    let parsed = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let url = parsed.ok_or(Error::ReadUrl)?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse() {
        Ok(literal) if address::is_forbidden(literal) => Err(Error::Forbidden),
        _ => Ok(url),
    }
}

/// The status that a URL answers with.
///
/// # Errors
///
/// Why there is none, in words that do not show the URL.
pub async fn look(text: &str, authorities: Option<&str>, limit: Duration) -> Result<u16, String> {
    let unusable = |error: Error| error.to_string();
    let client = client(authorities, limit).map_err(unusable)?;
    let request = client.get(url(text).map_err(unusable)?);
    let answer = request.send().await.map_err(|error| failure(&error).to_owned())?;
    Ok(answer.status().as_u16())
}

/// Why there was no answer, in words that do not show the URL.
pub fn failure(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "gave no answer in time"
    } else if error.is_connect() {
        "cannot be reached: the name, the address, the port or the certificate"
    } else {
        "broke off"
    }
}

fn tls(authorities: Option<&str>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(authorities) = authorities {
        for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            let certificate = certificate.map_err(|_| Error::ReadCertificates)?;
            roots.add(certificate).map_err(|_| Error::ReadCertificates)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::MakeClient)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_judged_however_its_address_is_spelled() {
        let rows = [
            ("https://hooks.example.com/x", None),
            ("http://10.0.0.1:8080", None),
            ("http://169.254.169.254/latest", Some(Error::Forbidden)),
            ("http://0xa9fea9fe/latest", Some(Error::Forbidden)),
            ("http://2852039166/latest", Some(Error::Forbidden)),
            ("http://[::ffff:169.254.169.254]/", Some(Error::Forbidden)),
            ("http://[fe80::1]/", Some(Error::Forbidden)),
            ("http://0/", Some(Error::Forbidden)),
            ("file:///etc/passwd", Some(Error::ReadUrl)),
            ("hooks", Some(Error::ReadUrl)),
        ];
        for (text, error) in rows {
            assert_eq!(url(text).err(), error, "{text}");
        }
    }

    #[test]
    fn certificates_that_are_none_are_told() {
        let wrong = "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n";
        assert_eq!(client(Some(wrong), CONNECT).err(), Some(Error::ReadCertificates));
    }
}
