//! A link to a server that can be cut as a cable is: nothing is said, nothing arrives, and no end knows. Or that is
//! long: what is said arrives later.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Listens at a port of its own, and passes on what comes in both ways.
pub struct Link {
    address: SocketAddr,
    is_cut: watch::Sender<bool>,
    latency: watch::Sender<Duration>,
}

impl Link {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_cut, state) = watch::channel(false);
        let (latency, delay) = watch::channel(Duration::ZERO);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, target, state.clone(), delay.clone()));
            }
        });
        Self { address, is_cut, latency }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on silence, on connections that are open and on new ones.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// From now on everything arrives so much later, either way.
    pub fn delay(&self, latency: Duration) {
        self.latency.send_replace(latency);
    }

    /// New connections get through; those that were open at the cut are gone.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn pass(
    near: TcpStream,
    target: SocketAddr,
    mut is_cut: watch::Receiver<bool>,
    latency: watch::Receiver<Duration>,
) {
    if !*is_cut.borrow() {
        let Ok(far) = TcpStream::connect(target).await else { return };
        let _ = near.set_nodelay(true);
        let _ = far.set_nodelay(true);
        let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
        let (out, back) = (carry(near_read, far_write, latency.clone()), carry(far_read, near_write, latency));
        tokio::select! {
            _ = async { tokio::join!(out, back) } => return,
            _ = is_cut.wait_for(|cut| *cut) => {}
        }
        let _ = is_cut.wait_for(|cut| !*cut).await;
        return;
    }
    let _ = is_cut.wait_for(|cut| !*cut).await;
}

/// Passes on what is read, each piece when its time has come, and then the end.
async fn carry(
    mut read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
    latency: watch::Receiver<Duration>,
) {
    let (under_way, mut arriving) = mpsc::unbounded_channel();
    let depart = async move {
        let mut piece = vec![0u8; 64 * 1024];
        while let Ok(length @ 1..) = read.read(&mut piece).await {
            let _ = under_way.send((Instant::now() + *latency.borrow(), piece[..length].to_vec()));
        }
    };
    let arrive = async {
        while let Some((time, piece)) = arriving.recv().await {
            sleep_until(time).await;
            if write.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = write.shutdown().await;
    };
    tokio::join!(depart, arrive);
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[tokio::test]
    async fn what_is_said_arrives_later_on_a_long_link() {
        let link = Link::to(echo().await).await;
        let mut stream = TcpStream::connect(link.address).await.unwrap();
        link.delay(Duration::from_millis(20));
        let began = Instant::now();
        assert_eq!(said(&mut stream).await, Some(b'a'));
        assert!(began.elapsed() >= Duration::from_millis(40));
    }
}
