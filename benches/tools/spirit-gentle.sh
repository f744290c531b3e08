# spirit that gives way to the application. Its own throttles look at replicas, and at commits on Aurora alone; what is left
# is one thread for each task. See lib/tools.sh for what an adapter defines.
# shellcheck shell=bash

# shellcheck source-path=SCRIPTDIR source=spirit.sh
. "$here/tools/spirit.sh"

plain=$(declare -f tool_command)
eval "${plain/tool_command/plain_command}"

tool_command() {
    plain_command "$1"
    words --threads=1 --write-threads=1
}
