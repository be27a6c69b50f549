//! A TCP proxy that does to connections what bad networks do: seeded, and bounded, so that a run behind it can end.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::server::PATIENCE;

/// What happens to one connection. Offsets count the bytes that the dialling side sends, or for `…Down` receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// All is well.
    Clear,
    /// It is closed as soon as it is open.
    Refuse,
    /// Every piece arrives late.
    Delay { ms: u64 },
    /// It arrives in crumbs: no read meets a whole message.
    Crumble { size: usize },
    /// It is closed after so many bytes.
    Cut { after: u64 },
    /// The same on the way back.
    CutDown { after: u64 },
    /// It stays open and nothing passes any more.
    Swallow { after: u64 },
    /// The piece that holds this byte arrives twice.
    Duplicate { at: u64 },
    /// One bit of this byte arrives turned.
    Corrupt { at: u64 },
    /// The same on the way back.
    CorruptDown { at: u64 },
}

/// Which fault each connection meets, by its number from 0.
pub(crate) type Weather = Box<dyn Fn(u64) -> Fault + Send + Sync>;

/// No faults.
pub(crate) fn clear() -> Weather {
    Box::new(|_| Fault::Clear)
}

/// A fault drawn for each of the first `connections`, within their first `reach` bytes; later ones are clear.
pub(crate) fn storm(seed: u64, connections: u64, reach: u64) -> Weather {
    Box::new(move |number| {
        if number >= connections {
            return Fault::Clear;
        }
        let bits = mix(seed.wrapping_mul(0x1_0000).wrapping_add(number));
        let at = (bits >> 8) % reach;
        match bits % 9 {
            0 => Fault::Refuse,
            1 => Fault::Delay { ms: at % 50 },
            2 => Fault::Crumble { size: 7 },
            3 => Fault::Cut { after: at },
            4 => Fault::CutDown { after: at },
            5 => Fault::Duplicate { at },
            6 => Fault::Corrupt { at },
            7 => Fault::CorruptDown { at },
            _ => Fault::Clear,
        }
    })
}

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A proxy on a port of its own. Ends with its value.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    weather: Mutex<Weather>,
    connections: AtomicU64,
    faults: AtomicU64,
    up: AtomicU64,
    /// Woken with every piece on its way up.
    passed: (Mutex<()>, Condvar),
    is_closing: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    pub(crate) fn start(target: SocketAddr, weather: Weather) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            weather: Mutex::new(weather),
            connections: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            up: AtomicU64::new(0),
            passed: (Mutex::new(()), Condvar::new()),
            is_closing: AtomicBool::new(false),
            open: Mutex::new(Vec::new()),
        });
        let listening = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || listen(&listener, &shared))
        };
        Self {
            address,
            shared,
            listening: Some(listening),
        }
    }

    /// Where to dial.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends new connections elsewhere.
    pub(crate) fn aim(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = target;
    }

    /// Changes the weather for new connections; the open ones are closed.
    pub(crate) fn turn(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap() = weather;
        self.shared.connections.store(0, Ordering::SeqCst);
        self.shared.close_all();
    }

    /// Faults that have really happened.
    pub(crate) fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::SeqCst)
    }

    /// Bytes that the dialling sides have sent.
    pub(crate) fn up(&self) -> u64 {
        self.shared.up.load(Ordering::SeqCst)
    }

    /// Waits until the dialling sides have sent so many more bytes.
    pub(crate) fn pass_up(&self, bytes: u64) {
        let end = self.up() + bytes;
        let (lock, woken) = &self.shared.passed;
        let guard = lock.lock().unwrap();
        let waited = woken.wait_timeout_while(guard, PATIENCE, |()| self.up() < end);
        assert!(
            !waited.unwrap().1.timed_out(),
            "nodes send nothing any more"
        );
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Ordering::SeqCst);
        // Wakes the listening thread.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
        self.shared.close_all();
    }
}

impl Shared {
    fn close_all(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn fault(&self) {
        self.faults.fetch_add(1, Ordering::SeqCst);
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_closing.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(stream) = stream {
            join(stream, shared);
        }
    }
}

/// Carries one connection on two threads, which end with it.
fn join(near: TcpStream, shared: &Arc<Shared>) {
    let number = shared.connections.fetch_add(1, Ordering::SeqCst);
    let fault = (shared.weather.lock().unwrap())(number);
    if fault == Fault::Refuse {
        shared.fault();
        return;
    }
    let target = *shared.target.lock().unwrap();
    let Ok(far) = TcpStream::connect(target) else {
        return;
    };
    let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else {
        return;
    };
    if let (Ok(one), Ok(other)) = (near.try_clone(), far.try_clone()) {
        shared.open.lock().unwrap().extend([one, other]);
    }
    let up = Pump {
        cut: match fault {
            Fault::Cut { after } => Some(after),
            _ => None,
        },
        swallow: match fault {
            Fault::Swallow { after } => Some(after),
            _ => None,
        },
        duplicate: match fault {
            Fault::Duplicate { at } => Some(at),
            _ => None,
        },
        corrupt: match fault {
            Fault::Corrupt { at } => Some(at),
            _ => None,
        },
        ..Pump::of(fault)
    };
    let down = Pump {
        cut: match fault {
            Fault::CutDown { after } => Some(after),
            _ => None,
        },
        corrupt: match fault {
            Fault::CorruptDown { at } => Some(at),
            _ => None,
        },
        ..Pump::of(fault)
    };
    let shared_too = Arc::clone(shared);
    thread::spawn(move || up.carry(near, far, &shared_too, true));
    let shared_too = Arc::clone(shared);
    thread::spawn(move || down.carry(far_too, near_too, &shared_too, false));
}

/// One direction of a connection.
#[derive(Default)]
struct Pump {
    delay: Duration,
    size: usize,
    cut: Option<u64>,
    swallow: Option<u64>,
    duplicate: Option<u64>,
    corrupt: Option<u64>,
}

impl Pump {
    /// With what a fault does in both directions.
    fn of(fault: Fault) -> Self {
        let (delay, size) = match fault {
            Fault::Delay { ms } => (Duration::from_millis(ms), 16_384),
            Fault::Crumble { size } => (Duration::ZERO, size),
            _ => (Duration::ZERO, 16_384),
        };
        Self {
            delay,
            size,
            ..Self::default()
        }
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, shared: &Shared, is_up: bool) {
        if !self.delay.is_zero() || self.size < 16_384 {
            shared.fault();
        }
        let _ = to.set_nodelay(true);
        let mut piece = vec![0; self.size];
        let mut passed = 0;
        while let Ok(read) = from.read(&mut piece) {
            if read == 0 {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            thread::sleep(self.delay);
            if is_up {
                shared.up.fetch_add(read as u64, Ordering::SeqCst);
                drop(shared.passed.0.lock());
                shared.passed.1.notify_all();
            }
            let range = passed..passed + read as u64;
            passed = range.end;
            if self
                .pass(&mut piece[..read], range, &mut to, shared)
                .is_err()
            {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    /// Passes on the bytes of this range of the direction, or fails if that ends the connection.
    fn pass(
        &self,
        piece: &mut [u8],
        range: std::ops::Range<u64>,
        to: &mut TcpStream,
        shared: &Shared,
    ) -> std::io::Result<()> {
        let within = |at: &Option<u64>| at.filter(|at| range.contains(at));
        if let Some(at) = within(&self.corrupt) {
            shared.fault();
            piece[(at - range.start) as usize] ^= 1;
        }
        let end = self.cut.or(self.swallow).filter(|end| *end < range.end);
        let kept = end.map_or(piece.len(), |end| end.saturating_sub(range.start) as usize);
        to.write_all(&piece[..kept])?;
        if within(&self.duplicate).is_some() {
            shared.fault();
            to.write_all(piece)?;
        }
        if within(&end).is_some() {
            shared.fault();
        }
        match self.cut.is_some() && end.is_some() {
            true => Err(std::io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }
}

/// Sends `text` through a proxy with this fault to a server that sends it back, and gives what came.
#[cfg(test)]
fn echoed(fault: Fault, text: &[u8]) -> (Vec<u8>, u64) {
    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let target = server.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let _ = stream.write_all(&bytes);
    });
    let proxy = Proxy::start(target, Box::new(move |_| fault));
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    let _ = stream.write_all(text);
    let _ = stream.shutdown(Shutdown::Write);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    if fault == Fault::Refuse {
        proxy.aim(target);
        drop(TcpStream::connect(target));
    }
    serving.join().unwrap();
    (bytes, proxy.faults())
}

#[test]
fn the_proxy_does_what_each_fault_says() {
    let text = b"twelve bytes";
    for (fault, expected) in [
        (Fault::Clear, &b"twelve bytes"[..]),
        (Fault::Refuse, b""),
        (Fault::Delay { ms: 1 }, b"twelve bytes"),
        (Fault::Crumble { size: 5 }, b"twelve bytes"),
        (Fault::Cut { after: 6 }, b""),
        (Fault::CutDown { after: 6 }, b"twelve"),
        (Fault::Duplicate { at: 3 }, b"twelve bytestwelve bytes"),
        (Fault::Corrupt { at: 0 }, b"uwelve bytes"),
        (Fault::CorruptDown { at: 7 }, b"twelve cytes"),
        (Fault::Swallow { after: 6 }, b"twelve"),
    ] {
        let (bytes, faults) = echoed(fault, text);
        assert_eq!(bytes, expected, "{fault:?}");
        assert_eq!(faults > 0, fault != Fault::Clear, "{fault:?}");
    }
}

#[test]
fn a_storm_is_the_same_for_the_same_seed_and_ends() {
    let (one, again, other) = (storm(1, 99, 4096), storm(1, 99, 4096), storm(2, 99, 4096));
    let drawn = |weather: &Weather| (0..99).map(weather).collect::<Vec<_>>();
    assert_eq!(drawn(&one), drawn(&again));
    assert_ne!(drawn(&one), drawn(&other));
    assert!(drawn(&one).contains(&Fault::Refuse));
    assert!((99..999).all(|number| one(number) == Fault::Clear));
}
