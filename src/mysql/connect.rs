//! Opens sessions: reads the credentials, connects within a time limit, with TLS as demanded, sets the
//! session up for its role and checks which server answered. It sends no other statement.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, DriverError, IoError, OptsBuilder, SslOpts};
use tokio::time::timeout;

use crate::mysql::error::{Error, ServerFault, io_error};
use crate::mysql::session::{Identity, Session};

/// How long connecting and setting up may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Sessions may idle for as long as a pause or a postponement lasts; those of a lost worker are ended by
/// its successor. In seconds.
const WEEK: u32 = 604_800;
/// Quiet time after which the system probes a connection.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The largest packet that the protocol knows: row events exceed the server's own limit.
const PACKET_LIMIT: usize = 1 << 30;

/// What a session is for; it decides the isolation level and how long the server lets it idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Phases, the control table, the heartbeat.
    Control,
    /// Row copy.
    Copy,
    /// Applying of changes.
    Lane,
    /// Comparing of rows: REPEATABLE READ.
    Verify,
    /// The table lock and the swap. The server ends it after five idle seconds, so that a lost worker
    /// does not keep the lock: open it right before use.
    CutOver,
    /// The binlog stream.
    Stream,
    /// Checks and status.
    Inspect,
}

/// How far TLS goes. There is no "verify the authority but not the name": the driver's version of it
/// does not work; where certificates bear another name, set `tls_host_name` instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    Disabled,
    /// TLS, but whoever answers is trusted.
    Required,
    /// The certificate must come from a trusted authority and bear the host's name.
    #[default]
    VerifyIdentity,
}

/// The account, and the certificates that go with it.
#[derive(Clone, Default)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Trusted authorities (PEM); the public ones when absent.
    pub authorities: Option<Vec<u8>>,
    /// The client's certificate chain and its key (PEM).
    pub client: Option<ClientCertificate>,
}

/// A client certificate.
#[derive(Clone)]
pub struct ClientCertificate {
    /// Chain, PEM.
    pub certificate: Vec<u8>,
    /// Private key, PEM.
    pub key: Vec<u8>,
}

/// Where credentials come from; they are read anew for every connection, so that they can change.
#[derive(Clone, Debug)]
pub enum CredentialSource {
    /// A directory with the files `username` and `password`, and perhaps `ca.crt`, `tls.crt` and
    /// `tls.key`. One line end behind the user name or the password is dropped.
    Directory(PathBuf),
    /// Given by value.
    Inline(Credentials),
}

/// All that is needed to open sessions to one server.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The account.
    pub credentials: CredentialSource,
    /// How far TLS goes.
    pub tls: TlsMode,
    /// The name that the certificate must bear, when it is not `host`.
    pub tls_host_name: Option<String>,
    /// The identity of the server that must answer (`Session::server_identity` of an earlier one).
    pub expect_server: Option<String>,
    /// Goes into a comment before every statement; letters, digits and `_-.:` are kept.
    pub tag: String,
}

impl ConnectOptions {
    /// Opens a session for a role, within ten seconds.
    ///
    /// # Errors
    /// See [`Error`]; `ErrorClass` tells credentials, network, TLS and foreign servers apart.
    pub async fn connect(&self, role: Role) -> Result<Session, Error> {
        let work = self.connect_and_set_up(role);
        timeout(CONNECT_LIMIT, work).await.unwrap_or_else(|_| Err(self.unreachable()))
    }

    async fn connect_and_set_up(&self, role: Role) -> Result<Session, Error> {
        install_crypto();
        let credentials = self.credentials.read().await?;
        let opts = self.driver_options(&credentials);
        let connected = Conn::new(opts).await;
        let mut conn =
            connected.map_err(|error| self.connect_error(error, credentials.username))?;
        let known = session_variables(&mut conn).await?;
        let server = identity(&known)?;
        if let Some(expected) = self.expect_server.as_ref().filter(|uuid| **uuid != server.uuid) {
            let expected = expected.clone();
            return Err(Error::WrongServer { expected, found: server.uuid });
        }
        let name = session_name();
        conn.query_drop(set_up(&known, role, &name)).await.map_err(Error::from_statement)?;
        Ok(Session::new(conn, &self.tag, server, name))
    }

    fn driver_options(&self, credentials: &Credentials) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname(self.host.clone())
            .tcp_port(self.port)
            .user(Some(credentials.username.clone()))
            .pass(Some(credentials.password.clone()))
            .ssl_opts(self.tls_options(credentials))
            .prefer_socket(false)
            .tcp_keepalive(Some(KEEP_ALIVE))
            .max_allowed_packet(Some(PACKET_LIMIT))
            // Setting both limits spares the driver a statement of its own.
            .wait_timeout(Some(28_800))
            .stmt_cache_size(Some(0))
            .connect_attribute("program_name", "ghostship")
    }

    fn tls_options(&self, credentials: &Credentials) -> Option<SslOpts> {
        let client = credentials.client.clone();
        let client =
            client.map(|pair| ClientIdentity::new(pair.certificate.into(), pair.key.into()));
        let mut options = match self.tls {
            TlsMode::Disabled => return None,
            TlsMode::Required => SslOpts::default().with_danger_accept_invalid_certs(true),
            TlsMode::VerifyIdentity => SslOpts::default(),
        };
        if let Some(authorities) = &credentials.authorities {
            let authorities = vec![authorities.clone().into()];
            options = options.with_root_certs(authorities).with_disable_built_in_roots(true);
        }
        let name = self.tls_host_name.clone();
        Some(options.with_client_identity(client).with_danger_tls_hostname_override(name))
    }

    fn connect_error(&self, error: mysql_async::Error, username: String) -> Error {
        match error {
            mysql_async::Error::Server(fault) => {
                Error::LogIn { username, fault: ServerFault::new(fault) }
            }
            mysql_async::Error::Io(IoError::Tls(fault)) => self.tls_error(fault.to_string()),
            mysql_async::Error::Io(fault) => self.network_error(io_error(fault)),
            mysql_async::Error::Driver(fault @ DriverError::NoClientSslFlagFromServer) => {
                self.tls_error(fault.to_string())
            }
            mysql_async::Error::Driver(DriverError::ConnectionClosed) => {
                self.network_error(io::ErrorKind::UnexpectedEof.into())
            }
            error => Error::from_statement(error),
        }
    }

    fn network_error(&self, source: io::Error) -> Error {
        let tls = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(fault) => self.tls_error(fault.to_string()),
            None => Error::ReachServer { host: self.host.clone(), port: self.port, source },
        }
    }

    fn tls_error(&self, reason: String) -> Error {
        let name = self.tls_host_name.as_ref().unwrap_or(&self.host).clone();
        Error::VerifyTls { host: self.host.clone(), name, reason }
    }

    fn unreachable(&self) -> Error {
        let source = io::ErrorKind::TimedOut.into();
        Error::ReachServer { host: self.host.clone(), port: self.port, source }
    }
}

impl CredentialSource {
    /// The credentials as they are now.
    ///
    /// # Errors
    /// `ReadCredentials` names the file that is missing or unreadable.
    pub async fn read(&self) -> Result<Credentials, Error> {
        match self {
            Self::Inline(credentials) => Ok(credentials.clone()),
            Self::Directory(directory) => read_directory(directory).await,
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}

async fn read_directory(directory: &Path) -> Result<Credentials, Error> {
    let username = read_line(directory, "username").await?;
    let password = read_line(directory, "password").await?;
    let authorities = read_optional(directory, "ca.crt").await?;
    let client = match read_optional(directory, "tls.crt").await? {
        Some(certificate) => {
            let key = read(directory, "tls.key").await?;
            Some(ClientCertificate { certificate, key })
        }
        None => None,
    };
    Ok(Credentials { username, password, authorities, client })
}

async fn read_line(directory: &Path, file: &str) -> Result<String, Error> {
    let bytes = read(directory, file).await?;
    // The error of the conversion itself would carry the bytes.
    let text = String::from_utf8(bytes)
        .map_err(|_| credentials_error(file, io::ErrorKind::InvalidData.into()))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

async fn read_optional(directory: &Path, file: &str) -> Result<Option<Vec<u8>>, Error> {
    match tokio::fs::read(directory.join(file)).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(credentials_error(file, source)),
    }
}

async fn read(directory: &Path, file: &str) -> Result<Vec<u8>, Error> {
    let bytes = tokio::fs::read(directory.join(file)).await;
    bytes.map_err(|source| credentials_error(file, source))
}

fn credentials_error(file: &str, source: io::Error) -> Error {
    Error::ReadCredentials { file: file.to_owned(), source }
}

fn install_crypto() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // An error means that one is installed already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

/// The variables that this server knows, of those that matter here.
async fn session_variables(conn: &mut Conn) -> Result<BTreeMap<String, String>, Error> {
    let names = ["version", "server_uuid", "hostname", "port", "server_id"]
        .into_iter()
        .chain(OPTIONAL_SETTINGS.iter().map(|(name, _)| *name));
    let names: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    let sql = format!("SHOW SESSION VARIABLES WHERE Variable_name IN ({})", names.join(","));
    let rows: Vec<(String, String)> = conn.query(sql).await.map_err(Error::from_statement)?;
    Ok(rows.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect())
}

/// MariaDB has no `server_uuid`; there the host, port and server id together tell servers apart.
fn identity(known: &BTreeMap<String, String>) -> Result<Identity, Error> {
    let value = |name: &str| known.get(name).map(String::as_str);
    let version = value("version").ok_or(Error::ReadAnswer("the version"))?;
    let mariadb = version.contains("MariaDB");
    let uuid = match value("server_uuid") {
        Some(uuid) => uuid.to_owned(),
        None => ["hostname", "port", "server_id"].map(|name| value(name).unwrap_or("")).join(":"),
    };
    Ok(Identity { uuid, mariadb })
}

/// Settings of every session on every server.
const SETTINGS: &[(&str, &str)] = &[
    // Strict, and with room for zero dates, because the source may hold them.
    (
        "sql_mode",
        "'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,\
         NO_ENGINE_SUBSTITUTION'",
    ),
    ("time_zone", "'+00:00'"),
    ("autocommit", "1"),
    ("completion_type", "0"),
    ("lock_wait_timeout", "3"),
    ("innodb_lock_wait_timeout", "3"),
    ("foreign_key_checks", "1"),
    ("unique_checks", "1"),
    ("sql_safe_updates", "0"),
    ("sql_select_limit", "18446744073709551615"),
    ("sql_big_selects", "1"),
    ("net_write_timeout", "600"),
];

/// Settings that some servers do not know, with the value wanted.
const OPTIONAL_SETTINGS: &[(&str, &str)] = &[
    // A long list of keys must stay a list of ranges.
    ("range_optimizer_max_mem_size", "0"),
    // Figures of the dictionary as they are now.
    ("information_schema_stats_expiry", "0"),
    // The server's own limit on SELECT would break the copy's boundaries.
    ("max_execution_time", "0"),
    ("max_statement_time", "0"),
    ("innodb_snapshot_isolation", "0"),
    ("show_gipk_in_create_table_and_information_schema", "1"),
];

/// A name that no other session has, on whatever machine: 128 random bits.
fn session_name() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("ghostship {:016x}{:016x}", random(), random())
}

/// The statements that make a session ours, in one text. The lock of its name needs no privilege, is
/// freed with the session, and tells everybody on the server who bears the name.
fn set_up(known: &BTreeMap<String, String>, role: Role, name: &str) -> String {
    let optional = OPTIONAL_SETTINGS.iter().filter(|(name, _)| known.contains_key(*name));
    let settings = SETTINGS.iter().chain(optional);
    let settings = settings.map(|(name, value)| format!(", SESSION {name} = {value}"));
    format!(
        "SET SESSION TRANSACTION ISOLATION LEVEL {isolation}; \
         SET NAMES utf8mb4 COLLATE utf8mb4_bin{settings}, SESSION wait_timeout = {idle}; \
         DO GET_LOCK('{name}', 0)",
        isolation = if role == Role::Verify { "REPEATABLE READ" } else { "READ COMMITTED" },
        settings = settings.collect::<String>(),
        idle = if role == Role::CutOver { 5 } else { WEEK },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn sets_only_what_the_server_knows() {
        let sql = set_up(&variables(&[("max_statement_time", "0")]), Role::Copy, "n");
        assert!(sql.contains("max_statement_time = 0") && !sql.contains("gipk"), "{sql}");
        assert!(
            sql.starts_with("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; "),
            "{sql}"
        );
        assert!(set_up(&BTreeMap::new(), Role::Verify, "n").contains("REPEATABLE READ"));
        let sql = set_up(&BTreeMap::new(), Role::CutOver, "n");
        assert!(sql.ends_with("wait_timeout = 5; DO GET_LOCK('n', 0)"), "{sql}");
    }

    #[test]
    fn names_of_sessions_differ_and_fit() {
        let (one, two) = (session_name(), session_name());
        assert_ne!(one, two);
        assert!(one.len() < 64, "{one}");
    }

    #[test]
    fn identifies_both_flavours() {
        let mysql =
            identity(&variables(&[("version", "9.7.0"), ("server_uuid", "u")])).expect("mysql");
        assert_eq!((mysql.uuid.as_str(), mysql.mariadb), ("u", false));
        let known = variables(&[
            ("version", "10.11.6-MariaDB-log"),
            ("hostname", "h"),
            ("port", "3306"),
            ("server_id", "7"),
        ]);
        let mariadb = identity(&known).expect("mariadb");
        assert_eq!((mariadb.uuid.as_str(), mariadb.mariadb), ("h:3306:7", true));
    }

    #[test]
    fn prints_no_password() {
        let credentials = Credentials {
            username: "app".to_owned(),
            password: "secret".to_owned(),
            authorities: None,
            client: Some(ClientCertificate {
                certificate: b"secret".to_vec(),
                key: b"secret".to_vec(),
            }),
        };
        let printed = format!("{:?}", CredentialSource::Inline(credentials));
        assert!(printed.contains("app") && !printed.contains("secret"), "{printed}");
        assert!(!printed.contains("115"), "{printed}");
    }
}
