//! The HTTP/1.1 codec, without I/O: bytes in, decisions and bytes out.
