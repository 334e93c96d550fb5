//! A table of forged and broken tokens.

use crate::{
    accepted::PATH,
    issuer::{Issuer, SECRET, Says, any_organization, set},
    signer::{Signer, ec, ec384, ed, encode, headed, hmac, now, other_rsa, rsa, with, without},
};
use axum::http::{StatusCode, header};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

/// What is wrong with a token, the token, and the reason for which it has to be refused.
type Row = (&'static str, String, &'static str);

/// A secret that the issuer publishes by mistake.
const PUBLISHED: &str = "published-by-mistake-32-bytes-long!!";

#[tokio::test]
async fn forged_and_broken_tokens_are_refused() {
    let changed = |kid: &'static str, member: &str, value: &str| {
        let mut jwk = other_rsa(kid).jwk();
        jwk[member] = json!(value);
        jwk
    };
    let keys: [Value; 7] = [
        rsa("r").jwk(),
        ec("e").jwk(),
        ec384("e3").jwk(),
        ed("d").jwk(),
        changed("named", "alg", "RS256"),
        changed("enc", "use", "enc"),
        json!({"kty": "oct", "kid": "secret", "k": encode(PUBLISHED)}),
    ];
    let issuer = Issuer::new(Says::Text(StatusCode::OK, json!({ "keys": keys }).to_string())).await;
    let elsewhere = Issuer::new(set(&[&other_rsa("x")])).await;
    let url = format!("http://{}/keys", elsewhere.address);
    let door = issuer.door(|_| ());
    let table = [headers(), signatures(), wrong_keys(&url), secrets(), claims()].concat();
    for (what, token, reason) in table {
        let series = format!("auth_refused_total{{reason=\"{reason}\"}}");
        let before = door.metric(&series);
        let answer = door.get(PATH, &token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {answer:?}");
        assert!(door.metric(&series) > before, "{what}: not counted as {reason}: {}", answer.body);
        let challenge = answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json", "{what}");
    }
    assert_eq!(door.get(PATH, &rsa("r").token()).await.status, StatusCode::OK);
    assert_eq!(elsewhere.asked(), 0, "an address in a token was followed");
}

fn headers() -> Vec<Row> {
    let (rsa, good) = (rsa("r"), rsa("r").token());
    let (_, rest) = good.split_once('.').unwrap();
    let (body, _) = rest.split_once('.').unwrap();
    let headed_by = |header: &str| format!("{}.{rest}", encode(header));
    vec![
        ("alg none", format!("{}.{body}.", encode(r#"{"alg":"none"}"#)), "malformed"),
        ("alg None", format!("{}.{body}.", encode(r#"{"alg":"None"}"#)), "malformed"),
        ("alg none, with a signature", headed_by(r#"{"alg":"none","kid":"r"}"#), "malformed"),
        ("alg missing", headed_by(r#"{"kid":"r"}"#), "malformed"),
        ("alg empty", headed_by(r#"{"alg":""}"#), "malformed"),
        ("alg unknown", headed_by(r#"{"alg":"ES256K","kid":"e"}"#), "malformed"),
        ("alg twice", headed_by(r#"{"alg":"RS256","alg":"HS256","kid":"r"}"#), "malformed"),
        ("alg no string", headed_by(r#"{"alg":["RS256"]}"#), "malformed"),
        ("alg in another case", headed_by(r#"{"alg":"rs256","kid":"r"}"#), "malformed"),
        ("header no JSON", format!("x.{rest}"), "malformed"),
        ("header empty", format!(".{rest}"), "malformed"),
        ("nothing", "..".into(), "malformed"),
        ("JWE", format!("{good}.x.y"), "malformed"),
        ("enc", headed(&json!({"alg": "RS256", "kid": "r", "enc": "A128GCM"}), &rsa), "malformed"),
        ("zip", headed(&json!({"alg": "RS256", "kid": "r", "zip": "DEF"}), &rsa), "malformed"),
        ("crit", headed(&json!({"alg": "RS256", "kid": "r", "crit": ["exp"], "exp": 1}), &rsa), "malformed"),
        ("crit empty", headed(&json!({"alg": "RS256", "kid": "r", "crit": []}), &rsa), "malformed"),
        (
            "b64",
            headed(&json!({"alg": "RS256", "kid": "r", "b64": false, "crit": ["b64"]}), &rsa),
            "malformed",
        ),
    ]
}

fn signatures() -> Vec<Row> {
    let (rsa, good) = (rsa("r"), rsa("r").token());
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    vec![
        ("signature cut", good[..good.len() - 2].into(), "signature"),
        ("signature missing", format!("{head}.{body}."), "signature"),
        (
            "signature of other claims",
            format!("{head}.{}.{signature}", encode(&with("organization", json!("other")).to_string())),
            "signature",
        ),
        ("claims no JSON", sign_raw(&rsa, "no JSON"), "malformed"),
        ("claims no object", sign_raw(&rsa, "[]"), "malformed"),
        ("claims deep", sign_raw(&rsa, &"[".repeat(2000)), "malformed"),
    ]
}

fn wrong_keys(url: &str) -> Vec<Row> {
    let (rsa, ec, ec384, ed) = (rsa("r"), ec("e"), ec384("e3"), ed("d"));
    let attacker = other_rsa("r");
    let pss = |signer: Signer| Signer { algorithm: Algorithm::PS256, ..signer };
    vec![
        ("another key, same id", attacker.token(), "signature"),
        (
            "key in the header",
            headed(&json!({"alg": "RS256", "kid": "r", "jwk": attacker.jwk()}), &attacker),
            "signature",
        ),
        (
            "key in the header, new id",
            headed(&json!({"alg": "RS256", "kid": "x", "jwk": attacker.jwk()}), &attacker),
            "unknown_key",
        ),
        (
            "address in the header",
            headed(&json!({"alg": "RS256", "kid": "x", "jku": url, "x5u": url}), &attacker),
            "unknown_key",
        ),
        ("no id and two keys", headed(&json!({"alg": "RS256"}), &rsa), "unknown_key"),
        ("RS256 with an EC key", headed(&json!({"alg": "RS256", "kid": "e"}), &ec), "unknown_key"),
        ("ES256 with an RSA key", headed(&json!({"alg": "ES256", "kid": "r"}), &ec), "unknown_key"),
        ("ES256 with P-384", headed(&json!({"alg": "ES256", "kid": "e3"}), &ec384), "unknown_key"),
        ("EdDSA with an EC key", headed(&json!({"alg": "EdDSA", "kid": "e"}), &ed), "unknown_key"),
        ("PS256 with a key for RS256", pss(other_rsa("named")).token(), "unknown_key"),
        (
            "RS256 signed as PS256",
            headed(&json!({"alg": "RS256", "kid": "r"}), &pss(rsa.clone())),
            "signature",
        ),
        ("a key for encryption", other_rsa("enc").token(), "unknown_key"),
    ]
}

fn secrets() -> Vec<Row> {
    let mut rows = vec![
        ("a published secret", hmac(PUBLISHED.as_bytes(), "HS256", Some("secret")), "signature"),
        ("another secret", hmac(b"another secret", "HS256", None), "signature"),
        ("HS384 of the secret", hmac(SECRET, "HS384", None), "algorithm"),
        ("HS512 of the secret", hmac(SECRET, "HS512", None), "algorithm"),
    ];
    rows.extend(
        forms(&rsa("r"))
            .iter()
            .map(|secret| ("a public key as a secret", hmac(secret, "HS256", Some("r")), "signature")),
    );
    rows
}

/// The public key of `signer` in the forms in which a forger finds it, each of which could be taken for a secret.
fn forms(signer: &Signer) -> Vec<Vec<u8>> {
    // SubjectPublicKeyInfo of a modulus of 256 bytes with the exponent 65537 (RFC 3279, section 2.3.1).
    const BEFORE: [u8; 33] = [
        0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
        0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00,
    ];
    const AFTER: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];
    let jwk = signer.jwk();
    let modulus = jwk["n"].as_str().unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(modulus).unwrap();
    let der = [BEFORE.as_slice(), &bytes, &AFTER].concat();
    let text = STANDARD.encode(&der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
    let with_break = format!("{pem}\n");
    vec![modulus.into(), bytes, der, pem.into(), with_break.into(), jwk.to_string().into(), Vec::new()]
}

fn claims() -> Vec<Row> {
    let rsa = rsa("r");
    vec![
        ("expired", rsa.sign(&with("exp", json!(now() - 10))), "expired"),
        ("expired for ever", rsa.sign(&with("exp", json!(0))), "expired"),
        ("exp missing", rsa.sign(&without("exp")), "claim"),
        ("exp a string", rsa.sign(&with("exp", json!("9999999999"))), "claim"),
        ("exp negative", rsa.sign(&with("exp", json!(-1))), "claim"),
        ("exp null", rsa.sign(&with("exp", json!(null))), "claim"),
        ("exp infinite", rsa.sign(&with("exp", json!(1e300))), "claim"),
        ("nbf later", rsa.sign(&with("nbf", json!(now() + 10))), "early"),
        ("nbf a string", rsa.sign(&with("nbf", json!("0"))), "claim"),
        ("iss missing", rsa.sign(&without("iss")), "claim"),
        ("iss another", rsa.sign(&with("iss", json!("https://elsewhere"))), "issuer"),
        ("iss in another case", rsa.sign(&with("iss", json!("LogPipeline"))), "issuer"),
        ("iss no string", rsa.sign(&with("iss", json!(7))), "claim"),
        ("aud that is not ours", rsa.sign(&with("aud", json!("account"))), "audience"),
        ("organisation missing", rsa.sign(&without("organization")), "claim"),
        ("organisation an array", rsa.sign(&with("organization", json!(["acme"]))), "claim"),
        ("any organisation", any_organization(&rsa), "any_organization"),
        ("scope missing", rsa.sign(&without("scope")), "claim"),
    ]
}

fn sign_raw(signer: &Signer, claims: &str) -> String {
    let message =
        format!("{}.{}", encode(&json!({"alg": "RS256", "kid": signer.kid}).to_string()), encode(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &signer.key, signer.algorithm).unwrap();
    format!("{message}.{signature}")
}

#[tokio::test]
async fn each_byte_of_a_signature_counts() {
    for signer in [rsa("r"), ec("e"), ed("d")] {
        let issuer = Issuer::new(set(&[&signer])).await;
        let door = issuer.door(|_| ());
        let good = signer.token();
        let start = good.rfind('.').unwrap() + 1;
        for at in start..good.len() - 1 {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let answer = door.get(PATH, &String::from_utf8(bytes).unwrap()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{:?} byte {at}", signer.algorithm);
        }
        assert_eq!(door.get(PATH, &good).await.status, StatusCode::OK);
    }
}
