"""Turns a server's URL into files, so that no password is ever an argument.

In: mysql://USER:PASSWORD@HOST:PORT on stdin, a folder and a database as arguments. Out: the folder's client.cnf,
sysbench.cnf and password.json, readable by their owner alone; host, port and user on stdout. Must not know: the tools.
"""

import json
import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit


def main():
    folder, database = Path(sys.argv[1]), sys.argv[2]
    url = urlsplit(sys.stdin.read().strip())
    host, port = url.hostname or "127.0.0.1", url.port or 3306
    user, password = unquote(url.username or "root"), unquote(url.password or "")
    os.umask(0o077)
    (folder / "password.json").write_text(json.dumps(password))
    (folder / "client.cnf").write_text(f"[client]\nuser={user}\npassword={password}\nhost={host}\nport={port}\n")
    (folder / "sysbench.cnf").write_text(
        f"mysql-host={host}\nmysql-port={port}\nmysql-user={user}\nmysql-password={password}\nmysql-db={database}\n"
    )
    print(host, port, user)


if __name__ == "__main__":
    main()
