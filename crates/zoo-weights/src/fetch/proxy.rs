//! A proxy, and what goes wrong between it and us. What it says itself, asking again does not change.

use std::fmt;

use super::error::{Failure, FetchError};
use super::http::broken;

/// A proxy, and what set it: a message that names both tells where to correct it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `http://host:port`, perhaps with a name and password before the host.
    pub address: String,
    /// The variable.
    pub set_by: &'static str,
}

impl fmt::Display for Proxy {
    /// Without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address.rsplit_once('@') {
            Some((_, host)) => write!(f, "…@{host}"),
            None => f.write_str(&self.address),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self}, {})", self.set_by)
    }
}

impl Proxy {
    /// As the transfer needs it.
    pub(super) fn parsed(&self) -> Result<ureq::Proxy, FetchError> {
        let wrong = || FetchError::Proxy { variable: self.set_by, proxy: self.to_string() };
        // SOCKS would need another client.
        match self.address.starts_with("socks") {
            true => Err(wrong()),
            false => ureq::Proxy::new(&self.address).map_err(|_| wrong()),
        }
    }

    /// Sorts the ways in which a connection through the proxy breaks.
    pub(super) fn failure(&self, error: ureq::Error) -> Failure {
        let Self { set_by, .. } = self;
        if let ureq::Error::ConnectProxyFailed(why) = &error {
            return match status(why) {
                Some(407) => Failure::Lasting(format!(
                    "the proxy {self} wants another name and password (it answered 407): write \
                     http://name:password@host:port into {set_by}"
                )),
                // Too many requests, a slow server, or one that is down: that may pass.
                Some(408 | 425 | 429) | None => Failure::passing(format!("the proxy {self} failed: {why}")),
                Some(status @ 400..500) => Failure::Lasting(format!(
                    "the proxy {self}, which {set_by} sets, refuses to lead there (it answered {status}): have it \
                     allowed, name another proxy, or except the host with NO_PROXY"
                )),
                Some(status) => Failure::passing(format!("the proxy {self} answered {status}")),
            };
        }
        // The first connection is the one to the proxy.
        match broken(error) {
            Failure::Nobody(why) => Failure::Lasting(format!(
                "the proxy {self}, which {set_by} sets, is not there ({why}): correct or unset it, or except the host \
                 with NO_PROXY"
            )),
            other => other,
        }
    }
}

/// The status in the words of the transfer: `proxy server responded 407/407`.
fn status(why: &str) -> Option<u16> {
    let digits: String = why.chars().skip_while(|letter| !letter.is_ascii_digit()).take(3).collect();
    digits.parse().ok().filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let proxy = Proxy { address: "http://me:secret@proxy:1".into(), set_by: "ALL_PROXY" };
        assert_eq!(proxy.to_string(), "…@proxy:1");
        assert!(!format!("{proxy:?}").contains("secret"));
    }

    #[test]
    fn a_status_is_found_in_words() {
        assert_eq!(status("proxy server responded 407/407"), Some(407));
        assert_eq!(status("proxy server did not respond"), None);
    }
}
