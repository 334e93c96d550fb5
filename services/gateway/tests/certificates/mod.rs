//! Certificates of the tests, made with openssl.

use std::{path::Path, process::Command};

fn openssl(folder: &Path, arguments: &str) {
    let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

/// An authority, in `NAME.crt` and `NAME.key`; answers its certificate, PEM.
pub(crate) fn authority(folder: &Path, name: &str) -> Vec<u8> {
    let usual = "req -x509 -newkey rsa:2048 -nodes -days 2";
    openssl(folder, &format!("{usual} -subj /CN={name} -keyout {name}.key -out {name}.crt"));
    std::fs::read(folder.join(format!("{name}.crt"))).unwrap()
}

/// A server's certificate by that authority, for the name `localhost` only, in `own.crt` and `own.key`.
#[allow(dead_code, reason = "not all tests that share this use all of it")]
pub(crate) fn of_localhost(folder: &Path, authority: &str) {
    let usual = "req -newkey rsa:2048 -nodes -subj /CN=server";
    openssl(folder, &format!("{usual} -addext subjectAltName=DNS:localhost -keyout own.key -out own.csr"));
    let signed = format!("x509 -req -in own.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial");
    openssl(folder, &format!("{signed} -days 2 -copy_extensions copy -out own.crt"));
}
