# Becomes the given program with its pid written to a file and every inherited descriptor but 0, 1 and 2 closed.
# In: the pid file, the program and its arguments. Must not know: what the program is.
# shellcheck shell=bash

pid_file=$1
shift
for descriptor in /proc/self/fd/*; do
    descriptor=${descriptor##*/}
    [ "$descriptor" -le 2 ] || [ "$descriptor" -eq 255 ] || exec {descriptor}>&-
done
echo $$ >"$pid_file"
exec "$@"
