//! A link to a server that can be cut as a cable is: nothing is said, nothing arrives, and no end knows.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens at a port of its own, and passes on what comes in both ways.
pub struct Link {
    address: SocketAddr,
    is_cut: watch::Sender<bool>,
}

impl Link {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_cut, state) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, target, state.clone()));
            }
        });
        Self { address, is_cut }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on silence, on connections that are open and on new ones.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// New connections get through; those that were open at the cut are gone.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn pass(mut near: TcpStream, target: SocketAddr, mut is_cut: watch::Receiver<bool>) {
    if !*is_cut.borrow() {
        let Ok(mut far) = TcpStream::connect(target).await else { return };
        let _ = near.set_nodelay(true);
        let _ = far.set_nodelay(true);
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => return,
            _ = is_cut.wait_for(|cut| *cut) => {}
        }
        let _ = is_cut.wait_for(|cut| !*cut).await;
        return;
    }
    let _ = is_cut.wait_for(|cut| !*cut).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    async fn said(stream: &mut TcpStream) -> Option<u8> {
        let _ = stream.write_all(b"a").await;
        let mut byte = [0u8];
        let read = tokio::time::timeout(Duration::from_millis(200), stream.read_exact(&mut byte)).await;
        read.ok()?.ok().map(|_| byte[0])
    }

    #[tokio::test]
    async fn a_cut_is_silent_and_mended_for_new_connections() {
        let link = Link::to(echo().await).await;
        let connect = async || TcpStream::connect(link.address).await.unwrap();
        let mut old = connect().await;
        assert_eq!(said(&mut old).await, Some(b'a'));
        link.cut();
        assert_eq!(said(&mut old).await, None);
        assert_eq!(said(&mut connect().await).await, None);
        link.mend();
        assert_eq!(said(&mut connect().await).await, Some(b'a'));
    }
}
