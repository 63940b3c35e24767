//! Where a hub answers, and who may be told the user's secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use ureq::http::Uri;

use super::error::HubError;

/// Scheme, host and port of a server: secrets meant for one never go to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an absolute address over http or https; `None` for anything else.
    pub(super) fn of(address: &Uri) -> Option<Self> {
        let secure = match address.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = address.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
        Some(Self { secure, host, port: address.port_u16().unwrap_or(if secure { 443 } else { 80 }) })
    }

    /// Whether the way to this server is encrypted.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }
}

/// The address of a hub, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// `scheme://host:port/path` without a slash at the end, without user and password.
    pub(super) base: String,
    /// Whose secrets these are.
    pub(super) origin: Origin,
    /// `Basic ..`, where the address names a user.
    pub(super) basic: Option<String>,
}

impl Endpoint {
    /// Takes an address apart.
    ///
    /// # Errors
    /// [`HubError::Endpoint`], which names the address without user and password.
    pub(super) fn parse(given: &str) -> Result<Self, HubError> {
        let refuse = |why| HubError::Endpoint { given: shown(given), why };
        let address: Uri = given.parse().map_err(|_| refuse("it is no URL"))?;
        let origin =
            Origin::of(&address).ok_or_else(|| refuse("it does not begin with https:// or http://"))?;
        if address.query().is_some() || given.contains('#') {
            return Err(refuse("it goes on after the path"));
        }
        let authority = address.authority().map_or("", |authority| authority.as_str());
        let (user, place) =
            authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place));
        let scheme = if origin.secure { "https" } else { "http" };
        let base = format!("{scheme}://{place}{}", address.path().trim_end_matches('/'));
        let basic = user.map(|user| {
            let decoded: Vec<u8> = percent_decode_str(user).collect();
            format!("Basic {}", STANDARD.encode(decoded))
        });
        Ok(Self { base, origin, basic })
    }
}

/// An address to print: without what stands before the last `@` of its host.
pub(super) fn shown(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let between = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{between}{place}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_kept_apart_from_the_address() {
        let endpoint = Endpoint::parse("http://ann:p%40ss@hub.example:8080/mirror/").unwrap();
        assert_eq!(endpoint.base, "http://hub.example:8080/mirror");
        assert_eq!(endpoint.basic.as_deref(), Some("Basic YW5uOnBAc3M="));
        assert_eq!(shown("https://ann:secret@hub.example/a@b"), "https://hub.example/a@b");
        assert_eq!(shown("ann:secret@hub.example"), "hub.example");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |text: &str| Origin::of(&text.parse().unwrap());
        assert_eq!(origin("https://Hub.example/a"), origin("https://hub.example:443/b"));
        for other in ["http://hub.example/a", "https://hub.example:444/a", "https://cdn.hub.example/a"] {
            assert_ne!(origin("https://hub.example/a"), origin(other), "{other}");
        }
        assert_eq!(origin("ftp://hub.example/a"), None);
        assert_eq!(origin("/a"), None);
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_secrets() {
        for given in [
            "hub.example",
            "ftp://ann:secret@hub.example",
            "http://ann:secret@hub.example/?a",
            "http://ann:secret@",
            "",
        ] {
            let message = Endpoint::parse(given).unwrap_err().to_string();
            assert!(!message.contains("secret") && message.contains("HF_ENDPOINT"), "{message}");
        }
    }
}
