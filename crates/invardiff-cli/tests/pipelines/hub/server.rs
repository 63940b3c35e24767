//! A hub on loopback: the answers that the client of the hub asks for, and the ways in which a real one fails.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The repository that is served.
pub(crate) const REPO: &str = "someone/tiny";

/// What goes wrong, once each time it stands in the list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Requests whose path contains a text are answered with a status and an error code.
    Status(&'static str, u16, &'static str),
    /// The connection ends after so many bytes of a file.
    Cut(&'static str, usize),
    /// The connection stays silent after so many bytes of a file.
    Silent(&'static str, usize),
    /// A file arrives with its first byte changed.
    Damaged(&'static str),
    /// A range is not heeded: the whole file comes.
    Whole(&'static str),
}

/// A request that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
}

#[derive(Default)]
struct State {
    endpoint: String,
    commit: String,
    files: BTreeMap<String, Vec<u8>>,
    faults: Vec<Fault>,
    seen: Vec<Seen>,
}

/// The server; it ends when dropped.
pub(crate) struct HubServer {
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HubServer {
    pub(crate) fn start(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let files = files.into_iter().collect();
        let state =
            State { endpoint: endpoint.clone(), commit: commit("c0ffee0"), files, ..State::default() };
        let (state, ended) = (Arc::new(Mutex::new(state)), Arc::new(AtomicBool::new(false)));
        let (for_thread, end) = (state.clone(), ended.clone());
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let (state, end) = (for_thread.clone(), end.clone());
                thread::spawn(move || answer(&stream.unwrap(), &state, &end));
            }
        });
        Self { endpoint, state, ended, thread: Some(thread) }
    }

    /// Has these things go wrong from now on.
    pub(crate) fn fails(&self, faults: &[Fault]) {
        self.state.lock().unwrap().faults = faults.to_vec();
    }

    /// Publishes a new commit.
    pub(crate) fn publish(&self, commit: &str, name: &str, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.commit = self::commit(commit);
        state.files.insert(name.into(), bytes.into());
    }

    /// The requests since the last call.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        TcpStream::connect(self.endpoint.trim_start_matches("http://")).ok();
        self.thread.take().map(JoinHandle::join);
    }
}

impl State {
    /// The first fault that fits, taken out of the list.
    fn fault(&mut self, fits: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let found = self.faults.iter().position(fits)?;
        Some(self.faults.remove(found))
    }
}

fn answer(mut stream: &TcpStream, state: &Mutex<State>, ended: &AtomicBool) {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let Some(path) = first.split(' ').nth(1).map(str::to_owned) else { return };
    let mut headers = BTreeMap::new();
    for line in reader.lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let header = |name: &str| headers.get(name).cloned();
    let mut state_now = state.lock().unwrap();
    let (range, authorization) = (header("range"), header("authorization"));
    state_now.seen.push(Seen { path: path.clone(), range: range.clone(), authorization });
    let reply = reply(&mut state_now, &path, range.as_deref());
    drop(state_now);
    let lines: String = reply.headers.iter().flat_map(|(name, value)| [*name, ": ", value, "\r\n"]).collect();
    let (status, length) = (reply.status, reply.body.len());
    let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{lines}Content-Length: {length}\r\n\r\n");
    let sent = reply.until.map_or(reply.body.len(), |(until, _)| until.min(reply.body.len()));
    // A client that has gone is its own business.
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&reply.body[..sent])).ok();
    while matches!(reply.until, Some((_, Ending::Silence))) && !ended.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(20));
    }
    stream.shutdown(std::net::Shutdown::Write).ok();
    stream.read_to_end(&mut Vec::new()).ok();
}

#[derive(Clone, Copy)]
enum Ending {
    Cut,
    Silence,
}

struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    until: Option<(usize, Ending)>,
}

impl Reply {
    fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), until: None }
    }
}

fn reply(state: &mut State, path: &str, range: Option<&str>) -> Reply {
    if let Some(Fault::Status(_, status, code)) =
        state.fault(|fault| matches!(fault, Fault::Status(text, ..) if path.contains(text)))
    {
        return Reply { headers: vec![("X-Error-Code", code.into())], ..Reply::status(status) };
    }
    if path.starts_with(&format!("/api/models/{REPO}/revision/")) {
        return Reply { body: listing(state).to_string().into_bytes(), ..Reply::status(200) };
    }
    let path = path.split('?').next().unwrap_or_default();
    let resolved = path.strip_prefix(&format!("/{REPO}/resolve/")).and_then(|rest| rest.split_once('/'));
    let Some(name) = resolved.map(|(_, name)| name).or(path.strip_prefix("/elsewhere/")) else {
        return Reply::status(404);
    };
    let Some(bytes) = state.files.get(name).cloned() else { return Reply::status(404) };
    let commit = ("X-Repo-Commit", state.commit.clone());
    if resolved.is_some() && large(name) {
        // Large files are elsewhere: the address is absolute, as that of another host is.
        let place = format!("{}/elsewhere/{name}", state.endpoint);
        let headers = vec![commit, ("X-Linked-Etag", format!("\"{}\"", sha256(&bytes))), ("Location", place)];
        return Reply { headers, ..Reply::status(302) };
    }
    let etag = ("ETag", format!("\"{}\"", git(&bytes)));
    let mut reply = content(state, name, bytes, range);
    reply.headers.extend([commit, etag]);
    reply
}

/// A stretch of a file, with what goes wrong on its way.
fn content(state: &mut State, name: &str, mut bytes: Vec<u8>, range: Option<&str>) -> Reply {
    let length = bytes.len();
    let mut fault = |fits: &dyn Fn(&Fault) -> bool| state.fault(fits);
    if fault(&|fault| matches!(fault, Fault::Damaged(file) if *file == name)).is_some() {
        bytes[0] ^= 1;
    }
    let rest = range.is_some_and(|range| !range.starts_with("bytes=0-"));
    let whole = rest && fault(&|fault| matches!(fault, Fault::Whole(file) if *file == name)).is_some();
    let (from, to) = match range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
        Some((from, to)) if !whole => {
            (from.parse().unwrap(), to.parse::<usize>().map_or(length, |to| (to + 1).min(length)))
        }
        Some(_) | None => (0, length),
    };
    if from >= to {
        return Reply::status(416);
    }
    let until = match fault(
        &|fault| matches!(fault, Fault::Cut(file, _) | Fault::Silent(file, _) if *file == name),
    ) {
        Some(Fault::Cut(_, bytes)) => Some((bytes, Ending::Cut)),
        Some(Fault::Silent(_, bytes)) => Some((bytes, Ending::Silence)),
        _ => None,
    };
    let headers = vec![("Content-Range", format!("bytes {from}-{}/{length}", to - 1))];
    let status = if range.is_some() && !whole { 206 } else { 200 };
    Reply { headers, body: bytes[from..to].to_vec(), until, ..Reply::status(status) }
}

fn listing(state: &State) -> serde_json::Value {
    let siblings: Vec<_> = state
        .files
        .iter()
        .map(|(name, bytes)| {
            let mut file = json!({"rfilename": name, "size": bytes.len(), "blobId": git(bytes)});
            if large(name) {
                file["lfs"] = json!({"sha256": sha256(bytes), "size": bytes.len()});
            }
            file
        })
        .collect();
    json!({"id": REPO, "sha": state.commit, "siblings": siblings})
}

fn large(name: &str) -> bool {
    name.strip_suffix(".safetensors").is_some()
}

/// A commit's name that begins so.
pub(crate) fn commit(short: &str) -> String {
    format!("{short:0<40}")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The name that git gives to a file's content.
pub(crate) fn git(bytes: &[u8]) -> String {
    hex(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
