//! Packets with numbers, sent at a steady rate both ways, to see which of them are lost.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Failure;

/// What an end of a stream has sent and received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a document of two programs")]
pub struct StreamReport {
    /// Packets sent.
    pub sent: u64,
    /// Packets that the system did not take.
    pub refused: u64,
    /// Different packets received.
    pub received: u64,
    /// The longest time that nothing came, after the first packet, in milliseconds.
    pub gap_ms: u64,
    /// How late the sender was at most, in milliseconds: the host's doing.
    pub slip_ms: u64,
}

/// Sends and receives until `stop` is set, then receives a little longer.
///
/// # Errors
/// When the socket cannot be had.
#[expect(clippy::disallowed_methods, reason = "it measures time")]
pub fn run(
    (own, other): (SocketAddr, SocketAddr),
    rate: u32,
    stop: &Arc<AtomicBool>,
) -> Result<StreamReport, Failure> {
    let socket = UdpSocket::bind(own)?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    let (receiver, stopped) = (socket.try_clone()?, Arc::clone(stop));
    let heard = Arc::new(AtomicBool::new(false));
    let hears = Arc::clone(&heard);
    let receiving = std::thread::spawn(move || receive(&receiver, &stopped, &hears));
    let interval = Duration::from_secs(1).checked_div(rate).unwrap_or(Duration::from_millis(5));
    let (mut sent, mut refused, mut slip) = (0_u64, 0_u64, Duration::ZERO);
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if let Some(early) = due.checked_duration_since(now) {
            std::thread::sleep(early);
        }
        slip = slip.max(Instant::now().saturating_duration_since(due));
        // What is sent before the other end is there is not counted.
        let counts = heard.load(Ordering::Relaxed);
        let mut packet = [0; 64];
        if let Some(number) = packet.first_chunk_mut() {
            *number = if counts { sent.to_be_bytes() } else { UNCOUNTED.to_be_bytes() };
        }
        sent = sent.saturating_add(counts.into());
        if socket.send_to(&packet, other).is_err() {
            refused = refused.saturating_add(1);
        }
        due = due.checked_add(interval).unwrap_or(due);
    }
    let (received, gap) = receiving.join().map_err(|_| "the receiver")?;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Ok(StreamReport { sent, refused, received, gap_ms: millis(gap), slip_ms: millis(slip) })
}

#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn receive(socket: &UdpSocket, stop: &AtomicBool, heard: &AtomicBool) -> (u64, Duration) {
    let mut seen = Vec::new();
    let (mut last, mut gap) = (None::<Instant>, Duration::ZERO);
    let (mut count, mut quiet) = (0_u64, 0_u32);
    let mut packet = [0; 64];
    // After the end, what is still under way.
    while quiet < 20 {
        let Ok((64, _)) = socket.recv_from(&mut packet) else {
            if stop.load(Ordering::Relaxed) {
                quiet = quiet.saturating_add(1);
            }
            continue;
        };
        heard.store(true, Ordering::Relaxed);
        let number = packet.first_chunk().map_or(0, |number| u64::from_be_bytes(*number));
        let Ok(number) = usize::try_from(number) else { continue };
        if number >= seen.len() && number < 10_000_000 {
            seen.resize(number.saturating_add(1), false);
        }
        if let Some(seen) = seen.get_mut(number)
            && !std::mem::replace(seen, true)
        {
            count = count.saturating_add(1);
        }
        let now = Instant::now();
        if let Some(last) = last.replace(now) {
            gap = gap.max(now.saturating_duration_since(last));
        }
    }
    (count, gap)
}

const UNCOUNTED: u64 = u64::MAX;
