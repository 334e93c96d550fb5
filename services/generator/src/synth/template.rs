//! Text with places for random values, compiled once and written many times.

use crate::rng::Rng;
use record::Level;

/// A message of the catalog: texts are JSON string contents, with placeholders in braces (see [`Piece::named`]).
pub(super) struct Message {
    pub(super) level: Level,
    pub(super) text: &'static str,
    /// Members of `attributes`, as JSON text.
    pub(super) attributes: &'static str,
}

/// Everything of an event after its organisation.
pub(super) struct Template {
    pieces: Vec<Piece>,
}

enum Piece {
    Literal(Vec<u8>),
    /// A number below.
    Number(u64),
    /// Milliseconds: mostly short, sometimes very long.
    Millis,
    /// Hexadecimal digits.
    Hex(usize),
    Ip,
    Money,
    OneOf(&'static [&'static str]),
}

const REGIONS: &[&str] = &["eu-west-1", "eu-central-1", "us-east-1", "ap-south-1"];
const PATHS: &[&str] = &[
    "/",
    "/api/orders",
    "/api/orders/{id}/items",
    "/api/products?category=books&sort=price&page=2",
    "/api/cart",
    "/api/search?q=wireless+headphones",
    "/api/users/me",
    "/static/app.js",
];
const QUERIES: &[&str] = &[
    "select * from orders where customer_id = $1 order by created_at desc limit 50",
    "update inventory set reserved = reserved + $1 where sku = $2",
    "insert into payments (order_id, amount, currency, state) values ($1, $2, $3, $4)",
    "select sku, price from products where category = any($1)",
];
const PODS: &[&str] = &["5d9f7c-x2k4p", "5d9f7c-8hqzt", "5d9f7c-m7w2r", "7b66c4-q9d5s", "7b66c4-zt6lk"];
const WORDS: &[&str] =
    &["laptop", "garden chair", "blue t-shirt", "4k monitor", "coffee beans", "usb-c cable"];

impl Piece {
    /// The placeholder of that name.
    fn named(name: &str) -> Piece {
        match name {
            "n" => Piece::Number(100),
            "big" => Piece::Number(1_000_000),
            "port" => Piece::Number(65_536),
            "ms" => Piece::Millis,
            "hex8" => Piece::Hex(8),
            "hex16" => Piece::Hex(16),
            "hex32" => Piece::Hex(32),
            "ip" => Piece::Ip,
            "money" => Piece::Money,
            "region" => Piece::OneOf(REGIONS),
            "path" => Piece::OneOf(PATHS),
            "sql" => Piece::OneOf(QUERIES),
            "pod" => Piece::OneOf(PODS),
            "words" => Piece::OneOf(WORDS),
            _ => panic!("the catalog names a placeholder that is not there: {name}"),
        }
    }

    fn write(&self, body: &mut Vec<u8>, rng: &mut Rng) {
        match self {
            Piece::Literal(text) => body.extend_from_slice(text),
            Piece::Number(bound) => write_number(body, rng.below(*bound)),
            Piece::Millis => write_number(body, skewed_millis(rng)),
            Piece::Hex(digits) => write_hex(body, *digits, rng),
            Piece::Ip => {
                let bits = rng.next();
                body.extend_from_slice(b"10.");
                write_number(body, bits & 0x3f);
                body.push(b'.');
                write_number(body, (bits >> 8) & 0xff);
                body.push(b'.');
                write_number(body, (bits >> 16) & 0xff);
            }
            Piece::Money => {
                let cents = 100 + rng.below(50_000);
                write_number(body, cents / 100);
                body.push(b'.');
                write_number(body, cents / 10 % 10);
                write_number(body, cents % 10);
            }
            Piece::OneOf(texts) => body.extend_from_slice(texts[rng.index(texts.len())].as_bytes()),
        }
    }
}

impl Template {
    /// # Panics
    /// When the catalog's text is malformed: a test compiles all of it.
    pub(super) fn compile(level: Level, service: &str, message: &Message) -> Template {
        let head = format!(",\"level\":\"{level}\",\"service\":\"{service}\",\"message\":\"");
        let mut pieces = vec![Piece::Literal(head.into_bytes())];
        append_pieces(&mut pieces, message.text);
        append_literal(&mut pieces, b"\",\"attributes\":{\"pod\":\"");
        append_literal(&mut pieces, service.as_bytes());
        append_pieces(&mut pieces, "-{pod}\",\"region\":\"{region}\"");
        if !message.attributes.is_empty() {
            append_literal(&mut pieces, b",");
            append_pieces(&mut pieces, message.attributes);
        }
        append_literal(&mut pieces, b"}");
        Template { pieces }
    }

    /// Appends the rest of the event, one in four with a trace.
    pub(super) fn write(&self, body: &mut Vec<u8>, rng: &mut Rng) {
        for piece in &self.pieces {
            piece.write(body, rng);
        }
        if rng.below(4) == 0 {
            body.extend_from_slice(b",\"traceId\":\"");
            write_hex(body, 32, rng);
            body.extend_from_slice(b"\",\"spanId\":\"");
            write_hex(body, 16, rng);
            body.push(b'"');
        }
        body.push(b'}');
    }
}

fn append_pieces(pieces: &mut Vec<Piece>, source: &str) {
    let mut rest = source;
    while let Some((text, tail)) = rest.split_once('{') {
        let (name, tail) = tail.split_once('}').expect("a placeholder of the catalog has its end");
        append_literal(pieces, text.as_bytes());
        pieces.push(Piece::named(name));
        rest = tail;
    }
    append_literal(pieces, rest.as_bytes());
}

/// Literals next to each other become one copy.
fn append_literal(pieces: &mut Vec<Piece>, text: &[u8]) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Literal(last)) => last.extend_from_slice(text),
        _ => pieces.push(Piece::Literal(text.to_vec())),
    }
}

/// Three in four below 32 ms, each further doubling half as likely.
fn skewed_millis(rng: &mut Rng) -> u64 {
    let doublings = rng.next().trailing_zeros().min(9);
    1 + rng.below(16 << doublings)
}

fn write_number(body: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    body.extend_from_slice(&digits[at..]);
}

fn write_hex(body: &mut Vec<u8>, digits: usize, rng: &mut Rng) {
    let mut left = digits;
    while left > 0 {
        let bits = rng.next();
        for place in 0..left.min(16) {
            body.push(b"0123456789abcdef"[usize::try_from((bits >> (place * 4)) & 15).expect("four bits")]);
        }
        left = left.saturating_sub(16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_values_and_the_rest_stays() {
        let message =
            Message { level: Level::Warn, text: "took {ms} ms from {ip}:{port}", attributes: "\"n\":{n}" };
        let mut body = b"{\"x\":1".to_vec();
        Template::compile(Level::Warn, "shop", &message).write(&mut body, &mut Rng::seeded(4));
        let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&event["level"], &event["service"]), (&"WARN".into(), &"shop".into()));
        let text = event["message"].as_str().unwrap();
        assert!(text.starts_with("took ") && text.contains(" ms from 10.") && !text.contains('{'), "{text}");
        assert!(event["attributes"]["n"].is_u64() && event["attributes"]["pod"].is_string(), "{event}");
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 9, 10, 18_446_744_073_709_551_615] {
            let mut body = Vec::new();
            write_number(&mut body, number);
            assert_eq!(String::from_utf8(body).unwrap(), number.to_string());
        }
    }
}
