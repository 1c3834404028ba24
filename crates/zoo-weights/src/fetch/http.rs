//! One GET, with its redirects followed here: the hub tells the hash and the commit of a file on the answer
//! that redirects to where the bytes are, and the token must not travel there.

use std::time::Duration;

use ureq::Agent;
use ureq::http::{HeaderMap, Uri, header};

use super::error::{Failure, FetchError};
use super::{Proxy, Settings};

const MAX_REDIRECTS: usize = 10;
const CONNECT: Duration = Duration::from_secs(15);
const USER_AGENT: &str = concat!("zoo-weights/", env!("CARGO_PKG_VERSION"));

/// Sends requests.
pub(super) struct Client {
    agent: Agent,
}

/// An answer with a body.
pub(super) struct Answer {
    /// 200, 206 or 416.
    pub(super) status: u16,
    /// What the hub said on the way.
    pub(super) announced: Announced,
    /// The body's own tag, if it is a strong one.
    pub(super) etag: Option<String>,
    /// Length of the body.
    pub(super) length: Option<u64>,
    /// Of a partial body the first byte, and the length of the whole.
    pub(super) range: (Option<u64>, Option<u64>),
    pub(super) body: ureq::Body,
}

/// What the hub says of a file beside its bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Announced {
    /// `x-linked-etag`: of a large file its SHA-256.
    pub(super) etag: Option<String>,
    /// `x-linked-size`
    pub(super) size: Option<u64>,
    /// `x-repo-commit`
    pub(super) commit: Option<String>,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            .timeout_connect(Some(CONNECT.min(settings.silence)))
            .timeout_recv_response(Some(settings.silence))
            .timeout_per_read(Some(settings.silence))
            .timeout_per_write(Some(settings.silence))
            .proxy(None)
            .build();
        Self { agent: Agent::new_with_config(config) }
    }

    /// Asks for a file. `offset` says, given what the hub has announced so far, from which byte on.
    pub(super) fn get(
        &self,
        settings: &Settings,
        url: &str,
        offset: &mut dyn FnMut(&Announced) -> Result<u64, FetchError>,
    ) -> Result<Answer, Failure> {
        let mut url = url.to_string();
        let mut announced = Announced::default();
        for _ in 0..=MAX_REDIRECTS {
            let uri: Uri = url.parse().map_err(|_| Failure::Lasting(format!("`{url}` is no address")))?;
            let response = self.send(settings, &uri, offset(&announced)?)?;
            announced.note(response.headers());
            let status = response.status().as_u16();
            if let 301 | 302 | 303 | 307 | 308 = status {
                let target = text(response.headers(), header::LOCATION.as_str());
                let target =
                    target.ok_or_else(|| Failure::Lasting(format!("answered {status} without a place")))?;
                url = follow(&uri, &target)?;
                continue;
            }
            let (parts, body) = response.into_parts();
            let headers = &parts.headers;
            check(status, headers, is_hub(settings, &uri))?;
            return Ok(Answer {
                status,
                announced,
                etag: text(headers, "etag").filter(|etag| !etag.starts_with("W/")),
                length: number(headers, "content-length"),
                range: range(headers),
                body,
            });
        }
        Err(Failure::Lasting(format!("redirected more than {MAX_REDIRECTS} times")))
    }

    fn send(
        &self,
        settings: &Settings,
        uri: &Uri,
        offset: u64,
    ) -> Result<ureq::http::Response<ureq::Body>, Failure> {
        let proxy = settings.proxy(uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        let parsed = proxy.map(Proxy::parsed).transpose()?;
        // The hash is that of the bytes as they are kept, so no coding on the way.
        let mut request = self.agent.get(uri.clone()).header("accept-encoding", "identity");
        if offset > 0 {
            request = request.header("range", format!("bytes={offset}-"));
        }
        if let Some(token) = settings.token.as_deref().filter(|_| is_hub(settings, uri)) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.config().proxy(parsed).build().call().map_err(|error| match proxy {
            Some(proxy) => proxy.failure(error),
            None => broken(error),
        })
    }
}

impl Announced {
    fn note(&mut self, headers: &HeaderMap) {
        let Self { etag, size, commit } = self;
        *etag =
            etag.take().or_else(|| text(headers, "x-linked-etag").map(|etag| etag.trim_matches('"').into()));
        *size = size.or_else(|| number(headers, "x-linked-size"));
        *commit = commit.take().or_else(|| text(headers, "x-repo-commit"));
    }
}

/// Whether an address is of the hub itself, and may see the token.
fn is_hub(settings: &Settings, uri: &Uri) -> bool {
    let hub: Option<Uri> = settings.endpoint.parse().ok();
    hub.is_some_and(|hub| hub.scheme() == uri.scheme() && hub.authority() == uri.authority())
}

/// Where a redirect leads.
fn follow(from: &Uri, target: &str) -> Result<String, Failure> {
    let scheme = from.scheme_str().unwrap_or("https");
    let authority = from.authority().map_or("", |authority| authority.as_str());
    // What stands behind the first of these may be an address too, and isn't where it leads.
    let head = target.split(['/', '?', '#']).next().unwrap_or_default();
    let url = if head.ends_with(':') && target.contains("://") {
        target.to_string()
    } else if target.starts_with('?') {
        format!("{scheme}://{authority}{}{target}", from.path())
    } else if let Some(rest) = target.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if target.starts_with('/') {
        format!("{scheme}://{authority}{target}")
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{target}")
    };
    if scheme == "https" && !url.starts_with("https://") {
        return Err(Failure::Lasting(format!("redirected from https to `{url}`, which is not encrypted")));
    }
    Ok(url)
}

/// Sorts the statuses that bring no bytes.
fn check(status: u16, headers: &HeaderMap, hub: bool) -> Result<(), Failure> {
    match status {
        200 | 206 | 416 => Ok(()),
        401 | 403 if hub => Err(Failure::Lasting(format!(
            "answered {status}: the repository is not open to everyone; set HF_TOKEN to a token that may read it"
        ))),
        404 | 410 => Err(Failure::Lasting(format!("answered {status}: the file is not there"))),
        408 | 425 | 429 | 500.. => Err(Failure::Passing {
            why: format!("answered {status}"),
            retry_after: number(headers, "retry-after").map(Duration::from_secs),
        }),
        _ => Err(Failure::Lasting(format!("answered {status}"))),
    }
}

fn nameless() -> Failure {
    Failure::Nobody("the host's name is not known; is there a network?".into())
}

/// Whether looking up a host's name found that there is none, by what Linux and macOS say.
fn is_nameless(error: &str) -> bool {
    ["Name or service not known", "nodename nor servname provided"].iter().any(|known| error.contains(known))
}

/// Sorts the ways in which a connection breaks.
pub(super) fn broken(error: ureq::Error) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::passing("the server is silent"),
        ureq::Error::HostNotFound => nameless(),
        // The system's own words: the standard library has no kind for them.
        ureq::Error::Io(error) if is_nameless(&error.to_string()) => nameless(),
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Failure::Nobody("nobody answers there: the connection was refused".into())
        }
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::BadUri(_) => {
            Failure::Lasting(format!("no safe connection: {error}"))
        }
        ureq::Error::InvalidProxyUrl => Failure::Lasting(error.to_string()),
        _ => Failure::passing(format!("the connection broke: {error}")),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(|value| value.trim().to_string())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// `bytes 100-199/200` or `bytes */200`: the first byte and the whole length.
fn range(headers: &HeaderMap) -> (Option<u64>, Option<u64>) {
    let parse = || {
        let value = text(headers, "content-range")?;
        let (span, total) = value.strip_prefix("bytes ")?.split_once('/')?;
        let first = span.split_once('-').and_then(|(first, _)| first.parse().ok());
        Some((first, total.parse().ok()))
    };
    parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_has_is_not_waited_for() {
        let lookup = "failed to lookup address information: Name or service not known";
        let failure = broken(ureq::Error::Io(std::io::Error::other(lookup)));
        assert!(matches!(failure, Failure::Nobody(_)));
        let failure = broken(ureq::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert!(!matches!(failure, Failure::Nobody(_)));
    }

    #[test]
    fn redirects_lead_on() {
        let from: Uri = "https://hub.example/a/b?c=d".parse().unwrap();
        let to = |target| follow(&from, target).unwrap();
        assert_eq!(to("https://cdn.example/x"), "https://cdn.example/x");
        assert_eq!(to("//cdn.example/x"), "https://cdn.example/x");
        assert_eq!(to("/x"), "https://hub.example/x");
        assert_eq!(to("x"), "https://hub.example/a/x");
        assert_eq!(
            to("/get?next=https://elsewhere.example/y"),
            "https://hub.example/get?next=https://elsewhere.example/y"
        );
        assert_eq!(to("?part=1"), "https://hub.example/a/b?part=1");
        assert!(follow(&from, "http://cdn.example/x").is_err(), "never from https to http");
    }
}
