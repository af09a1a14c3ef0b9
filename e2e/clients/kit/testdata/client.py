# SPDX-License-Identifier: MIT
"""client FAMILY PORT NAME...: for each name resolves it, connects, reads the server's line and prints "NAME LINE".

FAMILY 4 and 6 go by getaddrinfo, 0 by create_connection. Exits 1 if a name failed.
"""
import socket
import sys


def dial(name, port, family):
    if not family:
        return socket.create_connection((name, port), timeout=5)
    found = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM)[0]
    s = socket.socket(found[0], found[1], found[2])
    s.settimeout(5)
    s.connect(found[4])
    return s


def main():
    family = {"4": socket.AF_INET, "6": socket.AF_INET6, "0": 0}[sys.argv[1]]
    failed = 0
    for name in sys.argv[3:]:
        try:
            with dial(name, int(sys.argv[2]), family) as s, s.makefile() as lines:
                print(name, lines.readline().strip())
        except OSError as e:
            print(name, e, file=sys.stderr)
            failed = 1
    sys.exit(failed)


main()
