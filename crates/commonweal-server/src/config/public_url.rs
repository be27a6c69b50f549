//! How nodes reach a server: goes into its certificate and into join strings.

use std::fmt;

/// An address of HTTPS without a path: `https://HOST` or `https://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    host: String,
    port: u16,
}

impl PublicUrl {
    /// This machine as it sees itself.
    pub(super) fn of_this_machine(port: u16) -> Self {
        Self {
            host: "localhost".to_owned(),
            port,
        }
    }

    /// The address of a text.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "https://HOST or https://HOST:PORT, without a path";
        let rest = text.strip_prefix("https://").ok_or(EXPECTED)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| EXPECTED)?)
            }
            _ => (rest, 443),
        };
        let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let is_host = match inner {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host
                        .chars()
                        .all(|it| it.is_ascii_alphanumeric() || "-._".contains(it))
            }
        };
        match is_host && port > 0 {
            true => Ok(Self {
                host: inner.unwrap_or(host).to_owned(),
                port,
            }),
            false => Err(EXPECTED),
        }
    }

    /// The name or address, an IPv6 one without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "https://[{}]:{}", self.host, self.port),
            false => write!(f, "https://{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_names_a_host_and_a_port_and_nothing_else() {
        for (text, host, port) in [
            ("https://fl.example.org", "fl.example.org", 443),
            ("https://fl.example.org:7070/", "fl.example.org", 7070),
            ("https://10.0.0.1:1", "10.0.0.1", 1),
            ("https://[::1]:7070", "::1", 7070),
            ("https://[::1]", "::1", 443),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!((url.host(), url.port()), (host, port));
            assert_eq!(PublicUrl::parse(&url.to_string()), Ok(url));
        }
        for text in [
            "",
            "https://",
            "http://a",
            "https://a/b",
            "https://a:0",
            "https://a:70000",
            "https://a:",
            "https://a b",
            "https://u@a",
            "https://[::1",
            "https://::1",
            "https://a?x",
        ] {
            assert!(PublicUrl::parse(text).is_err(), "{text:?}");
        }
    }
}
