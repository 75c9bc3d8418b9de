//! A TCP proxy that counts what passes, and that can cut connections.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A proxy in front of a server. Its threads end with the test.
pub struct Proxy {
    address: String,
    received: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
}

impl Proxy {
    /// Forwards to `server` without cutting anything.
    pub fn start(server: &str) -> Proxy {
        Proxy::cutting(server, &[])
    }

    /// Ends answers early: once for each number of bytes, as soon as a connection has answered with so many.
    pub fn cutting(server: &str, cuts: &[u64]) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket").to_string();
        let (received, sent) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let cuts = Arc::new(Mutex::new(cuts.to_vec()));
        let (server, counter, counter_sent) = (server.to_owned(), Arc::clone(&received), Arc::clone(&sent));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&server)) else { return };
                let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { return };
                let sent = Arc::clone(&counter_sent);
                std::thread::spawn(move || ask(from, to, &sent));
                let (counter, cuts) = (Arc::clone(&counter), Arc::clone(&cuts));
                std::thread::spawn(move || answer(server, client, &counter, &cuts));
            }
        });
        Proxy { address, received, sent }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many bytes have come from the server, headers included.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }

    /// How many bytes have gone to the server, headers included.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

fn ask(mut client: TcpStream, mut server: TcpStream, counter: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        counter.fetch_add(read as u64, Ordering::SeqCst);
        if server.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Write);
}

fn answer(mut server: TcpStream, mut client: TcpStream, counter: &AtomicU64, cuts: &Mutex<Vec<u64>>) {
    let (mut buffer, mut passed) = (vec![0; 64 << 10], 0);
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        passed += read as u64;
        counter.fetch_add(read as u64, Ordering::SeqCst);
        let cut = {
            let mut cuts = cuts.lock().expect("no thread panics with the cuts");
            let reached = cuts.iter().position(|&cut| passed >= cut);
            reached.map(|index| cuts.remove(index)).is_some()
        };
        if client.write_all(&buffer[..read]).is_err() || cut {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
