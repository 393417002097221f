//! What sockets of datagrams have in common.

/// One operation in its four forms: async, `poll_`, `try_`, and what each is called.
macro_rules! datagram_methods {
    ($($io:ident).+) => {
        crate::net::methods::ready_method!($($io).+);
        crate::net::methods::readable_method!($($io).+);
        crate::net::methods::writable_method!($($io).+);
        crate::net::methods::poll_ready_method!(
            poll_recv_ready, Read, "there is a datagram", $($io).+
        );
        crate::net::methods::poll_ready_method!(
            poll_send_ready, Write, "there is room to send", $($io).+
        );
        crate::net::methods::user_io_methods!($($io).+);
        crate::net::methods::take_error_method!($($io).+);

        /// Sends a datagram to the peer that this socket is connected to.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, nothing was sent.
        ///
        /// # Errors
        ///
        /// Those of `send`: `NotConnected` or `DestinationAddressRequired` without a peer,
        /// `ConnectionRefused` if an earlier datagram found nobody.
        pub async fn send(&self, buf: &[u8]) -> std::io::Result<usize> {
            let write = crate::driver::Direction::Write;
            self.$($io).+.async_io(write, |socket| socket.send(buf)).await
        }

        /// The form of [`send`](Self::send) for hand-written futures. Only the last task to poll in
        /// this direction is woken.
        pub fn poll_send(
            &self,
            cx: &mut std::task::Context<'_>,
            buf: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            let write = crate::driver::Direction::Write;
            self.$($io).+.poll_io(write, cx, |socket| socket.send(buf))
        }

        /// Sends a datagram to the peer if there is room, without waiting.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is no room, and those of
        /// [`send`](Self::send).
        pub fn try_send(&self, buf: &[u8]) -> std::io::Result<usize> {
            self.$($io).+.try_io(crate::driver::Direction::Write, |socket| socket.send(buf))
        }

        /// Receives a datagram. What does not fit in `buf` is lost.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, no datagram was taken.
        pub async fn recv(&self, buf: &mut [u8]) -> std::io::Result<usize> {
            let read = crate::driver::Direction::Read;
            self.$($io).+.async_io(read, |socket| socket.recv(buf)).await
        }

        /// The form of [`recv`](Self::recv) for hand-written futures. Only the last task to poll in
        /// this direction is woken.
        pub fn poll_recv<B: crate::net::PollBuf + ?Sized>(
            &self,
            cx: &mut std::task::Context<'_>,
            buf: &mut B,
        ) -> std::task::Poll<std::io::Result<B::Read>> {
            let room = buf.room();
            let read = crate::driver::Direction::Read;
            let received = self.$($io).+.poll_io(read, cx, |socket| socket.recv(room));
            received.map_ok(|count| buf.filled(count))
        }

        /// Receives a datagram if there is one, without waiting. What does not fit is lost.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is none.
        pub fn try_recv(&self, buf: &mut [u8]) -> std::io::Result<usize> {
            self.$($io).+.try_io(crate::driver::Direction::Read, |socket| socket.recv(buf))
        }

        /// Receives a datagram into the room of a buffer, and moves its end. What does not fit is
        /// lost. Cancelled, no datagram was taken.
        #[cfg(feature = "bytes")]
        pub async fn recv_buf<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<usize> {
            let receive =
                |socket: &_| crate::sys::buffer::receive(std::os::fd::AsFd::as_fd(socket), buf);
            self.$($io).+.async_io(crate::driver::Direction::Read, receive).await
        }

        /// As [`recv_buf`](Self::recv_buf), without waiting.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is none.
        #[cfg(feature = "bytes")]
        pub fn try_recv_buf<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<usize> {
            let receive =
                |socket: &_| crate::sys::buffer::receive(std::os::fd::AsFd::as_fd(socket), buf);
            self.$($io).+.try_io(crate::driver::Direction::Read, receive)
        }
    };
}

/// Receiving together with the sender's address: the type of that, how mio's is made into it, and
/// how that of socket2 is.
macro_rules! receive_from_methods {
    ($address:ty, $of_mio:expr, $of_socket2:expr, $($io:ident).+) => {
        /// Receives a datagram, and tells who sent it. What does not fit in `buf` is lost.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, no datagram was taken.
        pub async fn recv_from(&self, buf: &mut [u8]) -> std::io::Result<(usize, $address)> {
            let read = crate::driver::Direction::Read;
            let (count, from) =
                self.$($io).+.async_io(read, |socket| socket.recv_from(buf)).await?;
            Ok((count, $of_mio(from)))
        }

        /// The form of [`recv_from`](Self::recv_from) for hand-written futures. Only the last task
        /// to poll in this direction is woken.
        pub fn poll_recv_from<B: crate::net::PollBuf + ?Sized>(
            &self,
            cx: &mut std::task::Context<'_>,
            buf: &mut B,
        ) -> std::task::Poll<std::io::Result<B::ReadFrom<$address>>> {
            let room = buf.room();
            let read = crate::driver::Direction::Read;
            let received = self.$($io).+.poll_io(read, cx, |socket| socket.recv_from(room));
            received.map_ok(|(count, from)| buf.filled_from(count, $of_mio(from)))
        }

        /// As [`recv_from`](Self::recv_from), without waiting.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is none.
        pub fn try_recv_from(&self, buf: &mut [u8]) -> std::io::Result<(usize, $address)> {
            let read = crate::driver::Direction::Read;
            let (count, from) = self.$($io).+.try_io(read, |socket| socket.recv_from(buf))?;
            Ok((count, $of_mio(from)))
        }

        /// As [`recv_from`](Self::recv_from), into the room of a buffer, whose end moves.
        /// Cancelled, no datagram was taken.
        #[cfg(feature = "bytes")]
        pub async fn recv_buf_from<B: bytes::BufMut>(
            &self,
            buf: &mut B,
        ) -> std::io::Result<(usize, $address)> {
            let receive =
                |socket: &_| crate::sys::buffer::receive_from(std::os::fd::AsFd::as_fd(socket), buf);
            let (count, from) =
                self.$($io).+.async_io(crate::driver::Direction::Read, receive).await?;
            Ok((count, $of_socket2(from)?))
        }

        /// As [`recv_buf_from`](Self::recv_buf_from), without waiting.
        ///
        /// # Errors
        ///
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is none.
        #[cfg(feature = "bytes")]
        pub fn try_recv_buf_from<B: bytes::BufMut>(
            &self,
            buf: &mut B,
        ) -> std::io::Result<(usize, $address)> {
            let receive =
                |socket: &_| crate::sys::buffer::receive_from(std::os::fd::AsFd::as_fd(socket), buf);
            let (count, from) = self.$($io).+.try_io(crate::driver::Direction::Read, receive)?;
            Ok((count, $of_socket2(from)?))
        }
    };
}

pub(super) use {datagram_methods, receive_from_methods};
