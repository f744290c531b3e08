//! The file of receivers and rules: text in, checked settings out. What is not known is refused; no
//! message repeats a value. A field `...File` names a file with a secret, beside the file itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde_yaml::Value;

use super::fields::{Fields, Flaw};
use super::inbox::{Policy, QuietHours};
use super::notice::{Kind, Severity};
use super::rules::Rules;
use super::template::Template;
use crate::http;
use crate::http::secret::Secret;

/// Receivers that a file may have.
const RECEIVERS: usize = 50;
/// The largest file, in bytes.
const LARGEST: u64 = 1 << 20;
/// Messages in a minute, unless a receiver says otherwise.
const PER_MINUTE: u64 = 10;

/// The checked file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Who is told.
    pub receivers: Vec<Receiver>,
    /// When.
    pub rules: Rules,
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// The name by which logs and metrics call it.
    pub name: String,
    /// How it is reached.
    pub way: Way,
    /// What it wants.
    pub policy: Policy,
    /// Its own text.
    pub template: Option<Template>,
    /// Certificates of authorities that are trusted beside the public ones, as PEM.
    pub authorities: Option<String>,
}

/// How a receiver is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// A signed JSON document.
    Webhook {
        /// Where to.
        url: Secret,
        /// The key of the signature.
        key: Secret,
    },
    /// Slack's incoming webhooks, and those who understand the same.
    Slack {
        /// Where to.
        url: Secret,
    },
    /// A robot of a DingTalk group.
    DingTalk {
        /// Where to.
        url: Secret,
        /// The robot's secret when it demands signatures.
        key: Option<Secret>,
    },
    /// A mail.
    Email(Mail),
}

/// How mails are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// Name and password, when the server asks for them.
    pub account: Option<(Secret, Secret)>,
    /// Who writes.
    pub from: lettre::message::Mailbox,
    /// To whom.
    pub to: Vec<lettre::message::Mailbox>,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// It begins plain and is protected before anything is said.
    StartTls,
    /// It is protected from the start.
    Tls,
    /// It is not.
    None,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("the notifications file {} cannot be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not YAML. The parser's own words would repeat what stands there.
    #[error("the notifications file is not YAML at line {line}; see docs/notifications.md")]
    Syntax {
        /// Where.
        line: usize,
    },
    /// A field is wrong.
    #[error("the notifications file: {0}")]
    Field(Flaw),
}

impl From<Flaw> for FileError {
    fn from(flaw: Flaw) -> Self {
        Self::Field(flaw)
    }
}

/// Reads a file and those it names.
///
/// # Errors
///
/// When it cannot be read or something in it is wrong.
pub fn load(path: &Path) -> Result<Config, FileError> {
    let read = |path: &Path| {
        read_text(path).map_err(|source| FileError::Read { path: path.to_owned(), source })
    };
    let text = read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, &|name| read_text(&folder.join(name)).ok())
}

fn read_text(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LARGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    fs::read_to_string(path)
}

/// Reads a text; `other` reads the files that it names.
///
/// # Errors
///
/// When something in it is wrong.
pub fn parse(text: &str, other: &dyn Fn(&str) -> Option<String>) -> Result<Config, FileError> {
    let document: Value = serde_yaml::from_str(text).map_err(|error| FileError::Syntax {
        line: error.location().map_or(0, |location| location.line()),
    })?;
    let mut fields = Fields::of("", Some(&document))?;
    let receivers = match fields.value("receivers") {
        Some(Value::Sequence(all)) if (1..=RECEIVERS).contains(&all.len()) => all,
        _ => {
            let remedy = format!("name between 1 and {RECEIVERS} receivers");
            return Err(fields.flaw("receivers", "is not a list of receivers", remedy).into());
        }
    };
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for (number, value) in receivers.iter().enumerate() {
        let at = format!("receivers[{number}]");
        let receiver = receiver(&at, value, other)?;
        if !names.insert(receiver.name.clone()) {
            return Err(Flaw::new(&at, "has the name of another one", "give it its own").into());
        }
        all.push(receiver);
    }
    let rules = rules(fields.value("rules"))?;
    fields.finish()?;
    Ok(Config { receivers: all, rules })
}

fn rules(value: Option<&Value>) -> Result<Rules, Flaw> {
    let mut fields = Fields::of("rules", value)?;
    let usual = Rules::default();
    let rules = Rules {
        lag: fields.duration("lag", usual.lag)?,
        load: fields.duration("load", usual.load)?,
        stuck: fields.duration("stuck", usual.stuck)?,
        long_pause: fields.duration("longPause", usual.long_pause)?,
        cut_over_attempts: fields
            .number("cutOverAttempts", 0..=1_000_000)?
            .unwrap_or(usual.cut_over_attempts),
        not_converging: fields.duration("notConverging", usual.not_converging)?,
        retention: fields.duration("retention", usual.retention)?,
        repeat_after: fields.duration("repeatAfter", usual.repeat_after)?,
        settle: fields.duration("settle", usual.settle)?,
    };
    fields.finish()?;
    Ok(rules)
}

type Other<'a> = &'a dyn Fn(&str) -> Option<String>;

fn receiver(at: &str, value: &Value, other: Other<'_>) -> Result<Receiver, Flaw> {
    let mut fields = Fields::of(at, Some(value))?;
    let name = fields.needed("name")?;
    let fits = |one: char| one.is_ascii_alphanumeric() || "-_.".contains(one);
    if name.len() > 40 || !name.chars().all(fits) {
        let remedy = "use up to 40 letters, digits and - _ .";
        return Err(fields.flaw("name", "has other letters or too many", remedy));
    }
    let kind = fields.needed("kind")?;
    let way = match kind.as_str() {
        "Webhook" => Way::Webhook {
            url: url(&mut fields, other)?,
            key: secret(&mut fields, ("signingKey", "signingKeyFile"), other)?
                .ok_or_else(|| fields.flaw("signingKey", "is missing", "add it"))?,
        },
        "Slack" => Way::Slack { url: url(&mut fields, other)? },
        "DingTalk" => Way::DingTalk {
            url: url(&mut fields, other)?,
            key: secret(&mut fields, ("signingKey", "signingKeyFile"), other)?,
        },
        "Email" => Way::Email(mail(&mut fields, other)?),
        _ => {
            let remedy = "write Webhook, Slack, DingTalk or Email";
            return Err(fields.flaw("kind", "is not known", remedy));
        }
    };
    let authorities = named_file(&mut fields, "caFile", other)?;
    let policy = policy(&mut fields)?;
    let template = template(&mut fields)?;
    fields.finish()?;
    Ok(Receiver { name, way, policy, template, authorities })
}

fn template(fields: &mut Fields<'_>) -> Result<Option<Template>, Flaw> {
    let Some(text) = fields.text("template")? else { return Ok(None) };
    let parsed = Template::parse(&text);
    parsed.map(Some).map_err(|error| fields.flaw("template", "cannot be filled", error.to_string()))
}

fn policy(fields: &mut Fields<'_>) -> Result<Policy, Flaw> {
    let min_severity = severity(fields, "minSeverity")?.unwrap_or(Severity::Info);
    let known = |word: &str| Kind::ALL.iter().copied().find(|kind| kind.as_str() == word);
    let on = match fields.texts("on")? {
        None => None,
        Some(words) => {
            let kinds: Option<BTreeSet<Kind>> = words.iter().map(|word| known(word)).collect();
            let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
            let remedy = || format!("the kinds are: {}", all.join(", "));
            Some(kinds.ok_or_else(|| fields.flaw("on", "has an unknown kind", remedy()))?)
        }
    };
    let quiet = quiet_hours(fields)?;
    let per_minute = fields.number("maxPerMinute", 1..=1000)?.unwrap_or(PER_MINUTE);
    let per_minute = usize::try_from(per_minute).unwrap_or(usize::MAX);
    Ok(Policy { min_severity, on, quiet, per_minute })
}

fn severity(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<Severity>, Flaw> {
    let Some(word) = fields.text(name)? else { return Ok(None) };
    let found = Severity::ALL.into_iter().find(|severity| severity.as_str() == word);
    let flaw = || fields.flaw(name, "is not known", "write Info, Warning or Critical");
    found.map(Some).ok_or_else(flaw)
}

fn quiet_hours(outer: &mut Fields<'_>) -> Result<Option<QuietHours>, Flaw> {
    let path = outer.path("quietHours");
    let Some(value) = outer.value("quietHours") else { return Ok(None) };
    let mut fields = Fields::of(&path, Some(value))?;
    let mut time = |name: &'static str| {
        let text = fields.needed(name)?;
        let parsed = Time::strptime("%H:%M", &text);
        parsed.map_err(|_| fields.flaw(name, "is not a time", "write it in quotes as \"22:00\""))
    };
    let (from, until) = (time("from")?, time("until")?);
    let zone = fields.text("timeZone")?.unwrap_or_else(|| "UTC".to_owned());
    let zone = TimeZone::get(&zone).map_err(|_| {
        fields.flaw("timeZone", "is not known", "write its name as in Europe/Berlin")
    })?;
    let except = severity(&mut fields, "except")?;
    fields.finish()?;
    Ok(Some(QuietHours { from, until, zone, except }))
}

fn url(fields: &mut Fields<'_>, other: Other<'_>) -> Result<Secret, Flaw> {
    let text = secret(fields, ("url", "urlFile"), other)?;
    let text = text.ok_or_else(|| fields.flaw("url", "is missing", "add it, or urlFile"))?;
    match http::url(text.expose()) {
        Ok(_) => {}
        Err(http::Error::Forbidden) => {
            let remedy = "name a receiver: link-local addresses belong to the machine or its cloud";
            return Err(fields.flaw("url", "leads to an address that is not allowed", remedy));
        }
        Err(_) => return Err(fields.flaw("url", "is not a URL", "write it as https://host/path")),
    }
    Ok(text)
}

/// A secret that stands in the file or in one beside it.
fn secret(
    fields: &mut Fields<'_>,
    (name, file): (&'static str, &'static str),
    other: Other<'_>,
) -> Result<Option<Secret>, Flaw> {
    let inline = fields.text(name)?;
    let of_file = named_file(fields, file, other)?;
    if inline.is_some() && of_file.is_some() {
        return Err(fields.flaw(name, format!("stands beside {file}"), "keep one of them"));
    }
    let text = inline.or(of_file);
    Ok(text.map(|text| Secret::new(text.trim_end_matches(['\r', '\n']))))
}

fn named_file(
    fields: &mut Fields<'_>,
    name: &'static str,
    other: Other<'_>,
) -> Result<Option<String>, Flaw> {
    let Some(file) = fields.text(name)? else { return Ok(None) };
    let remedy = "name a readable file that is not empty, beside the notifications file";
    let text = other(&file).filter(|text| !text.trim().is_empty());
    text.map(Some).ok_or_else(|| fields.flaw(name, "names a file that cannot be read", remedy))
}

fn mail(outer: &mut Fields<'_>, other: Other<'_>) -> Result<Mail, Flaw> {
    let path = outer.path("smtp");
    let mut fields = Fields::of(&path, outer.value("smtp"))?;
    let host = fields.needed("host")?;
    let tls = match fields.text("tls")?.as_deref() {
        None | Some("StartTls") => MailTls::StartTls,
        Some("Tls") => MailTls::Tls,
        Some("None") => MailTls::None,
        Some(_) => return Err(fields.flaw("tls", "is not known", "write StartTls, Tls or None")),
    };
    let usual = match tls {
        MailTls::StartTls => 587,
        MailTls::Tls => 465,
        MailTls::None => 25,
    };
    let port = fields.number("port", 1..=65535)?.unwrap_or(usual);
    let user = secret(&mut fields, ("username", "usernameFile"), other)?;
    let password = secret(&mut fields, ("password", "passwordFile"), other)?;
    let account = match (user, password) {
        (None, None) => None,
        (Some(_), Some(_)) if tls == MailTls::None => {
            let remedy = "use StartTls or Tls, or leave the account out";
            return Err(fields.flaw("password", "would go over an open connection", remedy));
        }
        (Some(user), Some(password)) => Some((user, password)),
        _ => {
            let remedy = "give a username and a password, or neither";
            return Err(fields.flaw("username", "and password go together", remedy));
        }
    };
    let mailbox = |text: &str| text.parse::<lettre::message::Mailbox>().ok();
    let remedy = "write it as name@example.com";
    let from = mailbox(&fields.needed("from")?);
    let from = from.ok_or_else(|| fields.flaw("from", "is not a mail address", remedy))?;
    let to = fields.texts("to")?.unwrap_or_default();
    let to: Option<Vec<_>> = to.iter().map(|text| mailbox(text)).collect();
    let to = to.filter(|all| !all.is_empty());
    let to = to.ok_or_else(|| fields.flaw("to", "is not a list of mail addresses", remedy))?;
    fields.finish()?;
    // Within the limits above.
    let port = u16::try_from(port).unwrap_or_default();
    Ok(Mail { host, port, tls, account, from, to })
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
