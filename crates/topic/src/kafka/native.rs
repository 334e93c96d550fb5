//! What librdkafka can tell and its Rust crate does not bind: a topic's id. The only unsafe code of the workspace.
#![allow(unsafe_code, reason = "there is no safe way to these calls; each states why it is sound")]

use crate::TopicId;
use rdkafka::bindings::{self as rd, rd_kafka_admin_op_t as Operation};
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::NonNull;
use std::time::Duration;
use uuid::Uuid;

/// Why nothing could be looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LookupError {
    #[error("there is no topic {0:?}")]
    NoTopic(String),
    #[error("partition {0} has no leader")]
    NoLeader(i32),
    #[error("partition {partition}: {error}")]
    Partition { partition: i32, error: RDKafkaErrorCode },
    #[error("no answer within {0:?}")]
    NoAnswer(Duration),
    #[error("{0}")]
    Kafka(String),
}

/// What the brokers say of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) topic: TopicId,
    /// Numbers of the partitions, each with whether a broker leads it.
    pub(super) partitions: Vec<(i32, bool)>,
}

impl Description {
    /// The first partition that no broker leads.
    pub(super) fn leaderless(&self) -> Option<i32> {
        self.partitions.iter().find(|(_, led)| !led).map(|(partition, _)| *partition)
    }
}

/// Asks for the id and the partitions of a topic. Blocks.
pub(super) fn describe<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    within: Duration,
) -> Result<Description, LookupError> {
    let name = CString::new(topic).map_err(|_| LookupError::NoTopic(topic.to_owned()))?;
    let asked = Asked::new(client, Operation::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, within)?;
    let mut names = [name.as_ptr()];
    // SAFETY: `names` is one valid C string for the length of the call, which copies it.
    let topics = unsafe { rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()) };
    let topics = Owned::new(topics, rd::rd_kafka_TopicCollection_destroy)?;
    // SAFETY: all four are alive; librdkafka copies the names and options and counts its references to the queue.
    unsafe {
        rd::rd_kafka_DescribeTopics(asked.client, topics.ptr(), asked.options.ptr(), asked.queue.ptr());
    }
    let event = asked.answer()?;
    // SAFETY: the event answers DescribeTopics without an error, so that there is a result with one description for
    // the one name; all of it belongs to the event, which lives to the end of the function.
    unsafe {
        let result = rd::rd_kafka_event_DescribeTopics_result(event.ptr());
        let mut count = 0;
        let descriptions = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let description = *elements(descriptions, count).first().ok_or_else(|| no_topic(topic))?;
        let error = rd::rd_kafka_TopicDescription_error(description);
        if !error.is_null()
            && let code = rd::rd_kafka_error_code(error)
            && code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return Err(topic_error(topic, code.into()));
        }
        let id = rd::rd_kafka_TopicDescription_topic_id(description);
        let halves = (
            rd::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned(),
            rd::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned(),
        );
        let partitions = rd::rd_kafka_TopicDescription_partitions(description, &raw mut count);
        let partitions = elements(partitions, count).iter().map(|partition| {
            let led = !rd::rd_kafka_TopicPartitionInfo_leader(*partition).is_null();
            (rd::rd_kafka_TopicPartitionInfo_partition(*partition), led)
        });
        let topic = TopicId(Uuid::from_u64_pair(halves.0, halves.1));
        Ok(Description { topic, partitions: partitions.collect() })
    }
}

/// A question that was or will be put to the brokers; its answer comes to a queue of its own.
struct Asked {
    client: *mut rd::rd_kafka_t,
    options: Owned<rd::rd_kafka_AdminOptions_t>,
    queue: Owned<rd::rd_kafka_queue_t>,
    within: Duration,
}

impl Asked {
    fn new<C: ClientContext>(
        client: &Client<C>,
        operation: Operation,
        within: Duration,
    ) -> Result<Asked, LookupError> {
        let client = client.native_ptr();
        // SAFETY: the client is alive; the two objects belong to us until we destroy them.
        let (options, queue) =
            unsafe { (rd::rd_kafka_AdminOptions_new(client, operation), rd::rd_kafka_queue_new(client)) };
        let options = Owned::new(options, rd::rd_kafka_AdminOptions_destroy)?;
        let queue = Owned::new(queue, rd::rd_kafka_queue_destroy)?;
        let mut error: [c_char; 256] = [0; 256];
        // SAFETY: the options are alive and `error` has the size that is told.
        let set = unsafe {
            let (text, size) = (error.as_mut_ptr(), error.len());
            rd::rd_kafka_AdminOptions_set_request_timeout(options.ptr(), millis(within), text, size)
        };
        match set {
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
                Ok(Asked { client, options, queue, within })
            }
            // SAFETY: librdkafka ended the text with a zero byte.
            _ => Err(LookupError::Kafka(unsafe { text(error.as_ptr()) })),
        }
    }

    /// Waits for the answer, which is not an error.
    fn answer(&self) -> Result<Owned<rd::rd_kafka_event_t>, LookupError> {
        // A little longer than librdkafka itself, which then says what it waited for.
        let patience = millis(self.within.saturating_add(Duration::from_millis(500)));
        // SAFETY: the queue is alive; the event belongs to us until we destroy it.
        let event = unsafe { rd::rd_kafka_queue_poll(self.queue.ptr(), patience) };
        let event =
            Owned::new(event, rd::rd_kafka_event_destroy).map_err(|_| LookupError::NoAnswer(self.within))?;
        // SAFETY: the event is alive.
        match unsafe { rd::rd_kafka_event_error(event.ptr()) } {
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(event),
            // SAFETY: the text belongs to the event, which is alive.
            _ => Err(LookupError::Kafka(unsafe { text(rd::rd_kafka_event_error_string(event.ptr())) })),
        }
    }
}

/// An object of librdkafka's that is ours to destroy.
struct Owned<T> {
    object: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(object: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Result<Owned<T>, LookupError> {
        let object = NonNull::new(object).ok_or_else(|| LookupError::Kafka("nothing was made".into()))?;
        Ok(Owned { object, destroy })
    }

    fn ptr(&self) -> *mut T {
        self.object.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `destroy` is the function that librdkafka names for objects of this type, and nobody else calls it.
        unsafe { (self.destroy)(self.object.as_ptr()) }
    }
}

/// The elements of an array of librdkafka's, which is null when it is empty.
///
/// # Safety
/// `array` is null or points at `count` elements that live for `'a`.
unsafe fn elements<'a, T>(array: *mut T, count: usize) -> &'a [T] {
    match array.is_null() {
        true => &[],
        // SAFETY: the caller's promise.
        false => unsafe { std::slice::from_raw_parts(array, count) },
    }
}

/// A copy of a text of librdkafka's.
///
/// # Safety
/// `text` is null or a C string.
unsafe fn text(text: *const c_char) -> String {
    match text.is_null() {
        true => "unknown error".into(),
        // SAFETY: the caller's promise.
        false => unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned(),
    }
}

fn no_topic(topic: &str) -> LookupError {
    LookupError::NoTopic(topic.to_owned())
}

fn topic_error(topic: &str, error: RDKafkaErrorCode) -> LookupError {
    match error {
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => no_topic(topic),
        error => LookupError::Kafka(error.to_string()),
    }
}

fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_millis()).unwrap_or(c_int::MAX)
}

/// Makes the client suffer a fatal error, as a broken promise of idempotence does.
#[cfg(test)]
pub(super) fn fail<C: ClientContext>(client: &Client<C>) {
    let error = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    // SAFETY: the client is alive and the text is a C string.
    unsafe { rd::rd_kafka_test_fatal_error(client.native_ptr(), error, c"for a test".as_ptr()) };
}
