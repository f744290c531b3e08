"""Turns a server's URL into files, so that no password is ever an argument.

In: mysql://USER:PASSWORD@HOST:PORT on stdin, a folder and a database as arguments. Out: the folder's client.cnf,
sysbench.cnf, password.json and writers.sql, which makes the writers' own account, readable by their owner alone; host,
port and user on stdout. Must not know: the tools.
"""

import json
import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

# The application and the tools log in as different users, as they do in life.
WRITERS = "bench_writers"


def main():
    folder, database = Path(sys.argv[1]), sys.argv[2]
    url = urlsplit(sys.stdin.read().strip())
    host, port = url.hostname or "127.0.0.1", url.port or 3306
    user, password = unquote(url.username or "root"), unquote(url.password or "")
    os.umask(0o077)
    (folder / "password.json").write_text(json.dumps(password))
    (folder / "client.cnf").write_text(f"[client]\nuser={user}\npassword={password}\nhost={host}\nport={port}\n")
    (folder / "sysbench.cnf").write_text(
        f"mysql-host={host}\nmysql-port={port}\nmysql-user={WRITERS}\nmysql-password={password}\nmysql-db={database}\n"
    )
    literal = "0x" + password.encode().hex()
    (folder / "writers.sql").write_text(
        f"SET @make = CONCAT('CREATE USER IF NOT EXISTS {WRITERS} IDENTIFIED BY ', QUOTE({literal}));\n"
        f"PREPARE make FROM @make; EXECUTE make;\nGRANT ALL PRIVILEGES ON *.* TO {WRITERS};\n"
    )
    print(host, port, user)


if __name__ == "__main__":
    main()
