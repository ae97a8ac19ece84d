"""Clients that send maximal batches one after the other, in a process of their own: `many 40 5 127.0.0.1:8000`."""

import http.client
import json
import random
import sys
import threading
import time


def main() -> None:
    """Print how many were answered."""
    n_clients, seconds, address = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    draw = random.Random(0).uniform  # noqa: S311 - the same ones each time
    body = json.dumps({"data": [[draw(0, 8) for _ in range(4)] for _ in range(10_000)]}).encode()
    end, counts = time.monotonic() + seconds, [0] * n_clients

    def ask(client: int) -> None:
        connection = http.client.HTTPConnection(address, timeout=60)
        while time.monotonic() < end:
            connection.request("POST", "/predict/batch", body)
            response = connection.getresponse()
            response.read()
            counts[client] += response.status == 200
        connection.close()

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(n_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(counts))


if __name__ == "__main__":
    main()
