//! What the made-up services say. Texts are JSON string contents: `\n` is a line break of the message.

use super::template::Message;
use record::Level::{Debug, Error, Fatal, Info, Trace, Warn};

/// A service and its messages; [`COMMON`] messages belong to each.
pub(super) struct Service {
    pub(super) name: &'static str,
    /// How often it speaks, relative to the others.
    pub(super) weight: usize,
    pub(super) messages: &'static [Message],
}

const fn message(level: record::Level, text: &'static str, attributes: &'static str) -> Message {
    Message { level, text, attributes }
}

/// Messages of every service; between them every level occurs.
pub(super) const COMMON: &[Message] = &[
    message(Trace, "enter handler conn={hex8}", ""),
    message(Trace, "cache lookup key=session:{hex16} hit=true", "\"cacheKey\":\"session:{hex16}\""),
    message(Debug, "pool: {n} idle, {n} in use, {n} waiting", ""),
    message(Debug, "config reloaded, revision {hex8}", "\"revision\":\"{hex8}\""),
    message(Debug, "executing query: {sql}", "\"durationMs\":{ms},\"rows\":{n}"),
    message(Info, "health check ok in {ms} ms", "\"durationMs\":{ms}"),
    message(Warn, "slow query ({ms} ms): {sql}", "\"durationMs\":{ms},\"rows\":{big}"),
    message(Warn, "retrying call to {ip}:{port}, attempt {n}", "\"peer\":\"{ip}\""),
    message(Warn, "connection pool is nearly exhausted: {n} of 100 in use", ""),
    message(Error, "connection to database at {ip}:5432 refused", "\"peer\":\"{ip}\",\"durationMs\":{ms}"),
    message(
        Error,
        "deadline exceeded after {ms} ms calling {ip}:{port}",
        "\"peer\":\"{ip}\",\"durationMs\":{ms}",
    ),
    message(
        Error,
        "unhandled exception while serving {path}\\njava.lang.IllegalStateException: stale version {big}\\n\
         \\tat com.example.shop.Repository.save(Repository.java:{n})\\n\
         \\tat com.example.shop.Service.lambda$update$0(Service.java:{n})\\n\
         \\tat com.example.shop.http.Router.dispatch(Router.java:{n})\\n\
         \\tat java.base/java.lang.Thread.run(Thread.java:833)",
        "\"requestId\":\"{hex16}\",\"exception\":\"java.lang.IllegalStateException\"",
    ),
    message(Fatal, "out of memory: cannot allocate {big} bytes, exiting", ""),
    message(Fatal, "panicked at 'index out of bounds: the len is {n} but the index is {big}', exiting", ""),
];

/// The services.
pub(super) const SERVICES: &[Service] = &[
    Service {
        name: "web",
        weight: 8,
        messages: &[
            message(
                Info,
                "{ip} \\\"GET {path} HTTP/1.1\\\" 200 {big}",
                "\"status\":200,\"bytes\":{big},\"durationMs\":{ms}",
            ),
            message(
                Info,
                "{ip} \\\"POST /api/cart HTTP/1.1\\\" 201 {n}",
                "\"status\":201,\"durationMs\":{ms}",
            ),
            message(Info, "{ip} \\\"GET {path} HTTP/1.1\\\" 304 0", "\"status\":304,\"durationMs\":{ms}"),
            message(Warn, "{ip} \\\"GET {path} HTTP/1.1\\\" 404 153", "\"status\":404,\"durationMs\":{ms}"),
            message(Error, "{ip} \\\"GET {path} HTTP/1.1\\\" 502 559", "\"status\":502,\"durationMs\":{ms}"),
        ],
    },
    Service {
        name: "checkout",
        weight: 4,
        messages: &[
            message(
                Info,
                "order {hex8} placed: {n} items, total {money} EUR",
                "\"orderId\":\"{hex8}\",\"total\":{money},\"currency\":\"EUR\"",
            ),
            message(Info, "cart {hex8} checked out in {ms} ms", "\"cartId\":\"{hex8}\",\"durationMs\":{ms}"),
            message(Warn, "price of {words} changed during checkout of cart {hex8}", "\"cartId\":\"{hex8}\""),
            message(Error, "order {hex8} could not be saved: version conflict", "\"orderId\":\"{hex8}\""),
        ],
    },
    Service {
        name: "payments",
        weight: 3,
        messages: &[
            message(
                Info,
                "payment {hex16} of {money} EUR authorised by the acquirer in {ms} ms",
                "\"paymentId\":\"{hex16}\",\"amount\":{money},\"durationMs\":{ms}",
            ),
            message(Info, "refund of {money} EUR booked for order {hex8}", "\"orderId\":\"{hex8}\""),
            message(Warn, "payment {hex16} declined: insufficient funds", "\"paymentId\":\"{hex16}\""),
            message(
                Error,
                "acquirer answered 503 for payment {hex16} after {ms} ms",
                "\"paymentId\":\"{hex16}\"",
            ),
        ],
    },
    Service {
        name: "search",
        weight: 4,
        messages: &[
            message(
                Info,
                "query \\\"{words}\\\": {big} hits in {ms} ms",
                "\"hits\":{big},\"durationMs\":{ms},\"shards\":12",
            ),
            message(Debug, "segment merge of {big} documents took {ms} ms", "\"documents\":{big}"),
            message(Warn, "shard {n} answered late, results are partial", "\"shard\":{n}"),
        ],
    },
    Service {
        name: "auth",
        weight: 3,
        messages: &[
            message(
                Info,
                "user u-{big} logged in from {ip}",
                "\"userId\":\"u-{big}\",\"method\":\"password\"",
            ),
            message(Info, "token refreshed for user u-{big}", "\"userId\":\"u-{big}\""),
            message(Warn, "failed password for user u-{big} from {ip} port {port}", "\"userId\":\"u-{big}\""),
            message(Error, "signing key {hex8} not found", "\"keyId\":\"{hex8}\""),
        ],
    },
    Service {
        name: "inventory",
        weight: 3,
        messages: &[
            message(
                Info,
                "reserved {n} of sku {hex8} in warehouse {n}",
                "\"sku\":\"{hex8}\",\"warehouse\":{n}",
            ),
            message(Info, "stock of {words} is now {n}", "\"sku\":\"{hex8}\""),
            message(Warn, "stock of {words} is below the threshold: {n} left", "\"sku\":\"{hex8}\""),
        ],
    },
    Service {
        name: "shipping",
        weight: 2,
        messages: &[
            message(Info, "label {hex16} printed for order {hex8}", "\"orderId\":\"{hex8}\""),
            message(Info, "parcel {hex16} left warehouse {n}", "\"parcelId\":\"{hex16}\""),
            message(Warn, "no carrier for region {region}, trying again in {n} s", ""),
        ],
    },
    Service {
        name: "notifications",
        weight: 2,
        messages: &[
            message(Info, "e-mail order-confirmation sent to u-{big} in {ms} ms", "\"userId\":\"u-{big}\""),
            message(Warn, "mailbox of u-{big} is full (552), queued for later", "\"userId\":\"u-{big}\""),
        ],
    },
    Service {
        name: "recommendations",
        weight: 1,
        messages: &[
            message(Info, "model {hex8} scored {n} candidates in {ms} ms", "\"model\":\"{hex8}\""),
            message(Debug, "feature vector for u-{big} is {n} h old", "\"userId\":\"u-{big}\""),
        ],
    },
];
