//! Which addresses a receiver may have. A name is judged by what it resolves to, at every connection.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;

/// Where some clouds answer with the machine's own credentials, besides the link-local addresses.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether nothing is sent there: link-local addresses, a cloud's metadata among them, and what is nobody's.
pub fn is_forbidden(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if address.is_unspecified() || address.is_multicast() {
        return true;
    }
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address == METADATA,
    }
}

/// The addresses of a host that may be used.
///
/// # Errors
///
/// When the name is not known, or none of them may be used.
pub async fn allowed(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    let allowed: Vec<_> = found.into_iter().filter(|one| !is_forbidden(one.ip())).collect();
    if allowed.is_empty() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the address is not allowed"));
    }
    Ok(allowed)
}

/// Resolves names for HTTP.
pub struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = allowed(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_forbidden() {
        let rows = [
            ("169.254.169.254", true),
            ("169.254.0.1", true),
            ("::ffff:169.254.169.254", true),
            ("fe80::1", true),
            ("fd00:ec2::254", true),
            ("0.0.0.0", true),
            ("::", true),
            ("224.0.0.1", true),
            ("255.255.255.255", true),
            ("127.0.0.1", false),
            ("10.0.0.1", false),
            ("192.168.1.1", false),
            ("93.184.216.34", false),
            ("fd00::1", false),
            ("2606:2800:220:1::1", false),
        ];
        for (text, forbidden) in rows {
            assert_eq!(is_forbidden(text.parse().unwrap()), forbidden, "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_its_addresses() {
        assert!(allowed("localhost", 80).await.is_ok());
        let refused = allowed("169.254.169.254", 80).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }
}
