//! The wish to end, told to every part at once.

use tokio::sync::watch;

/// Tells every [`Stop`] made from it.
pub struct Stopper(watch::Sender<bool>);

#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

/// A pair that belongs together.
pub fn channel() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Returns when it is time to end. A lost [`Stopper`] counts as well.
    pub async fn requested(&mut self) {
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}
