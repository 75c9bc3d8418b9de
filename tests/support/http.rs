//! A web server for the files of one directory, for layers that lie outside a registry.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// Serves on the loopback address until the test process ends.
pub struct WebServer {
    pub address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl WebServer {
    /// Answers `GET /blobs/sha256:HEX` from a layout.
    pub fn start(layout: &Path) -> WebServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (layout, log) = (layout.to_owned(), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (layout, log) = (layout.clone(), Arc::clone(&log));
                // A client that went away is not the server's problem.
                thread::spawn(move || drop(answer(stream, &layout, &log)));
            }
        });
        WebServer { address, requests }
    }

    /// Every request so far, with its headers.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no thread panics with the log").clone()
    }
}

fn answer(mut stream: TcpStream, layout: &Path, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    while reader.read_line(&mut request)? > 2 {}
    log.lock().expect("no thread panics with the log").push(request.clone());
    let path: PathBuf = request.split(' ').nth(1).unwrap_or_default().replace(':', "/").trim_start_matches('/').into();
    let (status, body) = match fs::read(layout.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body)
}
