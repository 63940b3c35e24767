//! Downloads that break.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use invardiff::{Hub, HubId};
use serde_json::json;
use sha1::{Digest, Sha1};

use super::Shared;

/// The file that is published, under a name of weights, which are what a hub's repository is read for: larger than what a connection
/// brings at once.
const SIZE: usize = 3 << 20;
const NAME: &str = "model.safetensors";
const COMMIT: &str = "c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff";

/// A hub on loopback with one file, whose connections end somewhere in the file, more often than not. It ends with the process.
#[derive(Clone, Debug)]
pub(super) struct Server {
    endpoint: String,
    file: Arc<Vec<u8>>,
}

impl Server {
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let file: Vec<u8> = (0..SIZE).map(|place| (place % 251) as u8).collect();
        let server = Self { endpoint, file: Arc::new(file) };
        let own = server.clone();
        std::thread::spawn(move || {
            let count = AtomicU64::new(0);
            for stream in listener.incoming().flatten() {
                // What breaks here is what is tested.
                drop(own.answer(&stream, count.fetch_add(1, Relaxed)));
            }
        });
        Ok(server)
    }

    /// Answers one request: the list of files, or the file from a byte on, as far as it goes.
    fn answer(&self, mut stream: &TcpStream, count: u64) -> io::Result<()> {
        let lines = BufReader::new(stream).lines();
        let lines: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        if path.starts_with("/api/") {
            let blob = Sha1::new_with_prefix(format!("blob {SIZE}\0")).chain_update(&*self.file).finalize();
            let blob = blob.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
            let body =
                json!({"sha": COMMIT, "siblings": [{"rfilename": NAME, "size": SIZE, "blobId": blob}]})
                    .to_string();
            let length = body.len();
            return write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
        let range = lines.iter().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok()
        });
        let from = range.unwrap_or(0).min(SIZE);
        let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
        let length = SIZE - from;
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n")?;
        if from > 0 {
            write!(stream, "content-range: bytes {from}-{}/{SIZE}\r\n", SIZE - 1)?;
        }
        write!(stream, "\r\n")?;
        let end = match count % 16 {
            // More in a row than a download puts up with.
            0..4 => from,
            4 | 9 | 14 => SIZE,
            part => (from + SIZE / 20 * part as usize).min(SIZE),
        };
        stream.write_all(&self.file[from..end])
    }
}

/// Downloads again and again into an empty cache.
pub(super) fn downloads_break(shared: &Shared, server: &Server, cache: &Path) {
    let hub = Hub::new(cache).with_endpoint(&server.endpoint);
    let hub = hub.with_patience(Duration::from_secs(5), Duration::from_millis(1));
    shared.repeat(|round| {
        if round % 3 == 0 {
            drop(std::fs::remove_dir_all(cache));
        }
        let id = HubId::parse("someone/tiny").map_err(|error| error.to_string())?;
        match hub.fetch(&id) {
            Ok(folder) => {
                let found = std::fs::read(folder.join(NAME)).map_err(|error| error.to_string())?;
                if found != *server.file {
                    return Err("a download is not what was published".into());
                }
                shared.downloaded.fetch_add(1, Relaxed);
                std::fs::remove_dir_all(cache).map_err(|error| error.to_string())?;
            }
            Err(error) if error.to_string().is_empty() => return Err("an error without words".into()),
            Err(_) => drop(shared.broken.fetch_add(1, Relaxed)),
        }
        std::thread::sleep(Duration::from_millis(5));
        Ok(())
    });
}
