//! What a newcomer reads first: where the page is, a token, and how to send and read an event.

use std::{net::SocketAddr, path::Path};

/// Prints it to standard output.
pub(crate) fn print(address: SocketAddr, token: &str, data_dir: &Path, demo: u32) {
    let url = format!("http://{address}");
    let demo =
        if demo > 0 { format!("on, {demo} events a second (--demo 0 for none)") } else { "off".into() };
    println!(
        r#"logpipeline is running. Press Ctrl-C to stop it.

  page    {url}/#token={token}
  token   {token}
          (organisation demo, for a day; others: logpipeline token --data-dir {dir} --organisation NAME)
  data    {dir}
  demo    {demo}

Send an event:
  curl -H 'Authorization: Bearer {token}' {url}/api/v1/logs -d '{{"service":"shop","level":"INFO","message":"hello"}}'
Read it back:
  curl -H 'Authorization: Bearer {token}' '{url}/api/v1/logs?q=hello'
"#,
        dir = data_dir.display(),
    );
}
