//! Signatures: what a receiver checks to know who wrote. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use reqwest::Url;
use sha2::Sha256;

use super::secret::Secret;

/// How keys begin that stand in base64, by the custom of Standard Webhooks.
const ENCODED: &str = "whsec_";

/// The header `webhook-signature` for a body, by Standard Webhooks: HMAC-SHA256 over id, time and body.
pub fn webhook(key: &Secret, id: &str, timestamp: i64, body: &str) -> String {
    let decoded = key.expose().strip_prefix(ENCODED).and_then(|text| STANDARD.decode(text).ok());
    let key = decoded.unwrap_or_else(|| key.expose().as_bytes().to_vec());
    format!("v1,{}", hmac(&key, &format!("{id}.{timestamp}.{body}")))
}

/// The URL of a DingTalk robot with the time and the signature that it demands.
pub fn ding_talk(url: &mut Url, key: &Secret, milliseconds: i64) {
    let key = key.expose();
    let sign = hmac(key.as_bytes(), &format!("{milliseconds}\n{key}"));
    url.query_pairs_mut()
        .append_pair("timestamp", &milliseconds.to_string())
        .append_pair("sign", &sign);
}

/// In base64.
fn hmac(key: &[u8], text: &str) -> String {
    // A key of any length fits.
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    hmac.update(text.as_bytes());
    STANDARD.encode(hmac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's reference libraries.
    #[test]
    fn a_webhook_is_signed_as_others_check_it() {
        let key = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = "{\"test\": 2432232314}";
        let signature = webhook(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_robot_gets_time_and_signature_as_parameters() {
        let mut url = Url::parse("https://oapi.dingtalk.com/robot/send?access_token=x").unwrap();
        ding_talk(&mut url, &Secret::new("SECabc"), 1_700_000_000_000);
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs[0], ("access_token".to_owned(), "x".to_owned()));
        assert_eq!(pairs[1], ("timestamp".to_owned(), "1700000000000".to_owned()));
        assert_eq!(pairs[2].0, "sign");
        assert_eq!(STANDARD.decode(&pairs[2].1).unwrap().len(), 32);
        assert!(!url.as_str().contains("SECabc"));
    }
}
