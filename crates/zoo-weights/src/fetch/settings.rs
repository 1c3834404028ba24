//! Where files go and come from, and how patient a transfer is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hf_hub::Cache;

use super::{FetchError, Proxy};

/// The hub's own address.
const HUB: &str = "https://huggingface.co";

/// How files are fetched. [`Settings::from_env`] reads the variables that other tools of the field read too.
#[derive(Clone)]
pub struct Settings {
    /// The hub's address, without a slash at the end: `HF_ENDPOINT`.
    pub endpoint: String,
    /// A server to take every file from instead: those of the hub under `<repo>/resolve/<revision>/<file>`,
    /// the others under their file names.
    pub mirror: Option<String>,
    /// Use what is here and never the network.
    pub offline: bool,
    /// Sent to the hub alone: `HF_TOKEN`, or the file that `hf auth login` writes.
    pub token: Option<String>,
    /// The Hugging Face cache: `HF_HUB_CACHE`, or `HF_HOME` and `/hub`.
    pub hub_cache: PathBuf,
    /// Where PyTorch keeps what it downloads: `TORCH_HOME` and `/hub/checkpoints`.
    pub torch_cache: PathBuf,
    /// Where Keras keeps what it downloads: `KERAS_HOME` and `/models`.
    pub keras_cache: PathBuf,
    /// The proxy for `https` addresses: `HTTPS_PROXY`, or `ALL_PROXY`.
    pub https_proxy: Option<Proxy>,
    /// The proxy for `http` addresses: `http_proxy`, or `ALL_PROXY`.
    pub http_proxy: Option<Proxy>,
    /// Hosts reached without a proxy, separated by commas: `NO_PROXY`.
    pub no_proxy: String,
    /// How long a server may be silent.
    pub silence: Duration,
    /// Tries in a row that bring nothing before a source is given up.
    pub tries: u32,
    /// The pause before the second try; each later one is twice as long.
    pub first_pause: Duration,
    /// Passes the time of a pause.
    pub sleep: Arc<dyn Fn(Duration) + Send + Sync>,
    /// Bytes free on the disk of a folder; `None` if that can't be told.
    pub free_space: fn(&Path) -> Option<u64>,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`FetchError::NoHome`] if neither the variables nor the system name a place for the caches, or a variable's `~`
    /// can't be told.
    pub fn from_env() -> Result<Self, FetchError> {
        Self::from_vars(|name| std::env::var(name).ok(), std::env::home_dir())
    }

    fn from_vars(var: impl Fn(&str) -> Option<String>, home: Option<PathBuf>) -> Result<Self, FetchError> {
        // A variable that is set to nothing is not set.
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let either = |a: &str, b: &str| var(a).or_else(|| var(b));
        // A home that is no absolute path would be another one in every folder.
        let home = home.filter(|home| home.is_absolute());
        let path = |name: &'static str| {
            var(name).map(|value| expanded(name, &value, home.as_deref(), var)).transpose()
        };
        let cache = path("XDG_CACHE_HOME")?.or_else(|| home.as_ref().map(|home| home.join(".cache")));
        let in_cache = |name: &str| cache.as_ref().map(|cache| cache.join(name));
        let no_home = |variable| FetchError::NoHome { variable };

        let hf_home = path("HF_HOME")?.or_else(|| in_cache("huggingface"));
        let hub_cache = path("HF_HUB_CACHE")?.or_else(|| hf_home.as_ref().map(|home| home.join("hub")));
        let torch_home = path("TORCH_HOME")?.or_else(|| in_cache("torch"));
        let keras_home = path("KERAS_HOME")?.or_else(|| home.as_ref().map(|home| home.join(".keras")));
        let token_file = hf_home.and_then(|home| Cache::new(home.join("hub")).token());
        let proxy = |names: &[&'static str]| {
            let set = |&set_by: &&'static str| var(set_by).map(|address| Proxy { address, set_by });
            names.iter().find_map(set)
        };
        Ok(Self {
            endpoint: trimmed(&var("HF_ENDPOINT").unwrap_or_else(|| HUB.into())),
            mirror: None,
            offline: var("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
            token: var("HF_TOKEN").map(|token| token.trim().to_string()).or(token_file),
            hub_cache: hub_cache.ok_or_else(|| no_home("HF_HOME"))?,
            torch_cache: torch_home.ok_or_else(|| no_home("TORCH_HOME"))?.join("hub").join("checkpoints"),
            keras_cache: keras_home.ok_or_else(|| no_home("KERAS_HOME"))?.join("models"),
            https_proxy: proxy(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
            // The upper-case name can be set by whoever calls a CGI program, so nobody reads it.
            http_proxy: proxy(&["http_proxy", "ALL_PROXY", "all_proxy"]),
            no_proxy: either("NO_PROXY", "no_proxy").unwrap_or_default(),
            silence: Duration::from_secs(30),
            tries: 5,
            first_pause: Duration::from_secs(1),
            sleep: Arc::new(std::thread::sleep),
            free_space,
        })
    }

    /// Takes every file from a mirror.
    #[must_use]
    pub fn with_mirror(mut self, mirror: Option<String>) -> Self {
        self.mirror = mirror.map(|mirror| trimmed(&mirror));
        self
    }

    /// The flag or variable that set a server, if one did.
    pub(super) fn chosen(&self, server: &str) -> Option<&'static str> {
        let is = |address: &str| {
            address == server || address.strip_prefix(server).is_some_and(|rest| rest.starts_with('/'))
        };
        match &self.mirror {
            Some(mirror) if is(mirror) => Some("`Settings::mirror`"),
            _ if is(&self.endpoint) && self.endpoint != HUB => Some("HF_ENDPOINT"),
            _ => None,
        }
    }

    /// What can be done when no server gave a file for these reasons, with the name of what set a server.
    pub(super) fn advice(&self, reasons: &[String]) -> String {
        let mut proxies: Vec<&str> = [&self.https_proxy, &self.http_proxy]
            .into_iter()
            .flatten()
            .map(|proxy| proxy.set_by)
            .filter(|variable| !reasons.iter().any(|reason| reason.contains(variable)))
            .collect();
        proxies.dedup();
        let mut advice = match (&self.mirror, self.endpoint != HUB) {
            (Some(mirror), _) => format!("try again later, or check {mirror}, which `Settings::mirror` sets"),
            (None, true) => format!("try again later, or check {}, which HF_ENDPOINT sets", self.endpoint),
            (None, false) => "try again later or name a mirror (`Settings::mirror`)".to_string(),
        };
        if !proxies.is_empty() {
            advice += &format!("; the proxy is set by {}", proxies.join(" and "));
        }
        advice
    }

    /// The proxy for an address, if it needs one.
    pub(super) fn proxy(&self, scheme: &str, host: &str) -> Option<&Proxy> {
        let bypassed =
            self.no_proxy.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
                let domain = entry.trim_start_matches('*').trim_start_matches('.');
                entry == "*"
                    || host == domain
                    || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
            });
        let proxy = if scheme == "https" { &self.https_proxy } else { &self.http_proxy };
        proxy.as_ref().filter(|_| !bypassed)
    }
}

impl fmt::Debug for Settings {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("endpoint", &self.endpoint)
            .field("mirror", &self.mirror)
            .field("offline", &self.offline)
            .field("hub_cache", &self.hub_cache)
            .field("torch_cache", &self.torch_cache)
            .finish_non_exhaustive()
    }
}

/// A folder as `huggingface_hub`, torch and Keras read it from a variable: `~` is the home folder, and the hub's
/// variables may name others, as `$HOME` or `${HOME}`. Shells do this too, but not in quotes, in unit files, or in
/// container files.
fn expanded(
    name: &'static str,
    value: &str,
    home: Option<&Path>,
    var: impl Fn(&str) -> Option<String>,
) -> Result<PathBuf, FetchError> {
    let hub = name.starts_with("HF_");
    let value = if hub { with_variables(value, var) } else { value.to_string() };
    let Some(rest) = value.strip_prefix('~') else { return Ok(value.into()) };
    let rest = rest.strip_prefix('/').or(if rest.is_empty() { Some("") } else { None });
    match (home, rest) {
        (Some(home), Some(rest)) => Ok(home.join(rest.trim_start_matches('/'))),
        _ => Err(FetchError::Tilde { variable: name, value }),
    }
}

/// A text with `$NAME` and `${NAME}` exchanged for the variables' values; unknown ones stay, as Python leaves them.
fn with_variables(text: &str, var: impl Fn(&str) -> Option<String>) -> String {
    let mut parts = text.split('$');
    let mut whole = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (name, rest) = match part.strip_prefix('{').and_then(|part| part.split_once('}')) {
            Some(braced) => braced,
            None => part
                .split_at(part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len())),
        };
        match var(name).filter(|_| !name.is_empty()) {
            Some(value) => whole += &(value + rest),
            None => whole += &format!("${part}"),
        }
    }
    whole
}

#[cfg(unix)]
fn free_space(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free_space(_folder: &Path) -> Option<u64> {
    None
}

/// What the hub's own tools take for yes.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str())
}

fn trimmed(address: &str) -> String {
    address.trim_end_matches('/').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(vars: &[(&str, &str)]) -> Settings {
        let var =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string());
        Settings::from_vars(var, Some("/home/me".into())).unwrap()
    }

    #[test]
    fn without_variables_the_caches_are_where_other_tools_look() {
        let plain = settings(&[("HF_HOME", "")]);
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.hub_cache, PathBuf::from("/home/me/.cache/huggingface/hub"));
        assert_eq!(plain.torch_cache, PathBuf::from("/home/me/.cache/torch/hub/checkpoints"));
        assert_eq!(plain.keras_cache, PathBuf::from("/home/me/.keras/models"));
        assert!(!plain.offline && plain.token.is_none());
    }

    #[test]
    fn variables_are_honoured() {
        let set = settings(&[
            ("HF_ENDPOINT", "https://mirror.example/"),
            ("HF_HOME", "/hf"),
            ("TORCH_HOME", "/torch"),
            ("HF_TOKEN", "secret\n"),
            ("HF_HUB_OFFLINE", "1"),
        ]);
        assert_eq!(set.endpoint, "https://mirror.example");
        assert_eq!(set.hub_cache, PathBuf::from("/hf/hub"));
        assert_eq!(set.torch_cache, PathBuf::from("/torch/hub/checkpoints"));
        assert_eq!(set.token.as_deref(), Some("secret"));
        assert!(set.offline && settings(&[("HF_HUB_OFFLINE", "True")]).offline);
        assert!(!settings(&[("HF_HUB_OFFLINE", "0")]).offline);
        assert!(!format!("{set:?}").contains("secret"));
    }

    #[test]
    fn the_token_of_a_login_is_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "from-login\n").unwrap();
        let home = dir.path().to_str().unwrap();
        assert_eq!(settings(&[("HF_HOME", home)]).token.as_deref(), Some("from-login"));
    }

    #[test]
    fn without_a_home_the_variable_is_named() {
        let error = Settings::from_vars(|_| None, None).unwrap_err().to_string();
        assert!(error.contains("HF_HOME"), "{error}");
    }

    #[test]
    fn the_home_folder_is_meant_by_a_tilde() {
        for (name, value, hub, torch, keras) in [
            ("HF_HOME", "~/hf", "/home/me/hf/hub", "", ""),
            ("HF_HOME", "~", "/home/me/hub", "", ""),
            ("HF_HOME", "$HOME/hf", "/home/you/hf/hub", "", ""),
            ("HF_HUB_CACHE", "${HOME}s/$NONE/x", "/home/yous/$NONE/x", "", ""),
            ("TORCH_HOME", "~/t", "", "/home/me/t/hub/checkpoints", ""),
            ("TORCH_HOME", "$HOME/t", "", "$HOME/t/hub/checkpoints", ""),
            ("KERAS_HOME", "~//k", "", "", "/home/me/k/models"),
            ("XDG_CACHE_HOME", "~/c", "/home/me/c/huggingface/hub", "/home/me/c/torch/hub/checkpoints", ""),
        ] {
            let set = settings(&[(name, value), ("HOME", "/home/you")]);
            for (found, wanted) in [(set.hub_cache, hub), (set.torch_cache, torch), (set.keras_cache, keras)]
            {
                assert!(wanted.is_empty() || found == *Path::new(wanted), "{name}={value}: {found:?}");
            }
        }
    }

    #[test]
    fn a_tilde_without_a_home_or_of_another_user_makes_no_folder() {
        for (value, home) in
            [("~/hf", None), ("~/hf", Some("")), ("~/hf", Some("here")), ("~you/hf", Some("/home/me"))]
        {
            let var = |name: &str| (name == "HF_HOME").then(|| value.to_string());
            let error = Settings::from_vars(var, home.map(PathBuf::from)).unwrap_err().to_string();
            assert!(error.contains("HF_HOME") && error.contains(value), "{error}");
        }
        // Nor does a home that is no absolute path.
        let error = Settings::from_vars(|_| None, Some("".into())).unwrap_err().to_string();
        assert!(error.contains("HF_HOME"), "{error}");
    }

    #[test]
    fn a_proxy_serves_its_scheme_and_not_the_hosts_excepted() {
        let set = settings(&[("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", "localhost, .example.com")]);
        let proxy = Proxy { address: "http://proxy:3128".into(), set_by: "HTTPS_PROXY" };
        assert_eq!(set.proxy("https", "huggingface.co"), Some(&proxy));
        assert_eq!(set.proxy("http", "huggingface.co"), None);
        assert_eq!(set.proxy("https", "localhost"), None);
        assert_eq!(set.proxy("https", "a.example.com"), None);
        assert_eq!(set.proxy("https", "notexample.com"), Some(&proxy));
        let set = settings(&[("all_proxy", "http://all:1"), ("HTTP_PROXY", "http://cgi:1")]);
        assert_eq!(set.proxy("http", "host").map(|proxy| proxy.set_by), Some("all_proxy"));
        assert!(set.advice(&[]).ends_with("; the proxy is set by all_proxy"));
    }
}
