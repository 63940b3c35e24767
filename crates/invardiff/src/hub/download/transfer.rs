//! One attempt at one file.

use std::io::Read;
use std::time::{Duration, Instant};

use invardiff_runtime::Phase;
use ureq::Body;
use ureq::http::Response;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE};

use super::job::{Download, LEAST_RATE};
use super::part::Part;
use crate::hub::client::{NoAnswer, encoded, reading};
use crate::hub::error::HubError;
use crate::hub::listing::Wanted;

/// An attempt at a file.
pub(super) struct Transfer<'a> {
    pub(super) download: &'a Download<'a>,
    pub(super) file: &'a Wanted,
}

/// Why an attempt came to nothing.
pub(super) enum Broken {
    /// Another attempt may go on.
    Cut(String),
    /// Another attempt would end the same.
    Fatal(HubError),
}

impl Transfer<'_> {
    /// Goes on with a part until it has the listed length.
    pub(super) fn run(&self, part: &mut Part) -> Result<(), Broken> {
        let name: Vec<String> = self.file.name.split('/').map(encoded).collect();
        let Download { client, id, commit, .. } = self.download;
        let path = format!("{}/resolve/{commit}/{}", id.repo(), name.join("/"));
        let response = client.get(&path, part.length()).map_err(|error| match error {
            NoAnswer::Cut(detail) => Broken::Cut(detail),
            NoAnswer::Senseless(detail) => self.senseless(detail),
        })?;
        self.place(&response, part)?;
        self.take(response, part)
    }

    /// Finds where the bytes of an answer belong.
    fn place(&self, response: &Response<Body>, part: &mut Part) -> Result<(), Broken> {
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let status = response.status().as_u16();
        match status {
            // The whole file, asked for or not.
            200 => part.restart().map_err(|source| self.io(source))?,
            206 => {
                let start =
                    header(CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes ")?.split_once('-'));
                if start.and_then(|(start, _)| start.parse().ok()) != Some(part.length()) {
                    return self.not_continued(part);
                }
            }
            416 => return self.not_continued(part),
            408 | 429 | 500..=599 => return Err(Broken::Cut(format!("HTTP {status}"))),
            _ => return Err(Broken::Fatal(self.refused(status))),
        }
        let announced: Option<u64> = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
        match announced {
            Some(length) if length != part.missing() => {
                let length = part.length().saturating_add(length);
                Err(self.of_another_length(part, length.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Takes the bytes of an answer, no more than are missing and no slower than the least rate.
    fn take(&self, response: Response<Body>, part: &mut Part) -> Result<(), Broken> {
        let patience = self.download.hub.patience;
        let mut reader = response.into_body().into_reader();
        let mut pace = Pace::new(patience);
        let mut buffer = vec![0; 1 << 18];
        let what = format!("{} (bytes)", self.file.name);
        let phase = Phase::begin(self.download.progress, &what, self.file.size as usize);
        phase.advance(part.length() as usize);
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) if part.missing() > 0 => return Err(Broken::Cut("the connection was cut".to_owned())),
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) => return Err(Broken::Cut(reading(&error, patience))),
            };
            if count as u64 > part.missing() {
                let more = format!("more than {}", self.file.size);
                return Err(self.of_another_length(part, more));
            }
            if let Err(source) = part.append(&buffer[..count]) {
                return Err(self.io(source));
            }
            phase.advance(count);
            if part.missing() > 0 && !pace.holds(count as u64) {
                return Err(Broken::Cut(format!("less than {LEAST_RATE} bytes a second arrive")));
            }
        }
    }

    /// A part that the server does not go on with is dropped.
    fn not_continued(&self, part: &mut Part) -> Result<(), Broken> {
        if part.length() == 0 {
            return Err(self.senseless("it is another stretch of the file than was asked for".to_owned()));
        }
        part.restart().map_err(|source| self.io(source))?;
        Err(Broken::Cut("the server does not go on with what is there".to_owned()))
    }

    /// A file that is not as long as the hub lists it. What came of it is dropped.
    fn of_another_length(&self, part: &mut Part, found: String) -> Broken {
        if let Err(source) = part.restart() {
            return self.io(source);
        }
        let expected = self.file.size.to_string();
        Broken::Fatal(self.download.damaged(self.file, "its length", found, expected))
    }

    /// What a status means, where it is not success.
    fn refused(&self, status: u16) -> HubError {
        let Download { hub, id, .. } = self.download;
        let (repo, file) = (id.to_string(), self.file.name.clone());
        match status {
            401 | 403 => hub.denied(id, &file, status),
            404 => {
                let advice = "the hub lists it, but does not have it; try another revision".to_owned();
                HubError::NotFound { repo, file, status, advice }
            }
            _ => HubError::Answer { repo, file, detail: format!("HTTP {status}") },
        }
    }

    fn senseless(&self, detail: String) -> Broken {
        let (repo, file) = (self.download.id.to_string(), self.file.name.clone());
        Broken::Fatal(HubError::Answer { repo, file, detail })
    }

    fn io(&self, source: std::io::Error) -> Broken {
        let path = self.download.cache.part(&self.file.content);
        Broken::Fatal(HubError::Io { path, source })
    }
}

/// How much arrives in each stretch of time.
struct Pace {
    stretch: Duration,
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new(stretch: Duration) -> Self {
        Self { stretch, since: Instant::now(), bytes: 0 }
    }

    /// Counts what arrived; whether it is enough.
    fn holds(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        if self.since.elapsed() < self.stretch {
            return true;
        }
        let enough = self.bytes as f64 >= LEAST_RATE as f64 * self.since.elapsed().as_secs_f64();
        (self.since, self.bytes) = (Instant::now(), 0);
        enough
    }
}
