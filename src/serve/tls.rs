//! TLS before HTTP: handshakes beside each other, so that a slow caller keeps nobody waiting, and certificates
//! that are read anew, so that a renewed one counts without a restart.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take, and how many go on beside each other.
const HANDSHAKE: Duration = Duration::from_secs(5);
const HANDSHAKES: usize = 256;
/// After which time the certificates are read anew.
const RENEWAL: Duration = Duration::from_secs(60);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder has no certificate or no key that can be read.
    #[error("cannot read {file}")]
    ReadFile {
        /// The file.
        file: String,
        /// What was found.
        source: rustls::pki_types::pem::Error,
    },
    /// They do not fit together.
    #[error("the certificate and its key cannot be used")]
    UseCertificate {
        /// Why.
        source: rustls::Error,
    },
}

/// A listener whose callers have done their handshake.
pub struct TlsListener {
    tcp: TcpListener,
    folder: PathBuf,
    acceptor: TlsAcceptor,
    read_at: Instant,
    handshakes: FuturesUnordered<Handshake>,
}

type Handshake = Pin<Box<dyn Future<Output = Option<Shaken>> + Send>>;
type Shaken = (TlsStream<TcpStream>, SocketAddr);

impl TlsListener {
    /// Before this listener, with `tls.crt` and `tls.key` of this folder.
    ///
    /// # Errors
    ///
    /// When they cannot be read or used.
    pub fn new(tcp: TcpListener, folder: PathBuf) -> Result<Self, Error> {
        let acceptor = read(&folder)?;
        let (read_at, handshakes) = (Instant::now(), FuturesUnordered::new());
        Ok(Self { tcp, folder, acceptor, read_at, handshakes })
    }

    fn shake(&mut self, stream: TcpStream, address: SocketAddr) {
        self.renew();
        let accept = self.acceptor.accept(stream);
        self.handshakes.push(Box::pin(async move {
            let stream = timeout(HANDSHAKE, accept).await.ok()?.ok()?;
            Some((stream, address))
        }));
    }

    /// Reads the certificates when they may be others. The former ones stay when the new ones are no good.
    fn renew(&mut self) {
        if self.read_at.elapsed() < RENEWAL {
            return;
        }
        self.read_at = Instant::now();
        match read(&self.folder) {
            Ok(acceptor) => self.acceptor = acceptor,
            Err(error) => tracing::warn!(%error, "the API goes on with its former certificate"),
        }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Shaken {
        loop {
            let has_room = self.handshakes.len() < HANDSHAKES;
            tokio::select! {
                (stream, address) = Listener::accept(&mut self.tcp), if has_room => {
                    self.shake(stream, address);
                }
                Some(Some(shaken)) = self.handshakes.next(), if !self.handshakes.is_empty() => {
                    return shaken;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

fn read(folder: &Path) -> Result<TlsAcceptor, Error> {
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let wrong = |file: &Path| {
        let file = file.display().to_string();
        move |source| Error::ReadFile { file, source }
    };
    let chain = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(wrong(&certificate))?;
    let key = PrivateKeyDer::from_pem_file(&key).map_err(wrong(&key))?;
    let unusable = |source| Error::UseCertificate { source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
