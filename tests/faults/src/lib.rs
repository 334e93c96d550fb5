//! The data path on real parts under real faults: what was acknowledged is stored once or dead-lettered once, in order.
//!
//! [`parts`] starts Kafka and PostgreSQL, [`service`] runs the product's own programs and brings back those that end,
//! [`proxy`] is the network between the two, [`load`] and [`flood`] are the clients, [`fault`] says what breaks and
//! [`suffer`] breaks it, and [`verdict`] counts what became of every event, with [`letters`] and [`ledger`].
#![cfg(feature = "real")]

pub mod client;
pub mod fault;
pub mod flood;
pub mod ledger;
pub mod letters;
pub mod load;
pub mod parts;
pub mod proxy;
pub mod run;
pub mod service;
pub mod suffer;
pub mod verdict;
