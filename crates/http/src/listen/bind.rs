//! Open the listening socket, and say what to do when that fails.

use std::net::SocketAddr;
use tokio::net::TcpListener;

/// The listening socket cannot be opened. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "port {} is in use; choose another with --listen or stop the program that listens on {address}", .address.port()
    )]
    InUse { address: SocketAddr },
    #[error(
        "not permitted to listen on {address}; ports below 1024 need a privilege, choose another with --listen"
    )]
    Forbidden { address: SocketAddr },
    #[error("{} is not an address of this machine; choose another with --listen", .address.ip())]
    NoSuchAddress { address: SocketAddr },
    #[error("cannot listen on {address}: {source}")]
    Other { address: SocketAddr, source: std::io::Error },
}

/// Listen on `address`; port 0 takes a free one.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => BindError::InUse { address },
        std::io::ErrorKind::PermissionDenied => BindError::Forbidden { address },
        std::io::ErrorKind::AddrNotAvailable => BindError::NoSuchAddress { address },
        _ => BindError::Other { address, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = first.local_addr().unwrap();
        let text = bind(address).await.unwrap_err().to_string();
        assert!(
            text.starts_with(&format!("port {} is in use; choose another with --listen", address.port())),
            "{text}"
        );
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_named() {
        let text = bind("192.0.2.1:0".parse().unwrap()).await.unwrap_err().to_string();
        assert_eq!(text, "192.0.2.1 is not an address of this machine; choose another with --listen");
    }
}
