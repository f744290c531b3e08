# gh-ost that gives way to the application: it rests as long as it works, and holds while much is running.
# See lib/tools.sh for what an adapter defines.
# shellcheck shell=bash

# shellcheck source-path=SCRIPTDIR source=gh-ost.sh
. "$here/tools/gh-ost.sh"

plain=$(declare -f tool_command)
eval "${plain/tool_command/plain_command}"

tool_command() {
    plain_command "$1"
    words --nice-ratio=1 --max-load=Threads_running=8
}
