//! The two hosts.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::hub::server::{commit, git, sha256};

/// The repository that is served.
pub(super) const REPO: &str = "someone/tiny";
pub(super) const SMALL: &str = "transformer/config.json";
pub(super) const WEIGHTS: &str = "transformer/diffusion_pytorch_model.safetensors";

/// The one evil thing that a hub does. `ROOT` in a text is the folder that holds the cache and what is not to be touched.
#[derive(Clone, Debug)]
pub(super) enum Evil {
    Nothing,
    /// The listing has one more file, of this name.
    Name(String),
    /// The listing has this as the SHA-256 of the weights.
    Hash(String),
    /// The listing has this as the commit.
    Commit(String),
    /// The listing has this as the size of the weights.
    Size(&'static str),
    /// Headers name the content so.
    Etag(String),
    /// Headers name the commit so.
    CommitHeader(String),
    /// The weights are elsewhere.
    Redirect(To),
    /// The listing is at the other host.
    ListingElsewhere,
    Loop,
    NoLocation,
    Location(String),
    /// 10 GiB, announced.
    Huge,
    /// Bytes without end, and without a length.
    Endless,
    /// The same in chunks.
    Chunked,
    /// One byte less than listed.
    Less,
    /// A header that says which stretch it is.
    Range(&'static str),
    /// The answer is another stretch than was asked for.
    WrongStretch,
    /// Every connection breaks off, and every answer begins anew.
    Drops,
    Drip,
    DripInHeaders,
    LongHeaders,
    Silence,
    SlowListing,
    /// A file arrives with one bit changed.
    Damage(&'static str),
    BigListing,
    DeepListing,
    NoListing,
}

/// Where a request is sent on to.
#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    /// Another port of the same host.
    Port,
    /// Another host.
    Host,
    /// The same server, by a path.
    There,
    /// Another server, which sends it back.
    Back,
}

/// The files of the repository.
pub(super) fn files() -> Vec<(String, Vec<u8>)> {
    let weights = (0..200_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let small = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    vec![
        small("model_index.json", "{}"),
        small(SMALL, r#"{"sample_size": 1}"#),
        (WEIGHTS.to_owned(), weights),
    ]
}

/// A request: to which server, for what, and with which secret.
type Seen = (Server, String, Option<String>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Hub,
    /// Another port.
    Port,
    /// Another host.
    Host,
}

/// The hub and the servers beside it. Their threads end with the test program.
pub(super) struct Hosts {
    pub(super) evil: Evil,
    /// The hub's address.
    pub(super) hub: String,
    shared: Arc<Shared>,
}

struct Shared {
    evil: Evil,
    root: String,
    /// The addresses of the servers, `host:port`.
    hub: String,
    port: String,
    host: String,
    seen: Mutex<Vec<Seen>>,
    sent: AtomicU64,
}

impl Hosts {
    pub(super) fn start(evil: Evil, root: &Path) -> Self {
        let bind = |host: &str| TcpListener::bind((host, 0));
        let (hub, port) = (bind("127.0.0.1").unwrap(), bind("127.0.0.1").unwrap());
        // Not every system has more than one host on loopback; a name of the same one is another host as well.
        let host = bind("127.0.0.2").or_else(|_| bind("localhost")).unwrap();
        let name = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
        let other = name(&host).replace("127.0.0.1:", "localhost:");
        let shared = Arc::new(Shared {
            evil: evil.clone(),
            root: root.to_str().unwrap().to_owned(),
            hub: name(&hub),
            port: name(&port),
            host: other,
            seen: Mutex::default(),
            sent: AtomicU64::new(0),
        });
        for (server, listener) in [(Server::Hub, hub), (Server::Port, port), (Server::Host, host)] {
            let shared = shared.clone();
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let shared = shared.clone();
                    thread::spawn(move || Connection { stream, server, shared: &shared }.answer());
                }
            });
        }
        Self { evil, hub: format!("http://{}", shared.hub), shared }
    }

    /// The requests to other servers than the hub in which a secret stands anywhere.
    pub(super) fn told_elsewhere(&self, secret: &str) -> Vec<String> {
        let seen = self.shared.seen.lock().unwrap();
        let told = |(server, path, token): &&Seen| {
            *server != Server::Hub && (token.is_some() || path.contains(secret))
        };
        seen.iter().filter(told).map(|(_, path, _)| path.clone()).collect()
    }

    /// How many requests to the hub had a secret.
    pub(super) fn told_hub(&self, secret: &str) -> usize {
        let seen = self.shared.seen.lock().unwrap();
        let told = |(server, _, token): &&Seen| {
            *server == Server::Hub && token.as_deref().is_some_and(|token| token.contains(secret))
        };
        seen.iter().filter(told).count()
    }

    /// How many bytes of answers went out.
    pub(super) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }
}

struct Connection<'a> {
    stream: TcpStream,
    server: Server,
    shared: &'a Shared,
}

/// A client that has gone is its own business.
type Sent = Option<()>;

impl Connection<'_> {
    fn answer(self) -> Sent {
        let mut lines =
            BufReader::new(&self.stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let path = lines.next()?.split(' ').nth(1)?.to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| {
                line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect();
        let header =
            |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        self.shared.seen.lock().unwrap().push((self.server, path.clone(), header("authorization")));
        let from =
            header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        if path.starts_with("/api/models/") {
            return self.listing(&path);
        }
        let resolved = path.split_once("/resolve/").and_then(|(_, rest)| rest.split_once('/'));
        let name = resolved.map(|(_, name)| name).or(path.strip_prefix("/cdn/"))?;
        let files = files();
        let Some((name, bytes)) = files.iter().find(|(known, _)| known == name) else {
            return self.plain("404 X", &[], b"");
        };
        let mut headers = vec![
            format!(
                "ETag: \"{}\"",
                self.said(|evil| if let Evil::Etag(etag) = evil { Some(etag) } else { None }, &git(bytes))
            ),
            format!(
                "X-Repo-Commit: {}",
                self.said(
                    |evil| if let Evil::CommitHeader(name) = evil { Some(name) } else { None },
                    &commit("c0ffee0")
                )
            ),
        ];
        if name == WEIGHTS && resolved.is_some() {
            let etag =
                self.said(|evil| if let Evil::Etag(etag) = evil { Some(etag) } else { None }, &sha256(bytes));
            headers.push(format!("X-Linked-Etag: \"{etag}\""));
            if let Some(to) = self.elsewhere(&path) {
                headers.extend(to);
                return self.plain("302 X", &headers, b"");
            }
        }
        self.content(name, bytes, from.unwrap_or(0), &headers)
    }

    /// A text of the evil kind, or the honest one.
    fn said<'a>(&'a self, evil: impl Fn(&'a Evil) -> Option<&'a String>, honest: &str) -> String {
        evil(&self.shared.evil).map_or(honest.to_owned(), |text| text.replace("ROOT", &self.shared.root))
    }

    /// Headers that send the request for the weights on.
    fn elsewhere(&self, path: &str) -> Option<Vec<String>> {
        let shared = self.shared;
        let to = match &shared.evil {
            Evil::Redirect(To::Port) => format!("http://{}/cdn/{WEIGHTS}", shared.port),
            Evil::Redirect(To::Host) => format!("http://{}/cdn/{WEIGHTS}", shared.host),
            Evil::Redirect(To::There) => format!("/cdn/{WEIGHTS}"),
            Evil::Redirect(To::Back) if self.server == Server::Hub => format!("http://{}{path}", shared.host),
            Evil::Redirect(To::Back) => format!("http://{}/cdn/{WEIGHTS}", shared.hub),
            Evil::Loop => path.to_owned(),
            Evil::Location(to) => to.replace("HOST", &shared.host),
            Evil::NoLocation => return Some(Vec::new()),
            _ => return None,
        };
        Some(vec![format!("Location: {to}")])
    }

    fn listing(&self, path: &str) -> Sent {
        match &self.shared.evil {
            Evil::ListingElsewhere if self.server == Server::Hub => {
                return self.plain("302 X", &[format!("Location: http://{}{path}", self.shared.host)], b"");
            }
            Evil::BigListing => {
                self.send(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n{\"sha\":\"c0ffee0\",\"siblings\":[")?;
                return self.without_end(&br#"{"rfilename":"a.json"},"#.repeat(10_000));
            }
            Evil::SlowListing => {
                self.send(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")?;
                thread::sleep(Duration::from_secs(20));
                return None;
            }
            Evil::DeepListing => {
                let body = [br#"{"sha":"c0ffee0","other":"#.to_vec(), b"[".repeat(200_000)].concat();
                return self.plain("200 X", &[], &body);
            }
            Evil::NoListing => return self.plain("200 X", &[], b"<html>hello</html>"),
            _ => {}
        }
        let mut siblings: Vec<String> = files().iter().map(|(name, bytes)| self.entry(name, bytes)).collect();
        if let Evil::Name(name) = &self.shared.evil {
            siblings.push(self.entry(name, b"evil"));
        }
        let commit = self
            .said(|evil| if let Evil::Commit(name) = evil { Some(name) } else { None }, &commit("c0ffee0"));
        let body = format!(r#"{{"id": "{REPO}", "sha": "{commit}", "siblings": [{}]}}"#, siblings.join(", "));
        self.plain("200 X", &[], body.as_bytes())
    }

    fn entry(&self, name: &str, bytes: &[u8]) -> String {
        let (quoted, blob) = (serde_json::to_string(name).unwrap(), git(bytes));
        if name != WEIGHTS {
            return format!(r#"{{"rfilename": {quoted}, "size": {}, "blobId": "{blob}"}}"#, bytes.len());
        }
        let hash =
            self.said(|evil| if let Evil::Hash(hash) = evil { Some(hash) } else { None }, &sha256(bytes));
        let size = if let Evil::Size(size) = self.shared.evil { size } else { "800000" };
        format!(
            r#"{{"rfilename": {quoted}, "size": {size}, "blobId": "{blob}", "lfs": {{"sha256": "{hash}", "size": {size}}}}}"#
        )
    }

    fn content(&self, name: &str, bytes: &[u8], from: usize, headers: &[String]) -> Sent {
        let (rest, large) = (&bytes[from.min(bytes.len())..], name == WEIGHTS);
        let stretch = |range: &str| [headers, &[format!("Content-Range: {range}")]].concat();
        let evil = &self.shared.evil;
        match evil {
            Evil::Damage(changed) if *changed == name => {
                let mut bytes = bytes.to_vec();
                bytes[0] ^= 1;
                self.plain("200 X", headers, &bytes)
            }
            Evil::Range(range) if large => self.plain("200 X", &stretch(range), bytes),
            Evil::WrongStretch if large => {
                self.plain("206 X", &stretch("bytes 5-799999/800000"), &bytes[5..])
            }
            Evil::Less if large => self.plain("200 X", headers, &bytes[..799_999]),
            _ if large && self.without_measure(bytes, headers).is_some() => None,
            _ if from > 0 => {
                let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                self.plain("206 X", &stretch(&range), rest)
            }
            _ => self.plain("200 X", headers, bytes),
        }
    }

    /// What has no end, no length or no haste; `None` for other evils.
    fn without_measure(&self, bytes: &[u8], headers: &[String]) -> Option<Sent> {
        let head = |length: &str| {
            let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
            self.send(format!("HTTP/1.1 200 X\r\nConnection: close\r\n{headers}{length}\r\n").as_bytes())
        };
        let megabyte = vec![0; 1 << 20];
        Some(match self.shared.evil {
            Evil::Huge => head("Content-Length: 10737418240\r\n").and_then(|()| self.without_end(&megabyte)),
            Evil::Endless => head("").and_then(|()| self.without_end(&megabyte)),
            Evil::Chunked => {
                let chunk = [&b"100000\r\n"[..], &megabyte, b"\r\n"].concat();
                head("Transfer-Encoding: chunked\r\n").and_then(|()| self.without_end(&chunk))
            }
            Evil::Drops => head("Content-Length: 800000\r\n").and_then(|()| self.send(&bytes[..400_000])),
            Evil::Drip => head("Content-Length: 800000\r\n").and_then(|()| {
                bytes.iter().try_for_each(|byte| {
                    thread::sleep(Duration::from_millis(100));
                    self.send(&[*byte])
                })
            }),
            Evil::DripInHeaders => (0..).try_for_each(|line| {
                thread::sleep(Duration::from_millis(100));
                self.send(if line == 0 { b"HTTP/1.1 200 X\r\n" } else { b"X-A: b\r\n" })
            }),
            Evil::LongHeaders => {
                let line = format!("X-A: {}\r\n", "b".repeat(60_000));
                self.send(b"HTTP/1.1 200 X\r\n").and_then(|()| self.without_end(line.as_bytes()))
            }
            Evil::Silence => {
                head("Content-Length: 800000\r\n");
                thread::sleep(Duration::from_secs(20));
                None
            }
            _ => return None,
        })
    }

    fn plain(&self, status: &str, headers: &[String], body: &[u8]) -> Sent {
        let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
        let head = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.send(head.as_bytes())?;
        self.send(body)
    }

    /// Sends until the client leaves, or far past any bound.
    fn without_end(&self, bytes: &[u8]) -> Sent {
        while self.shared.sent.load(Ordering::SeqCst) < 1 << 30 {
            self.send(bytes)?;
        }
        None
    }

    fn send(&self, bytes: &[u8]) -> Sent {
        (&self.stream).write_all(bytes).ok()?;
        self.shared.sent.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Some(())
    }
}
