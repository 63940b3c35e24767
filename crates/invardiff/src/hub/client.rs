//! Requests to a hub, and to where it sends one on.

use std::time::Duration;
use std::{fmt, io};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, LOCATION, RANGE};
use ureq::http::{HeaderValue, Response, Uri};
use ureq::{Agent, Body, Error};

use super::endpoint::{Endpoint, Origin};
use super::error::HubError;
use super::settings::Hub;

/// What asks one hub. The user's token goes to the scheme, host and port of the hub's own address and to no other: neither
/// to another server that the hub sends one to, nor to the same one without encryption.
pub(super) struct Client {
    agent: Agent,
    endpoint: Endpoint,
    authorization: Option<HeaderValue>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The network failed: another attempt may get further.
    Cut(String),
    /// The server says what no hub says.
    Senseless(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(why) | Self::Senseless(why) => f.write_str(why),
        }
    }
}

/// How often a request may be sent on. A hub sends one on once, or twice where a repository was renamed.
const REDIRECTS: usize = 5;

/// What stands in an address as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Text as a part of an address.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

impl Client {
    /// A client of a hub; asks nothing yet.
    ///
    /// # Errors
    /// [`HubError::Endpoint`] or [`HubError::Token`] for settings that cannot be sent.
    pub(super) fn new(hub: &Hub) -> Result<Self, HubError> {
        let endpoint = Endpoint::parse(&hub.endpoint)?;
        let secret =
            hub.token.as_ref().map(|token| format!("Bearer {token}")).or_else(|| endpoint.basic.clone());
        let header = |secret: String| {
            let mut value = HeaderValue::from_str(&secret).map_err(|_| HubError::Token)?;
            value.set_sensitive(true);
            Ok(value)
        };
        let authorization = secret.map(header).transpose()?;
        let wait = Some(hub.patience);
        let config = Agent::config_builder()
            .user_agent(concat!("invardiff/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_resolve(wait)
            .timeout_connect(wait)
            .timeout_send_request(wait)
            .timeout_recv_response(wait)
            .timeout_per_read(wait)
            .build();
        Ok(Self { agent: config.new_agent(), endpoint, authorization })
    }

    /// Asks for a path below the hub's address, from a byte on.
    pub(super) fn get(&self, path: &str, from: u64) -> Result<Response<Body>, NoAnswer> {
        let senseless = |why: &str| NoAnswer::Senseless(why.to_owned());
        let first = format!("{}/{path}", self.endpoint.base);
        let mut address: Uri = first.parse().map_err(|_| senseless("there is no such address"))?;
        for _ in 0..=REDIRECTS {
            let response = self.ask(&address, from)?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let to = to.ok_or_else(|| senseless("it sends on, but not where to"))?;
            address = sent_on(&address, to).map_err(senseless)?;
        }
        Err(senseless("it sends on without end"))
    }

    /// Sends one request.
    fn ask(&self, address: &Uri, from: u64) -> Result<Response<Body>, NoAnswer> {
        // What is counted and hashed is what arrives: nothing is unpacked on the way.
        let mut request = self.agent.get(address).header(ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let own = Origin::of(address).as_ref() == Some(&self.endpoint.origin);
        if let Some(secret) = self.authorization.as_ref().filter(|_| own) {
            request = request.header(AUTHORIZATION, secret);
        }
        request.call().map_err(|error| match error {
            Error::Protocol(_) | Error::Http(_) | Error::BadUri(_) | Error::LargeResponseHeader(..) => {
                NoAnswer::Senseless(format!("it does not speak HTTP as a hub does ({error})"))
            }
            other => NoAnswer::Cut(other.to_string()),
        })
    }
}

/// Where an answer at `from` sends to: an address, or a path at the same server.
fn sent_on(from: &Uri, to: &str) -> Result<Uri, &'static str> {
    let origin = Origin::of(from).ok_or("it was asked at no address")?;
    let to: Uri = match to.strip_prefix('/') {
        Some(rest) if !rest.starts_with('/') => {
            let authority = from.authority().map_or("", |authority| authority.as_str());
            format!("{}://{authority}{to}", from.scheme_str().unwrap_or_default()).parse()
        }
        _ => to.parse(),
    }
    .map_err(|_| "it sends on to what is no address")?;
    let next = Origin::of(&to).ok_or("it sends on to what is no address")?;
    if origin.is_secure() && !next.is_secure() {
        return Err("it sends on from https to http");
    }
    // A user in that address would be sent to it as one.
    if to.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("it sends on to an address with a user");
    }
    Ok(to)
}

/// What broke the reading of an answer.
pub(super) fn reading(error: &io::Error, patience: Duration) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::Timeout(_)) => format!("no data for {} s", patience.as_secs_f32()),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_leads_on_to_addresses_and_paths() {
        let sent = |from: &str, to: &str| sent_on(&from.parse().unwrap(), to).map(|uri| uri.to_string());
        let hub = "https://hub.example:8443/a/resolve/main/x";
        assert_eq!(sent(hub, "/api/x?y=1").unwrap(), "https://hub.example:8443/api/x?y=1");
        assert_eq!(sent(hub, "https://cdn.example/x").unwrap(), "https://cdn.example/x");
        assert_eq!(sent("http://hub.example/a", "https://hub.example/a").unwrap(), "https://hub.example/a");
        for to in [
            "http://hub.example:8443/x",
            "file:///etc/passwd",
            "x/y",
            "/a b",
            "",
            "//cdn.example/x",
            "https://ann:pw@cdn.example/x",
            "https:///x",
        ] {
            assert!(sent(hub, to).is_err(), "{to}");
        }
    }

    #[test]
    fn parts_of_addresses_are_encoded() {
        assert_eq!(encoded("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(encoded("a b?c#d%2e.json"), "a%20b%3Fc%23d%252e.json");
    }
}
