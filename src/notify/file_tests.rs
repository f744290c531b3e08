//! Test only: What is read, and what is refused in which words.

use super::*;

fn read(text: &str) -> Result<Config, String> {
    let other = |name: &str| match name {
        "key" => Some("planted-key\n".to_owned()),
        "url" => Some("https://chat.example.com/planted-token\n".to_owned()),
        "empty" => Some("\n".to_owned()),
        _ => None,
    };
    parse(text, &other).map_err(|error| error.to_string())
}

fn receiver(fields: &str) -> String {
    format!("receivers: [{{name: one, {fields}}}]")
}

#[test]
fn a_full_file_is_read() {
    let text = "
receivers:
  - name: oncall
    kind: Webhook
    urlFile: url
    signingKeyFile: key
    minSeverity: Warning
    on: [CutOver, Lag]
    quietHours: {from: \"22:00\", until: \"07:00\", timeZone: Europe/Berlin, except: Critical}
    template: \"{migration}: {message}\"
    maxPerMinute: 5
  - name: chat
    kind: Slack
    url: http://127.0.0.1:1/x
  - name: robot
    kind: DingTalk
    url: https://oapi.example.com/robot/send?access_token=planted-token
    signingKey: planted-key
  - name: dbas
    kind: Email
    smtp: {host: mail, username: a, passwordFile: key, from: Ghost <g@example.com>, to: [a@example.com, b@example.com]}
rules: {lag: 90s, cutOverAttempts: 3, stuck: 0s}
";
    let config = read(text).unwrap();
    assert_eq!(config.rules.lag.as_secs(), 90);
    assert_eq!((config.rules.cut_over_attempts, config.rules.stuck.as_secs()), (3, 0));
    assert_eq!(config.rules.load, Rules::default().load);
    let names: Vec<&str> = config.receivers.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["oncall", "chat", "robot", "dbas"]);
    let Way::Webhook { url, key } = &config.receivers[0].way else { panic!("no webhook") };
    assert_eq!(url.expose(), "https://chat.example.com/planted-token");
    assert_eq!(key.expose(), "planted-key");
    let Way::Email(mail) = &config.receivers[3].way else { panic!("no mail") };
    assert_eq!((mail.port, mail.to.len(), mail.tls), (587, 2, MailTls::StartTls));
    assert!(!format!("{config:?}").contains("planted"), "{config:?}");
}

#[test]
fn the_example_is_read() {
    let text = include_str!("../../config/notifications/notifications.yaml");
    let other = |name: &str| Some(format!("https://example.com/{name}"));
    let config = parse(text, &other).map_err(|error| error.to_string()).unwrap();
    assert_eq!(config.receivers.len(), 3);
    // It shows the usual rules.
    assert_eq!(config.rules, Rules::default());
}

#[test]
fn what_is_wrong_is_refused_with_cause_and_remedy() {
    let webhook = "kind: Webhook, url: \"https://a.example.com\", signingKey: k";
    let slack = |more: &str| receiver(&format!("kind: Slack, url: \"https://a\", {more}"));
    let mail = |smtp: &str| receiver(&format!("kind: Email, smtp: {{{smtp}}}"));
    let addresses = "from: a@example.com, to: b@example.com";
    let rows = [
        (String::new(), "receivers is not a list of receivers"),
        ("receivers: []".to_owned(), "name between 1 and 50"),
        ("receivers: [".to_owned(), "is not YAML at line"),
        (format!("{}\nextra: 1", receiver(webhook)), "extra is not known here; the fields are"),
        (format!("{}\nrules: {{lagg: 1s}}", receiver(webhook)), "rules.lagg is not known here"),
        (format!("{}\nrules: {{lag: 5}}", receiver(webhook)), "rules.lag is not a duration"),
        (format!("{}\nrules: {{cutOverAttempts: -1}}", receiver(webhook)), "is no such number"),
        (receiver("kind: Pager"), "receivers[0].kind is not known; write Webhook, Slack"),
        (receiver("kind: Slack"), "receivers[0].url is missing"),
        (receiver("kind: Webhook, url: \"https://a\""), "receivers[0].signingKey is missing"),
        (receiver("kind: Slack, url: \"ftp://planted\""), "receivers[0].url is not a URL"),
        (receiver("kind: Slack, url: planted"), "receivers[0].url is not a URL"),
        (receiver("kind: Slack, url: [planted]"), "receivers[0].url is not a text"),
        (receiver("kind: Slack, url: \"http://169.254.169.254/planted\""), "not allowed"),
        (receiver("kind: Slack, url: \"http://[fe80::1]/planted\""), "not allowed"),
        (receiver("kind: Slack, url: \"http://0xa9fea9fe/planted\""), "not allowed"),
        (receiver("kind: Slack, urlFile: nowhere"), "urlFile names a file that cannot be read"),
        (receiver("kind: Slack, urlFile: empty"), "urlFile names a file that cannot be read"),
        (receiver("kind: Slack, urlFile: url, url: \"https://a\""), "stands beside urlFile"),
        (slack("signingKey: planted"), "receivers[0].signingKey is not known here"),
        (slack("smtp: {}"), "receivers[0].smtp is not known here"),
        (slack("minSeverity: Grave"), "minSeverity is not known; write Info"),
        (slack("on: [Lagg]"), "receivers[0].on has an unknown kind; the kinds are: Started"),
        (slack("on: []"), "receivers[0].on is not a list of texts"),
        (slack("template: \"{secret}\""), "there is no place {secret}; the places are"),
        (slack("template: \"{\""), "a brace is not closed"),
        (slack("maxPerMinute: 0"), "a number from 1 to 1000"),
        (slack("quietHours: {from: \"25:00\", until: \"07:00\"}"), "quietHours.from is not a time"),
        (slack("quietHours: {from: \"22:00\"}"), "quietHours.until is missing"),
        (
            slack("quietHours: {from: \"22:00\", until: \"07:00\", timeZone: Mars/Olympus}"),
            "quietHours.timeZone is not known",
        ),
        (slack("\"https://planted\": 1"), "(a field) is not known here"),
        (mail("host: m"), "smtp.from is missing"),
        (mail(&format!("host: m, {addresses}, tls: Maybe")), "smtp.tls is not known"),
        (mail(&format!("host: m, {addresses}, username: a")), "go together"),
        (
            mail(&format!("host: m, {addresses}, tls: None, username: a, password: planted")),
            "would go over an open connection",
        ),
        (mail("host: m, from: planted, to: b@example.com"), "smtp.from is not a mail address"),
        (mail("host: m, from: a@example.com, to: []"), "smtp.to is not a list"),
        (
            format!("receivers: [{{name: a, {webhook}}}, {{name: a, {webhook}}}]"),
            "receivers[1] has the name of another one",
        ),
        (format!("receivers: [{{name: \"a b\", {webhook}}}]"), "has other letters"),
        ("receivers: [planted]".to_owned(), "receivers[0] is not a mapping"),
        ("receivers: [\"planted\": {]".to_owned(), "is not YAML"),
    ];
    for (text, words) in rows {
        let refused = read(&text).expect_err(&text);
        assert!(refused.contains(words), "{text}\n{refused}");
        assert!(!refused.contains("planted"), "{text}\n{refused}");
    }
}
