//! The server over real sockets: limits, bodies, stopping, and the endpoints that every process has.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod endpoints;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod http2_abuse;
#[cfg(test)]
mod http2_stalls;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod support;
#[cfg(test)]
mod traces;
