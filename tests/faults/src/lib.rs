//! The data path on real parts under real faults: what was acknowledged is stored once or dead-lettered once, in order.
//!
//! [`parts`] starts Kafka and PostgreSQL, [`service`] runs the product's own programs and brings back those that end,
//! [`proxy`] stands between them and the database, [`load`] are the clients, [`fault`] breaks things, and [`verdict`]
//! counts what became of every event.
#![cfg(feature = "real")]

pub mod fault;
pub mod load;
pub mod parts;
pub mod proxy;
pub mod run;
pub mod service;
pub mod verdict;
