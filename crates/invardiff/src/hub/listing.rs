//! What a repository holds, as the hub says.

use std::time::Duration;

use hf_hub::api::sync::Api;
use hf_hub::{Repo, RepoType};
use serde::Deserialize;

use super::{Hub, HubError, HubId};

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
    /// The name of a small file's content.
    #[serde(default, rename = "blobId")]
    blob: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Large {
    sha256: Option<String>,
}

impl File {
    /// The file's SHA-256, hexadecimal, which the hub knows of large files.
    pub(super) fn sha256(&self) -> Option<&str> {
        self.lfs.as_ref()?.sha256.as_deref()
    }

    /// The name of the file's content in the cache.
    pub(super) fn content(&self) -> Option<&str> {
        self.sha256().or(self.blob.as_deref())
    }

    #[cfg(test)]
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), size: None, lfs: None, blob: None }
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

/// How long the answer to a listing may take.
const ANSWER: Duration = Duration::from_secs(30);

impl Listing {
    /// Asks the hub.
    pub(super) fn ask(hub: &Hub, api: &Api, id: &HubId) -> Result<Self, NoListing> {
        let repo = Repo::with_revision(id.repo().to_owned(), RepoType::Model, id.revision().to_owned());
        let wait = Some(ANSWER.min(hub.patience));
        let request = api.repo(repo).info_request().query("blobs", "true");
        let request = request
            .config()
            .http_status_as_error(false)
            .timeout_resolve(wait)
            .timeout_connect(wait)
            .timeout_recv_response(wait)
            .timeout_recv_body(wait)
            .build();
        let mut response = request.call().map_err(|error| NoListing::Unreachable(error.to_string()))?;
        let status = response.status().as_u16();
        let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok());
        if let Some(refusal) = refusal(hub, id, status, code.unwrap_or_default()) {
            return Err(refusal);
        }
        let answer: Answer =
            response.body_mut().read_json().map_err(|error| senseless(id, error.to_string()))?;
        let named = answer.sha.len() >= 7 && answer.sha.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let plain = |file: &File| {
            !file.name.is_empty()
                && file.name.split('/').all(|part| !matches!(part, "" | "." | ".."))
                && !file.name.contains('\\')
        };
        if !named || !answer.siblings.iter().all(plain) {
            return Err(senseless(id, "a commit or a file has a name that none can have".into()));
        }
        Ok(Self { commit: answer.sha, files: answer.siblings })
    }
}

fn senseless(id: &HubId, detail: String) -> NoListing {
    let file = "the list of files".to_owned();
    NoListing::Refused(HubError::Answer { repo: id.to_string(), file, detail })
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
            advice: format!("see {}/{} for its branches, tags and commits", hub.endpoint, id.repo()),
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
            advice: format!("check the name at {}/{}; {token}", self.endpoint, id.repo()),
        }
    }

    /// A file that needs permission.
    pub(super) fn denied(&self, id: &HubId, file: &str, status: u16) -> HubError {
        let page = format!("{}/{}", self.endpoint, id.repo());
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
