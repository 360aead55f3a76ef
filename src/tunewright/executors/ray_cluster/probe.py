"""Ask within seconds whether a Ray cluster may be at an address; Ray itself tries for minutes."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""Begins every HTTP/2 connection (RFC 9113, section 3.4), and gRPC's are such."""
SETTINGS = 4
"""Type of the frame that each side sends first."""
HEADER = struct.Struct(">HBBBI")
"""Length (24 bits), type, flags, stream."""


def answers_as_grpc(host: str, port: int, seconds: float) -> bool:
    """Return whether a gRPC server answers there; raise OSError when nothing accepts."""
    with socket.create_connection((host, port), timeout=seconds) as connection:
        connection.settimeout(seconds)
        try:
            connection.sendall(PREFACE + HEADER.pack(0, 0, SETTINGS, 0, 0))
            answer = b""
            while len(answer) < HEADER.size and (piece := connection.recv(64)):
                answer += piece
        except OSError:
            return False
    return len(answer) >= HEADER.size and HEADER.unpack_from(answer)[2] == SETTINGS
