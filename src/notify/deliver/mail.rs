//! One message as a mail. What the server says stays here: it may repeat addresses and names.

use std::time::Duration;

use lettre::message::Message as Letter;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::time::timeout;

use super::{Failure, queue};
use crate::http::address;
use crate::notify::file::{Mail, MailTls, Receiver};
use crate::notify::template;

/// Time for one step of the talk with the server, and for all of it.
const STEP: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(30);

/// Sends a letter once.
///
/// # Errors
///
/// When the server does not take it.
pub async fn send(receiver: &Receiver, mail: &Mail, letter: &queue::Letter) -> Result<(), Failure> {
    let message = compose(receiver, mail, letter)?;
    let sending = async {
        let transport = transport(receiver, mail).await?;
        transport.send(message).await.map(drop).map_err(|error| failure(&error))
    };
    timeout(WHOLE, Box::pin(sending)).await.map_err(|_| Failure::TimedOut)?
}

fn compose(receiver: &Receiver, mail: &Mail, letter: &queue::Letter) -> Result<Letter, Failure> {
    let message = &letter.message;
    let text = template::text(receiver.template.as_ref(), &message.notices, message.more);
    let mut builder = Letter::builder()
        .from(mail.from.clone())
        .subject(template::subject(&message.notices, message.more))
        .message_id(Some(format!("<{}@ghostship>", letter.id)));
    for to in &mail.to {
        builder = builder.to(to.clone());
    }
    builder.body(text).map_err(|_| Failure::Settings("the mail cannot be put together"))
}

/// To an address that may be used; the certificate is still that of the name.
async fn transport(
    receiver: &Receiver,
    mail: &Mail,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
    let found = address::allowed(&mail.host, mail.port).await.map_err(|_| Failure::Connect)?;
    let address = found.first().ok_or(Failure::Connect)?.ip().to_string();
    let tls = match mail.tls {
        MailTls::None => Tls::None,
        MailTls::StartTls => Tls::Required(parameters(receiver, mail)?),
        MailTls::Tls => Tls::Wrapper(parameters(receiver, mail)?),
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address)
        .port(mail.port)
        .timeout(Some(STEP))
        .tls(tls);
    let builder = match &mail.account {
        None => builder,
        Some((user, password)) => builder
            .credentials(Credentials::new(user.expose().to_owned(), password.expose().to_owned())),
    };
    Ok(builder.build())
}

fn parameters(receiver: &Receiver, mail: &Mail) -> Result<TlsParameters, Failure> {
    let unreadable = |_| Failure::Settings("the certificates in caFile cannot be read");
    let mut builder =
        TlsParameters::builder(mail.host.clone()).certificate_store(CertificateStore::WebpkiRoots);
    if let Some(authorities) = &receiver.authorities {
        let authorities = Certificate::from_pem(authorities.as_bytes()).map_err(unreadable)?;
        builder = builder.add_root_certificate(authorities);
    }
    builder.build_rustls().map_err(|_| Failure::Settings("TLS cannot be set up"))
}

fn failure(error: &lettre::transport::smtp::Error) -> Failure {
    match error.status() {
        Some(code) => Failure::Mail(code.into(), error.is_permanent()),
        None if error.is_timeout() => Failure::TimedOut,
        None if error.is_tls() => Failure::Tls,
        None => Failure::Connect,
    }
}
