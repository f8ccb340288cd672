//! The way between a browser and the server: plain TCP, forwarded byte by byte, which a test can cut and mend.
//!
//! A browser's own "offline" leaves open sockets alone; a cut here breaks them as a dead network does, and refuses what
//! comes until the way is mended. Nothing is added to a request, so that to the server it still comes from this machine.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A way to one server. Its thread ends with the test's process.
pub(crate) struct Road {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cut: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Road {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        let kept = Arc::clone(&state);
        std::thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                // What is dropped at once is, to a browser, a network that does not work.
                if !kept.cut.load(Ordering::SeqCst) {
                    let _ = kept.carry(here, server);
                }
            }
        });
        Self { address, state }
    }

    /// The address of a page by this way.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Breaks every connection and lets none through.
    pub(crate) fn cut(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
        for stream in self.state.open().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.state.cut.store(false, Ordering::SeqCst);
    }
}

impl State {
    fn open(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry(&self, here: TcpStream, server: SocketAddr) -> std::io::Result<()> {
        let there = TcpStream::connect(server)?;
        for stream in [&here, &there] {
            stream.set_nodelay(true)?;
            self.open().push(stream.try_clone()?);
        }
        for (mut from, mut to) in [(here.try_clone()?, there.try_clone()?), (there, here)] {
            std::thread::spawn(move || {
                let mut bytes = [0; 16 * 1024];
                while let Ok(read) = from.read(&mut bytes) {
                    if read == 0 || to.write_all(&bytes[..read]).is_err() {
                        break;
                    }
                }
                let _ = to.shutdown(Shutdown::Write);
            });
        }
        Ok(())
    }
}
