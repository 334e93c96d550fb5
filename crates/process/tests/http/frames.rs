//! Clients of HTTP/2: one that behaves, and one that writes frames as it is told.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{Request, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::PATIENCE;

/// A client that behaves.
pub(crate) struct Client {
    pub(crate) requests: SendRequest<Bytes>,
    /// Ends with the connection.
    pub(crate) connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Client {
        Client::with(addr, &h2::client::Builder::new()).await
    }

    pub(crate) async fn with(addr: SocketAddr, builder: &h2::client::Builder) -> Client {
        let stream = TcpStream::connect(addr).await.unwrap();
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        Client { requests, connection: tokio::spawn(connection) }
    }

    /// Sends a GET; waits for a free stream, not for the answer.
    pub(crate) async fn send(&self, path: &str) -> Result<ResponseFuture, h2::Error> {
        let request = Request::get(format!("http://test{path}")).body(()).unwrap();
        let mut requests = self.requests.clone().ready().await?;
        Ok(requests.send_request(request, true)?.0)
    }

    /// Sends a GET and reads its answer.
    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Vec<u8>) {
        answer(self.send(path).await.unwrap()).await.unwrap()
    }

    /// How the connection ended.
    pub(crate) async fn ended(self) -> Result<(), h2::Error> {
        drop(self.requests);
        timeout(PATIENCE, self.connection).await.expect("the server keeps the connection open").unwrap()
    }
}

/// Reads a whole answer.
pub(crate) async fn answer(response: ResponseFuture) -> Result<(StatusCode, Vec<u8>), h2::Error> {
    let read = async {
        let (head, mut body) = response.await?.into_parts();
        let mut whole = Vec::new();
        while let Some(data) = next(&mut body).await {
            whole.extend_from_slice(&data?);
        }
        Ok((head.status, whole))
    };
    timeout(PATIENCE, read).await.expect("no answer came")
}

/// The next data of a body that is not empty, and the window opened again for as much.
pub(crate) async fn next(body: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
    loop {
        let data = timeout(PATIENCE, body.data()).await.expect("nothing more comes")?;
        match &data {
            Ok(data) if data.is_empty() => continue,
            Ok(data) => body.flow_control().release_capacity(data.len()).unwrap(),
            Err(_) => {}
        }
        return Some(data);
    }
}

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `GET /` of the host `test` (RFC 7541, with the static table).
pub(crate) const GET: &[u8] = b"\x82\x86\x84\x41\x04test";

/// `POST /`, likewise.
pub(crate) const POST: &[u8] = b"\x83\x86\x84\x41\x04test";
/// `GET /endless` (RFC 7541).
pub(crate) const ENDLESS: &[u8] = b"\x82\x86\x04\x08/endless\x41\x04test";

/// Types of frames (RFC 9113 section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame as it came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        assert_eq!(self.kind, GOAWAY);
        u32::from_be_bytes(self.payload[4..8].try_into().unwrap())
    }
}

/// A frame's bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A client that answers no SETTINGS and no PING by itself.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
}

impl Raw {
    /// A connection that has said what every connection says first.
    pub(crate) async fn connect(addr: SocketAddr) -> Raw {
        let mut raw = Raw { stream: TcpStream::connect(addr).await.unwrap() };
        raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        raw
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        next_frame(&mut self.stream).await
    }

    /// All frames until the end of the connection.
    pub(crate) async fn rest(self) -> Vec<Frame> {
        rest(self.stream).await
    }

    /// Sends `GET /` and reads its answer to its end.
    pub(crate) async fn get(&mut self, stream: u32) {
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, GET)).await;
        loop {
            let frame = self.next().await.expect("the connection ended");
            if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                return;
            }
        }
    }
}

async fn next_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let read = async {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    };
    timeout(PATIENCE, read).await.expect("no frame and no end came")
}

/// All frames until the end of a connection.
pub(crate) async fn rest(mut stream: impl AsyncRead + Unpin) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(frame) = next_frame(&mut stream).await {
        frames.push(frame);
    }
    frames
}
