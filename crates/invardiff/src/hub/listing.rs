//! What a repository holds, as the hub says.

use std::collections::HashSet;
use std::io::Read;
use std::time::Duration;

use serde::Deserialize;

use super::client::{Client, NoAnswer, encoded, reading};
use super::content::{Content, is_commit};
use super::error::HubError;
use super::id::HubId;
use super::name;
use super::settings::Hub;

/// The files of one commit.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    /// The commit that the revision is.
    pub(super) commit: String,
    /// Its files.
    pub(super) files: Vec<File>,
}

/// A file of a repository.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct File {
    /// Its path in the repository.
    #[serde(rename = "rfilename")]
    pub(super) name: String,
    /// Its length in bytes, where the hub says it.
    #[serde(default)]
    pub(super) size: Option<u64>,
    /// What is known of a large file.
    #[serde(default)]
    lfs: Option<Large>,
    /// The hash of git's blob: of a small file's content, of a large one's stand-in.
    #[serde(default, rename = "blobId")]
    blob: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Large {
    sha256: Option<String>,
    size: Option<u64>,
}

/// A file that can be fetched: its name is one on every system, and how much it holds and what is known beforehand.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Its path in the repository.
    pub(super) name: String,
    /// Its length in bytes.
    pub(super) size: u64,
    /// Its hash.
    pub(super) content: Content,
}

impl File {
    /// The file, if it can be fetched; otherwise what is wrong with its entry.
    pub(super) fn wanted(&self) -> Result<Wanted, String> {
        let wrong = |what: &str| format!("it lists {}, but {what}", self.name);
        if let Some(fault) = name::fault(&self.name).or_else(|| name::fault_elsewhere(&self.name)) {
            return Err(wrong(&format!("no file can have that name: {fault}")));
        }
        let (content, size) = match &self.lfs {
            Some(large) => (large.sha256.as_deref().map(Content::sha256), large.size.or(self.size)),
            None => (self.blob.as_deref().map(Content::git), self.size),
        };
        let content = content.ok_or_else(|| wrong("without a hash"))?;
        let content = content.ok_or_else(|| wrong("with a hash that is none"))?;
        let size = size.ok_or_else(|| wrong("without a size"))?;
        Ok(Wanted { name: self.name.clone(), size, content })
    }
}

/// Why there is no listing.
pub(super) enum NoListing {
    /// The hub did not answer, or is not able to at the moment.
    Unreachable(String),
    /// It answered, and there is nothing to be had.
    Refused(HubError),
}

/// What the hub answers.
#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<File>,
}

/// How long the answer to a listing may take, and how long it may be: that of a large repository has a megabyte.
const ANSWER: (Duration, u64) = (Duration::from_secs(30), 8 << 20);

impl Listing {
    /// Asks the hub.
    pub(super) fn ask(hub: &Hub, client: &Client, id: &HubId) -> Result<Self, NoListing> {
        let path = format!("api/models/{}/revision/{}?blobs=true", id.repo(), encoded(id.revision()));
        let mut response = client.get(&path, 0).map_err(|error| match error {
            NoAnswer::Cut(why) => NoListing::Unreachable(why),
            NoAnswer::Senseless(why) => senseless(id, why),
        })?;
        let status = response.status().as_u16();
        let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok());
        if let Some(refusal) = refusal(hub, id, status, code.unwrap_or_default()) {
            return Err(refusal);
        }
        let text = body(response.body_mut().as_reader(), hub, id)?;
        Self::read(id, &text).map_err(|what| senseless(id, what))
    }

    /// Reads a hub's answer; the error says what is wrong with it.
    pub(super) fn read(id: &HubId, answer: &[u8]) -> Result<Self, String> {
        let answer: Answer = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
        Self::check(id, answer)
    }

    /// Refuses commits and names that none can have.
    fn check(id: &HubId, answer: Answer) -> Result<Self, String> {
        if !is_commit(&answer.sha) {
            return Err("its commit is none".into());
        }
        if is_commit(id.revision()) && id.revision() != answer.sha {
            return Err("it is of another commit".into());
        }
        let mut names = HashSet::new();
        for file in &answer.siblings {
            if let Some(fault) = name::fault(&file.name) {
                return Err(format!("a file has a name that none can have: {fault}"));
            }
            if !names.insert(file.name.as_str()) {
                return Err(format!("{} stands in it twice", file.name));
            }
        }
        Ok(Self { commit: answer.sha, files: answer.siblings })
    }
}

/// Reads an answer under bounds of time and length.
fn body(mut reader: impl Read, hub: &Hub, id: &HubId) -> Result<Vec<u8>, NoListing> {
    let (mut text, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    let (began, (time, length)) = (std::time::Instant::now(), ANSWER);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(text),
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(error) => return Err(NoListing::Unreachable(reading(&error, hub.patience))),
        }
        if text.len() as u64 > length {
            return Err(senseless(id, format!("it is longer than {length} bytes")));
        }
        if began.elapsed() > time {
            return Err(NoListing::Unreachable(format!("it did not arrive in {} s", time.as_secs())));
        }
    }
}

fn senseless(id: &HubId, detail: String) -> NoListing {
    NoListing::Refused(wrong(id, detail))
}

/// The error of a list that is none.
pub(super) fn wrong(id: &HubId, detail: String) -> HubError {
    HubError::Answer { repo: id.to_string(), file: "the list of files".to_owned(), detail }
}

/// What a status means, where it is not success.
fn refusal(hub: &Hub, id: &HubId, status: u16, code: &str) -> Option<NoListing> {
    let repo = id.to_string();
    let hidden = hub.token.is_none() && matches!(status, 401 | 403);
    Some(NoListing::Refused(match status {
        200..=299 => return None,
        429 | 500..=599 => return Some(NoListing::Unreachable(format!("HTTP {status}"))),
        404 if code == "RevisionNotFound" => HubError::NotFound {
            file: format!("revision {}", id.revision()),
            advice: format!("see {}/{} for its branches, tags and commits", hub.shown(), id.repo()),
            repo,
            status,
        },
        404 => hub.no_repo(id, status),
        401 | 403 if code == "RepoNotFound" || hidden && code.is_empty() => hub.no_repo(id, status),
        401 | 403 => hub.denied(id, "the repository", status),
        _ => return Some(senseless(id, format!("HTTP {status}"))),
    }))
}

impl Hub {
    /// A repository that is not there, or is not shown: a hub does not tell one from the other.
    fn no_repo(&self, id: &HubId, status: u16) -> HubError {
        let token = match self.token {
            None => "set HF_TOKEN if it is private",
            Some(_) => "is it private, and the token another user's?",
        };
        HubError::NotFound {
            repo: id.to_string(),
            file: "the repository".to_owned(),
            status,
            advice: format!("check the name at {}/{}; {token}", self.shown(), id.repo()),
        }
    }

    /// A file that needs permission.
    pub(super) fn denied(&self, id: &HubId, file: &str, status: u16) -> HubError {
        let page = format!("{}/{}", self.shown(), id.repo());
        let advice = match self.token {
            None => format!(
                "accept the model's terms at {page} if it has any, and set HF_TOKEN to an access token of that account"
            ),
            Some(_) => format!(
                "the token in HF_TOKEN may be wrong or expired, or its account has not accepted the model's terms at {page}"
            ),
        };
        HubError::Denied { repo: id.to_string(), file: file.to_owned(), status, advice }
    }
}
