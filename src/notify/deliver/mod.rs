//! Carries messages to one receiver, one after the other, each tried again for a while. A receiver that is
//! down or silent holds up nobody but itself.

mod http;
mod mail;
pub mod queue;

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::queue::{Letter, Queue};
use super::counts::{Counts, Outcome};
use super::file::{Receiver, Way};

/// The first pause between two tries, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// Tries of one message, and the time for all of them.
const TRIES: u32 = 12;
const PATIENCE: Duration = Duration::from_secs(600);

/// Why a receiver did not get a message. Says nothing of the URL and nothing that the receiver answered but
/// its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The settings do not work.
    #[error("{0}")]
    Settings(&'static str),
    /// Nobody is there, the name is not known, TLS fails, or the address is not allowed.
    #[error("no connection: the name, the address, the port or the certificate")]
    Connect,
    /// It was silent for too long.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// The certificate is not trusted, or is of another name.
    #[error("TLS could not be had; a certificate of an own authority is named by caFile")]
    Tls,
    /// It wants the message elsewhere.
    #[error("it answered {0}, a redirect, which is not followed; name the final URL")]
    Redirected(u16),
    /// It does not want it.
    #[error("it answered {0}")]
    Answered(u16),
    /// It does not want it, and says so in its own way.
    #[error("it refused with code {0}")]
    Refused(i64),
    /// The mail server does not want it; whether it never will.
    #[error("the mail server answered {0}")]
    Mail(u16, bool),
}

impl Failure {
    /// Whether another try would end the same way.
    fn is_final(self) -> bool {
        match self {
            Self::Settings(_) | Self::Redirected(_) | Self::Refused(_) => true,
            Self::Answered(code) => (400..500).contains(&code) && ![408, 425, 429].contains(&code),
            Self::Mail(_, is_permanent) => is_permanent,
            Self::Connect | Self::TimedOut | Self::Broken | Self::Tls => false,
        }
    }
}

/// How messages get to a receiver.
enum Carrier {
    Http(reqwest::Client),
    Mail,
}

impl Carrier {
    fn of(receiver: &Receiver) -> Result<Self, Failure> {
        match receiver.way {
            Way::Email(_) => Ok(Self::Mail),
            _ => http::client(receiver).map(Self::Http),
        }
    }

    async fn send(&self, receiver: &Receiver, letter: &Letter) -> Result<(), Failure> {
        match (self, &receiver.way) {
            (_, Way::Email(settings)) => Box::pin(mail::send(receiver, settings, letter)).await,
            (Self::Http(client), _) => Box::pin(http::send(client, receiver, letter)).await,
            (Self::Mail, _) => Err(Failure::Settings("the receiver has changed its kind")),
        }
    }
}

/// Sends one message once.
///
/// # Errors
///
/// When the receiver did not confirm it.
pub async fn once(receiver: &Receiver, letter: &Letter) -> Result<(), Failure> {
    Carrier::of(receiver)?.send(receiver, letter).await
}

/// Sends what is in the queue, for ever.
pub async fn serve(receiver: &Receiver, queue: &Queue, counts: &Counts) -> Infallible {
    let carrier = Carrier::of(receiver);
    loop {
        let letter = queue.first().await;
        let sent = match &carrier {
            Ok(carrier) => persist(carrier, receiver, &letter).await,
            Err(failure) => Err(*failure),
        };
        let outcome = match sent {
            Ok(()) => Outcome::Delivered,
            Err(failure) => {
                let receiver = receiver.name.as_str();
                tracing::warn!(receiver, %failure, "a notification is given up");
                Outcome::Failed
            }
        };
        queue.remove(&letter.id);
        counts.add(&receiver.name, outcome, 1);
    }
}

/// Tries again with growing pauses.
async fn persist(carrier: &Carrier, receiver: &Receiver, letter: &Letter) -> Result<(), Failure> {
    let (began, mut pause) = (Instant::now(), BACK_OFF.0);
    for _ in 1..TRIES {
        match carrier.send(receiver, letter).await {
            Err(failure) if !failure.is_final() && began.elapsed() + pause < PATIENCE => {
                let receiver = receiver.name.as_str();
                tracing::info!(receiver, %failure, "a notification is tried again");
                sleep(pause).await;
                pause = (pause * 2).min(BACK_OFF.1);
            }
            ended => return ended,
        }
    }
    carrier.send(receiver, letter).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let rows = [
            (Failure::Connect, false),
            (Failure::TimedOut, false),
            (Failure::Broken, false),
            (Failure::Answered(500), false),
            (Failure::Answered(429), false),
            (Failure::Answered(408), false),
            (Failure::Answered(404), true),
            (Failure::Answered(401), true),
            (Failure::Redirected(302), true),
            (Failure::Refused(310_000), true),
            (Failure::Mail(451, false), false),
            (Failure::Mail(550, true), true),
            (Failure::Settings(""), true),
        ];
        for (failure, is_final) in rows {
            assert_eq!(failure.is_final(), is_final, "{failure}");
        }
    }
}
